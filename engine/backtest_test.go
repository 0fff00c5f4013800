package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/backtest"
	"github.com/closedloop/closedloop/rules/rehearsal"
	"github.com/closedloop/closedloop/sdk/feedback"
)

const historyProgram = `
-- program.yaml --
version: 1
name: history
timezone: Europe/Berlin
categorizers:
  words: {plugin: native:words}
destinations:
  team: {plugin: native:sink}
queues: {care: {}, product: {}, vip: {}}
-- rules/route.yaml --
version: 1
lists:
  vips: [gold]
macros:
  detractor: survey == "nps" && score <= 6
windows:
  nps_touchpoint: {metric: nps, over: 2d, step: 1h, by: touchpoint}
  theme_now: {metric: rate, over: 1d, step: 1h, by: theme}
  theme_before: {metric: rate, over: 4d, step: 1h, offset: 1d, by: theme}
pools:
  care: {owners: [anna, ben, cleo], capacity: 40}
  product: {owners: [dora, emil], by: least_loaded}
groups:
  - name: relabel
    rules:
      - id: packaging-not-shipping
        when: '"shipping" in themes && text contains "box"'
        do: [{relabel: {remove: [shipping], add: [packaging], reason: the box}}]
  - name: route
    match: first
    rules:
      - id: vip
        when: detractor && customer.tier in lists.vips
        do: [{assign: {queue: vip, owner: eve, priority: urgent}}, {case: {sla: 4h}}]
      - id: packaging
        when: detractor && "packaging" in themes
        do: [{assign: {queue: product, pool: product}}, {case: {sla: 48h}}, {tag: [box]}]
      - id: bad-touchpoint
        when: detractor && win.nps_touchpoint.n >= 5 && win.nps_touchpoint.value < 0
        do: [{assign: {queue: care, priority: high, pool: care}}, {case: {sla: 24h}}, {tag: [bad-touchpoint]}]
      - id: detractor
        throttle: {key: customer.id, every: 1d}
        when: detractor
        do: [{assign: {queue: care, pool: care}}, {case: {sla: 48h}}, {notify: {destination: team, message: "{text}"}}]
  - name: themes
    rules:
      - id: spike
        each: theme
        when: win.theme_now.n >= 8 && spike(win.theme_now, win.theme_before) < 0.05
        do: [{tag: [spike]}]
      - id: spiking
        each: theme
        when: win.theme_now.n >= 8 && win.theme_now.value > 0.4
        alert: {severity: warning, summary: "{theme}"}
      - id: silent
        mode: shadow
        when: score == 10
        do: [{tag: [ten]}]
`

// hour0 is when the history of the tests begins.
var hour0 = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// watch is a clock that tests set.
type watch struct{ at atomic.Int64 }

func (c *watch) set(t feedback.Time) { c.at.Store(int64(t)) }
func (c *watch) now() time.Time      { return feedback.Time(c.at.Load()).Std() }

// remembered opens the program and has it take n items, each when it occurs.
func remembered(t testing.TB, seed uint64, n int) (*engine.Engine, *watch) {
	t.Helper()
	c := &watch{}
	c.set(feedback.TimeOf(hour0))
	e := open(t, writeProgram(t, historyProgram), &parts{}, func(o *engine.Options) { o.Now = c.now })
	at := feedback.TimeOf(hour0)
	r := rand.New(rand.NewPCG(seed, 5))
	for i := range n {
		at = at.Add(time.Duration(r.IntN(90)+1) * time.Minute)
		c.set(at)
		if _, err := e.Ingest(t.Context(), "app", story(r, i, at)); err != nil {
			t.Fatal(err)
		}
	}
	return e, c
}

func story(r *rand.Rand, i int, at feedback.Time) feedback.Item {
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	it := feedback.Item{
		ExternalID: fmt.Sprint(i), OccurredAt: at, Survey: feedback.NPS, Score: new(float64(r.IntN(11))),
		Text:       pick("it came late #shipping", "the box was hard to open #packaging", "a box #shipping", "fine", "#praise great"),
		Touchpoint: pick("checkout", "delivery", ""),
		Customer:   feedback.Customer{ID: fmt.Sprintf("c-%d", r.IntN(20)), Tier: pick("gold", "silver", "", "")},
	}
	if r.IntN(5) == 0 {
		it.Survey, it.Score = "", nil
	}
	return it
}

