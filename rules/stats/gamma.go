package stats

import "math"

// exactShape is the largest shape for which quantileGamma is exact; the work grows with its root.
const exactShape = 1e6

// quantileGamma returns the number that a gamma variable of the given shape and scale 1 stays below with probability p:
// Newton's method from the approximation of Wilson and Hilferty, "The Distribution of Chi-Square", Proceedings of the
// National Academy of Sciences 17 (1931), 684-688. It takes a >= 1 and 0 < p < 1.
func quantileGamma(p, a float64) float64 {
	z := math.Sqrt2 * math.Erfinv(2*p-1)
	root := 1 - 1/(9*a) + z/(3*math.Sqrt(a))
	x := a * root * root * root
	if a > exactShape {
		return x
	}
	lo, hi := 0.0, math.Inf(1)
	if !(x > 0) {
		x = a / 2
	}
	lg, _ := math.Lgamma(a)
	for range 100 {
		miss := incompleteGamma(a, x) - p
		if miss < 0 {
			lo = x
		} else {
			hi = x
		}
		next := x - miss/math.Exp((a-1)*math.Log(x)-x-lg)
		switch {
		case next > lo && next < hi:
		case math.IsInf(hi, 1):
			next = 2 * x
		default:
			next = lo + (hi-lo)/2
		}
		if math.Abs(next-x) <= 1e-14*x {
			return next
		}
		x = next
	}
	return x
}

// incompleteGamma is the regularized lower incomplete gamma function P(a, x), by the series 8.11.4 and the continued
// fraction 8.9.2 of the NIST Digital Library of Mathematical Functions. It takes a > 0 and x >= 0.
func incompleteGamma(a, x float64) float64 {
	if x <= 0 {
		return 0
	}
	lg, _ := math.Lgamma(a)
	front := math.Exp(a*math.Log(x) - x - lg)
	const precision, most = 1e-15, 100_000
	if x < a+1 {
		term := 1 / a
		sum := term
		for i := 1; i < most && term > sum*precision; i++ {
			term *= x / (a + float64(i))
			sum += term
		}
		return min(front*sum, 1)
	}
	// Evaluated from its head by the method of Lentz; with x > a+1 no denominator is 0.
	b := x + 1 - a
	c, d := math.Inf(1), 1/b
	h := d
	for i := 1; i < most; i++ {
		n := float64(i)
		up := n * (a - n)
		b += 2
		d = 1 / (b + up*d)
		c = b + up/c
		h *= c * d
		if math.Abs(c*d-1) < precision {
			break
		}
	}
	return max(1-front*h, 0)
}
