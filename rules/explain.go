package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Explanation tells of every rule why it fired or did not. Its String is text for people, its JSON for programs.
type Explanation struct {
	Ruleset string             `json:"ruleset"`
	At      feedback.Time      `json:"at"`
	Groups  []GroupExplanation `json:"groups"`
}

// GroupExplanation is one group of an Explanation.
type GroupExplanation struct {
	Name  string            `json:"name"`
	Match string            `json:"match"` // all or first
	Rules []RuleExplanation `json:"rules"`
}

// Outcome is what became of a rule.
type Outcome string

// The outcomes.
const (
	OutcomeFired      Outcome = "fired"
	OutcomeShadow     Outcome = "shadow"     // it would have fired; its mode is shadow
	OutcomeFalse      Outcome = "false"      // its condition is false
	OutcomeUnknown    Outcome = "unknown"    // its condition is unknown
	OutcomeSkipped    Outcome = "skipped"    // a rule before it fired, in a group that ends with the first
	OutcomeOff        Outcome = "off"        // its mode is off
	OutcomeSuppressed Outcome = "suppressed" // it matched; a throttle or another rule keeps it from acting
	OutcomeOverTime   Outcome = "over time"  // it is an alert, which holds over time
)

// RuleExplanation tells of one rule why it fired or did not.
type RuleExplanation struct {
	Rule    string  `json:"rule"`
	Each    string  `json:"each,omitempty"` // the theme or value that it was decided for
	File    string  `json:"file"`
	Line    int     `json:"line"`
	Mode    Mode    `json:"mode"`
	Outcome Outcome `json:"outcome"`
	Why     string  `json:"why"` // the comparisons that decided
	// Needs are the comparisons that would have to turn out otherwise for the condition to hold: a smallest set.
	Needs []string `json:"needs,omitempty"`
	When  *Term    `json:"when"`
}

// Term is a condition, or a part of one, with its truth.
type Term struct {
	Op    string  `json:"op"`              // and, or, not, else for ??, or atom
	Macro string  `json:"macro,omitempty"` // the macro that stands here in the file
	Truth Truth   `json:"truth"`
	Text  string  `json:"text,omitempty"` // of an atom
	Seen  []Seen  `json:"seen,omitempty"` // by an atom
	Terms []*Term `json:"terms,omitempty"`
}

// Explain decides on the event and explains the decision. It takes what Evaluate takes, and agrees with it.
func (s *Set) Explain(ev *feedback.Event, now feedback.Time, view View) *Explanation {
	r := s.Evaluate(ev, now, view)
	return s.ExplainDecision(&r.Decision, ev, view)
}

// ExplainDecision goes through every rule of every group and tells why it fired or did not in a decision that this set
// took on the event. The figures of windows are those that the decision saw; what it did not look at is taken from the
// view as it is now. Rules that hold over time are shown as they stand for the event.
func (s *Set) ExplainDecision(d *Decision, ev *feedback.Event, view View) *Explanation {
	out := &Explanation{Ruleset: s.hash, At: d.At, Groups: []GroupExplanation{}}
	if view == nil {
		view = NoView{}
	}
	e := s.evaluation(ev, d.At, view)
	defer s.release(e)
	e.figures.seen, e.figures.early = d.Readings, s.counted > 0
	for i := range s.groups {
		if i == s.counted {
			e.count()
		}
		out.Groups = append(out.Groups, e.explainGroup(&s.groups[i], d))
	}
	return out
}

func (e *evaluation) explainGroup(g *group, d *Decision) GroupExplanation {
	x := GroupExplanation{Name: g.name, Match: "all"}
	if g.first {
		x.Match = "first"
	}
	ended := ""
	for j := range g.rules {
		r := &g.rules[j]
		e.instances(r.info.Each, func(each string) {
			explained := e.explainRule(&r.info, r.when, each, d, ended)
			if r.assume && explained.Outcome == OutcomeFired && explained.When.Truth == Unknown {
				explained.Why += "; on_error: match lets it fire nevertheless"
			}
			x.Rules = append(x.Rules, explained)
		})
		if g.first && ended == "" && d.ends(r.info.ID) {
			ended = r.info.ID
		}
	}
	for _, c := range g.conditions {
		e.instances(c.info.Each, func(each string) {
			x.Rules = append(x.Rules, e.explainRule(&c.info, c.when, each, d, ""))
		})
	}
	var changes []feedback.Change
	for _, c := range d.Relabels {
		if slices.ContainsFunc(g.rules, func(r rule) bool { return r.info.ID == c.By.Name }) {
			changes = append(changes, c)
		}
	}
	e.relabel(changes)
	return x
}

