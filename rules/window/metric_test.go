package window

import (
	"math"
	"testing"
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
)

func sumOf(all ...Observation) (s Sums) {
	for _, o := range all {
		s.Add(o)
	}
	return s
}

// classed returns the sums of so many observations of each class.
func classed(pos, neither, neg int64) Sums { return Sums{N: pos + neither + neg, Pos: pos, Neg: neg} }

// The values were computed by R 4.2.2 and by an independent program, which agree to 5e-7.
func TestFigures(t *testing.T) {
	t.Parallel()
	var efforts Sums
	for _, v := range []float64{7, 6, 5, 7, 2, 6, 4, 7, 6, 1, 5, 6} {
		efforts.Add(Observation{Value: v})
	}
	for _, c := range []struct {
		name       string
		metric     Metric
		base, hits Sums
		want       Figure
	}{
		{"nps", NPS, classed(50, 30, 20), Sums{}, Figure{100, 30, 13.9551, 44.3393, true, true}},
		{"nps of detractors", NPS, classed(0, 0, 10), Sums{}, Figure{10, -100, -100, -44.4934, true, true}},
		{"csat", CSAT, classed(81, 182, 0), Sums{}, Figure{263, 100 * 81. / 263, 25.5289, 36.6210, true, true}},
		{"ces", CES, efforts, Sums{}, Figure{12, 5.166667, 3.930080, 6.403253, true, true}},
		{"ces of one", CES, sumOf(Observation{Value: 3}), Sums{}, Figure{1, 3, 0, 0, true, false}},
		{"mean of none", Mean, Sums{}, Sums{}, Figure{}},
		{"mean of the same", Mean, sumOf(Observation{Value: 7.3}, Observation{Value: 7.3}), Sums{}, Figure{2, 7.3, 7.3, 7.3, true, true}},
		{"rate", Rate, classed(0, 148, 0), classed(15, 0, 0), Figure{148, 15. / 148, .062386, .160487, true, true}},
		{"rate of none", Rate, Sums{}, classed(1, 0, 0), Figure{}},
		{"rate of more than all", Rate, classed(0, 10, 0), classed(12, 0, 0), Figure{10, 1, .722467, 1, true, true}},
		{"count", Count, classed(0, 10, 0), Sums{}, Figure{10, 10, 4.795389, 18.390356, true, true}},
		{"count of none", Count, Sums{}, Sums{}, Figure{0, 0, 0, 3.688879, true, true}},
		{"count of less", Count, Sums{N: -3}, Sums{}, Figure{0, 0, 0, 3.688879, true, true}},
		{"nps of what is no sum", NPS, Sums{N: 10, Pos: 17, Neg: -3}, Sums{}, Figure{10, 100, 44.4934, 100, true, true}},
		{"nps of less", NPS, Sums{N: -2, Pos: 7}, Sums{}, Figure{}},
	} {
		got := c.metric.Figure(c.base, c.hits, .95)
		scale := 1.0
		if c.metric == NPS || c.metric == CSAT {
			scale = 100
		}
		near := func(a, b float64) bool { return math.Abs(a-b) <= 6e-7*scale }
		if got.N != c.want.N || got.Known != c.want.Known || got.Interval != c.want.Interval ||
			!near(got.Value, c.want.Value) || !near(got.Lo, c.want.Lo) || !near(got.Hi, c.want.Hi) {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
		if v, ok := c.metric.ValueOf(c.base, c.hits); v != got.Value || ok != got.Known {
			t.Errorf("%s: the value alone is %v, %v", c.name, v, ok)
		}
	}
}

// From events to the figure: the last seven days by the time of the event, whatever comes late.
func TestFigureOfRing(t *testing.T) {
	t.Parallel()
	r := NewRing(Span{Over: 7 * day, Step: time.Hour})
	now := noon
	for h, o := range map[int]Observation{-3: {Pos: true}, -100: {Neg: true}, -160: {}, 2: {Pos: true}} {
		if !r.Add(now.Add(time.Duration(h)*time.Hour), now, o) {
			t.Errorf("%d hours ago is out of reach", -h)
		}
	}
	for _, c := range []struct {
		at   feedback.Time
		n    int64
		want float64
	}{{now, 3, 0}, {now.Add(3 * time.Hour), 4, 25}, {now.Add(12 * time.Hour), 3, 100. / 3}, {now.Add(80 * time.Hour), 2, 100}} {
		if f := NPS.Figure(r.Read(c.at), Sums{}, .95); f.N != c.n || f.Value != c.want || !(f.Lo < f.Value && f.Value <= f.Hi) {
			t.Errorf("%v: %+v", c.at, f)
		}
	}
}
