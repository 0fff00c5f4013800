package cli

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/rules/backtest"
	"github.com/closedloop/closedloop/sdk/feedback"
)

//go:embed backtestpage.html
var backtestTemplate string

// pageData is what the template shows.
type pageData struct {
	*engine.Backtest
	Program string
}

// pager draws the pictures of a page.
type pager struct {
	b    *engine.Backtest
	zone *time.Location
}

// backtestPage writes a backtest as one page that needs nothing else: no script, no font and no picture from elsewhere.
func backtestPage(w io.Writer, program string, b *engine.Backtest) error {
	zone, err := time.LoadLocation(b.Timezone)
	if err != nil {
		return err
	}
	p := &pager{b, zone}
	t, err := template.New("backtest").Funcs(template.FuncMap{
		"grouped": grouped, "some": some, "short": short, "instant": func(t feedback.Time) string { return instant(t, zone) },
		"day":   func(t feedback.Time) string { return t.Std().In(zone).Format(time.DateOnly) },
		"bars":  p.bars,
		"spark": p.spark, "open": p.open, "load": p.load, "alerts": p.alerts, "matched": func(r backtest.Rule) int { return matched(&r) },
		"closing": closedWhen, "per": per, "share": share, "or": func(s, otherwise string) string { return cmp.Or(s, otherwise) },
	}).Parse(backtestTemplate)
	if err != nil {
		return err
	}
	return t.Execute(w, pageData{Backtest: b, Program: program})
}

// Live returns the rules that did something, the busiest first.
func (d pageData) Live() (out []backtest.Rule) {
	for i := range d.Rules {
		if matched(&d.Rules[i])+d.Rules[i].Unknown > 0 {
			out = append(out, d.Rules[i])
		}
	}
	slices.SortStableFunc(out, func(x, y backtest.Rule) int { return cmp.Compare(matched(&y), matched(&x)) })
	return out
}

// Silent returns the names of the rules that did nothing.
func (d pageData) Silent() string {
	var out []string
	for i := range d.Rules {
		if matched(&d.Rules[i])+d.Rules[i].Unknown == 0 {
			out = append(out, d.Rules[i].Rule)
		}
	}
	return strings.Join(out, ", ")
}

func share(n, of int) string {
	if of == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f %%", 100*float64(n)/float64(of))
}

// The size of the large pictures, with room for the scale.
const (
	pictureWidth  = 920
	pictureHeight = 190
	left          = 46
	bottom        = 24
	top           = 10
)

// picture collects the parts of a picture. Everything that comes from outside goes through text.
type picture struct{ strings.Builder }

func (p *picture) add(format string, args ...any) { fmt.Fprintf(p, format, args...) }

func (p *picture) text(x, y float64, class, s string) {
	p.add(`<text x="%.1f" y="%.1f" class="%s">%s</text>`, x, y, class, template.HTMLEscapeString(s))
}

// title is what a browser shows above a part of the picture.
func title(s string) string { return "<title>" + template.HTMLEscapeString(s) + "</title>" }

// html ends the picture. Its parts are numbers and escaped texts.
func (p *picture) html(label string, width, height int) template.HTML {
	return template.HTML(fmt.Sprintf(`<svg viewBox="0 0 %d %d" role="img" aria-label="%s">%s</svg>`,
		width, height, template.HTMLEscapeString(label), p.String()))
}

// scale draws lines at round numbers and returns the number at the top.
func (p *picture) scale(most, height int) int {
	step := 1
	for _, s := range []int{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000, 1_000_000} {
		if step = s; most <= 4*s {
			break
		}
	}
	high := max((most+step-1)/step, 1) * step
	for v := 0; v <= high; v += step {
		y := level(v, high, height)
		p.add(`<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" class="grid"/>`, left, y, pictureWidth, y)
		p.text(left-6, y+4, "scale end", grouped(v))
	}
	return high
}

// level returns how low a number stands.
func level(v, high, height int) float64 {
	return top + float64(height-top-bottom)*(1-float64(v)/float64(high))
}

// days writes dates below a picture.
func (p *picture) days(g *pager, height int) {
	n := len(g.b.Periods)
	every := max((n+7)/8, 1)
	for i := 0; i < n; i += every {
		p.text(g.x(i, 0), float64(height-6), "scale", g.b.Periods[i].At.Std().In(g.zone).Format("2 Jan"))
	}
}

// x returns where a period begins, plus a share of its width.
func (g *pager) x(i int, within float64) float64 {
	return left + (float64(i)+within)*float64(pictureWidth-left)/float64(len(g.b.Periods))
}

// at returns where an instant is.
func (g *pager) at(t feedback.Time) float64 {
	t = min(max(t, g.b.Since), g.b.Until)
	return left + float64(t-g.b.Since)/float64(max(g.b.Until-g.b.Since, 1))*float64(pictureWidth-left)
}

