package engine_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// undoForEver is a victim that imports and takes it back, all the time.
func undoForEver(v *victim) error {
	ctx := context.Background()
	e, err := engine.Open(ctx, v.dir, engine.Options{Native: (&parts{}).native(), Profile: engine.Small})
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		if _, err := e.Ingest(ctx, "bad", badItems()...); err != nil {
			return err
		}
		v.ack("in")
		undo := engine.Undo{Source: "bad", Batch: "push", By: anna, Why: "a test"}
		if _, err := e.UndoImport(ctx, undo, func(n, _ int) { v.ack(fmt.Sprint("out ", n)) }); err != nil {
			return err
		}
	}
}

func badItems() []feedback.Item {
	items := make([]feedback.Item, 300)
	for i := range items {
		items[i] = answer(fmt.Sprint(i), float64(i%11), "#price")
		items[i].Customer.ID = fmt.Sprint("c", i%7)
	}
	return items
}

// TestKilledWhileAnImportIsTakenBack kills an engine that takes imports back. After each kill the next start takes it up
// again, and then everything is counted that is there, and nothing else.
func TestKilledWhileAnImportIsTakenBack(t *testing.T) {
	t.Parallel()
	dir := writeProgram(t, killRules)
	random := seeded(t)
	e := open(t, dir, &parts{})
	good := badItems()[:40]
	if _, err := e.Ingest(t.Context(), "good", good...); err != nil {
		t.Fatal(err)
	}
	closeEngine(t, e)
	resumed := 0
	for round := range max(kills(t)/5, 3) {
		killOne(t, "take back", dir, round, random)
		e, err := engine.Open(t.Context(), dir, engine.Options{Native: (&parts{}).native(), Profile: engine.Small})
		if err != nil {
			t.Fatal(err)
		}
		resumed += undoing(t, e)
		if _, err := e.RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if undoing(t, e) > 0 {
			t.Error("the import is still being taken back")
		}
		examineCounts(t, e, len(good))
		closeEngine(t, e)
	}
	t.Logf("taken up again %d times", resumed)
	if resumed == 0 && kills(t) >= 50 {
		t.Error("nothing was taken up again: the test shows nothing")
	}
}

func undoing(t *testing.T, e *engine.Engine) (n int) {
	t.Helper()
	imports, err := e.Imports(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range imports {
		if imports[i].Undoing {
			n++
		}
	}
	return n
}

// examineCounts compares what is counted with the items that are there.
func examineCounts(t *testing.T, e *engine.Engine, good int) {
	t.Helper()
	items, err := e.Items(t.Context(), engine.ItemQuery{Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	stats, err := e.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var kept, detractors int
	for i := range items {
		if items[i].Source == "good" {
			kept++
		}
		if items[i].NPSClass() == feedback.Detractor {
			detractors++
		}
	}
	if kept != good || stats.Items != len(items) || stats.NPS.N != len(items) || stats.NPS.Detractors != detractors {
		t.Errorf("%d of %d good items, %d items, %d detractors; counted %d, %+v", kept, good, len(items), detractors, stats.Items, stats.NPS)
	}
	cases, err := e.Cases(t.Context(), engine.CaseQuery{Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	for i := range cases {
		if _, err := e.Item(t.Context(), cases[i].Item); err != nil {
			t.Errorf("the case %s is about an item that is gone: %v", cases[i].ID, err)
		}
	}
	if stats.Cases.Open != len(cases) {
		t.Errorf("%d open cases are counted, there are %d", stats.Cases.Open, len(cases))
	}
	if _, err := e.AuditVerify(t.Context()); err != nil {
		t.Error(err)
	}
}
