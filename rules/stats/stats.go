// Package stats computes the figures of a feedback program together with what the number of answers allows to say:
// every estimate comes with a two-sided confidence interval, and a difference with how often chance alone explains it.
//
// All functions are pure and need the standard library only. A confidence level is a number such as 0.95; one outside
// of (0, 1) counts as 0.95.
//
//	nps := stats.NPS{Detractors: 20, Passives: 30, Promoters: 50}
//	e := nps.Score(0.95) // 0.30, between 0.14 and 0.44
package stats

import "math"

// Estimate is a figure with its confidence interval.
type Estimate struct {
	N     int     `json:"n"` // answers behind it
	Value float64 `json:"value"`
	Lo    float64 `json:"lo"`
	Hi    float64 `json:"hi"`
}

// NPS counts the answers to a Net Promoter question by class, as Reichheld divides them: "The One Number You Need to
// Grow", Harvard Business Review 81(12), 2003. Counts are not negative.
type NPS struct {
	Detractors int `json:"detractors"` // 0 to 6
	Passives   int `json:"passives"`   // 7 and 8
	Promoters  int `json:"promoters"`  // 9 and 10
}

// Count adds one answer on the scale 0 to 10.
func (c *NPS) Count(score float64) {
	switch {
	case score <= 6:
		c.Detractors++
	case score <= 8:
		c.Passives++
	default:
		c.Promoters++
	}
}

// N returns the number of answers.
func (c NPS) N() int { return c.Detractors + c.Passives + c.Promoters }

// Value returns the share of promoters less the share of detractors, from -1 to 1, and 0 without answers.
func (c NPS) Value() float64 {
	if c.N() == 0 {
		return 0
	}
	return float64(c.Promoters-c.Detractors) / float64(c.N())
}

// NPSScore returns the Net Promoter Score of detractors, passives and promoters with its score interval, from -1 to 1.
func NPSScore(detractors, passives, promoters int, confidence float64) (value, lo, hi float64) {
	e := NPS{detractors, passives, promoters}.Score(confidence)
	return e.Value, e.Lo, e.Hi
}

// Score returns the score interval, which is the one to report: it never leaves [-1, 1] and keeps close to its
// confidence with few answers and at the ends of the scale. It holds the differences of two shares of one sample that
// the score test does not reject, after Tango, "Equivalence test and confidence interval for the difference in
// proportions for the paired-sample design", Statistics in Medicine 17 (1998), 891-908. Without answers it is [-1, 1].
func (c NPS) Score(confidence float64) Estimate {
	e := Estimate{N: c.N(), Value: c.Value(), Lo: -1, Hi: 1}
	if e.N == 0 {
		return e
	}
	z := normal(confidence)
	// The excess over the test's bound falls from the lower end of the scale to the value, and on to the upper end.
	e.Lo = bisect(-1, e.Value, func(d float64) bool { return c.excess(d) > z*c.deviation(d) })
	e.Hi = bisect(e.Value, 1, func(d float64) bool { return -c.excess(d) < z*c.deviation(d) })
	return e
}

// excess is how far the observed difference of promoters and detractors lies above the hypothesis d, in answers.
func (c NPS) excess(d float64) float64 {
	return float64(c.Promoters-c.Detractors) - float64(c.N())*d
}

// deviation is the standard deviation of excess under the hypothesis d, with the most likely share q of detractors.
func (c NPS) deviation(d float64) float64 {
	n, det, pro := float64(c.N()), float64(c.Detractors), float64(c.Promoters)
	b := -det - pro + (2*n-pro+det)*d
	k := -det * d * (1 - d)
	q := (math.Sqrt(max(b*b-8*n*k, 0)) - b) / (4 * n)
	return math.Sqrt(max(n*(2*q+d*(1-d)), 0))
}

