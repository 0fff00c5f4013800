// Package processhost runs a plugin as a process of its own, over package rpc.
//
// A process is not sandboxed: it has the rights of the engine, and the program has to say that it trusts it. It is kept
// apart all the same: it gets none of the engine's environment, both ends authenticate each other, messages are
// bounded, its standard error is kept for errors, and its code is checked against the program's pin before it runs.
// One call runs at a time. A call that does not end in time, a crash or a malformed answer costs the process, and what
// it has started itself; the next call starts a new one, after a pause that doubles with every failure in a row. It
// waits for a short pause and fails with host.CodeUnavailable in a long one. The process ends with the engine, however
// that ends: a plugin of package serve because its standard input does, on Linux any. Its socket lies in a folder that is
// removed with the process, or by the next engine of this user that starts one. The engine's standard input stays the
// engine's.
//
//	p, err := processhost.Start(ctx, "plugins/ocr", pin, spec)
//	defer p.Close(ctx)
//	batch, err := p.Categorize(ctx, items)
package processhost

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/grants"
	"github.com/closedloop/closedloop/engine/internal/host/pool"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/wire"
)

// Plugin is a plugin in a process of its own.
type Plugin struct {
	spec    host.Spec
	limits  host.Limits
	path    string
	sum     []byte
	version string
	set     *grants.Set
	lane    *pool.Pool[*process] // one process, one call at a time
	counter host.Counter
	pause   pause
	batches host.Batches

	mu      sync.Mutex
	current *process // runs now, if any
}

var _ host.Plugin = (*Plugin)(nil)

// Start starts the executable at path and configures it. A pin is the SHA-256 of the file in hexadecimal; an empty one
// is not compared.
func Start(ctx context.Context, path, pin string, spec host.Spec) (*Plugin, error) {
	if len(spec.Settings) == 0 {
		spec.Settings = []byte("{}")
	}
	p := &Plugin{spec: spec, limits: spec.Limits.WithDefaults(), path: path, lane: pool.New[*process](1)}
	sum, err := digest(path)
	if err != nil {
		return nil, p.fail("load", host.CodeModule, err)
	}
	p.sum = sum
	of := sha256.Sum256(append(append([]byte(nil), sum...), spec.Settings...))
	p.version = spec.Manifest.Version + "+" + hex.EncodeToString(of[:6])
	if found := hex.EncodeToString(sum); pin != "" && pin != found {
		return nil, p.fail("load", host.CodeModule, fmt.Errorf("found a file with the SHA-256 %s, expected %s", found, pin))
	}
	if problems := spec.Manifest.Check(); len(problems) > 0 {
		return nil, p.fail("load", host.CodeModule, problems[0])
	}
	sweep()
	if p.set, err = grants.Open(&p.spec, p.version); err != nil {
		return nil, err
	}
	if err := p.call(ctx, "configure", p.set.Clock(), nil, nil); err != nil {
		return nil, errors.Join(err, p.Close(ctx))
	}
	return p, nil
}

func digest(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}

// Manifest implements host.Plugin.
func (p *Plugin) Manifest() *sdk.Manifest { return &p.spec.Manifest }

// Version implements host.Plugin.
func (p *Plugin) Version() string { return p.version }

// Stats implements host.Plugin.
func (p *Plugin) Stats() host.Stats { return p.counter.Stats() }

