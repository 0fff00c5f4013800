package meter_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/closedloop/closedloop/engine/internal/host/meter"
	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
)

// specDir returns the folder of the specification's test suite in the sources of wazero, which every build has.
func specDir(tb testing.TB) string {
	tb.Helper()
	file, _ := runtime.FuncForPC(reflect.ValueOf(wazero.NewRuntime).Pointer()).FileLine(0)
	dir := filepath.Join(filepath.Dir(file), "internal", "integration_test", "spectest")
	if _, err := os.Stat(dir); err != nil {
		tb.Skipf("the specification's tests are not at hand, so metered modules are not compared with it: %v", err)
	}
	return dir
}

// script is a test of the specification: modules, and what is called in them.
type script struct {
	Commands []struct {
		Type, Filename string
		Line           int
		Action         struct {
			Type, Module, Field string
			Args                []struct {
				Type  string
				Value json.RawMessage
			}
		}
	}
}

// TestSpecification runs the specification's tests on metered modules, and wants every call to end as it does in the
// module as it was: with the same results, bit by bit, or the same trap.
func TestSpecification(t *testing.T) {
	t.Parallel()
	dir := specDir(t)
	calls, modules := 0, 0
	for _, suite := range []string{"v2", "tail-call"} {
		files, err := filepath.Glob(filepath.Join(dir, suite, "testdata", "*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: found %d scripts, %v", suite, len(files), err)
		}
		for _, path := range files {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var s script
			if err := json.Unmarshal(data, &s); err != nil {
				t.Fatal(err)
			}
			c, m := compare(t, path, &s)
			calls, modules = calls+c, modules+m
		}
	}
	t.Logf("%d calls into %d modules end alike", calls, modules)
	if calls < 30_000 {
		t.Errorf("only %d calls were compared", calls)
	}
}

// compare runs one script on its modules as they are and on the metered ones.
func compare(t *testing.T, path string, s *script) (calls, modules int) {
	plain, metered := newEngine(t, wazero.NewRuntimeConfigInterpreter()), newEngine(t, wazero.NewRuntimeConfigInterpreter())
	defer plain.Close(context.Background())
	defer metered.Close(context.Background())
	for _, e := range []*engine{plain, metered} {
		offerSpectest(t, e)
	}
	var a, b api.Module
	for _, c := range s.Commands {
		if c.Type == "module" {
			a, b = nil, nil
			module, err := os.ReadFile(filepath.Join(filepath.Dir(path), c.Filename))
			if err != nil {
				t.Fatal(err)
			}
			if a, b = pair(t, c.Filename, module, plain, metered); a != nil {
				modules++
			}
			continue
		}
		if a == nil || c.Action.Type != "invoke" || c.Action.Module != "" || c.Type == "assert_exhaustion" {
			continue
		}
		var args []uint64
		for _, arg := range c.Action.Args {
			args = append(args, bits(t, arg.Type, arg.Value)...)
		}
		want, wantErr := a.ExportedFunction(c.Action.Field).Call(context.Background(), args...)
		for _, counter := range []string{meter.Fuel, meter.Stack} {
			b.ExportedGlobal(counter).(api.MutableGlobal).Set(math.MaxInt64)
		}
		got, err := b.ExportedFunction(c.Action.Field).Call(context.Background(), args...)
		if fmt.Sprint(got) != fmt.Sprint(want) || trap(err) != trap(wantErr) {
			t.Errorf("%s:%d: %s(%v): got %v, %v; want %v, %v", filepath.Base(path), c.Line, c.Action.Field, args, got, err, want, wantErr)
		}
		if left := int64(b.ExportedGlobal(meter.Stack).(api.MutableGlobal).Get()); err == nil && left != math.MaxInt64 {
			t.Errorf("%s:%d: %s: %d bytes of stack were not given back", filepath.Base(path), c.Line, c.Action.Field, math.MaxInt64-left)
		}
		calls++
	}
	return calls, modules
}

// pair instantiates a module as it is and metered; nil when it needs what this test does not offer.
func pair(t *testing.T, name string, module []byte, plain, metered *engine) (a, b api.Module) {
	ctx, config := context.Background(), wazero.NewModuleConfig().WithName("")
	changed, err := meter.Instrument(module, meter.Limits{})
	if syntax := (*wasmfile.SyntaxError)(nil); errors.As(err, &syntax) && syntax.Unsupported {
		return nil, nil
	}
	if err != nil { // the compiler takes it, as the script says
		t.Errorf("%s: %v", name, err)
		return nil, nil
	}
	a, err = plain.InstantiateWithConfig(ctx, module, config)
	if err != nil {
		return nil, nil
	}
	if b, err = metered.InstantiateWithConfig(ctx, changed, config); err != nil {
		// A start function runs before the counter can be filled.
		if !errors.Is(err, errSpent) {
			t.Errorf("%s: %v", name, err)
		}
		return nil, nil
	}
	return a, b
}

// trap returns the first line of an error.
func trap(err error) string {
	if err == nil {
		return ""
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// offerSpectest offers the functions of the module spectest, which do nothing.
func offerSpectest(t *testing.T, e *engine) {
	t.Helper()
	b := e.NewHostModuleBuilder("spectest")
	nothing := api.GoFunc(func(context.Context, []uint64) {})
	for name, params := range map[string][]api.ValueType{
		"print": nil, "print_i32": {api.ValueTypeI32}, "print_i64": {api.ValueTypeI64}, "print_f32": {api.ValueTypeF32},
		"print_f64": {api.ValueTypeF64}, "print_i32_f32": {api.ValueTypeI32, api.ValueTypeF32}, "print_f64_f64": {api.ValueTypeF64, api.ValueTypeF64},
	} {
		b = b.NewFunctionBuilder().WithGoFunction(nothing, params, nil).Export(name)
	}
	if _, err := b.Instantiate(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// bits returns an argument as wazero takes it.
func bits(t *testing.T, kind string, value json.RawMessage) []uint64 {
	t.Helper()
	var text string
	if kind != "v128" {
		if err := json.Unmarshal(value, &text); err != nil {
			t.Fatal(err)
		}
		if text == "null" {
			return []uint64{0}
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(kind, "ref") {
			n++
		}
		return []uint64{n}
	}
	var lanes []string
	if err := json.Unmarshal(value, &lanes); err != nil {
		t.Fatal(err)
	}
	out, width := make([]uint64, 2), 128/len(lanes)
	for i, lane := range lanes {
		n, err := strconv.ParseInt(lane, 10, 64)
		if err != nil {
			u, err := strconv.ParseUint(lane, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			n = int64(u)
		}
		v := uint64(n)
		if width < 64 {
			v &= 1<<width - 1
		}
		out[i*width/64] |= v << (i * width % 64)
	}
	return out
}
