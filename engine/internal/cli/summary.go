package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/feedback"
)

const (
	shownThemes  = 12
	shownRejects = 20
	barColumns   = 24
)

// summary tells people what a pass did and where the program stands. failed says that not every source was read to its
// end.
func (a *app) summary(s *engine.Summary, failed bool) {
	w := a.std.Out
	fmt.Fprintf(w, "%s: %s read in %s\n", s.Program, count(s.Total.Read, "item"), span(s.Took))
	a.sourcesTable(s, failed)
	a.rejects(s)
	a.notices(s)
	a.standing(s.Stats)
	a.acted(s)
	a.waiting(s.Stats)
}

func (a *app) heading(title string) { fmt.Fprintf(a.std.Out, "\n%s\n", title) }

func indented(columns ...column) *table {
	t := newTable(columns...)
	t.indent = 2
	return t
}

func countColumns(first string) *table {
	return indented(text(first), digits("read"), digits("new"), digits("revised"), digits("duplicate"), digits("stale"), digits("rejected"))
}

func countCells(name string, c *feedback.Counts) []string {
	cells := []string{name}
	for _, n := range []int{c.Read, c.New, c.Revised, c.Duplicate, c.Stale, c.Rejected} {
		cells = append(cells, grouped(n))
	}
	return cells
}

func (a *app) sourcesTable(s *engine.Summary, failed bool) {
	fmt.Fprintln(a.std.Out)
	t := countColumns("source")
	for i := range s.Sources {
		t.add(countCells(s.Sources[i].Source, &s.Sources[i].Counts)...)
	}
	if len(s.Sources) > 1 {
		t.add(countCells("all", &s.Total)...)
	}
	t.write(a.std.Out, a.std.Width)
	switch {
	case failed:
		fmt.Fprintln(a.std.Out, "\n  not everything was read: what a source still holds waits until what failed works again")
	case s.Total.New == 0 && s.Total.Revised == 0 && s.Stats.Items > 0:
		fmt.Fprintln(a.std.Out, "\n  nothing is new: nothing was taken in or acted on again")
	}
}

// rejects tells which rows are no items, where and why, and which items a plugin could not survive.
func (a *app) rejects(s *engine.Summary) {
	if s.Total.Rejected == 0 {
		return
	}
	var rows, items []feedback.DeadLetter
	for _, l := range s.Rejects {
		if l.Kind == feedback.DeadItem {
			items = append(items, l)
		} else {
			rows = append(rows, l)
		}
	}
	if n := s.Total.Rejected - len(items); n > 0 {
		a.heading(fmt.Sprintf("rejected: %s to mend at the source", count(n, "row")))
		a.letters(rows, n, text("where"), func(l *feedback.DeadLetter) string { return l.Position })
	}
	if n := len(items); n > 0 {
		a.heading(fmt.Sprintf("held back: %s that a plugin could not survive; mend the plugin, then closedloop replay ID", count(n, "item")))
		a.letters(items, n, text("id"), func(l *feedback.DeadLetter) string { return l.ID })
	}
}

// letters lists the first of n dead letters.
func (a *app) letters(all []feedback.DeadLetter, n int, name column, value func(*feedback.DeadLetter) string) {
	shown := all[:min(len(all), shownRejects)]
	t := indented(text("source"), name, elastic("why"))
	for i := range shown {
		t.add(shown[i].Source, value(&shown[i]), shown[i].Reason)
	}
	t.write(a.std.Out, a.std.Width)
	if rest := n - len(shown); rest > 0 {
		fmt.Fprintf(a.std.Out, "  and %s more: closedloop show dead\n", grouped(rest))
	}
}

// notices tells what is odd about the rows that were taken.
func (a *app) notices(s *engine.Summary) {
	var said []string
	for i := range s.Sources {
		src := &s.Sources[i]
		for _, odd := range oddities(src.Counts) {
			said = append(said, src.Source+": "+odd)
		}
		for _, notice := range slices.Sorted(maps.Keys(src.Notices)) {
			said = append(said, src.Source+": "+notice+times(src.Notices[notice]))
		}
	}
	if len(said) == 0 {
		return
	}
	a.heading("worth knowing")
	for _, line := range said {
		fmt.Fprintln(a.std.Out, "  "+clean(line, oneLine))
	}
}

