package feedback

import (
	"encoding/json"
	"time"
)

// CaseStatus is the state of a case.
type CaseStatus string

// The states that a case goes through.
const (
	CaseNew        CaseStatus = "new"         // nobody owns it
	CaseAssigned   CaseStatus = "assigned"    // somebody owns it and has not begun
	CaseInProgress CaseStatus = "in_progress" // somebody has responded
	CaseOnHold     CaseStatus = "on_hold"     // waits for something inside; its clocks stand
	CaseWaiting    CaseStatus = "waiting"     // waits for the customer; its clocks stand
	CaseResolved   CaseStatus = "resolved"    // done, and reopened when the customer is unhappy again
	CaseClosed     CaseStatus = "closed"      // done for good
	CaseReopened   CaseStatus = "reopened"    // was resolved or closed, and is not

	// CaseOpen stands for all states but resolved and closed, in queries and in records of old.
	CaseOpen CaseStatus = "open"
)

// CaseStatuses returns the states of a case, in the order in which it usually goes through them.
func CaseStatuses() []CaseStatus {
	return []CaseStatus{CaseNew, CaseAssigned, CaseInProgress, CaseOnHold, CaseWaiting, CaseResolved, CaseClosed, CaseReopened}
}

// Open reports whether somebody has yet to do something.
func (s CaseStatus) Open() bool { return s != CaseResolved && s != CaseClosed }

// Held reports whether the clocks of a case stand.
func (s CaseStatus) Held() bool { return s == CaseOnHold || s == CaseWaiting }

// Is reports whether the state is the other one, or one that it stands for.
func (s CaseStatus) Is(o CaseStatus) bool { return s == o || o == CaseOpen && s.Open() }

// Case is the promise that somebody takes care of a piece of feedback.
type Case struct {
	ID       CaseID     `json:"id"`
	Item     ItemID     `json:"item"`               // the feedback that opened it
	Items    []ItemID   `json:"items,omitempty"`    // later feedback of the same customer, oldest first
	Customer string     `json:"customer,omitempty"` // Customer.ID of the item
	Rule     string     `json:"rule"`               // the rule that opened it
	Status   CaseStatus `json:"status"`
	Queue    string     `json:"queue,omitempty"`
	Owner    string     `json:"owner,omitempty"`
	Priority string     `json:"priority,omitempty"` // low, normal, high or urgent
	// Value is the account value of the customer when the case was opened, in the program's currency.
	Value    *float64 `json:"value,omitempty"`
	OpenedAt Time     `json:"opened_at"`
	// ReopenedAt is when it was reopened last; its promises count since. Zero when it never was.
	ReopenedAt Time `json:"reopened_at,omitzero"`
	// DueAt is when the first response is due. Zero when the rule promised none, and while the clock stands.
	DueAt Time `json:"due_at,omitzero"`
	// BreachedAt is when DueAt passed without a response.
	BreachedAt Time `json:"breached_at,omitzero"`
	// RespondedAt is when the first attempt was made to reach the customer, or the case was resolved without one.
	RespondedAt Time `json:"responded_at,omitzero"`
	// ResolveBy is when the case is to be resolved. Zero when the rule promised nothing, and while the clock stands.
	ResolveBy Time `json:"resolve_by,omitzero"`
	// OverdueAt is when ResolveBy passed without a resolution.
	OverdueAt Time `json:"overdue_at,omitzero"`
	// Calendar is the one whose time the promises count. Empty counts all time.
	Calendar string `json:"calendar,omitempty"`
	// ResponseSLA and ResolutionSLA are what was promised, in nanoseconds. They count anew when the case is reopened.
	ResponseSLA   time.Duration `json:"response_sla_ns,omitempty"`
	ResolutionSLA time.Duration `json:"resolution_sla_ns,omitempty"`
	// ResponseLeft and ResolutionLeft are what was left of the promises when the clocks were stopped, in nanoseconds.
	ResponseLeft   time.Duration `json:"response_left_ns,omitempty"`
	ResolutionLeft time.Duration `json:"resolution_left_ns,omitempty"`
	HeldAt         Time          `json:"held_at,omitzero"` // when the clocks were stopped
	// Warn is the share of a promised time after which a warning is due, and WarnAt and ResolveWarnAt are when it is: of
	// the response, and of the resolution. They are zero when there is none to come.
	Warn          float64 `json:"warn,omitempty"`
	WarnAt        Time    `json:"warn_at,omitzero"`
	ResolveWarnAt Time    `json:"resolve_warn_at,omitzero"`
	// RunsSince is since when the clocks run without a stop, and Worked how long they ran before that since the case was
	// opened or reopened, in nanoseconds of the calendar.
	RunsSince Time          `json:"runs_since,omitzero"`
	Worked    time.Duration `json:"worked_ns,omitempty"`
	// Escalation is how many steps of its ladder the case has gone up.
	Escalation int       `json:"escalation,omitempty"`
	Attempts   []Attempt `json:"attempts,omitempty"` // oldest first
	// Outcome, RootCause and Action say how the case ended. They are required to close it, and anew when it was reopened.
	Outcome    string `json:"outcome,omitempty"`
	RootCause  string `json:"root_cause,omitempty"`
	Action     string `json:"action,omitempty"`
	ResolvedAt Time   `json:"resolved_at,omitzero"`
	ClosedAt   Time   `json:"closed_at,omitzero"`
	Reopens    int    `json:"reopens,omitempty"`
	// Past are the rounds before the case was last reopened, oldest first. Each had its own promises.
	Past []CaseRound `json:"past,omitempty"`
	// Recovery compares the first answer of the customer after the last resolution that was answered with that before.
	Recovery *Recovery   `json:"recovery,omitempty"`
	History  []CaseEvent `json:"history,omitempty"` // oldest first, append-only; see HistoryBefore
	// HistoryBefore is how many lines of the history lie before those that History still holds.
	HistoryBefore int `json:"history_before,omitempty"`
}

