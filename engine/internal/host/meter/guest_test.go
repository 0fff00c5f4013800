package meter_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
	"github.com/closedloop/closedloop/engine/internal/host/meter"
)

// A Go guest that changes between goroutines, and so enters its functions anywhere, answers as it does without metering.
func TestGoGuestThatSwitches(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	module := hosttest.Module(t, "engine/internal/host/meter/testdata/switcher")
	metered, err := meter.Instrument(module, meter.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if more := functions(t, metered) - functions(t, module); more < 100 {
		t.Errorf("only %d functions were given structure", more)
	}
	e := newEngine(t, wazero.NewRuntimeConfig())
	wasi_snapshot_preview1.MustInstantiate(ctx, e)
	start := func(module []byte) api.Function {
		m, err := e.InstantiateWithConfig(ctx, module, wazero.NewModuleConfig().WithName("").WithStartFunctions().WithSysNanotime().WithSysNanosleep().WithStderr(os.Stderr))
		if err != nil {
			t.Fatal(err)
		}
		for _, counter := range []string{meter.Fuel, meter.Stack} {
			if g, ok := m.ExportedGlobal(counter).(api.MutableGlobal); ok {
				g.Set(1 << 50)
			}
		}
		if _, err := m.ExportedFunction("_initialize").Call(ctx); err != nil {
			t.Fatal(err)
		}
		return m.ExportedFunction("run")
	}
	plain, changed := start(module), start(metered)
	for n := range uint64(40) {
		want, err := plain.Call(ctx, n)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := changed.Call(ctx, n); err != nil || got[0] != want[0] {
			t.Fatalf("run(%d): got %d, %v; want %d", n, got, err, want)
		}
	}
}

// Modules of other compilers that are kept for tests of plugins are taken, and the compiler takes them after.
func TestBuiltGuests(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(filepath.Join(hosttest.Root(t), "testdata", "plugins", "*.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Skip("there are no built plugins in testdata/plugins")
	}
	ctx := context.Background()
	e := newEngine(t, wazero.NewRuntimeConfig())
	for _, path := range paths {
		module, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		metered, err := meter.Instrument(module, meter.Limits{})
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(path), err)
			continue
		}
		if _, err := e.CompileModule(ctx, metered); err != nil {
			t.Errorf("%s: %v", filepath.Base(path), err)
		}
	}
}
