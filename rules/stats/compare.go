package stats

import (
	"cmp"
	"math"
	"slices"
)

// Comparison is how far two samples are apart, and how often chance alone takes them so far.
type Comparison struct {
	Value     float64 `json:"value"` // the first less the second
	SE        float64 `json:"se"`    // standard error of the value
	Statistic float64 `json:"statistic"`
	DF        float64 `json:"df,omitempty"` // degrees of freedom of Student's t; 0 for a normal statistic
	P         float64 `json:"p"`            // two-sided; 1 when nothing can be said
}

// compare judges a difference by its standard error. Where there is no spread nothing can be said.
func compare(value, variance, df float64) Comparison {
	c := Comparison{Value: value, P: 1}
	if !(variance > 0 && variance <= math.MaxFloat64) {
		return c
	}
	c.SE, c.DF = math.Sqrt(variance), df
	c.Statistic = value / c.SE
	if df > 0 {
		c.P = incompleteBeta(df/(df+c.Statistic*c.Statistic), df/2, 0.5)
	} else {
		c.P = tails(c.Statistic)
	}
	return c
}

// tails returns the probability that a standard normal variable is at least as far from 0 as z.
func tails(z float64) float64 { return math.Erfc(math.Abs(z) / math.Sqrt2) }

// CompareNPS judges the difference of two Net Promoter Scores by their sample variances: the large-sample test of two
// means, as in Rocks (see NPS.AdjustedWald). It finds too many differences among few answers.
func CompareNPS(a, b NPS) Comparison {
	return compareWeighted(a.weights(0), b.weights(0))
}

// CompareNPSAdjusted is CompareNPS after three more answers in each sample, 3/4 detractor, 3/2 passive and 3/4 promoter
// (see NPS.AdjustedWald). Use it unless both samples are large.
func CompareNPSAdjusted(a, b NPS) Comparison {
	return compareWeighted(a.weights(3), b.weights(3))
}

// weights returns detractors, passives and promoters and as many answers more, shared out 1:2:1. Counts below 0 are 0.
func (c NPS) weights(more float64) [3]float64 {
	return [3]float64{
		max(float64(c.Detractors), 0) + more/4, max(float64(c.Passives), 0) + more/2, max(float64(c.Promoters), 0) + more/4,
	}
}

// moments returns the number of answers, their mean score from -1 to 1 and its variance in the sample.
func moments(w [3]float64) (n, mean, variance float64) {
	n = w[0] + w[1] + w[2]
	if n == 0 {
		return 0, 0, 0
	}
	mean = (w[2] - w[0]) / n
	return n, mean, max((w[2]+w[0])/n-mean*mean, 0)
}

func compareWeighted(a, b [3]float64) Comparison {
	na, ma, va := moments(a)
	nb, mb, vb := moments(b)
	if na == 0 || nb == 0 {
		return Comparison{P: 1}
	}
	return compare(ma-mb, va/na+vb/nb, 0)
}

// WelchNPS judges the difference of two Net Promoter Scores by Student's t with unequal variances: Welch, "The
// Generalization of 'Student's' Problem when Several Different Population Variances are Involved", Biometrika 34
// (1947), 28-35.
func WelchNPS(a, b NPS) Comparison {
	na, ma, va := moments(a.weights(0))
	nb, mb, vb := moments(b.weights(0))
	return welch(na, ma, va*na/(na-1), nb, mb, vb*nb/(nb-1))
}

// CompareMeans judges the difference of two means by Welch's test, from the number of values, their means and their
// sample variances. Fewer than two values in either say nothing.
func CompareMeans(n1 int, mean1, variance1 float64, n2 int, mean2, variance2 float64) Comparison {
	return welch(float64(n1), mean1, variance1, float64(n2), mean2, variance2)
}

