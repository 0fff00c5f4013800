package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

const (
	benchDays   = 730
	benchThemes = 500 // below 50 others
	benchSample = 20_000
)

// perDay is how many items of a day the benchmark counts: 5 million in two years, or with -short 73,000.
func perDay() int {
	if testing.Short() {
		return 100
	}
	return 6850
}

var benchStart = time.Date(2024, 11, 23, 12, 0, 0, 0, time.UTC)

// BenchmarkMetric asks for metrics over two years of 6,850 items a day: 5,000,500 in all. The store holds what their
// commits keep for metrics, written by the same code (records.Tally), a day in each update: one or two of 500 themes below
// 50 others, 6 touchpoints, 4 segments, 4 channels, 3 sources, 8 queues, and a score for each item. It does not hold the items
// themselves, but for 20,000. The baseline reads those and adds up what they count, and is taken times as many as there
// are of the days asked for.
//
//	go test -run - -bench Metric -benchtime 50x ./engine
func BenchmarkMetric(b *testing.B) {
	dir := b.TempDir()
	open := func() *store.Store {
		st, err := store.Open(dir, store.Options{Profile: store.Server})
		if err != nil {
			b.Fatal(err)
		}
		return st
	}
	st := open()
	for d := range benchDays {
		fillRollups(b, st, d, 1, perDay())
	}
	if err := st.Close(); err != nil {
		b.Fatal(err)
	}
	st = open()
	defer st.Close()
	perItem := scanItems(b, st)
	end := benchStart.AddDate(0, 0, benchDays-1)
	s := &State{store: st, zone: time.UTC, Clock: func() time.Time { return end }}
	since := func(days int) feedback.Time { return feedback.TimeOf(end.AddDate(0, 0, 1-days)) }
	asks := []benchAsk{
		{"nps of all", benchDays, MetricQuery{Measure: "nps"}},
		{"nps of a theme", benchDays, MetricQuery{Measure: "nps", Dimension: "theme", Value: "theme-07"}},
		{"nps of a theme by month", benchDays, MetricQuery{Measure: "nps", Dimension: "theme", Value: "theme-07", Every: EveryMonth}},
		{"nps by day", benchDays, MetricQuery{Measure: "nps", Every: EveryDay}},
		{"nps of each theme", benchDays, MetricQuery{Measure: "nps", Dimension: "theme"}},
		{"nps of each theme in 30 days", 30, MetricQuery{Measure: "nps", Dimension: "theme", Since: since(30)}},
		{"the same compared with the 30 before", 60, MetricQuery{Measure: "nps", Dimension: "theme", Since: since(30), Compare: true}},
		{"items of each theme in 30 days compared", 60, MetricQuery{Measure: "items", Dimension: "theme", Since: since(30), Compare: true}},
		{"share of each theme in 90 days", 90, MetricQuery{Measure: "share", Dimension: "theme", Since: since(90)}},
		{"nps of the first 50 themes by month", benchDays, MetricQuery{Measure: "nps", Dimension: "theme", Every: EveryMonth}},
		{"nps of each segment by week", benchDays, MetricQuery{Measure: "nps", Dimension: "segment", Every: EveryWeek}},
	}
	run := func(kind string, asks []benchAsk) {
		for _, ask := range asks {
			b.Run(kind+ask.name, func(b *testing.B) {
				least := time.Duration(1 << 62)
				for b.Loop() {
					from := time.Now()
					if r, err := s.Metric(b.Context(), ask.q); err != nil || len(r.Values) == 0 || r.Values[0].Total.N == 0 {
						b.Fatal(r, err)
					}
					least = min(least, time.Since(from))
				}
				b.ReportMetric(float64(least.Microseconds())/1000, "ms-least")
				b.ReportMetric(float64(perItem)*float64(ask.days*perDay())/float64(least), "x-faster-than-items")
			})
		}
	}
	run("", asks)
	fillRollups(b, st, benchDays-1, 1000, 32)
	run("after 1000 commits of today: ", asks[:6])
}

// benchAsk is a query over days.
type benchAsk struct {
	name string
	days int
	q    MetricQuery
}

// benchItem is an item with what it counts.
func benchItem(r *rand.Rand, n int, at time.Time) records.Item {
	pick := func(name string, of int) string { return fmt.Sprint(name, "-", r.IntN(of)) }
	it := feedback.Item{
		Source: pick("source", 3), ExternalID: fmt.Sprint(n), Survey: feedback.NPS, Score: new(float64(r.IntN(11))),
		Text:    "the delivery was late again and support did not answer my email twice but the courier was friendly",
		Channel: pick("channel", 4), Touchpoint: pick("touchpoint", 6), Customer: feedback.Customer{ID: fmt.Sprint("c-", r.IntN(100_000)), Segment: pick("segment", 4)},
		OccurredAt: feedback.TimeOf(at),
	}
	it.ID = feedback.NewItemID(it.OccurredAt, it.Source, it.ExternalID)
	var l feedback.Labels
	for range 1 + r.IntN(2) {
		t := r.IntN(benchThemes)
		l.Themes = append(l.Themes, feedback.Theme{Path: feedback.ThemePath(fmt.Sprintf("theme-%02d/part-%d", t%50, t/50))})
	}
	return records.Item{Feedback: it, Revision: 1, Counted: records.ContributionOf(&it, &l, pick("queue", 8), time.UTC)}
}

// fillRollups counts items of a day, so many in each of some updates, and stores some of them.
func fillRollups(b *testing.B, st *store.Store, day, updates, items int) {
	b.Helper()
	r := rand.New(rand.NewPCG(7, uint64(day)))
	for u := range updates {
		err := st.Update(b.Context(), func(tx *store.Tx) error {
			var t records.Tally
			for n := range items {
				rec := benchItem(r, day*perDay()+n, benchStart.AddDate(0, 0, day))
				t.Add(&rec.Counted, 1)
				if u == 0 && n < benchSample/benchDays {
					if err := store.PutNew(tx, records.ItemKey(rec.Feedback.ID), &rec); err != nil {
						return err
					}
				}
			}
			return t.Write(tx)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// scanItems returns how long it takes to add up what one item counts.
func scanItems(b *testing.B, st *store.Store) time.Duration {
	b.Helper()
	least := time.Duration(1 << 62)
	n := 0
	for range 5 {
		from := time.Now()
		n = 0
		sums := sums{}
		err := st.View(func(snap *store.Snapshot) error {
			return records.Each(snap, records.ItemsPrefix(), nil, false, func(it *records.Item) (bool, error) {
				n++
				it.Counted.Each(func(id records.RollupID, r records.Rollup) {
					if id.Measure == "nps" && id.Dim.Name == records.DimTheme {
						sums.add(id.Dim.Value, &r, 1)
					}
				})
				return true, nil
			})
		})
		if err != nil {
			b.Fatal(err)
		}
		least = min(least, time.Since(from))
	}
	return least / time.Duration(n)
}
