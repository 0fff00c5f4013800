package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// asker answers metrics: an engine, or a client of one.
type asker interface {
	Metric(context.Context, engine.MetricQuery) (*engine.MetricResult, error)
}

func metric(t *testing.T, a asker, q engine.MetricQuery) *engine.MetricResult {
	t.Helper()
	r, err := a.Metric(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func near(got *float64, want float64) bool { return got != nil && math.Abs(*got-want) < 1e-4 }

func wantFigure(t *testing.T, what string, f engine.Figure, n int, value, lo, hi float64) {
	t.Helper()
	if f.N != n || !near(f.Value, value) || !near(f.Lo, lo) || !near(f.Hi, hi) {
		t.Errorf("%s: %v (%v to %v) of %d, want %v (%v to %v) of %d", what, show(f.Value), show(f.Lo), show(f.Hi), f.N, value, lo, hi, n)
	}
}

// given takes in answers of a survey on a day at noon, so many of each score.
func given(t *testing.T, e *engine.Engine, survey feedback.Survey, day string, theme string, scores map[float64]int) {
	t.Helper()
	at, err := time.Parse(time.DateOnly, day)
	if err != nil {
		t.Fatal(err)
	}
	var items []feedback.Item
	for score, n := range scores {
		for i := range n {
			items = append(items, feedback.Item{
				ExternalID: fmt.Sprint(survey, day, theme, score, i), Survey: survey, Score: &score, Text: "#" + theme,
				OccurredAt: feedback.TimeOf(at.Add(12 * time.Hour)),
			})
		}
	}
	if _, err := e.Ingest(t.Context(), "app", items...); err != nil {
		t.Fatal(err)
	}
}

func instantAt(t *testing.T, day string) feedback.Time {
	t.Helper()
	at, err := time.Parse(time.DateOnly, day)
	if err != nil {
		t.Fatal(err)
	}
	return feedback.TimeOf(at)
}

const quietRules = "-- rules/route.yaml --\nversion: 1\ngroups:\n  - name: g\n    rules:\n      - {id: none, when: text == \"none\", do: [{tag: [none]}]}\n"

// TestAWrongDateIsNotCompared has feedback of tomorrow, which clocks that are ahead explain, and of next year.
func TestAWrongDateIsNotCompared(t *testing.T) {
	t.Parallel()
	e := open(t, writeProgram(t, programFiles+quietRules), &parts{}, func(o *engine.Options) {
		o.Now = func() time.Time { return time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC) }
	})
	given(t, e, feedback.NPS, "2026-03-20", "price", map[float64]int{10: 2})
	q := engine.MetricQuery{Measure: "nps", Since: instantAt(t, "2026-03-17"), Compare: true}
	for _, want := range []struct{ given, until, before string }{
		{"2026-03-31", "2026-03-31", "2026-03-02"}, {"2026-04-01", "2026-04-01", "2026-03-01"}, {"2027-05-01", "2026-03-31", "2026-03-02"},
	} {
		given(t, e, feedback.NPS, want.given, "price", map[float64]int{0: 1})
		if r := metric(t, e, q); r.To != want.until || r.Before.From != want.before || r.Before.To != "2026-03-16" {
			t.Errorf("with %s: until %s, compared with %+v", want.given, r.To, r.Before)
		}
	}
}

// TestMetricsHaveTheKnownIntervals asks for figures whose intervals and tests are known.
func TestMetricsHaveTheKnownIntervals(t *testing.T) {
	t.Parallel()
	e := open(t, writeProgram(t, programFiles+quietRules), &parts{}, func(o *engine.Options) {
		o.Now = func() time.Time { return time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC) }
	})
	given(t, e, feedback.NPS, "2026-03-10", "price", map[float64]int{3: 20, 7: 30, 10: 50})
	given(t, e, feedback.NPS, "2026-02-10", "price", map[float64]int{0: 30, 8: 30, 9: 40})
	given(t, e, feedback.CSAT, "2026-03-11", "app", map[float64]int{1: 100, 3: 82, 4: 40, 5: 41})
	given(t, e, feedback.CES, "2026-03-12", "form", map[float64]int{1: 1, 2: 1, 4: 1, 5: 2, 6: 4, 7: 3})
	march := engine.MetricQuery{Measure: "nps", Since: instantAt(t, "2026-03-01"), Until: instantAt(t, "2026-03-31"), Compare: true}

	r := metric(t, e, march)
	wantFigure(t, "nps of March", r.Values[0].Total, 100, 30, 13.9551, 44.3393)
	c := r.Values[0].Change
	if r.Before.From != "2026-02-01" || r.Before.To != "2026-02-28" || c.Before.N != 100 || !near(c.Value, 20) || math.Abs(c.P-0.08321587) > 1e-6 {
		t.Errorf("compared with %+v: %+v", r.Before, c)
	}
	csat := metric(t, e, engine.MetricQuery{Measure: "csat"}).Values[0].Total
	wantFigure(t, "csat", csat, 263, 81.0/263, .255289, .366210)
	if csat.Hits != 81 {
		t.Errorf("%d are satisfied, want 81", csat.Hits)
	}
	wantFigure(t, "ces", metric(t, e, engine.MetricQuery{Measure: "ces"}).Values[0].Total, 12, 5.166667, 3.930080, 6.403253)
	share := march
	share.Measure, share.Dimension, share.Value = "share", "theme", "price"
	r = metric(t, e, share)
	if f := r.Values[0].Total; f.N != 375 || f.Hits != 100 || !near(f.Value, 100.0/375) {
		t.Errorf("share %+v", f)
	}
	if c := r.Values[0].Change; c.Before.N != 100 || !near(c.Before.Value, 1) || c.P > 1e-6 || c.Q != c.P {
		t.Errorf("share before %+v", c)
	}
	items := march
	items.Measure, items.Dimension = "items", "theme"
	r = metric(t, e, items)
	if len(r.Values) != 3 || r.Values[0].Value != "app" || r.Values[0].Change.Value != nil || r.Values[1].Value != "price" || !near(r.Values[1].Change.Value, 28.0/31) {
		t.Errorf("items by theme: %+v", r.Values)
	}
	weeks := metric(t, e, engine.MetricQuery{Measure: "nps", Dimension: "theme", Every: engine.EveryWeek, Since: instantAt(t, "2026-02-05")})
	if len(weeks.Periods) != 6 || weeks.Periods[0] != (engine.MetricPeriod{From: "2026-02-05", To: "2026-02-08"}) || weeks.Periods[5] != (engine.MetricPeriod{From: "2026-03-09", To: "2026-03-12"}) &&
		weeks.Periods[5] != (engine.MetricPeriod{From: "2026-03-09", To: "2026-03-10"}) {
		t.Errorf("weeks %+v", weeks.Periods)
	}
	if v := weeks.Values[0]; v.Value != "price" || v.Periods[0].N != 0 || v.Periods[0].Value != nil || v.Periods[1].N != 100 || v.Periods[5].N != 100 || v.Total.N != 200 {
		t.Errorf("weeks of price %+v", v)
	}
	one := metric(t, e, engine.MetricQuery{Measure: "stars"}).Values[0].Total
	if one.N != 0 || one.Value != nil || one.Lo != nil {
		t.Errorf("of no answer: %+v", one)
	}
	known, err := e.Measures(t.Context())
	if err != nil || len(known) != 4 || known[1].Measure != "nps" || known[1].From != "2026-02-10" || known[1].To != "2026-03-10" || known[0].Total.N != 475 {
		t.Errorf("%+v, %v", known, err)
	}
}

