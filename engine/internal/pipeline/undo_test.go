package pipeline

import (
	"bytes"
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
	"github.com/closedloop/closedloop/rules/window"
	"github.com/closedloop/closedloop/sdk/feedback"
)

const undoneRules = `
version: 1
windows:
  nps_1h: {metric: nps, over: 1h, step: 5m, by: touchpoint}
  theme_1d: {metric: rate, over: 1d, step: 1h, by: theme}
groups:
  - name: relabel
    rules:
      - {id: box, when: '"shipping" in themes && text contains "box"', do: [{relabel: {remove: [shipping], add: [packaging]}}]}
  - name: route
    match: first
    rules:
      - {id: packaging, when: nps <= 6 && "packaging" in themes, do: [{assign: {queue: product, owner: ben}}, {case: {sla: 8h, resolve: 40h}}, {notify: {destination: team, message: "{text}"}}]}
      - {id: detractor, when: nps <= 6, do: [{assign: {queue: care}}, {case: {sla: 4h}}]}
  - name: praise
    rules:
      - {id: praise, when: nps >= 9, do: [{notify: {destination: team, digest: 3h, message: "{text}"}}]}
      - {id: seldom, when: nps >= 7, throttle: {every: 1h, max: 100, key: touchpoint}, do: [{notify: {destination: desk}}]}
`

// few returns random items of few ids and customers, some without an id.
func few(r *rand.Rand, prefix string, at feedback.Time) []feedback.Item {
	items := make([]feedback.Item, 1+r.IntN(12))
	for i := range items {
		it := answer(fmt.Sprint(prefix, r.IntN(30)), float64(r.IntN(11)), pick(r, "#price", "#price #staff/rude", "#packaging", "the box #shipping", "well"))
		it.OccurredAt, it.Version = at.Add(-time.Duration(r.IntN(5*3600))*time.Second), int64(r.IntN(1000)+1)
		it.Customer.ID, it.Touchpoint = pick(r, "", prefix+"kim", prefix+"lee", prefix+"max"), pick(r, "checkout", "support")
		if r.IntN(5) == 0 {
			it.ExternalID = ""
		}
		items[i] = it
	}
	return items
}

// trace is every record of a store but what an import may leave behind: numbers of messages, the audit log, and
// observations and sums that are back at nothing.
func (w *world) trace() map[string]string {
	w.t.Helper()
	out := dump(w.t, w.store)
	for k, v := range out {
		switch {
		case k[0] == 'u', k[0] == 'y', bytes.HasPrefix([]byte(k), store.NewKey('m').Str("sequence").Bytes()), k[0] == 'w' && strings.Contains(k, TimerWake),
			bytes.HasPrefix([]byte(k), store.NewKey('z').Str("wake").Bytes()):
			delete(out, k)
		case k[0] == 'm' && v == `{"cases":[]}`, k[0] == 'z' && strings.Contains(v, `"state":{}`):
			delete(out, k)
		case k[0] == store.KeyWindow:
			var ring window.Ring
			if err := ring.UnmarshalBinary([]byte(v)); err != nil {
				w.t.Fatal(err)
			}
			if out[k] = fmt.Sprint(ring.Read(w.at), ring.Read(w.at.Add(20*time.Minute))); ring.Read(w.at).N == 0 {
				delete(out, k)
			}
		}
	}
	maps.Copy(out, w.rollups())
	return out
}

func sameTrace(t *testing.T, got, want map[string]string) {
	t.Helper()
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if got[k] != want[k] {
			t.Errorf("record %q is\n%s\nwant\n%s", k, got[k], want[k])
		}
		delete(got, k)
	}
	for k, v := range got {
		t.Errorf("record %q should not be: %s", k, v)
	}
}

