package stats

import (
	"encoding/json"
	"math"
	"slices"
	"testing"
)

// The values were computed by R 4.2.2 and by an independent program, which agree to 5e-7.
func TestCompareNPS(t *testing.T) {
	t.Parallel()
	a, b := NPS{20, 30, 50}, NPS{30, 30, 40}
	wald, adjusted, welch := CompareNPS(a, b), CompareNPSAdjusted(a, b), WelchNPS(a, b)
	near(t, "wald difference", wald.Value, .2)
	near(t, "wald se", wald.SE, .11401754)
	near(t, "wald p", wald.P, .07941063)
	near(t, "adjusted difference", adjusted.Value, .19417476)
	near(t, "adjusted se", adjusted.SE, .11208916)
	near(t, "adjusted p", adjusted.P, .08321587)
	near(t, "welch t", welch.Statistic, 1.745323)
	if math.Abs(welch.DF-197.253) > 6e-4 {
		t.Errorf("welch df: %v", welch.DF)
	}
	near(t, "welch p", welch.P, .082486)
	if swapped := WelchNPS(b, a); swapped.Statistic != -welch.Statistic || swapped.P != welch.P {
		t.Errorf("swapped: %+v", swapped)
	}
	scores := func(c NPS) (n int, mean, variance float64) {
		n, mean = c.N(), c.Value()
		return n, mean, (float64(c.Promoters+c.Detractors)/float64(n) - mean*mean) * float64(n) / float64(n-1)
	}
	na, ma, va := scores(a)
	nb, mb, vb := scores(b)
	near(t, "means", CompareMeans(na, ma, va, nb, mb, vb).P, welch.P)
}

func TestCompareShares(t *testing.T) {
	t.Parallel()
	shares := CompareShares(45, 100, 60, 100)
	near(t, "shares chi2", shares.Statistic, 4.511278)
	near(t, "shares p", shares.P, .033672)
	trend := Trend([]int{83, 90, 129, 70}, []int{86, 93, 136, 82})
	near(t, "trend chi2", trend.Statistic, 8.224922)
	near(t, "trend p", trend.P, .004132)
	if longer := Trend([]int{83, 90, 129, 70, 5}, []int{86, 93, 136, 82}); longer != trend {
		t.Errorf("with more hits than totals: %+v", longer)
	}
}

// The values are sums of exact fractions.
func TestSpike(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		k, n, b, m int
		want       float64
	}{
		{20, 400, 60, 12000, 8.1272762062485e-13},
		{5, 100, 5, 100, 0.623046875},
		{3, 10, 0, 90, 0.001},
		{1, 50, 100, 50, 1},
		{40, 1000, 40, 1000, 0.544463939386954},
		{120, 1000, 700, 28000, 6.26393542570177e-40},
		{0, 10, 3, 10, 1}, {2, 0, 3, 10, 1}, {2, 10, 3, 0, 1}, {-1, -1, -1, -1, 1},
	} {
		if got := Spike(c.k, c.n, c.b, c.m); math.Abs(got-c.want) > 1e-10*c.want {
			t.Errorf("%d of %d after %d of %d: got %v, want %v", c.k, c.n, c.b, c.m, got, c.want)
		}
	}
}

// The example of the paper: of 15 comparisons 4 are discoveries at 0.05, where Bonferroni's correction finds 3.
func TestBenjaminiHochberg(t *testing.T) {
	t.Parallel()
	ps := []float64{.0001, .0004, .0019, .0095, .0201, .0278, .0298, .0344, .0459, .3240, .4262, .5719, .6528, .7590, 1}
	want := []float64{.0015, .003, .0095, .035625, .0603}
	corrected := BenjaminiHochberg(ps)
	found, bonferroni := 0, 0
	for i, p := range corrected {
		if i < len(want) {
			near(t, "corrected", p, want[i])
		}
		if p <= .05 {
			found++
		}
		if ps[i]*float64(len(ps)) <= .05 {
			bonferroni++
		}
	}
	if found != 4 || bonferroni != 3 {
		t.Errorf("found %d, by Bonferroni %d", found, bonferroni)
	}
	slices.Reverse(ps)
	slices.Reverse(corrected)
	if again := BenjaminiHochberg(ps); !slices.Equal(again, corrected) {
		t.Errorf("in another order: %v, want %v", again, corrected)
	}
	odd := BenjaminiHochberg([]float64{math.NaN(), -1, 2, .01})
	if odd[0] != 1 || odd[1] != 0 || odd[2] != 1 || odd[3] != .02 || len(BenjaminiHochberg(nil)) != 0 {
		t.Errorf("odd ones: %v", odd)
	}
}

