package meter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
	"github.com/closedloop/closedloop/engine/internal/host/meter"
	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
)

const features = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall

var errSpent = errors.New("fuel is spent")

// engine runs metered modules with a bounded amount of fuel.
type engine struct {
	wazero.Runtime
	fuel  int64 // what the next call gets; nothing is refilled
	stack int64 // what the next call gets; at least a mebibyte
	asked int   // how often a guest called the host
	calls int   // of the import env.f
}

func newEngine(tb testing.TB, config wazero.RuntimeConfig) *engine {
	tb.Helper()
	ctx := context.Background()
	e := &engine{Runtime: wazero.NewRuntimeWithConfig(ctx, config.WithCoreFeatures(features))}
	tb.Cleanup(func() { _ = e.Close(ctx) })
	_, err := e.NewHostModuleBuilder(meter.ImportModule).NewFunctionBuilder().
		WithGoFunction(api.GoFunc(func(context.Context, []uint64) { e.asked++; panic(errSpent) }), nil, nil).
		Export(meter.ImportName).Instantiate(ctx)
	if err == nil {
		_, err = e.NewHostModuleBuilder("env").NewFunctionBuilder().
			WithGoFunction(api.GoFunc(func(context.Context, []uint64) { e.calls++ }), nil, nil).Export("f").Instantiate(ctx)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// run calls the export "run" of the module and returns its result and what it took.
func (e *engine) run(tb testing.TB, module []byte, args ...uint64) (result uint64, spent int64, err error) {
	tb.Helper()
	ctx := context.Background()
	m, err := e.Instantiate(ctx, module)
	if err != nil {
		tb.Fatal(err)
	}
	defer m.Close(ctx)
	fuel := m.ExportedGlobal(meter.Fuel).(api.MutableGlobal)
	fuel.Set(uint64(e.fuel))
	m.ExportedGlobal(meter.Stack).(api.MutableGlobal).Set(uint64(max(e.stack, 1<<20)))
	results, err := m.ExportedFunction("run").Call(ctx, args...)
	if len(results) > 0 {
		result = results[0]
	}
	return result, e.fuel - int64(fuel.Get()), err
}

func instrument(tb testing.TB, a *hosttest.Assembly) []byte {
	tb.Helper()
	out, err := meter.Instrument(a.Bytes(), meter.Limits{})
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// code joins instructions.
func code(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

func i32(v int64) []byte { return wasmfile.AppendS64([]byte{0x41}, v) }

// countdown is a loop of eight instructions, besides its end, that runs as often as its parameter says.
var countdown = code(0x03, 0x40, 0x20, 0, i32(1), 0x6b, 0x22, 0, 0x0d, 0, 0x0b)

func one(f hosttest.Func) *hosttest.Assembly {
	f.Name = "run"
	return &hosttest.Assembly{Pages: 1, Funcs: []hosttest.Func{f}}
}

func TestCharges(t *testing.T) {
	t.Parallel()
	nops := func(n int) []byte { return []byte(strings.Repeat("\x01", n)) }
	loopWeight := int64(6) // local.get, const, sub, tee, br_if, end
	for _, c := range []struct {
		name   string
		module *hosttest.Assembly
		args   []uint64
		want   int64
	}{
		{name: "empty", module: one(hosttest.Func{}), want: 0},
		{name: "short", module: one(hosttest.Func{Body: nops(63)}), want: 0},
		{name: "long", module: one(hosttest.Func{Body: nops(64)}), want: 65},
		{name: "loop once", module: one(hosttest.Func{Params: hosttest.I32, Body: countdown}), args: []uint64{1}, want: loopWeight},
		{name: "loop", module: one(hosttest.Func{Params: hosttest.I32, Body: countdown}), args: []uint64{1000}, want: 1000 * loopWeight},
		{name: "large body", module: one(hosttest.Func{Params: hosttest.I32, Body: code(countdown[:2], nops(300), countdown[2:])}), args: []uint64{10}, want: 10 * (loopWeight + 300)},
		{name: "loop in a loop", module: one(hosttest.Func{Params: hosttest.I32, Locals: hosttest.I32,
			Body: code(0x03, 0x40, i32(5), 0x21, 1, 0x03, 0x40, 0x20, 1, i32(1), 0x6b, 0x22, 1, 0x0d, 0, 0x0b, countdown[2:])}),
			args: []uint64{10}, want: 10*(loopWeight+3) + 50*loopWeight},
		{name: "host call", module: &hosttest.Assembly{Imports: []hosttest.Import{{Module: "env", Name: "f"}}, Funcs: []hosttest.Func{{Name: "run", Body: code(0x10, 0, 0x10, 0)}}},
			want: 2*64 + 1},
		{name: "call", module: &hosttest.Assembly{Funcs: []hosttest.Func{{Name: "run", Body: code(0x10, 1, 0x10, 1)}, {Body: nops(10)}}}, want: 3},
		{name: "fill", module: one(hosttest.Func{Body: code(i32(0), i32(7), i32(6400), 0xfc, 11, 0)}), want: 100},
		{name: "copy", module: one(hosttest.Func{Body: code(i32(0), i32(7000), i32(6463), 0xfc, 10, 0, 0)}), want: 100},
		{name: "grow", module: one(hosttest.Func{Body: code(i32(1), 0x40, 0, 0x1a)}), want: 256 + 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, wazero.NewRuntimeConfig())
			e.fuel = 1 << 40
			_, spent, err := e.run(t, instrument(t, c.module), c.args...)
			if err != nil || spent != c.want {
				t.Errorf("took %d, %v; want %d", spent, err, c.want)
			}
			if c.want == 0 {
				return
			}
			e.fuel = c.want - 1 // one too few
			if _, _, err := e.run(t, instrument(t, c.module), c.args...); !errors.Is(err, errSpent) {
				t.Errorf("with one too few: got %v", err)
			}
		})
	}
}

// TestEverythingEndless has every way to go on for ever that a guest has.
func TestEverythingEndless(t *testing.T) {
	t.Parallel()
	elements := wasmfile.Section{ID: wasmfile.SectionElement, Body: code(1, 0, i32(0), 0x0b, 1, 0)}
	for _, c := range []struct {
		name   string
		module *hosttest.Assembly
	}{
		{"br", one(hosttest.Func{Body: code(0x03, 0x40, 0x0c, 0, 0x0b)})},
		{"br_if", one(hosttest.Func{Body: code(0x03, 0x40, i32(1), 0x0d, 0, 0x0b)})},
		{"br_table", one(hosttest.Func{Body: code(0x03, 0x40, i32(9), 0x0e, 2, 0, 0, 0, 0x0b)})},
		{"br out of blocks", one(hosttest.Func{Body: code(0x03, 0x40, 0x02, 0x40, 0x02, 0x40, 0x0c, 2, 0x0b, 0x0b, 0x0b)})},
		{"loop with a parameter", one(hosttest.Func{Params: hosttest.I32, Body: code(0x20, 0, 0x03, 0, 0x20, 0, 0x0c, 0, 0x0b)})},
		{"fill in a loop", one(hosttest.Func{Body: code(0x03, 0x40, i32(0), i32(0), i32(65536), 0xfc, 11, 0, 0x0c, 0, 0x0b)})},
		{"recursion", one(hosttest.Func{Body: code(0x10, 0)})},
		{"tail call", one(hosttest.Func{Body: code(0x12, 0)})},
		{"mutual tail calls", &hosttest.Assembly{Funcs: []hosttest.Func{{Name: "run", Body: code(0x12, 1)}, {Body: code(0x12, 0)}}}},
		{"indirect tail call", &hosttest.Assembly{Table: 1, Funcs: []hosttest.Func{{Name: "run", Body: code(i32(0), 0x13, 0, 0)}}, Extra: nil}},
		{"doubling", &hosttest.Assembly{Funcs: doubling(60)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			raw := c.module.Bytes()
			if c.module.Table > 0 {
				raw = withSection(raw, elements)
			}
			module, err := meter.Instrument(raw, meter.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			e := newEngine(t, wazero.NewRuntimeConfig())
			e.fuel = 100_000
			args := make([]uint64, len(c.module.Funcs[0].Params))
			if _, spent, err := e.run(t, module, args...); !errors.Is(err, errSpent) {
				t.Errorf("took %d: %v", spent, err)
			}
		})
	}
}

// TestStartIsMetered has a module that never ends to begin: its start function runs before the host can fill the counter.
func TestStartIsMetered(t *testing.T) {
	t.Parallel()
	a := one(hosttest.Func{Body: code(0x03, 0x40, 0x0c, 0, 0x0b)})
	module, err := meter.Instrument(withSection(a.Bytes(), wasmfile.Section{ID: wasmfile.SectionStart, Body: code(0)}), meter.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine(t, wazero.NewRuntimeConfig())
	if _, err := e.Instantiate(context.Background(), module); !errors.Is(err, errSpent) || e.asked != 1 {
		t.Errorf("got %v after the host was asked %d times", err, e.asked)
	}
}

// TestStack calls to a depth that the parameter says, and gives back what it took, whatever way it returns.
func TestStack(t *testing.T) {
	t.Parallel()
	ways := map[string][]byte{
		"end":                               {},
		"return":                            {0x0f},
		"br":                                {0x0c, 0},
		"br in block":                       {0x02, 0x40, 0x0c, 1, 0x0b},
		"return in a loop, with more below": {0x41, 5, 0x03, 0x40, 0x0f, 0x0b, 0x1a},
	}
	for name, way := range ways {
		body := code(0x20, 0, 0x04, 0x40, 0x20, 0, i32(1), 0x6b, 0x10, 0, 0x0b, way)
		frame := int64(frameFixed + frameLocal + len(body) + 2)
		e := newEngine(t, wazero.NewRuntimeConfig())
		e.fuel, e.stack = 1<<40, 1<<20
		deepest := uint64(e.stack/frame) - 1
		module := instrument(t, one(hosttest.Func{Params: hosttest.I32, Body: body}))
		if _, _, err := e.run(t, module, deepest); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := e.run(t, module, deepest+1); !errors.Is(err, errSpent) {
			t.Errorf("%s: one deeper: %v", name, err)
		}
	}
}

// What a frame has, as the package comment says.
const (
	frameFixed = 64
	frameLocal = 8
)

// doubling returns functions of which each calls the next twice.
func doubling(n int) []hosttest.Func {
	funcs := []hosttest.Func{{Name: "run", Body: code(0x10, 1)}}
	for i := 1; i < n; i++ {
		funcs = append(funcs, hosttest.Func{Body: code(0x10, i+1, 0x10, i+1)})
	}
	return append(funcs, hosttest.Func{})
}

// withSection puts a section in its place.
func withSection(module []byte, s wasmfile.Section) []byte {
	m, err := wasmfile.Parse(module)
	if err != nil {
		panic(err)
	}
	out, done := []byte(wasmfile.Header), false
	for _, old := range m.Sections {
		if !done && old.ID.Rank() > s.ID.Rank() {
			out, done = wasmfile.AppendSection(out, s.ID, s.Name, s.Body), true
		}
		out = wasmfile.AppendSection(out, old.ID, old.Name, old.Body)
	}
	if !done {
		out = wasmfile.AppendSection(out, s.ID, s.Name, s.Body)
	}
	return out
}

// TestOutOfReach tries to get at the counter and at what else was added.
func TestOutOfReach(t *testing.T) {
	t.Parallel()
	imported := []hosttest.Import{{Module: "env", Name: "f"}}
	with := func(id wasmfile.ID, body ...any) []byte {
		return withSection(one(hosttest.Func{}).Bytes(), wasmfile.Section{ID: id, Body: code(body...)})
	}
	for _, c := range []struct {
		name   string
		module []byte
		want   string
	}{
		{"read the counter", one(hosttest.Func{Body: code(0x23, 0, 0x1a)}).Bytes(), "global 0 of 0"},
		{"write the counter", one(hosttest.Func{Body: code(0x42, 0, 0x24, 0)}).Bytes(), "global 0 of 0"},
		{"overlong index", one(hosttest.Func{Body: code(0x42, 0, 0x24, 0x80, 0x80, 0x80, 0x80, 0x00)}).Bytes(), "global 0 of 0"},
		{"in dead code", one(hosttest.Func{Body: code(0x00, 0x23, 0, 0x1a)}).Bytes(), "global 0 of 0"},
		{"in a constant", with(wasmfile.SectionGlobal, 1, 0x7e, 0, 0x23, 1, 0x0b), "global 1 of 1"},
		{"write the counter of the stack", one(hosttest.Func{Body: code(0x42, 0, 0x24, 1)}).Bytes(), "global 1 of 0"},
		{"the export of the stack", (&hosttest.Assembly{Funcs: []hosttest.Func{{Name: meter.Stack}}}).Bytes(), "reserved"},
		{"the scratch local", one(hosttest.Func{Body: code(i32(0), i32(0), i32(0), 0xfc, 11, 0, 0x20, 0, 0x1a)}).Bytes(), "local 0 of 0"},
		{"the host's function", (&hosttest.Assembly{Imports: imported, Funcs: []hosttest.Func{{Body: code(0x10, 2)}}}).Bytes(), "function 2 of 2"},
		{"the host's function by reference", (&hosttest.Assembly{Imports: imported, Funcs: []hosttest.Func{{Body: code(0xd2, 2, 0x1a)}}}).Bytes(), "function 2 of 2"},
		{"the added type", one(hosttest.Func{Body: code(0x02, 1, 0x0b)}).Bytes(), "type 1 of 1"},
		{"the added type, indirectly", one(hosttest.Func{Body: code(i32(0), 0x11, 1, 0)}).Bytes(), "type 1 of 1"},
		{"the host's function at the start", with(wasmfile.SectionStart, 1), "function 1 of 1"},
		{"the host's function in a table", with(wasmfile.SectionElement, 1, 0, i32(0), 0x0b, 1, 1), "function 1 of 1"},
		{"the same import", (&hosttest.Assembly{Imports: []hosttest.Import{{Module: meter.ImportModule, Name: meter.ImportName}}}).Bytes(), "reserved"},
		{"the same export", (&hosttest.Assembly{Funcs: []hosttest.Func{{Name: meter.Fuel}}}).Bytes(), "reserved"},
		{"the block around the code", (&hosttest.Assembly{Funcs: []hosttest.Func{{Body: code(0x10, 0, 0x0c, 1)}}}).Bytes(), "label 1 of 1"},
		{"code after the end", one(hosttest.Func{Body: code(0x0b, 0x42, 0, 0x24, 0)}).Bytes(), "after the end"},
		{"an imported global", withImport(code(wasmfile.AppendName(nil, "a"), wasmfile.AppendName(nil, "b"), 3, 0x7e, 1)), "imports a global"},
		{"an imported memory", withImport(code(wasmfile.AppendName(nil, "a"), wasmfile.AppendName(nil, "b"), 2, 0, 1)), "imports a memory"},
		{"a number too long", one(hosttest.Func{Body: code(0x42, 0, 0x24, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00)}).Bytes(), "more than 32 bits"},
		{"threads", one(hosttest.Func{Body: code(0xfe, 0x10, 2, 0)}).Bytes(), "opcode 0xfe"},
		{"exceptions", one(hosttest.Func{Body: code(0x08, 0)}).Bytes(), "opcode 0x8"},
	} {
		if _, err := meter.Instrument(c.module, meter.Limits{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func withImport(im []byte) []byte {
	return wasmfile.AppendSection([]byte(wasmfile.Header), wasmfile.SectionImport, "", append([]byte{1}, im...))
}

// TestVectorOpcodesAreReadAsTheCompilerDoes hides a write to the counter in what would be a constant if the opcode
// 0xfd 0x8c 0x00 were read as a number.
func TestVectorOpcodesAreReadAsTheCompilerDoes(t *testing.T) {
	t.Parallel()
	hidden := code(0xfd, 0x8c, 0x00, 0x42, 0, 0x24, 0, []byte(strings.Repeat("\x01", 12)), 0x1a)
	if _, err := meter.Instrument(one(hosttest.Func{Body: hidden}).Bytes(), meter.Limits{}); err == nil {
		t.Error("it was accepted")
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	nested := func(n int) []byte {
		return code([]byte(strings.Repeat("\x02\x40", n)), []byte(strings.Repeat("\x0b", n)))
	}
	for _, c := range []struct {
		name   string
		module *hosttest.Assembly
		limits meter.Limits
		want   string
	}{
		{"functions", &hosttest.Assembly{Funcs: doubling(9)}, meter.Limits{Functions: 9}, "10 functions, expected at most 9"},
		{"body", one(hosttest.Func{Body: nested(100)}), meter.Limits{Body: 200}, "302 bytes in function 0, expected at most 200"},
		{"locals", one(hosttest.Func{Locals: []byte(strings.Repeat("\x7f", 11))}), meter.Limits{Locals: 10}, "11 locals in function 0"},
		{"nesting", one(hosttest.Func{Body: nested(11)}), meter.Limits{Nesting: 10}, "11 nested blocks in function 0"},
		{"table", &hosttest.Assembly{Table: 101}, meter.Limits{Table: 100}, "101 elements of tables"},
	} {
		_, err := meter.Instrument(c.module.Bytes(), c.limits)
		if limit := (*meter.LimitError)(nil); !errors.As(err, &limit) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
		if _, err := meter.Instrument(c.module.Bytes(), meter.Limits{}); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	huge := code(1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f) // one group of 4,294,967,295 locals
	module := withSection((&hosttest.Assembly{}).Bytes(), wasmfile.Section{ID: wasmfile.SectionType, Body: code(1, 0x60, 0, 0)})
	module = withSection(module, wasmfile.Section{ID: wasmfile.SectionFunction, Body: code(1, 0)})
	module = withSection(module, wasmfile.Section{ID: wasmfile.SectionCode, Body: code(1, len(huge)+1, huge, 0x0b)})
	if _, err := meter.Instrument(module, meter.Limits{}); err == nil || !strings.Contains(err.Error(), "locals in function 0") {
		t.Errorf("got %v", err)
	}
}

// TestTableIsBounded grows a table.
func TestTableIsBounded(t *testing.T) {
	t.Parallel()
	grow := func(n int64) []byte {
		a := one(hosttest.Func{Results: hosttest.I32, Body: code(0xd0, 0x70, i32(n), 0xfc, 15, 0)})
		a.Table = 1
		return instrument(t, a)
	}
	e := newEngine(t, wazero.NewRuntimeConfig())
	e.fuel = 1 << 40
	for n, want := range map[int64]int32{100: 1, 131_071: 1, 131_072: -1, 1 << 30: -1} {
		if got, _, err := e.run(t, grow(n)); err != nil || int32(got) != want {
			t.Errorf("grow by %d: got %d, %v; want %d", n, int32(got), err, want)
		}
	}
}

// TestNamesMove looks for the right name in a stack trace.
func TestNamesMove(t *testing.T) {
	t.Parallel()
	names := code(2, 0, wasmfile.AppendName(nil, "outer"), 1, wasmfile.AppendName(nil, "inner"))
	section := code(0, 4, wasmfile.AppendName(nil, "mod"), 1, len(names), names, 2, 1, 0)
	a := &hosttest.Assembly{Funcs: []hosttest.Func{{Name: "run", Body: code(0x10, 1)}, {Body: code(0x00)}},
		Extra: []wasmfile.Section{{Name: "name", Body: section}, {Name: "other", Body: []byte("dropped")}}}
	e := newEngine(t, wazero.NewRuntimeConfig())
	e.fuel = 100
	module := instrument(t, a)
	_, _, err := e.run(t, module)
	if err == nil || !strings.Contains(err.Error(), "mod.inner()\n\tmod.outer()") {
		t.Errorf("got %v", err)
	}
	if strings.Contains(string(module), "dropped") {
		t.Error("a custom section was kept")
	}
	a.Extra[0].Body = section[:len(section)-8] // malformed names are no reason to refuse the module
	if _, _, err := e.run(t, instrument(t, a)); err == nil || strings.Contains(err.Error(), "inner") {
		t.Errorf("got %v", err)
	}
}

// TestNamesThatAskForMemory has a name section for which the compiler would allocate 8 GiB.
func TestNamesThatAskForMemory(t *testing.T) {
	t.Parallel()
	many := code(0xfd, 0xfd, 0xfd, 0xfd, 0x00)
	for _, section := range [][]byte{code(1, len(many), many), code(2, len(many), many), code(0, len(many), many), code(1, many)} {
		a := one(hosttest.Func{})
		a.Extra = []wasmfile.Section{{Name: "name", Body: section}}
		if bytes.Contains(instrument(t, a), many) {
			t.Errorf("%x: the count is left in the metered module", section)
		}
	}
}

func ExampleInstrument() {
	module := (&hosttest.Assembly{Funcs: []hosttest.Func{{Name: "run", Body: code(0x03, 0x40, 0x0c, 0, 0x0b)}}}).Bytes()
	metered, err := meter.Instrument(module, meter.Limits{})
	fmt.Println(len(metered) > len(module), err)
	// Output: true <nil>
}
