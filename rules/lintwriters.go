package rules

import (
	"fmt"
	"slices"

	"github.com/closedloop/closedloop/rules/internal/logic"
)

// writer is a rule that sets an output to a value of its own whenever it fires.
type writer struct {
	group int32
	rule  int32
	value string
}

// settled is an output with the policy that chooses among several values.
type settled struct {
	field  string
	policy policy
	get    func(*action) string
}

// writers tells of rules that may fire for one item and set an output to different values.
func (l *linter) writers() {
	p := l.set.outputs
	overlaps := 0
	for _, o := range [...]settled{
		{"queue", p.queue, func(a *action) string { return a.queue }},
		{"owner", p.owner, func(a *action) string { return a.owner }},
		{"priority", p.priority, func(a *action) string { return string(a.priority) }},
	} {
		if o.policy == policyFirst || o.policy == policyError {
			l.overlapping(o, l.writersOf(o), &overlaps)
		}
	}
	if overlaps >= l.limits.overlaps {
		l.add(Finding{Code: "not_looked_into", Message: fmt.Sprintf("more than %d rules set an output besides others: the rest was not looked for", l.limits.overlaps)})
	}
}

func (l *linter) writersOf(o settled) []writer {
	var out []writer
	for i := range l.set.groups {
		g := &l.set.groups[i]
		for j := range g.rules {
			r := &g.rules[j]
			if r.info.Mode != On || l.never[r] {
				continue
			}
			for k := range r.actions {
				if v := o.get(&r.actions[k]); v != "" {
					out = append(out, writer{int32(i), int32(j), v})
					break
				}
			}
		}
	}
	return out
}

// overlapping compares writers with those before them: all pairs if they are few, else those that stand near each other.
func (l *linter) overlapping(o settled, all []writer, overlaps *int) {
	reach := 0
	if len(all) > 0 {
		reach = min(len(all), l.limits.pairs/len(all))
	}
	if reach == 0 && len(all) > 1 {
		l.add(Finding{Code: "not_looked_into", Message: fmt.Sprintf("%d rules set %s: whether two of them do for one item was not looked for", len(all), o.field)})
		return
	}
	for j := range all {
		for i := max(0, j-reach); i < j; i++ {
			if all[i].value == all[j].value {
				continue
			}
			if *overlaps >= l.limits.overlaps {
				return
			}
			if l.exhausted() {
				l.left[l.ruleOf(all[j])] = true
				break
			}
			if l.overlap(o, all[i], all[j]) {
				*overlaps++
				break
			}
		}
	}
}

// overlap tells of two rules that fire for one item, if there is one.
func (l *linter) overlap(o settled, a, b writer) bool {
	first, second := l.ruleOf(a), l.ruleOf(b)
	if a.group == b.group && l.set.groups[a.group].first || slices.Contains(first.suppresses, second.info.ID) {
		return false
	}
	// The special before the general is what the policy first is for.
	if o.policy == policyFirst && l.solver.Implies(first.when, first.matches(), second.when, second.matches()) {
		return false
	}
	each := first.info.Each
	if each == "" {
		each = second.info.Each
	}
	_, event := l.solve(each, logic.Goal{Cond: first.when, Accept: first.matches()}, logic.Goal{Cond: second.when, Accept: second.matches()})
	if event == nil || !l.bothFire(event, first, second) {
		return false
	}
	f := Finding{Code: "overlap", Rule: second.info.ID, Other: first.info.ID, Pos: second.at.rule, OtherPos: first.at.rule, Blocks: o.policy == policyError,
		Message: fmt.Sprintf("the rules %s (%s) and %s set %s to %s and to %s, and both match %s", first.info.ID, short(first.at.rule, second.at.rule), second.info.ID,
			o.field, a.value, b.value, event)}
	if f.Hint = "make them exclude each other, or put them into one group with match: first"; o.policy == policyFirst {
		f.Message += fmt.Sprintf("; %s counts, that of %s", a.value, first.info.ID)
	}
	l.add(f)
	return true
}

func (l *linter) ruleOf(w writer) *rule { return &l.set.groups[w.group].rules[w.rule] }

// bothFire decides on the event to see whether both rules act.
func (l *linter) bothFire(w *witness, a, b *rule) bool {
	r := l.set.Evaluate(w.event, lintNow, w.view)
	l.matches += 1000
	var one, other bool
	for i := range r.Decision.Groups {
		for _, f := range r.Decision.Groups[i].Fired {
			one, other = one || f.Rule == a.info.ID, other || f.Rule == b.info.ID
		}
	}
	return one && other
}
