package pipeline

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine/internal/audit"
	"github.com/closedloop/closedloop/engine/internal/cases"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

const caseworkRules = `version: 1
calendars:
  office: {days: mon-fri, hours: "09:00-17:00"}
groups:
  - name: route
    match: first
    rules:
      - id: packaging
        when: nps <= 6 && "packaging" in themes
        do: [{assign: {queue: product, owner: ben}}, {case: {sla: 20h, calendar: office, escalate: [{after: 9h, queue: exec, notify: desk, message: "{text}"}]}}]
      - id: detractor
        when: nps <= 6
        do: [{assign: {queue: care}}, {case: {sla: 4h, resolve: 30h, escalate: [{after: 2h, contacts: 2, priority: urgent}, {after: 40h, owner: eva}]}}]
`

// TestWhatIsKeptOfCases has people, rules and timers work on cases in any order, while the clock goes both ways, and
// compares the indexes, the loads of owners and the timers with what the cases themselves say.
func TestWhatIsKeptOfCases(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := setup(t, rulesOf(caseworkRules))
			r := rand.New(rand.NewPCG(seed, 11))
			for n := range 150 {
				w.at = w.at.Add(time.Duration(r.IntN(8*3600)-1800) * time.Second)
				w.work(r, n)
			}
			w.kept()
			for w.at = w.at.Add(1000 * time.Hour); w.wakes() > 0; {
			}
			w.kept()
			for _, c := range w.cases() {
				if due := cases.Next(&c, w.Rules().Escalations(c.Rule), w.Rules()); due != 0 && due <= w.at {
					t.Errorf("something was due for the case at %s: %+v", due, c)
				}
			}
		})
	}
}

