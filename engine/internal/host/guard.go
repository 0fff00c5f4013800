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
	// tolerated is how many calls in a row may fail. Searching a batch for poisonous items makes at most seven: the
	// canary succeeds in between, whatever the items are.
	tolerated = 20
	// toleratedAlone is likewise for plugins that categorize nothing, whose calls do not fail because of one item.
	toleratedAlone = 5
	leastPause     = 5 * time.Second
	mostPause      = 10 * time.Minute
)

// Guard stands in front of a plugin for as long as the engine runs, and is a Plugin itself. It pauses a plugin that keeps
// failing, and lets another version take its place between two calls.
//
//   - A paused plugin is not called: calls fail with CodeQuarantined until the pause is over. Then one caller tries it;
//     when that fails too the next pause is twice as long.
//   - Every call is served by one version from beginning to end, and so is what is done between Pin and its release.
type Guard struct {
	id      string
	now     func() time.Time
	changed func(State)

	mu       sync.Mutex
	current  *generation
	past     Stats // of the versions before
	failures int   // calls in a row that failed
	pauses   int   // pauses in a row
	until    time.Time
	reason   string
	trier    *pinned // who tries a paused plugin; nil for nobody
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

func (g *Guard) reset() { g.failures, g.pauses, g.until, g.trier = 0, 0, time.Time{}, nil }

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
	pin := &pinned{g, g.current}
	return pin, pin.release
}

// pinned is a version in the hands of one caller.
type pinned struct {
	guard *Guard
	*generation
}

// Pin returns the version of a guarded plugin that serves now, or the plugin itself when it has no guard.
func Pin(p Plugin) (Plugin, func()) {
	if g, ok := p.(*Guard); ok {
		return g.Pin()
	}
	return p, func() {}
}

// admit lets a call through, unless the plugin is paused and the caller is not the one who tries it.
func (p *pinned) admit(call sdk.Ability) error {
	g := p.guard
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case p.generation != g.current, g.until.IsZero(), g.trier == p:
		return nil
	case g.trier == nil && !g.now().Before(g.until):
		g.trier = p
		return nil
	}
	return &Error{
		Plugin: g.id, Version: p.Version(), Call: string(call), Code: CodeQuarantined,
		Cause: &sdk.Failure{Code: "quarantined", After: max(g.until.Sub(g.now()), time.Second), Message: fmt.Sprintf(
			"it is paused until %s, because it kept failing: %s", g.until.UTC().Format(time.RFC3339), g.reason)},
		Hint: "mend or replace the plugin, or have it tried now with: closedloop plugin resume " + g.id,
	}
}

// judge notes how a call that was admitted ended.
func (p *pinned) judge(err error) {
	g := p.guard
	g.mu.Lock()
	changed := false
	switch {
	case p.generation != g.current:
	case Broken(err):
		changed = g.failed(p, err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	case g.until.IsZero():
		g.failures = 0
	case g.trier == p:
		changed = true
		g.reset()
	}
	state := g.state()
	g.mu.Unlock()
	if changed {
		g.changed(state)
	}
}

// failed counts a failure and reports whether it was one too many.
func (g *Guard) failed(p *pinned, err error) bool {
	if !g.until.IsZero() && g.trier != p {
		return false // the call began before the pause
	}
	g.failures++
	g.reason = err.Error()
	limit := tolerated
	if !p.Manifest().Can(sdk.AbilityCategorize) {
		limit = toleratedAlone
	}
	if g.failures < limit {
		return false
	}
	g.pause()
	return true
}

func (g *Guard) pause() {
	pause := mostPause
	if g.pauses < 10 {
		pause = min(leastPause<<g.pauses, mostPause)
	}
	g.pauses++
	g.failures, g.trier, g.until = 0, nil, g.now().Add(pause)
}

// release ends the caller's use of the version. A try that saw failures only leads to the next pause.
func (p *pinned) release() {
	p.users.RUnlock()
	g := p.guard
	g.mu.Lock()
	changed := g.trier == p && g.failures > 0
	if changed {
		g.pause()
	} else if g.trier == p {
		g.trier = nil
	}
	state := g.state()
	g.mu.Unlock()
	if changed {
		g.changed(state)
	}
}

// Categorize calls the plugin, unless it is paused.
func (p *pinned) Categorize(ctx context.Context, items []feedback.Item) (b *Batch, err error) {
	if err := p.admit(sdk.AbilityCategorize); err != nil {
		return nil, err
	}
	defer func() { p.judge(err) }()
	return p.generation.Categorize(ctx, items)
}

// Poll calls the plugin, unless it is paused.
func (p *pinned) Poll(ctx context.Context, req sdk.PollRequest) (r sdk.PollResult, err error) {
	if err := p.admit(sdk.AbilityPoll); err != nil {
		return r, err
	}
	defer func() { p.judge(err) }()
	return p.generation.Poll(ctx, req)
}

// Receive calls the plugin, unless it is paused.
func (p *pinned) Receive(ctx context.Context, req sdk.ReceiveRequest) (r sdk.ReceiveResult, err error) {
	if err := p.admit(sdk.AbilityReceive); err != nil {
		return r, err
	}
	defer func() { p.judge(err) }()
	return p.generation.Receive(ctx, req)
}

// Deliver calls the plugin, unless it is paused.
func (p *pinned) Deliver(ctx context.Context, m sdk.Message) (err error) {
	if err := p.admit(sdk.AbilityDeliver); err != nil {
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
func (g *Guard) Close(ctx context.Context) error { return g.serving().Close(ctx) }
