package backtest

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/rehearsal"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Diff is how two sets of rules differ: in what they say, and in what they would have done. Lists are never null in
// JSON.
type Diff struct {
	Old     Side          `json:"old"`
	New     Side          `json:"new"`
	Since   feedback.Time `json:"since"`
	Until   feedback.Time `json:"until"` // exclusive
	Close   Closing       `json:"close"`
	Items   int           `json:"items"`
	Changed int           `json:"changed"` // items of which something is in Groups
	// Files is what the rule files say otherwise.
	Files []Edit `json:"files"`
	// Groups are the items that differ, by what differs. An item may be in several.
	Groups []Group `json:"groups"`
	// GroupsMore is how many items differ in a way that is not listed, because there are too many.
	GroupsMore int `json:"groups_more,omitempty"`
	// Alerts are the firings over time, and of alerts that items raise, that only one of the sets has.
	Alerts []AlertChange `json:"alerts"`
}

// Side is one of the two sets.
type Side struct {
	Name    string `json:"name"`    // as the caller named it
	Ruleset string `json:"ruleset"` // Set.Hash
	Rules   int    `json:"rules"`
	Totals
}

// Group is the items of which one thing differs in one way.
type Group struct {
	Field Field `json:"field"`
	// Old and New are the values. Empty is none.
	Old    string  `json:"old"`
	New    string  `json:"new"`
	Items  int     `json:"items"`
	Causes []Cause `json:"causes"` // the one with the most items first
}

// Field is what differs.
type Field string

// The fields, in the order in which a Diff lists them.
const (
	FieldQueue    Field = "queue"
	FieldPriority Field = "priority"
	FieldSeverity Field = "severity"
	FieldCase     Field = "case"    // the time that it has, such as 48h; "open" without one
	FieldTag      Field = "tag"     // one tag that is there or not
	FieldAlert    Field = "alert"   // the rule by which the item raises an alert
	FieldMessage  Field = "message" // a destination to which the item is told
	FieldOwner    Field = "owner"   // of items whose queue is the same
)

var fieldOrder = []Field{FieldQueue, FieldPriority, FieldSeverity, FieldCase, FieldTag, FieldAlert, FieldMessage, FieldOwner}

// Cause is by which rules items came to differ.
type Cause struct {
	Before string `json:"before"` // the rule that the old value comes from; empty is none
	After  string `json:"after"`  // the rule that the new value comes from; empty is none
	Items  int    `json:"items"`
	// Why tells, of the first of the items, what made the difference.
	Why     []string `json:"why"`
	Samples []Sample `json:"samples"`
}

// AlertChange is a firing that one of the sets has and the other has not.
type AlertChange struct {
	// In is "new" when the alert would begin with the new set, "old" when it would not begin any more.
	In string `json:"in"`
	Firing
}

const (
	maxGroups = 1000
	// maxExplained bounds the causes of which it is told why.
	maxExplained = 300
)

// Comparison is two sets at work on the same history. It may not be used by several goroutines at once.
type Comparison struct {
	old, new *Run
	oldSet   map[string]bool // its rules
	newSet   map[string]bool
	diff     Diff
	groups   map[groupKey]*group
	causes   int
}

type groupKey struct {
	field    Field
	old, new string
}

type group struct {
	items  int
	causes map[[2]string]*cause
}

type cause struct {
	Cause
	samples sampler
}

// Compare returns a comparison in which nothing has happened.
func Compare(old, next *rules.Set, o Options) *Comparison {
	c := &Comparison{old: New(old, o), new: New(next, o), oldSet: ids(old), newSet: ids(next), groups: map[groupKey]*group{}}
	c.diff = Diff{
		Old: Side{Ruleset: old.Hash(), Rules: len(old.Rules())}, New: Side{Ruleset: next.Hash(), Rules: len(next.Rules())},
		Since: o.Since, Until: o.Until, Close: cmp.Or(o.Close, WhenDue), Files: []Edit{},
	}
	return c
}

