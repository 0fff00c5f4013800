package main

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
)

// The measures of the picture, in pixels.
const (
	pictureWidth  = 980
	pictureHeight = 500
	panelTop      = 84
	panelBottom   = 440
	panelWidth    = 400
	firstPanel    = 72
	secondPanel   = firstPanel + panelWidth + 64
	labelHeight   = 14
)

// curve is how a contender is drawn.
type curve struct {
	name, color string
	marker      string // an SVG path around the origin
	width       float64
}

// curves returns the contenders in the colours of Okabe and Ito, which people with any sight tell apart; the markers do
// so without colours.
func curves() []curve {
	return []curve{
		{naiveName, "#555555", "M-4-4h8v8h-8z", 1.8},
		{celName, "#e69f00", "M0-5.5L5.5 4.5H-5.5z", 1.8},
		{opaName, "#009e73", "M0-6L6 0L0 6L-6 0z", 1.8},
		{opaPartialName, "#cc79a7", "M0 5.5L5.5-4.5H-5.5z", 1.8},
		{oursName, "#0072b2", "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z", 3.2},
	}
}

// plane maps rules and nanoseconds to pixels. Both scales grow tenfold.
type plane struct {
	b                   *bytes.Buffer
	left                float64
	rulesLow, rulesHigh float64 // decades
	timesLow, timesHigh float64
}

func (p *plane) x(rules float64) float64 {
	return p.left + panelWidth*(math.Log10(rules)-p.rulesLow)/(p.rulesHigh-p.rulesLow)
}

func (p *plane) y(ns float64) float64 {
	return panelBottom - (panelBottom-panelTop)*(math.Log10(ns)-p.timesLow)/(p.timesHigh-p.timesLow)
}

// picture draws the time for an event by the number of rules, a panel for each kind.
func (r *report) picture() []byte {
	b := new(bytes.Buffer)
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="Helvetica, Arial, sans-serif" font-size="12" fill="#222222" role="img">`+"\n",
		pictureWidth, pictureHeight, pictureWidth, pictureHeight)
	b.WriteString("<title>Time to find the rules that an event matches, by the number of rules</title>\n")
	fmt.Fprintf(b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", pictureWidth, pictureHeight)
	fmt.Fprintf(b, `<text x="%d" y="24" font-size="15" font-weight="bold">Time to find the rules that an event matches</text>`+"\n", firstPanel)
	legend(b)
	p := plane{b: b}
	p.rulesLow, p.rulesHigh, p.timesLow, p.timesHigh = r.decades()
	for i, k := range []kind{scoped, coarse} {
		p.left = [...]float64{firstPanel, secondPanel}[i]
		p.grid(map[kind]string{
			scoped: "scoped: most rules are about one store, campaign or owner",
			coarse: "coarse: every rule is about fields of few values",
		}[k])
		p.draw(r.of(k))
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func legend(b *bytes.Buffer) {
	x := float64(firstPanel)
	all := curves()
	slices.Reverse(all)
	for _, c := range all {
		fmt.Fprintf(b, `<path d="M%.0f 46h26" stroke="%s" stroke-width="%.1f"/><path transform="translate(%.0f 46)" d="%s" fill="%s"/><text x="%.0f" y="50">%s</text>`+"\n",
			x, c.color, c.width, x+13, c.marker, c.color, x+33, html.EscapeString(c.name))
		x += 58 + 6.4*float64(len(c.name))
	}
}

// decades returns the powers of ten around all that was measured.
func (r *report) decades() (rulesLow, rulesHigh, timesLow, timesHigh float64) {
	rulesLow, timesLow = math.Inf(1), math.Inf(1)
	for _, c := range r.cells {
		n := math.Log10(float64(c.rules))
		rulesLow, rulesHigh = min(rulesLow, n), max(rulesHigh, n)
		for _, f := range c.figures {
			if f.time > 0 {
				timesLow, timesHigh = min(timesLow, math.Log10(f.time)), max(timesHigh, math.Log10(f.time))
			}
		}
	}
	return math.Floor(rulesLow), math.Ceil(rulesHigh), math.Floor(timesLow), math.Ceil(timesHigh)
}

// grid draws the scales with what they count.
func (p *plane) grid(title string) {
	fmt.Fprintf(p.b, `<text x="%.0f" y="%d" font-weight="bold">%s</text>`+"\n", p.left, panelTop-10, html.EscapeString(title))
	for d := p.rulesLow; d <= p.rulesHigh; d++ {
		x := p.x(math.Pow(10, d))
		fmt.Fprintf(p.b, `<path d="M%.1f %dV%d" stroke="#e3e3e3"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			x, panelTop, panelBottom, x, panelBottom+18, thousands(int(math.Pow(10, d))))
	}
	for d := p.timesLow; d <= p.timesHigh; d++ {
		y := p.y(math.Pow(10, d))
		fmt.Fprintf(p.b, `<path d="M%.1f %.1fh%d" stroke="#e3e3e3"/><text x="%.1f" y="%.1f" text-anchor="end">%s</text>`+"\n",
			p.left, y, panelWidth, p.left-8, y+4, span(math.Pow(10, d)))
	}
	fmt.Fprintf(p.b, `<text x="%.1f" y="%d" text-anchor="middle" fill="#555555">rules</text>`+"\n", p.left+panelWidth/2, panelBottom+38)
}

