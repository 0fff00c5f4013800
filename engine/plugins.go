package engine

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/nativehost"
	"github.com/closedloop/closedloop/engine/internal/host/processhost"
	"github.com/closedloop/closedloop/engine/internal/host/wasmhost"
	"github.com/closedloop/closedloop/engine/internal/program"
	"github.com/closedloop/closedloop/engine/internal/store"
)

func defaultCacheDir() string {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	return filepath.Join(base, "closedloop")
}

// plugins are the loaded plugins of a program. The map is not changed; what a guard stands for is.
type plugins struct {
	wasm *wasmhost.Runtime
	byID map[string]*host.Guard
	made map[string]fingerprint // what each was loaded from; for loadPlugins and Reload
}

// fingerprint tells what a plugin is loaded from: code, manifest, settings, grants and limits.
type fingerprint [sha256.Size]byte

// loadPlugins loads every plugin of the program, or none.
func (e *Engine) loadPlugins(ctx context.Context) (*plugins, error) {
	wasm, err := wasmhost.New(filepath.Join(e.opts.CacheDir, "compiled"))
	if err != nil {
		return nil, err
	}
	ps := &plugins{wasm: wasm, byID: map[string]*host.Guard{}, made: map[string]fingerprint{}}
	for p := range e.program.Plugins {
		code, print, err := fetchCode(ctx, p)
		var loaded host.Plugin
		if err == nil {
			loaded, err = e.load(ctx, ps, e.program, p, code)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", p.Pos, err), ps.close(ctx))
		}
		ps.byID[p.ID], ps.made[p.ID] = host.NewGuard(p.ID, loaded, e.opts.Now, e.pluginChanged), print
	}
	return ps, nil
}

// fetchCode returns the module of a plugin that is one, built when it comes as source.
func fetchCode(ctx context.Context, p *program.Plugin) (wasm []byte, print fingerprint, err error) {
	sum := p.SHA256
	if p.Kind == program.KindFolder || p.Kind == program.KindWASM {
		code, err := p.Artifact(ctx)
		if err != nil {
			return nil, print, err
		}
		wasm, sum = code.Wasm, code.SHA256
	}
	all, err := json.Marshal([]any{p.Kind, p.Path, sum, p.Manifest, string(p.Settings), p.Grants, p.Limits})
	return wasm, sha256.Sum256(all), err
}

func (e *Engine) load(ctx context.Context, ps *plugins, prog *program.Program, p *program.Plugin, wasm []byte) (host.Plugin, error) {
	return e.loadOn(ctx, e.store, ps, prog, p, wasm)
}

// loadOn loads a plugin that keeps its pairs in a store.
func (e *Engine) loadOn(ctx context.Context, st *store.Store, ps *plugins, prog *program.Program, p *program.Plugin, wasm []byte) (host.Plugin, error) {
	spec := host.Spec{
		ID: p.ID, Manifest: p.Manifest, Settings: p.Settings, Grants: p.Grants, Limits: p.Limits, Now: e.now,
		Log: e.opts.Logger, KV: &pairs{st, p.ID},
		Secrets: func(name string) ([]byte, error) {
			if !p.Uses(name) {
				return nil, fmt.Errorf("secret %q: no setting of plugin %s names it", name, p.ID)
			}
			return prog.Secret(name)
		},
	}
	switch p.Kind {
	case program.KindNative:
		return nativehost.New(ctx, p.Native, spec)
	case program.KindProcess:
		return processhost.Start(ctx, p.Path, p.SHA256, spec)
	}
	return ps.wasm.Load(ctx, wasm, spec)
}

func (ps *plugins) close(ctx context.Context) error {
	var errs []error
	for _, p := range ps.byID {
		errs = append(errs, p.Close(ctx))
	}
	return errors.Join(append(errs, ps.wasm.Close(ctx))...)
}

// PluginState is how a plugin is while the engine runs.
type PluginState struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version string `json:"version"` // of the manifest, and the digest of code and settings
	// Paused says that the plugin kept failing and is in quarantine; Reason says why, and Until when it is tried again.
	Paused bool      `json:"paused,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Until  time.Time `json:"until,omitzero"`
}

func (e *Engine) pluginChanged(s host.State) {
	if s.Paused {
		e.opts.Logger.Error().Str("plugin", s.ID).Str("version", s.Version).Time("until", s.Until).Str("reason", s.Reason).
			Msg("plugin keeps failing and is paused")
	} else {
		e.opts.Logger.Info().Str("plugin", s.ID).Str("version", s.Version).Msg("plugin serves")
	}
	if f := e.opts.Events.PluginChanged; f != nil {
		f(PluginState(s))
	}
}

// Plugins returns how the plugins are, by id.
func (e *Engine) Plugins(context.Context) ([]PluginState, error) {
	states := make([]PluginState, 0, len(e.plugins.byID))
	for _, g := range e.plugins.byID {
		states = append(states, PluginState(g.State()))
	}
	slices.SortFunc(states, func(a, b PluginState) int { return strings.Compare(a.ID, b.ID) })
	return states, nil
}

// ResumePlugin ends a plugin's quarantine, so that it is called again at once. It returns the plugin's state, or
// ErrNotFound.
func (e *Engine) ResumePlugin(ctx context.Context, id string) (PluginState, error) {
	g := e.plugins.byID[id]
	if g == nil {
		return PluginState{}, fmt.Errorf("plugin %q: %w", id, ErrNotFound)
	}
	g.Resume()
	return PluginState(g.State()), e.outbox.Hurry(ctx, id)
}
