package backtest

import (
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Report is what a set of rules would have done. Lists are never null in JSON.
type Report struct {
	Ruleset string        `json:"ruleset"` // Set.Hash
	Since   feedback.Time `json:"since"`
	Until   feedback.Time `json:"until"`          // exclusive
	From    feedback.Time `json:"from,omitzero"`  // the first item decided on, to have windows and the like full at Since
	WarmUp  int           `json:"warm_up"`        // items decided on before Since, which count nowhere below
	Late    int           `json:"late,omitempty"` // items that were decided on later than they occurred
	Close   Closing       `json:"close"`
	Totals
	Periods []Period `json:"periods"` // from Since to Until
	// Days is how many days a period has. The first and the last may be shorter.
	Days int `json:"days"`

	Rules        []Rule        `json:"rules"` // every rule of the set, in its order
	Queues       []Queue       `json:"queues"`
	Owners       []Owner       `json:"owners"`
	Pools        []Pool        `json:"pools"`
	Tags         []Tally       `json:"tags"`
	Destinations []Destination `json:"destinations"`
	Alerts       []Firing      `json:"alerts"` // in the order of their beginning
	// AlertsMore is how many firings there were beyond those that are listed.
	AlertsMore int `json:"alerts_more,omitempty"`
	// Unmatched are samples of the items on which no rule fired.
	Unmatched []Sample `json:"unmatched"`
}

// Closing is when cases are taken to be closed, which nobody did in history as it would have been.
type Closing string

// The ways to close cases.
const (
	// WhenDue closes a case when it is due, and after 48 hours when the rule promises nothing.
	WhenDue Closing = "due"
	// Never leaves all cases open.
	Never Closing = "never"
)

// Totals are sums over all items.
type Totals struct {
	Items int `json:"items"`
	// Matched are those on which a rule fired that is carried out.
	Matched  int `json:"matched"`
	Routed   int `json:"routed"` // to a queue
	Cases    int `json:"cases"`
	PeakOpen int `json:"peak_open"` // the most cases open at one time
	Firings  int `json:"firings"`   // alerts that began
	Messages int `json:"messages"`  // to all destinations, notices and digests too
}

// Period is one day, or several of a long time.
type Period struct {
	At       feedback.Time `json:"at"` // its beginning
	Items    int           `json:"items"`
	Matched  int           `json:"matched"`
	Cases    int           `json:"cases"` // opened
	Open     int           `json:"open"`  // the most open at one time
	Firings  int           `json:"firings"`
	Messages int           `json:"messages"`
}

// Rule is what one rule would have done.
type Rule struct {
	Rule  string     `json:"rule"`
	Group string     `json:"group"`
	File  string     `json:"file"`
	Line  int        `json:"line"`
	Mode  rules.Mode `json:"mode"`
	// Alert says that the rule holds over time. It has Firings, and decides on no item.
	Alert   bool `json:"alert,omitempty"`
	Firings int  `json:"firings,omitempty"`

	Fired      int `json:"fired"`      // items on which it fired and was carried out
	Shadow     int `json:"shadow"`     // items on which it fired, and its mode is shadow
	Suppressed int `json:"suppressed"` // items on which it matched and was kept from acting
	// Unknown are items on which it did not match only because something was not known. UnknownMore says that there may
	// be more: a decision lists 100 rules.
	Unknown     int      `json:"unknown"`
	UnknownMore bool     `json:"unknown_more,omitempty"`
	Cases       int      `json:"cases"`
	Messages    int      `json:"messages"`
	Periods     []int    `json:"periods"` // items on which it fired, shadow or not, or firings of an alert over time
	Samples     []Sample `json:"samples"`
}

// Sample is an item to look at.
type Sample struct {
	Item feedback.ItemID `json:"item"`
	At   feedback.Time   `json:"at"`
	Text string          `json:"text"` // its first words
}

// Queue is what would have come to a queue. The empty name is what was not routed.
type Queue struct {
	Queue   string `json:"queue"`
	Items   int    `json:"items"`
	Cases   int    `json:"cases"`
	Periods []int  `json:"periods"` // items
}

// Owner is what one person would have had to do. The empty name stands for cases without an owner.
type Owner struct {
	Owner string `json:"owner"`
	Items int    `json:"items"`
	Cases int    `json:"cases"`
	// Capacity is how many open cases the person takes, the least of the pools; 0 is without bound.
	Capacity int           `json:"capacity,omitempty"`
	Peak     int           `json:"peak"` // the most open cases at one time
	PeakAt   feedback.Time `json:"peak_at,omitzero"`
	Periods  []int         `json:"periods"` // the most open cases
}

// Pool is how a pool would have been used.
type Pool struct {
	rules.Pool
	Items int `json:"items"` // given to one of its owners
	Full  int `json:"full"`  // items for which everybody was at capacity
}

// Tally counts items.
type Tally struct {
	Name  string `json:"name"`
	Items int    `json:"items"`
}

// Destination is what would have been sent to it.
type Destination struct {
	Destination string `json:"destination"`
	Messages    int    `json:"messages"` // for one item each
	Notices     int    `json:"notices"`  // of alerts
	Digests     int    `json:"digests"`
	Periods     []int  `json:"periods"` // all of them
}

// Firing is an alert from when it began to when it ended.
type Firing struct {
	Rule     string         `json:"rule"`
	Key      string         `json:"key,omitempty"`
	Severity rules.Severity `json:"severity,omitempty"`
	Summary  string         `json:"summary,omitempty"`
	From     feedback.Time  `json:"from"`
	To       feedback.Time  `json:"to,omitzero"` // 0 when it did not end before Until
	Shadow   bool           `json:"shadow,omitempty"`
}
