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
// probability: t*t/(v+t*t) has a beta distribution with the parameters 1/2 and v/2.
func quantileT(confidence, v float64) float64 {
	if v > 1e7 {
		return normal(confidence)
	}
	p := level(confidence)
	y := bisect(0, 1, func(y float64) bool { return incompleteBeta(y, 0.5, v/2) < p })
	return math.Sqrt(v * y / (1 - y))
}

// incompleteBeta is the regularized incomplete beta function I_x(a, b), by the continued fraction 8.17.22 of the NIST
// Digital Library of Mathematical Functions. It takes 0 <= x <= 1 and positive a and b.
func incompleteBeta(x, a, b float64) float64 {
	switch {
	case x <= 0:
		return 0
	case x >= 1:
		return 1
	case x > (a+1)/(a+b+2): // the fraction converges fast on the other side
		return 1 - incompleteBeta(1-x, b, a)
	}
	lab, _ := math.Lgamma(a + b)
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	front := math.Exp(lab-la-lb+a*math.Log(x)+b*math.Log1p(-x)) / a
	return front * betaFraction(x, a, b)
}

// betaFraction evaluates the fraction from its head by the method of Lentz.
func betaFraction(x, a, b float64) float64 {
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
			break
		}
	}
	return h
}
