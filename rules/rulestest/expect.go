package rulestest

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/suggest"
)

// expectation is what a step expects. What is nil is not looked at.
type expectation struct {
	groups     []groupExpected
	suppressed *named
	unknown    *named
	themes     *named
	sentiment  *field
	outputs    []field
	alerts     []alertExpected
	notices    *noticesExpected
}

// named is a list of names of which the order does not count. by are what some of them are given by, if that is said.
type named struct {
	line  int
	names []string
	by    map[string]string
}

// field is one value that is expected, written as text. Empty is none.
type field struct {
	name, want string
	line       int
}

type groupExpected struct {
	name  string
	line  int
	rules []ruleExpected
}

// ruleExpected is a rule that is to have fired, for one value of its each when it has one.
type ruleExpected struct {
	rule, each string
	line       int
	actions    []actionExpected
}

// actionExpected is an action that is to be carried out, with some of its fields, or none of its kind.
type actionExpected struct {
	kind   rules.EffectKind
	line   int
	none   bool
	fields []field
}

// alertExpected is where an alert of a rule is to stand, under a key or under any.
type alertExpected struct {
	rule, key string
	any       bool
	status    string
	line      int
}

type noticesExpected struct {
	line int
	list [][]field
}

// The keys of an expectation besides the groups of rules.
var reserved = []string{"groups", "suppressed", "unknown", "alerts", "notices", "themes", "sentiment", "outputs"}

// expect reads what a step expects, of an event or without one, at an instant.
func (r *reader) expect(n *source.Node, event bool, at feedback.Time) *expectation {
	x := &expectation{}
	if n == nil {
		return nil
	}
	for _, e := range n.Entries() {
		if !event && e.Name != "alerts" && e.Name != "notices" {
			e.Key.ProblemHint("not_allowed", "give the step an event; event: {} takes that of the test", "found %s in a step without an event, expected alerts or notices", e.Name)
			continue
		}
		v := e.Value
		line := e.Key.Pos().Line
		switch e.Name {
		case "groups":
			for _, g := range v.Entries() {
				x.groups = append(x.groups, r.group(g, at))
			}
		case "suppressed":
			x.suppressed = r.suppressed(v)
		case "unknown":
			x.unknown = &named{line: line, names: r.ruleNames(v)}
		case "themes":
			x.themes = &named{line: line, names: v.Strings()}
		case "sentiment":
			x.sentiment = &field{"sentiment", numberText(v), line}
		case "outputs":
			x.outputs = r.fields(v, outputFields, at)
		case "alerts":
			x.alerts = r.alerts(v)
		case "notices":
			x.notices = r.notices(v, line, at)
		default:
			x.groups = append(x.groups, r.group(e, at))
		}
	}
	return x
}

// group reads the rules that are to have fired in a group.
func (r *reader) group(e source.Entry, at feedback.Time) groupExpected {
	g := groupExpected{name: e.Name, line: e.Key.Pos().Line}
	if r.set != nil && !r.knownGroup(e) {
		return g
	}
	for _, n := range e.Value.Entries() {
		info := r.rule(n.Name, n.Key)
		if info != nil && info.Group != e.Name {
			n.Key.Problem("wrong_value", "the rule %s is in the group %s", info.ID, info.Group)
		}
		if info != nil && info.Alert {
			n.Key.ProblemHint("wrong_value", "alerts: {"+info.ID+": firing}", "the rule %s holds over time and fires on no item", info.ID)
			continue
		}
		line := n.Key.Pos().Line
		if info == nil || info.Each == "" {
			g.rules = append(g.rules, ruleExpected{rule: n.Name, line: line, actions: r.actions(n.Value, info, at)})
			continue
		}
		if n.Value.IsMap() && len(n.Value.Entries()) == 0 {
			n.Value.ProblemHint("wrong_value", info.ID+": {VALUE: {}}", "the rule %s is decided for each %s, expected for which it fires", info.ID, info.Each)
		}
		for _, each := range n.Value.Entries() {
			g.rules = append(g.rules, ruleExpected{rule: n.Name, each: each.Name, line: each.Key.Pos().Line, actions: r.actions(each.Value, info, at)})
		}
	}
	return g
}

