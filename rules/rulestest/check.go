package rulestest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/alert"
	"github.com/closedloop/closedloop/rules/rehearsal"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// checker compares what a step expects with what it did.
type checker struct {
	set         *rules.Set
	world       *rehearsal.World
	step        int
	about       *about
	told        int // notices before the step
	event       *feedback.Event
	corrections []feedback.Change
	decided     *rehearsal.Step // nil in a step without an event
	explained   *rules.Explanation
	failures    []Failure
}

func (c *checker) fail(line int, what, expected, found string, why ...string) {
	c.failures = append(c.failures, Failure{Step: c.step, Line: line, At: c.world.Now(), What: what, Expected: expected, Found: found, Why: why})
}

func (c *checker) check(x *expectation) {
	for i := range x.groups {
		c.group(&x.groups[i])
	}
	if x.suppressed != nil {
		c.suppressed(x.suppressed)
	}
	if x.unknown != nil {
		d := &c.decided.Decision
		c.list("unknown", x.unknown.line, x.unknown.names, c.about.of(d.Unknown, x.unknown.names), true)
	}
	if x.themes != nil || x.sentiment != nil {
		c.labels(x)
	}
	c.fields("outputs", x.outputs, c.outputs(), nil)
	for i := range x.alerts {
		c.alert(&x.alerts[i])
	}
	if x.notices != nil {
		c.notices(x.notices)
	}
}

// instance is a rule that fired, for one value of its each.
type instance struct{ rule, each string }

// String writes the rule with the value in brackets.
func (i instance) String() string {
	if i.each == "" {
		return i.rule
	}
	return i.rule + "[" + i.each + "]"
}

// group compares the rules that fired in a group.
func (c *checker) group(g *groupExpected) {
	var want, found []instance
	for _, r := range g.rules {
		want = append(want, instance{r.rule, r.each})
	}
	fired := map[instance]*rules.Fired{}
	for i := range c.decided.Decision.Groups {
		result := &c.decided.Decision.Groups[i]
		if result.Name != g.name {
			continue
		}
		for j := range result.Fired {
			f := &result.Fired[j]
			in := instance{f.Rule, f.Each}
			found = append(found, in)
			fired[in] = f
		}
	}
	if !sameSet(want, found) {
		var why []string
		for _, in := range differences(want, found) {
			why = append(why, c.whyRule(in)...)
		}
		c.fail(g.line, g.name, namesOf(want), namesOf(found), why...)
	}
	for i := range g.rules {
		r := &g.rules[i]
		in := instance{r.rule, r.each}
		if f := fired[in]; f != nil {
			c.actions(g.name+"."+in.String(), f, r.actions)
		}
	}
}

func sameSet(a, b []instance) bool { return len(differences(a, b)) == 0 }

