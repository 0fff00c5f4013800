package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/rules/source"
)

// policy says which value wins when several rules set one output.
type policy string

const (
	policyFirst policy = "first" // of the first rule
	policyMax   policy = "max"   // the highest
	policyUnion policy = "union" // all together
	policyError policy = "error" // of the first rule, and different values are an error
)

type policies struct{ queue, owner, priority, severity, tags policy }

var defaultPolicies = policies{policyFirst, policyFirst, policyMax, policyMax, policyUnion}

// policies reads the section outputs.
func (b *builder) policies(n *source.Node) {
	n.Object("queue", "owner", "priority", "severity", "tags")
	p := &b.set.outputs
	read := func(name string, into *policy, allowed ...policy) {
		v := n.Get(name)
		if v == nil {
			return
		}
		var names []string
		for _, a := range allowed {
			names = append(names, string(a))
		}
		if s := v.OneOf(names...); s != "" && b.unique("policy of", name, v.Key()) {
			*into = policy(s)
		}
	}
	read("queue", &p.queue, policyFirst, policyError)
	read("owner", &p.owner, policyFirst, policyError)
	read("priority", &p.priority, policyFirst, policyMax, policyError)
	read("severity", &p.severity, policyFirst, policyMax, policyError)
	read("tags", &p.tags, policyFirst, policyUnion)
}

// output is one output field being merged.
type output struct {
	field  string
	policy policy
	rank   func(string) int // for policyMax
	value  string
	rule   string // whose value it is
	rules  []string
	clash  bool
}

// offer takes the value that a rule sets, unless it is empty.
func (o *output) offer(rule, value string) {
	switch {
	case value == "":
		return
	case o.value == "" || o.policy == policyMax && o.rank(value) > o.rank(o.value):
		o.value, o.rule = value, rule
	case o.policy == policyError && value != o.value:
		o.clash = true
		if !slices.Contains(o.rules, rule) {
			o.rules = append(o.rules, rule)
		}
	}
}

func severityRank(s string) int { return slices.Index(severityNames, s) }
func priorityRank(s string) int { return slices.Index(priorityNames, s) }

// merged is the outputs of one decision while its rules are gone through.
type merged struct {
	queue, owner, priority, severity output
	tags                             []string
	opened                           string // the rule that opened the case
}

// merge goes through the effects of all rules that fired, in their order, and decides every output.
func (s *Set) merge(effects []Effect, d *Decision) merged {
	p := s.outputs
	m := merged{
		queue:    output{field: "queue", policy: p.queue},
		owner:    output{field: "owner", policy: p.owner},
		priority: output{field: "priority", policy: p.priority, rank: priorityRank},
		severity: output{field: "severity", policy: p.severity, rank: severityRank},
	}
	for i := range d.Groups {
		for j := range d.Groups[i].Fired {
			if f := &d.Groups[i].Fired[j]; f.Mode != Shadow {
				m.severity.offer(f.Rule, string(f.Severity))
			}
		}
	}
	for i := range effects {
		e := &effects[i]
		m.queue.offer(e.Rule, e.Queue)
		m.owner.offer(e.Rule, e.Owner)
		m.priority.offer(e.Rule, string(e.Priority))
		if e.Kind == Alert {
			m.severity.offer(e.Rule, string(e.Severity))
		}
		if e.Kind == Case && m.opened == "" {
			m.opened = e.Rule
		}
		if p.tags == policyUnion || len(m.tags) == 0 {
			m.tags = append(m.tags, e.Tags...)
		}
	}
	slices.Sort(m.tags)
	m.tags = slices.Compact(m.tags)
	d.Outputs = Outputs{m.queue.value, m.owner.value, Priority(m.priority.value), Severity(m.severity.value), m.tags}
	for _, o := range [...]*output{&m.queue, &m.owner, &m.priority, &m.severity} {
		if o.clash {
			rules := append([]string{o.rule}, o.rules...)
			d.Errors = append(d.Errors, RuleError{Code: "conflict", Field: o.field, Rules: rules,
				Message: fmt.Sprintf("rules set different values of %s; that of %s counts: %s", o.field, o.rule, o.value)})
		}
	}
	return m
}

// settle takes from an effect what another rule overruled, and gives a case what was decided. It returns why the
// effect is not carried out as it is written, or "", and whether anything of it is left.
func (m *merged) settle(e *Effect) (note string, left bool) {
	switch e.Kind {
	case Assign:
		var lost []string
		take := func(o *output, value string) string {
			if value != "" && o.rule != e.Rule {
				lost = append(lost, o.field+" is set by "+o.rule)
				return ""
			}
			return value
		}
		e.Queue = take(&m.queue, e.Queue)
		e.Owner = take(&m.owner, e.Owner)
		e.Priority = Priority(take(&m.priority, string(e.Priority)))
		e.Target = e.Queue
		return strings.Join(lost, "; "), e.Queue != "" || e.Owner != "" || e.Priority != ""
	case Case:
		if m.opened != e.Rule {
			return "the case is opened by " + m.opened, false
		}
		if e.Queue != "" && e.Queue != m.queue.value {
			note = "queue is set by " + m.queue.rule
		}
		e.Queue, e.Owner, e.Priority = m.queue.value, m.owner.value, Priority(m.priority.value)
		return note, true
	case Tag:
		return "", len(e.Tags) > 0
	case Relabel:
		return "", false
	}
	return "", true
}

// checkConflicts reports rules that set different values of an output whose policy is error, wherever both must fire:
// their conditions are the same.
func (b *builder) checkConflicts() {
	p := b.set.outputs
	for _, o := range [...]struct {
		field  string
		policy policy
		get    func(*action) string
	}{
		{"queue", p.queue, func(a *action) string { return a.queue }},
		{"owner", p.owner, func(a *action) string { return a.owner }},
		{"priority", p.priority, func(a *action) string { return string(a.priority) }},
	} {
		b.checkConflict(o.field, o.policy, o.get)
	}
}

// setting is a value that a rule sets whenever its condition holds.
type setting struct{ rule, value string }

func (b *builder) checkConflict(field string, policy policy, get func(*action) string) {
	byCondition := map[string]setting{}
	for gi := range b.set.groups {
		g := &b.set.groups[gi]
		inGroup := map[string]bool{}
		for ri := range g.rules {
			r := &g.rules[ri]
			if r.when == nil || r.info.Mode != On || g.first && inGroup[r.when.Key()] {
				continue
			}
			inGroup[r.when.Key()] = true
			own := setting{rule: r.info.ID}
			for ai := range r.actions {
				v := get(&r.actions[ai])
				if v != "" && own.value != "" && v != own.value {
					b.nodes[r.info.ID].Problem("conflict", "the rule sets %s to %q and to %q", field, own.value, v)
				}
				if v != "" {
					own.value = v
				}
			}
			if own.value == "" || policy != policyError {
				continue
			}
			if other, ok := byCondition[r.when.Key()]; !ok {
				byCondition[r.when.Key()] = own
			} else if other.value != own.value {
				b.nodes[r.info.ID].ProblemHint("conflict", "change one of them, or declare outputs: {"+field+": first}",
					"the rules %s and %s have the same condition and set %s to %q and %q", other.rule, own.rule, field, other.value, own.value)
			}
		}
	}
}