// Categorize implements host.Plugin.
func (p *Plugin) Categorize(ctx context.Context, items []feedback.Item) (*host.Batch, error) {
	start, at := time.Now(), host.TimeOf(items)
	b := p.batches.Get()
	err := p.ability(ctx, sdk.AbilityCategorize, at, wire.AppendItems(nil, at, items), func(answer []byte) error {
		return b.Read(answer, len(items))
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
	start, at := time.Now(), p.set.Clock()
	err = p.ability(ctx, sdk.AbilityPoll, at, wire.AppendPoll(nil, at, req), func(answer []byte) (err error) {
		out, err = wire.ReadPollResult(answer, req.Limit)
		return err
	})
	p.counter.Call(time.Since(start), len(out.Items), err)
	return out, err
}

// Receive implements host.Plugin.
func (p *Plugin) Receive(ctx context.Context, req sdk.ReceiveRequest) (out sdk.ReceiveResult, err error) {
	start, at := time.Now(), p.set.Clock()
	err = p.ability(ctx, sdk.AbilityReceive, at, wire.AppendReceive(nil, at, req), func(answer []byte) (err error) {
		out, err = wire.ReadReceiveResult(answer)
		return err
	})
	p.counter.Call(time.Since(start), len(out.Items), err)
	return out, err
}

// Deliver implements host.Plugin.
func (p *Plugin) Deliver(ctx context.Context, m sdk.Message) error {
	start, at := time.Now(), p.set.Clock()
	err := p.ability(ctx, sdk.AbilityDeliver, at, wire.AppendDeliver(nil, at, m), wire.ReadOK)
	p.counter.Call(time.Since(start), 0, err)
	return err
}

func (p *Plugin) ability(ctx context.Context, a sdk.Ability, at feedback.Time, frame []byte, read func([]byte) error) error {
	if !p.spec.Manifest.Can(a) {
		return p.fail(string(a), host.CodeRefused, sdk.Fatal("the plugin does not declare the ability %q", a))
	}
	return p.call(ctx, string(a), at, frame, read)
}

// call hands a frame to the process, which it starts when there is none. Without a frame it only does that.
func (p *Plugin) call(ctx context.Context, name string, at feedback.Time, frame []byte, read func([]byte) error) error {
	proc, ok, err := p.lane.Get(ctx)
	if err != nil {
		if errors.Is(err, pool.ErrClosed) {
			return p.fail(name, host.CodeUnavailable, err)
		}
		return p.fail(name, host.CodeCanceled, err)
	}
	if !ok {
		if proc, err = p.start(ctx, at); err != nil {
			p.lane.Drop()
			return err
		}
	}
	if ok && proc.child.gone(0) { // it died between two calls
		p.discard(proc)
		if proc, err = p.start(ctx, at); err != nil {
			p.lane.Drop()
			return err
		}
	}
	if frame != nil {
		err = p.ask(ctx, proc, p.limits.Deadline, at, frame, read)
	}
	if err == nil {
		if frame != nil {
			p.pause.reset()
		}
		p.lane.Put(proc)
		return nil
	}
	if failure := (*sdk.Failure)(nil); errors.As(err, &failure) {
		p.pause.reset()
		p.lane.Put(proc)
		return p.fail(name, host.CodeRefused, failure)
	}
	canceled := ctx.Err() != nil
	died := isTransport(err) && !canceled && !isDeadline(err) && proc.child.gone(grace)
	p.discard(proc)
	e := p.explain(ctx, name, p.limits.Deadline, err)
	proc.lastWords(e, died)
	if !canceled {
		p.pause.longer(time.Now(), e)
	}
	p.lane.Drop()
	return e
}

// lastWords adds what a process that has ended wrote, and how it ended when that was its own doing.
func (proc *process) lastWords(e *host.Error, died bool) {
	e.Stderr = proc.output.String() + proc.crash.String()
	switch line := proc.crash.Panic(); {
	case e.Code != host.CodeTrap:
	case line != "":
		e.Cause = errors.New(line)
	case died && proc.child.state.Exited():
		e.Code, e.Cause = host.CodeExit, fmt.Errorf("the plugin exited with code %d", proc.child.state.ExitCode())
	case died:
		e.Cause = fmt.Errorf("the process died: %s", proc.child.state)
	}
}

// ask makes one call within the limit.
func (p *Plugin) ask(ctx context.Context, proc *process, limit time.Duration, at feedback.Time, frame []byte, read func([]byte) error) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	proc.session.Begin(at)
	proc.output.Reset()
	answer, err := proc.rpc.Call(limited, frame)
	if err == nil {
		err = limited.Err() // an answer that says that there was no time comes too late
	}
	if err != nil {
		return err
	}
	if len(answer) > p.limits.Output {
		return fmt.Errorf("the answer has %d bytes, expected at most %d", len(answer), p.limits.Output)
	}
	if err := read(answer); err != nil {
		return err
	}
	return proc.session.End(ctx)
}

// start starts and configures a process, after the pause that is due.
func (p *Plugin) start(ctx context.Context, at feedback.Time) (*process, error) {
	if err := p.pause.wait(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, p.fail("configure", host.CodeCanceled, err)
		}
		return nil, p.fail("configure", host.CodeUnavailable, err)
	}
	proc, err := p.spawn()
	if err == nil {
		var frame []byte
		if frame, err = p.configuration(at); err == nil {
			err = p.ask(ctx, proc, p.limits.Start, at, frame, wire.ReadOK)
		}
	}
	if err == nil {
		p.counter.Made()
		return proc, nil
	}
	e := p.explain(ctx, "configure", p.limits.Start, err)
	if proc != nil {
		p.kill(proc)
		proc.lastWords(e, false)
	}
	if e.Code != host.CodeCanceled {
		p.pause.longer(time.Now(), e)
	}
	return nil, e
}

func (p *Plugin) configuration(at feedback.Time) ([]byte, error) {
	settings, err := p.set.Settings()
	if err != nil {
		return nil, err
	}
	return wire.AppendConfigure(nil, &wire.Configure{
		Now: at, Settings: settings, Instance: p.spec.ID,
		Major: sdk.ContractMajor, Minor: sdk.ContractMinor, Grants: p.set.Bits(),
	}), nil
}

// discard ends a process that failed.
func (p *Plugin) discard(proc *process) {
	p.counter.Discarded()
	p.kill(proc)
}

// explain makes the error of a call.
func (p *Plugin) explain(ctx context.Context, name string, limit time.Duration, err error) *host.Error {
	e := p.fail(name, host.CodeFrame, err)
	var failure *sdk.Failure
	switch {
	case ctx.Err() != nil:
		e.Code, e.Cause = host.CodeCanceled, context.Cause(ctx)
	case errors.Is(err, errSpawn):
		e.Code = host.CodeUnavailable
	case errors.As(err, &failure):
		e.Code, e.Cause = host.CodeRefused, failure
	case isDeadline(err):
		e.Code, e.Cause = host.CodeDeadline, fmt.Errorf("the call took longer than %v", limit)
	case isTransport(err) && !isTooLarge(err):
		e.Code, e.Cause = host.CodeTrap, fmt.Errorf("the process broke off: %w", err)
	}
	return e
}

func (p *Plugin) fail(call string, code host.Code, err error) *host.Error {
	return &host.Error{Plugin: p.spec.ID, Version: p.version, Call: call, Code: code, Cause: err}
}

// Close implements host.Plugin. When ctx ends, the process is killed, and the running call fails.
func (p *Plugin) Close(ctx context.Context) error {
	idle, err := p.lane.Close(ctx)
	if err != nil {
		p.mu.Lock()
		current := p.current
		p.mu.Unlock()
		if current != nil {
			p.kill(current)
		}
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		idle, err = p.lane.Close(grace)
	}
	for _, proc := range idle {
		p.end(proc)
	}
	if p.set != nil {
		p.set.Close()
	}
	return err
}
