package engine

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/closedloop/closedloop/engine/internal/cases"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules/stats"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// CaseReportQuery chooses what a report tells of. Zero members choose all.
type CaseReportQuery struct {
	Since feedback.Time `json:"since,omitzero"`  // cases opened or reopened, and feedback given, from then on
	Until feedback.Time `json:"until,omitzero"`  // and before then
	Queue string        `json:"queue,omitempty"` // only of this queue
}

// CaseReport tells how well the loop is closed. A case that was reopened counts once more, as what was promised then.
type CaseReport struct {
	Since feedback.Time `json:"since,omitzero"`
	Until feedback.Time `json:"until"`
	Queue string        `json:"queue,omitempty"`
	CaseGroup
	Reopened Share `json:"reopened"` // of the resolutions, those that were taken up again
	// Recovered compares answers after a resolution with those before: of those compared, the ones that are better.
	Recovered Share `json:"recovered"`
	// OldestOpen is the open case that was opened first, or reopened first, or nil.
	OldestOpen *feedback.Case `json:"oldest_open,omitempty"`
	Reached    []CaseCount    `json:"results"` // of attempts, the most frequent first
	Outcomes   []CaseCount    `json:"outcomes"`
	RootCauses []CaseCount    `json:"root_causes"`
	Owners     []CaseGroup    `json:"owners"` // by name; the last may be of cases that nobody owns
	Queues     []CaseGroup    `json:"queues"`
	// Detractors are the detractors' answers, of which those count that have a case or are linked to one.
	Detractors Share `json:"detractors_with_case"`
	// Missed are the latest detractors' answers without a case, at most 20.
	Missed []feedback.ItemID `json:"missed"`
	// AtRisk is the account value behind cases by theme, what is at risk most first, without themes that have neither open
	// cases nor value; RiskTotal is that of all themes, and of cases without a theme. An account counts once in each however
	// many cases, contacts and themes it has.
	AtRisk    []ValueAtRisk `json:"value_at_risk"`
	RiskTotal ValueAtRisk   `json:"value_at_risk_total"`
}

// CaseGroup is what became of some cases.
type CaseGroup struct {
	Name       string  `json:"name,omitempty"`
	Opened     int     `json:"opened"`
	Open       int     `json:"open"` // of them, still
	Resolved   int     `json:"resolved"`
	Attempts   int     `json:"attempts"` // to reach customers; of an owner those that the owner made
	Response   Promise `json:"response"`
	Resolution Promise `json:"resolution"`
}

// Promise tells how a promise of time was kept.
type Promise struct {
	Share            // of the promises whose time is over or that were kept, those that were kept
	Pending int      `json:"pending"` // promises that were neither kept nor broken
	Timed   int      `json:"timed"`   // cases whose time is known, promised or not
	Median  Hours    `json:"median_h"`
	P90     Hours    `json:"p90_h"`
	times   []uint32 // in seconds
}

// Hours is a time in hours of the clock on the wall, to a ten-thousandth: a third of a second.
type Hours float64

// Share is a part of a whole with its 95 % interval by Wilson, from 0 to 1. Without a whole the interval is 0 to 1.
type Share struct {
	Of    int     `json:"of"`
	Yes   int     `json:"yes"`
	Value float64 `json:"value"`
	Lo    float64 `json:"lo"`
	Hi    float64 `json:"hi"`
}

func (s *Share) add(yes bool) {
	s.Of++
	if yes {
		s.Yes++
	}
}

func (s *Share) finish() {
	s.Hi = 1
	if s.Of > 0 {
		s.Value = float64(s.Yes) / float64(s.Of)
		i := stats.Wilson(s.Yes, s.Of, confidence)
		s.Lo, s.Hi = i.Lo, i.Hi
	}
}

// CaseCount is how often something was said of cases.
type CaseCount struct {
	Name  string `json:"name"`
	Cases int    `json:"n"`
}

// mostMissed bounds CaseReport.Missed.
const mostMissed = 20

// reporting is a report in the making.
type reporting struct {
	CaseReport
	q                         CaseReportQuery
	owners, queues            map[string]*CaseGroup
	results, outcomes, causes map[string]int
	risks                     map[feedback.ThemePath]*risk
	accounts                  maphash.Seed
}

