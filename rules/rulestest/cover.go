package rulestest

import (
	"fmt"
	"slices"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/alert"
	"github.com/closedloop/closedloop/rules/rehearsal"
)

// Coverage is how much of rules tests have shown to work. Rules that are off are left out.
type Coverage struct {
	Rules      int `json:"rules"`
	Fired      int `json:"fired"`      // of the rules, those that fired at least once, in shadow too
	Conditions int `json:"conditions"` // comparisons of all rules
	Decided    int `json:"decided"`    // of the comparisons, those shown to decide both ways
	// Missing are the rules of which something is not covered.
	Missing []Missing `json:"missing,omitempty"`
}

// Missing is what of a rule is not covered.
type Missing struct {
	Rule string `json:"rule"`
	File string `json:"file"`
	Line int    `json:"line"`
	// NeverFired says that no test had it fire.
	NeverFired bool `json:"never_fired,omitempty"`
	// Conditions are comparisons that were not shown to decide both ways.
	Conditions []Undecided `json:"conditions,omitempty"`
}

// Undecided is a comparison that was not shown to decide both ways.
type Undecided struct {
	Text  string `json:"text"`
	True  bool   `json:"true"`  // it was seen to decide while it was true
	False bool   `json:"false"` // it was seen to decide while it was false
}

// RuleShare returns the share of the rules that fired, in percent; 100 without rules.
func (c *Coverage) RuleShare() float64 { return share(c.Fired, c.Rules) }

// ConditionShare returns the share of the comparisons that were shown to decide both ways, in percent; 100 without any.
func (c *Coverage) ConditionShare() float64 { return share(c.Decided, c.Conditions) }

func share(part, of int) float64 {
	if of == 0 {
		return 100
	}
	return 100 * float64(part) / float64(of)
}

// cover is what the tests of a file must cover at least, in percent.
type cover struct{ rules, conditions float64 }

// short returns what is not reached.
func (c cover) short(got Coverage) []string {
	var out []string
	if v := got.RuleShare(); v < c.rules {
		out = append(out, fmt.Sprintf("%d of %d rules fired, %.1f%%, expected %v%%", got.Fired, got.Rules, v, c.rules))
	}
	if v := got.ConditionShare(); v < c.conditions {
		out = append(out, fmt.Sprintf("%d of %d comparisons were shown to decide both ways, %.1f%%, expected %v%%", got.Decided, got.Conditions, v, c.conditions))
	}
	return out
}

// tally collects what tests cover.
type tally struct {
	rules []covered
	byID  map[string]int
}

type covered struct {
	info  rules.RuleInfo
	fired bool
	atoms []Undecided
}

func newTally(set *rules.Set) *tally {
	t := &tally{byID: map[string]int{}}
	for _, info := range set.Rules() {
		if info.Mode == rules.Off {
			continue
		}
		c := covered{info: info}
		for _, text := range comparisons(set.Skeleton(info.ID), nil) {
			c.atoms = append(c.atoms, Undecided{Text: text})
		}
		t.byID[info.ID] = len(t.rules)
		t.rules = append(t.rules, c)
	}
	return t
}

// comparisons returns the texts of the comparisons of a condition, each once, without the constants true and false.
func comparisons(t *rules.Term, out []string) []string {
	if t == nil {
		return out
	}
	if t.Op == "atom" && t.Text != "true" && t.Text != "false" && !slices.Contains(out, t.Text) {
		out = append(out, t.Text)
	}
	for _, k := range t.Terms {
		out = comparisons(k, out)
	}
	return out
}

// decided takes note of a decision on an event.
func (t *tally) decided(x *rules.Explanation) {
	for i := range x.Groups {
		for j := range x.Groups[i].Rules {
			r := &x.Groups[i].Rules[j]
			switch r.Outcome {
			case rules.OutcomeFired, rules.OutcomeShadow:
				t.rules[t.byID[r.Rule]].fired = true
				t.saw(r.Rule, r.When)
			case rules.OutcomeFalse, rules.OutcomeUnknown, rules.OutcomeSuppressed:
				t.saw(r.Rule, r.When)
			}
		}
	}
}

