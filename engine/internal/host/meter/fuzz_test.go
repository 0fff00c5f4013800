package meter_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
	"github.com/closedloop/closedloop/engine/internal/host/meter"
	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
)

// FuzzInstrument wants that nothing panics, that whatever the compiler takes is taken or called unsupported, and that
// the compiler takes the metered module where it took the original.
func FuzzInstrument(f *testing.F) {
	for _, a := range []*hosttest.Assembly{
		{}, one(hosttest.Func{Params: hosttest.I32, Body: countdown}), {Pages: 1, Table: 5, Funcs: doubling(3), Data: []byte("data")},
		one(hosttest.Func{Body: code(i32(0), i32(7), i32(64), 0xfc, 11, 0)}),
	} {
		f.Add(a.Bytes())
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
		limit, syntax := (*meter.LimitError)(nil), (*wasmfile.SyntaxError)(nil)
		if errors.As(err, &limit) || errors.As(err, &syntax) && syntax.Unsupported {
			return // the compiler may allocate for what is too large
		}
		original, compileErr := compile(ctx, rt, module)
		if compileErr != nil {
			return
		}
		defer original.Close(ctx)
		if err != nil {
			t.Fatalf("the compiler takes what is called malformed: %v", err)
		}
		again, err := compile(ctx, rt, metered)
		if err != nil {
			t.Fatalf("the metered module is invalid: %v", err)
		}
		_ = again.Close(ctx)
	})
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
