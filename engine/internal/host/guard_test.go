package host_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/sdk"
)

// stage is a plugin that does what the test says, under a clock that the test moves.
type stage struct {
	scripted
	version string
	ability sdk.Ability
	calling chan struct{} // if not nil, receives at each call
	resume  chan struct{} // and then the call waits for this
	closed  bool
}

func (s *stage) Manifest() *sdk.Manifest {
	return &sdk.Manifest{Name: "stage", Abilities: []sdk.Ability{s.ability}}
}
func (s *stage) Version() string             { return s.version }
func (s *stage) Stats() host.Stats           { return host.Stats{Calls: uint64(s.calls)} }
func (s *stage) Close(context.Context) error { s.closed = true; return nil }

func (s *stage) Deliver(context.Context, sdk.Message) error {
	s.calls++
	if s.calling != nil {
		s.calling <- struct{}{}
		<-s.resume
	}
	return s.down
}

type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func guarded(p host.Plugin) (*host.Guard, *clock, *[]host.State) {
	c, told := &clock{time.Unix(1_770_000_000, 0)}, &[]host.State{}
	return host.NewGuard("stage", p, c.now, func(s host.State) { *told = append(*told, s) }), c, told
}

var crash = &host.Error{Plugin: "stage", Call: "deliver", Code: host.CodeTrap, Cause: errors.New("boom")}

func TestQuarantine(t *testing.T) {
	t.Parallel()
	p := &stage{version: "1", ability: sdk.AbilityDeliver}
	g, c, told := guarded(p)
	deliver := func() error { return g.Deliver(t.Context(), sdk.Message{}) }
	p.down = crash
	for p.calls < 4 {
		_ = deliver()
	}
	p.down = nil
	if err := deliver(); err != nil { // a success in between: nothing is counted
		t.Fatal(err)
	}
	p.down = &host.Error{Code: host.CodeRefused, Cause: sdk.Retry(0, "later")}
	for range 50 { // it works, and asks for patience
		_ = deliver()
	}
	p.down = crash
	for range 5 {
		if err := deliver(); !errors.Is(err, crash) {
			t.Fatal(err)
		}
	}
	calls := p.calls
	err := deliver()
	e := (*host.Error)(nil)
	if !host.Paused(err) || !errors.As(err, &e) || p.calls != calls {
		t.Fatalf("got %v after %d more calls, want a quarantine", err, p.calls-calls)
	}
	if f := sdk.FailureOf(err); f.Fatal || f.After != 5*time.Second || !strings.Contains(err.Error(), "boom") || !strings.Contains(e.Hint, "plugin resume stage") {
		t.Errorf("got %+v, %q", f, e.Hint)
	}
	for _, pause := range []time.Duration{5, 10, 20, 40, 80, 160, 320, 600, 600} {
		c.at = c.at.Add(pause*time.Second - 1)
		if err := deliver(); !host.Paused(err) {
			t.Fatalf("got %v before %d s are over", err, pause)
		}
		c.at = c.at.Add(1)
		if err := deliver(); !errors.Is(err, crash) {
			t.Fatalf("got %v after %d s, want the plugin to be tried", err, pause)
		}
	}
	if s := g.State(); !s.Paused || !strings.Contains(s.Reason, "boom") || s.Until != c.at.Add(600*time.Second) {
		t.Errorf("got %+v", s)
	}
	g.Resume()
	p.down = nil
	if err := deliver(); err != nil || g.State().Paused {
		t.Errorf("resumed: got %v, %+v", err, g.State())
	}
	if n := len(*told); n != 11 || !(*told)[0].Paused || (*told)[n-1].Paused {
		t.Errorf("was told %d times: %+v", n, *told)
	}
}

