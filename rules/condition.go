package rules

import (
	"errors"
	"strings"
	"time"

	"github.com/closedloop/closedloop/rules/alert"
	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/suggest"
)

// condition is a rule that holds over time, for one key or for each value of a field: an alert on what windows say.
type condition struct {
	info     RuleInfo
	at       places
	when     *lang.Condition
	policy   alert.Policy
	severity Severity
	summary  *lang.Template
	telling  telling
	inhibits []string
}

// telling says to whom and how often an alert is told.
type telling struct {
	destination string // empty tells nobody
	group       *lang.Template
	pace        alert.Pace
	calendar    string // of mute
	outside     bool   // muted outside of the calendar rather than during it
}

// defaultStale is how long the condition of an alert may be unknown before that counts as not holding.
const defaultStale = 24 * time.Hour

// defaultKeep is how long an alert lasts behind the last item that raised it.
const defaultKeep = 24 * time.Hour

// condition reads a rule with alert at its own level.
func (b *builder) condition(g *group, n *source.Node) {
	if !n.ObjectBut(map[string]string{
		"do":         "a rule with alert does nothing else; write another rule for each item",
		"throttle":   "repeat in alert says how often it is told",
		"on_error":   "what is unknown neither begins nor ends an alert",
		"priority":   "",
		"suppresses": "inhibits keeps other alerts quiet while this one fires",
	}, append([]string{"for", "keep_firing", "stale", "alert", "inhibits", "mute"}, commonKeys...)...) {
		return
	}
	c := &condition{info: b.ruleInfo(g, n), at: placesOf(n)}
	c.info.Alert = true
	if e := n.Get("each"); c.info.Each != "" && !canBeAlone(c.info.Each) {
		e.Problem("wrong_value", "an alert over time cannot be kept for each %s", c.info.Each)
	}
	c.policy = alert.Policy{For: n.Get("for").Duration(), KeepFiring: n.Get("keep_firing").Duration(), Stale: defaultStale}
	if s := n.Get("stale"); s != nil {
		c.policy.Stale = s.Duration()
	}
	c.when = b.when(&c.info, n)
	if c.when != nil {
		b.checkOverTime(c, n.Get("when"))
	}
	a := n.Get("alert")
	if !a.Object(tellingKeys...) {
		return
	}
	c.severity = c.info.Severity
	if s := a.Get("severity").OneOf(severityNames...); s != "" {
		c.severity = Severity(s)
	}
	if s := a.Get("summary"); s != nil {
		c.summary = b.lang.Template(text(s), reportAt(s))
		b.checkReads(s, c.info.Each, c.summary.Windows(), c.summary.Reads())
	}
	c.telling = b.telling(a)
	b.checkOverTimeFields(a.Get("group_by"), c.info.Each, c.telling.group.Reads())
	b.mute(&c.telling, n.Get("mute"))
	if in := n.Get("inhibits"); in != nil {
		c.inhibits = in.Strings()
	}
	b.nodes[c.info.ID] = n
	g.conditions = append(g.conditions, c)
	b.set.conditions = append(b.set.conditions, c)
	if b.set.overTime[c.info.ID] == nil {
		b.set.overTime[c.info.ID] = c
	}
}

var tellingKeys = []string{"severity", "summary", "group_by", "wait", "interval", "repeat", "notify"}

// telling reads how an alert is told.
func (b *builder) telling(n *source.Node) telling {
	t := telling{pace: alert.DefaultPace()}
	for key, into := range map[string]*time.Duration{"wait": &t.pace.Wait, "interval": &t.pace.Interval, "repeat": &t.pace.Repeat} {
		if d := n.Get(key); d != nil {
			*into = d.Duration()
		}
	}
	if d := n.Get("notify"); d != nil {
		t.destination = b.declared("destination", d, b.env.Destinations)
	}
	t.group = b.fieldsTemplate(n.Get("group_by"))
	return t
}

// mute reads when an alert is not told.
func (b *builder) mute(t *telling, n *source.Node) {
	if n == nil || !n.Object("outside", "during") {
		return
	}
	outside, during := n.Get("outside"), n.Get("during")
	switch {
	case outside != nil && during != nil:
		during.Key().Problem("duplicate", "found during beside outside, expected one of them")
	case outside != nil:
		t.calendar, t.outside = b.calendar(outside), true
	case during != nil:
		t.calendar = b.calendar(during)
	default:
		n.Problem("missing_key", "found nothing, expected outside or during with a calendar")
	}
}