// Since returns when the present round of the case began: when it was opened, or last reopened.
func (c *Case) Since() Time { return max(c.OpenedAt, c.ReopenedAt) }

// CaseRound is the time of a case from its opening, or a reopening, to its resolution.
type CaseRound struct {
	OpenedAt    Time   `json:"opened_at"`
	RespondedAt Time   `json:"responded_at,omitzero"`
	BreachedAt  Time   `json:"breached_at,omitzero"`
	OverdueAt   Time   `json:"overdue_at,omitzero"`
	ResolvedAt  Time   `json:"resolved_at"`
	Outcome     string `json:"outcome,omitempty"`
	RootCause   string `json:"root_cause,omitempty"`
	Action      string `json:"action,omitempty"`
	// Recovery is that of this round; the case has it too, until there is one of a later round.
	Recovery *Recovery `json:"recovery,omitempty"`
}

// Attempt is one attempt to reach the customer.
type Attempt struct {
	At      Time   `json:"at"`
	By      string `json:"by"`
	Channel string `json:"channel"` // such as phone or email
	Result  string `json:"result"`  // such as reached, voicemail or no_answer
	Note    string `json:"note,omitempty"`
}

// Recovery compares two answers of one customer to the same question.
type Recovery struct {
	Item   ItemID  `json:"item"` // the later answer
	At     Time    `json:"at"`
	Survey Survey  `json:"survey"`
	Before float64 `json:"before"`
	After  float64 `json:"after"`
}

// CaseEvent is one line of a case's history.
type CaseEvent struct {
	At   Time   `json:"at"`
	Kind string `json:"kind"` // opened, assigned, lapsed, note, breached, ...
	By   string `json:"by,omitempty"`
	Note string `json:"note,omitempty"`
}

// Alert is something that a rule says people should look at, one per rule and key while it lasts.
type Alert struct {
	Rule     string `json:"rule"`
	Key      string `json:"key,omitempty"` // values of the fields that the rule groups by
	Severity string `json:"severity,omitempty"`
	Summary  string `json:"summary,omitempty"`
	// Status is pending, firing, resolved or inactive.
	Status     string `json:"status,omitempty"`
	FiringAt   Time   `json:"firing_at,omitzero"`   // when it last began to fire
	ResolvedAt Time   `json:"resolved_at,omitzero"` // when it was last over
	// Shadow says that it is that of a rule in shadow mode: nobody is told.
	Shadow   bool   `json:"shadow,omitempty"`
	FirstAt  Time   `json:"first_at"`
	LastAt   Time   `json:"last_at"`
	Count    int    `json:"count"`     // items that raised it
	LastItem ItemID `json:"last_item"` // the latest of them
}

