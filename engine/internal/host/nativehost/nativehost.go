// Package nativehost runs an sdk.Plugin in this process: one that the embedding program hands over.
//
// It behaves as the other transports do, but for this: the code is trusted. A call that does not heed its context runs
// past its deadline, and its memory is not bounded. A panic costs the instance, as elsewhere. Answers take the way
// through a frame, so that what a plugin keeps to itself and what is refused as malformed is the same everywhere.
//
//	p, err := nativehost.New(ctx, codebook.Plugin, spec)
//	defer p.Close(ctx)
//	batch, err := p.Categorize(ctx, items)
package nativehost

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/grants"
	"github.com/closedloop/closedloop/engine/internal/host/pool"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/wire"
)

// Plugin is a plugin in this process.
type Plugin struct {
	spec    host.Spec
	limits  host.Limits
	version string
	open    func(ctx context.Context, h sdk.Host, settings []byte) (any, error)
	set     *grants.Set
	shared  *pool.Pool[*instance]
	poller  *pool.Pool[*instance] // the one instance that polls
	counter host.Counter
	stop    context.CancelFunc
	stopped context.Context
	batches host.Batches
}

var _ host.Plugin = (*Plugin)(nil)

type instance struct {
	value   any
	session *grants.Session
	out     []sdk.Result
	frame   []byte
}

// New makes a plugin and its first instance, so that settings that the plugin refuses show at once. Spec.Manifest is
// the manifest that was read from plugin.Manifest.
func New(ctx context.Context, plugin sdk.Plugin, spec host.Spec) (*Plugin, error) {
	if len(spec.Settings) == 0 {
		spec.Settings = []byte("{}")
	}
	sum := sha256.Sum256(append([]byte(spec.Manifest.Name+"\x00"+spec.Manifest.Version+"\x00"), spec.Settings...))
	p := &Plugin{
		spec: spec, limits: spec.Limits.WithDefaults(), open: plugin.New,
		version: spec.Manifest.Version + "+" + hex.EncodeToString(sum[:6]),
		poller:  pool.New[*instance](1),
	}
	p.shared = pool.New[*instance](p.limits.Instances)
	p.stopped, p.stop = context.WithCancel(context.WithoutCancel(ctx))
	var err error
	if p.set, err = grants.Open(&p.spec, p.version); err != nil {
		return nil, err
	}
	if problems := spec.Manifest.Check(); len(problems) > 0 {
		return nil, p.fail("load", host.CodeModule, problems[0])
	}
	err = p.call(ctx, "configure", p.home(), p.set.Clock(), func(context.Context, *instance) error { return nil })
	if err != nil {
		p.Close(ctx)
		return nil, err
	}
	return p, nil
}

// home returns the pool of the first instance.
func (p *Plugin) home() *pool.Pool[*instance] {
	if p.spec.Manifest.Can(sdk.AbilityPoll) {
		return p.poller
	}
	return p.shared
}

// Manifest implements host.Plugin.
func (p *Plugin) Manifest() *sdk.Manifest { return &p.spec.Manifest }

// Version implements host.Plugin. The digest is that of the manifest's name and version and the settings.
func (p *Plugin) Version() string { return p.version }

// Stats implements host.Plugin.
func (p *Plugin) Stats() host.Stats { return p.counter.Stats() }

// Categorize implements host.Plugin.
func (p *Plugin) Categorize(ctx context.Context, items []feedback.Item) (*host.Batch, error) {
	start := time.Now()
	b := p.batches.Get()
	err := p.call(ctx, string(sdk.AbilityCategorize), p.shared, host.TimeOf(items), func(ctx context.Context, in *instance) error {
		c, ok := in.value.(sdk.Categorizer)
		if !ok {
			return p.cannot(sdk.AbilityCategorize)
		}
		if cap(in.out) < len(items) {
			in.out = make([]sdk.Result, len(items))
		}
		in.out = in.out[:len(items)]
		for i := range in.out {
			in.out[i].Reset()
		}
		if err := c.Categorize(ctx, items, in.out); err != nil {
			return sdk.FailureOf(err)
		}
		in.frame = wire.AppendResults(in.frame[:0], in.out)
		if err := p.fits(in.frame); err != nil {
			return err
		}
		return b.Read(in.frame, len(items))
	})
	p.counter.Call(time.Since(start), len(items), err)
	if err != nil {
		b.Release()
		return nil, err
	}
	return b, nil
}

// Poll implements host.Plugin.
func (p *Plugin) Poll(ctx context.Context, req sdk.PollRequest) (out sdk.PollResult, err error) {
	start := time.Now()
	err = p.call(ctx, string(sdk.AbilityPoll), p.poller, p.set.Clock(), func(ctx context.Context, in *instance) error {
		c, ok := in.value.(sdk.Poller)
		if !ok {
			return p.cannot(sdk.AbilityPoll)
		}
		r, err := c.Poll(ctx, req)
		if err != nil {
			return sdk.FailureOf(err)
		}
		in.frame = wire.AppendPollResult(in.frame[:0], &r)
		if err := p.fits(in.frame); err != nil {
			return err
		}
		out, err = wire.ReadPollResult(in.frame, req.Limit)
		return err
	})
	p.counter.Call(time.Since(start), len(out.Items), err)
	return out, err
}

