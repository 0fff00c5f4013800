package conformance

import (
	"context"
	"errors"
	"fmt"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/processhost"
	"github.com/closedloop/closedloop/engine/internal/host/wasmhost"
	"github.com/closedloop/closedloop/engine/internal/program"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/wire"
)

// loader loads one plugin as often as the checks ask for.
type loader struct {
	ctx     context.Context // of the run
	plugin  *program.Plugin
	options Options
	wasm    []byte
	runtime *wasmhost.Runtime
	base    host.Plugin   // stays loaded, so that the module's compiled code does
	open    []host.Plugin // handed out, the last one last
}

// sideBySide is how many plugins that were handed out stay loaded.
const sideBySide = 2

func newLoader(ctx context.Context, p *program.Plugin, o Options) (*loader, error) {
	l := &loader{ctx: ctx, plugin: p, options: o}
	art, err := p.Artifact(ctx)
	if err != nil {
		return nil, err
	}
	l.wasm = art.Wasm
	if l.runtime, err = wasmhost.New(o.CacheDir); err != nil {
		return nil, err
	}
	if l.base, err = l.load(o.Settings); err != nil {
		return nil, errors.Join(err, l.runtime.Close(ctx))
	}
	return l, nil
}

func (l *loader) close() error {
	ctx := context.WithoutCancel(l.ctx)
	err := l.base.Close(ctx)
	for _, p := range l.open {
		err = errors.Join(err, p.Close(ctx))
	}
	return errors.Join(err, l.runtime.Close(ctx))
}

func (l *loader) load(settings string) (host.Plugin, error) {
	spec := host.Spec{
		ID: l.plugin.Manifest.Name, Manifest: l.plugin.Manifest, Settings: []byte(settings), Grants: l.options.Grants, Limits: l.options.Limits,
		KV: &pairs{}, Now: func() feedback.Time { return 0 },
	}
	spec.Limits.Instances = 1
	if l.plugin.Kind == program.KindProcess {
		return processhost.Start(l.ctx, l.plugin.Path, l.plugin.SHA256, spec)
	}
	return l.runtime.Load(l.ctx, l.wasm, spec)
}

// openWith loads the plugin with settings that its spec may forbid.
func (l *loader) openWith(settings string) error {
	p, err := l.load(settings)
	if err != nil {
		return told(err)
	}
	return p.Close(l.ctx)
}

// fresh returns a way to load the plugin as T.
func fresh[T any](l *loader) func() (T, error) {
	return func() (T, error) {
		var none T
		p, err := l.load(l.options.Settings)
		if err != nil {
			return none, told(err)
		}
		l.open = append(l.open, p)
		if len(l.open) > sideBySide {
			err, l.open = l.open[0].Close(l.ctx), l.open[1:]
		}
		loaded, ok := any(&instance{Plugin: p}).(T)
		if !ok { // cannot happen: an instance has every ability
			return none, errors.New("a loaded plugin lacks an ability")
		}
		return loaded, err
	}
}

// instance is a loaded plugin as its author's source would be.
type instance struct {
	host.Plugin
	calls  int
	warmed int64 // memory after the first calls
}

var (
	_ sdk.Categorizer = (*instance)(nil)
	_ sdk.Poller      = (*instance)(nil)
	_ sdk.Receiver    = (*instance)(nil)
	_ sdk.Deliverer   = (*instance)(nil)
)

// warmup is how many calls an instance may take to get the memory that it needs.
const warmup = 256

// Categorize implements sdk.Categorizer. The results do not share memory with the plugin's.
func (i *instance) Categorize(ctx context.Context, items []feedback.Item, out []sdk.Result) error {
	b, err := i.Plugin.Categorize(ctx, items)
	if i.calls++; i.calls == warmup {
		i.warmed = i.Stats().Memory
	}
	if err != nil {
		return told(err)
	}
	defer b.Release()
	var results wire.ResultReader
	copied, err := results.Read(wire.AppendResults(nil, b.Results), len(items))
	if err != nil {
		return fmt.Errorf("copy the results: %w", err)
	}
	copy(out, copied)
	return nil
}

// Poll implements sdk.Poller.
func (i *instance) Poll(ctx context.Context, req sdk.PollRequest) (sdk.PollResult, error) {
	res, err := i.Plugin.Poll(ctx, req)
	return res, told(err)
}

// Receive implements sdk.Receiver.
func (i *instance) Receive(ctx context.Context, req sdk.ReceiveRequest) (sdk.ReceiveResult, error) {
	res, err := i.Plugin.Receive(ctx, req)
	return res, told(err)
}

// Deliver implements sdk.Deliverer.
func (i *instance) Deliver(ctx context.Context, m sdk.Message) error {
	return told(i.Plugin.Deliver(ctx, m))
}

// maxGrowth is how much more memory an instance may hold after a great many calls than after the first ones.
const maxGrowth = 6 << 20

// Grown returns an error when the memory grew while the plugin worked. Of a process it is not known.
func (i *instance) Grown() error {
	s := i.Stats()
	switch grown := s.Memory - i.warmed; {
	case s.Recycled > 0:
		return fmt.Errorf("the instance was replaced %d times, because its memory or its stack had grown", s.Recycled)
	case i.warmed > 0 && grown > maxGrowth:
		return fmt.Errorf("the instance holds %d KiB more than after the first %d calls, %d KiB in all", grown>>10, warmup, s.Memory>>10)
	}
	return nil
}

// crash is a failure that the plugin did not choose to answer with.
type crash struct{ err *host.Error }

func (c crash) Error() string { return c.err.Error() }

// Crashed tells the suites that this is no answer.
func (crash) Crashed() bool { return true }

// Unwrap returns the plugin's error.
func (c crash) Unwrap() error { return c.err }

// told returns an error as the suites understand it, with what the plugin wrote.
func told(err error) error {
	var e *host.Error
	if !errors.As(err, &e) {
		return err
	}
	told := error(e)
	switch e.Code {
	case host.CodeTrap, host.CodeExit, host.CodeDeadline, host.CodeMemory, host.CodeFrame:
		told = crash{e}
	}
	if e.Stderr != "" {
		return fmt.Errorf("%w\n%s", told, e.Stderr)
	}
	return told
}
