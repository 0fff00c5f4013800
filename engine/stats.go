package engine

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/stats"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// confidence of every interval that the engine reports.
const confidence = 0.95

// NPS is a Net Promoter Score with its 95 % score interval; see stats.NPSScore.
type NPS struct {
	N          int     `json:"n"`
	Detractors int     `json:"detractors"`
	Passives   int     `json:"passives"`
	Promoters  int     `json:"promoters"`
	Value      float64 `json:"value"` // -100 to 100
	Lo         float64 `json:"lo"`
	Hi         float64 `json:"hi"`
}

// MetricQuery chooses what a metric counts. Zero members choose all.
type MetricQuery struct {
	// By is a dimension and Value its value: theme, touchpoint, segment, channel, source or queue.
	By    string        `json:"by,omitempty"`
	Value string        `json:"value,omitempty"`
	Since feedback.Time `json:"since,omitzero"` // by whole days of the program's timezone
	Until feedback.Time `json:"until,omitzero"` // inclusive
}

// NPS returns the score over what the query chooses.
func (s *State) NPS(_ context.Context, q MetricQuery) (NPS, error) {
	if q.By == "" {
		q.By = records.DimAll
	}
	var sum records.Rollup
	err := s.sums(string(feedback.NPS), q, func(value string, r *records.Rollup) {
		if value == q.Value {
			sum.Add(*r, 1)
		}
	})
	return npsOf(&sum), err
}

func npsOf(r *records.Rollup) NPS {
	var d, p, q int
	for score, n := range r.Hist {
		switch {
		case score <= 6:
			d += int(n)
		case score <= 8:
			p += int(n)
		default:
			q += int(n)
		}
	}
	v := NPS{N: d + p + q, Detractors: d, Passives: p, Promoters: q}
	if v.N > 0 {
		value, lo, hi := stats.NPSScore(d, p, q, confidence)
		v.Value, v.Lo, v.Hi = 100*value, 100*lo, 100*hi
	}
	return v
}

// Theme is how often a theme was found.
type Theme struct {
	Theme feedback.ThemePath `json:"theme"`
	Items int                `json:"items"` // with it or a theme below it
	NPS   NPS                `json:"nps"`   // of those that answer an nps question
}

// Themes returns the themes that were found, the most frequent first. By and Value of the query are not used.
func (s *State) Themes(_ context.Context, q MetricQuery) ([]Theme, error) {
	q.By = records.DimTheme
	items, scores := map[string]int64{}, map[string]*records.Rollup{}
	err := s.sums(records.Volume, q, func(theme string, r *records.Rollup) { items[theme] += r.N })
	if err != nil {
		return nil, err
	}
	err = s.sums(string(feedback.NPS), q, func(theme string, r *records.Rollup) {
		if scores[theme] == nil {
			scores[theme] = &records.Rollup{}
		}
		scores[theme].Add(*r, 1)
	})
	out := []Theme{}
	for theme, n := range items {
		if n == 0 {
			continue
		}
		t := Theme{Theme: feedback.ThemePath(theme), Items: int(n)}
		if r := scores[theme]; r != nil {
			t.NPS = npsOf(r)
		}
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b Theme) int { return cmp.Or(b.Items-a.Items, cmp.Compare(a.Theme, b.Theme)) })
	return out, err
}

// sums calls each with the rollups that the query chooses.
func (s *State) sums(measure string, q MetricQuery, each func(value string, r *records.Rollup)) error {
	first, last := uint32(0), ^uint32(0)
	if q.Since != 0 {
		first = records.Day(q.Since, s.zone)
	}
	if q.Until != 0 {
		last = records.Day(q.Until, s.zone)
	}
	return s.store.View(func(snap *store.Snapshot) error {
		return records.Sums(snap, measure, q.By, func(value string, day uint32, r *records.Rollup) error {
			if day >= first && day <= last {
				each(value, r)
			}
			return nil
		})
	})
}

// Stats is what a program remembers, in numbers.
type Stats struct {
	Items      int        `json:"items"`
	Imports    []Import   `json:"imports"`
	Themes     []Theme    `json:"themes"`
	NPS        NPS        `json:"nps"`
	Detractors []InQueue  `json:"detractors"` // by the queue that they were routed to
	Cases      CaseCounts `json:"cases"`
	Alerts     int        `json:"alerts"`
	Waiting    []Outgoing `json:"waiting"` // deliveries that wait, by destination
	// Dead counts the dead letters by kind.
	Dead map[feedback.DeadLetterKind]int `json:"dead"`
}