// knownGroup reports whether there is a group of the entry's name, and notes when there is none.
func (r *reader) knownGroup(e source.Entry) bool {
	var known []string
	for _, info := range r.rules {
		if info.Group == e.Name {
			return true
		}
		known = append(known, info.Group)
	}
	known = slices.Compact(known)
	e.Key.ProblemHint("unknown_key", suggest.DidYouMean(e.Name, append(known, reserved...)), "unknown key %q, expected a group of rules or one of %s", e.Name, strings.Join(reserved, ", "))
	return false
}

// rule returns the rule of a name, and nil when it is not known.
func (r *reader) rule(name string, at *source.Node) *rules.RuleInfo {
	if r.set == nil {
		return nil
	}
	var known []string
	for i := range r.rules {
		if r.rules[i].ID == name {
			return &r.rules[i]
		}
		known = append(known, r.rules[i].ID)
	}
	at.ProblemHint("unknown_name", suggest.DidYouMean(name, known), "there is no rule %q", name)
	return nil
}

func (r *reader) ruleNames(n *source.Node) []string {
	out := []string{}
	elements := []*source.Node{n}
	if !n.IsString() {
		elements = n.List()
	}
	for _, e := range elements {
		name := e.String()
		r.rule(name, e)
		out = append(out, name)
	}
	return out
}

// suppressed reads a list of rules, or a map of rules to what keeps them from acting.
func (r *reader) suppressed(n *source.Node) *named {
	out := &named{line: n.Pos().Line, names: []string{}}
	if !n.IsMap() {
		out.names = r.ruleNames(n)
		return out
	}
	out.by = map[string]string{}
	for _, e := range n.Entries() {
		r.rule(e.Name, e.Key)
		out.names = append(out.names, e.Name)
		by := e.Value.String()
		if by != "" && by != rules.ByThrottle {
			r.rule(by, e.Value)
		}
		out.by[e.Name] = by
	}
	return out
}

// actions reads what a rule is to do. The shape of it is known only with the rules, for a rule with each.
func (r *reader) actions(n *source.Node, info *rules.RuleInfo, at feedback.Time) []actionExpected {
	var out []actionExpected
	if n.IsNull() {
		n.ProblemHint("wrong_type", "{} expects that the rule fired, whatever it does", "found nothing, expected a map of actions")
		return nil
	}
	if r.set == nil {
		_ = n.Entries()
		return nil
	}
	for _, e := range n.Entries() {
		kind := rules.EffectKind(e.Name)
		if kind == "route" {
			kind = rules.Assign
		}
		shape, ok := actionFields[kind]
		if !ok {
			e.Key.ProblemHint("unknown_key", suggest.DidYouMean(e.Name, actionNames), "unknown action %q, expected one of %s", e.Name, strings.Join(actionNames, ", "))
			continue
		}
		if info != nil && !slices.Contains(info.Actions, kind) && !e.Value.IsNull() {
			e.Key.Problem("wrong_value", "the rule %s has no action %s", info.ID, kind)
			continue
		}
		elements := []*source.Node{e.Value}
		if e.Value.IsList() && kind != rules.Tag {
			elements = e.Value.List()
		}
		for _, v := range elements {
			a := actionExpected{kind: kind, line: v.Pos().Line, none: v.IsNull()}
			switch {
			case a.none:
			case kind == rules.Tag && !v.IsMap():
				a.fields = []field{{"tags", sortedText(v.Strings()), a.line}}
			default:
				a.fields = r.fields(v, shape, at)
			}
			out = append(out, a)
		}
	}
	return out
}

// fieldKind is how a field is written.
type fieldKind uint8

const (
	asText     fieldKind = iota
	asList               // of strings; the order does not count
	asNumber             //
	asInstant            // or a duration after the step, such as +48h
	asDuration           //
	asCount              // a list, or how long it is
	asTruth
)

type fieldShape struct {
	name string
	kind fieldKind
}

var actionNames = []string{"assign", "route", "case", "alert", "tag", "notify", "relabel"}

