package cli

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/suggest"
)

const (
	// fewRules are listed all, whatever became of them.
	fewRules = 25
	// shownNear is how many of the rules that nearly fired are listed.
	shownNear = 20
)

// ruleName names a rule, and the theme or value that it was decided for.
func ruleName(r *rules.RuleExplanation) string {
	if r.Each == "" {
		return r.Rule
	}
	return r.Rule + " for " + r.Each
}

// notFired tells of the rules that did not fire why not: of all when they are few, else of those that matched and were
// kept from acting, that lacked something, or that one comparison kept from firing.
func (a *app) notFired(all []*rules.RuleExplanation) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(a.std.Out, "\n%s did not fire\n", count(len(all), "rule"))
	shown := all
	if len(all) > fewRules {
		shown = near(all)
	}
	t := indented(narrow(""), text(""), elastic(""))
	for _, r := range shown {
		t.add(ruleName(r), string(r.Outcome), whyNot(r))
	}
	t.write(a.std.Out, a.std.Width)
	if len(shown) == len(all) {
		return
	}
	rest := map[rules.Outcome]int{}
	for _, r := range all {
		rest[r.Outcome]++
	}
	for _, r := range shown {
		rest[r.Outcome]--
	}
	var parts []string
	for _, o := range []rules.Outcome{
		rules.OutcomeFalse, rules.OutcomeUnknown, rules.OutcomeSkipped, rules.OutcomeSuppressed, rules.OutcomeOverTime, rules.OutcomeOff,
	} {
		if rest[o] > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", grouped(rest[o]), o))
		}
	}
	fmt.Fprintf(a.std.Out, "  and %s more (%s): --rule ID shows one\n", grouped(len(all)-len(shown)), strings.Join(parts, ", "))
}

// near returns the rules that are worth a look, those that were nearest to firing first.
func near(all []*rules.RuleExplanation) (out []*rules.RuleExplanation) {
	for _, wanted := range []func(*rules.RuleExplanation) bool{
		func(r *rules.RuleExplanation) bool { return r.Outcome == rules.OutcomeSuppressed },
		func(r *rules.RuleExplanation) bool { return r.Outcome == rules.OutcomeUnknown && len(r.Needs) <= 1 },
		func(r *rules.RuleExplanation) bool { return r.Outcome == rules.OutcomeFalse && len(r.Needs) <= 1 },
		func(r *rules.RuleExplanation) bool { return r.Outcome == rules.OutcomeUnknown && len(r.Needs) > 1 },
	} {
		for _, r := range all {
			if wanted(r) && len(out) < shownNear {
				out = append(out, r)
			}
		}
	}
	return out
}

// whyNot tells why a rule did not fire: what it would have needed, or what kept it.
func whyNot(r *rules.RuleExplanation) string {
	switch r.Outcome {
	case rules.OutcomeFalse, rules.OutcomeUnknown:
		if len(r.Needs) > 0 {
			return "needs " + strings.Join(r.Needs, "; and ")
		}
	case rules.OutcomeOverTime:
		if r.When != nil {
			return "stands at " + string(r.When.Truth) + " for this item"
		}
	}
	return r.Why
}

// keepRule leaves of an explanation what it says of one rule.
func keepRule(x *engine.Explanation, rule string) error {
	var known []string
	var kept []rules.GroupExplanation
	for _, g := range x.Rules.Groups {
		of := rules.GroupExplanation{Name: g.Name, Match: g.Match}
		for _, r := range g.Rules {
			known = append(known, r.Rule)
			if r.Rule == rule {
				of.Rules = append(of.Rules, r)
			}
		}
		if len(of.Rules) > 0 {
			kept = append(kept, of)
		}
	}
	if len(kept) == 0 {
		return usage(cmp.Or(suggest.DidYouMean(rule, known), "a rule with each is decided for its values only, and the item may have none"),
			"ruleset %s, which decided on the item, has nothing to say of a rule %q", short(x.Decision.Ruleset), rule)
	}
	x.Rules.Groups = kept
	return nil
}

// explainedRule shows one rule with the truth and the values of each of its comparisons.
func (a *app) explainedRule(s *session, x *engine.Explanation) {
	w := a.std.Out
	fmt.Fprintf(w, "%s\n", x.Item.ID)
	a.decided(s, x)
	for i := range x.Rules.Groups {
		g := &x.Rules.Groups[i]
		for j := range g.Rules {
			r := &g.Rules[j]
			fmt.Fprintf(w, "\n%s: %s\n", clean(ruleName(r), oneLine), outcomeText(r))
			var f facts
			f.add("  at", fmt.Sprintf("%s:%d, group %s, match %s", r.File, r.Line, g.Name, g.Match))
			f.add("  mode", string(r.Mode))
			f.add("  why", r.Why)
			f.write(w, a.std.Width)
			writeTerm(w, r.When, 0)
			if r.Outcome != rules.OutcomeFired && r.Outcome != rules.OutcomeShadow {
				a.needs(r)
			}
			for _, e := range actions(&x.Decision, r) {
				fmt.Fprintln(w, "    -> "+clean(effectLine(&e), oneLine))
			}
		}
	}
	for _, d := range x.Done {
		if d.Rule == x.Rules.Groups[0].Rules[0].Rule {
			fmt.Fprintf(w, "  %s was acted on at %s\n", d.Kind, instant(d.At, s.zone))
		}
	}
}

// needs lists what would have to be otherwise.
func (a *app) needs(r *rules.RuleExplanation) {
	if len(r.Needs) == 0 {
		return
	}
	fmt.Fprintln(a.std.Out, "  to hold, it needs")
	for _, n := range r.Needs {
		a.wrapped("    ", n)
	}
}

func outcomeText(r *rules.RuleExplanation) string {
	switch r.Outcome {
	case rules.OutcomeFired:
		return "fired"
	case rules.OutcomeShadow:
		return "would have fired, its mode is shadow"
	case rules.OutcomeUnknown:
		return "did not fire, because something is unknown"
	case rules.OutcomeSkipped:
		return "was not reached"
	case rules.OutcomeSuppressed:
		return "matched, and was kept from acting"
	case rules.OutcomeOff:
		return "is off"
	case rules.OutcomeOverTime:
		return "holds over time, not for one item"
	}
	return "did not fire"
}
