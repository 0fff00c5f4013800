package logic

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"github.com/closedloop/closedloop/rules/internal/lang"
)

// edge is a bound of a range of numbers: at v, or with a side of -1 or 1 just below or above it.
type edge struct {
	v    float64
	side int8
}

func (e edge) compare(o edge) int { return cmp.Or(cmp.Compare(e.v, o.v), cmp.Compare(e.side, o.side)) }

// interval is a range of numbers, both edges of which belong to it.
type interval struct{ lo, hi edge }

// numbers is a set of numbers: ascending intervals that do not overlap.
type numbers []interval

var (
	lowest     = edge{math.Inf(-1), 0}
	highest    = edge{math.Inf(1), 0}
	allNumbers = numbers{{lowest, highest}}
	truths     = numbers{{edge{0, 0}, edge{0, 0}}, {edge{1, 0}, edge{1, 0}}}
)

// numbersOf returns what lies in one of the spans.
func numbersOf(spans []lang.Span) numbers {
	var out numbers
	for _, s := range spans {
		in := interval{edge{s.Low, 0}, edge{s.High, 0}}
		if s.OpenLow && !math.IsInf(s.Low, 0) {
			in.lo.side = 1
		}
		if s.OpenHigh && !math.IsInf(s.High, 0) {
			in.hi.side = -1
		}
		out = append(out, in)
	}
	slices.SortFunc(out, func(a, b interval) int { return a.lo.compare(b.lo) })
	joined := out[:0]
	for _, in := range out {
		if n := len(joined); n > 0 && in.lo.compare(joined[n-1].hi) <= 0 {
			if in.hi.compare(joined[n-1].hi) > 0 {
				joined[n-1].hi = in.hi
			}
			continue
		}
		joined = append(joined, in)
	}
	return joined
}

// and returns what is in both sets.
func (s numbers) and(o numbers) numbers {
	var out numbers
	for i, j := 0, 0; i < len(s) && j < len(o); {
		in := interval{s[i].lo, s[i].hi}
		if o[j].lo.compare(in.lo) > 0 {
			in.lo = o[j].lo
		}
		if o[j].hi.compare(in.hi) < 0 {
			in.hi = o[j].hi
		}
		if in.lo.compare(in.hi) <= 0 {
			out = append(out, in)
		}
		if s[i].hi.compare(o[j].hi) < 0 {
			i++
		} else {
			j++
		}
	}
	return out
}

// not returns what is not in the set.
func (s numbers) not() numbers {
	var out numbers
	low := lowest
	for _, in := range s {
		if in.lo.compare(low) > 0 {
			out = append(out, interval{low, edge{in.lo.v, in.lo.side - 1}})
		}
		low = edge{in.hi.v, in.hi.side + 1}
	}
	if low.compare(highest) <= 0 {
		out = append(out, interval{low, highest})
	}
	return out
}

// meets reports whether the sets have something in common.
func (s numbers) meets(o numbers) bool {
	for i, j := 0, 0; i < len(s) && j < len(o); {
		if s[i].lo.compare(o[j].hi) <= 0 && o[j].lo.compare(s[i].hi) <= 0 {
			return true
		}
		if s[i].hi.compare(o[j].hi) < 0 {
			i++
		} else {
			j++
		}
	}
	return false
}

// some returns a number of the set that people would choose: a small whole one where there is one.
func (s numbers) some() (float64, bool) {
	best, found := 0.0, false
	offer := func(v float64) {
		if !s.has(v) {
			return
		}
		if !found || rank(v) < rank(best) {
			best, found = v, true
		}
	}
	for _, in := range s {
		lo, hi := in.lo.v, in.hi.v
		for _, v := range [...]float64{0, 1, lo, hi, math.Ceil(lo), math.Floor(hi), math.Floor(lo) + 1, math.Ceil(hi) - 1, lo/2 + hi/2,
			math.Nextafter(lo, math.Inf(1)), math.Nextafter(hi, math.Inf(-1))} {
			offer(v)
		}
	}
	return best, found
}

// rank orders numbers by how readily they come to mind.
func rank(v float64) float64 {
	r := math.Abs(v)
	if v != math.Trunc(v) {
		r += 1e15 * float64(len(strconv.FormatFloat(v, 'g', -1, 64)))
	}
	if v < 0 {
		r += 1e14
	}
	return r
}

func (s numbers) has(v float64) bool {
	at := edge{v, 0}
	return v-v == 0 && slices.ContainsFunc(s, func(in interval) bool { return in.lo.compare(at) <= 0 && at.compare(in.hi) <= 0 })
}
