package rules

import (
	"fmt"
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
	OutcomeFired   Outcome = "fired"
	OutcomeShadow  Outcome = "shadow"  // it would have fired; its mode is shadow
	OutcomeFalse   Outcome = "false"   // its condition is false
	OutcomeUnknown Outcome = "unknown" // its condition is unknown
	OutcomeSkipped Outcome = "skipped" // a rule before it fired, in a group that ends with the first
	OutcomeOff     Outcome = "off"     // its mode is off
)

// RuleExplanation tells of one rule why it fired or did not.
type RuleExplanation struct {
	Rule    string  `json:"rule"`
	File    string  `json:"file"`
	Line    int     `json:"line"`
	Mode    Mode    `json:"mode"`
	Outcome Outcome `json:"outcome"`
	Why     string  `json:"why"` // the comparisons that decided
	When    *Term   `json:"when"`
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

// Explain evaluates every rule of every group on the event and tells why each fired or did not. It takes what Evaluate
// takes, and agrees with it.
func (s *Set) Explain(ev *feedback.Event, now feedback.Time, view View) *Explanation {
	out := &Explanation{Ruleset: s.hash, At: now, Groups: []GroupExplanation{}}
	f := s.frame(ev)
	defer s.release(f)
	run := &evaluation{set: s, frame: f, decision: &Decision{Ruleset: s.hash, At: now}, view: view}
	for i := range s.groups {
		g := &s.groups[i]
		x := GroupExplanation{Name: g.name, Match: "all"}
		if g.first {
			x.Match = "first"
		}
		ended := ""
		for j := range g.rules {
			r := &g.rules[j]
			explained := explainRule(f, r, ended)
			if explained.Outcome == OutcomeFired && g.first {
				ended = r.info.ID
			}
			x.Rules = append(x.Rules, explained)
		}
		out.Groups = append(out.Groups, x)
		run.group(g) // the groups that follow see its relabels
	}
	return out
}

func explainRule(f *lang.Frame, r *rule, ended string) RuleExplanation {
	t := termOf(f.Trace(r.when))
	x := RuleExplanation{Rule: r.info.ID, File: r.info.File, Line: r.info.Line, Mode: r.info.Mode, When: t}
	x.Why = strings.Join(reasons(t, nil), "; ")
	matches := t.Truth == True
	if t.Truth == Unknown && r.assume {
		matches = true
		x.Why += "; on_error: match lets it fire nevertheless"
	}
	switch {
	case r.info.Mode == Off:
		x.Outcome, x.Why = OutcomeOff, "its mode is off"
	case ended != "":
		x.Outcome, x.Why = OutcomeSkipped, ended+" fired before it, and the group ends with the first"
	case matches && r.info.Mode == Shadow:
		x.Outcome = OutcomeShadow
	case matches:
		x.Outcome = OutcomeFired
	case t.Truth == Unknown:
		x.Outcome = OutcomeUnknown
	default:
		x.Outcome = OutcomeFalse
	}
	return x
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
}

func (x *RuleExplanation) write(b *strings.Builder) {
	fmt.Fprintf(b, "  %s %s: %s\n", x.Rule, outcomeTexts[x.Outcome], x.Why)
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
