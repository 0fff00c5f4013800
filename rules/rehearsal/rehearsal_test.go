package rehearsal

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/alert"
	"github.com/closedloop/closedloop/rules/window"
	"github.com/closedloop/closedloop/sdk/feedback"
)

const ruleText = `
version: 1
calendars:
  office: {days: mon-fri, hours: "09:00-17:00"}
pools:
  care: {owners: [anna, ben], by: least_loaded}
windows:
  nps_7d: {metric: nps, over: 7d, step: 1h, by: touchpoint}
  theme_1d: {metric: rate, over: 1d, step: 1h, by: theme}
groups:
  - name: relabel
    rules:
      - {id: box, when: '"shipping" in themes && text contains "box"', do: [{relabel: {remove: [shipping], add: [packaging]}}]}
  - name: route
    match: first
    rules:
      - id: detractor
        when: nps <= 6
        do: [{assign: {queue: care, pool: care}}, {case: {sla: 8h, calendar: office}}, {notify: {destination: desk, message: "{text}"}}]
        throttle: {key: customer.id, every: 7d}
      - {id: praise, when: nps >= 9, do: [{notify: {destination: desk, digest: 1d, message: "{text}"}}, {tag: kudos}]}
  - name: watch
    rules:
      - {id: danger, severity: critical, when: text contains "fire", do: [{alert: {summary: "danger", key: product, keep_firing: 2h, notify: desk, wait: 10m}}]}
      - id: nps-drop
        each: touchpoint
        when: win.nps_7d.n >= 3 && win.nps_7d.value < 0
        for: 1h
        keep_firing: 2h
        alert: {severity: warning, notify: desk, wait: 5m, repeat: 24h, summary: "{touchpoint} at {win.nps_7d.value}"}
`

