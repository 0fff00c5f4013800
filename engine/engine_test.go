package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

func TestIngestIsDurableAndExplained(t *testing.T) {
	t.Parallel()
	dir, p := writeProgram(t, programFiles), &parts{}
	e := open(t, dir, p)
	r, err := e.Ingest(t.Context(), "app", answer("1", 3, "hard to open #packaging"), answer("2", 9, "fine"), answer("3", 99, "x"))
	if err != nil {
		t.Fatal(err)
	}
	if r.New != 2 || r.Rejected != 1 || r.Cases != 1 || r.Messages != 1 || r.Read != 3 {
		t.Errorf("report %+v", r)
	}
	closeEngine(t, e)

	e = open(t, dir, p)
	it, err := e.Item(t.Context(), r.Rows[0].ID)
	if err != nil || it.Queue != "product" || !it.Labels.Has("packaging") || it.Case == "" {
		t.Errorf("item %+v, %v", it, err)
	}
	x, err := e.Explain(t.Context(), r.Rows[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	if text := x.Rules.String(); !strings.Contains(text, "packaging") || !strings.Contains(text, "detractor") || len(x.Done) == 0 {
		t.Errorf("explanation:\n%s\ndone %v", text, x.Done)
	}
	if again, err := e.Ingest(t.Context(), "app", answer("1", 3, "hard to open #packaging")); err != nil || again.Duplicate != 1 {
		t.Errorf("again: %+v, %v", again, err)
	}
	nps, err := e.NPS(t.Context(), engine.MetricQuery{})
	if err != nil || nps.N != 2 || nps.Detractors != 1 || nps.Value != 0 || nps.Lo >= 0 || nps.Hi <= 0 {
		t.Errorf("nps %+v, %v", nps, err)
	}
	if _, err := e.Item(t.Context(), "f_00000000000000000000000000"); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("an unknown item gave %v", err)
	}
}

func TestRunOnceTwice(t *testing.T) {
	t.Parallel()
	p := &parts{}
	for i := range 700 {
		p.feed.items = append(p.feed.items, answer(fmt.Sprint(i), float64(i%11), "it came late #shipping"))
	}
	p.sink.set(sdk.Retry(time.Hour, "nobody is there"))
	e := open(t, writeProgram(t, programFiles), p)
	first, err := e.RunOnce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	detractors := 0
	for i := range 700 {
		if i%11 <= 6 {
			detractors++
		}
	}
	if first.Total.New != 700 || first.Cases != detractors || first.Stats.NPS.Detractors != detractors {
		t.Errorf("first pass: %+v, cases %d", first.Total, first.Cases)
	}
	if w := first.Stats.Waiting; len(w) != 1 || w[0].Messages != detractors || !strings.Contains(w[0].LastError, "nobody") {
		t.Errorf("waiting %+v", w)
	}
	if d := first.Stats.Detractors; len(d) != 1 || d[0].Queue != "care" || d[0].Items != detractors {
		t.Errorf("detractors %+v", d)
	}
	second, err := e.RunOnce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if second.Total.Read != 0 || second.Cases != 0 || second.Messages != 0 || second.Stats.Items != 700 {
		t.Errorf("second pass: %+v", second)
	}
}

func TestRunDeliversInOrderAndAtLeastOnce(t *testing.T) {
	t.Parallel()
	p := &parts{}
	sent := make(chan struct{}, 16)
	failed := make(chan struct{}, 1024)
	e := open(t, writeProgram(t, programFiles), p, func(o *engine.Options) {
		o.Events.DeliverySent = func(feedback.Delivery) { sent <- struct{}{} }
		o.Events.DeliveryFailed = func(feedback.Delivery, error) { failed <- struct{}{} }
	})
	p.sink.set(sdk.Retry(0, "not yet"))
	if _, err := e.Ingest(t.Context(), "app", answer("1", 1, "one"), answer("2", 2, "two"), answer("3", 3, "three")); err != nil {
		t.Fatal(err)
	}
	run(t, e)
	<-failed
	p.sink.set(nil)
	for range 3 {
		<-sent
	}
	got := p.sink.messages()
	var bodies []string
	for _, m := range got {
		for _, text := range []string{"one", "two", "three"} {
			if strings.Contains(string(m.Body), `"text":"`+text+`"`) {
				bodies = append(bodies, text)
			}
		}
	}
	if !slices.Equal(slices.Compact(bodies), []string{"one", "two", "three"}) || got[0].Attempt < 2 {
		t.Errorf("bodies %v, first attempt %d", bodies, got[0].Attempt)
	}
	m := e.Metrics()
	if m.Sent != 3 || m.Failed == 0 || m.Queued != 3 || m.New != 3 || m.Stages["commit"].Count == 0 || m.Plugins["words"].Items != 3 {
		t.Errorf("metrics %+v", m)
	}
}

// run runs the engine until the test ends.
func run(t *testing.T, e *engine.Engine) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestDeliveriesDieAndAreReplayed(t *testing.T) {
	t.Parallel()
	p := &parts{}
	dead := make(chan feedback.DeadLetter, 1)
	sent := make(chan feedback.Delivery, 1)
	e := open(t, writeProgram(t, programFiles), p, func(o *engine.Options) {
		o.Events.DeadLetter = func(l feedback.DeadLetter) { dead <- l }
		o.Events.DeliverySent = func(d feedback.Delivery) { sent <- d }
	})
	p.sink.set(sdk.Fatal("gone for good"))
	run(t, e)
	if _, err := e.Ingest(t.Context(), "app", answer("1", 1, "one")); err != nil {
		t.Fatal(err)
	}
	letter := <-dead
	if letter.Code != "refused" || !strings.Contains(letter.Reason, "gone for good") {
		t.Errorf("letter %+v", letter)
	}
	p.sink.set(nil)
	if _, err := e.Replay(t.Context(), letter.ID); err != nil {
		t.Fatal(err)
	}
	if d := <-sent; d.Key != letter.Delivery.Key {
		t.Errorf("replayed under %s, want %s", d.Key, letter.Delivery.Key)
	}
	if left, err := e.DeadLetters(t.Context(), "", 0); err != nil || len(left) != 0 {
		t.Errorf("dead letters left: %v, %v", left, err)
	}
}

func TestDeadItemsAreReplayed(t *testing.T) {
	t.Parallel()
	e := open(t, writeProgram(t, programFiles), &parts{})
	if _, err := e.Ingest(t.Context(), "app", answer("1", 1, "poison"), answer("2", 99, "x")); err != nil {
		t.Fatal(err)
	}
	items, err := e.DeadLetters(t.Context(), feedback.DeadItem, 0)
	if err != nil || len(items) != 1 {
		t.Fatalf("dead items %v, %v", items, err)
	}
	if row, err := e.Replay(t.Context(), items[0].ID); err != nil || row.Outcome != engine.OutcomeRejected {
		t.Errorf("still poisonous: %+v, %v", row, err)
	}
	rows, err := e.DeadLetters(t.Context(), feedback.DeadRow, 0)
	if err != nil || len(rows) != 1 {
		t.Fatalf("dead rows %v, %v", rows, err)
	}
	if _, err := e.Replay(t.Context(), rows[0].ID); !errors.Is(err, engine.ErrNoReplay) {
		t.Errorf("replaying a row gave %v", err)
	}
}

func TestSLATimersFire(t *testing.T) {
	t.Parallel()
	clock := &clock{now: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)}
	e := open(t, writeProgram(t, programFiles), &parts{}, func(o *engine.Options) { o.Now = clock.Now })
	if _, err := e.Ingest(t.Context(), "app", answer("1", 1, "one")); err != nil {
		t.Fatal(err)
	}
	breached := func() int {
		t.Helper()
		if _, err := e.RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		c, err := e.Cases(t.Context(), engine.CaseQuery{Breached: true})
		if err != nil {
			t.Fatal(err)
		}
		return len(c)
	}
	clock.advance(47 * time.Hour)
	if n := breached(); n != 0 {
		t.Errorf("%d cases breached an hour early", n)
	}
	clock.advance(2 * time.Hour)
	if n := breached(); n != 1 {
		t.Errorf("%d cases breached after 49 hours", n)
	}
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestOneRunAtATime(t *testing.T) {
	t.Parallel()
	dir, p := writeProgram(t, programFiles), &parts{}
	e := open(t, dir, p)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	for {
		c, err := engine.Dial(e.StateDir())
		if err == nil {
			_ = c.Close()
			break
		}
	}
	if _, err := e.RunOnce(t.Context()); err == nil || !strings.Contains(err.Error(), "runs already") {
		t.Errorf("a pass during a run gave %v", err)
	}
	closeEngine(t, e)
	if err := <-done; err != nil {
		t.Errorf("Close ended the run with %v", err)
	}
	cancel()
	if err := e.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("a run of a closed engine gave %v", err)
	}
}

