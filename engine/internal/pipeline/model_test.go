package pipeline

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// model is the simplest thing that accounts for rows as a pipeline must.
type model struct {
	version map[string]int64
	seen    map[string]map[string]bool // content by id
	current map[string]feedback.Item
	cases   map[string]bool
}

func (m *model) take(it feedback.Item) Outcome {
	id, content := it.ExternalID, fmt.Sprint(*it.Score, it.Text)
	switch {
	case m.seen[id] == nil:
		m.seen[id] = map[string]bool{}
	case m.seen[id][content]:
		return OutcomeDuplicate
	case it.Version < m.version[id]:
		return OutcomeStale
	}
	outcome := OutcomeRevised
	if len(m.seen[id]) == 0 {
		outcome = OutcomeNew
	}
	m.seen[id][content], m.version[id], m.current[id] = true, it.Version, it
	if *it.Score <= 6 {
		m.cases[id] = true
	}
	return outcome
}

// TestAgainstAModel feeds random chunks of few ids, versions and contents, and compares every outcome, the cases, and the
// rollups with those of the current items alone.
func TestAgainstAModel(t *testing.T) {
	t.Parallel()
	w := setup(t)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		m := &model{map[string]int64{}, map[string]map[string]bool{}, map[string]feedback.Item{}, map[string]bool{}}
		w.source.ID = fmt.Sprintf("source-%d", run)
		for range rapid.IntRange(1, 6).Draw(rt, "chunks") {
			items := rapid.SliceOfN(rapid.Custom(randomItem), 1, 12).Draw(rt, "items")
			r := w.take(items...)
			for i, it := range items {
				if want := m.take(it); r.Rows[i].Outcome != want {
					rt.Fatalf("row %d of %s is %s, want %s", i, it.ExternalID, r.Rows[i].Outcome, want)
				}
			}
		}
		checkItems(rt, w, m)
	})
	checkRollups(t, w)
}

func randomItem(rt *rapid.T) feedback.Item {
	it := answer(
		rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "id"),
		float64(rapid.SampledFrom([]int{0, 6, 8, 10}).Draw(rt, "score")),
		rapid.SampledFrom([]string{"#price", "#price #staff/rude", "#packaging", "the box #shipping"}).Draw(rt, "text"),
	)
	it.Version = int64(rapid.IntRange(1, 5).Draw(rt, "version"))

	return it
}

func checkItems(rt *rapid.T, w *world, m *model) {
	for id, want := range m.current {
		item := feedback.NewItemID(start, w.source.ID, id)
		rec := load[records.Item](w, records.ItemKey(item))
		if rec.Feedback.Text != want.Text || *rec.Feedback.Score != *want.Score {
			rt.Fatalf("item %s is %q %v, want %q %v", id, rec.Feedback.Text, *rec.Feedback.Score, want.Text, *want.Score)
		}
		if (rec.Case != "") != m.cases[id] {
			rt.Fatalf("item %s has the case %q, want one: %v", id, rec.Case, m.cases[id])
		}
	}
}

// checkRollups adds up what the items of the store contribute now and compares it with the rollups of days, months and
// years.
func checkRollups(t *testing.T, w *world) {
	want := map[records.RollupID]*records.Rollup{}
	for _, rec := range all[records.Item](w, store.NewKey('f').Bytes()) {
		rec.Counted.Each(func(id records.RollupID, r records.Rollup) {
			for _, span := range []uint32{1, 100, 10_000} {
				id.Day -= id.Day % span
				if want[id] == nil {
					want[id] = &records.Rollup{}
				}
				want[id].Add(r, 1)
			}
		})
	}
	got := w.rollups()
	for _, id := range slices.Collect(maps.Keys(want)) {
		name := fmt.Sprintf("%s/%s/%s/%d", id.Measure, id.Dim.Name, id.Dim.Value, id.Day)
		if have := got[name]; have != fmt.Sprint(*want[id]) {
			t.Errorf("rollup %s is %s, want %v", name, have, *want[id])
		}
		delete(got, name)
	}
	for name, v := range got {
		t.Errorf("rollup %s is %s, want nothing", name, v)
	}
}

// rememberingRules remember: windows, throttles, pools, alerts of both kinds and digests.
const rememberingRules = `
version: 1
pools:
  care: {owners: [anna, ben, cleo]}
  least: {owners: [dan, eva], by: least_loaded}
windows:
  nps_1h: {metric: nps, over: 1h, step: 5m}
  theme_1h: {metric: rate, over: 1h, step: 5m, by: [theme]}
groups:
  - name: route
    match: first
    rules:
      - {id: second, when: nps <= 6 and win.nps_1h.n > 2, do: [{assign: {pool: least}}, {case: {sla: 4h}}]}
      - {id: low, when: nps <= 6, throttle: {every: 1h, max: 2}, do: [{assign: {pool: care}}, {case: {}}, {notify: {destination: team, digest: 1h}}]}
  - name: alerts
    rules:
      - {id: often, each: theme, when: win.theme_1h.n > 1 and win.theme_1h.value > 0.2, alert: {notify: team, wait: 1s}}
      - {id: fire, when: 'text contains "fire"', do: [{alert: {summary: fire, notify: team}}]}
`

// TestReplayingTheSameInputYieldsTheSameState runs the same chunks on two stores and compares every record.
func TestReplayingTheSameInputYieldsTheSameState(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"rules": testRules, "rules that remember": rememberingRules} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := replayed(t, text), replayed(t, text)
			if len(first) < 30 {
				t.Errorf("only %d records", len(first))
			}
			for k, v := range first {
				if second[k] != v {
					t.Errorf("record %q is %s and %s", k, v, second[k])
				}
				delete(second, k)
			}
			for k := range second {
				t.Errorf("record %q is in the second store only", k)
			}
		})
	}
}

// replayed runs a few chunks on a new store, and what is due later, and returns every record.
func replayed(t *testing.T, text string) map[string]string {
	t.Helper()
	w := setup(t, rulesOf(text))
	if err := w.Activate(t.Context(), w.Rules(), w.at, nil, nil); err != nil {
		t.Fatal(err)
	}
	w.take(answer("1", 3, "the box #shipping"), answer("2", 9, "fine"), answer("", 1, "fire"), answer("4", 3, "poison"))
	w.take(answer("1", 3, "the driver #shipping"), answer("2", 9, "fine"), answer("5", 6, "#packaging/opening"))
	w.at = w.at.Add(2 * time.Hour)
	if err := w.Tick(t.Context(), w.at); err != nil {
		t.Fatal(err)
	}
	due, err := w.store.Due(w.at, 100)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Wake(t.Context(), slices.DeleteFunc(due, func(d store.Timer) bool { return d.Kind != TimerWake }), w.at); err != nil {
		t.Fatal(err)
	}
	return dump(t, w.store)
}

func dump(t *testing.T, st *store.Store) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := st.View(func(s *store.Snapshot) error {
		for _, space := range []byte("fdcilLrekwoxazpugvmybt") {
			err := s.Scan([]byte{space}, nil, false, func(key, val []byte) (bool, error) {
				out[string(key)] = string(val)
				return true, nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