// Delivery is a message on its way to a destination.
type Delivery struct {
	// Key is the idempotency key: the same at every attempt, and for ever for the same effect on the same item.
	Key         string          `json:"key"`
	Destination string          `json:"destination"`
	Sequence    uint64          `json:"sequence"` // order within the destination
	Kind        string          `json:"kind"`
	Item        ItemID          `json:"item,omitempty"`
	Case        CaseID          `json:"case,omitempty"`
	Subject     string          `json:"subject,omitempty"` // what it is about besides: of alerts and digests, rule and group
	Body        json.RawMessage `json:"body"`              // an object
	CreatedAt   Time            `json:"created_at"`
	ReplayedAt  Time            `json:"replayed_at,omitzero"` // when it was last taken out of the dead letters
	Attempts    int             `json:"attempts,omitempty"`
	NextAt      Time            `json:"next_at,omitzero"` // not to be tried before
	LastError   string          `json:"last_error,omitempty"`
}

// DeadLetter is something that could not be processed and waits for a person: a row that is no item, an item that
// a plugin cannot survive, or a delivery that was given up.
type DeadLetter struct {
	ID       string         `json:"id"`
	Kind     DeadLetterKind `json:"kind"`
	At       Time           `json:"at"`
	Source   string         `json:"source,omitempty"`   // of a row or an item
	Customer string         `json:"customer,omitempty"` // of a row, as far as it says so: the id, or else the e-mail address
	Batch    string         `json:"batch,omitempty"`
	Position string         `json:"position,omitempty"`
	Code     string         `json:"code"`   // stable and short
	Reason   string         `json:"reason"` // what was found and what was expected
	Raw      string         `json:"raw,omitempty"`
	Item     *Item          `json:"item,omitempty"`
	Delivery *Delivery      `json:"delivery,omitempty"`
}

// DeadLetterKind says what a dead letter is.
type DeadLetterKind string

// The kinds of dead letter. A rejected row cannot be replayed: its source must be mended.
const (
	DeadRow      DeadLetterKind = "row"
	DeadItem     DeadLetterKind = "item"
	DeadDelivery DeadLetterKind = "delivery"
)

// Counts says what became of the rows that were read: Read is the sum of the five that follow it.
type Counts struct {
	Read      int `json:"read"`
	New       int `json:"new"`
	Revised   int `json:"revised"`
	Duplicate int `json:"duplicate"`
	Stale     int `json:"stale"`
	Rejected  int `json:"rejected"`
	// Synthetic counts items whose external id was made up, Damaged those of them whose own id was visibly damaged,
	// and Repaired those with bytes that were not UTF-8. Redacted counts what was replaced in texts before they were read.
	Synthetic int `json:"synthetic,omitempty"`
	Damaged   int `json:"damaged,omitempty"`
	Repaired  int `json:"repaired,omitempty"`
	Redacted  int `json:"redacted,omitempty"`
	// Erased counts those of the stale rows that would have brought back a person who was erased.
	Erased int `json:"erased,omitempty"`
	// Ahead counts items that are dated more than a day after they came, which few clocks and timezones explain.
	Ahead int `json:"ahead,omitempty"`
}

// Add adds the other counts.
func (c *Counts) Add(o Counts) {
	c.Read += o.Read
	c.New += o.New
	c.Revised += o.Revised
	c.Duplicate += o.Duplicate
	c.Stale += o.Stale
	c.Rejected += o.Rejected
	c.Synthetic += o.Synthetic
	c.Damaged += o.Damaged
	c.Repaired += o.Repaired
	c.Redacted += o.Redacted
	c.Ahead += o.Ahead
	c.Erased += o.Erased
}