func ids(set *rules.Set) map[string]bool {
	out := map[string]bool{}
	for _, r := range set.Rules() {
		out[r.ID] = true
	}
	return out
}

// From returns from when on items are to be added, as Run.From does.
func (c *Comparison) From() feedback.Time { return min(c.old.From(), c.new.From()) }

// Add has both sets decide on an item, as Run.Add does.
func (c *Comparison) Add(ev *feedback.Event, corrections ...feedback.Change) {
	was := c.old.Add(ev, corrections...)
	is := c.new.Add(ev, corrections...)
	if !c.new.live {
		return
	}
	differences := differ(&was, &is)
	if len(differences) > 0 {
		c.diff.Changed++
	}
	var why reasons
	for _, d := range differences {
		c.note(d, ev, &was, &is, &why)
	}
}

// difference is one thing in which two steps differ, with the rules that it comes from.
type difference struct {
	groupKey
	before, after string
}

// differ returns in what two steps on an item differ.
func differ(was, is *rehearsal.Step) (out []difference) {
	a, b := &was.Decision, &is.Decision
	add := func(f Field, before, after string, given func(*rules.Fired, *rules.Effect, string) bool) {
		if before != after {
			out = append(out, difference{groupKey{f, before, after}, giver(a, before, given), giver(b, after, given)})
		}
	}
	x, y := &a.Outputs, &b.Outputs
	add(FieldQueue, x.Queue, y.Queue, func(_ *rules.Fired, e *rules.Effect, v string) bool { return e.Queue == v })
	add(FieldPriority, string(x.Priority), string(y.Priority), func(_ *rules.Fired, e *rules.Effect, v string) bool { return string(e.Priority) == v })
	add(FieldSeverity, string(x.Severity), string(y.Severity), func(f *rules.Fired, e *rules.Effect, v string) bool {
		return string(f.Severity) == v || e.Kind == rules.Alert && string(e.Severity) == v
	})
	if x.Queue == y.Queue {
		add(FieldOwner, x.Owner, y.Owner, func(_ *rules.Fired, e *rules.Effect, v string) bool { return e.Owner == v })
	}
	add(FieldCase, caseOf(was), caseOf(is), func(_ *rules.Fired, e *rules.Effect, _ string) bool { return e.Kind == rules.Case })
	oneSided(x.Tags, y.Tags, func(before, after string) {
		add(FieldTag, before, after, func(_ *rules.Fired, e *rules.Effect, v string) bool { return slices.Contains(e.Tags, v) })
	})
	oneSided(targets(was, rules.Alert), targets(is, rules.Alert), func(before, after string) {
		add(FieldAlert, before, after, func(f *rules.Fired, e *rules.Effect, v string) bool { return e.Kind == rules.Alert && f.Rule == v })
	})
	oneSided(targets(was, rules.Notify), targets(is, rules.Notify), func(before, after string) {
		add(FieldMessage, before, after, func(_ *rules.Fired, e *rules.Effect, v string) bool {
			return e.Kind == rules.Notify && e.Destination == v
		})
	})
	return out
}

// giver returns the first rule that a value comes from.
func giver(d *rules.Decision, value string, given func(*rules.Fired, *rules.Effect, string) bool) string {
	if value == "" {
		return ""
	}
	for i := range d.Groups {
		for j := range d.Groups[i].Fired {
			f := &d.Groups[i].Fired[j]
			for k := range f.Actions {
				if f.Mode != rules.Shadow && !f.Actions[k].Dropped && given(f, &f.Actions[k], value) {
					return f.Rule
				}
			}
		}
	}
	return ""
}

// caseOf tells of the case that a step opened.
func caseOf(s *rehearsal.Step) string {
	for i := range s.Acted {
		e := &s.Acted[i]
		switch {
		case e.Kind != rules.Case:
		case e.SLA == 0:
			return "open"
		case e.Calendar != "":
			return duration(e.SLA) + " of " + e.Calendar
		default:
			return duration(e.SLA)
		}
	}
	return ""
}

