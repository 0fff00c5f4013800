package meter_test

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/closedloop/closedloop/engine/internal/host/meter"
	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
)

// corpus returns small modules: those of the specification's tests that are taken, and as many mazes.
func corpus(tb testing.TB, random *rand.Rand) (modules [][]byte) {
	tb.Helper()
	for _, pattern := range []string{filepath.Join(specDir(tb), "v2", "testdata", "*.wasm"), filepath.Join(specDir(tb), "tail-call", "testdata", "*.wasm")} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			tb.Fatal(err)
		}
		for _, path := range paths {
			b, err := os.ReadFile(path)
			if err != nil {
				tb.Fatal(err)
			}
			if _, err := meter.Instrument(b, meter.Limits{}); err == nil && len(b) < 8000 {
				modules = append(modules, b)
			}
		}
	}
	if len(modules) < 100 {
		tb.Fatalf("found only %d modules of the specification", len(modules))
	}
	for range len(modules) {
		modules = append(modules, (&maze{Rand: random}).module().Bytes())
	}
	return modules
}

// mutate returns the module with a few bytes changed, left out or doubled, most of them where code is.
func mutate(random *rand.Rand, module []byte) []byte {
	out := slices.Clone(module)
	for range 1 + random.IntN(3) {
		if len(out) <= len(wasmfile.Header)+1 {
			return out
		}
		at := len(wasmfile.Header) + random.IntN(len(out)-len(wasmfile.Header)-1)
		switch random.IntN(6) {
		case 0:
			out[at] = byte(random.Uint32())
		case 1:
			out[at] ^= 1 << random.IntN(8)
		case 2: // another opcode, or a number nearby
			out[at] += byte(random.IntN(5)) - 2
		case 3:
			out[at], out[at+1] = out[at+1], out[at]
		case 4:
			out[at] = out[len(wasmfile.Header)+random.IntN(len(out)-len(wasmfile.Header))]
		case 5: // the section's size no longer fits, unless a byte goes elsewhere
			to := len(wasmfile.Header) + random.IntN(len(out)-len(wasmfile.Header)-1)
			c := out[at]
			out = slices.Insert(slices.Delete(out, at, at+1), to, c)
		}
	}
	return out
}

// TestMutations changes modules at random. Whatever meter takes, the compiler judges as it judges the original, and
// nothing panics. The compiler is shown no module that is refused: it allocates by counts that no bytes back.
func TestMutations(t *testing.T) {
	t.Parallel()
	ctx, random := context.Background(), choices(t)
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCoreFeatures(features).WithMemoryLimitPages(16))
	defer rt.Close(ctx)
	modules := corpus(t, random)
	all, taken, valid := rounds(t, 1000, 10_000), 0, 0
	for range all {
		module := mutate(random, modules[random.IntN(len(modules))])
		metered, err := meter.Instrument(module, meter.Limits{Functions: 1000, Locals: 1000, Nesting: 200, Table: 1000})
		if err != nil {
			continue
		}
		taken++
		before, was := compile(ctx, rt, withoutCustom(module))
		after, is := compile(ctx, rt, metered)
		if (was == nil) != (is == nil) {
			t.Errorf("the compiler says of the original %v, of the metered module %v\n%x", was, is, module)
		}
		for _, m := range []wazero.CompiledModule{before, after} {
			if m != nil {
				_ = m.Close(ctx)
			}
		}
		if was == nil {
			valid++
		}
	}
	t.Logf("of %d modules %d were taken, and %d are valid", all, taken, valid)
	if valid < all/20 {
		t.Errorf("only %d of %d mutants are valid", valid, all)
	}
}