// Wald returns the textbook interval from the sample variance. It may leave [-1, 1], and is far too short with few
// answers or with nearly all of them in one class.
func (c NPS) Wald(confidence float64) Estimate {
	e := Estimate{N: c.N(), Value: c.Value(), Lo: -1, Hi: 1}
	if e.N > 0 {
		e.Lo, e.Hi = wald(float64(c.Detractors), float64(c.Passives), float64(c.Promoters), normal(confidence))
	}
	return e
}

// AdjustedWald returns the Wald interval after three more answers, 3/4 detractor, 3/2 passive and 3/4 promoter, cut to
// [-1, 1]: Rocks, "Interval Estimation for the 'Net Promoter Score'", The American Statistician 70 (2016), 365-372,
// arXiv 1601.07235. The value is that of the answers themselves.
func (c NPS) AdjustedWald(confidence float64) Estimate {
	e := Estimate{N: c.N(), Value: c.Value(), Lo: -1, Hi: 1}
	if e.N > 0 {
		lo, hi := wald(float64(c.Detractors)+0.75, float64(c.Passives)+1.5, float64(c.Promoters)+0.75, normal(confidence))
		e.Lo, e.Hi = max(lo, -1), min(hi, 1)
	}
	return e
}

func wald(det, pas, pro, z float64) (lo, hi float64) {
	n := det + pas + pro
	s := (pro - det) / n
	half := z * math.Sqrt(max((pro+det)/n-s*s, 0)/n)
	return s - half, s + half
}

// Wilson returns the share k/n, such as the satisfied of a CSAT question, with the interval of Wilson, "Probable
// Inference, the Law of Succession, and Statistical Inference", Journal of the American Statistical Association 22
// (1927), 209-212. It never leaves [0, 1], and is [0, 1] when n is 0. It takes 0 <= k <= n.
func Wilson(k, n int, confidence float64) Estimate {
	e := Estimate{N: n, Lo: 0, Hi: 1}
	if n <= 0 {
		return e
	}
	z, m := normal(confidence), float64(n)
	p := float64(k) / m
	middle := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	e.Value, e.Lo, e.Hi = p, max(middle-half, 0), min(middle+half, 1)
	if k == 0 {
		e.Lo = 0
	}
	if k == n {
		e.Hi = 1
	}
	return e
}

// Mean returns the mean of at least two numbers with its interval from Student's t distribution: "The Probable Error
// of a Mean", Biometrika 6 (1908), 1-25. It returns false for fewer.
func Mean(xs []float64, confidence float64) (Estimate, bool) {
	var mean, squares float64
	for i, x := range xs { // Welford's recurrence: no cancellation
		d := x - mean
		mean += d / float64(i+1)
		squares += d * (x - mean)
	}
	return student(len(xs), mean, squares, confidence)
}

// MeanOf is Mean of n numbers that are known by their sum and the sum of their squares.
func MeanOf(n int, sum, squares, confidence float64) (Estimate, bool) {
	if n < 2 {
		return Estimate{}, false
	}
	mean := sum / float64(n)
	return student(n, mean, max(squares-sum*mean, 0), confidence)
}

// MeanOfMoments is Mean of n numbers that are known by their mean and sample variance.
func MeanOfMoments(n int, mean, variance, confidence float64) (Estimate, bool) {
	return student(n, mean, max(variance, 0)*float64(n-1), confidence)
}

func student(n int, mean, squares, confidence float64) (Estimate, bool) {
	if n < 2 {
		return Estimate{}, false
	}
	half := quantileT(confidence, float64(n-1)) * math.Sqrt(squares/float64(n-1)/float64(n))
	return Estimate{N: n, Value: mean, Lo: mean - half, Hi: mean + half}, true
}

// bisect returns where the condition, true at lo, turns false on the way to hi.
func bisect(lo, hi float64, holds func(float64) bool) float64 {
	for {
		mid := lo + (hi-lo)/2
		if mid <= lo || mid >= hi {
			return mid
		}
		if holds(mid) {
			lo = mid
		} else {
			hi = mid
		}
	}
}
