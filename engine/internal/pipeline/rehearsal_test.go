package pipeline

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/alert"
	"github.com/closedloop/closedloop/rules/rehearsal"
	"github.com/closedloop/closedloop/sdk/feedback"
)

const rehearsed = `
version: 1
calendars:
  office: {days: mon-fri, hours: "09:00-17:00"}
pools:
  care: {owners: [anna, ben, carl], by: least_loaded, capacity: 6}
windows:
  nps_6h: {metric: nps, over: 6h, step: 10m, by: touchpoint}
  theme_1h: {metric: rate, over: 1h, step: 10m, by: theme}
  all_1d: {metric: count, over: 1d, step: 1h}
groups:
  - name: relabel
    rules:
      - {id: box, when: '"shipping" in themes && text contains "box"', do: [{relabel: {remove: [shipping], add: [packaging]}}]}
  - name: route
    match: first
    rules:
      - id: packaging
        when: nps <= 6 && "packaging" in themes
        do: [{assign: {queue: product, owner: paul}}, {case: {sla: 8h, calendar: office}}, {notify: {destination: team, message: "{text}"}}]
      - id: detractor
        severity: warning
        when: nps <= 6
        do: [{assign: {queue: care, pool: care}}, {case: {sla: 48h}}, {tag: detractor}]
        throttle: {key: touchpoint, every: 2h, max: 2}
      - {id: praise, when: nps >= 9, do: [{notify: {destination: team, digest: 3h, message: "{text}"}}]}
  - name: watch
    rules:
      - {id: price, severity: info, when: '"price" in themes', do: [{alert: {summary: "price: {win.all_1d.value}", key: touchpoint, keep_firing: 90m, notify: team, wait: 10m}}]}
      - id: nps-drop
        each: touchpoint
        when: win.nps_6h.n >= 3 && win.nps_6h.value < 0
        for: 20m
        keep_firing: 1h
        alert: {severity: warning, notify: desk, wait: 5m, interval: 15m, repeat: 2h, summary: "{touchpoint} at {win.nps_6h.value}"}
      - id: theme-rate
        each: theme
        when: win.theme_1h.value >= 0.5 && win.theme_1h.n >= 4
        alert: {severity: critical, notify: desk, wait: 5m, group_by: [theme]}
        inhibits: [nps-drop]
        mute: {outside: office}
      - {id: hidden, mode: shadow, each: touchpoint, when: win.nps_6h.n >= 5, alert: {notify: desk}}
`

// TestTheEngineDoesWhatWasRehearsed gives random feedback, revised and corrected, to a pipeline on a store and to a
// rehearsal in memory, and compares every decision, case, alert and message.
func TestTheEngineDoesWhatWasRehearsed(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := setup(t, rulesOf(rehearsed))
			if err := w.Activate(t.Context(), w.deciding.Load().rules, w.at, nil, nil); err != nil {
				t.Fatal(err)
			}
			p := &pair{world: w, rehearsal: rehearsal.New(w.deciding.Load().rules, rehearsal.Options{}), r: rand.New(rand.NewPCG(seed, 5))}
			for range 120 {
				p.step()
			}
			p.advance(w.at.Add(12 * time.Hour))
			p.compareAll()
		})
	}
}