func welch(na, ma, va, nb, mb, vb float64) Comparison {
	if na < 2 || nb < 2 {
		return Comparison{P: 1}
	}
	a, b := max(va, 0)/na, max(vb, 0)/nb
	if !(a+b > 0 && a+b <= math.MaxFloat64) {
		return Comparison{Value: ma - mb, P: 1}
	}
	// Shares of the variance, so that no square leaves the range of numbers.
	pa, pb := a/(a+b), b/(a+b)
	return compare(ma-mb, a+b, 1/(pa*pa/(na-1)+pb*pb/(nb-1)))
}

// Test is the outcome of a chi-square test with one degree of freedom.
type Test struct {
	Statistic float64 `json:"statistic"`
	P         float64 `json:"p"` // 1 when nothing can be said
}

// CompareShares tests whether the shares k1/n1 and k2/n2 are the same, by Pearson's chi-square of the pooled share
// without a correction for continuity: Pearson, Philosophical Magazine 50 (1900), 157-175.
func CompareShares(k1, n1, k2, n2 int) Test {
	return Trend([]int{k1, k2}, []int{n1, n2})
}

// Trend tests whether the shares hits[i]/totals[i] rise or fall steadily with i: Cochran, "Some Methods for Strengthening
// the Common chi-square Tests", Biometrics 10 (1954), 417-451, and Armitage, "Tests for Linear Trends in Proportions and
// Frequencies", Biometrics 11 (1955), 375-386. Of two lists of different lengths the rest of the longer counts nothing;
// numbers below 0 count as 0, and hits above their total as the total.
func Trend(hits, totals []int) Test {
	var n, k, x, xx, xk float64
	for i := range min(len(hits), len(totals)) {
		total := float64(max(totals[i], 0))
		hit := min(float64(max(hits[i], 0)), total)
		at := float64(i)
		n, k = n+total, k+hit
		x, xx, xk = x+at*total, xx+at*at*total, xk+at*hit
	}
	if n == 0 {
		return Test{P: 1}
	}
	share, middle := k/n, x/n
	variance := share * (1 - share) * (xx - x*middle)
	if !(variance > 0) {
		return Test{P: 1}
	}
	distance := xk - middle*k
	statistic := distance * distance / variance
	return Test{Statistic: statistic, P: tails(math.Sqrt(statistic))}
}

// Spike returns how likely it is by chance alone that a theme is in k or more of n items now, when it was in b of m items
// before: with the theme in k+b items of all and no change, the number of them that are of now is binomial with the
// probability n/(n+m). This is the conditional test of Przyborowski and Wilenski, "Homogeneity of Results in Testing
// Samples from Poisson Series", Biometrika 31 (1940), 313-323, in one direction. It is 1 when there are no items now or
// before, and when k is 0. Numbers below 0 count as 0.
//
// Who asks about many themes at once corrects for that: see BenjaminiHochberg.
func Spike(k, n, b, m int) float64 {
	if k <= 0 || n <= 0 || m <= 0 {
		return 1
	}
	return atLeast(float64(k), float64(k)+float64(max(b, 0)), float64(n)/(float64(n)+float64(m)))
}

// atLeast returns the probability of k or more of n, k > 0, each with the probability p.
func atLeast(k, n, p float64) float64 { return incompleteBeta(p, k, n-k+1) }

// BenjaminiHochberg corrects p-values for their number and returns them in the same order: those at most q are a list in
// which the expected share of false discoveries is at most q. Benjamini and Hochberg, "Controlling the False Discovery
// Rate", Journal of the Royal Statistical Society B 57 (1995), 289-300. What is no number counts as 1.
func BenjaminiHochberg(ps []float64) []float64 {
	order := make([]int, len(ps))
	corrected := make([]float64, len(ps))
	for i, p := range ps {
		order[i], corrected[i] = i, 1
		if p < 1 {
			corrected[i] = max(p, 0)
		}
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(corrected[i], corrected[j]) })
	least := 1.0
	for rank := len(order); rank > 0; rank-- {
		i := order[rank-1]
		least = min(least, corrected[i]*float64(len(ps))/float64(rank))
		corrected[i] = least
	}
	return corrected
}
