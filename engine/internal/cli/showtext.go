package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// none says that a list is empty.
func (a *app) none(what string) { fmt.Fprintf(a.std.Out, "no %s\n", what) }

func (a *app) itemsTable(s *session, items []engine.Item) {
	if len(items) == 0 {
		a.none("items")
		return
	}
	t := newTable(ident("id"), text("given"), narrow("source"), text("score"), elastic("themes"), narrow("queue"), elastic("text"))
	for i := range items {
		it := &items[i]
		t.add(string(it.ID), instant(it.OccurredAt, s.zone), it.Source, briefScore(it), themeNames(&it.Labels), it.Queue, cmp.Or(it.Text, it.Title))
	}
	t.write(a.std.Out, a.std.Width)
}

func briefScore(it *engine.Item) string {
	if it.Score == nil {
		return ""
	}
	return joined(" ", string(it.Survey), number(*it.Score))
}

func themeNames(l *feedback.Labels) string {
	paths := make([]string, len(l.Themes))
	for i := range l.Themes {
		paths[i] = string(l.Themes[i].Path)
	}
	return strings.Join(paths, ", ")
}

func (a *app) itemText(s *session, it *engine.Item) {
	a.itemHead(s, it)
	fmt.Fprintln(a.std.Out)
	var f facts
	f.add("queue", it.Queue)
	f.add("owner", it.Owner)
	f.add("priority", it.Priority)
	f.add("severity", it.Severity)
	f.add("tags", strings.Join(it.Tags, ", "))
	f.add("case", string(it.Case))
	f.add("received", joined(", ", instant(it.ReceivedAt, s.zone), it.Batch))
	f.add("url", it.URL)
	f.add("contact", contact(it.Contactable))
	f.add("attributes", attributes(it.Attributes))
	f.add("of customer", attributes(it.Customer.Attributes))
	f.write(a.std.Out, a.std.Width)
}

func contact(allowed *bool) string {
	switch {
	case allowed == nil:
		return ""
	case *allowed:
		return "allowed"
	}
	return "not allowed"
}

func attributes(attrs feedback.Attributes) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(attrs)) {
		parts = append(parts, name+" "+attrs[name].String())
	}
	return strings.Join(parts, ", ")
}

// decisions are those on one item, the first one first.
type decisions []rules.Decision

func (a *app) decisionsText(s *session, ds decisions) {
	if len(ds) == 0 {
		a.none("decisions")
		return
	}
	for i := range ds {
		d := &ds[i]
		if i > 0 {
			fmt.Fprintln(a.std.Out)
		}
		fmt.Fprintf(a.std.Out, "decision %d of %s by ruleset %s\n", i+1, instant(d.At, s.zone), short(d.Ruleset))
		a.outcome(d)
		for _, g := range d.Groups {
			for _, fired := range g.Fired {
				fmt.Fprintln(a.std.Out, "  "+clean(firedLine(&fired), oneLine))
			}
		}
		if len(d.Unknown) > 0 {
			fmt.Fprintf(a.std.Out, "  unknown: %s\n", strings.Join(d.Unknown, ", "))
		}
	}
}

func firedLine(f *rules.Fired) string {
	asked := make([]string, len(f.Actions))
	for i := range f.Actions {
		asked[i] = effectLine(&f.Actions[i])
	}
	mode := ""
	if f.Mode == rules.Shadow {
		mode = "(shadow: without effects)"
	}
	return joined(" -> ", joined(" ", f.Rule, mode), strings.Join(asked, "; "))
}

func (a *app) themesTable(s *session, themes []engine.Theme) {
	if len(themes) == 0 {
		a.none("themes")
		return
	}
	t := newTable(text("theme"), digits("items"), text(""), digits("nps"), text("95 % interval"), digits("answers"))
	for _, th := range themes {
		t.add(themeCells(&th, themes[0].Items)...)
	}
	t.write(a.std.Out, a.std.Width)
}

func themeCells(th *engine.Theme, most int) []string {
	cells := []string{string(th.Theme), grouped(th.Items), bar(th.Items, most, barColumns), "", "", ""}
	if n := th.NPS; n.N > 0 {
		cells[3], cells[4], cells[5] = signed(n.Value), signed(n.Lo)+" to "+signed(n.Hi), grouped(n.N)
	}
	return cells
}

func (a *app) casesTable(s *session, cases []feedback.Case) {
	if len(cases) == 0 {
		a.none("cases")
		return
	}
	t := newTable(ident("id"), text("status"), narrow("queue"), narrow("owner"), text("priority"), text("opened"), text("due"), narrow("customer"), ident("item"), elastic("rule"))
	for i := range cases {
		c := &cases[i]
		due := instant(cmp.Or(c.DueAt, c.ResolveBy), s.zone)
		if c.DueAt != 0 && c.BreachedAt != 0 || c.OverdueAt != 0 {
			due += " late"
		}
		t.add(string(c.ID), string(c.Status), c.Queue, c.Owner, c.Priority, instant(c.OpenedAt, s.zone), due, c.Customer, string(c.Item), c.Rule)
	}
	t.write(a.std.Out, a.std.Width)
}

