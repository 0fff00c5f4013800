// Package rules decides what happens with feedback. It compiles rule files, evaluates them on events, and explains
// every decision.
//
// A rule file is YAML: lists and macros, and groups of rules, each with a condition and actions; README.md is its
// reference. Compile checks everything before anything runs, and reports all problems at once with their places.
//
// Invariants:
//
//   - A Set never changes. Evaluate is pure: it reads no clock and no files, starts nothing, and gives the same decision
//     for the same arguments.
//   - Evaluation cannot fail and takes a bounded number of steps: conditions are an allow-listed part of the language
//     of expr, compiled to closures. Expr's virtual machine is not used.
//   - Conditions are three-valued: a comparison with a missing value is unknown, and an unknown condition does not match.
//   - Groups run in the order of the files. Within a group no rule sees what another does; the labels that a group
//     changes are seen by the groups after it.
//   - An effect is identified by rule, kind and target, so that a caller can carry each out once per item.
//
// One decision:
//
//	set, err := rules.Compile([]rules.File{{Name: "cx.rules.yaml", Data: data}}, rules.Env{})
//	if err != nil {
//		return err // source.Problems
//	}
//	decision, effects := set.Evaluate(&feedback.Event{Item: item, Labels: labels}, now, nil)
package rules

import (
	"sync"
	"time"

	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// File is one rule file.
type File struct {
	Name string // as it stands in problems
	Data []byte // YAML
}

// Env is what a program declares outside of its rule files.
type Env struct {
	Attributes         map[string]feedback.Kind // the items' own fields
	CustomerAttributes map[string]feedback.Kind // the customers' own fields
	Queues             []string                 // the declared queues; nil leaves queues unchecked
	Destinations       []string                 // the declared destinations; nil leaves destinations unchecked
	Timezone           *time.Location           // of dates in conditions; defaults to UTC
}

// View is what rules may know beyond the event. A nil View knows nothing.
type View interface {
	// Previous returns the last decision on the item, or nil.
	Previous() *Decision
}

// CorrectedView is a View that knows what people corrected in the item's labels. Corrections are applied again after
// the relabels of a group, so that no rule overrides a person.
type CorrectedView interface {
	View
	// Corrections returns the human layer of the item's labels.
	Corrections() []feedback.Change
}

// Set is a compiled set of rules. It never changes, and is safe for concurrent use.
type Set struct {
	hash    string
	program *lang.Program
	groups  []group
	outputs policies
	frames  sync.Pool // of *lang.Frame
}

// group is rules that do not see each other's effects.
type group struct {
	name  string
	first bool // only the first rule that matches fires
	rules []rule
}

type rule struct {
	info    RuleInfo
	assume  bool // an unknown condition matches
	when    *lang.Condition
	actions []action
}

// Hash names the set by its content: "sha256:" and hexadecimal digits.
func (s *Set) Hash() string { return s.hash }

// RuleInfo describes one rule of a set.
type RuleInfo struct {
	ID          string       `json:"id"`
	Group       string       `json:"group"`
	File        string       `json:"file"`
	Line        int          `json:"line"`
	Description string       `json:"description,omitempty"`
	Severity    Severity     `json:"severity,omitempty"`
	Mode        Mode         `json:"mode"`
	When        string       `json:"when"`
	Actions     []EffectKind `json:"actions,omitempty"`
}

// Rules returns all rules in the order in which they are evaluated.
func (s *Set) Rules() []RuleInfo {
	var out []RuleInfo
	for i := range s.groups {
		for j := range s.groups[i].rules {
			out = append(out, s.groups[i].rules[j].info)
		}
	}
	return out
}

func (s *Set) frame(ev *feedback.Event) *lang.Frame {
	f, ok := s.frames.Get().(*lang.Frame)
	if !ok {
		f = s.program.NewFrame()
	}
	f.Reset(ev)
	return f
}

func (s *Set) release(f *lang.Frame) {
	f.Release()
	s.frames.Put(f)
}