func TestTwoEnginesInOneProcess(t *testing.T) {
	t.Parallel()
	a, b := open(t, writeProgram(t, programFiles), &parts{}), open(t, writeProgram(t, programFiles), &parts{})
	run(t, a)
	run(t, b)
	var wg sync.WaitGroup
	for i, e := range []*engine.Engine{a, b} {
		wg.Go(func() {
			for n := range 50 + 10*i {
				if _, err := e.Ingest(t.Context(), "app", answer(fmt.Sprint(n), 5, "x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for i, e := range []*engine.Engine{a, b} {
		if s, err := e.Stats(t.Context()); err != nil || s.Items != 50+10*i {
			t.Errorf("engine %d has %+v, %v", i, s, err)
		}
	}
}

func TestOneProcessOwnsTheDirectory(t *testing.T) {
	t.Parallel()
	dir, p := writeProgram(t, programFiles), &parts{}
	e := open(t, dir, p)
	if _, err := engine.Open(t.Context(), dir, engine.Options{Native: p.native()}); !errors.Is(err, engine.ErrLocked) {
		t.Errorf("a second engine gave %v", err)
	}
	if _, err := engine.Dial(e.StateDir()); !errors.Is(err, engine.ErrNotRunning) {
		t.Errorf("an engine that does not run answered: %v", err)
	}
}

func TestCommandsTalkToARunningEngine(t *testing.T) {
	t.Parallel()
	e := open(t, writeProgram(t, programFiles), &parts{})
	r, err := e.Ingest(t.Context(), "app", answer("1", 1, "hard to open #packaging"), answer("2", 1, "poison"))
	if err != nil {
		t.Fatal(err)
	}
	run(t, e)
	var c *engine.Client
	for c == nil {
		if c, err = engine.Dial(e.StateDir()); err != nil && !errors.Is(err, engine.ErrNotRunning) {
			t.Fatal(err)
		}
	}
	defer c.Close()
	sameAnswers(t, e, c, r.Rows[0].ID)
	if _, err := c.Item(t.Context(), "f_00000000000000000000000000"); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("an unknown item gave %v", err)
	}
	if m, err := c.Metrics(t.Context()); err != nil || m.New != 1 {
		t.Errorf("metrics %+v, %v", m, err)
	}
	dead, err := c.DeadLetters(t.Context(), feedback.DeadItem, 0)
	if err != nil || len(dead) != 1 {
		t.Fatalf("dead letters %v, %v", dead, err)
	}
	if row, err := c.Replay(t.Context(), dead[0].ID); err != nil || row.Outcome != engine.OutcomeRejected {
		t.Errorf("replay: %+v, %v", row, err)
	}
}

// sameAnswers asks the engine and its client the same.
func sameAnswers(t *testing.T, e *engine.Engine, c *engine.Client, id feedback.ItemID) {
	t.Helper()
	ask := func(q engine.Queries) string {
		var out []any
		add := func(v any, err error) {
			if err != nil {
				t.Error(err)
			}
			out = append(out, v)
		}
		ctx := t.Context()
		items, err := q.Items(ctx, engine.ItemQuery{Queue: "product"})
		add(items, err)
		it, err := q.Item(ctx, id)
		add(it, err)
		d, err := q.Decisions(ctx, id)
		add(d, err)
		k, err := q.Cases(ctx, engine.CaseQuery{})
		add(k, err)
		th, err := q.Themes(ctx, engine.MetricQuery{})
		add(th, err)
		n, err := q.NPS(ctx, engine.MetricQuery{Dimension: "queue", Value: "product"})
		add(n, err)
		s, err := q.Stats(ctx)
		add(s.Items, err)
		x, err := q.Explain(ctx, id)
		add(x.Rules.String(), err)
		return asJSON(t, out)
	}
	if here, there := ask(e), ask(c); here != there {
		t.Errorf("the engine says\n%s\nand its client\n%s", here, there)
	}
}

func TestAProgramAtFaultIsToldWithItsPlaces(t *testing.T) {
	t.Parallel()
	broken := strings.Replace(strings.Replace(programFiles, "timezone: UTC", "timezone: UCT/Nowhere", 1), "when: nps <= 6\n", "when: npps <= 6\n", 1)
	_, err := engine.Open(t.Context(), writeProgram(t, broken), engine.Options{Native: (&parts{}).native()})
	problems := source.Problems{}
	if !errors.As(err, &problems) || len(problems) != 2 {
		t.Fatalf("%T %v", err, err)
	}
	for _, p := range problems {
		if p.File == "" || p.Line == 0 || p.Column == 0 {
			t.Errorf("problem without a place: %+v", p)
		}
	}
}

func TestIntakeIsBounded(t *testing.T) {
	t.Parallel()
	block, entered := make(chan struct{}), make(chan struct{}, 4)
	p := &parts{}
	e := open(t, writeProgram(t, programFiles), p, func(o *engine.Options) {
		o.Intake = 1
		o.Events.ItemCommitted = func(engine.Item) {
			entered <- struct{}{}
			<-block
		}
	})
	done := make(chan error, 1)
	go func() {
		_, err := e.Ingest(context.Background(), "app", answer("1", 1, "x"))
		done <- err
	}()
	<-entered
	if _, err := e.Ingest(t.Context(), "app", answer("2", 1, "x")); !errors.Is(err, engine.ErrBusy) {
		t.Errorf("a full intake gave %v", err)
	}
	close(block)
	if err := <-done; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Ingest(ctx, "app", answer("3", 1, "x")); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context gave %v", err)
	}
}

func TestCallsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	e := open(t, writeProgram(t, programFiles), &parts{})
	for _, source := range []string{"", "Bad Source!", "a/b"} {
		if _, err := e.Ingest(t.Context(), source, answer("1", 1, "x")); err == nil {
			t.Errorf("the source %q was taken", source)
		}
	}
	r, err := e.Ingest(t.Context(), "app", answer("1", 1, "x"))
	if err != nil {
		t.Fatal(err)
	}
	id := r.Rows[0].ID
	eva, x := engine.Actor{Name: "eva"}, []feedback.ThemePath{"x"}
	nan, much := math.NaN(), 1.5
	for _, c := range []engine.Correction{
		{Item: id, Why: "y", Remove: x}, {Item: id, Why: "y", By: eva}, {Item: id, By: eva, Remove: x},
		{Item: id, Why: "y", By: eva, Sentiment: &nan}, {Item: id, Why: "y", By: eva, Sentiment: &much},
		{Item: id, Why: "y", By: eva, Add: []feedback.ThemePath{""}}, {Item: id, Why: "y", By: eva, Add: []feedback.ThemePath{"x/"}},
		{Item: id, Why: "y", By: eva, Remove: []feedback.ThemePath{"\xff"}},
		{Item: id, Why: "y", By: eva, Add: []feedback.ThemePath{feedback.ThemePath(strings.Repeat("a/", 20))}},
	} {
		if _, err := e.Correct(t.Context(), c); !errors.Is(err, engine.ErrMissing) {
			t.Errorf("the correction %+v gave %v", c, err)
		}
	}
	nothing := engine.Correction{Item: "f_00000000000000000000000000", By: eva, Why: "y", Remove: x}
	if _, err := e.Correct(t.Context(), nothing); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("a correction of nothing gave %v", err)
	}
	closeEngine(t, e)
	if _, err := e.Ingest(t.Context(), "app", answer("2", 1, "x")); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("a closed engine gave %v", err)
	}
}