func TestBacktestDecidesAsTheEngineDid(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			e, c := remembered(t, seed, 250)
			tried := 0
			o := backtest.Options{Since: feedback.TimeOf(hour0), Until: feedback.TimeOf(c.now()) + 1, Close: backtest.Never}
			err := e.EachStep(t.Context(), o, func(id feedback.ItemID, step *rehearsal.Step) {
				tried++
				it, err := e.Item(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				decisions, err := e.Decisions(t.Context(), id)
				if err != nil || len(decisions) != 1 {
					t.Fatalf("%d decisions, %v", len(decisions), err)
				}
				d := &decisions[0]
				if !reflect.DeepEqual(d.Outputs, step.Decision.Outputs) || (it.Case != "") != step.Opened {
					t.Errorf("%s: the engine said %+v, case %q; the backtest says %+v, opened %v", id, d.Outputs, it.Case, step.Decision.Outputs, step.Opened)
				}
				if was, is := firedBy(d), firedBy(&step.Decision); was != is {
					t.Errorf("%s: %s fired; in the backtest %s", id, was, is)
				}
				if d.At != step.At {
					t.Errorf("%s: decided at %s, in the backtest at %s", id, d.At, step.At)
				}
			})
			if err != nil || tried != 250 {
				t.Fatalf("%d items, %v", tried, err)
			}
		})
	}
}

func firedBy(d *rules.Decision) string {
	var out []string
	for _, g := range d.Groups {
		for _, f := range g.Fired {
			out = append(out, f.Rule+"/"+f.Each)
		}
	}
	for _, s := range d.Suppressed {
		out = append(out, s.Rule+" by "+s.By)
	}
	return strings.Join(append(out, d.Unknown...), " ")
}

func TestBacktestCountsWhatTheStoreHolds(t *testing.T) {
	t.Parallel()
	e, c := remembered(t, 9, 300)
	c.set(feedback.TimeOf(c.now()) + 1)
	var told [2]int
	b, err := e.Backtest(t.Context(), engine.BacktestOptions{History: engine.History{Close: backtest.Never}}, func(done, total int) { told = [2]int{done, total} })
	if err != nil {
		t.Fatal(err)
	}
	stats, err := e.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if b.Items != 300 || b.Cases != stats.Cases.Open || b.Name != "active" || told != [2]int{300, 300} || b.Timezone != "Europe/Berlin" {
		t.Errorf("%d items, %d cases, the store has %d; %s; progress %v", b.Items, b.Cases, stats.Cases.Open, b.Name, told)
	}
	for _, q := range b.Queues {
		if q.Queue == "" {
			continue
		}
		items, err := e.Items(t.Context(), engine.ItemQuery{Queue: q.Queue, Limit: 1000})
		if err != nil || len(items) != q.Items {
			t.Errorf("queue %s has %d items, the backtest says %d; %v", q.Queue, len(items), q.Items, err)
		}
	}
	sum := 0
	for _, p := range b.Periods {
		sum += p.Items
	}
	if sum != 300 || len(b.Rules) != len(e.Rules().Rules()) || len(b.Alerts) == 0 {
		t.Errorf("%d items in the periods, %d rules, %d alerts", sum, len(b.Rules), len(b.Alerts))
	}
	// Only the second half: what came before warms up the windows, and the second half is decided on as before.
	half := b.Periods[len(b.Periods)/2].At
	part, err := e.Backtest(t.Context(), engine.BacktestOptions{History: engine.History{Since: half}}, nil)
	if err != nil || part.WarmUp == 0 || part.WarmUp+part.Items > 300 {
		t.Errorf("%+v, %v", part, err)
	}
	tags := func(b *engine.Backtest) int {
		i := slices.IndexFunc(b.Tags, func(t backtest.Tally) bool { return t.Name == "spike" })
		if i < 0 {
			return 0
		}
		return b.Tags[i].Items
	}
	if tags(part) > tags(b) {
		t.Errorf("%d spikes in a half, %d in all", tags(part), tags(b))
	}
}

// edited returns the program's rule files with something replaced.
func edited(t testing.TB, old, next string) engine.RulesRef {
	t.Helper()
	_, text, _ := strings.Cut(historyProgram, "-- rules/route.yaml --\n")
	if !strings.Contains(text, old) {
		t.Fatalf("the rules do not hold %q", old)
	}
	return engine.RulesRef{Name: "mine", Files: []rules.File{{Name: "rules/route.yaml", Data: []byte(strings.Replace(text, old, next, 1))}}}
}