// label is what stands beside the last point of a curve.
type label struct {
	x, y        float64
	text, color string
}

func (p *plane) draw(cells []*cell) {
	var labels []label
	for _, c := range curves() {
		var path, markers bytes.Buffer
		var last label
		for _, in := range cells {
			f := in.figures[c.name]
			if f == nil || f.time == 0 {
				continue
			}
			x, y := p.x(float64(in.rules)), p.y(f.time)
			step := "L"
			if path.Len() == 0 {
				step = "M"
			}
			fmt.Fprintf(&path, "%s%.1f %.1f", step, x, y)
			fmt.Fprintf(&markers, `<path transform="translate(%.1f %.1f)" d="%s" fill="%s"/>`+"\n", x, y, c.marker, c.color)
			last = label{x + 10, y + 4, span(f.time), c.color}
			if c.name == oursName && in != cells[len(cells)-1] {
				p.write(label{x + 8, y + 16, span(f.time), c.color}, "start")
			}
		}
		if last.text == "" {
			continue
		}
		fmt.Fprintf(p.b, `<path d="%s" fill="none" stroke="%s" stroke-width="%.1f" stroke-linejoin="round"/>`+"\n%s",
			path.String(), c.color, c.width, markers.String())
		labels = append(labels, last)
	}
	slices.SortFunc(labels, func(a, b label) int { return cmp.Compare(a.y, b.y) })
	for i, l := range labels {
		if i > 0 && l.y-labels[i-1].y < labelHeight && math.Abs(l.x-labels[i-1].x) < panelWidth/8 {
			l.y = labels[i-1].y + labelHeight
			labels[i] = l
		}
		if l.x > p.left+panelWidth {
			p.write(label{l.x - 6, l.y - 12, l.text, l.color}, "end")
		} else {
			p.write(l, "start")
		}
	}
}

// write writes a label with a white rim, which keeps it readable on a line.
func (p *plane) write(l label, anchor string) {
	fmt.Fprintf(p.b, `<text x="%.1f" y="%.1f" fill="%s" font-weight="bold" text-anchor="%s" stroke="#ffffff" stroke-width="3" paint-order="stroke">%s</text>`+"\n",
		l.x, l.y, l.color, anchor, l.text)
}

// span writes a time of some nanoseconds with its unit.
func span(ns float64) string {
	unit := "ns"
	for _, larger := range []string{"µs", "ms", "s"} {
		if ns < 999.5 {
			break
		}
		ns, unit = ns/1000, larger
	}
	if ns == math.Trunc(ns) {
		return whole(ns) + " " + unit
	}
	return significant(ns) + " " + unit
}
