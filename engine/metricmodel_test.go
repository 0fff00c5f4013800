package engine_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/rules/stats"
	"github.com/closedloop/closedloop/sdk/feedback"
)

const modelProgram = `
-- program.yaml --
version: 1
name: test
timezone: America/New_York
sources:
  feed: {plugin: native:feed, every: 1h}
categorizers:
  words: {plugin: native:words}
queues:
  care: {owners: [anna]}
  product: {owners: [ben]}
-- rules/route.yaml --
version: 1
groups:
  - name: relabel
    rules:
      - {id: box, when: '"shipping" in themes && text contains "box"', do: [{relabel: {remove: [shipping], add: [packaging/box]}}]}
  - name: route
    match: first
    rules:
      - {id: packaging, when: '"packaging" in themes', do: [{assign: {queue: product}}]}
      - {id: low, when: score < 4, do: [{assign: {queue: care}}, {case: {sla: 1h}}]}
`

// metricModel is what a program should have counted: the items as they are now, with what they mean now.
type metricModel struct {
	items map[string]feedback.Item // the latest revision, by external id
	seen  map[string]bool          // revisions
	zone  *time.Location
	now   []engine.Item // of the engine, each compared with items
}

func (m *metricModel) day(t feedback.Time) time.Time {
	y, mo, d := t.Std().In(m.zone).Date()
	return time.Date(y, mo, d, 0, 0, 0, 0, time.UTC)
}

// has reports whether an item has a value of a dimension.
func has(it *engine.Item, dimension, value string) bool {
	switch dimension {
	case "theme":
		return it.Labels.Has(feedback.ThemePath(value))
	case "segment":
		return it.Customer.Segment == value
	case "touchpoint":
		return it.Touchpoint == value
	case "channel":
		return it.Channel == value
	case "source":
		return it.Source == value
	case "queue":
		return it.Queue == value
	}
	return true
}

// valuesOf returns the values that an item has of a dimension.
func valuesOf(it *engine.Item, dimension string) []string {
	if dimension != "theme" {
		return []string{map[string]string{"segment": it.Customer.Segment, "touchpoint": it.Touchpoint, "channel": it.Channel, "source": it.Source, "queue": it.Queue}[dimension]}
	}
	var out []string
	for i := range it.Labels.Themes {
		for p := range it.Labels.Themes[i].Path.Ancestors {
			out = append(out, string(p))
		}
	}
	return out
}

// figure computes a figure from the answers of the items between two days.
func (m *metricModel) figure(q engine.MetricQuery, value string, from, to time.Time) (n int, is stats.Estimate, ok bool) {
	var scores []float64
	items, all, top, rated := 0, 0, 0, 0
	var nps stats.NPS
	for i := range m.now {
		it := &m.now[i]
		if d := m.day(it.OccurredAt); d.Before(from) || d.After(to) {
			continue
		}
		all++
		if !has(it, q.Dimension, value) {
			continue
		}
		items++
		if it.Score == nil || string(it.Survey) != q.Measure {
			continue
		}
		scores = append(scores, *it.Score)
		nps.Count(*it.Score)
		rated++
		if *it.Score >= 4 {
			top++
		}
	}
	switch q.Measure {
	case "items":
		return items, stats.Poisson(items, 0.95), true
	case "share":
		return all, stats.Wilson(items, all, 0.95), all > 0
	case "nps":
		e := nps.Score(0.95)
		return e.N, stats.Estimate{N: e.N, Value: 100 * e.Value, Lo: 100 * e.Lo, Hi: 100 * e.Hi}, e.N > 0
	case "csat":
		return rated, stats.Wilson(top, rated, 0.95), rated > 0
	}
	e, many := stats.Mean(scores, 0.95)
	if !many && len(scores) == 1 {
		return 1, stats.Estimate{N: 1, Value: scores[0], Lo: math.NaN(), Hi: math.NaN()}, true
	}
	return len(scores), e, many
}

