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
	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// erasedRules remember as much of a person as rules can.
const erasedRules = `
version: 1
windows:
  each_1d: {metric: nps, over: 1d, step: 1h, by: customer.id}
  both_1d: {metric: count, over: 1d, step: 1h, by: [touchpoint, customer.id]}
  all_1d: {metric: nps, over: 1d, step: 1h, by: touchpoint}
groups:
  - name: route
    rules:
      - {id: packaging, when: nps <= 6 && "packaging" in themes, do: [{assign: {queue: product, owner: ben}}, {case: {sla: 8h, resolve: 40h}}, {notify: {destination: team, message: "{text}"}}]}
      - {id: detractor, when: nps <= 6, do: [{assign: {queue: care}}, {case: {sla: 4h}}]}
  - name: rest
    rules:
      - {id: praise, when: nps >= 9, do: [{notify: {destination: team, digest: 3h, message: "{customer.name}: {text}"}}]}
      - {id: seldom, when: nps >= 5, throttle: {every: 1h, max: 2, key: customer.id}, do: [{notify: {destination: desk}}]}
      - {id: rude, severity: warning, when: '"staff" in themes', do: [{alert: {summary: "{customer.email} says {text}", key: [touchpoint, customer.id], keep_firing: 90m, notify: team, wait: 10m}}]}
      - {id: other, severity: warning, when: '"price" in themes', do: [{alert: {summary: "{text}", key: touchpoint, keep_firing: 90m, group_by: touchpoint, notify: team, wait: 10m}}]}
      - {id: often, each: touchpoint, when: win.all_1d.n >= 3, for: 10m, alert: {severity: warning, notify: desk, summary: "many at {touchpoint}"}}
      - {id: same, each: customer.id, when: win.each_1d.n >= 2, for: 10m, alert: {severity: warning, notify: desk, summary: "{customer.id} again"}}
`

// who is a person of the tests, with all by which one could tell them.
type who struct{ id, name, email, words string }

func (p who) traces() []string { return []string{p.id, p.name, p.email, p.words} }

func people(prefix string) (out []who) {
	for _, n := range []string{"kim", "lee", "max"} {
		out = append(out, who{prefix + n + "-0451", "Family " + prefix + n, prefix + n + "@mail.example", "wordsof" + prefix + n})
	}
	return out
}

// saidBy returns random items of the people, some without an id, or without the customer's.
func saidBy(r *rand.Rand, all []who, at feedback.Time) []feedback.Item {
	items := make([]feedback.Item, 1+r.IntN(10))
	for i := range items {
		p := all[r.IntN(len(all))]
		it := answer(fmt.Sprint(p.id, "/", r.IntN(20)), float64(r.IntN(11)), pick(r, "#price ", "#staff/rude ", "#packaging ", "well ")+p.words)
		it.OccurredAt, it.Version = at.Add(-time.Duration(r.IntN(5*3600))*time.Second), int64(r.IntN(1000)+1)
		it.Customer = feedback.Customer{ID: p.id, Name: p.name, Email: p.email}
		it.Touchpoint, it.Title = pick(r, "checkout", "support"), "From "+p.name
		switch r.IntN(8) {
		case 0:
			it.ExternalID = ""
		case 1:
			it.Customer.ID = ""
		case 2:
			it.Score = new(77.0) // is rejected
		case 3:
			it.Text += " poison"
		}
		items[i] = it
	}
	return items
}

