// Package wasmhost runs plugins as WebAssembly modules in a sandbox, over the ABI of sdk/ABI.md.
//
// Invariants:
//
//   - A guest reaches nothing but its own memory and what package grants gives it. A module that imports a function
//     which is not granted is not loaded. It finds no arguments, environment, files or sockets; unless it is granted
//     otherwise, its clock stands still during a call, and its random numbers are the same in every instance.
//   - Every module is rewritten by package meter: a call ends by its deadline, its fuel, or when the plugin is closed.
//     What the host does for a guest is paid for from the same fuel, so that no loop around it looks at the clock too
//     seldom.
//   - A guest's memory is bounded, as are its answers and what it writes to its standard output and error.
//   - An instance that failed in any way but by refusing is closed. One whose memory has grown is replaced.
//   - A call to Categorize allocates nothing once the buffers have grown.
//
// Each module has a wazero.Runtime of its own, which plugins that run the same module share; compiled code is kept in a
// folder that all share. That folder holds machine code that is run without a further check, so it is made for this user
// alone and must stay so.
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
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/grants"
	"github.com/closedloop/closedloop/engine/internal/host/pool"
	"github.com/closedloop/closedloop/sdk"
)

// features is what a module may use; sdk/ABI.md promises no more.
const features = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall

// Runtime loads modules. It may be used by many goroutines at once.
type Runtime struct {
	cache wazero.CompilationCache
	mu    sync.Mutex // held while compiling, which takes much memory
	codes map[[sha256.Size]byte]*code
}

// New returns a runtime that keeps compiled code in the folder cacheDir, which is made with mode 0700. With an empty
// cacheDir it keeps it in memory.
func New(cacheDir string) (*Runtime, error) {
	if cacheDir == "" {
		return &Runtime{cache: wazero.NewCompilationCache(), codes: map[[sha256.Size]byte]*code{}}, nil
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
	return &Runtime{cache: cache, codes: map[[sha256.Size]byte]*code{}}, nil
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
		owner:   rt,
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
	err := p.inspect(module)
	if err != nil {
		return err
	}
	if names := p.Manifest().Settings.Credentials(); len(names) > 0 {
		return p.loadError(host.CodeGrant, fmt.Errorf("the plugin asks to be told a secret by its setting %s, which a sandboxed one is not", names[0]),
			"build it as a process and say trust: process")
	}
	if p.set, err = grants.Open(&p.spec, p.Version()); err != nil {
		return err
	}
	if p.code, err = rt.acquire(ctx, module); err != nil {
		return p.malformed(err)
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
