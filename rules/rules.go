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
//	result := set.Evaluate(&feedback.Event{Item: item, Labels: labels}, now, nil)
package rules

import (
	"sync"
	"time"

	"github.com/closedloop/closedloop/rules/alert"
	"github.com/closedloop/closedloop/rules/calendar"
	"github.com/closedloop/closedloop/rules/internal/index"
	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// File is one rule file.
type File struct {
	Name string // as it stands in problems
	Data []byte // YAML
	// Params are values of parameters that the file declares: string, int, float64, bool, or []any of strings or numbers.
	Params map[string]any `json:",omitempty"`
}

// Env is what a program declares outside of its rule files.
type Env struct {
	Attributes         map[string]feedback.Kind // the items' own fields
	CustomerAttributes map[string]feedback.Kind // the customers' own fields
	Queues             []string                 // the declared queues; nil leaves queues unchecked
	Destinations       []string                 // the declared destinations; nil leaves destinations unchecked
	Timezone           *time.Location           // of dates in conditions; defaults to UTC
}

// Set is a compiled set of rules. It never changes, and is safe for concurrent use.
type Set struct {
	hash        string
	program     *lang.Program
	index       *index.Index
	places      []place // of the rules that the index finds, by their number
	groups      []group
	outputs     policies
	windows     []*windowDecl
	tables      []*table
	pools       []*Pool
	calendars   map[string]*calendar.Calendar
	ladders     map[string][]Escalation   // by rule, the earliest step first
	windowIDs   map[string]*windowDecl    // the first of each ID
	conditions  []*condition              // the rules that hold over time
	overTime    map[string]*condition     // the same by their rule's ID
	tellings    map[string]telling        // of the rules whose items raise alerts
	digests     map[Instance]alert.Rhythm // by rule and destination
	inhibitions alert.Inhibitions
	// counted is the number of groups that run before the event counts in windows: up to the last that relabels.
	counted     int
	unused      []declared
	unchecked   []declared // what the program would have to declare
	evaluations sync.Pool  // of *evaluation
}

// group is rules that do not see each other's effects.
type group struct {
	name       string
	first      bool // only the first rule that matches fires
	rules      []rule
	conditions []*condition
	stage      int     // of the index
	begins     bool    // the stage
	direct     []int32 // rules that are asked of each event
	offset     int32   // the place of its first rule in Rules
}

type rule struct {
	info       RuleInfo
	at         places
	assume     bool // an unknown condition matches
	when       *lang.Condition
	actions    []action
	throttle   *throttle
	suppresses []string
	does       string // what the rule says besides its name and condition, equal for rules that do the same
}

// Hash names the set by its content: "sha256:" and hexadecimal digits.
func (s *Set) Hash() string { return s.hash }

// RuleInfo describes one rule of a set.
type RuleInfo struct {
	ID          string   `json:"id"`
	Group       string   `json:"group"`
	File        string   `json:"file"`
	Line        int      `json:"line"`
	Description string   `json:"description,omitempty"`
	Severity    Severity `json:"severity,omitempty"`
	Priority    int      `json:"priority,omitempty"` // rules of a group with a higher one come first
	Mode        Mode     `json:"mode"`
	// Assumes says that an unknown condition matches: on_error is match.
	Assumes bool `json:"assumes,omitempty"`
	// Each is the field for whose values the rule is decided apart: theme, or empty.
	Each string `json:"each,omitempty"`
	// Alert says that the rule is a condition that holds over time.
	Alert   bool         `json:"alert,omitempty"`
	When    string       `json:"when"`
	Actions []EffectKind `json:"actions,omitempty"`
}

// Rules returns all rules in the order in which they are evaluated.
func (s *Set) Rules() []RuleInfo {
	var out []RuleInfo
	for i := range s.groups {
		for j := range s.groups[i].rules {
			out = append(out, s.groups[i].rules[j].info)
		}
		for _, c := range s.groups[i].conditions {
			out = append(out, c.info)
		}
	}
	return out
}