// bars draws the items of each period, and of these the ones on which a rule fired.
func (g *pager) bars() template.HTML {
	p, most := &picture{}, 0
	for _, v := range g.b.Periods {
		most = max(most, v.Items)
	}
	high := p.scale(most, pictureHeight)
	ground := level(0, high, pictureHeight)
	for i, v := range g.b.Periods {
		x, w := g.x(i, 0.1), g.x(i, 0.9)-g.x(i, 0.1)
		p.add(`<g>%s`, title(fmt.Sprintf("%s: %s, %d with a rule, %s, %s", g.day(v.At), count(v.Items, "item"), v.Matched, count(v.Cases, "case"), count(v.Messages, "message"))))
		for _, part := range []struct {
			n     int
			class string
		}{{v.Items, "all"}, {v.Matched, "matched"}} {
			y := level(part.n, high, pictureHeight)
			p.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" class="%s"/>`, x, y, w, ground-y, part.class)
		}
		p.add(`</g>`)
	}
	p.days(g, pictureHeight)
	return p.html("items", pictureWidth, pictureHeight)
}

func (g *pager) day(t feedback.Time) string { return t.Std().In(g.zone).Format("Mon 2 Jan 2006") }

// open draws how many cases are open at most in each period.
func (g *pager) open() template.HTML {
	values := make([]int, len(g.b.Periods))
	for i := range values {
		values[i] = g.b.Periods[i].Open
	}
	return g.area("open cases", values, 0)
}

// load draws how many cases somebody has open at most, below the capacity.
func (g *pager) load(o backtest.Owner) template.HTML {
	return g.area("open cases", o.Periods, o.Capacity)
}

func (g *pager) area(label string, values []int, capacity int) template.HTML {
	const height = 130
	p, most := &picture{}, max(capacity, 1)
	for _, v := range values {
		most = max(most, v)
	}
	high := p.scale(most, height)
	var line strings.Builder
	for i, v := range values {
		fmt.Fprintf(&line, "%.1f,%.1f %.1f,%.1f ", g.x(i, 0), level(v, high, height), g.x(i, 1), level(v, high, height))
	}
	ground := level(0, high, height)
	p.add(`<polygon points="%d,%.1f %s%d,%.1f" class="area"/>`, left, ground, line.String(), pictureWidth, ground)
	p.add(`<polyline points="%s" class="line"/>`, line.String())
	for i, v := range values {
		p.add(`<rect x="%.1f" y="%d" width="%.1f" height="%d" class="touch">%s</rect>`, g.x(i, 0), top, g.x(i, 1)-g.x(i, 0), height-top-bottom,
			title(fmt.Sprintf("%s: at most %d open", g.day(g.b.Periods[i].At), v)))
	}
	if capacity > 0 {
		y := level(capacity, high, height)
		p.add(`<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" class="capacity"/>`, left, y, pictureWidth, y)
		p.text(pictureWidth-4, y-4, "scale end warn", fmt.Sprintf("capacity %d", capacity))
	}
	p.days(g, height)
	return p.html(label, pictureWidth, height)
}

// pageAlerts is how many alerts are drawn.
const pageAlerts = 40

// alerts draws from when to when alerts fire.
func (g *pager) alerts() template.HTML {
	const row = 20
	drawn := g.b.Alerts[:min(len(g.b.Alerts), pageAlerts)]
	height := top + row*len(drawn) + bottom
	p := &picture{}
	for i := range drawn {
		f := &drawn[i]
		y := float64(top + row*i)
		from, to := g.at(f.From), g.at(cmp.Or(f.To, g.b.Until))
		name := joined(": ", f.Rule, f.Key)
		class := cmp.Or(string(f.Severity), "info")
		if f.Shadow {
			class = "shadow"
		}
		p.add(`<g>%s<rect x="%.1f" y="%.1f" width="%.1f" height="%d" rx="3" class="alert %s"/>`,
			title(fmt.Sprintf("%s, %s to %s: %s", name, instant(f.From, g.zone), cmp.Or(instant(f.To, g.zone), "the end"), f.Summary)),
			from, y+3, max(to-from, 3), row-6, template.HTMLEscapeString(class))
		if to < 0.7*pictureWidth {
			p.text(to+6, y+14, "name", cut(name, 60))
		} else {
			p.text(from-6, y+14, "name end", cut(name, 60))
		}
		p.add(`</g>`)
	}
	p.days(g, height)
	return p.html("alerts", pictureWidth, height)
}

// spark draws numbers as small bars.
func (g *pager) spark(values []int) template.HTML {
	const width, height = 160, 24
	p, most := &picture{}, 1
	if len(values) > width/2 {
		values = joinNeighbours(values, width/2)
	}
	for _, v := range values {
		most = max(most, v)
	}
	w := float64(width) / float64(max(len(values), 1))
	for i, v := range values {
		if v > 0 {
			h := max(float64(height*v)/float64(most), 1.5)
			p.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" class="matched"/>`, float64(i)*w, height-h, max(w*0.8, 0.5), h)
		}
	}
	return p.html("over time", width, height)
}