// CaseReport goes through all cases, and the feedback of the time, and tells how well the loop is closed.
func (s *State) CaseReport(ctx context.Context, q CaseReportQuery) (*CaseReport, error) {
	if q.Until == 0 {
		q.Until = feedback.TimeOf(s.Clock()) + 1
	}
	if q.Until <= q.Since {
		return nil, fmt.Errorf("%w: the report would end before it begins", ErrQuery)
	}
	r := &reporting{
		q: q, owners: map[string]*CaseGroup{}, queues: map[string]*CaseGroup{},
		results: map[string]int{}, outcomes: map[string]int{}, causes: map[string]int{},
		risks: map[feedback.ThemePath]*risk{}, accounts: maphash.MakeSeed(),
	}
	r.Since, r.Until, r.Queue, r.Missed = q.Since, q.Until, q.Queue, []feedback.ItemID{}
	err := s.store.View(func(snap *store.Snapshot) error {
		err := records.EachCase(snap, func(c *feedback.Case) (bool, error) {
			return true, cmp.Or(r.kase(snap, c), ctx.Err())
		})
		if err != nil {
			return err
		}
		return r.detractors(ctx, snap)
	})
	if err != nil {
		return nil, err
	}
	return r.finish(), nil
}

// kase counts a case.
func (r *reporting) kase(snap *store.Snapshot, c *feedback.Case) error {
	if r.q.Queue != "" && c.Queue != r.q.Queue {
		return nil
	}
	for i := range c.Past {
		r.round(c, &c.Past[i], true)
		if v := c.Past[i].Recovery; v != nil && r.within(v.At) && (c.Recovery == nil || c.Recovery.Item != v.Item) {
			r.Recovered.add(v.After > v.Before)
		}
	}
	gone := cases.TakenBack(c)
	if !gone {
		r.round(c, &feedback.CaseRound{
			OpenedAt: c.Since(), RespondedAt: c.RespondedAt, BreachedAt: c.BreachedAt, OverdueAt: c.OverdueAt, ResolvedAt: c.ResolvedAt,
			Outcome: c.Outcome, RootCause: c.RootCause,
		}, false)
	}
	for i := range c.Attempts {
		if at := &c.Attempts[i]; r.within(at.At) {
			r.Attempts++
			r.results[at.Channel+": "+at.Result]++
			r.group(r.owners, at.By).Attempts++
			r.group(r.queues, c.Queue).Attempts++
		}
	}
	if v := c.Recovery; v != nil && r.within(v.At) {
		r.Recovered.add(v.After > v.Before)
	}
	if c.Status.Open() && (r.OldestOpen == nil || c.Since() < r.OldestOpen.Since()) {
		oldest := *c
		oldest.History = nil
		r.OldestOpen = &oldest
	}
	if c.Status.Open() || !gone && r.within(c.Since()) {
		return r.risk(snap, c)
	}
	return nil
}

func (r *reporting) within(at feedback.Time) bool { return at >= r.q.Since && at < r.q.Until }

func (r *reporting) group(in map[string]*CaseGroup, name string) *CaseGroup {
	if in[name] == nil {
		in[name] = &CaseGroup{Name: name}
	}
	return in[name]
}

// round counts what was promised when a case was opened or reopened, and why it was needed.
func (r *reporting) round(c *feedback.Case, v *feedback.CaseRound, reopened bool) {
	if v.ResolvedAt != 0 && v.RootCause != "" && r.within(v.ResolvedAt) {
		r.causes[v.RootCause]++
	}
	if !r.within(v.OpenedAt) {
		return
	}
	if v.ResolvedAt != 0 {
		r.Reopened.add(reopened)
		if v.Outcome != "" {
			r.outcomes[v.Outcome]++
		}
	}
	for _, g := range [...]*CaseGroup{&r.CaseGroup, r.group(r.owners, c.Owner), r.group(r.queues, c.Queue)} {
		g.Opened++
		if v.ResolvedAt == 0 {
			g.Open++
		} else {
			g.Resolved++
		}
		g.Response.add(c.ResponseSLA > 0, v.OpenedAt, v.RespondedAt, v.BreachedAt)
		g.Resolution.add(c.ResolutionSLA > 0, v.OpenedAt, v.ResolvedAt, v.OverdueAt)
	}
}

