package cli

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// itemHead writes an item and what it is taken to mean.
func (a *app) itemHead(s *session, it *engine.Item) {
	var f facts
	f.add("item", string(it.ID))
	f.add("source", joined(", ", it.Source, it.ExternalID, it.Position))
	f.add("id", idNote(it.Synthetic))
	given := instant(it.OccurredAt, s.zone)
	if it.OccurredAssumed {
		given += " (when it was received: the source says no time)"
	}
	f.add("given", given)
	if it.Revision > 1 {
		f.add("revision", strconv.Itoa(it.Revision))
	}
	f.add("customer", customerLine(&it.Customer))
	f.add("score", scoreLine(it))
	f.add("about", joined(", ", it.Channel, it.Touchpoint, it.Stage, it.Product, it.Location, it.Language))
	f.add("title", it.Title)
	f.add("text", it.Text)
	f.write(a.std.Out, a.std.Width)
	a.labels(it)
}

// joined joins what is given.
func joined(sep string, parts ...string) string {
	var given []string
	for _, p := range parts {
		if p != "" {
			given = append(given, p)
		}
	}
	return strings.Join(given, sep)
}

func idNote(s feedback.Synthetic) string {
	switch s {
	case feedback.SyntheticMissing:
		return "made up from the content, the source gave none"
	case feedback.SyntheticDamaged:
		return "made up from the content, the source's own is damaged"
	}
	return ""
}

func customerLine(c *feedback.Customer) string {
	arr := ""
	if c.ARR != nil {
		arr = "account value " + number(*c.ARR)
	}
	return joined(", ", cmp.Or(c.Name, c.ID, c.Email), c.Account, c.Segment, c.Tier, c.Country, arr)
}

func scoreLine(it *engine.Item) string {
	if it.Score == nil {
		return ""
	}
	line := joined(" ", string(it.Survey), number(*it.Score))
	if class := it.NPSClass(); class != "" {
		return line + " (" + string(class) + ")"
	}
	if lo, hi, ok := it.Scale(); ok {
		return line + " (" + number(lo) + " to " + number(hi) + ")"
	}
	return line
}

// labels writes the themes with the words that they were found by.
func (a *app) labels(it *engine.Item) {
	l := &it.Labels
	switch {
	case len(it.Waiting) > 0:
		fmt.Fprintf(a.std.Out, "\nnot labelled yet by %s\n", strings.Join(it.Waiting, ", "))
	case len(l.Themes) == 0:
		fmt.Fprintln(a.std.Out, "\nno themes")
	}
	if len(l.Themes) > 0 {
		fmt.Fprintln(a.std.Out, "\nthemes")
		t := indented(text(""), text(""), text(""), elastic(""))
		for i := range l.Themes {
			th := &l.Themes[i]
			t.add(string(th.Path), degree(th), author(th.By), quoted(it.Text, th.Evidence))
		}
		t.write(a.std.Out, a.std.Width)
	}
	if l.Sentiment != nil {
		fmt.Fprintf(a.std.Out, "  sentiment %+.2f, %s\n", *l.Sentiment, author(l.SentimentBy))
	}
	if it.Review {
		fmt.Fprintln(a.std.Out, "  a person corrected an earlier revision: to be looked at again")
	}
}

func degree(t *feedback.Theme) string {
	parts := ""
	if t.Confidence > 0 && t.Confidence < 1 {
		parts = fmt.Sprintf("%.0f %%", 100*t.Confidence)
	}
	if t.Sentiment != nil {
		parts = joined(", ", parts, fmt.Sprintf("sentiment %+.2f", *t.Sentiment))
	}
	return parts
}

func author(by feedback.Author) string {
	version := by.Version
	if by.Layer == feedback.LayerRule {
		version = short(version)
	}
	return joined(" ", "by", string(by.Layer), by.Name, version)
}

// quoted returns the words of the text that are the evidence.
func quoted(s string, evidence []feedback.Span) string {
	var parts []string
	for _, e := range evidence {
		if int(e.End) <= len(s) && e.Start < e.End {
			parts = append(parts, strconv.Quote(clean(s[e.Start:e.End], oneLine)))
		}
	}
	return strings.Join(parts, " ")
}
