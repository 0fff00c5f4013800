package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine/internal/cases"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Keys hold numbers and instants too, in which the bytes of a short id turn up by chance; texts of others have it as a word.
func TestAShortIDTakesNothingOfOthers(t *testing.T) {
	t.Parallel()
	w := setup(t, rulesOf(erasedRules))
	if err := w.Activate(t.Context(), w.Rules(), w.at, nil, nil); err != nil {
		t.Fatal(err)
	}
	var items []feedback.Item
	for n := range 400 {
		it := answer(fmt.Sprint("other-", n), float64(1+8*(n%2)), "#packaging I waited 7 days, rude 7 team 7")
		it.Touchpoint, it.OccurredAt = "checkout", start.Add(-time.Duration(n)*time.Second)
		items = append(items, it)
	}
	for _, it := range items {
		w.take(it)
	}
	for n, id := range []string{"7", "rude", "praise", "each_1d", "wake", "digest"} {
		gone := answer(fmt.Sprint("gone-", n), 3, "#packaging well")
		gone.Customer.ID = id
		before := w.records()
		w.take(gone)
		if _, err := w.Erase(t.Context(), id, records.Erasure{At: w.at, Who: "dpo", Why: "request"}, false); err != nil {
			t.Fatal(err)
		}
		now := w.records()
		lost := map[string]int{}
		for key := range before {
			if _, there := now[key]; !there {
				lost[key[:1]]++
			}
		}
		for _, d := range all[records.Digest](w, records.DigestPrefix()) {
			if len(d.State.Entries) != 50 {
				t.Errorf("%s: %d entries are left", id, len(d.State.Entries))
			}
		}
		if len(lost) > 0 {
			t.Errorf("erasing %q lost of others, by keyspace: %v", id, lost)
		}
	}
}

// Two customers share an address. What is said of the one stays when the other is erased.
func TestASharedAddressIsNobodysAlone(t *testing.T) {
	t.Parallel()
	w := setup(t, rulesOf(erasedRules))
	for _, id := range []string{"kim", "lee"} {
		it := answer(id, 2, "#packaging said "+id)
		it.Customer = feedback.Customer{ID: id, Email: "Family@mail.example"}
		w.take(it)
	}
	it := answer("none", 2, "#packaging said one of them")
	it.Customer = feedback.Customer{Email: "family@mail.example"}
	w.take(it)
	w.putPair("family@mail.example", "of both")
	e := w.erase("kim", false)
	if e.Gone.Items != 1 || e.Gone.Messages != 1 || e.Gone.Pairs != 0 {
		t.Errorf("got %+v", e.Gone)
	}
	if n := len(all[feedback.Delivery](w, records.DeliveriesPrefix())); n != 2 {
		t.Errorf("%d messages are left, want 2", n)
	}
}

// An address is found in each way in which it was written.
func TestAnAddressGoesInEachWayItWasWritten(t *testing.T) {
	t.Parallel()
	for _, whom := range []string{"kim-0451", "kim@mail.example"} {
		w := setup(t, rulesOf(erasedRules))
		for n, email := range []string{"kim@mail.example", "Kim@Mail.Example"} {
			it := answer(fmt.Sprint(n), 10, "good")
			it.Customer = feedback.Customer{Email: email}
			if n == 0 && whom != email {
				it.Customer.ID = whom
			}
			w.take(it)
			w.putPair(email, "x")
		}
		w.erase(whom, false)
		for key, payload := range w.records() {
			if strings.Contains(strings.ToLower(key+payload), "kim@mail.example") {
				t.Errorf("%s: found in %q: %s", whom, key, payload)
			}
		}
	}
}

// Whoever is known by an address is held by it, however it is written; and so is what came from a held source.
func TestHoldsCoverWhoIsKnownByAnAddress(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, erase string
		hold        records.Hold
	}{
		{"the address itself", "kim@mail.example", records.Hold{Customer: "kim@mail.example"}},
		{"the address in capitals", "kim@mail.example", records.Hold{Customer: "Kim@Mail.Example"}},
		{"the source of what has no id", "kim@mail.example", records.Hold{Source: "survey"}},
		{"the address of a customer with an id", "kim-0451", records.Hold{Customer: "KIM@mail.example"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, keeping(Retention{Items: time.Hour, Cases: time.Hour}), rulesOf(erasedRules))
			with, without := answer("1", 5, "well"), answer("2", 5, "well")
			with.Customer = feedback.Customer{ID: "kim-0451", Email: "kim@mail.example"}
			without.Customer = feedback.Customer{Email: "Kim@mail.example"}
			if !strings.Contains(tt.erase, "@") {
				w.take(with)
			}
			w.take(without)
			w.hold(tt.hold)
			before := w.records()
			_, err := w.Erase(t.Context(), tt.erase, records.Erasure{At: w.at, Who: "dpo", Why: "ticket 7"}, false)
			if !errors.Is(err, ErrHeld) {
				t.Errorf("erase: got %v", err)
			}
			w.at = w.at.Add(100 * time.Hour)
			swept, err := w.Retain(t.Context(), w.at, 100, false)
			if err != nil || swept.Items != 0 || swept.Held == 0 {
				t.Errorf("retention: %+v, %v", swept, err)
			}
			if after := w.records(); len(after) != len(before) {
				t.Errorf("%d records, were %d", len(after), len(before))
			}
		})
	}
}

