package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// imported tells people what an import did, or would do.
func (a *app) imported(r *engine.Imported) {
	w, would := a.std.Out, ""
	if r.DryRun {
		would = " would be"
		fmt.Fprintln(w, "a dry run: nothing is written or sent")
	}
	t := countColumns("source")
	t.add(countCells(r.Source, &r.Counts)...)
	fmt.Fprintln(w)
	t.write(w, a.std.Width)
	if len(r.Rejects) > 0 {
		a.heading("rejected: " + count(r.Rejected, "row"))
		rejects := indented(text("where"), elastic("why"))
		for _, x := range r.Rejects {
			where := x.Position
			if file, _, cut := strings.Cut(x.Batch, " of "); cut && len(r.Batches) > 1 {
				where = file + " " + where
			}
			rejects.add(where, x.Reason)
		}
		rejects.write(w, a.std.Width)
		if rest := r.Rejected - len(r.Rejects); rest > 0 {
			fmt.Fprintf(w, "  and %s more\n", grouped(rest))
		}
	}
	a.worthKnowing(r.Counts, r.Notices)
	if f := r.Effects; f != nil {
		counted(a, "themes", "theme", "items", f.Themes)
		counted(a, "sentiment", "", "items", f.Sentiments)
		counted(a, "answers", "", "items", f.Classes)
		counted(a, "rules that would fire", "rule", "times", f.Rules)
		counted(a, "cases that would open", "queue", "cases", f.Queues)
		counted(a, "messages that would be sent", "destination", "messages", f.Messages)
	}
	a.heading("actions")
	fmt.Fprintf(w, "  %s%s opened\n  %s%s raised\n  %s%s queued\n", count(r.Cases, "case"), would, count(r.Alerts, "alert"), would, count(r.Messages, "message"), would)
	if !r.DryRun && len(r.Batches) > 0 {
		fmt.Fprintln(w)
		for _, batch := range r.Batches {
			fmt.Fprintln(w, clean("to take it back: closedloop import undo '"+batch+"' --why REASON", oneLine))
		}
	}
}

// counted writes a table of counts, the largest first.
func counted[K ~string](a *app, title, name, unit string, counts map[K]int) {
	if len(counts) == 0 {
		return
	}
	a.heading(title)
	t := indented(text(name), digits(unit))
	keys := slices.SortedFunc(maps.Keys(counts), func(x, y K) int { return cmp.Or(counts[y]-counts[x], strings.Compare(string(x), string(y))) })
	for _, k := range keys[:min(len(keys), shownThemes)] {
		t.add(cmp.Or(string(k), "(none)"), grouped(counts[k]))
	}
	t.write(a.std.Out, a.std.Width)
	if rest := len(keys) - shownThemes; rest > 0 {
		fmt.Fprintf(a.std.Out, "  and %d more: --json has them all\n", rest)
	}
}

// worthKnowing tells what is odd about the rows of an import.
func (a *app) worthKnowing(c feedback.Counts, notices map[string]int) {
	said := oddities(c)
	for _, notice := range slices.Sorted(maps.Keys(notices)) {
		said = append(said, notice+times(notices[notice]))
	}
	if len(said) == 0 {
		return
	}
	a.heading("worth knowing")
	for _, line := range said {
		fmt.Fprintln(a.std.Out, "  "+clean(line, oneLine))
	}
}

func oddities(c feedback.Counts) (said []string) {
	for _, x := range []struct {
		n    int
		unit string
		what string
	}{
		{c.Damaged, "item", "with a damaged id, known by content instead"},
		{c.Synthetic - c.Damaged, "item", "without an id, known by content instead"},
		{c.Repaired, "item", "with bytes that are not UTF-8, which were replaced"},
		{c.Redacted, "place", "redacted"},
		{c.Ahead, "item", "dated more than a day ahead: look at the mapping of occurred_at"},
		{c.Erased, "row", "of people who were erased stay out"},
	} {
		if x.n > 0 {
			said = append(said, count(x.n, x.unit)+" "+x.what)
		}
	}
	return said
}

// undone tells people what taking an import back did, or would do.
func (a *app) undone(u *engine.Undo, r *engine.Undone, dry bool) {
	w := a.cleaned()
	is := "is taken back"
	if dry {
		is = "would be taken back"
	}
	fmt.Fprintf(w, "%s of %s %s\n\n", u.Batch, u.Source, is)
	fmt.Fprintf(w, "  %s and %s removed, %s forgotten, %s not sent\n",
		count(r.Items, "item"), count(r.Cases, "case"), count(r.Rejects, "rejected row"), count(r.Unsent, "message"))
	left := func(n int, what string, named []string) {
		if n == 0 {
			return
		}
		fmt.Fprintf(w, "\nwhat stays: %s\n", what)
		for _, name := range named[:min(len(named), shownRejects)] {
			fmt.Fprintln(w, "  "+name)
		}
		if rest := n - min(len(named), shownRejects); rest > 0 {
			fmt.Fprintf(w, "  and %s more\n", grouped(rest))
		}
	}
	left(r.Closed, count(r.Closed, "case")+" on which people have acted, closed as undone", texts(r.ClosedCases))
	var sent []string
	for i := range r.SentMessages {
		m := &r.SentMessages[i]
		sent = append(sent, fmt.Sprintf("about %s to %s", m.Item, m.Destination))
	}
	left(r.Sent, count(r.Sent, "message")+" that left", sent)
	left(r.Revised, count(r.Revised, "item")+" of other imports, as this one revised them", texts(r.RevisedItems))
	left(r.Shared, count(r.Shared, "item")+" that a later import brought too", texts(r.SharedItems))
	left(r.Held, count(r.Held, "item")+" because of a hold", texts(r.HeldItems))
}

func texts[T ~string](in []T) (out []string) {
	for _, s := range in {
		out = append(out, string(s))
	}
	return out
}