// checkOverTime reports what an alert reads that has no value when no item is at hand.
func (b *builder) checkOverTime(c *condition, at *source.Node) {
	b.checkOverTimeFields(at, c.info.Each, c.when.Reads())
	if len(c.when.Windows()) == 0 {
		at.ProblemHint("not_allowed", "declare a window and read win.NAME.value, or write the alert under do",
			"an alert at the level of its rule holds over time, and this condition reads no window")
	}
	for _, i := range c.when.Windows() {
		w := b.set.windows[i]
		for _, name := range w.info.By {
			if name != c.info.Each && name != lang.Theme {
				at.ProblemHint("not_allowed", "add each: "+name+" to the rule", "the window %s is kept by %s", w.info.Name, strings.Join(w.info.By, ", "))
			}
		}
	}
}

func (b *builder) checkOverTimeFields(at *source.Node, each string, reads []string) {
	for _, name := range reads {
		if name != each && name != lang.Theme && !strings.HasPrefix(name, "win.") {
			at.ProblemHint("not_allowed", "put it into the where of the window, or write the alert under do",
				"an alert at the level of its rule holds over time, where no item has a %s", name)
			return
		}
	}
}

// checkInhibits checks the alerts that alerts keep quiet.
func (b *builder) checkInhibits() {
	var known []string
	var list []alert.Inhibition
	for _, c := range b.set.conditions {
		known = append(known, c.info.ID)
	}
	for _, c := range b.set.conditions {
		for _, id := range c.inhibits {
			if target := b.set.condition(id); target != nil {
				list = append(list, alert.Inhibition{Source: c.info.ID, Target: id, SameKey: target.info.Each == c.info.Each})
				continue
			}
			b.nodes[c.info.ID].Get("inhibits").ProblemHint("unknown_name", suggest.DidYouMean(id, known), "there is no rule %q with alert", id)
		}
	}
	var err error
	if b.set.inhibitions, err = alert.NewInhibitions(list); err != nil {
		if cycle := new(alert.CycleError); errors.As(err, &cycle) {
			b.nodes[cycle.Rules[0]].Get("inhibits").Problem("inhibition_cycle", "%v: nobody would be told of any of them", err)
		}
	}
}

// digest reads how messages are collected: a duration, or how often and at what time of the day.
func (b *builder) digest(rule, destination string, n *source.Node) time.Duration {
	if n == nil {
		return 0
	}
	r := alert.Rhythm{Zone: b.env.Timezone}
	if !n.IsMap() {
		r.Every = n.Duration()
	} else if n.Object("every", "at") {
		r.Every, r.Aligned = n.Need("every").Duration(), true
		if at := n.Get("at"); at != nil {
			clock, err := time.Parse("15:04", at.String())
			if err != nil {
				at.Problem("wrong_value", "found %s, expected a time of the day such as \"08:00\"", at.Found())
			}
			r.Offset = time.Duration(clock.Hour())*time.Hour + time.Duration(clock.Minute())*time.Minute
		}
	}
	b.set.digests[Instance{rule, destination}] = r
	return r.Every
}

// alert reads an alert that one item raises.
func (b *builder) alert(r *rule, n *source.Node) (action, bool) {
	if !n.Object(append([]string{"key", "keep_firing"}, tellingKeys...)...) {
		return action{}, false
	}
	a := action{kind: Alert, severity: r.info.Severity, keep: defaultKeep}
	if s := n.Get("severity").OneOf(severityNames...); s != "" {
		a.severity = Severity(s)
	}
	if s := n.Need("summary"); s != nil {
		a.text = b.lang.Template(text(s), reportAt(s))
	}
	if k := n.Get("keep_firing"); k != nil {
		a.keep = k.Duration()
	}
	a.key = b.fieldsTemplate(n.Get("key"))
	t := b.telling(n)
	a.group = t.group
	b.set.tellings[r.info.ID] = t
	return a, true
}

// fieldsTemplate reads fields by whose values alerts are told apart: a list, or one field.
func (b *builder) fieldsTemplate(n *source.Node) *lang.Template {
	if n == nil {
		return nil
	}
	elements := []*source.Node{n}
	if n.IsList() {
		elements = n.List()
	}
	var parts []string
	for _, e := range elements {
		name := e.String()
		kind, ok := b.lang.Field(name)
		switch {
		case name == "":
		case !ok:
			e.ProblemHint("unknown_name", suggest.DidYouMean(name, b.lang.FieldNames()), "unknown field %q", name)
		case kind == feedback.Themes || kind == feedback.ThemeList:
			e.Problem("wrong_type", "found the field %s, which is a list, expected one with a single value", name)
		default:
			parts = append(parts, name+"={"+name+"}")
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return b.lang.Template(strings.Join(parts, ","), reportAt(n))
}