// TestMetricsAgainstAModel takes in random items, revisions and repeats, over days, years and midnights, has rules and
// people relabel them, and restarts. Then every figure of random queries is computed from the items alone.
func TestMetricsAgainstAModel(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	runs, most := 0, rounds(t, 10, 1000) // -rapid.checks allows for more than 100
	rapid.Check(t, func(rt *rapid.T) {
		if runs++; runs > most {
			return
		}
		now := time.Date(2026, 1, 5, 23, 0, 0, 0, zone)
		dir := writeProgram(t, modelProgram)
		opening := func() *engine.Engine {
			p := &parts{}
			e, err := engine.Open(t.Context(), dir, engine.Options{Native: p.native(), Profile: engine.Small, Now: func() time.Time { return now }})
			if err != nil {
				rt.Fatal(err)
			}
			return e
		}
		e := opening()
		defer func() { closeEngine(t, e) }()
		m := &metricModel{items: map[string]feedback.Item{}, seen: map[string]bool{}, zone: zone}
		for range rapid.IntRange(2, 8).Draw(rt, "steps") {
			switch rapid.IntRange(0, 5).Draw(rt, "what") {
			case 0: // restart
				if err := e.Close(context.Background()); err != nil {
					rt.Fatal(err)
				}
				e = opening()
			case 1:
				m.correct(rt, e)
			default:
				m.ingest(rt, e)
			}
		}
		if m.now, err = e.Items(t.Context(), engine.ItemQuery{Limit: 1 << 20}); err != nil || len(m.now) != len(m.items) {
			rt.Fatalf("%d items, want %d; %v", len(m.now), len(m.items), err)
		}
		for i := range m.now {
			it := &m.now[i]
			if want := m.items[it.ExternalID]; it.Text != want.Text || it.OccurredAt != want.OccurredAt || (it.Score == nil) != (want.Score == nil) {
				rt.Fatalf("the item %s is %+v, want %+v", it.ExternalID, it, want)
			}
		}
		for range 12 {
			m.check(rt, e, now)
		}
	})
}

func (m *metricModel) ingest(rt *rapid.T, e *engine.Engine) {
	var items []feedback.Item
	for range rapid.IntRange(1, 12).Draw(rt, "items") {
		survey := rapid.SampledFrom([]feedback.Survey{feedback.NPS, feedback.CSAT, feedback.CES, "mood", ""}).Draw(rt, "survey")
		hour := rapid.SampledFrom([]int{-9000, -800, -120, -49, -48, -25, -24, -23, -6, -5, -1, 0, 1, 30}).Draw(rt, "hour")
		it := feedback.Item{
			ExternalID: rapid.SampledFrom(strings.Split("abcdefghijklmnop", "")).Draw(rt, "id"), Survey: survey,
			Text:       rapid.SampledFrom([]string{"plain", "#shipping", "box #shipping/late #price", "#price #price/high", "#packaging/box #staff"}).Draw(rt, "text"),
			Touchpoint: rapid.SampledFrom([]string{"", "checkout", "desk"}).Draw(rt, "touchpoint"),
			Channel:    rapid.SampledFrom([]string{"web", "mail"}).Draw(rt, "channel"),
			OccurredAt: feedback.TimeOf(time.Date(2026, 1, 5, hour, 30, 0, 0, m.zone)),
			Version:    int64(rapid.IntRange(1, 6).Draw(rt, "version")),
		}
		it.Customer.Segment = rapid.SampledFrom([]string{"home", "trade"}).Draw(rt, "segment")
		if lo, hi, ok := survey.Scale(); ok {
			it.Score = new(float64(rapid.IntRange(int(lo), int(hi)).Draw(rt, "score")))
		} else if survey != "" {
			it.ScaleMin, it.ScaleMax = new(-100.0), new(100.0)
			it.Score = new(float64(rapid.IntRange(-1000, 1000).Draw(rt, "mood")) / 10)
		}
		items = append(items, it)
	}
	r, err := e.Ingest(context.Background(), "app", items...)
	if err != nil {
		rt.Fatal(err)
	}
	for i, row := range r.Rows {
		if row.Outcome == "new" || row.Outcome == "revised" {
			m.items[items[i].ExternalID] = items[i]
		}
	}
}

func (m *metricModel) correct(rt *rapid.T, e *engine.Engine) {
	items, err := e.Items(context.Background(), engine.ItemQuery{Limit: 1 << 20})
	if err != nil {
		rt.Fatal(err)
	}
	if len(items) == 0 {
		return
	}
	c := engine.Correction{Item: items[rapid.IntRange(0, len(items)-1).Draw(rt, "item")].ID, By: engine.Actor{Name: "mia"}, Why: "seen"}
	c.Remove = []feedback.ThemePath{rapid.SampledFrom([]feedback.ThemePath{"shipping", "price", "packaging/box"}).Draw(rt, "remove")}
	if rapid.Bool().Draw(rt, "adds") {
		c.Add = []feedback.ThemePath{rapid.SampledFrom([]feedback.ThemePath{"staff/rude", "packaging/opening"}).Draw(rt, "add")}
	}
	if _, err := e.Correct(context.Background(), c); err != nil {
		rt.Fatal(err)
	}
}

