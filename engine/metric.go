package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules/stats"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/suggest"
)

// ErrQuery says that a query asks for what there is not, or contradicts itself. The message says what was expected.
var ErrQuery = errors.New("bad query")

// The measures that are no kind of survey.
const (
	MeasureItems = records.Volume // how many items there are
	MeasureShare = records.Share  // how many of all items have the value of the dimension
)

// Period is a length of calendar time in the program's timezone. Weeks begin on Monday.
type Period string

// The periods.
const (
	EveryDay   Period = "day"
	EveryWeek  Period = "week"
	EveryMonth Period = "month"
)

// MetricQuery chooses what a metric tells. Zero members choose all.
type MetricQuery struct {
	// Measure is items, share, or the kind of survey whose answers are told: nps, csat, ces, stars or another one that the
	// program has answers of. Metric needs it.
	Measure string `json:"measure,omitempty"`
	// Dimension divides the items: theme, touchpoint, segment, channel, source or queue. Items have one value of it or none,
	// but for themes: they count for each of theirs and for those above.
	Dimension string        `json:"dimension,omitempty"`
	Value     string        `json:"value,omitempty"` // only this value of the dimension
	Since     feedback.Time `json:"since,omitzero"`  // from the day of this instant on
	Until     feedback.Time `json:"until,omitzero"`  // to the day of this instant, inclusive
	// Every asks for the figures of each day, week or month as well. The first and the last one may be cut by Since and
	// Until, which then defaults to the last day with feedback.
	Every Period `json:"every,omitempty"`
	// Compare asks how the figures differ from those of the time before: of as many months when the time is of whole months,
	// and else of as many days. It needs Since; Until then defaults to today, or to tomorrow when the latest feedback has
	// that date. What is dated later still is left out.
	Compare bool `json:"compare,omitempty"`
	Limit   int  `json:"limit,omitempty"` // of values told. Defaults to 50.
}

// Dimensions returns the dimensions that items can be divided by.
func Dimensions() []string {
	return []string{records.DimTheme, records.DimTouchpoint, records.DimSegment, records.DimChannel, records.DimSource, records.DimQueue}
}

// Periods returns the periods, the shortest first.
func Periods() []string { return []string{string(EveryDay), string(EveryWeek), string(EveryMonth)} }

// MetricResult is what a metric tells.
type MetricResult struct {
	Measure   string         `json:"measure"`
	Statistic Statistic      `json:"statistic"`
	Dimension string         `json:"dimension,omitempty"`
	Every     Period         `json:"every,omitempty"`
	From      string         `json:"from,omitempty"` // the first day, as 2006-01-02; empty when the query sets no bound
	To        string         `json:"to,omitempty"`   // the last day
	Values    []MetricValue  `json:"values"`         // those with most answers first; one without a name when there is no dimension
	More      int            `json:"more,omitempty"` // values beyond the limit
	Periods   []MetricPeriod `json:"periods,omitempty"`
	Before    *MetricPeriod  `json:"before,omitempty"` // what the figures are compared with
}

// MetricPeriod is days from one to another, both inclusive, as 2006-01-02.
type MetricPeriod struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// MetricValue is the figures of one value of the dimension.
type MetricValue struct {
	Value   string   `json:"value,omitempty"`
	Total   Figure   `json:"total"`
	Periods []Figure `json:"periods,omitempty"` // as those of the result
	Change  *Change  `json:"change,omitempty"`
}

// Metric tells a figure with its 95 % interval: of everything, or of each value of a dimension, and of each day, week or
// month. It reads sums that are kept up to date with every commit, not the items, so that it takes as long for few items as
// for many: about as many reads as there are values, times the periods when there are some, by all processors.
func (s *State) Metric(_ context.Context, q MetricQuery) (*MetricResult, error) {
	if q.Limit <= 0 {
		q.Limit = 50
	}
	var out *MetricResult
	err := s.store.View(func(snap *store.Snapshot) error {
		m := metering{fold: fold{snap: snap, measure: q.Measure, dim: cmp.Or(q.Dimension, records.DimAll), value: q.Value}, q: q}
		err := m.check()
		if err == nil {
			err = m.bound(s)
		}
		if err == nil {
			out, err = m.result()
		}
		return err
	})
	return out, err
}

