package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/backtest"
	"github.com/closedloop/closedloop/sdk/feedback"
)

const (
	// narrowTerminal is from how many columns on there is room for long curves.
	narrowTerminal = 110
	shownRules     = 40
	shownExamples  = 12
	shownAlerts    = 20
	shownOwners    = 20
)

// tellBacktest shows a backtest to people, or to programs.
func (a *app) tellBacktest(s *session, b *engine.Backtest) error {
	if a.json {
		return a.printJSON(b)
	}
	w := a.std.Out
	fmt.Fprintf(w, "%s on %s from %s to %s\n", setLine(b.Name, b.Ruleset), count(b.Items, "item"), instant(b.Since, s.zone), instant(b.Until, s.zone))
	if b.Items == 0 {
		a.nothingThere(s, b.First, b.Last)
		return nil
	}
	fmt.Fprintf(w, "  nothing was acted on; %s before that went first, for what rules remember; %s\n", count(b.WarmUp, "item"), closedWhen(b.Close))
	if b.Late > 0 {
		fmt.Fprintf(w, "  %s came late: a revision had moved them in time\n", count(b.Late, "item"))
	}
	a.backtestTotals(b)
	a.backtestRules(b)
	a.backtestQueues(b)
	a.backtestOwners(s, b)
	a.backtestAlerts(s, b)
	a.backtestMessages(b)
	a.examples(b)
	return nil
}

func closedWhen(c backtest.Closing) string {
	if c == backtest.Never {
		return "no case is closed"
	}
	return "cases are taken to be closed when they are due, and after 48 h without a due time"
}

// nothingThere says that there is no feedback of that time, and when there is.
func (a *app) nothingThere(s *session, first, last feedback.Time) {
	if first == 0 {
		fmt.Fprintln(a.std.Out, "  the program has no feedback yet")
		return
	}
	day := func(t feedback.Time) string { return t.Std().In(s.zone).Format(time.DateOnly) }
	fmt.Fprintf(a.std.Out, "  there is no feedback of that time: what is stored is from %s to %s\n", day(first), day(last))
	fmt.Fprintf(a.std.Out, "  try --since %s --until %s\n", day(first), day(last.Add(24*time.Hour)))
}

// curve draws numbers in the columns that there are for it.
func (a *app) curve(values []int) string {
	columns := 40
	if a.std.Width > 0 && a.std.Width < narrowTerminal {
		columns = 16
	}
	return sparkline(values, columns)
}

var levels = []rune("▁▂▃▄▅▆▇█")

// sparkline draws numbers as a curve of at most so many columns; neighbours share one when there are more. What is not
// zero stands above the ground.
func sparkline(values []int, columns int) string {
	if len(values) > columns {
		values = joinNeighbours(values, columns)
	}
	most := 0
	for _, v := range values {
		most = max(most, v)
	}
	if most == 0 {
		return ""
	}
	out := make([]rune, len(values))
	for i, v := range values {
		top := len(levels) - 1
		level := (v*top + most/2) / most
		if v > 0 {
			level = max(level, 1)
		}
		out[i] = levels[level]
	}
	return string(out)
}

// joinNeighbours returns the greatest of each group of neighbours.
func joinNeighbours(values []int, n int) []int {
	out := make([]int, n)
	for i, v := range values {
		at := i * n / len(values)
		out[at] = max(out[at], v)
	}
	return out
}

// per says how long a period is.
func per(days int) string {
	switch days {
	case 1:
		return "by day"
	case 7:
		return "by week"
	}
	return fmt.Sprintf("by %d days", days)
}

func (a *app) backtestTotals(b *engine.Backtest) {
	series := func(of func(*backtest.Period) int) []int {
		out := make([]int, len(b.Periods))
		for i := range b.Periods {
			out[i] = of(&b.Periods[i])
		}
		return out
	}
	fmt.Fprintln(a.std.Out)
	t := newTable(text(""), digits("all"), text(per(b.Days)))
	row := func(name string, n int, of func(*backtest.Period) int) { t.add(name, grouped(n), a.curve(series(of))) }
	row("items", b.Items, func(p *backtest.Period) int { return p.Items })
	row("  on which a rule fires", b.Matched, func(p *backtest.Period) int { return p.Matched })
	row("cases opened", b.Cases, func(p *backtest.Period) int { return p.Cases })
	row("  open at most", b.PeakOpen, func(p *backtest.Period) int { return p.Open })
	row("alerts", b.Firings, func(p *backtest.Period) int { return p.Firings })
	row("messages", b.Messages, func(p *backtest.Period) int { return p.Messages })
	t.write(a.std.Out, a.std.Width)
}

// matched is on how many items the condition of a rule held, or how often it fired over time.
func matched(r *backtest.Rule) int { return r.Fired + r.Shadow + r.Suppressed + r.Firings }

