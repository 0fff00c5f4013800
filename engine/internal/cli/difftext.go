package cli

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/rules/backtest"
)

const (
	shownGroups = 40
	shownCauses = 3
	shownEdits  = 20
)

// tellDiff shows a comparison to people, or to programs.
func (a *app) tellDiff(s *session, d *engine.Diff) error {
	if a.json {
		return a.printJSON(d)
	}
	w := a.std.Out
	fmt.Fprintf(w, "%s -> %s on %s from %s to %s\n", setLine(d.Old.Name, d.Old.Ruleset), setLine(d.New.Name, d.New.Ruleset),
		count(d.Items, "item"), instant(d.Since, s.zone), instant(d.Until, s.zone))
	if d.Old.Ruleset == d.New.Ruleset {
		fmt.Fprintln(w, "  the rules are the same")
		return nil
	}
	fmt.Fprintf(w, "  nothing was acted on; %s\n", closedWhen(d.Close))
	a.edits(d)
	if d.Items == 0 {
		fmt.Fprintln(w)
		a.nothingThere(s, d.First, d.Last)
		return nil
	}
	a.diffTotals(d)
	a.heading(changedLine(d))
	told := map[string]bool{}
	for i := range d.Groups[:min(len(d.Groups), shownGroups)] {
		a.group(&d.Groups[i], told)
	}
	if n := len(d.Groups) - shownGroups; n > 0 {
		fmt.Fprintf(w, "  and %s more: --json lists them\n", count(n, "difference"))
	}
	a.alertChanges(s, d)
	return nil
}

// changedLine says in one line what differs.
func changedLine(d *engine.Diff) string {
	if d.Changed == 0 && len(d.Alerts) == 0 {
		return "every item is treated alike"
	}
	line := fmt.Sprintf("%s of %s treated differently", grouped(d.Changed), count(d.Items, "item"))
	if n := len(d.Alerts); n > 0 {
		line += ", " + count(n, "alert") + " only with one of the sets"
	}
	return line
}

// edits shows what the rule files say otherwise.
func (a *app) edits(d *engine.Diff) {
	if len(d.Files) == 0 {
		return
	}
	a.heading("what the files say otherwise")
	for i := range d.Files[:min(len(d.Files), shownEdits)] {
		e := &d.Files[i]
		fmt.Fprintf(a.std.Out, "  %s %s %s\n", e.Kind, clean(e.Name, oneLine), e.Change)
		if e.Kind == "group" && e.Change != "changed" {
			continue
		}
		for _, l := range e.Lines {
			fmt.Fprintln(a.std.Out, strings.TrimRight("      "+clean(l, oneLine), " "))
		}
	}
	if n := len(d.Files) - shownEdits; n > 0 {
		fmt.Fprintf(a.std.Out, "  and %d more: --json lists them\n", n)
	}
}

func (a *app) diffTotals(d *engine.Diff) {
	fmt.Fprintln(a.std.Out)
	t := newTable(text(""), digits("old"), digits("new"), digits(""))
	row := func(name string, before, after int) {
		change := ""
		if before != after {
			change = fmt.Sprintf("%+d", after-before)
		}
		t.add(name, grouped(before), grouped(after), change)
	}
	o, n := &d.Old.Totals, &d.New.Totals
	row("items on which a rule fires", o.Matched, n.Matched)
	row("items routed", o.Routed, n.Routed)
	row("cases opened", o.Cases, n.Cases)
	row("cases open at most", o.PeakOpen, n.PeakOpen)
	row("alerts", o.Firings, n.Firings)
	row("messages", o.Messages, n.Messages)
	t.write(a.std.Out, a.std.Width)
}

// groupLine says what differs: care -> vip: 31 items.
func groupLine(g *backtest.Group) string {
	n := count(g.Items, "item")
	switch {
	case g.Field == backtest.FieldCase && g.Old == "":
		return fmt.Sprintf("a case is opened (%s): %s", g.New, n)
	case g.Field == backtest.FieldCase && g.New == "":
		return fmt.Sprintf("no case is opened any more: %s", n)
	case g.Old == "" && (g.Field == backtest.FieldTag || g.Field == backtest.FieldAlert || g.Field == backtest.FieldMessage):
		return fmt.Sprintf("+ %s %s: %s", g.Field, g.New, n)
	case g.New == "" && (g.Field == backtest.FieldTag || g.Field == backtest.FieldAlert || g.Field == backtest.FieldMessage):
		return fmt.Sprintf("- %s %s: %s", g.Field, g.Old, n)
	}
	return fmt.Sprintf("%s %s -> %s: %s", g.Field, cmp.Or(g.Old, "none"), cmp.Or(g.New, "none"), n)
}

// group shows what differs in one way. Causes that were told are only named.
func (a *app) group(g *backtest.Group, told map[string]bool) {
	w := a.std.Out
	fmt.Fprintf(w, "\n  %s\n", clean(groupLine(g), oneLine))
	for i := range g.Causes[:min(len(g.Causes), shownCauses)] {
		c := &g.Causes[i]
		same := strings.Join(append([]string{c.Before, c.After}, c.Why...), "\n")
		if told[same] {
			fmt.Fprintf(w, "    %s, as above\n", clean(causeLine(c), oneLine))
			continue
		}
		told[same] = true
		if len(g.Causes) > 1 {
			fmt.Fprintf(w, "    %s\n", clean(causeLine(c), oneLine))
		}
		for _, why := range c.Why {
			a.wrapped("    because ", why)
		}
		t := newTable(ident(""), elastic(""))
		t.indent = 6
		for _, s := range c.Samples {
			t.add(string(s.Item), s.Text)
		}
		t.write(w, a.std.Width)
	}
	if n := len(g.Causes) - shownCauses; n > 0 {
		fmt.Fprintf(w, "    and by %d more ways\n", n)
	}
}

// causeLine says from which rule to which.
func causeLine(c *backtest.Cause) string {
	return fmt.Sprintf("%s: %s -> %s", count(c.Items, "item"), cmp.Or(c.Before, "no rule"), cmp.Or(c.After, "no rule"))
}

// wrapped writes a text behind a word, its further lines below its beginning.
func (a *app) wrapped(word, text string) {
	lines := []string{clean(text, oneLine)}
	if a.std.Width > 0 {
		lines = wrap(lines[0], max(20, a.std.Width-len(word)))
	}
	for _, l := range lines {
		fmt.Fprintln(a.std.Out, word+l)
		word = strings.Repeat(" ", len(word))
	}
}

func (a *app) alertChanges(s *session, d *engine.Diff) {
	if len(d.Alerts) == 0 {
		return
	}
	a.heading("alerts that only one of the sets has")
	t := indented(text(""), text("from"), text("to"), narrow("rule"), narrow("of"), elastic("summary"))
	for i := range d.Alerts[:min(len(d.Alerts), shownAlerts)] {
		f := &d.Alerts[i]
		mark := "+"
		if f.In == "old" {
			mark = "-"
		}
		t.add(mark, instant(f.From, s.zone), cmp.Or(instant(f.To, s.zone), "goes on"), f.Rule, f.Key, f.Summary)
	}
	t.write(a.std.Out, a.std.Width)
	if n := len(d.Alerts) - shownAlerts; n > 0 {
		fmt.Fprintf(a.std.Out, "  and %d more: --json lists them\n", n)
	}
}
