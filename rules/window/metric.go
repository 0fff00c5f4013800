package window

import (
	"math"
	"time"

	"github.com/closedloop/closedloop/rules/stats"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Metric is what a window tells of its observations.
type Metric string

// The metrics, with the units of their figures.
const (
	NPS   Metric = "nps"   // Net Promoter Score, -100 to 100, with its score interval
	CSAT  Metric = "csat"  // percent of satisfied answers, the upper two of the scale, with Wilson's interval
	CES   Metric = "ces"   // mean effort score, with Student's interval
	Rate  Metric = "rate"  // share of the items that are hits, 0 to 1, with Wilson's interval
	Count Metric = "count" // number of items, with Garwood's interval of the number that was to be expected
	Mean  Metric = "mean"  // mean of a number, with Student's interval
)

// Figure is what a window tells.
type Figure struct {
	N        int64   // observations, of a rate the items that it is a share of
	Value    float64 // in the units of the metric
	Lo, Hi   float64 // the bounds of the confidence interval
	Known    bool    // whether there is a Value
	Interval bool    // whether there are bounds
}

// ValueOf returns the value of the metric, and false when there is none, for want of observations; a count of none is 0.
// base are the sums of the window; of a rate they are those of the items that it is a share of, and hits those of the
// items that hit. It costs a few nanoseconds.
func (m Metric) ValueOf(base, hits Sums) (float64, bool) {
	n := float64(max(base.N, 0))
	if m == Count {
		return n, true
	}
	if n == 0 {
		return 0, false
	}
	switch m {
	case NPS:
		_, pos, neg := classes(base)
		return 100 * float64(pos-neg) / n, true
	case CSAT:
		_, pos, _ := classes(base)
		return 100 * float64(pos) / n, true
	case Rate:
		return float64(within(hits.N, base.N)) / n, true
	}
	return base.Mean(), true
}

// Figure returns the value of the metric with the bounds of its two-sided confidence interval; see ValueOf. A mean of
// fewer than two observations has no bounds. A confidence outside of (0, 1) counts as 0.95. It costs up to some
// microseconds, of a count near a million some tens of them.
func (m Metric) Figure(base, hits Sums, confidence float64) Figure {
	f := Figure{N: max(base.N, 0)}
	if f.Value, f.Known = m.ValueOf(base, hits); !f.Known {
		return f
	}
	scale := 1.0
	var e stats.Estimate
	n, pos, neg := classes(base)
	f.Interval = true
	switch m {
	case NPS:
		scale = 100
		e = stats.NPS{Detractors: neg, Passives: n - pos - neg, Promoters: pos}.Score(confidence)
	case CSAT:
		scale = 100
		e = stats.Wilson(pos, n, confidence)
	case Rate:
		e = stats.Wilson(within(hits.N, base.N), n, confidence)
	case Count:
		e = stats.Poisson(n, confidence)
	default:
		e, f.Interval = stats.MeanOfMoments(n, base.Mean(), base.Variance(), confidence)
	}
	f.Lo, f.Hi = scale*e.Lo, scale*e.Hi
	return f
}

// classes returns the counts of the sums, none below 0 and none above what is left of the observations.
func classes(s Sums) (n, pos, neg int) {
	n = within(s.N, math.MaxInt)
	pos = within(s.Pos, s.N)
	return n, pos, within(s.Neg, s.N-int64(pos))
}

func within(k, most int64) int { return int(max(min(k, most, math.MaxInt), 0)) }

// Covers reports whether a window of the span that is read at now covers an event of the time at.
func (s Span) Covers(at, now feedback.Time) bool {
	step, offset := int64(s.Step/time.Millisecond), int64(s.Offset/time.Millisecond)
	if step <= 0 || !usable(at) || !usable(now) {
		return false
	}
	end := floorDiv(int64(now)-offset, step)
	i := floorDiv(int64(at), step)
	return end-int64(s.Over/s.Step) < i && i <= end
}