// undo takes a batch back, after rehearsing it.
func (w *world) undo(batch string) records.Undone {
	w.t.Helper()
	u := records.Undo{Source: w.source.ID, Batch: batch, At: w.at, Who: "anna", Why: "the wrong file"}
	before := dump(w.t, w.store)
	rehearsed, err := w.Undo(w.t.Context(), u, true, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if !maps.Equal(before, dump(w.t, w.store)) {
		w.t.Error("a rehearsal has left a trace")
	}
	done, err := w.Undo(w.t.Context(), u, false, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if a, b := fmt.Sprintf("%+v", rehearsed), fmt.Sprintf("%+v", done); a != b {
		w.t.Errorf("rehearsed %s\ndone %s", a, b)
	}
	return done
}

func undoneWorld(t *testing.T) *world {
	t.Helper()
	w := setup(t, rulesOf(undoneRules))
	if err := w.Activate(t.Context(), w.Rules(), w.at, nil, nil); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestUndoLeavesNoTrace takes a batch back that came between others, and compares every record with a store that never
// saw it. Importing it again then gives what the first import gave.
func TestUndoLeavesNoTrace(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			with, without := undoneWorld(t), undoneWorld(t)
			r := rand.New(rand.NewPCG(seed, 3))
			base := few(r, "a", with.at)
			with.takeBatch("base", base...)
			without.takeBatch("base", base...)
			want := without.trace()
			var bad [][]feedback.Item
			for n := range 1 + r.IntN(3) {
				bad = append(bad, few(r, "b", with.at))
				if n == 1 {
					bad[n] = append(bad[n], answer("b-poison", 1, "poison"), answer("b-automatic", 1, "automatic"))
				}
			}
			take := func() (out records.Import) {
				for _, items := range bad {
					report := with.takeBatch("bad", items...)
					out.Add(&report.Import)
				}
				return out
			}
			first := take()
			done := with.undo("bad")
			if done.Items != first.New || done.Sent != 0 || done.Revised+done.Shared != 0 || done.Rejects != first.Rejected {
				t.Errorf("%+v after %+v", done, first)
			}
			sameTrace(t, with.trace(), want)
			with.kept()
			if again := take(); again.New != first.New || again.Revised != first.Revised || again.Rejected != first.Rejected {
				t.Errorf("imported again: %+v, at first %+v", again.Counts, first.Counts)
			}
			with.undo("bad")
			sameTrace(t, with.trace(), want)
			if _, err := with.Undo(t.Context(), records.Undo{Source: "survey", Batch: "bad"}, false, nil); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("undone once more: %v", err)
			}
		})
	}
}

// TestMetricsAfterUndo mixes batches at random, with revisions of each other's items, takes one back, and compares the
// rollups with what the items that are left contribute, and the windows with what they add.
func TestMetricsAfterUndo(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := undoneWorld(t)
			r := rand.New(rand.NewPCG(seed, 9))
			for range 12 {
				w.takeBatch(pick(r, "one", "two", "three"), few(r, "i", w.at)...)
			}
			before := w.origins()
			done := w.undo("two")
			checkRollups(t, w)
			w.kept()
			after := w.origins()
			for id, b := range before {
				stays := b != records.BatchOf{Source: "survey", Created: "two", Latest: "two"}
				if _, is := after[id]; is != stays {
					t.Errorf("item %s of %+v is there: %v", id, b, is)
				}
			}
			if len(before)-len(after) != done.Items {
				t.Errorf("%+v, and %d of %d are left", done, len(after), len(before))
			}
			checkRings(t, w)
		})
	}
}

func (w *world) origins() map[feedback.ItemID]records.BatchOf {
	out := map[feedback.ItemID]records.BatchOf{}
	for _, rec := range all[records.Item](w, records.ItemsPrefix()) {
		out[rec.Feedback.ID] = rec.Batches()
	}
	return out
}

// checkRings adds up what the items of the store say that they added to windows, and compares it with the windows.
func checkRings(t *testing.T, w *world) {
	t.Helper()
	want := map[string]*window.Ring{}
	for _, rec := range all[records.Item](w, records.ItemsPrefix()) {
		for _, c := range rec.Windows {
			for _, info := range w.Rules().Windows() {
				key := string(records.RingKey(c.Window, c.Generation, c.Key))
				if info.ID != c.Window {
					continue
				}
				if want[key] == nil {
					want[key] = window.NewRing(info.Span)
				}
				want[key].Add(c.At, w.at, c.Observation)
			}
		}
	}
	for k, v := range w.trace() {
		if k[0] != store.KeyWindow {
			continue
		}
		if want[k] == nil {
			t.Errorf("window %q has %s, want nothing", k, v)
		} else if s := fmt.Sprint(want[k].Read(w.at), want[k].Read(w.at.Add(20*time.Minute))); s != v {
			t.Errorf("window %q has %s, want %s", k, v, s)
		}
	}
}

