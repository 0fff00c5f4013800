package pipeline

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/window"
	"github.com/closedloop/closedloop/sdk/feedback"
)

const twoWindows = `
version: 1
windows:
  nps_2h: {metric: nps, over: 2h, step: 10m, by: [touchpoint]}
  price: {metric: rate, over: 1h, step: 5m, by: [theme]}
groups:
  - name: relabel
    rules:
      - id: packaging-not-shipping
        when: '"shipping" in themes && text contains "box"'
        do: [{relabel: {remove: [shipping], add: [packaging]}}]
`

const fourWindows = twoWindows + `
  - name: other
    rules:
      - {id: busy, when: win.everything.n > 2, do: [{tag: busy}]}
`

// windowSets are rulesets with different windows: some are kept by several of them.
func windowSets(t require) []*rules.Set {
	var sets []*rules.Set
	for _, yaml := range []string{
		twoWindows,
		"version: 1\nwindows:\n  everything: {metric: count, over: 30m, step: 1m}\n  mean: {metric: mean, over: 1h, step: 1h, offset: 30m, where: nps < 9}\n" + fourWindows[len("\nversion: 1\nwindows:\n"):],
	} {
		set, err := rules.Compile([]rules.File{{Name: "test.yaml", Data: []byte(yaml)}}, rules.Env{})
		if err != nil {
			t.Fatal(err)
		}
		sets = append(sets, set)
	}
	return sets
}

type require interface{ Fatal(...any) }

// TestWindowsAgainstAModel takes items in late, early and revised, has people correct them, changes the rules and
// restarts, and compares every window with what the items that are there add up to.
func TestWindowsAgainstAModel(t *testing.T) {
	t.Parallel()
	sets := windowSets(t)
	rapid.Check(t, func(rt *rapid.T) {
		st, err := store.Open(t.TempDir(), store.Options{Profile: store.Small, Reserve: -1})
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = st.Close() }()
		now := 0
		w := on(t, st)
		activate := func(set int) {
			now = set
			if err := w.Activate(t.Context(), sets[set], w.at, nil, nil); err != nil {
				rt.Fatal(err)
			}
		}
		activate(0)
		var ids []feedback.ItemID
		for range rapid.IntRange(3, 12).Draw(rt, "steps") {
			switch rapid.IntRange(0, 9).Draw(rt, "what") {
			case 0:
				activate(1 - now)
			case 1: // restart
				at := w.at
				w = on(t, st)
				w.at = at
				activate(rapid.IntRange(0, 1).Draw(rt, "set"))
			case 2:
				w.at = w.at.Add(time.Duration(rapid.IntRange(1, 90).Draw(rt, "minutes")) * time.Minute)
			case 3:
				if len(ids) > 0 {
					c := feedback.Change{By: feedback.Author{Name: "ann"}, At: w.at, Reason: "seen", Remove: []feedback.ThemePath{"price"}}
					if rapid.Bool().Draw(rt, "add") {
						c.Add = []feedback.Theme{{Path: "packaging/opening", Confidence: 1}}
					}
					if _, err := w.Correct(t.Context(), rapid.SampledFrom(ids).Draw(rt, "item"), c); err != nil {
						rt.Fatal(err)
					}
				}
			default:
				items := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) feedback.Item { return timedItem(rt, w.at) }), 1, 8).Draw(rt, "items")
				for _, row := range w.take(items...).Rows {
					ids = append(ids, row.ID)
				}
			}
			checkWindows(rt, w, sets[now])
		}
	})
}

// timedItem is an item that occurred before now, long before, or is said to occur after.
func timedItem(rt *rapid.T, now feedback.Time) feedback.Item {
	it := randomItem(rt)
	it.ExternalID = rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}).Draw(rt, "timed id")
	it.OccurredAt = now.Add(-time.Duration(rapid.IntRange(-20, 150).Draw(rt, "age")) * time.Minute)
	it.Touchpoint = rapid.SampledFrom([]string{"", "checkout", "support"}).Draw(rt, "touchpoint")
	return it
}

// checkWindows adds up what every item counts in every window and compares it with what the store holds.
func checkWindows(rt *rapid.T, w *world, set *rules.Set) {
	want := map[string]window.Sums{}
	for _, rec := range all[records.Item](w, store.NewKey('f').Bytes()) {
		labels := load[records.Labels](w, records.LabelsKey(rec.Feedback.ID))
		effective := feedback.Fold(labels.Changes)
		for _, c := range set.CountsOf(&feedback.Event{Item: &rec.Feedback, Labels: &effective}) {
			for _, info := range set.Windows() {
				// What was out of reach when it came does not count later.
				if info.ID == c.Window && info.Span.Covers(c.At, w.at) && kept(&rec, c) {
					sums := want[c.Window+"/"+c.Key]
					sums.Add(c.Observation)
					want[c.Window+"/"+c.Key] = sums
				}
			}
		}
	}
	for _, info := range set.Windows() {
		generation := w.deciding.Load().generations[info.ID]
		err := w.store.View(func(s *store.Snapshot) error {
			return s.Scan(records.RingPrefix(info.ID, generation), nil, false, func(key, val []byte) (bool, error) {
				k, err := records.RingOf(key)
				var r window.Ring
				if err == nil {
					err = r.UnmarshalBinary(val)
				}
				name := info.ID + "/" + k
				if got := r.Read(w.at); got != want[name] {
					return false, fmt.Errorf("the window %s holds %+v under %q, want %+v", info.Name, got, k, want[name])
				}
				delete(want, name)
				return err == nil, err
			})
		})
		if err != nil {
			rt.Fatal(err)
		}
	}
	for name, sums := range want {
		if sums != (window.Sums{}) {
			rt.Fatalf("nothing is kept under %s, want %+v", name, sums)
		}
	}
}

// kept reports whether the item counted when it came. All that is in reach must have counted: an item of the future
// beyond the window may not.
func kept(rec *records.Item, c rules.Count) bool {
	if rec.Feedback.OccurredAt <= rec.Feedback.ReceivedAt {
		return true
	}
	for _, have := range rec.Windows {
		if have.Count == c {
			return true
		}
	}
	return false
}
