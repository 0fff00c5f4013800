package host

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// How a plugin that keeps failing is paused.
const (
	tolerated  = 5 // uses in a row without any success
	leastPause = 5 * time.Second
	mostPause  = 10 * time.Minute
)

// Guard stands in front of a plugin for as long as the engine runs, and is a Plugin itself. It pauses a plugin that keeps
// failing, and lets another version take its place between two calls.
//
//   - What is counted are uses, from Pin to release, in which the plugin broke and not one call succeeded. A search for
//     poisonous items has successes, those of its canary, so that no number of such items pauses a plugin.
//   - A paused plugin is not called: calls fail with CodeQuarantined until the pause is over. Then one caller tries it,
//     and the others wait for what comes of it; when it fails too the next pause is twice as long.
//   - Every call is served by one version from beginning to end, and so is what is done between Pin and its release.
type Guard struct {
	id      string
	now     func() time.Time
	changed func(State)

	mu       sync.Mutex
	current  *generation
	past     Stats // of the versions before
	failures int   // uses in a row that failed
	pauses   int   // pauses in a row
	until    time.Time
	reason   string
	trier    *pinned       // who tries a paused plugin; nil for nobody
	tried    chan struct{} // closed when the try has ended
	closed   bool          // calls fail because of that, and say nothing of the plugin
}

