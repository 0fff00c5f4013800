package cli

import (
	"math"
	"strings"

	"github.com/closedloop/closedloop/engine"
)

// scale draws figures on one scale.
type scale struct {
	statistic engine.Statistic
	lo, hi    float64
}

// drawing returns the scale of figures: that of the score, from 0 to the largest, or, for curves, what they lie between.
func drawing(s engine.Statistic, all []engine.Figure) scale {
	p := scale{s, math.Inf(1), math.Inf(-1)}
	for i := range all {
		if v := all[i].Value; v != nil {
			p.lo, p.hi = min(p.lo, *v), max(p.hi, *v)
		}
	}
	switch s {
	case engine.NetPromoterScore:
		p.lo, p.hi = -100, 100
	case engine.MeanAnswer:
	default:
		p.lo = 0
	}
	return p
}

// at returns where a value lies on a scale of so many steps, from 0.
func (p scale) at(v float64, steps int) int {
	if !(p.hi > p.lo) {
		return 0
	}
	return min(max(int(math.Round((v-p.lo)/(p.hi-p.lo)*float64(steps-1))), 0), steps-1)
}

// figure draws a score or a mean as a point with its interval, and others as a bar.
func (p scale) figure(f *engine.Figure) string {
	if f.Value == nil || p.statistic == engine.MeanAnswer {
		return ""
	}
	if p.statistic != engine.NetPromoterScore {
		const fine = 1000
		return bar(p.at(*f.Value, fine+1), fine, barColumns)
	}
	row := []rune(strings.Repeat(" ", barColumns))
	if f.Lo != nil && f.Hi != nil {
		for i := p.at(*f.Lo, barColumns); i <= p.at(*f.Hi, barColumns); i++ {
			row[i] = '─'
		}
	}
	row[p.at(*f.Value, barColumns)] = '●'
	return strings.TrimRight(string(row), " ")
}

// scoreAxis stands above drawn scores, as wide as they can be.
const scoreAxis = "-100        0       +100"

func axis(s engine.Statistic) string {
	if s == engine.NetPromoterScore {
		return scoreAxis
	}
	return ""
}

// mostColumns bounds a curve: of more periods the latest are drawn.
const mostColumns = 40

// curve draws figures one after the other, and a dot where nothing is known.
func (p scale) curve(figures []engine.Figure) string {
	var b strings.Builder
	for i := max(0, len(figures)-mostColumns); i < len(figures); i++ {
		if v := figures[i].Value; v != nil {
			b.WriteRune(levels[p.at(*v, len(levels))])
		} else {
			b.WriteRune('·')
		}
	}
	return b.String()
}