// records returns every record.
func (w *world) records() map[string]string {
	w.t.Helper()
	out := map[string]string{}
	err := w.store.View(func(s *store.Snapshot) error {
		return s.Scan(nil, nil, false, func(key, payload []byte) (bool, error) {
			out[string(key)] = string(payload)
			return true, nil
		})
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// live has people give feedback, and others work on it, for a while. It returns what was given.
func (w *world) live(r *rand.Rand, all []who, rounds int) (given []Chunk) {
	w.t.Helper()
	for n := range rounds {
		c := Chunk{Source: w.source, Batch: fmt.Sprint("b", n/3), Items: saidBy(r, all, w.at), Notices: []sdk.Notice{{Code: "odd", Message: "of " + all[r.IntN(len(all))].email}}}
		p := all[r.IntN(len(all))]
		c.Rejects = []sdk.Reject{{Position: fmt.Sprint("line ", n), Code: "bad", Message: "found x", Raw: p.id + ";" + p.name + ";" + p.words}}
		given = append(given, c)
		if _, err := w.try(c); err != nil {
			w.t.Fatal(err)
		}
		w.at = w.at.Add(time.Duration(r.IntN(3600)) * time.Second)
		due, err := w.store.Due(w.at, 100)
		if err == nil {
			err = errors.Join(w.Wake(w.t.Context(), due, w.at), w.Tick(w.t.Context(), w.at))
		}
		if err != nil {
			w.t.Fatal(err)
		}
		w.busy(r)
	}
	for _, p := range all {
		w.putPair(p.id, "seen by a plugin")
		w.putPair("others", "mentions "+p.email)
	}
	return given
}

// busy has somebody correct an item and write about a case.
func (w *world) busy(r *rand.Rand) {
	w.t.Helper()
	items := all[records.Item](w, records.ItemsPrefix())
	if len(items) == 0 {
		return
	}
	it := items[r.IntN(len(items))].Feedback
	change := feedback.Change{By: feedback.Author{Name: "eva"}, At: w.at, Reason: it.Customer.Name + " said so", Add: []feedback.Theme{{Path: "staff", Confidence: 1}}}
	if _, err := w.Correct(w.t.Context(), it.ID, change); err != nil {
		w.t.Fatal(err)
	}
	open := all[feedback.Case](w, records.CasePrefix())
	if len(open) == 0 {
		return
	}
	c := open[r.IntN(len(open))]
	text := "talked to " + c.Customer + " about it"
	_, err := w.ChangeCase(w.t.Context(), CaseChange{Case: c.ID, At: w.at, Who: "eva", Why: text, Do: func(c feedback.Case, _ cases.Clock) (feedback.Case, error) {
		return cases.Note(c, "eva", text, w.at), nil
	}})
	if err != nil {
		w.t.Fatal(err)
	}
}

// putPair keeps a pair of a plugin as the engine does.
func (w *world) putPair(key, value string) {
	w.t.Helper()
	plugin := store.NewKey(store.KeyPlugin).Str("tags")
	err := w.store.Update(w.t.Context(), func(tx *store.Tx) error {
		at := plugin.Str(key).Bytes()
		u := &host.KVUsage{}
		if known, err := store.Load[host.KVUsage](tx, plugin.Bytes()); err == nil {
			u = known
		}
		old, _ := tx.Get(at)
		tx.Set(at, []byte(value))
		return store.Put(tx, plugin.Bytes(), new(u.Replace(key, len(old), len(value))))
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) erase(customer string, rehearse bool) records.Erasure {
	w.t.Helper()
	e, err := w.Erase(w.t.Context(), customer, records.Erasure{At: w.at, Who: "dpo", Why: "ticket 7"}, rehearse)
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

// A person of a random history is erased: nothing tells of them any more, everything about others is as it was byte for
// byte, sums stay, and giving all of the input again brings nothing back.
func TestErasedPersonIsGoneAndStaysAway(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 11))
			w := setup(t, rulesOf(erasedRules))
			if err := w.Activate(t.Context(), w.Rules(), w.at, nil, nil); err != nil {
				t.Fatal(err)
			}
			all := people(pick(r, "a", "größe-", "x&<y>", "o'"))
			given := w.live(r, all, 25)
			gone, sums := all[0], w.rollups()
			before := w.records()
			told := w.erase(gone.id, true)
			if after := w.records(); !maps.Equal(before, after) {
				t.Error("the rehearsal changed something")
			}
			e := w.erase(gone.id, false)
			if e.Gone.Items == 0 || e.Gone.Cases == 0 || e.Gone.Entries == 0 || e.Gone.Pairs != 1 || e.Gone.DeadLetters == 0 || e.DoneAt == 0 {
				t.Errorf("got %+v", e)
			}
			told.Gone.Entries = e.Gone.Entries // the erasure itself leaves some, which it takes out again
			if fmt.Sprint(told) != fmt.Sprint(e) {
				t.Errorf("the rehearsal said\n%+v, the erasure\n%+v", told, e)
			}
			w.showsNothingOf(gone)
			if now := w.rollups(); !maps.Equal(now, sums) {
				t.Errorf("the sums were %v, and are %v", sums, now)
			}
			w.leftAlone(before, gone)
			w.replay(given, gone)
			w.showsNothingOf(gone)
			if again := w.erase(gone.id, false); again.Gone != (records.Gone{}) {
				t.Errorf("erasing again finds %+v", again.Gone)
			}
		})
	}
}

func (w *world) showsNothingOf(gone who) {
	w.t.Helper()
	for key, payload := range w.records() {
		for _, trace := range gone.traces() {
			for _, form := range forms(trace) {
				if (strings.Contains(key, form) || strings.Contains(payload, form)) && !strings.Contains(payload, "mentions "+gone.email) {
					w.t.Errorf("found %q in %q: %s", form, key, payload)
				}
			}
		}
	}
	err := w.store.View(func(s *store.Snapshot) error {
		_, _, err := audit.Verify(w.t.Context(), s)
		return err
	})
	if err != nil {
		w.t.Error(err)
	}
}

// forms returns a text as it is, and as JSON has it.
func forms(text string) []string {
	return []string{text, strings.NewReplacer("&", `\u0026`, "<", `\u003c`, ">", `\u003e`).Replace(text)}
}

// leftAlone checks that what does not mention the person is as it was. Of what everybody shares some may change: the
// audit log, loads of owners, counts of plugins, and what alerts of many people remember.
func (w *world) leftAlone(before map[string]string, gone who) {
	w.t.Helper()
	now := w.records()
	about := newPerson(records.Person{Customer: gone.id, Emails: []string{gone.email}})
	for _, space := range []byte{store.KeyItem, store.KeyCase} { // cases tell of the items that opened them
		for key, payload := range before {
			if key[0] == space && (hasAny(payload, gone.traces()...) || about.hasID([]byte(payload))) {
				about.ids[store.ReadKey([]byte(key)).Str()] = true
			}
		}
	}
	shared := []string{string(store.KeyAudit), string(store.KeyTimer), string(store.KeySeen), string(store.KeySilence), "mload", "gtags\x00\x01"}
	for key, payload := range before {
		if now[key] == payload || hasAny(key+payload, gone.traces()...) || about.isNamedIn([]byte(key)) || about.isIn([]byte(payload)) ||
			slices.ContainsFunc(shared, func(s string) bool { return strings.HasPrefix(key, s) }) {
			continue
		}
		w.t.Errorf("%q was %s, and is %s", key, payload, now[key])
	}
	for key := range now {
		if _, was := before[key]; !was && key[0] != store.KeyAudit && key[0] != store.KeyCustomer && key != string(records.StayedKey()) {
			w.t.Errorf("%q is new: %s", key, now[key])
		}
	}
}

// hasAny reports whether a record has one of the texts, in any form.
func hasAny(record string, texts ...string) bool {
	for _, text := range texts {
		for _, form := range forms(text) {
			if strings.Contains(record, form) {
				return true
			}
		}
	}
	return false
}

// replay gives all again, as a source does that begins anew.
func (w *world) replay(given []Chunk, gone who) {
	w.t.Helper()
	for _, c := range given {
		c.Rejects, c.Notices, c.Batch = nil, nil, "again "+c.Batch
		r, err := w.try(c)
		if err != nil {
			w.t.Fatal(err)
		}
		i := r.Import
		if i.Read != i.New+i.Revised+i.Duplicate+i.Stale+i.Rejected || i.Erased > i.Stale {
			w.t.Errorf("the rows do not add up: %+v", i)
		}
		for n, row := range r.Rows {
			it := &c.Items[n]
			if of := it.Customer.Email == gone.email; of && row.Outcome != OutcomeStale || !of && row.Outcome == OutcomeNew {
				w.t.Errorf("%s of %s is %s: %s", it.ExternalID, it.Customer.Email, row.Outcome, row.Reason)
			}
		}
	}
}

// What a person says later, and newly, is taken; what they said before is not, under whatever id.
func TestErasedPersonMaySpeakAgain(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.take(answer("1", 3, "well"))
	w.at = w.at.Add(time.Hour)
	w.erase("c-1", false)
	before := answer("9", 3, "said before")
	before.Customer.ID = "c-1"
	after := before
	after.ExternalID, after.OccurredAt = "10", w.at.Add(time.Second)
	same := after
	same.ExternalID = "1"
	r := w.take(before, after, same)
	if got := fmt.Sprintf("%s %s %s", r.Rows[0].Outcome, r.Rows[1].Outcome, r.Rows[2].Outcome); got != "stale new stale" {
		t.Errorf("got %s", got)
	}
	if r.Import.Erased != 2 {
		t.Errorf("got %+v", r.Import)
	}
	w.erase("c-1", false)
	if n := len(all[records.Item](w, records.ItemsPrefix())); n != 0 {
		t.Errorf("%d items are left", n)
	}
}

// No plugin sees what is refused.
func TestErasedTextReachesNoCategorizer(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.take(answer("1", 3, "well"))
	w.at = w.at.Add(time.Hour)
	w.erase("c-1", false)
	p, err := w.Prepare(t.Context(), Chunk{Source: w.source, Items: []feedback.Item{answer("1", 3, "#seen")}, ReceivedAt: w.at})
	if err != nil {
		t.Fatal(err)
	}
	if p.items[0].labelled || len(p.items[0].labels) > 0 {
		t.Errorf("it was labelled: %+v", p.items[0].labels)
	}
}

func TestEraseIsRefused(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.take(answer("1", 3, "well"))
	if _, err := w.Erase(t.Context(), "c-1", records.Erasure{At: w.at, Who: "dpo", Why: "c-1 asked"}, false); !errors.Is(err, ErrNamed) {
		t.Errorf("got %v", err)
	}
	hold := &records.Hold{Customer: "c-1", Why: "a claim", By: "legal", At: w.at}
	if err := w.store.Update(t.Context(), func(tx *store.Tx) error { return store.Put(tx, records.HoldKey(hold), hold) }); err != nil {
		t.Fatal(err)
	}
	before := w.records()
	if _, err := w.Erase(t.Context(), "c-1", records.Erasure{At: w.at, Who: "dpo", Why: "ticket 7"}, false); !errors.Is(err, ErrHeld) {
		t.Errorf("got %v", err)
	}
	if _, err := w.Erase(t.Context(), "c-2", records.Erasure{At: w.at, Who: "dpo", Why: "x"}, false); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if !maps.Equal(before, w.records()) {
		t.Error("something changed")
	}
}

func TestMentions(t *testing.T) {
	t.Parallel()
	p := newPerson(records.Person{Customer: "c-12", Emails: []string{"Anna@x.example"}})
	p.ids["f_01KJPZV28042FV82E5Q4TG44QK"] = true
	for text, want := range map[string]bool{
		`{"id":"c-12"}`: true, `{"id":"c-123"}`: false, `{"id":"xc-12"}`: false, `c-12 called`: false,
		`write to anna@x.example.`: true, `Anna@x.example, hi`: true, `joanna@x.example`: false, `anna@x.example.org`: false,
		`{"text":"a\nanna@x.example"}`: true, `see f_01KJPZV28042FV82E5Q4TG44QK`: true, `f_01KJPZV28042FV82E5Q4TG44QX`: false, `_`: false,
	} {
		if got := p.isIn([]byte(text)); got != want {
			t.Errorf("%s: got %v", text, got)
		}
	}
	timer := store.NewKey(store.KeyTimer).Time(start).Str(TimerWake)
	for _, tt := range []struct {
		key  []byte
		want bool
	}{
		{records.RingKey("w", 1, "c-12"), true}, {records.RingKey("w", 1, "checkout\x1fc-12"), true}, {records.RingKey("c-12", 1, "c-121"), false},
		{records.AlertKey("a", "c-12"), true}, {records.AlertKey("c-12", "b"), false}, {records.CustomerKey("c-12", "f_1"), true},
		{records.QueueKey("c-12", "f_1"), false}, {timer.Str(wakeRef("a", "b", "c\x1fc-12")).Bytes(), true},
		{timer.Str(wakeRef("a", "c-12", "c")).Bytes(), false}, {records.WakeKey("a", "b", "c-12"), true}, {records.DigestKey("c-12", "c-12"), false},
	} {
		if got := p.isNamedIn(tt.key); got != tt.want {
			t.Errorf("%q: got %v", tt.key, got)
		}
	}
}

// An erasure that cannot read one of the person's cases is not whole, and says so.
func TestErasureOfADamagedCase(t *testing.T) {
	t.Parallel()
	w := setup(t)
	it := answer("1", 3, "late")
	it.Customer.ID = "kim-0451"
	w.take(it)
	id := feedback.NewCaseID(w.at, "an item that is gone")
	err := w.store.Update(t.Context(), func(tx *store.Tx) error {
		tx.Set(records.CaseKey(id), []byte("{"))
		tx.Set(records.CustomerCaseKey(it.Customer.ID, id), nil)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if e, err := w.Erase(t.Context(), it.Customer.ID, records.Erasure{At: w.at, Who: "eva", Why: "asked"}, false); err == nil {
		t.Errorf("it is told to be whole: %+v", e)
	}
}