// TestMetricQueriesAreRefused asks for what there is not.
func TestMetricQueriesAreRefused(t *testing.T) {
	t.Parallel()
	e := open(t, writeProgram(t, programFiles+quietRules), &parts{})
	given(t, e, feedback.NPS, "2026-03-10", "price", map[float64]int{3: 1})
	if r, err := e.Ingest(t.Context(), "app", feedback.Item{ExternalID: "x", Survey: "items", Score: new(1.0), ScaleMin: new(0.0), ScaleMax: new(2.0)}); err != nil || r.Rejected != 1 {
		t.Errorf("a survey with the name of a metric: %+v, %v", r, err)
	}
	for want, q := range map[string]engine.MetricQuery{
		"no measure":                 {},
		`did you mean "nps"?`:        {Measure: "npss"},
		`did you mean "theme"?`:      {Measure: "nps", Dimension: "themes"},
		`did you mean "week"?`:       {Measure: "nps", Every: "weak"},
		"without a dimension, which": {Measure: "share"},
		`the value "x"`:              {Measure: "nps", Value: "x"},
		"since is missing":           {Measure: "nps", Compare: true},
		"until is before since":      {Measure: "nps", Since: instantAt(t, "2026-03-02"), Until: instantAt(t, "2026-03-01")},
		"more than 3660 times a day": {Measure: "nps", Every: engine.EveryDay, Since: instantAt(t, "2000-01-01")},
	} {
		if _, err := e.Metric(t.Context(), q); !errors.Is(err, engine.ErrQuery) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", q, err, want)
		}
	}
}

