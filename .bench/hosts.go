package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	extism "github.com/extism/go-sdk"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/processhost"
	"github.com/closedloop/closedloop/engine/internal/host/testdata/guest"
	"github.com/closedloop/closedloop/engine/internal/host/wasmhost"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/wire"
)

// contender is one way to categorize items.
type contender struct {
	name string
	// call categorizes items once and shows the answer to look, unless that is nil. The answer is gone when look returns.
	call func(items []feedback.Item, look func([]sdk.Result)) error
}

// The contenders that others are compared with, by name.
const (
	nativeName      = "native Go"
	controlName     = "native Go, again (control)"
	extismName      = "Extism, C guest"
	extismTimedName = "Extism, C guest, with its timeout"
)

// hosts are all contenders, ready to be called.
type hosts struct {
	contenders []contender
	runtime    *wasmhost.Runtime
	plugins    map[string]host.Plugin // those in the sandbox, by the language of the guest
	modules    []module
	closers    []func() error
}

// close frees everything, in reverse.
func (h *hosts) close() {
	for i := len(h.closers) - 1; i >= 0; i-- {
		_ = h.closers[i]() // the program ends
	}
}

func openHosts(ctx context.Context, g *guests, cache string) (*hosts, error) {
	h := &hosts{plugins: map[string]host.Plugin{}, modules: g.modules}
	err := h.open(ctx, g, cache)
	if err != nil {
		h.close()
	}
	return h, err
}

func (h *hosts) open(ctx context.Context, g *guests, cache string) error {
	h.contenders = []contender{native(nativeName), native(controlName)}
	var err error
	if h.runtime, err = wasmhost.New(cache); err != nil {
		return err
	}
	h.closers = append(h.closers, func() error { return h.runtime.Close(ctx) })
	for _, m := range g.modules {
		p, err := h.runtime.Load(ctx, m.wasm, spec(m.name))
		if err != nil {
			return explained(m.name, err)
		}
		h.closers = append(h.closers, func() error { return p.Close(ctx) })
		h.plugins[m.name] = p
		h.contenders = append(h.contenders, plugin("sandbox, "+m.name+" guest", p))
	}
	p, err := processhost.Start(ctx, g.process, "", spec("process"))
	if err != nil {
		return explained("process", err)
	}
	h.closers = append(h.closers, func() error { return p.Close(ctx) })
	h.contenders = append(h.contenders, plugin("go-plugin, Go process", p))
	for _, timeout := range []time.Duration{0, 10 * time.Second} {
		if err := h.extism(ctx, g.extism, timeout); err != nil {
			return err
		}
	}
	return nil
}

// spec is what a plugin is loaded with: what its manifest asks for, and the default limits.
func spec(id string) host.Spec {
	return host.Spec{
		ID: id, Manifest: manifest, KV: nothing{},
		Grants: host.Grants{File: mustAbs("testdata"), HTTP: []string{"guest.invalid"}, KV: true},
	}
}

// explained adds what a plugin wrote before it failed.
func explained(name string, err error) error {
	if e := (*host.Error)(nil); errors.As(err, &e) && e.Stderr != "" {
		return fmt.Errorf("%s: %w\n%s", name, err, e.Stderr)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// nothing is a store of pairs that keeps none.
type nothing struct{}

func (nothing) Get(string) ([]byte, error)   { return nil, nil }
func (nothing) Usage() (host.KVUsage, error) { return host.KVUsage{}, nil }
func (nothing) Put(context.Context, map[string][]byte, host.KVUsage) error {
	return host.ErrKVFull
}

func native(name string) contender {
	direct := guest.Direct()
	return contender{name, func(items []feedback.Item, look func([]sdk.Result)) error {
		results := direct(items)
		if look != nil {
			look(results)
		}
		return nil
	}}
}

func plugin(name string, p host.Plugin) contender {
	ctx := context.Background()
	return contender{name, func(items []feedback.Item, look func([]sdk.Result)) error {
		b, err := p.Categorize(ctx, items)
		if err != nil {
			return err
		}
		if look != nil {
			look(b.Results)
		}
		b.Release()
		return nil
	}}
}

// extism adds the guest in C behind Extism, with the same frames. A timeout of zero is none: then nothing ends a guest
// that does not end by itself.
func (h *hosts) extism(ctx context.Context, wasm []byte, timeout time.Duration) error {
	log := extism.NewHostFunctionWithStack("log", func(context.Context, *extism.CurrentPlugin, []uint64) {},
		[]extism.ValueType{extism.ValueTypeI32, extism.ValueTypeI32, extism.ValueTypeI32}, nil)
	log.SetNamespace("closedloop")
	p, err := extism.NewPlugin(ctx, extism.Manifest{
		Wasm:    []extism.Wasm{extism.WasmData{Data: wasm}},
		Memory:  &extism.ManifestMemory{MaxPages: 1024, MaxHttpResponseBytes: -1, MaxVarBytes: -1},
		Timeout: uint64(timeout.Milliseconds()),
	}, extism.PluginConfig{}, []extism.HostFunction{log})
	if err != nil {
		return fmt.Errorf("extism: %w", err)
	}
	h.closers = append(h.closers, func() error { return p.Close(ctx) })
	name := extismName
	if timeout > 0 {
		name = extismTimedName
	}
	_, answer, err := p.Call("extism_configure", wire.AppendConfigure(nil, &wire.Configure{
		Now: 1, Settings: []byte("{}"), Instance: "extism", Major: sdk.ContractMajor, Minor: sdk.ContractMinor,
	}))
	if err == nil {
		err = wire.ReadOK(answer)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	var frame []byte
	var reader wire.ResultReader
	h.contenders = append(h.contenders, contender{name, func(items []feedback.Item, look func([]sdk.Result)) error {
		frame = wire.AppendItems(frame[:0], host.TimeOf(items), items)
		_, answer, err := p.CallWithContext(ctx, "extism_categorize", frame)
		if err != nil {
			return err
		}
		results, err := reader.Read(answer, len(items))
		if err == nil && look != nil {
			look(results)
		}
		return err
	}})
	return nil
}