// Receive implements host.Plugin.
func (p *Plugin) Receive(ctx context.Context, req sdk.ReceiveRequest) (out sdk.ReceiveResult, err error) {
	start := time.Now()
	err = p.call(ctx, string(sdk.AbilityReceive), p.shared, p.set.Clock(), func(ctx context.Context, in *instance) error {
		c, ok := in.value.(sdk.Receiver)
		if !ok {
			return p.cannot(sdk.AbilityReceive)
		}
		r, err := c.Receive(ctx, req)
		if err != nil {
			return sdk.FailureOf(err)
		}
		in.frame = wire.AppendReceiveResult(in.frame[:0], &r)
		if err := p.fits(in.frame); err != nil {
			return err
		}
		out, err = wire.ReadReceiveResult(in.frame)
		return err
	})
	p.counter.Call(time.Since(start), len(out.Items), err)
	return out, err
}

// Deliver implements host.Plugin.
func (p *Plugin) Deliver(ctx context.Context, m sdk.Message) error {
	start := time.Now()
	err := p.call(ctx, string(sdk.AbilityDeliver), p.shared, p.set.Clock(), func(ctx context.Context, in *instance) error {
		c, ok := in.value.(sdk.Deliverer)
		if !ok {
			return p.cannot(sdk.AbilityDeliver)
		}
		if err := c.Deliver(ctx, m); err != nil {
			return sdk.FailureOf(err)
		}
		return nil
	})
	p.counter.Call(time.Since(start), 0, err)
	return err
}

// Close implements host.Plugin. When ctx ends, the contexts of the running calls end too; one that does not heed it
// makes Close return an error and goes on running.
func (p *Plugin) Close(ctx context.Context) error {
	err := p.drain(ctx)
	p.stop()
	if err != nil {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		err = p.drain(grace)
	}
	p.set.Close()
	if err != nil {
		return p.fail("close", host.CodeUnavailable, fmt.Errorf("a call is still running: %w", err))
	}
	return nil
}

func (p *Plugin) drain(ctx context.Context) error {
	for _, pl := range []*pool.Pool[*instance]{p.shared, p.poller} {
		if _, err := pl.Close(ctx); err != nil {
			return err
		}
	}
	return nil
}

// call runs do on an instance within the limits.
func (p *Plugin) call(ctx context.Context, name string, from *pool.Pool[*instance], at feedback.Time, do func(context.Context, *instance) error) error {
	in, ok, err := from.Get(ctx)
	if err != nil {
		code := host.CodeCanceled
		if errors.Is(err, pool.ErrClosed) {
			code = host.CodeUnavailable
		}
		return p.fail(name, code, err)
	}
	if !ok {
		if in, err = p.make(ctx, at); err != nil {
			from.Drop()
			return p.classify(ctx, "configure", err)
		}
	}
	limited, cancel := context.WithTimeout(ctx, p.limits.Deadline)
	defer cancel()
	defer context.AfterFunc(p.stopped, cancel)()
	in.session.Begin(at)
	err = timed(limited, guard(func() error { return do(limited, in) }))
	if err == nil {
		err = in.session.End(ctx)
	}
	if err == nil {
		from.Put(in)
		return nil
	}
	e := p.classify(ctx, name, err)
	if e.Code == host.CodeRefused {
		from.Put(in)
	} else {
		p.counter.Discarded()
		from.Drop()
	}
	return e
}

// make makes an instance.
func (p *Plugin) make(ctx context.Context, at feedback.Time) (*instance, error) {
	ctx, cancel := context.WithTimeout(ctx, p.limits.Start)
	defer cancel()
	defer context.AfterFunc(p.stopped, cancel)()
	in := &instance{session: p.set.Session()}
	in.session.Begin(at)
	err := guard(func() error {
		settings, err := in.session.Settings()
		if err != nil {
			return err
		}
		in.value, err = p.open(ctx, in.session, settings)
		if err != nil {
			err = sdk.FailureOf(err)
		}
		return err
	})
	if err == nil {
		err = in.session.End(ctx)
	}
	if err != nil {
		return nil, timed(ctx, err)
	}
	p.counter.Made()
	return in, nil
}

var errDeadline = errors.New("the call took too long")

// timed returns errDeadline for an error that came because ctx ran out of time.
func timed(ctx context.Context, err error) error {
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) && errors.Is(err, context.DeadlineExceeded) {
		return errDeadline
	}
	return err
}

// panicked is a panic of the plugin.
type panicked struct {
	value any
	stack []byte
}

func (e *panicked) Error() string { return fmt.Sprintf("panic: %v", e.value) }

func guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicked{v, debug.Stack()}
		}
	}()
	return f()
}

// classify makes the error of a call.
func (p *Plugin) classify(ctx context.Context, name string, err error) *host.Error {
	var crash *panicked
	var failure *sdk.Failure
	e := p.fail(name, host.CodeFrame, err)
	switch {
	case errors.As(err, &crash):
		e.Code, e.Stderr = host.CodeTrap, string(crash.stack)
	case ctx.Err() != nil:
		e.Code, e.Cause = host.CodeCanceled, context.Cause(ctx)
	case p.stopped.Err() != nil:
		e.Code, e.Cause = host.CodeUnavailable, pool.ErrClosed
	case errors.Is(err, errDeadline):
		e.Code, e.Cause = host.CodeDeadline, errDeadline
	case errors.As(err, &failure):
		e.Code, e.Cause = host.CodeRefused, failure
	}
	return e
}

func (p *Plugin) fail(call string, code host.Code, err error) *host.Error {
	return &host.Error{Plugin: p.spec.ID, Version: p.version, Call: call, Code: code, Cause: err}
}

func (p *Plugin) cannot(a sdk.Ability) error { return sdk.Fatal("the plugin cannot %s", a) }

func (p *Plugin) fits(frame []byte) error {
	if len(frame) > p.limits.Output {
		return fmt.Errorf("the answer has %d bytes, expected at most %d", len(frame), p.limits.Output)
	}
	return nil
}
