package engine_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// TestHistoryFollowsRevisedTimes has revisions move items in time: what was moved on comes when it occurred, what was
// moved back comes where it was found first, and what was moved out of the time that is asked for does not come.
func TestHistoryFollowsRevisedTimes(t *testing.T) {
	t.Parallel()
	e, _ := remembered(t, 1, 1)
	day := func(d int) feedback.Time { return feedback.TimeOf(hour0.Add(time.Duration(d) * 24 * time.Hour)) }
	take := func(id string, version int64, at feedback.Time) {
		t.Helper()
		it := answer(id, 5, fmt.Sprintf("%s %d", id, version))
		it.OccurredAt, it.Version = at, version
		if _, err := e.Ingest(t.Context(), "late", it); err != nil {
			t.Fatal(err)
		}
	}
	for i := 10; i < 20; i++ {
		take(fmt.Sprint("item-", i), 1, day(i))
	}
	take("item-11", 2, day(14)+1)  // moved on
	take("item-16", 2, day(12)+1)  // moved back
	take("item-13", 2, day(30))    // moved out
	take("item-18", 2, day(18)+90) // hardly moved
	b, err := e.Backtest(t.Context(), engine.BacktestOptions{History: engine.History{Since: day(10), Until: day(20)}}, nil)
	if err != nil || b.Items != 9 || b.Late != 1 {
		t.Fatalf("%d items, %d late, %v", b.Items, b.Late, err)
	}
	var got []string
	err = e.EachPast(t.Context(), day(20), func(id feedback.ItemID) {
		it, err := e.Item(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if it.Source == "late" {
			got = append(got, it.ExternalID[len("item-"):])
		}
	})
	if want := []string{"10", "12", "14", "11", "15", "16", "17", "18", "19"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("items came in the order %v, want %v; %v", got, want, err)
	}
}

// TestBacktestKeepsWhatPeopleSay has a person overrule the relabel of a rule.
func TestBacktestKeepsWhatPeopleSay(t *testing.T) {
	t.Parallel()
	e, c := remembered(t, 1, 0)
	it := answer("1", 2, "a box #shipping")
	it.OccurredAt = feedback.TimeOf(hour0)
	r, err := e.Ingest(t.Context(), "app", it)
	if err != nil {
		t.Fatal(err)
	}
	queues := func() (stored, tried string) {
		t.Helper()
		it, err := e.Item(t.Context(), r.Rows[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		b, err := e.Backtest(t.Context(), engine.BacktestOptions{History: engine.History{Until: feedback.TimeOf(c.now()) + 1}}, nil)
		if err != nil || b.Items != 1 {
			t.Fatalf("%+v, %v", b, err)
		}
		for _, q := range b.Queues {
			if q.Items > 0 {
				tried = q.Queue
			}
		}
		return it.Queue, tried
	}
	if stored, tried := queues(); stored != "product" || tried != stored {
		t.Errorf("the item is in %q, the backtest has it in %q", stored, tried)
	}
	_, err = e.Correct(t.Context(), engine.Correction{
		Item: r.Rows[0].ID, By: engine.Actor{Name: "anna"}, Why: "it was late",
		Remove: []feedback.ThemePath{"packaging"}, Add: []feedback.ThemePath{"shipping"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if stored, tried := queues(); stored != "care" || tried != stored {
		t.Errorf("corrected, the item is in %q, the backtest has it in %q", stored, tried)
	}
}