func (a *app) backtestRules(b *engine.Backtest) {
	var silent []string
	var live []*backtest.Rule
	for i := range b.Rules {
		if r := &b.Rules[i]; matched(r)+r.Unknown == 0 {
			silent = append(silent, r.Rule)
		} else {
			live = append(live, r)
		}
	}
	if len(live) > shownRules {
		slices.SortStableFunc(live, func(x, y *backtest.Rule) int { return cmp.Compare(matched(y), matched(x)) })
	}
	a.heading("rules")
	t := indented(narrow("rule"), digits("fired"), digits("kept off"), digits("unknown"), digits("cases"), digits("messages"), text(per(b.Days)), text(""))
	for _, r := range live[:min(len(live), shownRules)] {
		note := ""
		fired := r.Fired
		switch {
		case r.Mode == rules.Shadow:
			note, fired = "shadow", r.Shadow
		case r.Alert:
			note, fired = "alert over time", r.Firings
		}
		unknown := some(r.Unknown)
		if r.UnknownMore && r.Unknown > 0 {
			unknown += "+"
		}
		t.add(r.Rule, grouped(fired), some(r.Suppressed), unknown, some(r.Cases), some(r.Messages), a.curve(r.Periods), note)
	}
	t.write(a.std.Out, a.std.Width)
	if n := len(live) - shownRules; n > 0 {
		fmt.Fprintf(a.std.Out, "  and %s more that fired less: --json lists them\n", count(n, "rule"))
	}
	if len(silent) > 0 {
		const named = 20
		more := ""
		if len(silent) > named {
			more = fmt.Sprintf(" and %d more", len(silent)-named)
		}
		a.paragraph(fmt.Sprintf("%s never fired: %s%s", count(len(silent), "rule"), strings.Join(silent[:min(len(silent), named)], ", "), more))
	}
}

// paragraph writes a text below a heading, wrapped where there is a terminal.
func (a *app) paragraph(text string) {
	lines := []string{clean(text, oneLine)}
	if a.std.Width > 0 {
		lines = wrap(lines[0], max(20, a.std.Width-len(gap)))
	}
	for _, l := range lines {
		fmt.Fprintln(a.std.Out, gap+l)
	}
}

// some writes a number, and nothing for 0.
func some(n int) string {
	if n == 0 {
		return ""
	}
	return grouped(n)
}

func (a *app) backtestQueues(b *engine.Backtest) {
	a.heading("queues")
	t := indented(narrow("queue"), digits("items"), text(""), digits("cases"), text(per(b.Days)))
	for i := range b.Queues {
		q := &b.Queues[i]
		t.add(cmp.Or(q.Queue, "(not routed)"), grouped(q.Items), bar(q.Items, b.Items, barColumns), some(q.Cases), a.curve(q.Periods))
	}
	t.write(a.std.Out, a.std.Width)
}

func (a *app) backtestOwners(s *session, b *engine.Backtest) {
	if len(b.Owners) == 0 {
		return
	}
	a.heading("who has how many cases open")
	t := indented(narrow("owner"), digits("cases"), digits("at most"), digits("of"), text("when"), text(per(b.Days)), text(""))
	for i := range b.Owners[:min(len(b.Owners), shownOwners)] {
		o := &b.Owners[i]
		note, when := "", ""
		if o.Capacity > 0 && o.Peak >= o.Capacity {
			note = "at capacity"
		}
		if o.Peak > 0 {
			when = instant(o.PeakAt, s.zone)
		}
		t.add(cmp.Or(o.Owner, "(nobody)"), grouped(o.Cases), grouped(o.Peak), some(o.Capacity), when, a.curve(o.Periods), note)
	}
	t.write(a.std.Out, a.std.Width)
	if n := len(b.Owners) - shownOwners; n > 0 {
		fmt.Fprintf(a.std.Out, "  and %d more: --json lists them\n", n)
	}
	for i := range b.Pools {
		if p := &b.Pools[i]; p.Full > 0 {
			a.paragraph(fmt.Sprintf("the pool %s had nobody left for %s: everybody was at capacity", p.Name, count(p.Full, "item")))
		}
	}
}

func (a *app) backtestAlerts(s *session, b *engine.Backtest) {
	if len(b.Alerts) == 0 {
		return
	}
	a.heading("alerts")
	t := indented(text("from"), text("to"), text(""), narrow("rule"), narrow("of"), elastic("summary"))
	for i := range b.Alerts[:min(len(b.Alerts), shownAlerts)] {
		f := &b.Alerts[i]
		severity := string(f.Severity)
		if f.Shadow {
			severity = "shadow"
		}
		t.add(instant(f.From, s.zone), cmp.Or(instant(f.To, s.zone), "goes on"), severity, f.Rule, f.Key, f.Summary)
	}
	t.write(a.std.Out, a.std.Width)
	if n := len(b.Alerts) + b.AlertsMore - shownAlerts; n > 0 {
		fmt.Fprintf(a.std.Out, "  and %s more: --json lists them\n", grouped(n))
	}
}

func (a *app) backtestMessages(b *engine.Backtest) {
	if len(b.Destinations) == 0 {
		return
	}
	a.heading("messages")
	t := indented(narrow("destination"), digits("items"), digits("alerts"), digits("digests"), text(per(b.Days)))
	for i := range b.Destinations {
		d := &b.Destinations[i]
		t.add(d.Destination, some(d.Messages), some(d.Notices), some(d.Digests), a.curve(d.Periods))
	}
	t.write(a.std.Out, a.std.Width)
}

// examples shows some of the items on which rules fire, and on which none does.
func (a *app) examples(b *engine.Backtest) {
	var live []*backtest.Rule
	for i := range b.Rules {
		if len(b.Rules[i].Samples) > 0 {
			live = append(live, &b.Rules[i])
		}
	}
	slices.SortStableFunc(live, func(x, y *backtest.Rule) int { return cmp.Compare(matched(y), matched(x)) })
	a.heading("examples")
	t := indented(narrow("rule"), ident("item"), elastic("text"))
	for _, r := range live[:min(len(live), shownExamples)] {
		addSamples(t, r.Rule, r.Samples)
	}
	addSamples(t, "(no rule)", b.Unmatched)
	t.write(a.std.Out, a.std.Width)
}

func addSamples(t *table, name string, samples []backtest.Sample) {
	for _, s := range samples {
		t.add(name, string(s.Item), s.Text)
		name = ""
	}
}