// instances calls yield for each theme of the event, or for the value of a field, or once for a rule that is not
// decided for each.
func (e *evaluation) instances(each string, yield func(string)) {
	switch each {
	case "":
		yield("")
	case lang.Theme:
		themes := e.frame.Labels().Themes
		for i := range themes[:min(len(themes), lang.MaxThemes)] {
			e.turnTo(string(themes[i].Path))
			yield(string(themes[i].Path))
		}
		e.frame.ClearTheme()
		e.figures.theme, e.figures.themed = "", false
	default:
		if v, ok := e.frame.Text(each); ok {
			yield(v)
		}
	}
}

// ends reports whether a rule ends a group that ends with the first.
func (d *Decision) ends(rule string) bool {
	for _, g := range d.Groups {
		for _, f := range g.Fired {
			if f.Rule == rule && f.Mode != Shadow {
				return true
			}
		}
	}
	return slices.ContainsFunc(d.Suppressed, func(s Suppression) bool { return s.Rule == rule && s.By == ByThrottle })
}

func (d *Decision) fired(rule, each string) bool {
	for _, g := range d.Groups {
		for _, f := range g.Fired {
			if f.Rule == rule && f.Each == each {
				return true
			}
		}
	}
	return false
}

func (e *evaluation) explainRule(info *RuleInfo, when *lang.Condition, each string, d *Decision, ended string) RuleExplanation {
	t := termOf(e.frame.Trace(when))
	x := RuleExplanation{Rule: info.ID, Each: each, File: info.File, Line: info.Line, Mode: info.Mode, When: t}
	x.Why = strings.Join(reasons(t, nil), "; ")
	suppressed := slices.IndexFunc(d.Suppressed, func(s Suppression) bool { return s.Rule == info.ID && s.Each == each })
	switch {
	case info.Mode == Off:
		x.Outcome, x.Why = OutcomeOff, "its mode is off"
	case info.Alert:
		x.Outcome = OutcomeOverTime
	case suppressed >= 0:
		x.Outcome, x.Why = OutcomeSuppressed, d.Suppressed[suppressed].why()
	case d.fired(info.ID, each) && info.Mode == Shadow:
		x.Outcome = OutcomeShadow
	case d.fired(info.ID, each):
		x.Outcome = OutcomeFired
	case ended != "":
		x.Outcome, x.Why = OutcomeSkipped, ended+" fired before it, and the group ends with the first"
	case t.Truth == Unknown:
		x.Outcome = OutcomeUnknown
	default:
		x.Outcome = OutcomeFalse
	}
	if t.Truth != True {
		x.Needs = needs(t, true)
	}
	return x
}

// why tells why the rule does not act.
func (s *Suppression) why() string {
	if s.By != ByThrottle {
		return s.By + " suppresses it"
	}
	why := "its throttle lets it act again at " + s.Until.String()
	if s.Key != "" {
		why += " for " + KeyText(s.Key)
	}
	return why
}

// needs returns a smallest set of comparisons that would have to turn out otherwise for the term to be true, or false.
func needs(t *Term, want bool) []string {
	if t.Truth == True && want || t.Truth == False && !want {
		return nil
	}
	switch t.Op {
	case "atom":
		return []string{t.needed(want)}
	case "not":
		return needs(t.Terms[0], !want)
	case "else":
		if t.Terms[0].Truth == Unknown {
			return needs(t.Terms[1], want)
		}
		return needs(t.Terms[0], want)
	}
	var all, least []string
	for i, k := range t.Terms {
		n := needs(k, want)
		all = append(all, n...)
		if i == 0 || len(n) < len(least) {
			least = n
		}
	}
	if (t.Op == "and") == want {
		return all
	}
	return least
}

