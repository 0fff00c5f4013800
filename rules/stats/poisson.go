package stats

import "math"

// Poisson returns a count with the exact interval of the number that was to be expected: Garwood, "Fiducial Limits for
// the Poisson Distribution", Biometrika 28 (1936), 437-442. A count below 0 is 0. Above a million the bounds are within
// 0.01 of the exact ones, by the cube root of Wilson and Hilferty.
func Poisson(k int, confidence float64) Estimate {
	k = max(k, 0)
	e := Estimate{N: k, Value: float64(k)}
	tail := outside(confidence)
	if k > 0 {
		e.Lo = quantileGamma(tail, float64(k))
	}
	e.Hi = quantileGamma(1-tail, float64(k)+1)
	return e
}

// PoissonRatio compares the rates of two counts, k1 in an exposure of t1 (hours, customers, messages) and k2 in one of
// t2: the ratio of the rates with its exact interval, and the two-sided p-value of their being equal. Given both, the
// first count is binomial: Przyborowski and Wilenski, Biometrika 31 (1940), 313-323; the interval is that of Clopper and
// Pearson, Biometrika 26 (1934), 404-413. A ratio or bound without limit is math.MaxFloat64. Without counts, or with an
// exposure that is not positive, the ratio is 1 between 0 and that, and p is 1. Counts below 0 are 0.
func PoissonRatio(k1 int, t1 float64, k2 int, t2 float64, confidence float64) (ratio Estimate, p float64) {
	k1, k2 = max(k1, 0), max(k2, 0)
	a, b := float64(k1), float64(k2)
	share := t1 / (t1 + t2)
	if a+b == 0 || !(t1 > 0 && t2 > 0 && share > 0 && share < 1) {
		return Estimate{N: k1 + k2, Value: 1, Hi: math.MaxFloat64}, 1
	}
	// odds of the first count as a ratio of the rates
	rates := func(share, rest float64) float64 {
		if r := share / rest * (t2 / t1); r <= math.MaxFloat64 {
			return r
		}
		return math.MaxFloat64
	}
	tail := outside(confidence)
	ratio = Estimate{N: k1 + k2, Value: rates(a, b), Hi: math.MaxFloat64}
	if k1 > 0 {
		y := bisect(0, 1, func(y float64) bool { return incompleteBeta(y, a, b+1) < tail })
		ratio.Lo = rates(y, 1-y)
	}
	if k2 > 0 {
		y := bisect(0, 1, func(y float64) bool { return incompleteBeta(y, b, a+1) < tail })
		ratio.Hi = rates(1-y, y)
	}
	return ratio, PoissonTest(k1, t1, k2, t2)
}

// PoissonTest is the p-value of PoissonRatio alone, which takes a fraction of the time.
func PoissonTest(k1 int, t1 float64, k2 int, t2 float64) float64 {
	a, b := float64(max(k1, 0)), float64(max(k2, 0))
	share := t1 / (t1 + t2)
	if a+b == 0 || !(t1 > 0 && t2 > 0 && share > 0 && share < 1) {
		return 1
	}
	return binomialTest(a, a+b, share)
}

// outside returns what a confidence leaves on either side, as far as 1 less that is a number below 1.
func outside(confidence float64) float64 { return max((1-level(confidence))/2, 1e-15) }

// binomialTest returns the probability of all outcomes of n trials that are at most as likely as k.
func binomialTest(k, n, p float64) float64 {
	if k > n*p { // look at it from the other side
		k, p = n-k, 1-p
	}
	const tie = 1e-7
	bound := logBinomial(k, n, p) + tie
	mode := math.Floor((n + 1) * p)
	if logBinomial(mode, n, p) <= bound {
		return 1
	}
	// Above the mode the probability falls, and from other on it is as small as that of k.
	likelier, other := mode, n+1
	for {
		mid := math.Floor(likelier + (other-likelier)/2)
		if mid <= likelier || mid >= other {
			break
		}
		if logBinomial(mid, n, p) > bound {
			likelier = mid
		} else {
			other = mid
		}
	}
	sum := incompleteBeta(1-p, n-k, k+1)
	if other <= n {
		sum += atLeast(other, n, p)
	}
	return min(sum, 1)
}

// logBinomial is the logarithm of the probability of k of n, 0 < p < 1.
func logBinomial(k, n, p float64) float64 {
	all, _ := math.Lgamma(n + 1)
	hit, _ := math.Lgamma(k + 1)
	miss, _ := math.Lgamma(n - k + 1)
	return all - hit - miss + k*math.Log(p) + (n-k)*math.Log1p(-p)
}
