// Package wasmhost runs plugins as WebAssembly modules in a sandbox, over the ABI of sdk/ABI.md.
//
// Invariants:
//
//   - A guest reaches nothing but its own memory and what package grants gives it. It finds no arguments, environment,
//     files or sockets, and unless the clock is granted, a clock that stands still during a call; its random numbers
//     are the same in every instance.
//   - Every module is rewritten by package meter: a call ends by its deadline, its fuel, or when the plugin is closed.
//   - A guest's memory is bounded, as are its answers and what it writes to its standard output and error.
//   - An instance that failed in any way but by refusing is closed. One whose memory has grown is replaced.
//   - A call to Categorize allocates nothing once the buffers have grown.
//
// Each plugin has a wazero.Runtime of its own; compiled code is kept in a folder that all share. That folder holds
// machine code that is run without a further check, so it is made for this user alone and must stay so.
//
//	rt, err := wasmhost.New(filepath.Join(state, "cache"))
//	defer rt.Close(ctx)
//	data, err := wasmhost.ReadManifest(module)     // runs nothing
//	plugin, err := rt.Load(ctx, module, host.Spec{ID: "themes", Settings: settings})
//	defer plugin.Close(ctx)
//	batch, err := plugin.Categorize(ctx, items)
package wasmhost

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"runtime"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/grants"
	"github.com/closedloop/closedloop/engine/internal/host/meter"
	"github.com/closedloop/closedloop/engine/internal/host/pool"
	"github.com/closedloop/closedloop/sdk"
)

// features is what a module may use; sdk/ABI.md promises no more.
const features = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall

// Runtime loads modules. It may be used by many goroutines at once.
type Runtime struct {
	cache wazero.CompilationCache
	mu    sync.Mutex // held while compiling, which takes much memory
}

// New returns a runtime that keeps compiled code in the folder cacheDir, which is made with mode 0700. With an empty
// cacheDir it keeps it in memory.
func New(cacheDir string) (*Runtime, error) {
	if cacheDir == "" {
		return &Runtime{cache: wazero.NewCompilationCache()}, nil
	}
	if err := os.MkdirAll(cacheDir, 0o700); err != nil {
		return nil, fmt.Errorf("compilation cache: %w", err)
	}
	if err := restrict(cacheDir); err != nil {
		return nil, fmt.Errorf("compilation cache: %w", err)
	}
	cache, err := wazero.NewCompilationCacheWithDir(cacheDir)
	if err != nil {
		return nil, fmt.Errorf("compilation cache: %w", err)
	}
	return &Runtime{cache: cache}, nil
}

// Close frees the compiled code. Every plugin must have been closed.
func (rt *Runtime) Close(ctx context.Context) error { return rt.cache.Close(ctx) }

// Load checks, compiles and configures a module. The manifest is the one in the module; spec.Manifest is not read. It
// makes the first instance, so that a plugin that refuses its settings shows at once. Errors are of type *host.Error.
func (rt *Runtime) Load(ctx context.Context, module []byte, spec host.Spec) (host.Plugin, error) {
	spec.Limits = spec.Limits.WithDefaults()
	if len(spec.Settings) == 0 {
		spec.Settings = []byte("{}")
	}
	p := &Plugin{
		spec:    spec,
		limits:  spec.Limits,
		version: digest(module, spec.Settings),
		shared:  pool.New[*instance](spec.Limits.Instances),
		poller:  pool.New[*instance](1),
	}
	p.stopped, p.stop = context.WithCancelCause(context.Background())
	if err := rt.load(ctx, p, module); err != nil {
		_ = p.Close(ctx)
		return nil, err
	}
	return p, nil
}

func (rt *Runtime) load(ctx context.Context, p *Plugin, module []byte) error {
	metered, err := p.inspect(module)
	if err != nil {
		return err
	}
	if p.set, err = grants.Open(&p.spec); err != nil {
		return err
	}
	if err := rt.compile(ctx, p, metered); err != nil {
		return p.loadError(host.CodeModule, err, "")
	}
	if err := p.signatures(); err != nil {
		return err
	}
	return p.first(ctx)
}

// digest returns twelve hexadecimal digits that tell code and settings apart.
func digest(module, settings []byte) string {
	h := sha256.New()
	sum := sha256.Sum256(module)
	h.Write(sum[:])
	h.Write(settings)
	return hex.EncodeToString(h.Sum(nil)[:6])
}

// compile compiles the module, with the shared cache if that works.
func (rt *Runtime) compile(ctx context.Context, p *Plugin, module []byte) error {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	err := p.compile(ctx, module, rt.cache)
	if err == nil {
		return nil
	}
	// A damaged cache must not keep a plugin from running. An error of the module itself comes again.
	return p.compile(ctx, module, nil)
}

// compile makes the plugin's wazero runtime and compiles the module in it. wazero panics on some modules.
func (p *Plugin) compile(ctx context.Context, module []byte, cache wazero.CompilationCache) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the compiler cannot cope with the module: %v", v)
		}
	}()
	if p.runtime != nil {
		_ = p.runtime.Close(ctx)
	}
	config := wazero.NewRuntimeConfig().WithCoreFeatures(features).WithDebugInfoEnabled(false)
	if cache != nil {
		config = config.WithCompilationCache(cache)
	}
	p.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, p.runtime); err != nil {
		return err
	}
	if err := p.link(ctx); err != nil {
		return err
	}
	workers := min(runtime.GOMAXPROCS(0), 4)
	p.module, err = p.runtime.CompileModule(experimental.WithCompilationWorkers(ctx, workers), module)
	return err
}

// link offers the host's functions to the module.
func (p *Plugin) link(ctx context.Context) error {
	_, err := p.runtime.NewHostModuleBuilder(meter.ImportModule).
		NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(tick), nil, nil).Export(meter.ImportName).
		Instantiate(ctx)
	if err != nil {
		return err
	}
	b := p.runtime.NewHostModuleBuilder(importModule)
	for name, f := range imports {
		b = b.NewFunctionBuilder().WithGoModuleFunction(f.call, f.params, f.results).Export(name)
	}
	_, err = b.Instantiate(ctx)
	return err
}

func (p *Plugin) loadError(code host.Code, cause error, hint string) *host.Error {
	return &host.Error{Plugin: p.spec.ID, Version: p.Version(), Call: "load", Code: code, Cause: cause, Hint: hint}
}

// exports has the export of each ability.
var exports = map[sdk.Ability]string{
	sdk.AbilityCategorize: "cl_categorize",
	sdk.AbilityPoll:       "cl_poll",
	sdk.AbilityReceive:    "cl_receive",
	sdk.AbilityDeliver:    "cl_deliver",
}
