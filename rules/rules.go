// Package rules decides what happens with feedback: it compiles rule files and evaluates them on events.
package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/closedloop/closedloop/rules/source"
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
// each relabel, so that no rule overrides a person.
type CorrectedView interface {
	View
	// Corrections returns the human layer of the item's labels.
	Corrections() []feedback.Change
}

// Set is a compiled set of rules. It never changes, and is safe for concurrent use.
type Set struct {
	hash string
}

// Compile compiles rule files, in the order given, as one set. The error is a source.Problems with all that is wrong.
func Compile(files []File, env Env) (*Set, error) {
	var problems source.Problems
	h := sha256.New()
	for _, f := range files {
		root, broken := source.Parse(f.Name, f.Data)
		problems = append(problems, broken...)
		root.Object("version")
		problems = append(problems, root.Problems()...)
		fmt.Fprintf(h, "%q%q", f.Name, f.Data)
	}
	return &Set{hash: "sha256:" + hex.EncodeToString(h.Sum(nil))}, problems.Sorted().Err()
}

// Hash names the set by its content: "sha256:" and hexadecimal digits.
func (s *Set) Hash() string { return s.hash }

// Evaluate decides on one event. It is pure: the same arguments give the same decision and effects. The event's labels
// are those of models and people, without the relabels of earlier decisions; nil labels mean that the item has not
// been categorized, and all that reads themes or sentiment is unknown.
func (s *Set) Evaluate(ev *feedback.Event, now feedback.Time, view View) (*Decision, []Effect) {
	return &Decision{Ruleset: s.hash, At: now, ItemVersion: ev.Item.Version}, nil
}

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
func (s *Set) Rules() []RuleInfo { return nil }

// Explain evaluates every rule of every group on the event and tells why each fired or did not.
func (s *Set) Explain(ev *feedback.Event, now feedback.Time, view View) *Explanation {
	return &Explanation{Ruleset: s.hash, At: now}
}

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

// RuleExplanation tells of one rule why it fired or did not.
type RuleExplanation struct {
	Rule    string `json:"rule"`
	Mode    Mode   `json:"mode"`
	Outcome string `json:"outcome"` // fired, shadow, false, unknown, skipped or off
	Why     string `json:"why"`
	When    *Term  `json:"when"`
}

// Term is a condition, or a part of one, with its truth.
type Term struct {
	Op    string  `json:"op"` // and, or, not, else, or atom
	Macro string  `json:"macro,omitempty"`
	Truth Truth   `json:"truth"`
	Text  string  `json:"text,omitempty"` // of an atom
	Seen  []Seen  `json:"seen,omitempty"`
	Terms []*Term `json:"terms,omitempty"`
}

// String writes the explanation as text.
func (x *Explanation) String() string { return "" }