func times(n int) string {
	if n < 2 {
		return ""
	}
	return fmt.Sprintf(" (%d times)", n)
}

// standing tells where the program stands over everything that it remembers.
func (a *app) standing(s *engine.Stats) {
	a.heading(npsLine(s.NPS))
	a.themes(s.Themes, s.Items, shownThemes)
	if len(s.Detractors) > 0 {
		a.heading("detractors by queue")
		t := indented(text(""), digits(""), text(""))
		for _, q := range s.Detractors {
			t.add(cmp.Or(q.Queue, "(not routed)"), grouped(q.Items), bar(q.Items, s.NPS.Detractors, barColumns))
		}
		t.write(a.std.Out, a.std.Width)
	}
}

func npsLine(n engine.NPS) string {
	if n.N == 0 {
		return "NPS: no answers to an nps question yet"
	}
	return fmt.Sprintf("NPS %s (95 %% interval %s to %s) of %s: %s, %s, %s", signed(n.Value), signed(n.Lo), signed(n.Hi),
		count(n.N, "answer"), count(n.Detractors, "detractor"), count(n.Passives, "passive"), count(n.Promoters, "promoter"))
}

// themes draws how often themes were found among so many items.
func (a *app) themes(themes []engine.Theme, items, limit int) {
	if len(themes) == 0 {
		a.heading("themes: none found")
		return
	}
	a.heading(fmt.Sprintf("themes in %s", count(items, "item")))
	shown := themes[:min(len(themes), limit)]
	t := indented(text("theme"), digits("items"), text(""), digits("nps"), text("95 % interval"))
	for i := range shown {
		t.add(themeCells(&shown[i], themes[0].Items)...)
	}
	t.write(a.std.Out, a.std.Width)
	if rest := len(themes) - len(shown); rest > 0 {
		fmt.Fprintf(a.std.Out, "  and %d more: closedloop show themes\n", rest)
	}
}

// acted tells what this pass began, and what is open in all.
func (a *app) acted(s *engine.Summary) {
	a.heading("actions")
	c := s.Stats.Cases
	fmt.Fprintf(a.std.Out, "  %s opened; %s open in all, %s past due\n", count(s.Cases, "case"), grouped(c.Open), grouped(c.Breached))
	fmt.Fprintf(a.std.Out, "  %s raised\n", count(len(s.Alerts), "alert"))
	for i := range s.Alerts {
		fmt.Fprintln(a.std.Out, "    "+alertLine(&s.Alerts[i]))
	}
	fmt.Fprintf(a.std.Out, "  %s queued, %s sent\n", count(s.Messages, "message"), grouped(s.Sent))
}

func alertLine(al *feedback.Alert) string {
	line := cmp.Or(al.Severity, "info") + ": " + cmp.Or(al.Summary, al.Rule)
	if al.Key != "" {
		line += " [" + al.Key + "]"
	}
	return clean(line+", "+count(al.Count, "item"), oneLine)
}

// waiting tells what waits for a destination and why, and what was given up.
func (a *app) waiting(s *engine.Stats) {
	n := 0
	for _, o := range s.Waiting {
		n += o.Messages
	}
	if n > 0 {
		a.heading(count(n, "delivery") + " waiting")
		t := indented(text("destination"), digits("waiting"), elastic("why"))
		for _, o := range s.Waiting {
			t.add(o.Destination, grouped(o.Messages), cmp.Or(o.LastError, "not tried yet"))
		}
		t.write(a.std.Out, a.std.Width)
	}
	if dead := deadLine(s.Dead); dead != "" {
		a.heading(dead)
	}
}

// deadLine counts the dead letters that a person must look at.
func deadLine(dead map[feedback.DeadLetterKind]int) string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(dead)) {
		if dead[kind] > 0 {
			parts = append(parts, strconv.Itoa(dead[kind])+" of kind "+string(kind))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "dead letters: " + strings.Join(parts, ", ") + "; see closedloop show dead"
}
