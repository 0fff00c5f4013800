package engine

import (
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/rules/stats"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Statistic says what the value of a figure is, and how its interval and its test are made.
type Statistic string

// The statistics.
const (
	// CountOfItems is how many items there are; see stats.Poisson and stats.PoissonTest.
	CountOfItems Statistic = "count"
	// ShareOfItems is the share of all items, from 0 to 1; see stats.Wilson and stats.CompareShares.
	ShareOfItems Statistic = "share"
	// NetPromoterScore is from -100 to 100; see stats.NPS.Score and stats.CompareNPSAdjusted.
	NetPromoterScore Statistic = "net promoter score"
	// TopTwo is the share of the two best answers, 4 and 5, of those from 1 to 5; see stats.Wilson and stats.CompareShares.
	TopTwo Statistic = "top two"
	// MeanAnswer is the mean of the answers; see stats.MeanOf and stats.CompareMeans.
	MeanAnswer Statistic = "mean"
)

func statisticOf(measure string) Statistic {
	switch measure {
	case MeasureItems:
		return CountOfItems
	case MeasureShare:
		return ShareOfItems
	case string(feedback.NPS):
		return NetPromoterScore
	case string(feedback.CSAT):
		return TopTwo
	}
	return MeanAnswer
}

// Figure is a value with its 95 % interval.
type Figure struct {
	N    int `json:"n"`              // what it is made of: answers, or items
	Hits int `json:"hits,omitempty"` // of a share, how many there are of the N
	// Value is nil when nothing is known, and so are Lo and Hi, which are also nil for the mean of one answer.
	Value *float64 `json:"value"`
	Lo    *float64 `json:"lo"`
	Hi    *float64 `json:"hi"`
}

// Change is how a figure differs from that of the time before.
type Change struct {
	Before Figure `json:"before"`
	// Value is the figure less that before, and of a count how many times as many items a day there are. It is nil when
	// nothing is known of either.
	Value *float64 `json:"value"`
	// P is how often chance alone makes so great a difference when there is none; 1 when nothing can be said. Q is P corrected
	// for as many values as are compared: of the values with at most that Q, the expected share of false alarms is Q.
	P float64 `json:"p"`
	Q float64 `json:"q"`
}

// npsCounts counts the answers from 0 to 10 by class; others count nowhere.
func npsCounts(r *records.Rollup) stats.NPS {
	var c stats.NPS
	for score, n := range r.Hist {
		switch {
		case score <= 6:
			c.Detractors += int(n)
		case score <= 8:
			c.Passives += int(n)
		default:
			c.Promoters += int(n)
		}
	}
	return c
}

// hits returns the parts and the whole of a share.
func (s Statistic) hits(r, all *records.Rollup) (k, n int) {
	if s == ShareOfItems {
		return int(r.N), int(all.N)
	}
	const bestOfFive = 4
	for score := 1; score <= bestOfFive+1; score++ {
		n += int(r.Hist[score])
	}
	return int(r.Hist[bestOfFive] + r.Hist[bestOfFive+1]), n
}

// moments returns the number, mean and sample variance of the answers.
func moments(r *records.Rollup) (n int, mean, variance float64) {
	if n = int(r.N); n > 0 {
		mean = r.Sum / float64(n)
	}
	if n > 1 {
		variance = max(r.SumSq-r.Sum*mean, 0) / float64(n-1)
	}
	return n, mean, variance
}

// figure makes the figure of a sum; all is the sum of what a share is of.
func (s Statistic) figure(r, all *records.Rollup) Figure {
	switch s {
	case CountOfItems:
		e := stats.Poisson(int(r.N), confidence)
		return Figure{N: int(r.N), Value: new(float64(r.N)), Lo: &e.Lo, Hi: &e.Hi}
	case NetPromoterScore:
		e := npsCounts(r).Score(confidence)
		return estimated(e, 100)
	case ShareOfItems, TopTwo:
		k, n := s.hits(r, all)
		f := estimated(stats.Wilson(k, n, confidence), 1)
		f.Hits = k
		return f
	}
	n, mean, variance := moments(r)
	if e, ok := stats.MeanOfMoments(n, mean, variance, confidence); ok {
		return estimated(e, 1)
	}
	f := Figure{N: n}
	if n > 0 {
		f.Value = &mean
	}
	return f
}

func estimated(e stats.Estimate, scale float64) Figure {
	if e.N == 0 {
		return Figure{}
	}
	return Figure{N: e.N, Value: new(scale * e.Value), Lo: new(scale * e.Lo), Hi: new(scale * e.Hi)}
}

// side is one of two times that are compared.
type side struct {
	sum, all *records.Rollup
	days     float64
}

// test returns how often chance alone makes so great a difference between two times.
func (s Statistic) test(now, before side) (p float64) {
	switch s {
	case CountOfItems:
		return stats.PoissonTest(int(now.sum.N), now.days, int(before.sum.N), before.days)
	case NetPromoterScore:
		a, b := npsCounts(now.sum), npsCounts(before.sum)
		if a.N() == 0 || b.N() == 0 {
			return 1
		}
		p = stats.CompareNPSAdjusted(a, b).P
	case ShareOfItems, TopTwo:
		k1, n1 := s.hits(now.sum, now.all)
		k2, n2 := s.hits(before.sum, before.all)
		if n1 == 0 || n2 == 0 {
			return 1
		}
		p = stats.CompareShares(k1, n1, k2, n2).P
	default:
		n1, m1, v1 := moments(now.sum)
		n2, m2, v2 := moments(before.sum)
		p = stats.CompareMeans(n1, m1, v1, n2, m2, v2).P
	}
	return p
}

// change tells the difference between two times of which the test is known.
func (s Statistic) change(now, before side, p, q float64) *Change {
	is, was := s.figure(now.sum, now.all), s.figure(before.sum, before.all)
	c := &Change{Before: was, P: p, Q: q}
	switch {
	case s == CountOfItems && before.sum.N == 0, is.Value == nil, was.Value == nil:
	case s == CountOfItems:
		c.Value = new(*is.Value / now.days / (*was.Value / before.days))
	default:
		c.Value = new(*is.Value - *was.Value)
	}
	return c
}