// Import is what one import of one source brought.
type Import struct {
	Source  string         `json:"source"`
	Batch   string         `json:"batch"`
	FirstAt feedback.Time  `json:"first_at"`
	LastAt  feedback.Time  `json:"last_at"`
	Notices map[string]int `json:"notices,omitempty"`
	feedback.Counts
}

// InQueue is how many of something a queue holds. An empty queue means that they were not routed.
type InQueue struct {
	Queue string `json:"queue"`
	Items int    `json:"items"`
}

// CaseCounts counts cases.
type CaseCounts struct {
	Open     int `json:"open"`
	Resolved int `json:"resolved"`
	Closed   int `json:"closed"`
	Breached int `json:"breached"` // open and past their due time
}

// Outgoing is what waits for a destination.
type Outgoing struct {
	Destination string        `json:"destination"`
	Messages    int           `json:"messages"`
	Oldest      feedback.Time `json:"oldest"`
	LastError   string        `json:"last_error,omitempty"` // of the first in line
	NextAt      feedback.Time `json:"next_at,omitzero"`
}

// Stats returns what the program remembers, in numbers.
func (s *State) Stats(ctx context.Context) (*Stats, error) {
	st := &Stats{Imports: []Import{}, Waiting: []Outgoing{}, Dead: map[feedback.DeadLetterKind]int{}}
	var err error
	if st.Themes, err = s.Themes(ctx, MetricQuery{}); err != nil {
		return nil, err
	}
	if st.NPS, err = s.NPS(ctx, MetricQuery{}); err != nil {
		return nil, err
	}
	if st.Detractors, err = s.routed(st.NPS.Detractors); err != nil {
		return nil, err
	}
	err = s.sums(records.Volume, MetricQuery{By: records.DimAll}, func(_ string, r *records.Rollup) { st.Items += int(r.N) })
	if err != nil {
		return nil, err
	}
	return st, s.store.View(func(snap *store.Snapshot) error { return st.scan(snap) })
}

// routed returns the detractors by queue, the longest first, and those of no queue last.
func (s *State) routed(all int) ([]InQueue, error) {
	queues := map[string]*records.Rollup{}
	err := s.sums(string(feedback.NPS), MetricQuery{By: records.DimQueue}, func(queue string, r *records.Rollup) {
		if queues[queue] == nil {
			queues[queue] = &records.Rollup{}
		}
		queues[queue].Add(*r, 1)
	})
	out := []InQueue{}
	for _, queue := range slices.Sorted(maps.Keys(queues)) {
		if n := npsOf(queues[queue]).Detractors; n > 0 {
			out = append(out, InQueue{queue, n})
			all -= n
		}
	}
	slices.SortStableFunc(out, func(a, b InQueue) int { return b.Items - a.Items })
	if all > 0 {
		out = append(out, InQueue{"", all})
	}
	return out, err
}

func (st *Stats) scan(snap *store.Snapshot) error {
	err := records.Each(snap, records.ImportPrefix(), nil, false, func(i *records.Import) (bool, error) {
		imp := Import{Source: i.Source, Batch: i.Batch, FirstAt: i.FirstAt, LastAt: i.LastAt, Notices: i.Notices}
		imp.Counts = i.Counts
		st.Imports = append(st.Imports, imp)
		return true, nil
	})
	if err != nil {
		return err
	}
	if st.Cases, err = countCases(snap); err != nil {
		return err
	}
	err = records.Each(snap, records.AlertPrefix(), nil, false, func(*rules.AlertState) (bool, error) {
		st.Alerts++
		return true, nil
	})
	if err != nil {
		return err
	}
	err = records.Each(snap, records.DeliveriesPrefix(), nil, false, func(d *feedback.Delivery) (bool, error) {
		st.outgoing(d)
		return true, nil
	})
	if err != nil {
		return err
	}
	return records.Each(snap, records.DeadLetterPrefix(), nil, false, func(l *feedback.DeadLetter) (bool, error) {
		st.Dead[l.Kind]++
		return true, nil
	})
}

