package story

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// alerts is what a destination is told at once of alerts.
type alerts struct {
	At            feedback.Time `json:"at"`
	Repeat        bool          `json:"repeat"`
	Firing        []member      `json:"firing"`
	Resolved      []member      `json:"resolved"`
	Passed        []member      `json:"passed"`
	FiringCount   int64         `json:"firing_count"`
	NewCount      int64         `json:"new_count"`
	ResolvedCount int64         `json:"resolved_count"`
	PassedCount   int64         `json:"passed_count"`
	Suppressed    int64         `json:"suppressed"`
}

// member is an alert.
type member struct {
	Rule       string        `json:"rule"`
	Key        string        `json:"key"`
	Severity   string        `json:"severity"`
	Summary    string        `json:"summary"`
	FiringAt   feedback.Time `json:"firing_at"`
	ResolvedAt feedback.Time `json:"resolved_at"`
	Items      int64         `json:"items"`
	New        bool          `json:"new"`
}

// digest is what was collected to be told at once.
type digest struct {
	Since   feedback.Time `json:"since"`
	Entries []entry       `json:"entries"`
	Count   int64         `json:"count"`
}

// entry is a message in a digest.
type entry struct {
	At       feedback.Time `json:"at"`
	Rule     string        `json:"rule"`
	Item     string        `json:"item"`
	Severity string        `json:"severity"`
	Text     string        `json:"text"`
}

// keyText writes the key of an alert, whose values are divided by a control character.
func keyText(key string) string { return line(strings.ReplaceAll(key, "\x1f", ", ")) }

func (t *teller) alerts(n *alerts) {
	s := t.s
	s.Calls = n.NewCount > 0 && !n.Repeat
	s.Thread = t.m.Rule + "\x00" + t.m.Group
	var counts []string
	for _, c := range [...]struct {
		n    int64
		what string
	}{{n.FiringCount, "firing"}, {n.ResolvedCount, "resolved"}, {n.PassedCount, "passed"}} {
		if c.n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	s.Title = line(cmp.Or(strings.Join(counts, ", "), "No alerts") + ": " + t.m.Rule)
	if n.Repeat {
		s.Title = "Still " + s.Title
	}
	s.Text = "" // the lists say all of it
	for _, m := range n.Firing {
		if m.New || !s.Calls {
			s.Severity = graver(s.Severity, severe(m.Severity))
		}
	}
	t.fact("Group", keyText(t.m.Group))
	t.list("Firing", n.Firing, n.FiringCount, false)
	t.list("Resolved", n.Resolved, n.ResolvedCount, true)
	t.list("Passed", n.Passed, n.PassedCount, true)
	if n.Suppressed > 0 {
		s.Foot = append(s.Foot, fmt.Sprintf("%d more held back by silences or other alerts", n.Suppressed))
	}
}

func (t *teller) list(title string, members []member, count int64, over bool) {
	if len(members) == 0 {
		return
	}
	l := List{Title: title, Over: over, More: max(count-int64(len(members)), 0)}
	for i := range members {
		m := &members[i]
		text, key := line(m.Summary), keyText(m.Key)
		if text == "" {
			text = cmp.Or(key, line(m.Rule))
		} else if key != "" && !strings.Contains(text, key) {
			text += " (" + key + ")"
		}
		l.Lines = append(l.Lines, Line{Severity: severe(m.Severity), New: m.New, Text: text, Detail: t.since(m)})
	}
	t.s.Lists = append(t.s.Lists, l)
}

// since says how long an alert fires or has fired, and how many items raised it.
func (t *teller) since(m *member) string {
	var parts []string
	switch {
	case m.ResolvedAt != 0 && m.FiringAt != 0:
		parts = append(parts, "for "+duration(m.ResolvedAt.Std().Sub(m.FiringAt.Std())), "until "+t.date(m.ResolvedAt))
	case m.FiringAt != 0:
		parts = append(parts, "since "+t.date(m.FiringAt))
	}
	if m.Items == 1 {
		parts = append(parts, "1 item")
	} else if m.Items > 1 {
		parts = append(parts, fmt.Sprintf("%d items", m.Items))
	}
	return strings.Join(parts, ", ")
}

func (t *teller) digest(d *digest) {
	s := t.s
	plural := "s"
	if d.Count == 1 {
		plural = ""
	}
	s.Title = line(fmt.Sprintf("%d message%s: %s", d.Count, plural, t.m.Rule))
	s.Text = ""
	s.Thread = t.m.Rule
	t.fact("Since", t.date(d.Since))
	l := List{Title: "Messages", More: max(d.Count-int64(len(d.Entries)), 0)}
	for i := range d.Entries {
		e := &d.Entries[i]
		detail := t.date(e.At)
		if e.Item != "" {
			detail = strings.TrimPrefix(detail+", "+line(e.Item), ", ")
		}
		l.Lines = append(l.Lines, Line{Severity: severe(e.Severity), Text: cmp.Or(line(e.Text), line(e.Rule)), Detail: detail})
		s.Severity = graver(s.Severity, severe(e.Severity))
	}
	if len(l.Lines) > 0 {
		s.Lists = append(s.Lists, l)
	}
}