// check asks one random query, and computes every figure of the answer.
func (m *metricModel) check(rt *rapid.T, e *engine.Engine, now time.Time) {
	q := engine.MetricQuery{
		Measure:   rapid.SampledFrom([]string{"items", "share", "nps", "csat", "ces", "mood"}).Draw(rt, "measure"),
		Dimension: rapid.SampledFrom(append(engine.Dimensions(), "")).Draw(rt, "dimension"),
		Every:     rapid.SampledFrom([]engine.Period{"", engine.EveryDay, engine.EveryWeek, engine.EveryMonth}).Draw(rt, "every"),
		Limit:     1000,
	}
	if q.Measure == "share" && q.Dimension == "" || q.Measure == "mood" && !slices.ContainsFunc(m.now, func(it engine.Item) bool { return it.Survey == "mood" }) {
		return
	}
	first, last := m.span()
	if rapid.Bool().Draw(rt, "bounded") {
		first = time.Date(2025, 12, rapid.IntRange(1, 36).Draw(rt, "since"), 0, 0, 0, 0, time.UTC)
		last = first.AddDate(0, 0, rapid.IntRange(0, 60).Draw(rt, "length"))
		q.Since = feedback.TimeOf(time.Date(first.Year(), first.Month(), first.Day(), 13, 0, 0, 0, m.zone))
		q.Until = feedback.TimeOf(time.Date(last.Year(), last.Month(), last.Day(), 2, 0, 0, 0, m.zone))
		q.Compare = rapid.Bool().Draw(rt, "compare")
	}
	r, err := e.Metric(context.Background(), q)
	if err != nil {
		rt.Fatalf("%+v: %v", q, err)
	}
	want := map[string]bool{}
	if q.Dimension == "" {
		want[""] = true
	} else {
		for i := range m.now {
			for _, v := range valuesOf(&m.now[i], q.Dimension) {
				asked := q
				if q.Measure == "share" {
					asked.Measure = "items"
				}
				if n, _, _ := m.figure(asked, v, first, last); v != "" && n > 0 {
					want[v] = true
				}
			}
		}
	}
	for _, v := range r.Values {
		if !want[v.Value] {
			rt.Fatalf("%+v tells of %q, which has no feedback", q, v.Value)
		}
		delete(want, v.Value)
		m.same(rt, q, "total", v.Value, v.Total, first, last)
		for i, p := range r.Periods {
			m.same(rt, q, p.From, v.Value, v.Periods[i], date(rt, p.From), date(rt, p.To))
		}
		if q.Compare {
			m.same(rt, q, "before", v.Value, v.Change.Before, date(rt, r.Before.From), date(rt, r.Before.To))
		}
	}
	if len(want) > 0 {
		rt.Fatalf("%+v does not tell of %v", q, want)
	}
	if n := len(r.Periods); n > 0 && q.Since != 0 && (date(rt, r.Periods[0].From) != first || date(rt, r.Periods[n-1].To) != last) {
		rt.Fatalf("%+v has the periods %+v", q, r.Periods)
	}
}

// span returns the first and the last day with feedback.
func (m *metricModel) span() (first, last time.Time) {
	for i := range m.now {
		d := m.day(m.now[i].OccurredAt)
		if first.IsZero() || d.Before(first) {
			first = d
		}
		if d.After(last) {
			last = d
		}
	}
	return first, last
}

func date(rt *rapid.T, day string) time.Time {
	d, err := time.Parse(time.DateOnly, day)
	if err != nil {
		rt.Fatal(err)
	}
	return d
}

// same compares a figure with that of the model.
func (m *metricModel) same(rt *rapid.T, q engine.MetricQuery, what, value string, got engine.Figure, from, to time.Time) {
	n, want, known := m.figure(q, value, from, to)
	ok := got.N == n && (got.Value != nil) == known
	if ok && known {
		ok = alike(got.Value, want.Value) && alike(got.Lo, want.Lo) && alike(got.Hi, want.Hi)
	}
	if !ok {
		rt.Fatalf("%+v: %s of %q from %s to %s is %s, want %d: %+v", q, what, value, from, to, fmt.Sprint(got.N, show(got.Value), show(got.Lo), show(got.Hi)), n, want)
	}
}

func show(v *float64) any {
	if v == nil {
		return nil
	}
	return *v
}

// alike compares to what adding up in another order may change.
func alike(got *float64, want float64) bool {
	if math.IsNaN(want) {
		return got == nil
	}
	return got != nil && math.Abs(*got-want) <= 1e-4*max(math.Abs(want), 1)
}