// add counts one promise, if there was one, and how long it took.
func (p *Promise) add(promised bool, from, done, late feedback.Time) {
	if done != 0 {
		p.times = append(p.times, uint32(min(max(done.Std().Sub(from.Std()), 0)/time.Second, math.MaxUint32)))
	}
	switch {
	case !promised:
	case late != 0 || done != 0:
		p.Share.add(late == 0)
	default:
		p.Pending++
	}
}

// detractors counts the detractors' answers of the time, and finds those without a case.
func (r *reporting) detractors(ctx context.Context, snap *store.Snapshot) error {
	missed := make([]feedback.ItemID, 0, mostMissed) // the latest, in a ring
	lacking := 0
	yield := func(key, val []byte) (bool, error) {
		var it struct { // what is needed of a records.Item
			Feedback struct {
				ID         feedback.ItemID `json:"id"`
				Survey     feedback.Survey `json:"survey"`
				Score      *float64        `json:"score"`
				OccurredAt feedback.Time   `json:"occurred_at"`
			} `json:"item"`
			Queue  string `json:"queue"`
			Case   string `json:"case"`
			Linked string `json:"linked"`
		}
		if !bytes.Contains(val, npsMember) {
			return true, ctx.Err()
		}
		if err := json.Unmarshal(val, &it); err != nil {
			return false, fmt.Errorf("record %q: %w", key, err)
		}
		f := feedback.Item{Survey: it.Feedback.Survey, Score: it.Feedback.Score}
		if f.NPSClass() != feedback.Detractor || !r.within(it.Feedback.OccurredAt) || r.q.Queue != "" && it.Queue != r.q.Queue {
			return true, nil
		}
		has := it.Case != "" || it.Linked != ""
		if r.Detractors.add(has); !has {
			if len(missed) < mostMissed {
				missed = append(missed, it.Feedback.ID)
			}
			missed[lacking%mostMissed] = it.Feedback.ID
			lacking++
		}
		return true, ctx.Err()
	}
	err := records.ItemsBetween(snap, max(r.q.Since.Add(-moved), 0), r.q.Until.Add(moved), yield)
	for n := range len(missed) {
		r.Missed = append(r.Missed, missed[(lacking-1-n)%mostMissed])
	}
	return err
}

// npsMember is in the JSON of each answer to an nps question.
var npsMember = []byte(`"nps"`)

// finish puts the figures together.
func (r *reporting) finish() *CaseReport {
	for _, groups := range [...]map[string]*CaseGroup{r.owners, r.queues} {
		for _, g := range groups {
			g.finish()
		}
	}
	r.CaseGroup.finish()
	r.Reopened.finish()
	r.Recovered.finish()
	r.Detractors.finish()
	r.Owners, r.Queues = byName(r.owners), byName(r.queues)
	r.Reached, r.Outcomes, r.RootCauses = counts(r.results), counts(r.outcomes), counts(r.causes)
	r.AtRisk, r.RiskTotal = r.atRisk()
	return &r.CaseReport
}

func (g *CaseGroup) finish() {
	g.Response.finish()
	g.Resolution.finish()
}

func (p *Promise) finish() {
	p.Share.finish()
	p.Timed = len(p.times)
	if p.Timed == 0 {
		return
	}
	slices.Sort(p.times)
	n := len(p.times)
	p.Median = hours((float64(p.times[(n-1)/2]) + float64(p.times[n/2])) / 2)
	p.P90 = hours(float64(p.times[(n*9+9)/10-1])) // the least that 90 % do not exceed
	p.times = nil
}

func hours(seconds float64) Hours { return Hours(math.Floor(seconds*10_000/3600) / 10_000) }

// byName returns the groups by name, that without one last.
func byName(groups map[string]*CaseGroup) []CaseGroup {
	out := []CaseGroup{}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		out = append(out, *groups[name])
	}
	if len(out) > 0 && out[0].Name == "" {
		out = append(out[1:], out[0])
	}
	return out
}

// counts returns how often each thing was, the most frequent first.
func counts(of map[string]int) []CaseCount {
	out := []CaseCount{}
	for _, name := range slices.Sorted(maps.Keys(of)) {
		out = append(out, CaseCount{name, of[name]})
	}
	slices.SortStableFunc(out, func(a, b CaseCount) int { return b.Cases - a.Cases })
	return out
}
