package pipeline

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/alert"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// turnTo has other rules decide.
func (w *world) turnTo(yaml string) *rules.Set {
	w.t.Helper()
	set, err := rules.Compile([]rules.File{{Name: "test.yaml", Data: []byte(yaml)}}, rules.Env{
		Attributes: map[string]feedback.Kind{"note": feedback.String},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := errors.Join(w.Activate(w.t.Context(), set, w.at, nil, nil), w.WakeGroups(w.t.Context(), w.at)); err != nil {
		w.t.Fatal(err)
	}
	return set
}

// pass lets time pass: timers fire, and what holds over time is looked at every ten minutes.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	for end := w.at.Add(d); w.at < end; {
		w.at = w.at.Add(10 * time.Minute)
		due, err := w.store.Due(w.at, 1000)
		due = slices.DeleteFunc(due, func(t store.Timer) bool { return t.Kind != TimerWake })
		if err := errors.Join(err, w.Wake(w.t.Context(), due, w.at), w.Tick(w.t.Context(), w.at)); err != nil {
			w.t.Fatal(err)
		}
	}
}

// notices returns what was told of alerts.
func (w *world) notices() (out []string) {
	for _, d := range all[feedback.Delivery](w, records.DeliveriesPrefix()) {
		for _, what := range []string{"firing", "resolved"} {
			if strings.Contains(string(d.Body), "1 "+what) {
				out = append(out, what)
			}
		}
	}
	return out
}

const busyRule = `
version: 1
windows:
  busy: {metric: count, over: 2h, step: 10m}
groups:
  - name: watch
    rules:
      - {id: many, mode: %s, when: win.busy.n >= 3, alert: {notify: team, wait: 1m, interval: 1m, repeat: 2h}}
      - {id: few, when: win.busy.n > 1000, alert: {}}
`

// TestAlertsEndWithTheirRules turns a rule off, into a shadow or away while its alert fires. Nobody hears of it again,
// unless that it is over, until it is on and fires anew.
func TestAlertsEndWithTheirRules(t *testing.T) {
	t.Parallel()
	on := fmt.Sprintf(busyRule, "on")
	for _, c := range []struct {
		name, rules string
		told        []string
	}{
		{"off", fmt.Sprintf(busyRule, "off"), []string{"firing", "resolved"}},
		{"shadow", fmt.Sprintf(busyRule, "shadow"), []string{"firing"}},
		{"gone", "version: 1\ngroups: []\n", []string{"firing"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			burst := func(name string) {
				var items []feedback.Item
				for i := range 3 {
					it := answer(fmt.Sprint(name, i), 9, "well")
					it.OccurredAt = w.at
					items = append(items, it)
				}
				w.take(items...)
			}
			w.turnTo(on)
			burst("a")
			w.pass(20 * time.Minute)
			w.turnTo(c.rules)
			w.pass(8 * time.Hour)
			a := load[rules.AlertState](w, records.AlertKey("many", ""))
			if got := w.notices(); a.State.Status != alert.Resolved || !slices.Equal(got, c.told) {
				t.Errorf("the alert is %s, told was %v, want %v", a.State.Status, got, c.told)
			}
			if _, err := loadMaybe[records.Keys](w, records.FiringKey("many")); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("the alert is listed as one that fires: %v", err)
			}
			w.turnTo(on)
			w.pass(20 * time.Minute)
			burst("b")
			w.pass(20 * time.Minute)
			if got, want := w.notices(), append(c.told, "firing"); !slices.Equal(got, want) {
				t.Errorf("told was %v, want %v", got, want)
			}
		})
	}
}

// TestAnAlertThatComesOutOfTheShadow is told once, and keeps others quiet while its rule is on.
func TestAnAlertThatComesOutOfTheShadow(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.turnTo(fmt.Sprintf(busyRule, "shadow"))
	var items []feedback.Item
	for i := range 3 {
		it := answer(fmt.Sprint(i), 9, "well")
		it.OccurredAt = w.at
		items = append(items, it)
	}
	w.take(items...)
	for _, c := range []struct {
		mode   string
		listed bool
	}{{"on", true}, {"shadow", false}, {"on", true}} {
		w.turnTo(fmt.Sprintf(busyRule, c.mode))
		w.pass(20 * time.Minute)
		if _, err := loadMaybe[records.Keys](w, records.FiringKey("many")); (err == nil) != c.listed {
			t.Errorf("%s: listed as one that fires: %v, want %v", c.mode, err == nil, c.listed)
		}
	}
	if got := w.notices(); !slices.Equal(got, []string{"firing"}) {
		t.Errorf("told was %v", got)
	}
}

