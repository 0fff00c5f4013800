package wasmhost

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/grants"
	"github.com/closedloop/closedloop/engine/internal/host/pool"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/wire"
)

// Plugin is a loaded module.
type Plugin struct {
	spec    host.Spec
	limits  host.Limits
	version string // digits only
	set     *grants.Set
	owner   *Runtime
	code    *code

	shared  *pool.Pool[*instance]
	poller  *pool.Pool[*instance] // the one instance that polls
	counter host.Counter
	batches host.Batches

	stopped context.Context // ends when running calls are to be cut off
	stop    context.CancelCauseFunc
	closing sync.Mutex
	closed  bool
}

var _ host.Plugin = (*Plugin)(nil)

// Manifest implements host.Plugin.
func (p *Plugin) Manifest() *sdk.Manifest { return &p.spec.Manifest }

// Version implements host.Plugin.
func (p *Plugin) Version() string { return p.spec.Manifest.Version + "+" + p.version }

// Stats implements host.Plugin.
func (p *Plugin) Stats() host.Stats { return p.counter.Stats() }

// Categorize implements host.Plugin.
func (p *Plugin) Categorize(ctx context.Context, items []feedback.Item) (*host.Batch, error) {
	start := time.Now()
	b := p.batches.Get()
	err := p.categorize(ctx, items, b)
	p.counter.Call(time.Since(start), len(items), err)
	if err != nil {
		b.Release()
		return nil, err
	}
	return b, nil
}

func (p *Plugin) categorize(ctx context.Context, items []feedback.Item, b *host.Batch) error {
	at := host.TimeOf(items)
	in, err := p.enter(ctx, sdk.AbilityCategorize, p.shared, at)
	if err != nil {
		return err
	}
	return p.leave(in, p.shared, sdk.AbilityCategorize, in.categorize(at, items, b))
}

// Poll implements host.Plugin.
func (p *Plugin) Poll(ctx context.Context, req sdk.PollRequest) (out sdk.PollResult, err error) {
	start, at := time.Now(), p.set.Clock()
	err = p.call(ctx, sdk.AbilityPoll, p.poller, at, wire.AppendPoll(nil, at, req), func(answer []byte) (err error) {
		out, err = wire.ReadPollResult(answer, req.Limit)
		return err
	})
	p.counter.Call(time.Since(start), len(out.Items), err)
	return out, err
}

// Receive implements host.Plugin.
func (p *Plugin) Receive(ctx context.Context, req sdk.ReceiveRequest) (out sdk.ReceiveResult, err error) {
	start, at := time.Now(), p.set.Clock()
	err = p.call(ctx, sdk.AbilityReceive, p.shared, at, wire.AppendReceive(nil, at, req), func(answer []byte) (err error) {
		out, err = wire.ReadReceiveResult(answer)
		return err
	})
	p.counter.Call(time.Since(start), len(out.Items), err)
	return out, err
}

// Deliver implements host.Plugin.
func (p *Plugin) Deliver(ctx context.Context, m sdk.Message) error {
	start, at := time.Now(), p.set.Clock()
	err := p.call(ctx, sdk.AbilityDeliver, p.shared, at, wire.AppendDeliver(nil, at, m), wire.ReadOK)
	p.counter.Call(time.Since(start), 0, err)
	return err
}

// call hands a frame to an instance and its answer to read.
func (p *Plugin) call(ctx context.Context, a sdk.Ability, from *pool.Pool[*instance], at feedback.Time, frame []byte, read func([]byte) error) error {
	in, err := p.enter(ctx, a, from, at)
	if err != nil {
		return err
	}
	answer, err := in.send(in.abilities[a], frame)
	if err == nil {
		err = read(answer)
	}
	return p.leave(in, from, a, err)
}

// enter takes an instance and begins a call on it.
func (p *Plugin) enter(ctx context.Context, a sdk.Ability, from *pool.Pool[*instance], at feedback.Time) (*instance, error) {
	if !p.spec.Manifest.Can(a) {
		return nil, p.fail(string(a), host.CodeRefused, &sdk.Failure{Fatal: true, Code: "unsupported", Message: fmt.Sprintf("the plugin does not declare the ability %q", a)})
	}
	in, ok, err := from.Get(ctx)
	if err != nil {
		if errors.Is(err, pool.ErrClosed) {
			return nil, p.fail(string(a), host.CodeUnavailable, err)
		}
		return nil, p.fail(string(a), host.CodeCanceled, err)
	}
	if !ok {
		if in, err = p.instance(ctx, at); err != nil {
			from.Drop()
			return nil, err
		}
	}
	in.begin(ctx, at)
	return in, nil
}

// leave ends a call that failed with err or, when err is nil, did not, and returns the call's error.
func (p *Plugin) leave(in *instance, from *pool.Pool[*instance], a sdk.Ability, err error) error {
	if err == nil {
		err = in.session.End(in.Context)
	}
	if err == nil && in.rested() {
		from.Put(in)
		return nil
	}
	if err == nil {
		from.Drop()
		return nil
	}
	e := in.explain(string(a), err)
	if e.Code == host.CodeRefused {
		in.end()
		from.Put(in)
		return e
	}
	in.discard()
	from.Drop()
	return e
}

func (p *Plugin) fail(call string, code host.Code, cause error) *host.Error {
	return &host.Error{Plugin: p.spec.ID, Version: p.Version(), Call: call, Code: code, Cause: cause}
}

// first makes the first instance.
func (p *Plugin) first(ctx context.Context) error {
	home := p.shared
	if p.spec.Manifest.Can(sdk.AbilityPoll) {
		home = p.poller
	}
	if _, _, err := home.Get(ctx); err != nil {
		return p.fail("load", host.CodeCanceled, err)
	}
	in, err := p.instance(ctx, p.set.Clock())
	if err != nil {
		home.Drop()
		return err
	}
	home.Put(in)
	return nil
}

// Close implements host.Plugin.
func (p *Plugin) Close(ctx context.Context) error {
	p.closing.Lock()
	defer p.closing.Unlock()
	if p.closed {
		return nil
	}
	err := p.drain(ctx)
	p.stop(errStopped)
	if err != nil { // what runs ends at its next tick
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = p.drain(grace)
	}
	if err != nil {
		return p.fail("close", host.CodeUnavailable, fmt.Errorf("a call is still running: %w", err))
	}
	p.closed = true
	if p.set != nil {
		p.set.Close()
	}
	if p.code != nil {
		p.owner.release(ctx, p.code)
	}
	return nil
}

func (p *Plugin) drain(ctx context.Context) error {
	for _, from := range []*pool.Pool[*instance]{p.shared, p.poller} {
		free, err := from.Close(ctx)
		for _, in := range free {
			in.close()
		}
		if err != nil {
			return err
		}
	}
	return nil
}
