package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
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

// NPS returns the score over what the query chooses, which is everything or one value of a dimension; its Measure, Every and
// Compare do not count. It fails with ErrQuery as Metric does.
func (s *State) NPS(_ context.Context, q MetricQuery) (out NPS, err error) {
	q.Measure, q.Every, q.Compare = string(feedback.NPS), "", false
	if q.Dimension != "" && q.Value == "" {
		return out, fmt.Errorf("%w: the dimension %q without a value", ErrQuery, q.Dimension)
	}
	err = s.store.View(func(snap *store.Snapshot) error {
		m := metering{fold: fold{snap: snap}, q: q}
		return cmp.Or(m.check(), m.bound(s))
	})
	if err != nil {
		return out, err
	}
	err = s.sums(string(feedback.NPS), q, func(sums sums) { out = npsOf(sums.of(q.Value)) })
	return out, err
}

func npsOf(r *records.Rollup) NPS {
	c := npsCounts(r)
	v := NPS{N: c.N(), Detractors: c.Detractors, Passives: c.Passives, Promoters: c.Promoters}
	if v.N > 0 {
		e := c.Score(confidence)
		v.Value, v.Lo, v.Hi = 100*e.Value, 100*e.Lo, 100*e.Hi
	}
	return v
}

// Theme is how often a theme was found.
type Theme struct {
	Theme feedback.ThemePath `json:"theme"`
	Items int                `json:"items"` // with it or a theme below it
	NPS   NPS                `json:"nps"`   // of those that answer an nps question
}

// Themes returns the themes that were found, the most frequent first. Of the query Since and Until count.
func (s *State) Themes(_ context.Context, q MetricQuery) ([]Theme, error) {
	q = MetricQuery{Dimension: records.DimTheme, Since: q.Since, Until: q.Until}
	var items, scores sums
	err := s.sums(records.Volume, q, func(s sums) { items = s })
	if err != nil {
		return nil, err
	}
	if err := s.sums(string(feedback.NPS), q, func(s sums) { scores = s }); err != nil {
		return nil, err
	}
	out := []Theme{}
	for _, theme := range ranked(items, "", false) {
		out = append(out, Theme{Theme: feedback.ThemePath(theme), Items: int(items[theme].N), NPS: npsOf(scores.of(theme))})
	}
	return out, nil
}

// sums calls use with the sums that the query chooses.
func (s *State) sums(measure string, q MetricQuery, use func(sums)) error {
	return s.store.View(func(snap *store.Snapshot) error {
		m := metering{q: q, fold: fold{snap: snap, measure: measure, dim: cmp.Or(q.Dimension, records.DimAll), value: q.Value}}
		if q.Since != 0 {
			m.first = records.Day(q.Since, s.zone)
		}
		if q.Until != 0 {
			m.last = records.Day(q.Until, s.zone)
		}
		found, err := m.between(m.first, m.last, nil)
		if err == nil {
			use(found)
		}
		return err
	})
}

// Stats is what a program remembers, in numbers.
type Stats struct {
	Items      int        `json:"items"`
	Imports    []Import   `json:"imports"` // by source and batch
	Themes     []Theme    `json:"themes"`
	NPS        NPS        `json:"nps"`
	Detractors []InQueue  `json:"detractors"` // by the queue that they were routed to
	Cases      CaseCounts `json:"cases"`
	Alerts     int        `json:"alerts"`
	Waiting    []Outgoing `json:"waiting"` // deliveries that wait, by destination
	// Dead counts the dead letters by kind.
	Dead map[feedback.DeadLetterKind]int `json:"dead"`
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
	Breached int `json:"breached"` // open, and had no response in time
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
	st := &Stats{Waiting: []Outgoing{}, Dead: map[feedback.DeadLetterKind]int{}}
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
	err = s.sums(records.Volume, MetricQuery{}, func(s sums) { st.Items = int(s.of("").N) })
	if err != nil {
		return nil, err
	}
	return st, s.store.View(func(snap *store.Snapshot) error { return st.scan(snap) })
}

// routed returns the detractors by queue, the longest first, and those of no queue last.
func (s *State) routed(all int) ([]InQueue, error) {
	var queues sums
	err := s.sums(string(feedback.NPS), MetricQuery{Dimension: records.DimQueue}, func(s sums) { queues = s })
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

func (st *Stats) scan(snap *store.Snapshot) (err error) {
	if st.Imports, err = importsIn(snap); err != nil {
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
	return sum, e.passDetails(context.WithoutCancel(ctx), sum, feedback.TimeOf(from)) // also of a pass that was cut off
}

func (e *Engine) passDetails(ctx context.Context, sum *Summary, from feedback.Time) error {
	if sum.Total.Rejected > 0 {
		for _, kind := range [...]feedback.DeadLetterKind{feedback.DeadRow, feedback.DeadItem} {
			letters, err := e.DeadLetters(ctx, kind, summaryRejects)
			if err != nil {
				return err
			}
			for _, l := range letters {
				if l.At >= from && len(sum.Rejects) < summaryRejects {
					sum.Rejects = append(sum.Rejects, l)
				}
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
