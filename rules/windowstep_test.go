package rules

import (
	"fmt"
	"testing"

	"github.com/closedloop/closedloop/rules/window"
)

// A window that says nothing of its steps moves on in many of them, whatever it covers: one of a single step would begin
// anew whenever the step ends.
func TestWindowsMoveOnInManySteps(t *testing.T) {
	t.Parallel()
	for over, want := range map[string]string{
		"90s": "600ms", "2h": "1m0s", "7d": "1h0m0s", "90d": "24h0m0s", "171m": "1m0s", "200h": "1h0m0s", "180d": "24h0m0s", "365d": "24h0m0s", "3650d": "24h0m0s",
		"5000d": "750h0m0s", "36500d": "5475h0m0s",
	} {
		text := fmt.Sprintf(`
version: 1
windows:
  all: {metric: count, over: %s}
groups:
  - name: g
    rules: [{id: r, when: win.all.n > 1, do: [{tag: x}]}]
`, over)
		set, err := Compile([]File{{Name: "test.yaml", Data: []byte(text)}}, Env{})
		if err != nil {
			t.Errorf("%s: %v", over, err)
			continue
		}
		span := set.Windows()[0].Span
		if n := span.Over / span.Step; span.Step.String() != want || n < 30 || n > window.MaxBuckets {
			t.Errorf("%s: found %d steps of %s, expected steps of %s", over, n, span.Step, want)
		}
	}
}

// A duration that rounds to nothing is none.
func TestAWindowOfNothingIsRefused(t *testing.T) {
	t.Parallel()
	text := `
version: 1
windows:
  all: {metric: count, over: 1e-20d}
groups:
  - name: g
    rules: [{id: r, when: win.all.n > 1, do: [{tag: x}]}]
`
	if _, err := Compile([]File{{Name: "test.yaml", Data: []byte(text)}}, Env{}); err == nil {
		t.Error("a window of no time compiled")
	}
}

// Groups before the last one that relabels see windows without the item, and the explanation shows what each saw.
func TestExplanationsShowWhatWasSeenBeforeTheItemCounted(t *testing.T) {
	t.Parallel()
	set := compile(t, `
version: 1
windows:
  low: {metric: nps, over: 1h, step: 10m, where: score <= 6}
groups:
  - name: before
    rules:
      - {id: early, when: win.low.n == 0, do: [{relabel: {add: [early]}}]}
  - name: after
    rules:
      - {id: late, when: win.low.n == 1, do: [{tag: late}]}
`)
	m := newMemory()
	r := set.Decide(item(1), now, m)
	m.counted, m.previous = r.Counts, &r.Decision
	set.Decide(item(2), now, m) // the window goes on
	for _, g := range set.ExplainDecision(&r.Decision, item(1), m).Groups {
		if x := g.Rules[0]; x.Outcome != OutcomeFired || x.When.Truth != True {
			t.Errorf("%s: outcome %s, %s: %s", x.Rule, x.Outcome, x.When.Truth, x.Why)
		}
	}
}

// Local would be another zone on each machine.
func TestACalendarHasAZoneThatIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	for zone, ok := range map[string]bool{"Europe/Berlin": true, "UTC": true, "Local": false, `""`: false} {
		text := "calendars: {office: {days: mon-fri, hours: \"09:00-17:00\", timezone: " + zone + "}}\n" + one("score > 1", "case: {sla: 8h, calendar: office}")
		if _, err := Compile([]File{{Name: "test.yaml", Data: []byte(text)}}, Env{}); (err == nil) != ok {
			t.Errorf("%s: %v", zone, err)
		}
	}
}
