package backtest

import (
	"cmp"
	"iter"
	"strings"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/rehearsal"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// reasons are the explanations of the two decisions on one item, made when they are asked for.
type reasons struct{ was, is *rules.Explanation }

// of tells what made a difference: why the rule that gives the new value did not before, and why the one that gave the
// old value does not any more.
func (r *reasons) of(c *Comparison, d difference, ev *feedback.Event, was, is *rehearsal.Step) (out []string) {
	if r.was == nil {
		r.was, r.is = c.old.world.Explain(ev, was), c.new.world.Explain(ev, is)
	}
	if d.field == FieldOwner && (d.before == "" || d.after == "" || d.before == d.after) {
		rule := cmp.Or(d.after, d.before)
		if pool := poolOf(&is.Decision, rule); pool != "" && pool == poolOf(&was.Decision, rule) {
			return []string{rule + " takes the owner from the pool " + pool + ", in which others have their turn or are at capacity"}
		}
	}
	if d.before == d.after && d.before != "" {
		return []string{d.before + " fires as before and does something else"}
	}
	if d.after != "" {
		before := find(r.was, d.after)
		switch now := find(r.is, d.after); {
		case !c.oldSet[d.after]:
			out = append(out, d.after+" is new"+colon(now.why()))
		case now.x == nil:
			out = append(out, d.after+" fires now")
		case before.fired():
			out = append(out, d.after+" fired before as well, and did not decide this")
		default:
			out = append(out, firesNow(d.after, before, now))
		}
	}
	if d.before != "" {
		now := find(r.is, d.before)
		switch {
		case !c.newSet[d.before]:
			out = append(out, d.before+" is gone")
		case now.fired() && d.after == "":
			out = append(out, d.before+" fires as before, and does not do this any more")
		case now.fired():
			out = append(out, d.before+" still fires, and does not decide this any more")
		default:
			out = append(out, d.before+" does not fire any more; it "+now.whyNot())
		}
	}
	return out
}

// poolOf returns the pool from which a rule that fired took an owner, or would have if there were one left.
func poolOf(d *rules.Decision, rule string) string {
	for i := range d.Groups {
		for j := range d.Groups[i].Fired {
			f := &d.Groups[i].Fired[j]
			for k := range f.Actions {
				if f.Rule == rule && f.Actions[k].Pool != "" {
					return f.Actions[k].Pool
				}
			}
		}
	}
	return ""
}

// firesNow tells of the comparisons that turned out otherwise, or else why the rule did not fire before.
func firesNow(rule string, before, now told) string {
	var turned []string
	for text, is := range atoms(now.x.When) {
		if was, there := atomOf(before, text); there && was.Truth != is.Truth {
			turned = append(turned, sentence(is)+", before "+string(was.Truth))
		}
	}
	if len(turned) > 0 {
		return rule + " fires now: " + strings.Join(turned, "; ")
	}
	for text, is := range atoms(now.x.When) {
		if _, there := atomOf(before, text); !there {
			turned = append(turned, sentence(is))
		}
	}
	return rule + " fires now" + colon(strings.Join(turned, "; ")) + "; before, it " + before.whyNot()
}

// sentence tells how a comparison turned out.
func sentence(t *rules.Term) string {
	s := t.Text + " is " + string(t.Truth)
	var seen []string
	for _, v := range t.Seen {
		seen = append(seen, v.String())
	}
	if len(seen) > 0 {
		s += " (" + strings.Join(seen, ", ") + ")"
	}
	return s
}

// atoms calls yield with every comparison of a condition.
func atoms(t *rules.Term) iter.Seq2[string, *rules.Term] {
	return func(yield func(string, *rules.Term) bool) { eachAtom(t, yield) }
}

func eachAtom(t *rules.Term, yield func(string, *rules.Term) bool) bool {
	if t == nil {
		return true
	}
	if t.Op == "atom" {
		return yield(t.Text, t)
	}
	for _, k := range t.Terms {
		if !eachAtom(k, yield) {
			return false
		}
	}
	return true
}

// atomOf finds a comparison by its text.
func atomOf(t told, text string) (*rules.Term, bool) {
	if t.x == nil {
		return nil, false
	}
	for other, a := range atoms(t.x.When) {
		if other == text {
			return a, true
		}
	}
	return nil, false
}

// told is what an explanation says of one rule; it may be nil.
type told struct{ x *rules.RuleExplanation }

// find returns what is said of a rule: of several values of its each, of one for which it fired.
func find(x *rules.Explanation, rule string) (out told) {
	for i := range x.Groups {
		for j := range x.Groups[i].Rules {
			r := &x.Groups[i].Rules[j]
			if r.Rule == rule && (out.x == nil || !out.fired() && told{r}.fired()) {
				out.x = r
			}
		}
	}
	return out
}

func (t told) fired() bool { return t.x != nil && t.x.Outcome == rules.OutcomeFired }

func (t told) why() string {
	if t.x == nil {
		return ""
	}
	return t.x.Why
}

// whyNot continues a sentence about the rule.
func (t told) whyNot() string {
	if t.x == nil {
		return "had nothing to be decided for" // each, and no such value
	}
	switch t.x.Outcome {
	case rules.OutcomeSkipped:
		return "is not reached: " + t.x.Why
	case rules.OutcomeSuppressed:
		return "matches and is kept from acting: " + t.x.Why
	case rules.OutcomeShadow:
		return "is in shadow mode"
	case rules.OutcomeOff:
		return "is off"
	}
	if len(t.x.Needs) == 0 {
		return "does not match"
	}
	return "needs " + strings.Join(t.x.Needs, " and ")
}

func colon(s string) string {
	if s == "" {
		return ""
	}
	return ": " + s
}