// TestUndoOfWhatPeopleWorkedOn closes the cases on which somebody has acted, and says what it cannot take back.
func TestUndoOfWhatPeopleWorkedOn(t *testing.T) {
	t.Parallel()
	w := undoneWorld(t)
	w.takeBatch("base", answer("old", 8, "well"))
	bad := []feedback.Item{answer("1", 1, "#packaging"), answer("2", 1, "#packaging"), answer("3", 9, "well"), answer("old", 2, "revised")}
	for i := range bad {
		bad[i].Version = 1 << 50
	}
	report := w.takeBatch("bad", bad...)
	acted, untouched := w.caseOfItem(report.Rows[0].ID), w.caseOfItem(report.Rows[1].ID)
	_, err := w.ChangeCase(t.Context(), CaseChange{Case: acted.ID, At: w.at, Who: "anna", Do: func(c feedback.Case, _ cases.Clock) (feedback.Case, error) {
		return cases.Attempted(c, feedback.Attempt{By: "anna", Channel: "phone", Result: "reached"}, w.at)
	}})
	if err != nil {
		t.Fatal(err)
	}
	var gone feedback.Delivery // has left already
	for _, d := range all[feedback.Delivery](w, records.DeliveriesPrefix()) {
		if d.Item == report.Rows[0].ID {
			gone = d
		}
	}
	if err := w.store.Update(t.Context(), func(tx *store.Tx) error {
		tx.Delete(records.DeliveryKey(gone.Destination, gone.Sequence))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	done := w.undo("bad")
	if done.Items != 3 || done.Cases != 1 || !slices.Equal(done.ClosedCases, []feedback.CaseID{acted.ID}) || done.Revised != 1 || done.Sent != 1 ||
		done.SentMessages[0].Destination != gone.Destination || done.SentMessages[0].Item != gone.Item || done.Unsent != 3 {
		t.Errorf("%+v", done)
	}
	c := load[feedback.Case](w, records.CaseKey(acted.ID))
	if c.Status != feedback.CaseClosed || c.Outcome != cases.Undone || !strings.Contains(c.History[len(c.History)-1].Note, "the wrong file") {
		t.Errorf("%+v", c)
	}
	if _, err := loadMaybe[feedback.Case](w, records.CaseKey(untouched.ID)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the other case: %v", err)
	}
	var kinds []string
	if err := w.store.View(func(s *store.Snapshot) error {
		return audit.Each(s, true, func(e audit.Entry) (bool, error) {
			if e.Who == "anna" && e.Why == "the wrong file" {
				kinds = append(kinds, e.Kind)
			}
			return true, nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(kinds, " "); got != "import.undo case.closed case.removed import.undone" && got != "import.undo case.removed case.closed import.undone" {
		t.Errorf("the audit log has %s", got)
	}
	w.kept()
}

func (w *world) caseOfItem(id feedback.ItemID) *feedback.Case {
	w.t.Helper()
	return load[feedback.Case](w, records.CaseKey(feedback.CaseID(load[records.Item](w, records.ItemKey(id)).Case)))
}

// TestUndoGoesOn cuts the taking back of an import off after each of its updates. It goes on where it was.
func TestUndoGoesOn(t *testing.T) {
	t.Parallel()
	w := undoneWorld(t)
	want := w.trace()
	var items []feedback.Item
	for i := range 5 * undoBatch {
		items = append(items, answer(fmt.Sprint(i), float64(i%9), "#price"))
	}
	w.takeBatch("bad", items...)
	u := records.Undo{Source: w.source.ID, Batch: "bad", At: w.at, Who: "anna", Why: "so"}
	cut := errors.New("cut off")
	for n := 0; ; n++ {
		if err := func() (err error) {
			defer func() {
				if r := recover(); r != nil {
					err = cut
				}
			}()
			_, err = w.Undo(t.Context(), u, false, func(int) { panic(cut) })
			return err
		}(); !errors.Is(err, cut) {
			if err != nil || n < 4 {
				t.Errorf("cut off %d times, then %v", n, err)
			}
			break
		}
	}
	sameTrace(t, w.trace(), want)
	w.takeBatch("bad", items...)
	func() {
		defer func() { _ = recover() }()
		_, _ = w.Undo(t.Context(), u, false, func(int) { panic(cut) })
	}()
	if err := w.ResumeUndos(t.Context(), w.at); err != nil {
		t.Fatal(err)
	}
	sameTrace(t, w.trace(), want)
}