// Exact intervals, computed with 40 digits.
func TestPoisson(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		k                  int
		confidence, lo, hi float64
	}{
		{0, 0.95, 0, 3.68887945411394},
		{1, 0.95, 0.0253178079842899, 5.5716433909389},
		{10, 0.95, 4.79538869613243, 18.3903560420178},
		{10, 0.99, 3.71692213146712, 21.3978274996543},
		{100, 0.95, 81.3639912509231, 121.626793792426},
		{5000, 0.9, 4884.26256783377, 5117.88607940769},
		{100000, 0.95, 99381.1526637447, 100621.744739744},
		{999999, 0.95, 998039.984320276, 1001960.91096545},
	} {
		e := Poisson(c.k, c.confidence)
		if math.Abs(e.Lo-c.lo) > 1e-9*max(c.lo, 1) || math.Abs(e.Hi-c.hi) > 1e-9*c.hi || e.Value != float64(c.k) {
			t.Errorf("%d: got %+v, want %v, %v", c.k, e, c.lo, c.hi)
		}
	}
	exact, approximate := Poisson(exactShape-1, .95), Poisson(exactShape+1, .95)
	if math.Abs(approximate.Lo-exact.Lo-2) > .01 || math.Abs(approximate.Hi-exact.Hi-2) > .01 {
		t.Errorf("around %g: %+v, %+v", exactShape, exact, approximate)
	}
}

// R: poisson.test(c(11, 21), c(800, 3011)).
func TestPoissonRatio(t *testing.T) {
	t.Parallel()
	ratio, p := PoissonRatio(11, 800, 21, 3011, .95)
	near(t, "ratio", ratio.Value, 1.971488)
	near(t, "ratio p", p, .0796686)
	near(t, "ratio lo", ratio.Lo, .858426)
	near(t, "ratio hi", ratio.Hi, 4.277266)
	swapped, q := PoissonRatio(21, 3011, 11, 800, .95)
	near(t, "swapped p", q, p)
	near(t, "swapped lo", swapped.Lo, 1/ratio.Hi)
	near(t, "swapped hi", swapped.Hi, 1/ratio.Lo)
	if _, p := PoissonRatio(30, 10, 30, 10, .95); p != 1 {
		t.Errorf("equal rates: p %v", p)
	}
	if e, p := PoissonRatio(3, 1, 0, 1, .95); e.Value != math.MaxFloat64 || e.Hi != math.MaxFloat64 || math.Abs(p-.25) > 1e-12 || !(e.Lo > 0) {
		t.Errorf("3 against none: %+v, p %v", e, p)
	}
}

// The two-sided p-value is the sum over all outcomes that are at most as likely.
func TestBinomialTest(t *testing.T) {
	t.Parallel()
	for _, p := range []float64{.001, .1, .25, 1. / 3, .5, .7, .999} {
		for _, n := range []float64{1, 2, 3, 7, 20, 63} {
			for k := 0.0; k <= n; k++ {
				want := 0.0
				for i := 0.0; i <= n; i++ {
					if l := logBinomial(i, n, p); l <= logBinomial(k, n, p)+1e-7 {
						want += math.Exp(l)
					}
				}
				if got := binomialTest(k, n, p); math.Abs(got-want) > 1e-9 {
					t.Errorf("%v of %v, %v: got %v, want %v", k, n, p, got, want)
				}
			}
		}
	}
}

// Whatever numbers come, nothing is NaN, no probability leaves [0, 1], and everything can be written to JSON.
func TestTotal(t *testing.T) {
	t.Parallel()
	numbers := []int{math.MinInt, -7, -1, 0, 1, 2, 3, 100, 1e6, math.MaxInt}
	check := func(what any, p float64) {
		t.Helper()
		if b, err := json.Marshal(what); err != nil || !(p >= 0 && p <= 1) {
			t.Fatalf("%s, %v, p %v", b, err, p)
		}
	}
	for _, a := range numbers {
		for _, c := range []float64{-1, 0, .5, .95, math.Nextafter(1, 0), 1, math.NaN()} {
			e := Poisson(a, c)
			check(e, 0)
			if !(e.Lo <= e.Value && e.Value <= e.Hi) {
				t.Fatalf("%d: %+v", a, e)
			}
		}
		for _, b := range numbers {
			for _, c := range numbers {
				check(nil, Spike(a, b, c, 5))
				check(nil, Spike(a, 5, b, c))
				test := CompareShares(a, b, c, 9)
				check(test, test.P)
				for _, f := range []func(a, b NPS) Comparison{CompareNPS, CompareNPSAdjusted, WelchNPS} {
					test := f(NPS{a, b, c}, NPS{1, 2, 3})
					check(test, test.P)
					test = f(NPS{a, b, c}, NPS{a, a, b})
					check(test, test.P)
				}
				mean := CompareMeans(a, float64(b), float64(c), b, 7, 1)
				check(mean, mean.P)
				ratio, p := PoissonRatio(a, float64(b), c, 3, .95)
				check(ratio, p)
			}
		}
	}
}

func BenchmarkIntervals(b *testing.B) {
	for _, c := range []struct {
		name string
		f    func()
	}{
		{"score", func() { NPS{20, 30, 50}.Score(.95) }},
		{"wilson", func() { Wilson(30, 100, .95) }},
		{"mean", func() { MeanOfMoments(100, 5, 2, .95) }},
		{"poisson-100", func() { Poisson(100, .95) }},
		{"poisson-100000", func() { Poisson(100_000, .95) }},
		{"spike", func() { Spike(20, 400, 60, 12_000) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.f()
			}
		})
	}
}
