package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/nativehost"
	"github.com/closedloop/closedloop/engine/internal/host/processhost"
	"github.com/closedloop/closedloop/engine/internal/host/wasmhost"
	"github.com/closedloop/closedloop/engine/internal/program"
)

func defaultCacheDir() string {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	return filepath.Join(base, "closedloop")
}

// plugins are the loaded plugins of a program.
type plugins struct {
	wasm *wasmhost.Runtime
	byID map[string]host.Plugin
}

// loadPlugins loads every plugin of the program, or none.
func (e *Engine) loadPlugins(ctx context.Context) (*plugins, error) {
	wasm, err := wasmhost.New(filepath.Join(e.opts.CacheDir, "compiled"))
	if err != nil {
		return nil, err
	}
	ps := &plugins{wasm: wasm, byID: map[string]host.Plugin{}}
	for p := range e.program.Plugins {
		loaded, err := e.load(ctx, ps, p)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", p.Pos, err), ps.close(ctx))
		}
		ps.byID[p.ID] = loaded
	}
	return ps, nil
}

func (e *Engine) load(ctx context.Context, ps *plugins, p *program.Plugin) (host.Plugin, error) {
	spec := host.Spec{
		ID: p.ID, Manifest: p.Manifest, Settings: p.Settings, Grants: p.Grants, Limits: p.Limits, Now: e.now,
		Log: e.opts.Logger.With().Str("plugin", p.ID).Logger(),
		Secrets: func(name string) ([]byte, error) {
			if !p.Uses(name) {
				return nil, fmt.Errorf("secret %q: no setting of plugin %s names it", name, p.ID)
			}
			return e.program.Secret(name)
		},
	}
	switch p.Kind {
	case program.KindNative:
		return nativehost.New(ctx, p.Native, spec)
	case program.KindProcess:
		return processhost.Start(ctx, p.Path, p.SHA256, spec)
	}
	code, err := p.Artifact(ctx)
	if err != nil {
		return nil, err
	}
	return ps.wasm.Load(ctx, code.Wasm, spec)
}

func (ps *plugins) close(ctx context.Context) error {
	var errs []error
	for _, p := range ps.byID {
		errs = append(errs, p.Close(ctx))
	}
	return errors.Join(append(errs, ps.wasm.Close(ctx))...)
}
