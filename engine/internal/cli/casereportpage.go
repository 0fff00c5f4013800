package cli

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/feedback"
)

//go:embed casereportpage.html
var reportTemplate string

// reportPage writes a report as one page that needs nothing else: no script, no font and no picture from elsewhere.
func reportPage(w io.Writer, r *engine.CaseReport, program string, zone *time.Location) error {
	t, err := template.New("report").Funcs(template.FuncMap{
		"grouped": grouped, "count": count, "percent": percent, "took": took, "lead": lead, "tile": newTile, "risks": newRisks,
		"program": func() string { return program },
		"short":   shortShare, "parts": shareParts, "waits": waits, "age": age,
		"instant": func(t feedback.Time) string { return instant(t, zone) },
		"name":    func(s any) string { return clean(fmt.Sprint(s), oneLine) },
		"whisker": whisker, "barOf": barOf, "riskBar": riskBar, "whole": whole,
	}).Parse(reportTemplate)
	if err != nil {
		return err
	}
	return t.Execute(w, r)
}

// lead says the most important in one sentence.
func lead(r *engine.CaseReport) string {
	if r.Opened == 0 && r.RiskTotal.Cases == 0 {
		return "No case was opened in this time."
	}
	var said []string
	if p := r.Response; p.Of > 0 {
		said = append(said, fmt.Sprintf("%s of %s %s given in time", shortShare(p.Share), count(p.Of, "promised response"), map[bool]string{true: "was", false: "were"}[p.Of == 1]))
	}
	if r.Open > 0 {
		said = append(said, count(r.Open, "case")+" of this time "+verb(r.Open)+" open")
	}
	if r.RiskTotal.Value > 0 {
		said = append(said, whole(r.RiskTotal.Value)+" of account value is at risk")
	}
	if n := r.Detractors.Of - r.Detractors.Yes; n > 0 {
		said = append(said, count(n, "detractor")+" "+verb(n)+" without a case")
	}
	if len(said) == 0 {
		return "Nothing is open."
	}
	text := strings.Join(said, "; ") + "."
	return strings.ToUpper(text[:1]) + text[1:]
}

func verb(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// tile is a share with what is said of it.
type tile struct {
	Title   string
	Share   engine.Share
	Noun    string
	Promise *engine.Promise
}

func newTile(title string, s engine.Share, noun string, p any) tile {
	t := tile{Title: title, Share: s, Noun: noun}
	if promise, ok := p.(engine.Promise); ok {
		t.Promise = &promise
	}
	return t
}

func shortShare(s engine.Share) string {
	if s.Of == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f %%", math.Round(100*s.Value))
}

func shareParts(s engine.Share, noun string) string {
	if s.Of == 0 {
		return "no " + noun + " yet"
	}
	return fmt.Sprintf("%s of %s, interval %.0f to %.0f %%", grouped(s.Yes), count(s.Of, noun), math.Round(100*s.Lo), math.Round(100*s.Hi))
}

// waits says how long it took, and what may still come.
func waits(p *engine.Promise) string {
	var b strings.Builder
	if p.Timed > 0 {
		b.WriteString("; median " + took(p.Median) + ", 9 of 10 within " + took(p.P90))
	}
	if p.Pending > 0 {
		b.WriteString("; " + grouped(p.Pending) + " not due yet")
	}
	return b.String()
}

// age says for how long a case had been open at the end of the report.
func age(c *feedback.Case, r *engine.CaseReport) string {
	return span(max(r.Until.Std().Sub(c.Since().Std()), 0))
}

func whole(v float64) string { return grouped(int(math.Round(v))) }

// risks are the themes with the most at risk, and behind them the others.
type risks struct {
	Rows []engine.ValueAtRisk
	Most float64
	Rest *risks
}

// shownRisks is how many themes stand in the open.
const shownRisks = 12

func newRisks(r *engine.CaseReport) *risks {
	if len(r.AtRisk) == 0 {
		return nil
	}
	out := &risks{Rows: r.AtRisk[:min(len(r.AtRisk), shownRisks)], Most: r.AtRisk[0].Value}
	if rest := r.AtRisk[len(out.Rows):]; len(rest) > 0 {
		out.Rest = &risks{Rows: rest, Most: out.Most}
	}
	return out
}

const shareWidth = 200

// whisker draws a share from 0 to 100 % with its interval.
func whisker(s engine.Share) template.HTML {
	if s.Of == 0 {
		return ""
	}
	return template.HTML(fmt.Sprintf(
		`<svg viewBox="0 0 %d 16" preserveAspectRatio="none" role="img"><title>%s</title><rect class="all" y="6" width="%d" height="4"/>`+
			`<rect class="span" x="%.1f" y="4" width="%.1f" height="8"/><rect class="hit" x="%.1f" y="1" width="4" height="14"/></svg>`,
		shareWidth, percent(s), shareWidth, shareWidth*s.Lo, shareWidth*(s.Hi-s.Lo), min(max(shareWidth*s.Value-2, 0), shareWidth-4)))
}

// barOf draws n of most as a bar.
func barOf(n, most int) template.HTML {
	if most <= 0 {
		return ""
	}
	return bars(grouped(n), float64(n)/float64(most), 0)
}

// riskBar draws what is at risk, and the late part of it on top.
func riskBar(v engine.ValueAtRisk, most float64) template.HTML {
	if most <= 0 || v.Value <= 0 {
		return ""
	}
	return bars(whole(v.Value)+" at risk, "+whole(v.Late)+" past a promise", v.Value/most, v.Late/most)
}

func bars(title string, all, late float64) template.HTML {
	rect := func(class string, share float64) string {
		if share <= 0 {
			return ""
		}
		return fmt.Sprintf(`<rect class="%s" y="3" width="%.1f" height="10"/>`, class, max(1, shareWidth*share))
	}
	return template.HTML(fmt.Sprintf(`<svg viewBox="0 0 %d 16" preserveAspectRatio="none" role="img"><title>%s</title>%s%s</svg>`,
		shareWidth, title, rect("hit", all), rect("late", late)))
}
