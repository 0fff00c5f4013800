package engine_test

import (
	"fmt"
	"testing"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// The rows that a pass could not take are told however many deliveries died in it.
func TestRejectsAreToldBesideDeadDeliveries(t *testing.T) {
	t.Parallel()
	p := &parts{}
	for i := range 150 {
		p.feed.items = append(p.feed.items, answer(fmt.Sprint(i), 2, "#packaging"))
	}
	p.feed.items = append(p.feed.items, answer("bad", 99, "x"))
	p.sink.set(sdk.Fatal("no"))
	e := open(t, writeProgram(t, programFiles), p)
	sum, err := e.RunOnce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if dead := sum.Stats.Dead[feedback.DeadDelivery]; dead != 150 || len(sum.Rejects) != 1 {
		t.Errorf("%d dead deliveries, %d rejects told of %d", dead, len(sum.Rejects), sum.Total.Rejected)
	}
}

// An import that is being taken back is told as that, wherever imports are told.
func TestAnUndoIsTold(t *testing.T) {
	t.Parallel()
	e := open(t, writeProgram(t, programFiles), &parts{})
	if _, err := e.Ingest(t.Context(), "app", answer("1", 2, "x"), answer("2", 3, "y")); err != nil {
		t.Fatal(err)
	}
	told := 0
	undo := engine.Undo{Source: "app", Batch: "push", By: engine.Actor{Name: "eva"}, Why: "a test"}
	_, err := e.UndoImport(t.Context(), undo, func(int, int) {
		all, err := e.Imports(t.Context())
		st, failed := e.Stats(t.Context())
		if err != nil || failed != nil || !all[0].Undoing || !st.Imports[0].Undoing {
			t.Errorf("imports %+v, %v, and in numbers %+v, %v", all, err, st, failed)
		}
		told++
	})
	if err != nil || told == 0 {
		t.Errorf("told %d times, %v", told, err)
	}
}