// One caller tries a paused plugin, the others wait; its success ends the pause.
func TestOneCallerTries(t *testing.T) {
	t.Parallel()
	p := &stage{version: "1", ability: sdk.AbilityDeliver}
	p.down = crash
	g, c, _ := guarded(p)
	for range 5 {
		_ = g.Deliver(t.Context(), sdk.Message{})
	}
	c.at = c.at.Add(time.Minute)
	p.down, p.calling, p.resume = nil, make(chan struct{}), make(chan struct{})
	tried := make(chan error)
	go func() { tried <- g.Deliver(t.Context(), sdk.Message{}) }()
	<-p.calling
	impatient, give := context.WithCancel(t.Context())
	give()
	if err := g.Deliver(impatient, sdk.Message{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v while another call tries the plugin", err)
	}
	waited := make(chan error)
	go func() { waited <- g.Deliver(t.Context(), sdk.Message{}) }()
	p.resume <- struct{}{}
	if err := <-tried; err != nil || g.State().Paused {
		t.Errorf("got %v, %+v", err, g.State())
	}
	<-p.calling
	p.resume <- struct{}{}
	if err := <-waited; err != nil {
		t.Error(err)
	}
}

// A try that its caller gives up neither ends the pause nor makes it longer: the next caller tries.
func TestATryThatIsGivenUp(t *testing.T) {
	t.Parallel()
	p := &stage{version: "1", ability: sdk.AbilityDeliver}
	p.down = crash
	g, c, _ := guarded(p)
	for range 5 {
		_ = g.Deliver(t.Context(), sdk.Message{})
	}
	c.at = c.at.Add(time.Minute)
	for range 3 {
		p.down = &host.Error{Code: host.CodeCanceled, Cause: crash} // as when what goes on beside it failed
		if err := g.Deliver(t.Context(), sdk.Message{}); host.Paused(err) || !g.State().Paused {
			t.Errorf("got %v, %+v", err, g.State())
		}
	}
	p.down = nil
	if err := g.Deliver(t.Context(), sdk.Message{}); err != nil || g.State().Paused {
		t.Errorf("got %v, %+v", err, g.State())
	}
}

// Poisonous items, however many, are no reason to pause a categorizer that answers others, nor to go on pausing it.
func TestPoisonIsNoFailure(t *testing.T) {
	t.Parallel()
	p := &stage{version: "1", ability: sdk.AbilityCategorize}
	g, c, told := guarded(p)
	items := itemsOf(64)
	for i := range items {
		items[i].Text = "!trap"
	}
	search := func() (poisoned int, err error) {
		pin, release := host.Pin(g)
		defer release()
		err = host.CategorizeEach(t.Context(), pin, items, func(_ int, _ *sdk.Result, err error) {
			if err != nil {
				poisoned++
			}
		})
		return poisoned, err
	}
	if n, err := search(); n != 64 || err != nil || len(*told) != 0 {
		t.Fatalf("%d items stand alone, %v, %+v", n, err, *told)
	}
	p.down = crash
	for range 5 {
		_, _ = search()
	}
	if !g.State().Paused {
		t.Fatal("a categorizer that answers nothing is not paused")
	}
	p.down = nil
	c.at = c.at.Add(time.Minute)
	if n, err := search(); n != 64 || err != nil || g.State().Paused {
		t.Errorf("%d items stand alone, %v, %+v", n, err, g.State())
	}
}

func TestSwap(t *testing.T) {
	t.Parallel()
	first := &stage{version: "1", ability: sdk.AbilityDeliver, calling: make(chan struct{}), resume: make(chan struct{})}
	second := &stage{version: "2", ability: sdk.AbilityDeliver}
	var mu sync.Mutex
	var told []string
	g := host.NewGuard("stage", first, time.Now, func(s host.State) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, s.Version)
	})
	pin, release := g.Pin()
	running, swapped := make(chan error), make(chan error)
	go func() { running <- g.Deliver(t.Context(), sdk.Message{}) }()
	<-first.calling
	go func() { swapped <- g.Swap(t.Context(), second) }()
	for g.Version() != "2" {
		runtime.Gosched()
	}
	if err := g.Deliver(t.Context(), sdk.Message{}); err != nil || second.calls != 1 { // not held up
		t.Error(err, second.calls)
	}
	if pin.Version() != "1" || first.closed {
		t.Error("the first version is gone while it is in use")
	}
	close(first.resume)
	if err := <-running; err != nil {
		t.Error(err)
	}
	release()
	if err := <-swapped; err != nil || !first.closed || second.closed {
		t.Errorf("swapped: %v, first closed: %v, second closed: %v", err, first.closed, second.closed)
	}
	if s := g.Stats(); s.Calls != uint64(first.calls+second.calls) || fmt.Sprint(told) != "[2]" {
		t.Errorf("got %+v, told %v", s, told)
	}
}

// A version that does not end its calls holds up a swap no longer than the context allows.
func TestSwapDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	first := &stage{version: "1", ability: sdk.AbilityDeliver}
	g, _, _ := guarded(first)
	_, release := g.Pin()
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Swap(ctx, &stage{version: "2"}); err != nil || !first.closed {
		t.Errorf("got %v, closed: %v", err, first.closed)
	}
}
