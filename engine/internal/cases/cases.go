// Package cases holds the transitions of a case: pure functions from a case and an instant to the case after.
// Every transition adds a line to the case's history and takes nothing away.
//
//	c := cases.Open(item, effect, outputs, now)
//	c = cases.Breach(c, c.DueAt)
package cases

import (
	"fmt"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// Kinds of line in a case's history.
const (
	Opened   = "opened"
	Assigned = "assigned"
	Lapsed   = "lapsed"
	Noted    = "note"
	Breached = "breached"
)

// Promise is what a rule asks for when it opens a case.
type Promise struct {
	Rule     string
	Effect   string // what makes the case the only one of its kind for the item
	Queue    string
	Owner    string
	Priority string // low, normal, high or urgent
	// DueAt is when the first response is due. Zero promises nothing.
	DueAt feedback.Time
}

// Open returns a new case for the item.
func Open(it *feedback.Item, p Promise, at feedback.Time) feedback.Case {
	c := feedback.Case{
		ID:       feedback.NewCaseID(at, string(it.ID), p.Effect),
		Item:     it.ID,
		Customer: it.Customer.ID,
		Rule:     p.Rule,
		Status:   feedback.CaseOpen,
		Queue:    p.Queue,
		Owner:    p.Owner,
		Priority: p.Priority,
		OpenedAt: at,
	}
	note := "opened by rule " + p.Rule
	if p.DueAt != 0 {
		c.DueAt = p.DueAt
		note += ", first response due " + c.DueAt.String()
	}
	return line(c, at, Opened, p.Rule, note)
}

// Assign moves the case to another queue or owner. Empty values leave what is there. Nothing changes when the case
// is there already.
func Assign(c feedback.Case, queue, owner, by string, at feedback.Time) feedback.Case {
	if queue == "" {
		queue = c.Queue
	}
	if owner == "" && queue == c.Queue {
		owner = c.Owner
	}
	if queue == c.Queue && owner == c.Owner {
		return c
	}
	note := fmt.Sprintf("from %s to %s", place(c.Queue, c.Owner), place(queue, owner))
	c.Queue, c.Owner = queue, owner
	return line(c, at, Assigned, by, note)
}

// Lapse notes that a rule's effect no longer holds. The case stays open: a person decides.
func Lapse(c feedback.Case, rule, effect string, at feedback.Time) feedback.Case {
	return line(c, at, Lapsed, rule, fmt.Sprintf("rule %s no longer asks for this %s", rule, effect))
}

// Note adds a line.
func Note(c feedback.Case, by, text string, at feedback.Time) feedback.Case {
	return line(c, at, Noted, by, text)
}

// Breach marks the first response as late. It changes nothing when the case is no longer open, has no due time, is
// not yet due, or is marked already.
func Breach(c feedback.Case, at feedback.Time) feedback.Case {
	if c.Status != feedback.CaseOpen || c.DueAt == 0 || at < c.DueAt || c.BreachedAt != 0 {
		return c
	}
	c.BreachedAt = at
	return line(c, at, Breached, "", "no response by "+c.DueAt.String())
}

func line(c feedback.Case, at feedback.Time, kind, by, note string) feedback.Case {
	history := make([]feedback.CaseEvent, len(c.History), len(c.History)+1)
	copy(history, c.History)
	c.History = append(history, feedback.CaseEvent{At: at, Kind: kind, By: by, Note: note})
	return c
}

func place(queue, owner string) string {
	switch {
	case queue == "" && owner == "":
		return "nobody"
	case owner == "":
		return queue
	case queue == "":
		return owner
	}
	return queue + "/" + owner
}