func (a *app) alertsTable(s *session, alerts []feedback.Alert) {
	if len(alerts) == 0 {
		a.none("alerts")
		return
	}
	t := newTable(text("status"), text("severity"), text("rule"), text("key"), digits("items"), text("first"), text("last"), elastic("summary"))
	quiet, err := s.Silences(context.Background())
	if err != nil {
		quiet = nil // the alerts are told all the same
	}
	now := feedback.TimeOf(a.std.Now())
	for i := range alerts {
		al := &alerts[i]
		status := al.Status
		if slices.ContainsFunc(quiet, func(q engine.Silence) bool { return q.Starts <= now && now < q.Ends && q.Covers(al.Rule, al.Key) }) {
			status += ", silenced"
		}
		t.add(status, al.Severity, al.Rule, strings.ReplaceAll(al.Key, "\x1f", ", "), grouped(al.Count), instant(al.FirstAt, s.zone), instant(al.LastAt, s.zone), al.Summary)
	}
	t.write(a.std.Out, a.std.Width)
}

func (a *app) deadTable(s *session, letters []feedback.DeadLetter) {
	if len(letters) == 0 {
		a.none("dead letters")
		return
	}
	t := newTable(text("id"), text("kind"), text("at"), text("from"), text("where"), elastic("reason"))
	for i := range letters {
		l := &letters[i]
		from := l.Source
		if l.Delivery != nil {
			from = l.Delivery.Destination
		}
		t.add(l.ID, string(l.Kind), instant(l.At, s.zone), from, l.Position, l.Reason)
	}
	t.write(a.std.Out, a.std.Width)
}

func (a *app) statsText(s *session, st *engine.Stats) {
	fmt.Fprintf(a.std.Out, "%s\n", count(st.Items, "item"))
	if len(st.Imports) > 0 {
		fmt.Fprintln(a.std.Out)
		t := countColumns("import")
		for i := range st.Imports {
			imp := &st.Imports[i]
			t.add(countCells(joined(" ", imp.Source, imp.Batch), &imp.Counts)...)
		}
		t.write(a.std.Out, a.std.Width)
	}
	a.standing(st)
	a.heading("actions")
	fmt.Fprintf(a.std.Out, "  %s open, %s past due, %s resolved, %s closed\n", count(st.Cases.Open, "case"), grouped(st.Cases.Breached),
		grouped(st.Cases.Resolved), grouped(st.Cases.Closed))
	fmt.Fprintf(a.std.Out, "  %s\n", count(st.Alerts, "alert"))
	a.waiting(st)
}

func (a *app) metricsText(_ *session, m *engine.Metrics) {
	w := a.std.Out
	fmt.Fprintf(w, "up %s\n", span(m.Uptime))
	t := countColumns("")
	t.add(countCells("items", &m.Counts)...)
	t.write(w, a.std.Width)
	fmt.Fprintf(w, "  %s, %s, %s\n", count(int(m.Decisions), "decision"), count(int(m.Cases), "case"), count(int(m.Alerts), "alert"))
	fmt.Fprintf(w, "  %s queued, %s sent, %s failed\n", count(int(m.Queued), "message"), grouped(int(m.Sent)), count(int(m.Failed), "attempt"))
	a.heading("stages")
	stages := indented(text(""), digits("calls"), digits("mean"), digits("longest"))
	for _, name := range slices.Sorted(maps.Keys(m.Stages)) {
		l := m.Stages[name]
		stages.add(name, grouped(int(l.Count)), l.Mean().Round(time.Microsecond).String(), l.Max.Round(time.Microsecond).String())
	}
	stages.write(w, a.std.Width)
	a.heading("plugins")
	plugins := indented(text("id"), text("version"), digits("calls"), digits("errors"), digits("items"), digits("busy"), digits("slowest"), digits("restarts"))
	for _, id := range slices.Sorted(maps.Keys(m.Plugins)) {
		p := m.Plugins[id]
		plugins.add(id, p.Name+" "+p.Version, grouped(int(p.Calls)), grouped(int(p.Errors)), grouped(int(p.Items)),
			p.Busy.Round(time.Microsecond).String(), p.Slowest.Round(time.Microsecond).String(), grouped(int(p.Discarded+p.Recycled)))
	}
	plugins.write(w, a.std.Width)
	if len(m.Rules) > 0 {
		a.heading("rules")
		t := indented(text("id"), digits("fired"), digits("shadow"), digits("suppressed"), digits("unknown"), digits("conflicts"))
		for _, id := range slices.Sorted(maps.Keys(m.Rules)) {
			r := m.Rules[id]
			t.add(id, grouped(int(r.Fired)), grouped(int(r.Shadow)), grouped(int(r.Suppressed)), grouped(int(r.Unknown)), grouped(int(r.Conflicts)))
		}
		t.write(w, a.std.Width)
	}
	if len(m.Destinations) > 0 {
		a.heading("destinations")
		a.destinationMetrics(m.Destinations)
	}
	a.heading("store")
	fmt.Fprintf(w, "  %s in %s, %s written, %s free, %s waiting\n", count(int(m.Store.Updates), "update"), count(int(m.Store.Commits), "commit"),
		size(int64(m.Store.Bytes)), size(m.Store.Free), grouped(m.Store.Queue))
}
