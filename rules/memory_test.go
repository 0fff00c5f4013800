package rules

import (
	"fmt"
	"testing"
	"time"

	"github.com/closedloop/closedloop/rules/window"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// remembering is a Memory of one item after another.
type remembering struct {
	NoView
	rings     map[string]*window.Ring
	throttled map[string][]Firing
	turns     map[string]int
	loads     map[string]int
	previous  *Decision
	counted   []Count
}

var _ Memory = (*remembering)(nil)

func newMemory() *remembering {
	return &remembering{rings: map[string]*window.Ring{}, throttled: map[string][]Firing{}, turns: map[string]int{}, loads: map[string]int{}}
}

func (m *remembering) Previous() *Decision                   { return m.previous }
func (m *remembering) Counted() []Count                      { return m.counted }
func (m *remembering) Window(id, key string) *window.Ring    { return m.rings[id+"/"+key] }
func (m *remembering) Throttled(rule, key string) []Firing   { return m.throttled[rule+"/"+key] }
func (m *remembering) Turn(pool string) int                  { return m.turns[pool] }
func (m *remembering) Load(owner string) int                 { return m.loads[owner] }
func (m *remembering) SetTurn(pool string, n int)            { m.turns[pool] = n }
func (m *remembering) SetThrottled(r, k string, fs []Firing) { m.throttled[r+"/"+k] = fs }
func (m *remembering) Ring(w *WindowInfo, key string) *window.Ring {
	r := m.rings[w.ID+"/"+key]
	if r == nil {
		r = window.NewRing(w.Span)
		m.rings[w.ID+"/"+key] = r
	}
	return r
}

// item returns the n-th detractor.
func item(n int) *feedback.Event {
	ev := detractor()
	ev.Item.ID = feedback.ItemID(fmt.Sprintf("f_%d", n))
	ev.Item.OccurredAt = now
	return ev
}

func TestPoolsTakeTurns(t *testing.T) {
	t.Parallel()
	set := compile(t, `
version: 1
pools:
  turns: {owners: [anna, ben, cleo], capacity: 2}
  least: {owners: [anna, ben, cleo], by: least_loaded}
groups:
  - name: g
    match: first
    rules:
      - {id: later, when: score > 6, do: [{assign: {pool: least}}]}
      - {id: r, when: score <= 6, do: [{assign: {queue: care, pool: turns}}, {case: {}}]}
`)
	m := newMemory()
	owners := func(from, to int) (out []string) {
		for n := from; n <= to; n++ {
			m.previous = nil
			r := set.Decide(item(n), now, m)
			out = append(out, r.Decision.Outputs.Owner)
			m.loads[r.Decision.Outputs.Owner]++
			m.previous = &r.Decision
		}
		return out
	}
	if got := fmt.Sprint(owners(1, 4)); got != "[anna ben cleo anna]" {
		t.Errorf("owners %s", got)
	}
	// The item keeps its owner when it is decided on again, and takes nobody's turn.
	if r := set.Decide(item(4), now, m); r.Decision.Outputs.Owner != "anna" || m.turns["turns"] != 1 {
		t.Errorf("owner %s, turn %d", r.Decision.Outputs.Owner, m.turns["turns"])
	}
	// Anna has her two cases.
	if got := fmt.Sprint(owners(5, 7)); got != "[ben cleo ]" {
		t.Errorf("owners %s", got)
	}
	m.previous = nil
	r := set.Decide(item(8), now, m)
	if a := r.Decision.Groups[0].Fired[0].Actions[0]; a.Owner != "" || a.Note == "" || r.Effects[0].Queue != "care" {
		t.Errorf("at capacity: %+v", a)
	}
	ev := item(9)
	ev.Item.Score = new(9.0)
	m.loads = map[string]int{"anna": 3, "ben": 1, "cleo": 1}
	if r := set.Decide(ev, now, m); r.Decision.Outputs.Owner != "ben" {
		t.Errorf("the least loaded is %s, want ben", r.Decision.Outputs.Owner)
	}
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	set := compile(t, `
version: 1
groups:
  - name: g
    match: first
    rules:
      - {id: r, when: score <= 6, throttle: {key: [customer.id], every: 7d, max: 2}, do: [{tag: told}]}
      - {id: rest, when: "true", do: [{tag: rest}]}
`)
	m := newMemory()
	fires := func(n int, customer string, at feedback.Time) string {
		ev := item(n)
		ev.Item.Customer.ID = customer
		r := set.Decide(ev, at, m)
		m.previous = nil
		switch d := &r.Decision; {
		case len(d.Suppressed) == 1 && len(d.Groups) == 0:
			return "suppressed until " + d.Suppressed[0].Until.String()
		case len(d.Groups) == 1:
			return d.Groups[0].Fired[0].Rule
		}
		return "nothing"
	}
	day := 24 * time.Hour
	for i, step := range []struct {
		item     int
		customer string
		after    time.Duration
		want     string
	}{
		{1, "ann", 0, "r"}, {2, "ann", day, "r"}, {3, "ann", 2 * day, "suppressed until " + now.Add(7*day).String()},
		{2, "ann", 2 * day, "r"}, // itself, revised
		{4, "bob", 2 * day, "r"}, {5, "", 2 * day, "r"}, {6, "", 2 * day, "r"}, {7, "", 2 * day, "r"},
		{8, "ann", 7 * day, "r"}, {9, "ann", 7*day + time.Hour, "suppressed until " + now.Add(8*day).String()},
	} {
		if got := fires(step.item, step.customer, now.Add(step.after)); got != step.want {
			t.Errorf("step %d: %s, want %s", i, got, step.want)
		}
	}
}

func TestPriorityEachAndSuppression(t *testing.T) {
	t.Parallel()
	set := compile(t, `
version: 1
groups:
  - name: g
    rules:
      - {id: last, when: "true", do: [{tag: last}]}
      - {id: loud, when: score <= 6, priority: 5, suppresses: [quiet, last], do: [{tag: loud}]}
      - {id: quiet, when: score <= 6, do: [{tag: quiet}]}
      - {id: each, each: theme, when: 'theme startsWith "p"', do: [{alert: {summary: "{theme}"}}]}
`)
	ev := item(1)
	ev.Labels = &feedback.Labels{Themes: []feedback.Theme{{Path: "packaging"}, {Path: "staff"}, {Path: "price/high"}}}
	r := set.Evaluate(ev, now, nil)
	if got := keys(r.Effects); got != "loud|tag|loud each|alert||packaging each|alert||price/high" {
		t.Errorf("effects %s", got)
	}
	if got := toJSON(t, r.Decision.Suppressed); got != toJSON(t, []Suppression{{Rule: "last", By: "loud"}, {Rule: "quiet", By: "loud"}}) {
		t.Errorf("suppressed %s", got)
	}
}

// TestWindowsCountTheEventItself is about what rules see of the event in windows, and of the same event revised.
func TestWindowsCountTheEventItself(t *testing.T) {
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
      - {id: late, when: win.low.n == 1 and win.low.value == -100, do: [{tag: late}]}
`)
	m := newMemory()
	r := set.Decide(item(1), now, m)
	if len(r.Decision.Groups) != 2 || len(r.Counts) != 1 {
		t.Fatalf("decision %s", toJSON(t, r))
	}
	m.counted, m.previous = r.Counts, &r.Decision
	if again := set.Decide(item(1), now, m); len(again.Decision.Groups) != 2 {
		t.Errorf("the event counts twice when it is decided on again: %s", toJSON(t, again.Decision))
	}
	promoter := item(1)
	promoter.Item.Score = new(9.0)
	if r := set.Decide(promoter, now, m); len(r.Counts) != 0 || m.Window(set.Windows()[0].ID, "").Read(now).N != 0 {
		t.Errorf("what it counted is not taken back: %s", toJSON(t, r))
	}
}

// TestWindowsDeclaredAlikeCountOnce reads one item in windows that differ in their names and what they are sure of.
func TestWindowsDeclaredAlikeCountOnce(t *testing.T) {
	t.Parallel()
	set := compile(t, `
version: 1
windows:
  sure: {metric: nps, over: 1h}
  surer: {metric: nps, over: 1h, confidence: 0.99}
groups:
  - name: g
    rules:
      - {id: a, when: win.sure.n == 1 and win.surer.n == 1, do: [{tag: seen}]}
`)
	m := newMemory()
	r := set.Decide(item(1), now, m)
	if len(r.Counts) != 1 || len(r.Decision.Groups) != 1 {
		t.Errorf("counted %v, fired %v, read %v", r.Counts, r.Decision.Groups, r.Decision.Readings)
	}
}