var actionFields = map[rules.EffectKind][]fieldShape{
	rules.Assign: {{"queue", asText}, {"owner", asText}, {"priority", asText}, {"pool", asText}, {"table", asText}, {"row", asNumber}},
	rules.Case: {{"queue", asText}, {"owner", asText}, {"priority", asText}, {"severity", asText}, {"sla", asDuration}, {"resolve", asDuration}, {"calendar", asText}, {"due", asInstant},
		{"resolve_by", asInstant}},
	rules.Alert:   {{"severity", asText}, {"summary", asText}, {"key", asText}, {"group", asText}},
	rules.Tag:     {{"tags", asList}, {"table", asText}, {"row", asNumber}},
	rules.Notify:  {{"destination", asText}, {"channel", asText}, {"message", asText}, {"severity", asText}, {"digest", asDuration}},
	rules.Relabel: {{"add", asList}, {"remove", asList}, {"sentiment", asNumber}, {"reason", asText}},
}

var (
	outputFields = []fieldShape{{"queue", asText}, {"owner", asText}, {"priority", asText}, {"severity", asText}, {"tags", asList}}
	noticeFields = []fieldShape{{"rule", asText}, {"destination", asText}, {"firing", asCount}, {"resolved", asCount}, {"passed", asCount},
		{"repeat", asTruth}, {"messages", asNumber}}
)

// fields reads the fields of a map. Null expects that there is none.
func (r *reader) fields(n *source.Node, shape []fieldShape, at feedback.Time) []field {
	names := make([]string, len(shape))
	for i, s := range shape {
		names[i] = s.name
	}
	if !n.Object(names...) {
		return nil
	}
	var out []field
	for _, e := range n.Entries() {
		if i := slices.Index(names, e.Name); i >= 0 {
			out = append(out, field{e.Name, r.value(e.Value, shape[i].kind, at), e.Value.Pos().Line})
		}
	}
	return out
}

// value reads a value as the text with which it is compared.
func (r *reader) value(n *source.Node, kind fieldKind, at feedback.Time) string {
	if n.IsNull() {
		return ""
	}
	switch kind {
	case asList:
		return sortedText(n.Strings())
	case asNumber:
		return numberText(n)
	case asInstant:
		return r.instant(n, at, 0).String()
	case asDuration:
		return n.Duration().String()
	case asTruth:
		return strconv.FormatBool(n.Bool())
	case asCount:
		if !n.IsList() && !n.IsString() {
			return strconv.Itoa(n.Int())
		}
		return sortedText(n.Strings())
	}
	return n.String()
}

func numberText(n *source.Node) string {
	if n.IsNull() {
		return ""
	}
	return strconv.FormatFloat(n.Number(), 'g', -1, 64)
}

// sortedText writes a list of which the order does not count. An empty list is not nothing.
func sortedText(list []string) string {
	list = slices.Sorted(slices.Values(list))
	return "[" + strings.Join(list, ", ") + "]"
}

var statuses = []string{"inactive", "pending", "firing", "resolved"}

// alerts reads where the alerts of rules are to stand: a status, or one for each key.
func (r *reader) alerts(n *source.Node) []alertExpected {
	var out []alertExpected
	for _, e := range n.Entries() {
		info := r.rule(e.Name, e.Key)
		if info != nil && !info.Alert && !slices.Contains(info.Actions, rules.Alert) {
			e.Key.Problem("wrong_value", "the rule %s raises no alert", e.Name)
		}
		line := e.Key.Pos().Line
		if !e.Value.IsMap() {
			out = append(out, alertExpected{rule: e.Name, any: true, status: e.Value.OneOf(statuses...), line: line})
			continue
		}
		for _, k := range e.Value.Entries() {
			if k.Value.IsMap() {
				k.Value.ProblemHint("wrong_type", "the rules of a group that is named alerts stand under groups: {alerts: ...}", "found a map, expected one of %s", strings.Join(statuses, ", "))
				continue
			}
			out = append(out, alertExpected{rule: e.Name, key: k.Name, status: k.Value.OneOf(statuses...), line: k.Key.Pos().Line})
		}
	}
	return out
}

// notices reads a list of notifications.
func (r *reader) notices(n *source.Node, line int, at feedback.Time) *noticesExpected {
	out := &noticesExpected{line: line}
	for _, e := range n.List() {
		f := r.fields(e, noticeFields, at)
		if e.Get("rule") != nil {
			r.rule(e.Get("rule").String(), e.Get("rule"))
		}
		if len(f) == 0 {
			f = []field{}
		}
		for i := range f {
			f[i].line = cmp.Or(f[i].line, line)
		}
		out.list = append(out.list, f)
	}
	return out
}

func sentimentText(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'g', -1, 64)
}