func TestDiffSaysWhichItemsGoElsewhere(t *testing.T) {
	t.Parallel()
	e, c := remembered(t, 3, 200)
	c.set(feedback.TimeOf(c.now()) + 1)
	d, err := e.Diff(t.Context(), engine.DiffOptions{New: edited(t, "vips: [gold]", "vips: [gold, silver]")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(d.Groups, func(g backtest.Group) bool {
		return g.Field == backtest.FieldQueue && g.Old == "care" && g.New == "vip"
	})
	if at < 0 || d.Old.Name != "active" || d.New.Name != "mine" || len(d.Files) != 1 || d.Files[0].Name != "vips" {
		t.Fatalf("%+v", d)
	}
	g := d.Groups[at]
	if g.Causes[0].After != "vip" || !strings.Contains(g.Causes[0].Why[0], "customer.tier in lists.vips is true") {
		t.Errorf("%+v", g)
	}
	items, err := e.Items(t.Context(), engine.ItemQuery{Queue: "care", Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	silver := 0
	for _, it := range items {
		if it.Customer.Tier == "silver" && it.NPSClass() == feedback.Detractor {
			silver++
		}
	}
	if g.Items != silver {
		t.Errorf("%d items go from care to vip, %d are detractors in silver", g.Items, silver)
	}
	same, err := e.Diff(t.Context(), engine.DiffOptions{New: engine.RulesRef{Hash: e.Rules().Hash()[:20]}}, nil)
	if err != nil || same.Changed != 0 || len(same.Groups) != 0 || len(same.Files) != 0 {
		t.Errorf("%+v, %v", same, err)
	}
	if _, err := e.Diff(t.Context(), engine.DiffOptions{New: engine.RulesRef{Hash: "0123456789"}}, nil); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("an unknown hash gave %v", err)
	}
}

func TestBacktestWhileItemsComeIn(t *testing.T) {
	t.Parallel()
	e, c := remembered(t, 4, 150)
	until := feedback.TimeOf(c.now()) + 1
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		r := rand.New(rand.NewPCG(1, 1))
		for i := 1000; ; i++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if _, err := e.Ingest(context.Background(), "app", story(r, i, until.Add(-time.Duration(i)*time.Minute))); err != nil {
				done <- err
				return
			}
		}
	}()
	before := -1
	for range 5 {
		b, err := e.Backtest(t.Context(), engine.BacktestOptions{History: engine.History{Until: until}}, nil)
		if err != nil || b.Items < 150 || b.Items < before {
			t.Errorf("%v, %v", b, err)
			break
		}
		before = b.Items
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := e.Backtest(ctx, engine.BacktestOptions{History: engine.History{Until: until}}, func(int, int) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a backtest that was cancelled gave %v", err)
	}
}

func TestBacktestThroughTheSocket(t *testing.T) {
	t.Parallel()
	e, c := remembered(t, 6, 100)
	until := feedback.TimeOf(c.now()) + 1
	run(t, e)
	client, err := engine.Dial(e.StateDir())
	for errors.Is(err, engine.ErrNotRunning) {
		client, err = engine.Dial(e.StateDir())
	}
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	o := engine.BacktestOptions{History: engine.History{Until: until}}
	told := 0
	far, err := client.Backtest(t.Context(), o, func(done, total int) { told++ })
	if err != nil || told == 0 {
		t.Fatalf("%v; told %d times", err, told)
	}
	near, err := e.Backtest(t.Context(), o, nil)
	if err != nil || !reflect.DeepEqual(near, far) {
		t.Errorf("asked in the process: %+v\nthrough the socket: %+v\n%v", near, far, err)
	}
	if _, err := client.Diff(t.Context(), engine.DiffOptions{New: engine.RulesRef{Hash: "00"}}, nil); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("an unknown hash gave %v", err)
	}
}

// Instants that no item can have do not hang, and nothing outlasts the caller.
func TestBacktestOverAbsurdTimes(t *testing.T) {
	t.Parallel()
	e := open(t, writeProgram(t, historyProgram), &parts{})
	first, last := answer("a", 3, "#packaging"), answer("b", 3, "#packaging")
	first.OccurredAt = feedback.TimeOf(time.Date(1950, 1, 1, 0, 0, 0, 0, time.UTC))
	if _, err := e.Ingest(t.Context(), "app", first, last); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	absurd := engine.History{Since: math.MinInt64, Until: math.MaxInt64}
	if _, err := e.Backtest(ctx, engine.BacktestOptions{History: absurd}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a backtest that nobody waits for: %v", err)
	}
	if _, err := e.Diff(ctx, engine.DiffOptions{History: absurd}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a comparison that nobody waits for: %v", err)
	}
	r, err := e.Backtest(t.Context(), engine.BacktestOptions{History: engine.History{Since: math.MinInt64, Until: last.OccurredAt + 1}}, nil)
	if err != nil || r.Items != 1 {
		t.Errorf("a backtest from the beginning of time: %v, %+v", err, r)
	}
}