// duration writes a duration as rule files do: 48h, 90m.
func duration(d time.Duration) string {
	s := d.String()
	for _, unit := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, unit) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// targets returns by which rules alerts are raised, or where messages go, each once.
func targets(s *rehearsal.Step, kind rules.EffectKind) (out []string) {
	for i := range s.Effects {
		e := &s.Effects[i]
		if e.Kind != kind {
			continue
		}
		name := e.Rule
		if kind == rules.Notify {
			name = e.Destination
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// oneSided calls yield with what only one of two lists has.
func oneSided(a, b []string, yield func(before, after string)) {
	for _, v := range a {
		if !slices.Contains(b, v) {
			yield(v, "")
		}
	}
	for _, v := range b {
		if !slices.Contains(a, v) {
			yield("", v)
		}
	}
}

// note puts a difference into its group.
func (c *Comparison) note(d difference, ev *feedback.Event, was, is *rehearsal.Step, why *reasons) {
	g := c.groups[d.groupKey]
	if g == nil {
		if len(c.groups) == maxGroups {
			c.diff.GroupsMore++
			return
		}
		g = &group{causes: map[[2]string]*cause{}}
		c.groups[d.groupKey] = g
	}
	g.items++
	k := g.causes[[2]string{d.before, d.after}]
	if k == nil {
		k = &cause{Cause: Cause{Before: d.before, After: d.after, Why: []string{}}}
		g.causes[[2]string{d.before, d.after}] = k
		if c.causes++; c.causes <= maxExplained {
			k.Why = append(k.Why, why.of(c, d, ev, was, is)...)
		}
	}
	k.Items++
	k.samples.add(ev.Item)
}

// Diff ends the comparison and returns what was found. Nothing may be added afterwards.
func (c *Comparison) Diff() *Diff {
	d, old, next := &c.diff, c.old.Report(), c.new.Report()
	d.Old.Totals, d.New.Totals, d.Items = old.Totals, next.Totals, next.Items
	d.Groups = []Group{}
	for key, g := range c.groups {
		d.Groups = append(d.Groups, g.result(key))
	}
	slices.SortFunc(d.Groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(slices.Index(fieldOrder, a.Field), slices.Index(fieldOrder, b.Field)),
			cmp.Compare(b.Items, a.Items), cmp.Compare(a.Old, b.Old), cmp.Compare(a.New, b.New))
	})
	d.Alerts = []AlertChange{}
	d.Alerts = missing(d.Alerts, "new", next.Alerts, old.Alerts)
	d.Alerts = missing(d.Alerts, "old", old.Alerts, next.Alerts)
	slices.SortStableFunc(d.Alerts, func(a, b AlertChange) int { return cmp.Compare(a.From, b.From) })
	return d
}

func (g *group) result(key groupKey) Group {
	out := Group{Field: key.field, Old: key.old, New: key.new, Items: g.items, Causes: []Cause{}}
	for _, k := range g.causes {
		k.Samples = k.samples.list()
		out.Causes = append(out.Causes, k.Cause)
	}
	slices.SortFunc(out.Causes, func(a, b Cause) int {
		return cmp.Or(cmp.Compare(b.Items, a.Items), cmp.Compare(a.Before, b.Before), cmp.Compare(a.After, b.After))
	})
	return out
}

// missing appends the firings that overlap none of the same rule and key on the other side.
func missing(to []AlertChange, in string, of, other []Firing) []AlertChange {
	for _, f := range of {
		if f.Shadow || slices.ContainsFunc(other, func(o Firing) bool { return !o.Shadow && o.Rule == f.Rule && o.Key == f.Key && f.overlaps(&o) }) {
			continue
		}
		to = append(to, AlertChange{in, f})
	}
	return to
}

func (f *Firing) overlaps(o *Firing) bool {
	return (f.To == 0 || o.From < f.To) && (o.To == 0 || f.From < o.To)
}
