package pipeline

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine/internal/cases"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

const day = 24 * time.Hour

func keeping(r Retention) option { return func(c *Config) { c.Retention = r } }

func (w *world) retain(most int, rehearse bool) Swept {
	w.t.Helper()
	s, err := w.Retain(w.t.Context(), w.at, most, rehearse)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) hold(h records.Hold) {
	w.t.Helper()
	err := w.store.Update(w.t.Context(), func(tx *store.Tx) error { return store.Put(tx, records.HoldKey(&h), &h) })
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) itemIDs() (out []string) {
	w.t.Helper()
	for _, it := range all[records.Item](w, records.ItemsPrefix()) {
		out = append(out, it.Feedback.ExternalID)
	}
	return out
}

// Items go when they are too old, each after the age of its source, but for those that are held or whose case is open.
// Sums stay, and what is too old does not come back.
func TestOldItemsGo(t *testing.T) {
	t.Parallel()
	w := setup(t, keeping(Retention{Items: 30 * day, Sources: map[string]time.Duration{"chat": 10 * day, "law": 0}}))
	at := func(id, source string, score float64, age int) {
		w.source.ID = source
		it := answer(id, score, "#price")
		it.OccurredAt = w.at.Add(-time.Duration(age) * day)
		w.take(it)
	}
	at("young", "survey", 9, 20)
	at("old", "survey", 9, 29)
	at("open", "survey", 2, 28)
	at("held", "survey", 9, 28)
	at("kept", "law", 9, 400)
	at("chat", "chat", 9, 9)
	at("source", "letters", 9, 29)
	w.hold(records.Hold{Customer: "c-held", Why: "claim"})
	w.hold(records.Hold{Source: "letters", Why: "claim"})
	sums := w.rollups()
	w.at = w.at.Add(5 * day)
	before := w.records()
	if s := w.retain(100, true); s.Items != 2 || s.Held != 2 || s.Open != 1 {
		t.Errorf("would take %+v", s)
	}
	if !maps.Equal(before, w.records()) {
		t.Error("the rehearsal changed something")
	}
	if s := w.retain(100, false); s.Items != 2 || s.More {
		t.Errorf("took %+v", s)
	}
	if got, want := strings.Join(w.itemIDs(), " "), "kept source held open young"; len(got) != len(want) || strings.Contains(got, "old") || strings.Contains(got, "chat") {
		t.Errorf("left are %s, want %s", got, want)
	}
	if now := w.rollups(); !maps.Equal(now, sums) {
		t.Errorf("the sums were %v, and are %v", sums, now)
	}
	w.source.ID = "survey"
	again := answer("old", 9, "#price")
	again.OccurredAt = start.Add(-29 * day)
	if r := w.take(again); r.Import.Stale != 1 || r.Import.Erased != 0 || !strings.HasPrefix(r.Rows[0].Reason, "old") {
		t.Errorf("got %+v %+v", r.Import, r.Rows)
	}
	if s := w.retain(100, false); s.Items != 0 {
		t.Errorf("took %+v again", s)
	}
}

// One round takes the oldest, as many as it may, and says that there is more.
func TestRetentionTakesTheOldestFirst(t *testing.T) {
	t.Parallel()
	w := setup(t, keeping(Retention{Items: day}))
	for n := range 5 {
		it := answer(fmt.Sprint(n), 9, "x")
		it.OccurredAt = start.Add(time.Duration(n-10) * time.Hour)
		w.take(it)
	}
	w.at = w.at.Add(3 * day)
	if s := w.retain(2, false); s.Items != 2 || !s.More || strings.Join(w.itemIDs(), " ") != "2 3 4" {
		t.Errorf("%+v, left are %v", s, w.itemIDs())
	}
	if s := w.retain(3, false); s.Items != 3 || len(w.itemIDs()) != 0 {
		t.Errorf("%+v, left are %v", s, w.itemIDs())
	}
}

// Cases, explanations and dead letters have ages of their own.
func TestOldCasesDecisionsAndLettersGo(t *testing.T) {
	t.Parallel()
	w := setup(t, keeping(Retention{Cases: 10 * day, Decisions: 5 * day, DeadLetters: 2 * day}))
	first := w.take(answer("1", 2, "well"))
	w.take(answer("2", 2, "well"), answer("3", 99, "rejected"))
	w.take(answer("1", 3, "#price"))
	ended := load[records.Item](w, records.ItemKey(first.Rows[0].ID)).Case
	_, err := w.ChangeCase(t.Context(), CaseChange{Case: feedback.CaseID(ended), At: w.at, Who: "eva", Do: func(c feedback.Case, _ cases.Clock) (feedback.Case, error) {
		return cases.Close(c, cases.Resolution{Outcome: "refunded", RootCause: "price", Action: "refund"}, "eva", w.at)
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		days int
		want Swept
	}{{1, Swept{}}, {2, Swept{DeadLetters: 1}}, {3, Swept{Decisions: 1}}, {3, Swept{}}, {2, Swept{Cases: 1}}, {500, Swept{}}} {
		w.at = w.at.Add(time.Duration(step.days) * day)
		told := w.retain(10, true)
		if got := w.retain(10, false); got != step.want || got != told {
			t.Errorf("after %d more days: took %+v, said %+v, want %+v", step.days, got, told, step.want)
		}
	}
	if c := all[feedback.Case](w, records.CasePrefix()); len(c) != 1 || c[0].Customer != "c-2" {
		t.Errorf("left are %+v", c)
	}
	if it := load[records.Item](w, records.ItemKey(first.Rows[0].ID)); it.Decisions != 2 {
		t.Errorf("%d decisions", it.Decisions)
	}
	if _, err := w.Correct(t.Context(), first.Rows[0].ID, feedback.Change{At: w.at, Add: []feedback.Theme{{Path: "x"}}, Reason: "y"}); err != nil {
		t.Error("what is left cannot be worked on:", err)
	}
}
