package meter_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
	"github.com/closedloop/closedloop/engine/internal/host/meter"
	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
)

// FuzzInstrument wants that nothing panics, and that the compiler takes the metered module where it takes the original.
// The compiler is shown no module that is refused and no custom section of an original: it allocates by counts that no
// bytes back. TestSpecification shows that nothing valid is refused as malformed.
func FuzzInstrument(f *testing.F) {
	for _, a := range []*hosttest.Assembly{
		{}, one(hosttest.Func{Params: hosttest.I32, Body: countdown}), {Pages: 1, Table: 5, Funcs: doubling(3), Data: []byte("data")},
		one(hosttest.Func{Body: code(i32(0), i32(7), i32(64), 0xfc, 11, 0)}),
	} {
		f.Add(a.Bytes())
	}
	for seed := range uint64(20) {
		f.Add((&maze{Rand: rand.New(rand.NewPCG(seed, 0))}).module().Bytes())
	}
	if files, err := filepath.Glob(filepath.Join(specDir(f), "v2", "testdata", "*.0.wasm")); err == nil {
		for _, path := range files {
			if b, err := os.ReadFile(path); err == nil && len(b) < 2000 {
				f.Add(b)
			}
		}
	}
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(features).WithMemoryLimitPages(16))
	f.Fuzz(func(t *testing.T, module []byte) {
		metered, err := meter.Instrument(module, meter.Limits{Functions: 1000, Locals: 1000, Nesting: 200, Table: 1000})
		if err != nil {
			return
		}
		original, err := compile(ctx, rt, withoutCustom(module))
		if err != nil {
			return
		}
		defer original.Close(ctx)
		again, err := compile(ctx, rt, metered)
		if err != nil {
			t.Fatalf("the metered module is invalid: %v", err)
		}
		_ = again.Close(ctx)
	})
}

// withoutCustom returns the module without its custom sections.
func withoutCustom(module []byte) []byte {
	m, err := wasmfile.Parse(module)
	if err != nil {
		panic(err)
	}
	out := []byte(wasmfile.Header)
	for _, s := range m.Sections {
		if s.ID != wasmfile.SectionCustom {
			out = wasmfile.AppendSection(out, s.ID, "", s.Body)
		}
	}
	return out
}

// compile compiles a module. The compiler panics on some that are malformed.
func compile(ctx context.Context, rt wazero.Runtime, module []byte) (m wazero.CompiledModule, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("panic")
		}
	}()
	return rt.CompileModule(ctx, module)
}
