package wasmhost

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/closedloop/closedloop/engine/internal/host/meter"
)

// code is a compiled module in a wazero runtime of its own. Plugins that run the same module with other settings and
// grants share it: instances share nothing, and what a host function may do depends on the instance that calls it.
type code struct {
	sum     [sha256.Size]byte // of the module as it was loaded
	users   int
	runtime wazero.Runtime
	module  wazero.CompiledModule
}

// acquire returns the code of a module, metered and compiled if no plugin runs it yet. Release it when done.
func (rt *Runtime) acquire(ctx context.Context, module []byte) (*code, error) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	sum := sha256.Sum256(module)
	if c := rt.codes[sum]; c != nil {
		c.users++
		return c, nil
	}
	metered, err := meter.Instrument(module, meter.Limits{})
	if err != nil {
		return nil, err
	}
	c := &code{sum: sum, users: 1}
	if err := c.compile(ctx, metered, rt.cache); err != nil {
		// A damaged cache must not keep a plugin from running. An error of the module itself comes again.
		if err := c.compile(ctx, metered, nil); err != nil {
			c.close(ctx)
			return nil, err
		}
	}
	rt.codes[sum] = c
	return c, nil
}

// release gives code up; the last one to do so frees it.
func (rt *Runtime) release(ctx context.Context, c *code) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if c.users--; c.users == 0 {
		delete(rt.codes, c.sum)
		c.close(ctx)
	}
}

func (c *code) close(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	if c.runtime != nil {
		_ = c.runtime.Close(ctx) // it fails only when it is closed already
	}
	if c.module != nil {
		_ = c.module.Close(ctx)
	}
}

// compile makes the wazero runtime and compiles the module in it. wazero panics on some modules.
func (c *code) compile(ctx context.Context, module []byte, cache wazero.CompilationCache) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the compiler cannot cope with the module: %v", v)
		}
	}()
	if c.runtime != nil {
		_ = c.runtime.Close(ctx)
	}
	config := wazero.NewRuntimeConfig().WithCoreFeatures(features).WithDebugInfoEnabled(false)
	if cache != nil {
		config = config.WithCompilationCache(cache)
	}
	c.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	if err := instantiateWASI(ctx, c.runtime); err != nil {
		return err
	}
	if err := c.link(ctx); err != nil {
		return err
	}
	// In this goroutine alone: a panic of the compiler in a goroutine of its own would end the process.
	c.module, err = c.runtime.CompileModule(ctx, module)
	return err
}

// link offers the host's functions to the module.
func (c *code) link(ctx context.Context) error {
	_, err := c.runtime.NewHostModuleBuilder(meter.ImportModule).
		NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(tick), nil, nil).Export(meter.ImportName).
		Instantiate(ctx)
	if err != nil {
		return err
	}
	b := c.runtime.NewHostModuleBuilder(importModule)
	for name, f := range imports {
		b = b.NewFunctionBuilder().WithGoModuleFunction(f.call, f.params, f.results).Export(name)
	}
	_, err = b.Instantiate(ctx)
	return err
}