// What is held, or whose case is opened again, between the look and the taking stays.
func TestRetentionTakesNothingThatWasHeldMeanwhile(t *testing.T) {
	t.Parallel()
	w := setup(t, keeping(Retention{Items: time.Hour}))
	w.take(answer("1", 9, "well"), answer("2", 9, "well"))
	w.at = w.at.Add(100 * time.Hour)
	r := &retaining{p: w.Pipeline, at: w.at, most: 100}
	ids, err := r.oldItems(t.Context())
	if err != nil || len(ids) != 2 {
		t.Fatal(ids, err)
	}
	w.hold(records.Hold{Customer: "c-1"})
	if err := r.takeItems(t.Context(), ids); err != nil || r.swept.Items != 1 {
		t.Errorf("%+v, %v", r.swept, err)
	}
	if got := fmt.Sprint(w.itemIDs()); got != "[1]" {
		t.Errorf("left are %s", got)
	}
}

// A hold on a source covers the cases that its items opened.
func TestCasesOfAHeldSourceStay(t *testing.T) {
	t.Parallel()
	w := setup(t, keeping(Retention{Cases: time.Hour}))
	it := answer("1", 2, "well")
	it.Customer = feedback.Customer{}
	w.take(it)
	c := all[feedback.Case](w, records.CasePrefix())[0]
	_, err := w.ChangeCase(t.Context(), CaseChange{Case: c.ID, At: w.at, Who: "eva", Do: func(c feedback.Case, _ cases.Clock) (feedback.Case, error) {
		c.Status, c.ClosedAt = feedback.CaseClosed, w.at
		return c, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	w.hold(records.Hold{Source: "survey"})
	w.at = w.at.Add(100 * time.Hour)
	if s := w.retain(100, false); s.Cases != 0 {
		t.Errorf("got %+v", s)
	}
}

// An erasure is whole when its last update is, not when it began: backups between have the person.
func TestAnErasureIsDoneWhenItEnds(t *testing.T) {
	t.Parallel()
	var w *world
	w = setup(t, func(c *Config) { c.Now = func() feedback.Time { return w.at.Add(time.Minute) } })
	w.take(answer("1", 3, "well"))
	if e := w.erase("c-1", false); e.DoneAt != w.at.Add(time.Minute) {
		t.Errorf("began %s, done %s", e.At, e.DoneAt)
	}
}

// What is held stays when its import is taken back, with its case and its messages.
func TestUndoLeavesWhatIsHeld(t *testing.T) {
	t.Parallel()
	w := setup(t, rulesOf(erasedRules))
	w.takeBatch("b", answer("1", 2, "#packaging"), answer("2", 2, "#packaging"))
	w.hold(records.Hold{Customer: "c-1"})
	for _, rehearse := range []bool{true, false} {
		done, err := w.Undo(t.Context(), records.Undo{Source: "survey", Batch: "b", At: w.at, Who: "eva", Why: "wrong file"}, rehearse, nil)
		if err != nil || done.Items != 1 || done.Held != 1 || done.Cases != 1 || done.Unsent != 1 || len(done.HeldItems) != 1 {
			t.Errorf("%+v, %v", done, err)
		}
	}
	if got := fmt.Sprint(w.itemIDs(), len(all[feedback.Case](w, records.CasePrefix())), len(all[feedback.Delivery](w, records.DeliveriesPrefix()))); got != "[1] 1 1" {
		t.Errorf("left are %s", got)
	}
}

// While an erasure goes on, a case that is still there has its timer.
func TestACaseKeepsItsTimerUntilItIsErased(t *testing.T) {
	t.Parallel()
	w := setup(t, rulesOf(erasedRules))
	w.take(answer("1", 2, "#packaging"))
	timers := func() (n int) {
		for key := range w.records() {
			if key[0] == store.KeyTimer && strings.Contains(key, records.TimerCase) {
				n++
			}
		}
		return n
	}
	x := &erasing{p: w.Pipeline, e: records.Erasure{At: w.at, Who: "dpo", Why: "request"}, at: w.at, who: newPerson(records.Person{Customer: "c-1"}), gone: map[string]bool{}}
	for _, step := range []func(context.Context) error{x.begin, x.find, x.messages, x.rest} {
		if err := step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if timers() != 1 || len(all[feedback.Case](w, records.CasePrefix())) != 1 {
			t.Error("the case is without its timer")
		}
	}
	if _, err := x.run(t.Context()); err != nil || timers() != 0 {
		t.Errorf("%d timers are left, %v", timers(), err)
	}
}

// A receipt is kept, and so is who asked for it.
func TestTheReceiptDoesNotNameThePerson(t *testing.T) {
	t.Parallel()
	w := setup(t)
	it := answer("1", 5, "well")
	it.Customer = feedback.Customer{ID: "kim-0451", Email: "kim@mail.example", Name: "Kim Possible"}
	w.take(it)
	for _, e := range []records.Erasure{{Who: "kim@mail.example", Why: "self service"}, {Who: "dpo", Why: "asked by Kim@Mail.example"}, {Who: "dpo", Why: "Kim Possible asked"}} {
		e.At = w.at
		if _, err := w.Erase(t.Context(), "kim-0451", e, false); !errors.Is(err, ErrNamed) {
			t.Errorf("%s, %s: got %v", e.Who, e.Why, err)
		}
	}
}