func (w *world) cases() (out []feedback.Case) {
	w.t.Helper()
	err := w.store.View(func(s *store.Snapshot) error {
		return records.EachCase(s, func(c *feedback.Case) (bool, error) {
			out = append(out, *c)
			return true, nil
		})
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// wakes fires what is due, and returns how many timers that were.
func (w *world) wakes() int {
	w.t.Helper()
	due, err := w.store.Due(w.at, 100)
	if err == nil {
		err = w.Wake(w.t.Context(), due, w.at)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return len(due)
}

// work does one thing.
func (w *world) work(r *rand.Rand, n int) {
	w.t.Helper()
	all := w.cases()
	switch what := r.IntN(4); {
	case what == 0:
		w.wakes()
	case what == 1 || len(all) == 0:
		it := answer(fmt.Sprint(n), float64(r.IntN(11)), pick(r, "late", "#packaging"))
		it.Customer.ID, it.OccurredAt = fmt.Sprint("c", r.IntN(8)), w.at
		w.take(it)
	default:
		c := pick(r, all...)
		_, err := w.ChangeCase(w.t.Context(), CaseChange{Case: c.ID, At: w.at, Who: "anna", Why: "so", Expect: &c, Do: anything(r, w.at)})
		if err != nil && !errors.Is(err, cases.ErrTransition) && !errors.Is(err, cases.ErrMissing) {
			w.t.Fatal(err)
		}
	}
}

func anything(r *rand.Rand, at feedback.Time) func(feedback.Case, cases.Clock) (feedback.Case, error) {
	what, held := r.IntN(8), r.IntN(2) == 0
	queue, owner := pick(r, "", "care", "product"), pick(r, "", "anna", "ben")
	end := cases.Resolution{Outcome: "done", RootCause: "carrier", Action: "paid"}
	return func(c feedback.Case, k cases.Clock) (feedback.Case, error) {
		switch what {
		case 0:
			return cases.Assign(c, queue, owner, "anna", at), nil
		case 1:
			return cases.Attempted(c, feedback.Attempt{By: "anna", Channel: "phone", Result: "reached"}, at)
		case 2:
			return cases.Hold(c, held, "why", "anna", at, k)
		case 3:
			return cases.Resume(c, "anna", at, k)
		case 4:
			return cases.Resolve(c, end, "anna", at)
		case 5:
			return cases.Close(c, end, "anna", at)
		case 6:
			return cases.Reopen(c, "why", "anna", at, k)
		}
		return cases.Begin(c, "anna", at)
	}
}

// kept compares what is kept of cases with the cases.
func (w *world) kept() {
	w.t.Helper()
	var open, status, timers []string
	loads := map[string]int{}
	for _, c := range w.cases() {
		status = append(status, fmt.Sprintf("%s %s", c.Status, c.ID))
		if c.Status.Open() {
			open = append(open, fmt.Sprintf("%s %d %s %s %s %t %t", c.Queue, records.DueOf(&c), c.ID, c.Status, c.Owner, c.BreachedAt != 0, c.OverdueAt != 0))
			loads[c.Owner]++
		}
		if due := cases.Next(&c, w.Rules().Escalations(c.Rule), w.Rules()); due != 0 {
			timers = append(timers, fmt.Sprintf("%d %s", due, c.ID))
		}
	}
	var gotOpen, gotStatus, gotTimers []string
	err := w.store.View(func(s *store.Snapshot) error {
		queues, err := records.OpenQueues(s)
		for _, q := range queues {
			err = errors.Join(err, records.OpenCases(s, q, func(e records.OpenCase) (bool, error) {
				gotOpen = append(gotOpen, fmt.Sprintf("%s %d %s %s %s %t %t", e.Queue, e.Due, e.ID, e.Status, e.Owner, e.Breached, e.Overdue))
				return true, nil
			}))
		}
		for _, st := range append(feedback.CaseStatuses(), feedback.CaseOpen) {
			ids, e := records.CasesOf(s, st, "", 10_000)
			for _, id := range ids {
				gotStatus = append(gotStatus, fmt.Sprintf("%s %s", st, id))
			}
			err = errors.Join(err, e)
		}
		_, _, e := audit.Verify(w.t.Context(), s)
		return errors.Join(err, e)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	due, err := w.store.Due(1<<60, 10_000)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, timer := range due {
		if timer.Kind == records.TimerCase {
			gotTimers = append(gotTimers, fmt.Sprintf("%d %s", timer.Due, timer.Ref))
		}
	}
	sameSet(w.t, "open cases", gotOpen, open)
	sameSet(w.t, "cases by status", gotStatus, status)
	sameSet(w.t, "timers", gotTimers, timers)
	delete(loads, "")
	for _, owner := range slices.Sorted(maps.Keys(loads)) {
		if n := number(w, records.LoadKey(owner)); n != loads[owner] {
			w.t.Errorf("%s has a load of %d, and %d cases", owner, n, loads[owner])
		}
	}
}

func number(w *world, key []byte) (n int) {
	w.t.Helper()
	err := w.store.View(func(s *store.Snapshot) error {
		b, err := s.Get(key)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		_, _ = fmt.Sscan(string(b), &n)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func sameSet(t *testing.T, what string, got, want []string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestCasesOfOldStores has cases that were stored when there were no states but open found, and worked on.
func TestCasesOfOldStores(t *testing.T) {
	t.Parallel()
	w := setup(t, rulesOf(caseworkRules))
	old := func(id, owner string) feedback.CaseID {
		return feedback.NewCaseID(start, id, owner)
	}
	err := w.store.Update(t.Context(), func(tx *store.Tx) error {
		for n := range 40 {
			id := old(fmt.Sprint(n), "anna")
			tx.Set(records.CaseKey(id), fmt.Appendf(nil, `{"id":%q,"item":"f_1","customer":"kim","rule":"gone","status":"open","queue":"care","owner":"anna","opened_at":%q,"due_at":%q,"history":[{"at":%q,"kind":"opened"}],"more":"kept"}`,
				id, start, start.Add(48*time.Hour), start))
			tx.Set(records.CaseStatusKey(feedback.CaseOpen, id), nil)
			tx.SetTimer(start.Add(48*time.Hour), records.TimerCase, string(id), nil)
		}
		tx.Set(records.LoadKey("anna"), []byte("40"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.AdoptCases(t.Context(), start), w.AdoptCases(t.Context(), start)); err != nil {
		t.Fatal(err)
	}
	w.kept()
	one := load[feedback.Case](w, records.CaseKey(old("7", "anna")))
	if one.Status != feedback.CaseAssigned || one.ResponseSLA != 48*time.Hour || len(one.History) != 1 {
		t.Errorf("%+v", one)
	}
	more := load[struct {
		More string `json:"more"`
	}](w, records.CaseKey(one.ID))
	if more.More != "kept" {
		t.Error("what this version does not know is lost")
	}
	w.at = start.Add(48 * time.Hour)
	for w.wakes() > 0 {
	}
	if late := w.cases()[0]; late.BreachedAt != w.at {
		t.Errorf("%+v", late)
	}
	w.kept()
}

// TestTheLadderOfToday has an open case go up the ladder that its rule has now.
func TestTheLadderOfToday(t *testing.T) {
	t.Parallel()
	w := setup(t, rulesOf(caseworkRules))
	w.take(answer("1", 1, "#packaging"))
	again := on(t, w.store, rulesOf(strings.Replace(caseworkRules, "after: 9h, queue: exec", "after: 10h, queue: board", 1)))
	again.at = w.Rules().Due(w.at, 9*time.Hour, "office")
	again.wakes()
	if c := again.cases()[0]; c.Escalation != 0 {
		t.Errorf("%+v", c)
	}
	again.at = again.at.Add(time.Hour)
	again.wakes()
	c := again.cases()[0]
	if c.Escalation != 1 || c.Queue != "board" {
		t.Errorf("%+v", c)
	}
	out := all[feedback.Delivery](again, records.DeliveriesPrefix())
	if len(out) != 1 || !strings.Contains(string(out[0].Body), `"text":"#packaging"`) || out[0].Destination != "desk" {
		t.Errorf("%+v", out)
	}
	again.kept()
}