// Measure is something that can be measured.
type Measure struct {
	Measure   string    `json:"measure"`
	Statistic Statistic `json:"statistic"`
	Total     Figure    `json:"total"` // of everything that there is
	From      string    `json:"from"`  // the first day, as 2006-01-02
	To        string    `json:"to"`    // the last day
}

// Measures returns what the program has feedback of: items, and each kind of survey with answers.
func (s *State) Measures(context.Context) ([]Measure, error) {
	out := []Measure{}
	err := s.store.View(func(snap *store.Snapshot) error {
		kept, err := records.Measures(snap)
		if err != nil {
			return err
		}
		for _, name := range measures(kept) {
			first, last, err := records.RollupSpan(snap, name, records.DimAll)
			if err != nil {
				return err
			}
			if first == 0 {
				continue
			}
			f := fold{snap: snap, measure: name, dim: records.DimAll}
			all, err := f.between(0, 0, nil)
			if err != nil {
				return err
			}
			stat := statisticOf(name)
			out = append(out, Measure{name, stat, stat.figure(all.of(""), nil), day(first), day(last)})
		}
		return nil
	})
	return out, err
}

// metering is a metric in the making.
type metering struct {
	fold
	q           MetricQuery
	statistic   Statistic
	first, last uint32 // days; 0 for none
	periods     []span
	all         *records.Rollup // what shares are of
}

// check refuses a query that cannot be answered.
func (m *metering) check() error {
	q := &m.q
	kept, err := records.Measures(m.snap)
	if err != nil {
		return err
	}
	known := measures(kept)
	switch {
	case q.Measure == "":
		return fmt.Errorf("%w: no measure, expected one of %s", ErrQuery, strings.Join(known, ", "))
	case q.Value != "" && q.Dimension == "":
		return fmt.Errorf("%w: the value %q without a dimension", ErrQuery, q.Value)
	case q.Measure == MeasureShare && q.Dimension == "":
		return fmt.Errorf("%w: a share without a dimension, which says of what", ErrQuery)
	case q.Compare && q.Since == 0:
		return fmt.Errorf("%w: nothing is before a time without a beginning: since is missing", ErrQuery)
	}
	m.statistic = statisticOf(q.Measure)
	if q.Measure == MeasureShare {
		m.measure = MeasureItems
	}
	return cmp.Or(oneOf("measure", q.Measure, known...), oneOf("dimension", q.Dimension, Dimensions()...), oneOf("every", string(q.Every), Periods()...))
}

// oneOf refuses what a member of a query cannot be. An empty one chooses all.
func oneOf[T ~string](name string, found T, allowed ...T) error {
	if found == "" || slices.Contains(allowed, found) {
		return nil
	}
	var all []string
	for _, a := range allowed {
		all = append(all, string(a))
	}
	hint := suggest.DidYouMean(string(found), all)
	return fmt.Errorf("%w: %s: found %q, expected one of %s%s", ErrQuery, name, found, strings.Join(all, ", "), prefixed("; ", hint))
}

