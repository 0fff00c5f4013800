package langtest

import (
	"context"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
	"github.com/closedloop/closedloop/sdk/wire"
)

// languages are those with an SDK besides Go's. Each has an echo, a module that says what it has read and builds what
// it is told, and an example.
var languages = []struct{ name, example string }{
	{"rust", "churn"},
	{"c", "pii"},
	{"assemblyscript", "stars"},
}

// each runs a test for every language.
func each(t *testing.T, test func(t *testing.T, language string)) {
	t.Helper()
	for _, l := range languages {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			test(t, l.name)
		})
	}
}

// module returns a module by its name: the committed one, or the one in the folder that CLOSEDLOOP_MODULES names.
func module(tb testing.TB, name string) []byte {
	tb.Helper()
	dir := os.Getenv("CLOSEDLOOP_MODULES")
	if dir == "" {
		dir = filepath.Join(hosttest.Root(tb), "testdata", "plugins")
	}
	data, err := os.ReadFile(filepath.Join(dir, name+".wasm"))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// guest is an instance that is handed frames as they are, so that it can be handed some that the engine never makes.
type guest struct {
	tb     testing.TB
	module api.Module
	logged []string
}

func start(tb testing.TB, wasm []byte) *guest {
	tb.Helper()
	ctx := context.Background()
	g := &guest{tb: tb}
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(compiled))
	tb.Cleanup(func() { _ = rt.Close(ctx) })
	i32, i64 := []api.ValueType{api.ValueTypeI32}, []api.ValueType{api.ValueTypeI64}
	refuse := api.GoFunc(func(_ context.Context, stack []uint64) { stack[0] = 1<<32 - 2 })
	b := rt.NewHostModuleBuilder("closedloop")
	define := func(name string, f any, params string, results []api.ValueType) {
		var types []api.ValueType
		for _, p := range params {
			types = append(types, map[rune]api.ValueType{'i': api.ValueTypeI32, 'l': api.ValueTypeI64}[p])
		}
		switch f := f.(type) {
		case api.GoFunc:
			b.NewFunctionBuilder().WithGoFunction(f, types, results).Export(name)
		case api.GoModuleFunc:
			b.NewFunctionBuilder().WithGoModuleFunction(f, types, results).Export(name)
		}
	}
	define("log", api.GoModuleFunc(func(_ context.Context, m api.Module, stack []uint64) {
		text, _ := m.Memory().Read(uint32(stack[1]), uint32(stack[2]))
		g.logged = append(g.logged, string(text))
	}), "iii", nil)
	define("now", api.GoFunc(func(_ context.Context, stack []uint64) { stack[0] = 0 }), "", i64)
	define("file_stat", refuse, "iii", i32)
	define("file_read", refuse, "ilii", i32)
	define("kv_get", refuse, "iiii", i32)
	define("kv_put", refuse, "iiii", i32)
	define("http", api.GoFunc(func(_ context.Context, stack []uint64) { stack[0] = 0 }), "iiii", i64)
	if _, err := b.Instantiate(ctx); err != nil {
		tb.Fatal(err)
	}
	var err error
	g.module, err = rt.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithStartFunctions("_initialize"))
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

// configured starts a guest and configures it.
func configured(tb testing.TB, wasm []byte, settings string) *guest {
	tb.Helper()
	g := start(tb, wasm)
	answer := g.call("cl_configure", wire.AppendConfigure(nil, &wire.Configure{Settings: []byte(settings), Major: 1}))
	if err := wire.ReadOK(answer); err != nil {
		tb.Fatal(err)
	}
	return g
}

// call hands a frame to an export and returns a copy of its answer. A trap ends the test.
func (g *guest) call(export string, frame []byte) []byte {
	g.tb.Helper()
	ctx := context.Background()
	at, err := g.module.ExportedFunction("cl_alloc").Call(ctx, uint64(len(frame)))
	if err != nil {
		g.tb.Fatalf("cl_alloc: %v", err)
	}
	if !g.module.Memory().Write(uint32(at[0]), frame) {
		g.tb.Fatal("cl_alloc returned a buffer outside the memory")
	}
	got, err := g.module.ExportedFunction(export).Call(ctx, uint64(len(frame)))
	if err != nil {
		g.tb.Fatalf("%s: %v", export, err)
	}
	answer, ok := g.module.Memory().Read(uint32(got[0]>>32), uint32(got[0]))
	if !ok {
		g.tb.Fatalf("%s answered outside the memory", export)
	}
	return append([]byte(nil), answer...)
}

// vector returns a frame of testdata/wire.
func vector(tb testing.TB, name string) []byte {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(hosttest.Root(tb), "testdata", "wire", filepath.FromSlash(name)+".hex"))
	if err != nil {
		tb.Fatal(err)
	}
	frame, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		tb.Fatal(err)
	}
	return frame
}

// vectors lists the frames of testdata/wire below a folder that are of a kind; 0 stands for all.
func vectors(tb testing.TB, dir string, kind wire.FrameKind) []string {
	tb.Helper()
	paths, err := filepath.Glob(filepath.Join(hosttest.Root(tb), "testdata", "wire", dir, "*.hex"))
	if err != nil || len(paths) == 0 {
		tb.Fatal("no vectors", err)
	}
	var names []string
	for _, p := range paths {
		name := strings.TrimPrefix(dir+"/"+strings.TrimSuffix(filepath.Base(p), ".hex"), "/")
		if k, _ := wire.Kind(vector(tb, name)); kind == 0 || k == kind {
			names = append(names, name)
		}
	}
	return names
}