// stood takes note of how the rules that hold over time stand that were looked at last.
func (t *tally) stood(w *rehearsal.World) {
	for _, in := range w.Observed() {
		if s, ok := w.Stand(in); ok {
			t.saw(in.Rule, s.When)
		}
	}
}

// changed takes note of alerts that fired.
func (t *tally) changed(changes []rehearsal.Change) {
	for i := range changes {
		if at, ok := t.byID[changes[i].Rule]; ok && changes[i].What == alert.Fires && t.rules[at].info.Alert {
			t.rules[at].fired = true
		}
	}
}

// saw takes note of a condition of a rule that was decided on.
func (t *tally) saw(rule string, when *rules.Term) {
	c := &t.rules[t.byID[rule]]
	holds := c.matches(when.Truth)
	for i := range c.atoms {
		a := &c.atoms[i]
		was := truthOf(when, a.Text)
		if was == rules.Unknown || c.matches(flipped(when, a.Text)) == holds {
			continue
		}
		a.True, a.False = a.True || was == rules.True, a.False || was == rules.False
	}
}

func (c *covered) matches(t rules.Truth) bool {
	return t == rules.True || t == rules.Unknown && c.info.Assumes
}

// truthOf returns the truth of a comparison within a condition.
func truthOf(t *rules.Term, atom string) rules.Truth {
	if t.Op == "atom" && t.Text == atom {
		return t.Truth
	}
	for _, k := range t.Terms {
		if v := truthOf(k, atom); v != "" {
			return v
		}
	}
	return ""
}

// flipped returns the truth of a condition if one of its comparisons had turned out the opposite, and all others as they did.
func flipped(t *rules.Term, atom string) rules.Truth {
	switch t.Op {
	case "atom":
		if t.Text == atom {
			return not(t.Truth)
		}
		return t.Truth
	case "not":
		return not(flipped(t.Terms[0], atom))
	case "else":
		if first := flipped(t.Terms[0], atom); first != rules.Unknown {
			return first
		}
		return flipped(t.Terms[1], atom)
	}
	decisive := rules.False
	if t.Op == "or" {
		decisive = rules.True
	}
	out := not(decisive)
	for _, k := range t.Terms {
		switch v := flipped(k, atom); v {
		case decisive:
			return decisive
		case rules.Unknown:
			out = rules.Unknown
		}
	}
	return out
}

func not(t rules.Truth) rules.Truth {
	switch t {
	case rules.True:
		return rules.False
	case rules.False:
		return rules.True
	}
	return t
}

// add takes over what another tally of the same rules covers.
func (t *tally) add(o *tally) {
	for i := range t.rules {
		c, other := &t.rules[i], &o.rules[i]
		c.fired = c.fired || other.fired
		for j := range c.atoms {
			c.atoms[j].True = c.atoms[j].True || other.atoms[j].True
			c.atoms[j].False = c.atoms[j].False || other.atoms[j].False
		}
	}
}

// coverage sums up the rules of some files, or of all.
func (t *tally) coverage(files []string) Coverage {
	var out Coverage
	for i := range t.rules {
		c := &t.rules[i]
		if files != nil && !slices.Contains(files, c.info.File) {
			continue
		}
		m := Missing{Rule: c.info.ID, File: c.info.File, Line: c.info.Line, NeverFired: !c.fired}
		out.Rules++
		if c.fired {
			out.Fired++
		}
		for _, a := range c.atoms {
			out.Conditions++
			if a.True && a.False {
				out.Decided++
			} else {
				m.Conditions = append(m.Conditions, a)
			}
		}
		if m.NeverFired || len(m.Conditions) > 0 {
			out.Missing = append(out.Missing, m)
		}
	}
	return out
}