// countOf returns what a window counts under a key.
func (w *world) countOf(set *rules.Set, key string) (n int64) {
	w.t.Helper()
	err := w.overTime(w.t.Context(), w.at, func(wr *writer) error {
		if r := wr.window(set.Windows()[0].ID, key); r != nil {
			n = r.Read(w.at).N
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// TestItemsThatWaitCountAlike compares a window that is kept with one that is filled, of an item without labels.
func TestItemsThatWaitCountAlike(t *testing.T) {
	t.Parallel()
	const unpriced = `
version: 1
windows:
  unpriced: {metric: count, over: 1h, where: 'not ("price" in themes)'}
groups: []
`
	for _, first := range []string{unpriced, "version: 1\ngroups: []\n"} {
		w := setup(t, func(c *Config) { c.Categorizer[0].PassUnlabelled = true })
		w.turnTo(first)
		w.take(answer("a", 3, "it is down"))
		if n := w.countOf(w.turnTo(unpriced), ""); n != 0 {
			t.Errorf("an item of unknown themes counts %d times", n)
		}
	}
}

// TestKeysOfAnyLength has rules tell apart long texts.
func TestKeysOfAnyLength(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{
		`{id: x, when: nps <= 6, do: [{tag: seen}], throttle: {key: [text, attributes.note], every: 1h}}`,
		`{id: x, when: nps <= 6, do: [{alert: {summary: seen, key: [text, attributes.note], group_by: text, notify: team}}]}`,
		`{id: x, each: attributes.note, when: win.notes.n >= 2, alert: {notify: team, group_by: attributes.note}}`,
	} {
		w := setup(t, func(c *Config) { c.ItemAttributes = map[string]feedback.Kind{"note": feedback.String} })
		set := w.turnTo("version: 1\nwindows:\n  notes: {metric: count, over: 1h, by: [attributes.note]}\ngroups:\n  - name: all\n    rules:\n      - " + rule + "\n")
		for i, long := range []string{strings.Repeat("x", 40_000), strings.Repeat("x", 40_000) + "y", strings.Repeat("\x01é", 9000)} {
			for j := range 2 {
				it := answer(fmt.Sprint(i, j), 3, long)
				it.Attributes = feedback.Attributes{"note": feedback.StringValue(long)}
				if r := w.take(it); r.Rows[0].Outcome != OutcomeNew {
					t.Errorf("%s: %s %s", rule, r.Rows[0].Outcome, r.Rows[0].Reason)
				}
			}
		}
		w.pass(10 * time.Minute)
		for _, id := range set.Windows() {
			w.checkKeys(id.ID, 3)
		}
	}
}

// checkKeys checks that a window has so many keys, each with two items.
func (w *world) checkKeys(id string, want int) {
	w.t.Helper()
	var keys []string
	err := w.store.View(func(s *store.Snapshot) error {
		return s.Scan(records.RingsPrefix(id), nil, false, func(key, _ []byte) (bool, error) {
			k, err := records.RingOf(key)
			keys = append(keys, k)
			return true, err
		})
	})
	if err != nil || len(keys) != want {
		w.t.Errorf("%d keys, want %d: %v", len(keys), want, err)
	}
	for _, k := range keys {
		if n := w.countOf(w.Rules(), k); n != 2 {
			w.t.Errorf("%d items under %.20q, want 2", n, k)
		}
	}
}

// TestRefusedRulesLeaveNoWindows has an activation fail when its windows are filled.
func TestRefusedRulesLeaveNoWindows(t *testing.T) {
	t.Parallel()
	w := setup(t)
	before := w.turnTo("version: 1\ngroups: []\n")
	set, err := rules.Compile([]rules.File{{Name: "test.yaml", Data: []byte(fmt.Sprintf(busyRule, "on"))}}, rules.Env{})
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	if err := w.Activate(t.Context(), set, w.at, func(*store.Tx) error { return refused }, nil); !errors.Is(err, refused) {
		t.Errorf("Activate returned %v", err)
	}
	now := w.deciding.Load()
	kept := load[records.Window](w, records.WindowKey(set.Windows()[0].ID))
	if now.rules != before || now.filling != nil || len(now.generations) != 0 || kept.Filled || kept.Generation != 2 {
		t.Errorf("the pipeline goes on with %+v, the window is %+v", now, kept)
	}
}