// pair is a pipeline and a rehearsal of the same.
type pair struct {
	*world
	rehearsal *rehearsal.World
	r         *rand.Rand
	ids       []feedback.ItemID
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func (p *pair) step() {
	p.advance(p.at.Add(time.Duration(p.r.IntN(1500)) * time.Second))
	switch what := p.r.IntN(12); {
	case what == 0:
		if err := p.Tick(p.t.Context(), p.at); err != nil {
			p.t.Fatal(err)
		}
		p.rehearsal.Tick(p.at)
	case what == 1 && len(p.ids) > 0:
		c := feedback.Change{By: feedback.Author{Name: "ann"}, At: p.at, Reason: "seen", Remove: []feedback.ThemePath{"price"}}
		if p.r.IntN(2) == 0 {
			c.Add = []feedback.Theme{{Path: "packaging", Confidence: 1}}
		}
		id := pick(p.r, p.ids...)
		if _, err := p.Correct(p.t.Context(), id, c); err != nil {
			p.t.Fatal(err)
		}
		p.decided(id)
	default:
		it := answer(fmt.Sprint("i", p.r.IntN(60)), float64(pick(p.r, 0, 2, 5, 7, 9, 10)), pick(p.r, "#price", "#price #staff/rude", "#packaging", "the box #shipping", "well"))
		it.Version = int64(p.r.IntN(100_000))
		it.OccurredAt = p.at.Add(-time.Duration(p.r.IntN(8*3600)) * time.Second)
		it.Touchpoint = pick(p.r, "checkout", "support", "")
		p.advance(p.at.Add(time.Second))
		p.at = p.at.Add(-time.Second) // take goes on by a second
		for _, row := range p.take(it).Rows {
			if row.Outcome == OutcomeNew || row.Outcome == OutcomeRevised {
				p.ids = append(p.ids, row.ID)
				p.decided(row.ID)
			}
		}
	}
	p.advance(p.at)
}

// advance lets time pass for both: timers fire at their instants.
func (p *pair) advance(to feedback.Time) {
	for {
		due, err := p.store.Due(to, 1000)
		if err != nil {
			p.t.Fatal(err)
		}
		due = slices.DeleteFunc(due, func(t store.Timer) bool { return t.Kind != TimerWake })
		if len(due) == 0 {
			break
		}
		if err := p.Wake(p.t.Context(), due[:1], max(due[0].Due, p.at)); err != nil {
			p.t.Fatal(err)
		}
		p.at = max(due[0].Due, p.at)
	}
	p.at = to
	p.rehearsal.Advance(to)
}

// decided decides in the rehearsal on what the pipeline has decided, and compares the decisions.
func (p *pair) decided(id feedback.ItemID) {
	rec := load[records.Item](p.world, records.ItemKey(id))
	labels := load[records.Labels](p.world, records.LabelsKey(id))
	step := p.rehearsal.Decide(records.EventBeforeRules(rec, labels), p.at, labels.Layer(feedback.LayerHuman)...)
	got := load[rules.Decision](p.world, records.DecisionKey(id, rec.Decisions))
	same(p.t, "decision on "+string(id), got, &step.Decision)
	if (rec.Case == "") != (step.Case == nil) {
		p.t.Fatalf("the item %s has the case %q, rehearsed %+v", id, rec.Case, step.Case)
	}
	if step.Case != nil {
		c := load[feedback.Case](p.world, records.CaseKey(feedback.CaseID(rec.Case)))
		same(p.t, "case of "+string(id), []any{c.Rule, c.Queue, c.Owner, c.Priority, c.OpenedAt, c.DueAt},
			[]any{step.Case.Rule, step.Case.Queue, step.Case.Owner, step.Case.Priority, step.Case.OpenedAt, step.Case.DueAt})
	}
}

func same(t *testing.T, what string, got, rehearsed any) {
	t.Helper()
	a, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(rehearsed)
	if err != nil {
		t.Fatal(err)
	}
	if string(a) != string(b) {
		t.Fatalf("%s:\ngot       %s\nrehearsed %s", what, a, b)
	}
}

// compareAll compares what is left behind.
func (p *pair) compareAll() {
	var alerts []rules.AlertState
	for _, a := range p.rehearsal.Alerts() {
		if a.State.Status != alert.Inactive || a.State.Firings > 0 || a.Count > 0 {
			alerts = append(alerts, a)
		}
	}
	same(p.t, "alerts", all[rules.AlertState](p.world, records.AlertPrefix()), alerts)
	type told struct {
		At, Rule, Destination, Text string
		Sequence                    int64
	}
	var got, rehearsed []told
	for _, d := range all[feedback.Delivery](p.world, store.NewKey('o').Bytes()) {
		var m AlertMessage
		if err := json.Unmarshal(d.Body, &m); err != nil {
			p.t.Fatal(err)
		}
		out := told{d.CreatedAt.String(), m.Rule, d.Destination, m.Text, 0}
		switch {
		case m.Alerts != nil:
			out.Sequence = m.Alerts.Sequence
		case m.Digest != nil:
			out.Sequence = m.Digest.Sequence
		}
		got = append(got, out)
	}
	for _, m := range p.rehearsal.Messages() {
		rehearsed = append(rehearsed, told{m.At.String(), m.Rule, m.Destination, m.Text, 0})
	}
	for _, n := range p.rehearsal.Notices() {
		text := ""
		if n.Digest != nil {
			text = fmt.Sprintf("%s: %d since %s", n.Rule, n.Digest.Count, n.Digest.Since)
		} else {
			text = textOf(n.Rule, n.Alerts)
		}
		rehearsed = append(rehearsed, told{n.At.String(), n.Rule, n.Destination, text, n.Sequence()})
	}
	order := func(a, b told) int {
		return slices.Compare([]string{a.At, a.Destination, a.Rule, a.Text}, []string{b.At, b.Destination, b.Rule, b.Text})
	}
	slices.SortFunc(got, order)
	slices.SortFunc(rehearsed, order)
	same(p.t, "messages", got, rehearsed)
	if len(got) < 20 || len(alerts) < 2 {
		p.t.Fatalf("%d messages and %d alerts are not much to compare", len(got), len(alerts))
	}
}
