package rules

import (
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// Decision is what a set of rules made of one item, with its explanation. It is stored as JSON.
type Decision struct {
	Ruleset string        `json:"ruleset"` // Set.Hash
	At      feedback.Time `json:"at"`      // the now that was given to Evaluate
	// ItemVersion is the version of the item that was decided on, feedback.Item.Version.
	ItemVersion int64         `json:"item_version,omitempty"`
	Groups      []GroupResult `json:"groups,omitempty"` // those in which a rule fired, in their order
	// Unknown are the rules that did not match only because something was not known, such as a missing score.
	Unknown []string `json:"unknown,omitempty"`
	// UnknownMore says that there are more of them than are listed.
	UnknownMore bool `json:"unknown_more,omitempty"`
	// Suppressed are the rules that matched and do not act: a throttle or another rule keeps them from it.
	Suppressed []Suppression `json:"suppressed,omitempty"`
	// Errors are conflicts over an output whose policy is error.
	Errors  []RuleError `json:"errors,omitempty"`
	Outputs Outputs     `json:"outputs,omitzero"`
	// Readings are the figures of windows that the rules saw.
	Readings []Reading         `json:"readings,omitempty"`
	Relabels []feedback.Change `json:"relabels,omitempty"` // the rule layer of the item's labels
	// Gone are the keys of effects that the previous decision had and this one has not.
	Gone []string `json:"gone,omitempty"`
}

// GroupResult is what happened in one group of rules.
type GroupResult struct {
	Name  string  `json:"name"`
	Fired []Fired `json:"fired"`
}

// Fired is a rule that matched, why, and what it does.
type Fired struct {
	Rule     string   `json:"rule"`
	Each     string   `json:"each,omitempty"` // the theme or value that the rule was decided for
	Severity Severity `json:"severity,omitempty"`
	// Mode is Shadow for a rule whose actions are recorded and not carried out, else empty.
	Mode Mode `json:"mode,omitempty"`
	// Assumed says that the rule matched because its on_error is match, although its condition was unknown.
	Assumed bool   `json:"assumed,omitempty"`
	Atoms   []Atom `json:"atoms,omitempty"`
	// Actions are the rule's actions as it wrote them, without their Rule. A Note tells what became of one that is not
	// carried out as written.
	Actions []Effect `json:"actions,omitempty"`
}

// Atom is one comparison of a rule's condition, with its truth and the values that it saw.
type Atom struct {
	Text  string `json:"text"`
	Truth Truth  `json:"truth"`
	Seen  []Seen `json:"seen,omitempty"`
}

// Seen is a field with the value that a rule saw. Long texts are cut.
type Seen struct {
	Field string `json:"field"`
	// Value is a string, a number, a truth value, a list of strings for themes, or nil when it is missing. Instants are
	// strings in RFC 3339.
	Value any `json:"value"`
}

// Truth is the value of a condition, or of a part of one, in three-valued logic.
type Truth string

// The truth values. What is compared with something missing is unknown.
const (
	True    Truth = "true"
	False   Truth = "false"
	Unknown Truth = "unknown"
)

// RuleError is something that went wrong between rules.
type RuleError struct {
	Code    string   `json:"code"`  // "conflict"
	Field   string   `json:"field"` // the output, such as "queue"
	Rules   []string `json:"rules"`
	Message string   `json:"message"`
}

// Outputs are the values of all the rules that fired, merged by the policy that the set declares for each field.
type Outputs struct {
	Queue    string   `json:"queue,omitempty"`
	Owner    string   `json:"owner,omitempty"`
	Priority Priority `json:"priority,omitempty"`
	Severity Severity `json:"severity,omitempty"`
	Tags     []string `json:"tags,omitempty"`
}

// EffectKind is a kind of action.
type EffectKind string

// The kinds of action.
const (
	Assign  EffectKind = "assign"  // Queue, Owner, Priority
	Case    EffectKind = "case"    // Queue, Owner, Priority, SLA, Resolve, Calendar, Severity
	Alert   EffectKind = "alert"   // Severity, Summary; Target holds the alert's key
	Tag     EffectKind = "tag"     // Tags
	Notify  EffectKind = "notify"  // Destination, Message, Severity
	Relabel EffectKind = "relabel" // Change; only in Fired.Actions, see Decision.Relabels
)

// Effect is one action of one rule, to be carried out once per item.
type Effect struct {
	Rule string     `json:"rule,omitempty"`
	Kind EffectKind `json:"kind"`
	// Target sets apart the effects of one kind of one rule: the queue, the destination, the alert's key, the tags.
	Target string `json:"target,omitempty"`
	// Each is the theme or value of the rule's each, which sets effects apart as well.
	Each        string           `json:"each,omitempty"`
	Queue       string           `json:"queue,omitempty"`
	Owner       string           `json:"owner,omitempty"`
	Pool        string           `json:"pool,omitempty"`  // from which the owner was taken
	Table       string           `json:"table,omitempty"` // that gave queue, owner and priority
	Row         int              `json:"row,omitempty"`   // of the table, from 1; 0 when none fits
	Priority    Priority         `json:"priority,omitempty"`
	SLA         time.Duration    `json:"sla_ns,omitempty"`     // time for the first response to the case; 0 is none
	Resolve     time.Duration    `json:"resolve_ns,omitempty"` // time to resolve the case; 0 is none
	Calendar    string           `json:"calendar,omitempty"`   // whose time SLA and Resolve count; empty counts all time
	Warn        float64          `json:"-"`                    // the share of SLA and Resolve after which a warning is due; 0 is none
	Severity    Severity         `json:"severity,omitempty"`
	Summary     string           `json:"summary,omitempty"`
	AlertGroup  string           `json:"alert_group,omitempty"` // what an alert is told together with
	Destination string           `json:"destination,omitempty"`
	Message     string           `json:"message,omitempty"`
	Digest      time.Duration    `json:"digest_ns,omitempty"` // messages of so long are sent together; 0 sends each
	Keep        time.Duration    `json:"keep_ns,omitempty"`   // how long an alert lasts behind the last item that raised it
	Tags        []string         `json:"tags,omitempty"`
	Change      *feedback.Change `json:"change,omitempty"`
	// Note tells, in Fired.Actions, why the action was not carried out as it is written.
	Note string `json:"note,omitempty"`
	// Dropped says, in Fired.Actions, that nothing of the action is carried out.
	Dropped bool `json:"dropped,omitempty"`
}

// Key identifies the effect among those of one item, whatever the ruleset: rule|kind|target, and |each for a rule that
// is decided for each of several values.
func (e Effect) Key() string {
	key := e.Rule + "|" + string(e.Kind) + "|" + e.Target
	if e.Each != "" {
		key += "|" + e.Each
	}
	return key
}

// Severity says how grave something is.
type Severity string

// The severities, in rising order. None is less than all of them.
const (
	Info     Severity = "info"
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// Priority says how urgent something is.
type Priority string

// The priorities, in rising order. None is less than all of them.
const (
	Low    Priority = "low"
	Normal Priority = "normal"
	High   Priority = "high"
	Urgent Priority = "urgent"
)

// Mode says whether a rule is carried out.
type Mode string

// The modes.
const (
	On     Mode = "on"
	Shadow Mode = "shadow" // evaluated and recorded, without effects
	Off    Mode = "off"    // checked, never evaluated
)