// countsFor checks that every metric by a dimension has the one answer, a 2 of the 2nd of March, for these values and no others.
func (d *desk) countsFor(dimension string, values ...string) {
	d.t.Helper()
	march2 := feedback.TimeOf(berlin(d.t, "2026-03-02 23:59"))
	for _, measure := range []string{"items", "share", "nps"} {
		for _, every := range []engine.Period{"", engine.EveryDay, engine.EveryWeek, engine.EveryMonth} {
			q := engine.MetricQuery{Measure: measure, Dimension: dimension, Every: every, Since: march2, Until: march2}
			r := metric(d.t, d, q)
			var got []string
			for i := range r.Values {
				v := &r.Values[i]
				got = append(got, v.Value)
				want := map[string]float64{"items": 1, "share": 1, "nps": -100}[measure]
				if v.Total.N != 1 || !near(v.Total.Value, want) || every != "" && (len(v.Periods) != 1 || v.Periods[0].N != 1) {
					d.t.Errorf("%s of %s %s: %+v", measure, dimension, v.Value, v)
				}
			}
			if !slices.Equal(got, values) {
				d.t.Errorf("%s by %s and %q counts for %q, want %q", measure, dimension, every, got, values)
			}
			q.Since, q.Until = feedback.TimeOf(berlin(d.t, "2026-03-03 00:00")), feedback.TimeOf(berlin(d.t, "2026-03-09 00:00"))
			if r := metric(d.t, d, q); len(r.Values) != 0 {
				d.t.Errorf("a day later %s by %s counts %+v", measure, dimension, r.Values)
			}
		}
	}
	themes, err := d.Themes(d.t.Context(), engine.MetricQuery{Since: march2, Until: march2})
	if err != nil || dimension == "theme" && len(themes) != len(values) {
		d.t.Errorf("themes %+v, %v", themes, err)
	}
	for _, v := range values {
		if n, err := d.NPS(d.t.Context(), engine.MetricQuery{Dimension: dimension, Value: v}); err != nil || n.Detractors != 1 || n.N != 1 {
			d.t.Errorf("nps of %s %s: %+v, %v", dimension, v, n, err)
		}
	}
}

// TestMetricsOfAnyTime asks for times that no calendar knows: an answer or a refusal comes, and soon.
func TestMetricsOfAnyTime(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	d.says("1", 2, "late")
	year := func(y int) feedback.Time { return feedback.TimeOf(time.Date(y, 3, 5, 0, 0, 0, 0, time.UTC)) }
	times := []feedback.Time{0, 1, math.MinInt64, math.MaxInt64, year(-5000), year(-1), year(0), year(2026), year(9999), year(10_000), year(42_949), year(429_496), year(429_497)}
	for _, since := range times {
		for _, until := range times {
			for _, every := range []engine.Period{"", engine.EveryMonth, "fortnight"} {
				q := engine.MetricQuery{Measure: "nps", Since: since, Until: until, Every: every, Compare: since != 0, Limit: -1}
				r, err := d.Metric(t.Context(), q)
				if err != nil && !errors.Is(err, engine.ErrQuery) {
					t.Errorf("%+v: %v", q, err)
				}
				if in := since < year(2026) && (until == 0 || until >= year(2026)); err == nil && (r.Values[0].Total.N == 1) != in {
					t.Errorf("%+v: %d answers", q, r.Values[0].Total.N)
				}
			}
		}
	}
}