// measures returns what can be asked for, when these are kept.
func measures(kept []string) []string {
	out := []string{MeasureItems, MeasureShare, string(feedback.NPS), string(feedback.CSAT), string(feedback.CES), string(feedback.Stars)}
	for _, k := range kept {
		if !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

// bound finds the first and the last day, and the periods between them.
func (m *metering) bound(s *State) error {
	if m.q.Since != 0 {
		m.first = records.Day(m.q.Since, s.zone)
	}
	if m.q.Until != 0 {
		m.last = records.Day(m.q.Until, s.zone)
	}
	if m.first != 0 && m.last != 0 && m.last < m.first {
		return fmt.Errorf("%w: until is before since", ErrQuery)
	}
	if m.q.Every == "" && !m.q.Compare {
		return nil
	}
	first, last, err := records.RollupSpan(m.snap, m.measure, records.DimAll)
	if err != nil {
		return err
	}
	now := s.Clock().In(s.zone)
	today := records.DayOf(now)
	if m.q.Compare && last != records.DayOf(now.AddDate(0, 0, 1)) {
		last = today // not a wrong date, which would make both times longer
	}
	m.last = cmp.Or(m.last, last, today)
	m.first = cmp.Or(m.first, first, today)
	if m.last < m.first {
		return fmt.Errorf("%w: since is %s, and the last day is %s", ErrQuery, day(m.first), day(m.last))
	}
	m.periods, err = divided(m.first, m.last, m.q.Every)
	return err
}

// result puts the figures together.
func (m *metering) result() (*MetricResult, error) {
	out := &MetricResult{Measure: m.q.Measure, Statistic: m.statistic, Dimension: m.q.Dimension, Every: m.q.Every, From: day(m.first), To: day(m.last)}
	now, err := m.between(m.first, m.last, nil)
	if err != nil {
		return nil, err
	}
	if m.all, err = m.denominator(m.first, m.last); err != nil {
		return nil, err
	}
	names := ranked(now, m.q.Value, m.q.Dimension == "")
	change, err := m.changes(out, now, names)
	if err != nil {
		return nil, err
	}
	out.More = max(0, len(names)-m.q.Limit)
	names = names[:len(names)-out.More]
	out.Values = make([]MetricValue, len(names))
	for i, name := range names {
		out.Values[i] = MetricValue{Value: name, Total: m.statistic.figure(now.of(name), m.all), Change: change(i)}
	}
	return out, m.series(out, names)
}

// series adds the figures of each period.
func (m *metering) series(out *MetricResult, names []string) error {
	if len(m.periods) == 0 {
		return nil
	}
	out.Periods = make([]MetricPeriod, len(m.periods))
	for j := range out.Values {
		out.Values[j].Periods = make([]Figure, len(m.periods))
	}
	return parallel(len(m.periods), func(i int) error {
		p := m.periods[i]
		sums, err := m.between(p.first, p.last, names)
		if err != nil {
			return err
		}
		all, err := m.denominator(p.first, p.last)
		if err != nil {
			return err
		}
		out.Periods[i] = MetricPeriod{day(p.first), day(p.last)}
		for j, name := range names {
			out.Values[j].Periods[i] = m.statistic.figure(sums.of(name), all)
		}
		return nil
	})
}

// changes compares the named values with those of the time before, and returns what tells of one of them.
func (m *metering) changes(out *MetricResult, now sums, names []string) (func(i int) *Change, error) {
	if !m.q.Compare {
		return func(int) *Change { return nil }, nil
	}
	p := preceding(span{m.first, m.last})
	out.Before = &MetricPeriod{day(p.first), day(p.last)}
	was, err := m.between(p.first, p.last, nil)
	if err != nil {
		return nil, err
	}
	all, err := m.denominator(p.first, p.last)
	if err != nil {
		return nil, err
	}
	sides := func(i int) (is, before side) {
		return side{now.of(names[i]), m.all, span{m.first, m.last}.days()}, side{was.of(names[i]), all, p.days()}
	}
	ps := make([]float64, len(names))
	for i := range names {
		ps[i] = m.statistic.test(sides(i))
	}
	qs := stats.BenjaminiHochberg(ps)
	return func(i int) *Change {
		is, before := sides(i)
		return m.statistic.change(is, before, ps[i], qs[i])
	}, nil
}

// denominator returns what shares are of: all items of the days; nil for other statistics.
func (m *metering) denominator(first, last uint32) (*records.Rollup, error) {
	if m.statistic != ShareOfItems {
		return nil, nil
	}
	f := fold{snap: m.snap, measure: MeasureItems, dim: records.DimAll}
	all, err := f.between(first, last, nil)
	return all.of(f.value), err
}

// ranked returns the values with answers, the most first: the one that was asked for, and that of no dimension, in any case.
func ranked(sums sums, asked string, none bool) []string {
	if asked != "" || none {
		return []string{asked}
	}
	names := make([]string, 0, len(sums))
	for name, r := range sums {
		if r.N != 0 {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(sums[b].N, sums[a].N), cmp.Compare(a, b)) })
	return names
}

// day writes a day as 2006-01-02, and none as nothing.
func day(d uint32) string {
	if d == 0 {
		return ""
	}
	return records.Date(d).Format(time.DateOnly)
}