// State is how a guarded plugin is.
type State struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version string `json:"version"`
	// Paused says that the plugin is in quarantine; then Reason and Until say why, and when it is tried again.
	Paused bool      `json:"paused,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Until  time.Time `json:"until,omitzero"`
}

// generation is one loaded version of the plugin. Who reads users uses it; who writes it may close it.
type generation struct {
	Plugin
	users sync.RWMutex
}

var _ Plugin = (*Guard)(nil)

// NewGuard returns the guard of a loaded plugin. changed is told when the plugin is paused, works again or was swapped;
// it must not call the guard.
func NewGuard(id string, p Plugin, now func() time.Time, changed func(State)) *Guard {
	return &Guard{id: id, now: now, changed: changed, current: &generation{Plugin: p}}
}

// Swap lets p take the plugin's place: calls that begin from now on are served by it. It waits until the calls of the
// version before have ended, but not beyond ctx, and closes that version.
func (g *Guard) Swap(ctx context.Context, p Plugin) error {
	g.mu.Lock()
	old := g.current
	g.current = &generation{Plugin: p}
	g.reset()
	state := g.state()
	g.mu.Unlock()
	g.changed(state)
	err := old.retire(ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.past.add(old.Stats())
	return err
}

// retire closes the version once nobody uses it, or when ctx ends.
func (n *generation) retire(ctx context.Context) error {
	unused := make(chan struct{})
	go func() {
		n.users.Lock()
		defer n.users.Unlock()
		close(unused)
	}()
	select {
	case <-unused:
	case <-ctx.Done():
	}
	return n.Close(ctx)
}

// Resume ends the quarantine: the next call is served.
func (g *Guard) Resume() {
	g.mu.Lock()
	paused := !g.until.IsZero()
	g.reset()
	state := g.state()
	g.mu.Unlock()
	if paused {
		g.changed(state)
	}
}

func (g *Guard) reset() {
	g.failures, g.pauses, g.until = 0, 0, time.Time{}
	g.endTry()
}

func (g *Guard) endTry() {
	if g.trier != nil {
		g.trier = nil
		close(g.tried)
	}
}

// State returns how the plugin is.
func (g *Guard) State() State {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state()
}

func (g *Guard) state() State {
	s := State{ID: g.id, Name: g.current.Manifest().Name, Version: g.current.Version()}
	if !g.until.IsZero() {
		s.Paused, s.Reason, s.Until = true, g.reason, g.until
	}
	return s
}

// Pin returns the version that serves now, for more than one call. release must be called.
func (g *Guard) Pin() (p Plugin, release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.current.users.RLock()
	pin := &pinned{guard: g, generation: g.current}
	return pin, pin.release
}

// pinned is a version in the hands of one caller.
type pinned struct {
	guard *Guard
	*generation
	broke, worked bool // what the calls came to so far; guarded by guard.mu
}

// Pin returns the version of a guarded plugin that serves now, or the plugin itself when it has no guard.
func Pin(p Plugin) (Plugin, func()) {
	if g, ok := p.(*Guard); ok {
		return g.Pin()
	}
	return p, func() {}
}

// admit lets a call through, unless the plugin is paused and the caller is not the one who tries it. While somebody else
// does, it waits.
func (p *pinned) admit(ctx context.Context, call sdk.Ability) error {
	g := p.guard
	g.mu.Lock()
	defer g.mu.Unlock()
	for {
		switch {
		case p.generation != g.current, g.until.IsZero(), g.trier == p:
			return nil
		case g.now().Before(g.until):
			return p.paused(call)
		case g.trier == nil:
			g.trier, g.tried = p, make(chan struct{})
			return nil
		}
		tried := g.tried
		g.mu.Unlock()
		var err error
		select {
		case <-tried:
		case <-ctx.Done():
			err = &Error{Plugin: g.id, Version: p.Version(), Call: string(call), Code: CodeCanceled, Cause: context.Cause(ctx)}
		}
		g.mu.Lock()
		if err != nil {
			return err
		}
	}
}

func (p *pinned) paused(call sdk.Ability) error {
	g := p.guard
	return &Error{
		Plugin: g.id, Version: p.Version(), Call: string(call), Code: CodeQuarantined,
		Cause: &sdk.Failure{Code: "quarantined", After: max(g.until.Sub(g.now()), time.Second), Message: fmt.Sprintf(
			"it is paused until %s, because it kept failing: %s", g.until.UTC().Format(time.RFC3339), g.reason)},
		Hint: "mend or replace the plugin, or have it tried now with: closedloop plugin resume " + g.id,
	}
}

// judge notes how a call that was admitted ended. A call that its caller gave up says nothing.
func (p *pinned) judge(err error) {
	g := p.guard
	g.mu.Lock()
	changed := false
	switch {
	case Broken(err):
		p.broke = true
		if p.generation == g.current {
			g.reason = err.Error()
		}
	case canceled(err):
	default:
		p.worked = true
		if p.generation != g.current {
			break
		}
		if g.until.IsZero() {
			g.failures = 0
		} else if g.trier == p {
			changed = true
			g.reset()
		}
	}
	state := g.state()
	g.mu.Unlock()
	if changed {
		g.changed(state)
	}
}

func canceled(err error) bool {
	e := (*Error)(nil)
	return errors.As(err, &e) && e.Code == CodeCanceled || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// release ends the caller's use of the version, and counts it.
func (p *pinned) release() {
	p.users.RUnlock()
	g := p.guard
	g.mu.Lock()
	changed := false
	if failed := p.broke && !p.worked && p.generation == g.current && !g.closed; failed && g.trier == p {
		changed = true
	} else if failed && g.until.IsZero() {
		g.failures++
		changed = g.failures >= tolerated
	}
	if changed {
		g.pause()
	}
	if g.trier == p {
		g.endTry()
	}
	state := g.state()
	g.mu.Unlock()
	if changed {
		g.changed(state)
	}
}

func (g *Guard) pause() {
	pause := mostPause
	if g.pauses < 10 {
		pause = min(leastPause<<g.pauses, mostPause)
	}
	g.pauses++
	g.failures, g.until = 0, g.now().Add(pause)
}

// Categorize calls the plugin, unless it is paused.
func (p *pinned) Categorize(ctx context.Context, items []feedback.Item) (b *Batch, err error) {
	if err := p.admit(ctx, sdk.AbilityCategorize); err != nil {
		return nil, err
	}
	defer func() { p.judge(err) }()
	return p.generation.Categorize(ctx, items)
}

// Poll calls the plugin, unless it is paused.
func (p *pinned) Poll(ctx context.Context, req sdk.PollRequest) (r sdk.PollResult, err error) {
	if err := p.admit(ctx, sdk.AbilityPoll); err != nil {
		return r, err
	}
	defer func() { p.judge(err) }()
	return p.generation.Poll(ctx, req)
}

// Receive calls the plugin, unless it is paused.
func (p *pinned) Receive(ctx context.Context, req sdk.ReceiveRequest) (r sdk.ReceiveResult, err error) {
	if err := p.admit(ctx, sdk.AbilityReceive); err != nil {
		return r, err
	}
	defer func() { p.judge(err) }()
	return p.generation.Receive(ctx, req)
}

// Deliver calls the plugin, unless it is paused.
func (p *pinned) Deliver(ctx context.Context, m sdk.Message) (err error) {
	if err := p.admit(ctx, sdk.AbilityDeliver); err != nil {
		return err
	}
	defer func() { p.judge(err) }()
	return p.generation.Deliver(ctx, m)
}

// Manifest returns the manifest of the version that serves now.
func (g *Guard) Manifest() *sdk.Manifest { return g.serving().Manifest() }

// Version returns the version that serves now.
func (g *Guard) Version() string { return g.serving().Version() }

func (g *Guard) serving() *generation {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.current
}

// Categorize calls the plugin, unless it is paused.
func (g *Guard) Categorize(ctx context.Context, items []feedback.Item) (*Batch, error) {
	p, release := g.Pin()
	defer release()
	return p.Categorize(ctx, items)
}

// Poll calls the plugin, unless it is paused.
func (g *Guard) Poll(ctx context.Context, req sdk.PollRequest) (sdk.PollResult, error) {
	p, release := g.Pin()
	defer release()
	return p.Poll(ctx, req)
}

// Receive calls the plugin, unless it is paused.
func (g *Guard) Receive(ctx context.Context, req sdk.ReceiveRequest) (sdk.ReceiveResult, error) {
	p, release := g.Pin()
	defer release()
	return p.Receive(ctx, req)
}

// Deliver calls the plugin, unless it is paused.
func (g *Guard) Deliver(ctx context.Context, m sdk.Message) error {
	p, release := g.Pin()
	defer release()
	return p.Deliver(ctx, m)
}

// Stats returns what has happened in all versions.
func (g *Guard) Stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.past
	s.add(g.current.Stats())
	return s
}

// Close closes the version that serves now. Swap must not be called any more.
func (g *Guard) Close(ctx context.Context) error {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	return g.serving().Close(ctx)
}