// needed tells how an atom would have to turn out, and what it saw.
func (t *Term) needed(want bool) string {
	s := t.Text
	if !want {
		s = "not (" + s + ")"
	}
	if seen := t.values(); seen != "" {
		s += ", now " + seen
	}
	return s
}

func termOf(t *lang.Trace) *Term {
	out := &Term{Op: t.Op, Macro: t.Macro, Truth: truthOf(t.Truth), Text: t.Text, Seen: seenOf(t.Seen)}
	for _, k := range t.Kids {
		out.Terms = append(out.Terms, termOf(k))
	}
	return out
}

// reasons returns the comparisons that made the term what it is.
func reasons(t *Term, out []string) []string {
	switch t.Op {
	case "atom":
		return append(out, t.sentence())
	case "else":
		if first := t.Terms[0]; first.Truth != Unknown {
			return reasons(first, out)
		}
	}
	for _, k := range t.Terms {
		decides := k.Truth == t.Truth || t.Op == "not" || t.Op == "else"
		if !decides {
			continue
		}
		out = reasons(k, out)
		if t.Op == "and" && t.Truth == False || t.Op == "or" && t.Truth == True {
			break // one is enough
		}
	}
	return out
}

// sentence tells an atom's truth and what it saw.
func (t *Term) sentence() string {
	s := t.Text + " is " + string(t.Truth)
	if seen := t.values(); seen != "" {
		s += " (" + seen + ")"
	}
	return s
}

func (t *Term) values() string {
	var parts []string
	for _, s := range t.Seen {
		parts = append(parts, s.String())
	}
	return strings.Join(parts, ", ")
}

// String writes the field with its value for people.
func (s Seen) String() string {
	switch v := s.Value.(type) {
	case nil:
		return s.Field + " is missing"
	case string:
		return s.Field + " = " + strconv.Quote(v)
	case float64:
		return s.Field + " = " + strconv.FormatFloat(v, 'f', -1, 64)
	case []string:
		return s.Field + " = [" + strings.Join(v, ", ") + "]"
	}
	return fmt.Sprintf("%s = %v", s.Field, s.Value)
}

// String writes the explanation as text: every rule with its outcome, and its condition with the truth of each part.
func (x *Explanation) String() string {
	var b strings.Builder
	for _, g := range x.Groups {
		fmt.Fprintf(&b, "group %s, match %s\n", g.Name, g.Match)
		for i := range g.Rules {
			g.Rules[i].write(&b)
		}
	}
	return b.String()
}

var outcomeTexts = map[Outcome]string{
	OutcomeFired: "fired", OutcomeShadow: "would have fired (shadow)", OutcomeFalse: "did not fire", OutcomeUnknown: "did not fire, something is unknown",
	OutcomeSkipped: "was not reached", OutcomeOff: "is off",
	OutcomeSuppressed: "matched and was kept from acting", OutcomeOverTime: "holds over time",
}

func (x *RuleExplanation) write(b *strings.Builder) {
	name := x.Rule
	if x.Each != "" {
		name += " for " + x.Each
	}
	fmt.Fprintf(b, "  %s %s: %s\n", name, outcomeTexts[x.Outcome], x.Why)
	if len(x.Needs) > 0 && (x.Outcome == OutcomeFalse || x.Outcome == OutcomeUnknown) {
		fmt.Fprintf(b, "    it would need: %s\n", strings.Join(x.Needs, "; "))
	}
	x.When.write(b, 0)
}

func (t *Term) write(b *strings.Builder, depth int) {
	fmt.Fprintf(b, "    %-7s %s", t.Truth, strings.Repeat("  ", depth))
	if t.Macro != "" {
		b.WriteString(t.Macro + ": ")
	}
	if t.Op != "atom" {
		b.WriteString(t.Op + "\n")
		for _, k := range t.Terms {
			k.write(b, depth+1)
		}
		return
	}
	b.WriteString(t.Text)
	if seen := t.values(); seen != "" {
		b.WriteString("  (" + seen + ")")
	}
	b.WriteByte('\n')
}
