package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

func total(t *testing.T, e *engine.Engine) int {
	t.Helper()
	s, err := e.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s.Items
}

// TestAStopBetweenPartsDoublesNothing stops a run while a chunk that is too large for one update is half committed.
// The rows have no ids, so that only the engine's own bookkeeping tells them from new ones.
func TestAStopBetweenPartsDoublesNothing(t *testing.T) {
	t.Parallel()
	for _, after := range []int64{1, 60, 140} {
		dir, p := writeProgram(t, programFiles), &parts{}
		for i := range 250 {
			p.feed.items = append(p.feed.items, answer("", 5, fmt.Sprint(i)+strings.Repeat(" late", 2400)))
		}
		ctx, cancel := context.WithCancel(t.Context())
		var n atomic.Int64
		e := open(t, dir, p, func(o *engine.Options) {
			o.Events.ItemCommitted = func(engine.Item) {
				if n.Add(1) == after {
					cancel()
				}
			}
		})
		if err := e.Run(ctx); err != nil {
			t.Error(err)
		}
		closeEngine(t, e)
		e = open(t, dir, p)
		if _, err := e.RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := total(t, e); got != 250 {
			t.Errorf("stopped after %d: %d items of 250 rows", after, got)
		}
	}
}

// TestARowThatCannotBeStoredCostsOnlyItself has rows whose records, keys or numbers no store takes.
func TestARowThatCannotBeStoredCostsOnlyItself(t *testing.T) {
	t.Parallel()
	p := &parts{}
	bad := func(change func(*feedback.Item)) {
		it := answer(fmt.Sprint("bad", len(p.feed.items)), 5, "x")
		change(&it)
		p.feed.items = append(p.feed.items, it, answer(fmt.Sprint("good", len(p.feed.items)), 5, "x"))
	}
	bad(func(it *feedback.Item) { it.Text = strings.Repeat("\x02", 100<<10) })
	bad(func(it *feedback.Item) { it.ExternalID = strings.Repeat("i", 20<<10) })
	bad(func(it *feedback.Item) { it.Customer.ID = strings.Repeat("c", 20<<10) })
	bad(func(it *feedback.Item) { it.Synthetic = feedback.Synthetic(strings.Repeat("s", 1<<20)) })
	e := open(t, writeProgram(t, programFiles), p)
	s, err := e.RunOnce(t.Context())
	if err != nil || s.Total.New != 4 || s.Total.Rejected != 4 || s.Stats.Dead[feedback.DeadRow] != 4 {
		t.Errorf("%+v, dead %v, %v", s.Total, s.Stats.Dead, err)
	}
	nan, year := answer("nan", 5, "x"), answer("year", 5, "x")
	nan.Customer.ARR = new(math.NaN())
	year.OccurredAt = feedback.Time(1 << 60)
	if r, err := e.Ingest(t.Context(), "app", nan, year, answer("fine", 5, "x")); err != nil || r.New != 1 || r.Rejected != 2 {
		t.Errorf("pushed: %+v, %v", r, err)
	}
	if _, err := e.Items(t.Context(), engine.ItemQuery{}); err != nil {
		t.Errorf("the items cannot be read any more: %v", err)
	}
}

// broken is a source whose second page cannot be read.
type broken struct{ page feed }

func (b *broken) Poll(ctx context.Context, req sdk.PollRequest) (sdk.PollResult, error) {
	if len(req.Checkpoint) > 0 {
		return sdk.PollResult{}, sdk.Retry(0, "the page is broken")
	}
	r, err := b.page.Poll(ctx, req)
	r.More = true
	return r, err
}

func TestABrokenPageCostsNoOther(t *testing.T) {
	t.Parallel()
	for range 10 {
		p := &parts{}
		src := &broken{}
		for i := range 40 {
			src.page.items = append(src.page.items, answer(fmt.Sprint(i), 5, "x"))
		}
		e := open(t, writeProgram(t, programFiles), p, func(o *engine.Options) { o.Native["feed"] = native(sdk.AbilityPoll, src) })
		if _, err := e.RunOnce(t.Context()); err == nil {
			t.Error("a broken page is no error")
		}
		if got := total(t, e); got != 40 {
			t.Fatalf("%d items of the 40 that could be read", got)
		}
	}
}

func TestDeadItemsWithoutIDsOrPlacesAreAllKept(t *testing.T) {
	t.Parallel()
	e := open(t, writeProgram(t, programFiles), &parts{})
	same := func() feedback.Item { return answer("", 5, "poison") }
	if _, err := e.Ingest(t.Context(), "app", answer("6", 5, "poison"), answer("7", 5, "poison"), same(), same()); err != nil {
		t.Fatal(err)
	}
	if dead, err := e.DeadLetters(t.Context(), feedback.DeadItem, 0); err != nil || len(dead) != 4 {
		t.Errorf("%d dead letters of 4 items, %v", len(dead), err)
	}
}

// fickle is a categorizer that can be mended.
type fickle struct {
	words
	mu     sync.Mutex
	mended bool
}

func (f *fickle) Categorize(ctx context.Context, items []feedback.Item, out []sdk.Result) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mended {
		for i := range items {
			items[i].Text = strings.ReplaceAll(items[i].Text, "poison", "")
		}
	}
	return f.words.Categorize(ctx, items, out)
}

func TestReplayActsOnce(t *testing.T) {
	t.Parallel()
	f := &fickle{}
	e := open(t, writeProgram(t, programFiles), &parts{}, func(o *engine.Options) {
		o.Native["words"] = native(sdk.AbilityCategorize, f)
	})
	if _, err := e.Ingest(t.Context(), "app", answer("", 1, "poison #packaging")); err != nil {
		t.Fatal(err)
	}
	dead, err := e.DeadLetters(t.Context(), feedback.DeadItem, 0)
	if err != nil || len(dead) != 1 {
		t.Fatal(dead, err)
	}
	f.mu.Lock()
	f.mended = true
	f.mu.Unlock()
	var wg sync.WaitGroup
	var worked atomic.Int64
	for range 4 {
		wg.Go(func() {
			if _, err := e.Replay(t.Context(), dead[0].ID); err == nil {
				worked.Add(1)
			} else if !errors.Is(err, engine.ErrNotFound) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := total(t, e); got != 1 || worked.Load() != 1 {
		t.Errorf("%d items of one letter, replayed %d times", got, worked.Load())
	}
	if s, err := e.Stats(t.Context()); err != nil || s.Cases.Open != 1 || len(s.Waiting) != 1 || s.Waiting[0].Messages != 1 {
		t.Errorf("stats %+v, %v", s, err)
	}
}

func TestSourcesThatNeverEnd(t *testing.T) {
	t.Parallel()
	e := open(t, writeProgram(t, programFiles), &parts{}, func(o *engine.Options) {
		o.Native["feed"] = native(sdk.AbilityPoll, endless{})
	})
	if _, err := e.RunOnce(t.Context()); err == nil || !strings.Contains(err.Error(), "gives nothing") {
		t.Errorf("a source that always has more gave %v", err)
	}
}

type endless struct{}

func (endless) Poll(_ context.Context, req sdk.PollRequest) (sdk.PollResult, error) {
	return sdk.PollResult{More: true, Next: req.Checkpoint}, nil
}
