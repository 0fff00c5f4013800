package window

import (
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
	Count Metric = "count" // number of items
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

// ValueOf returns the value of the metric, and false when there is none, for want of observations. base are the sums of
// the window; of a rate they are those of the items that it is a share of, and hits those of the items that hit.
func (m Metric) ValueOf(base, hits Sums) (float64, bool) {
	n := float64(base.N)
	if m == Count {
		return n, true
	}
	if base.N <= 0 {
		return 0, false
	}
	switch m {
	case NPS:
		return 100 * float64(base.Pos-base.Neg) / n, true
	case CSAT:
		return 100 * float64(base.Pos) / n, true
	case Rate:
		return float64(hits.N) / n, true
	}
	return base.Mean(), true
}

// Figure returns the value of the metric with the bounds of its two-sided confidence interval; see ValueOf.
func (m Metric) Figure(base, hits Sums, confidence float64) Figure {
	f := Figure{N: base.N}
	if f.Value, f.Known = m.ValueOf(base, hits); !f.Known || m == Count {
		return f
	}
	scale := 1.0
	var e stats.Estimate
	switch m {
	case NPS:
		scale, f.Interval = 100, true
		e = stats.NPS{Detractors: int(base.Neg), Passives: int(base.N - base.Pos - base.Neg), Promoters: int(base.Pos)}.Score(confidence)
	case CSAT:
		scale, f.Interval = 100, true
		e = stats.Wilson(int(base.Pos), int(base.N), confidence)
	case Rate:
		f.Interval = true
		e = stats.Wilson(int(min(hits.N, base.N)), int(base.N), confidence)
	default:
		n, sum := float64(base.N), base.Sum()
		e, f.Interval = stats.MeanOf(int(base.N), sum, base.Variance()*(n-1)+sum*sum/n, confidence)
	}
	f.Lo, f.Hi = scale*e.Lo, scale*e.Hi
	return f
}

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