func compile(tb testing.TB) *rules.Set {
	tb.Helper()
	set, err := rules.Compile([]rules.File{{Name: "test.yaml", Data: []byte(ruleText)}}, rules.Env{})
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

func at(tb testing.TB, s string) feedback.Time {
	tb.Helper()
	t, err := time.Parse("2006-01-02 15:04", s)
	if err != nil {
		tb.Fatal(err)
	}
	return feedback.TimeOf(t)
}

func answer(id string, score float64, text string, when feedback.Time) *feedback.Event {
	return &feedback.Event{
		Item: &feedback.Item{ID: feedback.ItemID(id), Survey: feedback.NPS, Score: &score, Text: text, OccurredAt: when, Touchpoint: "checkout",
			Product: "lamp", Customer: feedback.Customer{ID: "c-" + id}},
		Labels: &feedback.Labels{},
	}
}

func told(w *World) string {
	var lines []string
	for _, n := range w.Notices() {
		line := n.At.Std().Format("02 15:04 ") + n.Rule
		if n.Alerts != nil {
			line += fmt.Sprintf(" firing %d resolved %d", n.Alerts.FiringCount, n.Alerts.ResolvedCount)
		} else {
			line += fmt.Sprintf(" digest %d", n.Digest.Count)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func TestEffectsHappenOncePerItem(t *testing.T) {
	t.Parallel()
	w := New(compile(t), Options{})
	friday := at(t, "2026-03-06 16:00")
	first := w.Decide(answer("a", 2, "late", friday), friday)
	if len(first.Acted) != 3 || !first.Opened || first.Case.Owner != "anna" || first.Case.DueAt != at(t, "2026-03-09 16:00") {
		t.Errorf("%+v, case %+v", first.Acted, first.Case)
	}
	again := w.Decide(answer("a", 3, "late still", friday), friday+1)
	if len(again.Acted) != 0 || again.Opened || again.Case == nil || len(w.Messages()) != 1 || w.Load("anna") != 1 {
		t.Errorf("%+v %v", again, w.Messages())
	}
	better := w.Decide(answer("a", 8, "solved", friday), friday+2)
	if got := fmt.Sprint(better.Lapsed); got != "[detractor|assign|care detractor|case| detractor|notify|desk]" {
		t.Error(got)
	}
	if c := w.Cases(); len(c) != 1 || len(c[0].Lapsed) != 3 || c[0].ClosedAt != 0 {
		t.Errorf("%+v", c)
	}
	worse := w.Decide(answer("a", 1, "not solved", friday), friday+3)
	if len(worse.Acted) != 0 || worse.Decision.Outputs.Owner == "" {
		t.Errorf("what lapsed is not done again: %+v", worse)
	}
	if n := w.windows[w.set.Windows()[0].ID]["checkout"].Read(w.Now()).N; n != 1 {
		t.Errorf("the item counts %d times", n)
	}
	if !w.Close("a") || w.Close("a") || w.Load("anna")+w.Load("ben") != 0 {
		t.Error("a case closes once", w.Load("anna"), w.Load("ben"))
	}
}

func TestThrottleAndPools(t *testing.T) {
	t.Parallel()
	w := New(compile(t), Options{CloseAfter: 24 * time.Hour})
	now := at(t, "2026-03-02 10:00")
	var owners []string
	for i := range 4 {
		owners = append(owners, w.Decide(answer(fmt.Sprint(i), 2, "late", now), now).Case.Owner)
	}
	if got := strings.Join(owners, " "); got != "anna ben anna ben" || w.Load("anna") != 2 {
		t.Error(got, w.Load("anna"))
	}
	ev := answer("other", 1, "late", now)
	ev.Item.Customer.ID = "c-0"
	if d := w.Decide(ev, now+1); len(d.Effects) != 0 || len(d.Decision.Suppressed) != 1 || d.Case != nil {
		t.Errorf("%+v", d)
	}
	w.Advance(now.Add(25 * time.Hour))
	if w.Load("anna") != 0 || w.Cases()[3].ClosedAt != now.Add(24*time.Hour) {
		t.Errorf("%+v", w.Cases())
	}
	if d := w.Decide(answer("later", 1, "late", now), now.Add(8*24*time.Hour)); d.Case == nil {
		t.Error("the throttle never ends")
	}
}

// What happens depends on the instants, not on how often the world is asked to go on.
func TestAlertsOverTime(t *testing.T) {
	t.Parallel()
	start := at(t, "2026-03-02 10:00")
	run := func(every time.Duration) *World {
		w := New(compile(t), Options{})
		for i := range 3 {
			w.Decide(answer(fmt.Sprint(i), 2, "late", start), start.Add(time.Duration(i)*time.Minute))
		}
		w.Decide(answer("fire", 8, "it caught fire", start), start.Add(30*time.Minute))
		for i := range 3 {
			w.Decide(answer(fmt.Sprint("up", i), 10, "fine", start), start.Add(30*time.Hour))
		}
		for to := start; to < start.Add(60*time.Hour); to = to.Add(every) {
			w.Advance(to)
		}
		w.Advance(start.Add(60 * time.Hour))
		return w
	}
	const want = `02 10:40 danger firing 1 resolved 0
02 11:07 nps-drop firing 1 resolved 0
02 12:40 danger firing 0 resolved 1
03 11:07 nps-drop firing 1 resolved 0
03 18:05 nps-drop firing 0 resolved 1
04 16:00 praise digest 3`
	w := run(60 * time.Hour)
	if got := told(w); got != want {
		t.Errorf("got\n%s", got)
	}
	for _, every := range []time.Duration{time.Minute, 7 * time.Hour} {
		if got := told(run(every)); got != told(w) {
			t.Errorf("every %v:\n%s", every, got)
		}
	}
	var changes []string
	for _, c := range w.Changes() {
		changes = append(changes, c.At.Std().Format("02 15:04 ")+c.Rule+" "+c.Key+" "+string(c.What))
	}
	if got := strings.Join(changes, ", "); got != "02 10:02 nps-drop checkout waits, 02 10:30 danger product=lamp fires, 02 11:02 nps-drop checkout fires, "+
		"02 12:30 danger product=lamp resolves, 03 18:00 nps-drop checkout resolves" {
		t.Error(got)
	}
	if a := w.Alerts(); len(a) != 2 || a[0].Rule != "danger" || a[0].Count != 1 || a[1].State.Status != alert.Resolved {
		t.Errorf("%+v", a)
	}
}

func TestStatedWindowsAndTicks(t *testing.T) {
	t.Parallel()
	w := New(compile(t), Options{})
	now := at(t, "2026-03-02 10:00")
	if w.SetWindow("nps", "checkout", window.Figure{}) {
		t.Error("there is no window nps")
	}
	w.SetWindow("nps_7d", "checkout", window.Figure{N: 5, Value: -20, Known: true})
	w.Tick(now)
	if a := w.Alerts(); len(a) != 1 || a[0].State.Status != alert.Pending || a[0].Summary != "checkout at -20" {
		t.Errorf("%+v", a)
	}
	if s, ok := w.Stand(w.Observed()[0]); !ok || s.Truth != rules.True || len(s.When.Terms) != 2 {
		t.Errorf("%+v", s)
	}
	w.Advance(now.Add(time.Hour))
	w.SetWindow("nps_7d", "checkout", window.Figure{N: 0})
	w.Tick(now.Add(2 * time.Hour))
	if a := w.Alerts(); a[0].State.Status != alert.Firing || a[0].State.EndedAt != now.Add(2*time.Hour) {
		t.Errorf("%+v", a)
	}
	if _, ok := w.Stand(rules.Instance{Rule: "nobody"}); ok {
		t.Error("a rule that is not there stands")
	}
	s := New(compile(t), Options{TickEvery: time.Hour})
	for i := range 3 {
		s.Decide(answer(fmt.Sprint(i), 2, "late", now), now)
	}
	s.Advance(now.Add(9 * 24 * time.Hour))
	if a := s.Alerts(); a[0].State.Status != alert.Resolved || a[0].State.ResolvedAt != now.Add(7*24*time.Hour+2*time.Hour) {
		t.Errorf("the window has emptied: %+v", a[0].State)
	}
}

// Time that takes too long to pass can be stopped.
func TestStop(t *testing.T) {
	t.Parallel()
	asked := 0
	w := New(compile(t), Options{TickEvery: time.Minute, Stop: func() bool { asked++; return asked == 3 }})
	from, to := at(t, "2026-03-02 10:00"), at(t, "9999-12-31 00:00")
	w.Advance(from)
	w.Advance(to)
	if now := w.Now(); asked != 3 || now <= from || now >= from.Add(24*time.Hour) {
		t.Errorf("asked %d times, it is %s", asked, now)
	}
}

func TestSilencesAndExplain(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-03-02 10:00")
	silence := alert.Silence{ID: "s", Rule: "danger", Starts: now, Ends: now.Add(time.Hour), By: "eva", Why: "known"}
	w := New(compile(t), Options{Silences: []alert.Silence{silence}})
	ev := answer("a", 2, "fire", now)
	step := w.Decide(ev, now)
	w.Advance(now.Add(50 * time.Minute))
	if got := told(w); got != "" {
		t.Error(got)
	}
	text := w.Explain(ev, &step).String()
	for _, line := range []string{"detractor fired: nps <= 6 is true (nps = 2)", "praise was not reached", "nps-drop for checkout holds over time"} {
		if !strings.Contains(text, line) {
			t.Errorf("no %q in\n%s", line, text)
		}
	}
	if step.Decision.At != now || w.Now() != now.Add(50*time.Minute) {
		t.Error(step.Decision.At, w.Now())
	}
	if back := w.Decide(answer("b", 8, "", now), now); back.At != w.Now() {
		t.Error("time went back to", back.At)
	}
}

// history is items of a shop in the order of their arrival, some of them revisions.
func history(n int, seed uint64) ([]*feedback.Event, []feedback.Time) {
	r := rand.New(rand.NewPCG(seed, 1))
	texts := []string{"the box was crushed", "came late again", "fine", "it nearly caught fire", "great staff", ""}
	var events []*feedback.Event
	var times []feedback.Time
	now := feedback.Time(1772366400000)
	for i := range n {
		now += feedback.Time(r.IntN(60_000))
		id := i
		if r.IntN(20) == 0 {
			id = r.IntN(i + 1)
		}
		ev := answer(fmt.Sprint(id), float64(r.IntN(11)), texts[r.IntN(len(texts))], now-feedback.Time(r.IntN(3_600_000)))
		ev.Item.Touchpoint = []string{"checkout", "delivery", "support"}[r.IntN(3)]
		ev.Item.Customer.ID = fmt.Sprint("c", r.IntN(n))
		if r.IntN(3) > 0 {
			ev.Labels.Themes = []feedback.Theme{{Path: []feedback.ThemePath{"shipping", "price", "staff/store"}[r.IntN(3)], Confidence: 1}}
		}
		events, times = append(events, ev), append(times, now)
	}
	return events, times
}

func TestSameCallsSameWorld(t *testing.T) {
	t.Parallel()
	events, times := history(2000, 7)
	run := func() string {
		w := New(compile(t), Options{TickEvery: 15 * time.Minute, CloseAfter: 24 * time.Hour})
		for i := range events {
			w.Decide(events[i], times[i])
		}
		w.Advance(times[len(times)-1].Add(48 * time.Hour))
		b, err := json.Marshal([]any{w.Notices(), w.Alerts(), w.Cases(), w.Messages(), w.Changes()})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	first := run()
	if first != run() || len(first) < 10_000 {
		t.Error("two worlds of the same calls differ")
	}
}

// BenchmarkHistory decides on 100,000 items of which one in twenty is a revision, with 5 rules, a rate by theme, an nps
// with its alert and a tick every quarter of an hour. The ratio is to merely evaluating the rules on the same items with
// nothing remembered: the least times of rounds that take turns.
func BenchmarkHistory(b *testing.B) {
	set := compile(b)
	events, times := history(100_000, 3)
	for _, once := range []bool{false, true} {
		b.Run(fmt.Sprintf("once=%v", once), func(b *testing.B) {
			var world, bare time.Duration
			for b.Loop() {
				start := time.Now()
				for i := range events {
					set.Evaluate(events[i], times[i], nil)
				}
				bare = least(bare, time.Since(start))
				start = time.Now()
				w := New(set, Options{Once: once, TickEvery: 15 * time.Minute, CloseAfter: 24 * time.Hour})
				for i := range events {
					w.Decide(events[i], times[i])
				}
				world = least(world, time.Since(start))
			}
			b.ReportMetric(float64(world.Nanoseconds())/float64(len(events)), "ns/item")
			b.ReportMetric(float64(world)/float64(bare), "x-evaluate")
		})
	}
}

func least(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}
