package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 6e-7) {
		t.Errorf("%s: got %.7f, want %.7f", what, got, want)
	}
}

// The values were computed by R 4.2.2 and by an independent program, which agree to 5e-7.
func TestNPSIntervals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		d, p, q                                           int
		s, waldLo, waldHi, adjLo, adjHi, scoreLo, scoreHi float64
	}{
		{1, 2, 3, .333333, -.263065, .929731, -.267433, .711877, -.311074, .753957},
		{3, 2, 5, .2, -.340325, .740325, -.303260, .610952, -.329548, .628241},
		{0, 0, 10, 1, 1, 1, .475036, 1, .444934, 1},
		{0, 10, 0, 0, 0, 0, -.184650, .184650, -.277533, .277533},
		{1, 0, 9, .8, .428123, 1.171877, .228736, 1, .191700, .964248},
		{20, 30, 50, .3, .146922, .453078, .140511, .442013, .139551, .443393},
		{150, 350, 500, .35, .304985, .395015, .303993, .393913, .304102, .394101},
	} {
		n := NPS{c.d, c.p, c.q}
		near(t, "value", n.Value(), c.s)
		w, a, s := n.Wald(.95), n.AdjustedWald(.95), n.Score(.95)
		near(t, "wald lo", w.Lo, c.waldLo)
		near(t, "wald hi", w.Hi, c.waldHi)
		near(t, "adjusted lo", a.Lo, c.adjLo)
		near(t, "adjusted hi", a.Hi, c.adjHi)
		near(t, "score lo", s.Lo, c.scoreLo)
		near(t, "score hi", s.Hi, c.scoreHi)
		mirror := NPS{c.q, c.p, c.d}.Score(.95)
		near(t, "mirrored lo", mirror.Lo, -c.scoreHi)
		near(t, "mirrored hi", mirror.Hi, -c.scoreLo)
		value, lo, hi := NPSScore(c.d, c.p, c.q, 0)
		if (Estimate{n.N(), value, lo, hi}) != s {
			t.Error("NPSScore differs from Score")
		}
	}
}

func TestWilson(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		k, n   int
		lo, hi float64
	}{
		{81, 263, .255289, .366210}, {15, 148, .062386, .160487}, {0, 20, 0, .161125}, {1, 29, .006113, .171755}, {10, 10, .722467, 1},
	} {
		e := Wilson(c.k, c.n, .95)
		near(t, "lo", e.Lo, c.lo)
		near(t, "hi", e.Hi, c.hi)
	}
}

func TestMean(t *testing.T) {
	t.Parallel()
	xs := []float64{7, 6, 5, 7, 2, 6, 4, 7, 6, 1, 5, 6}
	var sum, squares float64
	for _, x := range xs {
		sum += x
		squares += x * x
	}
	e, ok := Mean(xs, .95)
	f, okOf := MeanOf(len(xs), sum, squares, .95)
	if !ok || !okOf {
		t.Fatal("no interval")
	}
	for _, e := range []Estimate{e, f} {
		near(t, "mean", e.Value, 5.166667)
		near(t, "lo", e.Lo, 3.930080)
		near(t, "hi", e.Hi, 6.403253)
	}
	if _, ok := Mean(xs[:1], .95); ok {
		t.Error("an interval from one number")
	}
	if _, ok := MeanOf(1, 7, 49, .95); ok {
		t.Error("an interval from one number")
	}
}

// Table of the t distribution, NIST/SEMATECH e-Handbook of Statistical Methods, section 1.3.6.7.2.
func TestQuantileT(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ confidence, v, want float64 }{
		{.95, 1, 12.706}, {.95, 2, 4.303}, {.95, 10, 2.228}, {.95, 30, 2.042}, {.95, 100, 1.984}, {.99, 5, 4.032}, {.90, 20, 1.725}, {.998, 3, 10.215},
	} {
		if got := quantileT(c.confidence, c.v); math.Abs(got-c.want) > 6e-4 {
			t.Errorf("t(%v, %v): got %v, want %v", c.confidence, c.v, got, c.want)
		}
	}
	near(t, "many degrees", quantileT(.95, 9e6), normal(.95))
	near(t, "normal", normal(.95), 1.959964)
	for v := 1.0; v < 1e8; v *= 3 {
		last := 0.0
		for _, confidence := range []float64{1e-12, 1e-6, .1, .5, .9, .99, .9999, 1 - 1e-9, math.Nextafter(1, 0)} {
			got := quantileT(confidence, v)
			if !(got > last && got >= normal(confidence) && !math.IsInf(got, 0)) {
				t.Errorf("t(%v, %v): got %v after %v", confidence, v, got, last)
			}
			last = got
		}
	}
}

func TestNothingKnown(t *testing.T) {
	t.Parallel()
	for _, e := range []Estimate{NPS{}.Score(.95), NPS{}.Wald(.95), NPS{}.AdjustedWald(.95)} {
		if e != (Estimate{Lo: -1, Hi: 1}) {
			t.Errorf("got %+v", e)
		}
	}
	if e := Wilson(0, 0, .95); e != (Estimate{Hi: 1}) {
		t.Errorf("got %+v", e)
	}
}

func TestIntervalsHoldTheirValue(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		n := NPS{r.IntN(40), r.IntN(40), r.IntN(40)}
		narrow, wide := n.Score(.8), n.Score(.99)
		if !(-1 <= wide.Lo && wide.Lo <= narrow.Lo && narrow.Lo <= n.Value() && n.Value() <= narrow.Hi && narrow.Hi <= wide.Hi && wide.Hi <= 1) {
			t.Fatalf("%+v: %+v within %+v", n, narrow, wide)
		}
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	var n NPS
	for s := range 11 {
		n.Count(float64(s))
	}
	if n != (NPS{7, 2, 2}) {
		t.Error(n)
	}
}