// differences returns what is in one of the lists alone.
func differences(a, b []instance) []instance {
	var out []instance
	for _, x := range a {
		if !slices.Contains(b, x) {
			out = append(out, x)
		}
	}
	for _, x := range b {
		if !slices.Contains(a, x) && !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}

func namesOf(list []instance) string {
	names := make([]string, len(list))
	for i, in := range list {
		names[i] = in.String()
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// whyRule tells why a rule fired or did not.
func (c *checker) whyRule(in instance) []string {
	var out []string
	for i := range c.explained.Groups {
		for _, x := range c.explained.Groups[i].Rules {
			if x.Rule != in.rule || x.Each != in.each {
				continue
			}
			out = append(out, in.String()+" "+outcomeText(x.Outcome)+": "+x.Why)
			if len(x.Needs) > 0 && (x.Outcome == rules.OutcomeFalse || x.Outcome == rules.OutcomeUnknown) {
				out = append(out, "  it would need: "+strings.Join(x.Needs, "; "))
			}
		}
	}
	if out == nil {
		out = append(out, in.String()+" was not decided on: the event has no such value")
	}
	return out
}

func outcomeText(o rules.Outcome) string {
	switch o {
	case rules.OutcomeFired:
		return "fired"
	case rules.OutcomeShadow:
		return "would have fired (shadow)"
	case rules.OutcomeFalse, rules.OutcomeUnknown:
		return "did not fire"
	case rules.OutcomeSkipped:
		return "was not reached"
	case rules.OutcomeSuppressed:
		return "matched and was kept from acting"
	}
	return "is " + string(o)
}

// actions compares the actions of a rule that fired.
func (c *checker) actions(path string, f *rules.Fired, want []actionExpected) {
	for i := range want {
		a := &want[i]
		what := path + "." + string(a.kind)
		done := c.carriedOut(f, a.kind)
		switch {
		case a.none && len(done) > 0:
			c.fail(a.line, what, "none", describe(done[0]))
		case a.none:
		case len(done) == 0:
			c.fail(a.line, what, "the action", "it is not carried out", notes(f, a.kind)...)
		default:
			best := done[0]
			for _, d := range done {
				if mismatches(a.fields, d) < mismatches(a.fields, best) {
					best = d
				}
			}
			c.fields(what, a.fields, best, notes(f, a.kind))
		}
	}
}

// notes tells what became of actions that are not carried out as they are written.
func notes(f *rules.Fired, kind rules.EffectKind) []string {
	var out []string
	for i := range f.Actions {
		if a := &f.Actions[i]; a.Kind == kind && a.Note != "" {
			out = append(out, f.Rule+": "+a.Note)
		}
	}
	return out
}

// carriedOut returns the actions of a kind of a rule as they are carried out; those of a shadow rule as it wrote them.
func (c *checker) carriedOut(f *rules.Fired, kind rules.EffectKind) []map[string]string {
	var out []map[string]string
	if kind == rules.Relabel || f.Mode == rules.Shadow {
		for i := range f.Actions {
			if f.Actions[i].Kind == kind {
				out = append(out, c.effect(&f.Actions[i]))
			}
		}
		return out
	}
	for i := range c.decided.Effects {
		if e := &c.decided.Effects[i]; e.Kind == kind && e.Rule == f.Rule && e.Each == f.Each {
			out = append(out, c.effect(e))
		}
	}
	return out
}

// effect writes the fields of an effect as texts to compare. What is not given is empty.
func (c *checker) effect(e *rules.Effect) map[string]string {
	out := map[string]string{
		"queue": e.Queue, "owner": e.Owner, "priority": string(e.Priority), "severity": string(e.Severity), "pool": e.Pool, "table": e.Table,
		"calendar": e.Calendar, "summary": e.Summary, "group": e.AlertGroup, "destination": e.Destination, "channel": e.Destination,
		"message": e.Message,
	}
	switch e.Kind {
	case rules.Alert:
		out["key"] = e.Target
	case rules.Tag:
		out["tags"] = sortedText(e.Tags)
	}
	if e.Row > 0 {
		out["row"] = strconv.Itoa(e.Row)
	}
	if e.SLA > 0 {
		out["sla"], out["due"] = e.SLA.String(), c.set.Due(c.decided.At, e.SLA, e.Calendar).String()
	}
	if e.Resolve > 0 {
		out["resolve"], out["resolve_by"] = e.Resolve.String(), c.set.Due(c.decided.At, e.Resolve, e.Calendar).String()
	}
	if e.Digest > 0 {
		out["digest"] = e.Digest.String()
	}
	if ch := e.Change; ch != nil {
		out["reason"], out["sentiment"] = ch.Reason, sentimentText(ch.Sentiment)
		out["add"], out["remove"] = pathsText(themesOf(ch.Add)), pathsText(ch.Remove)
	}
	return out
}

func themesOf(list []feedback.Theme) []feedback.ThemePath {
	var out []feedback.ThemePath
	for i := range list {
		out = append(out, list[i].Path)
	}
	return out
}

func pathsText(list []feedback.ThemePath) string {
	if len(list) == 0 {
		return ""
	}
	var texts []string
	for _, p := range list {
		texts = append(texts, string(p))
	}
	return sortedText(texts)
}

// describe writes the fields that are given, in the order of their names.
func describe(fields map[string]string) string {
	var parts []string
	for name, v := range fields {
		if v != "" && v != "[]" && name != "channel" && !strings.HasPrefix(name, countOf) {
			parts = append(parts, name+": "+v)
		}
	}
	slices.Sort(parts)
	return "{" + strings.Join(parts, ", ") + "}"
}

func mismatches(want []field, found map[string]string) int {
	n := 0
	for _, f := range want {
		if !f.fits(found[f.name]) {
			n++
		}
	}
	return n
}

// fits reports whether a value is the one that is expected. An empty list is like none.
func (f *field) fits(found string) bool {
	return f.want == found || (f.want == "[]" || f.want == "") && (found == "" || found == "[]")
}

// fields compares fields with what was found, each on its own.
func (c *checker) fields(path string, want []field, found map[string]string, why []string) {
	for i := range want {
		if f := &want[i]; !f.fits(found[f.name]) {
			c.fail(f.line, path+"."+f.name, cmp.Or(f.want, "none"), cmp.Or(found[f.name], "none"), why...)
		}
	}
}

func (c *checker) outputs() map[string]string {
	if c.decided == nil {
		return nil
	}
	o := &c.decided.Decision.Outputs
	return map[string]string{"queue": o.Queue, "owner": o.Owner, "priority": string(o.Priority), "severity": string(o.Severity), "tags": sortedText(o.Tags)}
}

// list compares names of which neither the order nor repetitions count. Rules are explained.
func (c *checker) list(what string, line int, want, found []string, ofRules bool) {
	var a, b []instance
	for _, n := range slices.Compact(slices.Sorted(slices.Values(want))) {
		a = append(a, instance{rule: n})
	}
	for _, n := range slices.Compact(slices.Sorted(slices.Values(found))) {
		b = append(b, instance{rule: n})
	}
	if sameSet(a, b) {
		return
	}
	var why []string
	for _, in := range differences(a, b) {
		if ofRules {
			why = append(why, c.whyAny(in.rule)...)
		}
	}
	c.fail(line, what, namesOf(a), namesOf(b), why...)
}

// whyAny tells of every instance of a rule why it fired or did not.
func (c *checker) whyAny(rule string) []string {
	var out []string
	for i := range c.explained.Groups {
		for _, x := range c.explained.Groups[i].Rules {
			if x.Rule == rule {
				out = append(out, c.whyRule(instance{x.Rule, x.Each})...)
			}
		}
	}
	return out
}

func (c *checker) suppressed(want *named) {
	var found []string
	by := map[string]string{}
	for _, s := range c.decided.Decision.Suppressed {
		found = append(found, s.Rule)
		by[s.Rule] = s.By
	}
	c.list("suppressed", want.line, want.names, c.about.of(found, want.names), true)
	for _, rule := range want.names {
		if b, ok := want.by[rule]; ok && by[rule] != "" && by[rule] != b {
			c.fail(want.line, "suppressed."+rule, b, by[rule])
		}
	}
}

// labels compares the effective labels after the decision.
func (c *checker) labels(x *expectation) {
	l := feedback.Labels{}
	if c.event.Labels != nil {
		l = *c.event.Labels
		l.Themes = slices.Clone(l.Themes)
	}
	for _, change := range slices.Concat(c.decided.Decision.Relabels, c.corrections) {
		l.Apply(&change)
	}
	if x.themes != nil {
		var found []string
		for i := range l.Themes {
			found = append(found, string(l.Themes[i].Path))
		}
		c.list("themes", x.themes.line, x.themes.names, found, false)
	}
	if s := x.sentiment; s != nil && !s.fits(sentimentText(l.Sentiment)) {
		c.fail(s.line, s.name, cmp.Or(s.want, "none"), cmp.Or(sentimentText(l.Sentiment), "none"))
	}
}

// alert compares where an alert stands.
func (c *checker) alert(want *alertExpected) {
	what := "alerts." + want.rule
	if !want.any {
		what += "[" + want.key + "]"
	}
	found := []string{}
	ok := false
	for _, a := range c.world.Alerts() {
		if a.Rule != want.rule || !want.any && a.Key != want.key {
			continue
		}
		status := a.State.Status.String()
		ok = ok || status == want.status
		if want.any && a.Key != "" {
			status += " for " + rules.KeyText(a.Key)
		}
		found = append(found, status)
	}
	if want.status == alert.Inactive.String() {
		ok = !slices.ContainsFunc(found, func(s string) bool { return !strings.HasPrefix(s, want.status) })
	}
	if ok {
		return
	}
	if len(found) == 0 {
		found = append(found, alert.Inactive.String())
	}
	c.fail(want.line, what, want.status, strings.Join(found, ", "), c.whyAlert(want)...)
}

// whyAlert tells how a rule that holds over time stands.
func (c *checker) whyAlert(want *alertExpected) []string {
	keys := []string{want.key}
	if want.any {
		keys = nil
		for _, a := range c.world.Alerts() {
			if a.Rule == want.rule {
				keys = append(keys, a.Key)
			}
		}
	}
	var out []string
	for _, key := range keys {
		s, ok := c.world.Stand(rules.Instance{Rule: want.rule, Key: key})
		if !ok {
			continue
		}
		in := instance{want.rule, rules.KeyText(key)}
		out = append(out, fmt.Sprintf("the condition of %s is %s: %s", in, s.Truth, s.When.Why()))
	}
	if out == nil && c.explained != nil {
		out = c.whyAny(want.rule)
	}
	return out
}

// notices compares the notifications of the step, in their order.
func (c *checker) notices(want *noticesExpected) {
	sent := c.world.Notices()[c.told:]
	if len(sent) != len(want.list) {
		var why []string
		for i := range sent {
			why = append(why, sent[i].At.String()+" "+describe(noticeOf(&sent[i])))
		}
		c.fail(want.line, "notices", strconv.Itoa(len(want.list)), strconv.Itoa(len(sent)), why...)
		return
	}
	for i, fields := range want.list {
		found := noticeOf(&sent[i])
		for j := range fields {
			f := &fields[j]
			got := found[f.name]
			if _, err := strconv.Atoi(f.want); err == nil && found[countOf+f.name] != "" {
				got = found[countOf+f.name]
			}
			if !f.fits(got) {
				c.fail(f.line, fmt.Sprintf("notices[%d].%s", i+1, f.name), cmp.Or(f.want, "none"), cmp.Or(got, "none"), sent[i].At.String()+" "+describe(found))
			}
		}
	}
}

// countOf begins the name of the length of a list.
const countOf = "number of "

// noticeOf writes the fields of a notification as texts to compare.
func noticeOf(n *rehearsal.Notice) map[string]string {
	out := map[string]string{"rule": n.Rule, "destination": n.Destination}
	if n.Digest != nil {
		out["messages"] = strconv.FormatInt(n.Digest.Count, 10)
		return out
	}
	a := n.Alerts
	out["repeat"] = strconv.FormatBool(a.Repeat)
	var firing []alert.Member
	for _, l := range a.Firing {
		firing = append(firing, l.Member)
	}
	for name, members := range map[string][]alert.Member{"firing": firing, "resolved": a.Resolved, "passed": a.Passed} {
		var keys []string
		for _, m := range members {
			keys = append(keys, rules.KeyText(m.Key))
		}
		out[name], out[countOf+name] = sortedText(keys), strconv.Itoa(len(keys))
	}
	return out
}
