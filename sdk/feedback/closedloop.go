package feedback

import "encoding/json"

// CaseStatus is the state of a case.
type CaseStatus string

// The states that a case goes through.
const (
	CaseOpen     CaseStatus = "open"
	CaseResolved CaseStatus = "resolved"
	CaseClosed   CaseStatus = "closed"
)

// Case is the promise that somebody takes care of a piece of feedback.
type Case struct {
	ID       CaseID     `json:"id"`
	Item     ItemID     `json:"item"`
	Customer string     `json:"customer,omitempty"` // Customer.ID of the item
	Rule     string     `json:"rule"`               // the rule that opened it
	Status   CaseStatus `json:"status"`
	Queue    string     `json:"queue,omitempty"`
	Owner    string     `json:"owner,omitempty"`
	Priority string     `json:"priority,omitempty"` // low, normal, high or urgent
	OpenedAt Time       `json:"opened_at"`
	// DueAt is when the first response is due. Zero when the rule promised none.
	DueAt Time `json:"due_at,omitzero"`
	// BreachedAt is when DueAt passed without a response.
	BreachedAt Time        `json:"breached_at,omitzero"`
	History    []CaseEvent `json:"history,omitempty"` // oldest first, append-only
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
	Body        json.RawMessage `json:"body"` // an object
	CreatedAt   Time            `json:"created_at"`
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
	Source   string         `json:"source,omitempty"` // of a row or an item
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
	// and Repaired those with bytes that were not UTF-8.
	Synthetic int `json:"synthetic,omitempty"`
	Damaged   int `json:"damaged,omitempty"`
	Repaired  int `json:"repaired,omitempty"`
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
}