// countCases counts the cases by what the indexes tell.
func countCases(snap *store.Snapshot) (n CaseCounts, err error) {
	queues, err := records.OpenQueues(snap)
	for _, queue := range queues {
		err = errors.Join(err, records.OpenCases(snap, queue, func(c records.OpenCase) (bool, error) {
			n.Open++
			if c.Breached {
				n.Breached++
			}
			return true, nil
		}))
	}
	for status, to := range map[feedback.CaseStatus]*int{feedback.CaseResolved: &n.Resolved, feedback.CaseClosed: &n.Closed} {
		var e error
		*to, e = records.CountCases(snap, status)
		err = errors.Join(err, e)
	}
	return n, err
}

// outgoing counts a delivery. They come by destination, in their order.
func (st *Stats) outgoing(d *feedback.Delivery) {
	if n := len(st.Waiting); n > 0 && st.Waiting[n-1].Destination == d.Destination {
		st.Waiting[n-1].Messages++
		return
	}
	st.Waiting = append(st.Waiting, Outgoing{
		Destination: d.Destination, Messages: 1, Oldest: d.CreatedAt, LastError: d.LastError, NextAt: d.NextAt,
	})
}

// Summary is what a pass of RunOnce did, and what the program remembers after it.
type Summary struct {
	Program string          `json:"program"`
	Took    time.Duration   `json:"took_ns"`
	Sources []SourceRun     `json:"sources"` // in the program's order
	Total   feedback.Counts `json:"total"`   // over the sources
	// Rejects are the rows of this pass that are no items, at most 100; Total.Rejected counts them all.
	Rejects  []feedback.DeadLetter `json:"rejects"`
	Cases    int                   `json:"cases"`    // opened
	Alerts   []feedback.Alert      `json:"alerts"`   // begun
	Messages int                   `json:"messages"` // put into the outbox
	Sent     int                   `json:"sent"`
	Stats    *Stats                `json:"stats"`
}

// SourceRun is what a pass brought from one source.
type SourceRun struct {
	Source  string         `json:"source"`
	Notices map[string]int `json:"notices,omitempty"`
	feedback.Counts
}

const summaryRejects = 100

// summary tells of the pass that began at from.
func (e *Engine) summary(ctx context.Context, from time.Time, sent int) (*Summary, error) {
	sum := &Summary{Program: e.Name(), Took: e.opts.Now().Sub(from), Rejects: []feedback.DeadLetter{}, Alerts: []feedback.Alert{}, Sent: sent}
	e.meter.mu.Lock()
	for i := range e.program.Sources {
		run := SourceRun{Source: e.program.Sources[i].ID}
		if r := e.meter.pass[run.Source]; r != nil {
			run.Counts = r.Import.Counts
			run.Notices = maps.Clone(r.Import.Notices)
			sum.Total.Add(r.Import.Counts)
			sum.Cases += r.Cases
			sum.Messages += r.Messages
		}
		sum.Sources = append(sum.Sources, run)
	}
	e.meter.mu.Unlock()
	var err error
	if sum.Stats, err = e.Stats(ctx); err != nil {
		return nil, err
	}
	return sum, e.passDetails(ctx, sum, feedback.TimeOf(from))
}

func (e *Engine) passDetails(ctx context.Context, sum *Summary, from feedback.Time) error {
	if sum.Total.Rejected > 0 {
		letters, err := e.DeadLetters(ctx, "", summaryRejects)
		if err != nil {
			return err
		}
		for _, l := range letters {
			if l.At >= from && l.Kind != feedback.DeadDelivery {
				sum.Rejects = append(sum.Rejects, l)
			}
		}
		slices.SortStableFunc(sum.Rejects, func(a, b feedback.DeadLetter) int {
			return cmp.Or(cmp.Compare(a.Source, b.Source), compareNatural(a.Position, b.Position))
		})
	}
	alerts, err := e.Alerts(ctx)
	for _, a := range alerts {
		if a.FirstAt >= from {
			sum.Alerts = append(sum.Alerts, a)
		}
	}
	return err
}

// compareNatural orders "line 9" before "line 10".
func compareNatural(a, b string) int { return cmp.Or(len(a)-len(b), cmp.Compare(a, b)) }
