package stats

import "math"

const defaultConfidence = 0.95

func level(confidence float64) float64 {
	if confidence > 0 && confidence < 1 {
		return confidence
	}
	return defaultConfidence
}

// normal returns the number z that a standard normal variable stays below in amount with the given probability.
func normal(confidence float64) float64 { return math.Sqrt2 * math.Erfinv(level(confidence)) }

// quantileT returns the number t that a Student variable of v degrees of freedom stays below in amount with the given
// probability: v/(v+t*t) has a beta distribution with the parameters v/2 and 1/2. The probability is concave in t and the
// normal z lies below t, so Newton's method comes closer from below.
func quantileT(confidence, v float64) float64 {
	t := normal(confidence)
	if v > 1e7 {
		return t
	}
	p := level(confidence)
	up, _ := math.Lgamma((v + 1) / 2)
	down, _ := math.Lgamma(v / 2)
	top := 2 * math.Exp(up-down) / math.Sqrt(v*math.Pi)
	for range 100 {
		inside := 1 - incompleteBeta(v/(v+t*t), v/2, 0.5)
		if t*t < v {
			inside = incompleteBeta(t*t/(v+t*t), 0.5, v/2)
		}
		step := (p - inside) / (top * math.Pow(1+t*t/v, -(v+1)/2))
		if step <= 1e-14*t {
			break
		}
		t += step
	}
	return t
}

// incompleteBeta is the regularized incomplete beta function I_x(a, b), by the continued fraction 8.17.22 of the NIST
// Digital Library of Mathematical Functions. It takes 0 <= x <= 1 and positive a and b. With parameters above a billion, or
// so large that the fraction does not converge, it is an approximation.
func incompleteBeta(x, a, b float64) float64 {
	switch {
	case x <= 0:
		return 0
	case x >= 1:
		return 1
	case a+b > 1e9: // the logarithms below have too few digits left
		return largeBeta(x, a, b)
	case x > (a+1)/(a+b+2): // the fraction converges fast on the other side
		return 1 - incompleteBeta(1-x, b, a)
	}
	lab, _ := math.Lgamma(a + b)
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	front := math.Exp(lab-la-lb+a*math.Log(x)+b*math.Log1p(-x)) / a
	fraction, ok := betaFraction(x, a, b)
	if !ok {
		return largeBeta(x, a, b)
	}
	return min(front*fraction, 1)
}

// largeBeta approximates incompleteBeta for 0 < x < 1: Paulson, "An Approximate Normalization of the Analysis of Variance
// Distribution", Annals of Mathematical Statistics 13 (1942), 233-235.
func largeBeta(x, a, b float64) float64 {
	root := math.Cbrt(x / (1 - x) * (b / a))
	if root > 1e100 {
		return 1
	}
	u, v := 1/(9*a), 1/(9*b)
	z := (root*(1-v) - (1 - u)) / math.Sqrt(root*root*v+u)
	return math.Erfc(-z/math.Sqrt2) / 2
}

// betaFraction evaluates the fraction from its head by the method of Lentz, and returns false when it does not converge.
func betaFraction(x, a, b float64) (float64, bool) {
	const tiny, precision = 1e-300, 1e-15
	away := func(v float64) float64 {
		if math.Abs(v) < tiny {
			return tiny
		}
		return v
	}
	c, d := 1.0, 1/away(1-(a+b)*x/(a+1))
	h := d
	for i := 1; i <= 10_000; i++ {
		m := float64(i)
		even := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		d = 1 / away(1+even*d)
		c = away(1 + even/c)
		h *= d * c
		odd := -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		d = 1 / away(1+odd*d)
		c = away(1 + odd/c)
		h *= d * c
		if math.Abs(d*c-1) < precision {
			return h, true
		}
	}
	return h, false
}
