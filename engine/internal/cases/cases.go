// Package cases holds the transitions of a case: pure functions from a case and an instant to the case after, or to the
// reason why that cannot be. Every transition adds a line to the case's history and takes nothing away.
//
//	new ─▶ assigned ─▶ in_progress ─▶ resolved ─▶ closed
//	            on_hold, waiting ◀─▶        └──── reopened ◀┘
//
// Two promises may hold for a case: a first response, kept by the first attempt to reach the customer, and a resolution.
// Their clocks stand while the case is on hold or waits for the customer. What the time of a calendar is, a Clock says.
//
//	c := cases.Open(item, promise, now)
//	c, err := cases.Attempted(c, feedback.Attempt{By: "anna", Channel: "phone", Result: "reached"}, now)
package cases

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// Kinds of line in a case's history.
const (
	Opened     = "opened"
	Assigned   = "assigned"
	Lapsed     = "lapsed"
	Noted      = "note"
	Breached   = "breached"
	Overdue    = "overdue"
	Warned     = "warned"
	Attempt    = "attempt"
	Began      = "began"
	Held       = "held"
	Resumed    = "resumed"
	Resolved   = "resolved"
	Closed     = "closed"
	Reopened   = "reopened"
	Escalated  = "escalated"
	Contact    = "contact"
	Recovered  = "recovery"
	Prioritize = "priority"
	Corrected  = "corrected"
	Unlinked   = "unlinked"
)

// Clock counts time by calendars. An empty calendar, and one that it does not know, count all time.
type Clock interface {
	// Due returns the instant at which d of the calendar's time has passed since from.
	Due(from feedback.Time, d time.Duration, calendar string) feedback.Time
	// Left returns the calendar's time from one instant to a later one, and nothing when it is not later.
	Left(from, until feedback.Time, calendar string) time.Duration
}

// ErrTransition says that a case cannot do that in the state that it is in.
var ErrTransition = errors.New("the case is not in a state for that")

// ErrMissing says that something is missing that has to be said.
var ErrMissing = errors.New("something is missing")

// Promise is what a rule asks for when it opens a case.
type Promise struct {
	Rule     string
	Effect   string // what makes the case the only one of its kind for the item
	Queue    string
	Owner    string
	Priority string // low, normal, high or urgent
	// Response and Resolution are how long the first response and the resolution may take. Zero promises nothing.
	Response, Resolution time.Duration
	Calendar             string
	Warn                 float64 // the share of either time after which a warning is due; zero is none
}

// Open returns a new case for the item.
func Open(it *feedback.Item, p Promise, at feedback.Time, k Clock) feedback.Case {
	c := feedback.Case{
		ID:            feedback.NewCaseID(at, string(it.ID), p.Effect),
		Item:          it.ID,
		Customer:      it.Customer.ID,
		Rule:          p.Rule,
		Queue:         p.Queue,
		Owner:         p.Owner,
		Priority:      p.Priority,
		Value:         it.Customer.ARR,
		OpenedAt:      at,
		Calendar:      p.Calendar,
		ResponseSLA:   p.Response,
		ResolutionSLA: p.Resolution,
		Warn:          p.Warn,
		Status:        feedback.CaseNew,
	}
	if c.Owner != "" {
		c.Status = feedback.CaseAssigned
	}
	return line(c, at, Opened, p.Rule, "opened by rule "+p.Rule+promise(&c, at, k))
}

// Assign moves the case to another queue or owner. Empty values leave what is there, but that a queue of its own takes
// the case from its owner. Nothing changes when the case is there already, or is closed.
func Assign(c feedback.Case, queue, owner, by string, at feedback.Time) feedback.Case {
	if queue == "" {
		queue = c.Queue
	}
	if owner == "" && queue == c.Queue {
		owner = c.Owner
	}
	if queue == c.Queue && owner == c.Owner || c.Status == feedback.CaseClosed {
		return c
	}
	note := fmt.Sprintf("from %s to %s", place(c.Queue, c.Owner), place(queue, owner))
	own(&c, queue, owner)
	return line(c, at, Assigned, by, note)
}

// own gives the case to a queue and an owner.
func own(c *feedback.Case, queue, owner string) {
	c.Queue, c.Owner = queue, owner
	switch {
	case c.Status == feedback.CaseNew && owner != "":
		c.Status = feedback.CaseAssigned
	case c.Status == feedback.CaseAssigned && owner == "":
		c.Status = feedback.CaseNew
	}
}

// Prioritized gives the case another priority.
func Prioritized(c feedback.Case, priority, by, why string, at feedback.Time) (feedback.Case, error) {
	if !slices.Contains(priorities, priority) {
		return c, fmt.Errorf("found the priority %q, expected one of %s: %w", priority, strings.Join(priorities, ", "), ErrMissing)
	}
	if priority == c.Priority {
		return c, nil
	}
	note := fmt.Sprintf("from %s to %s", orNone(c.Priority), priority)
	if why != "" {
		note += ": " + why
	}
	c.Priority = priority
	return line(c, at, Prioritize, by, note), nil
}

var priorities = []string{"low", "normal", "high", "urgent"}

// Lapse notes that a rule's effect no longer holds. The case stays open: a person decides.
func Lapse(c feedback.Case, rule, effect string, at feedback.Time) feedback.Case {
	return line(c, at, Lapsed, rule, fmt.Sprintf("rule %s no longer asks for its %s", rule, effect))
}

// Correct notes that a person has corrected the labels of the feedback.
func Correct(c feedback.Case, by, text string, at feedback.Time) feedback.Case {
	return line(c, at, Corrected, by, text)
}

// Note adds a line.
func Note(c feedback.Case, by, text string, at feedback.Time) feedback.Case {
	return line(c, at, Noted, by, text)
}

// Begin notes that the owner has begun, without having tried to reach the customer.
func Begin(c feedback.Case, by string, at feedback.Time) (feedback.Case, error) {
	switch c.Status {
	case feedback.CaseNew, feedback.CaseAssigned, feedback.CaseReopened:
		c.Status = feedback.CaseInProgress
		return line(c, at, Began, by, ""), nil
	}
	return c, cannot("begin", c)
}

// Attempted notes an attempt to reach the customer. The first one keeps the promise of a response. A case on which
// nobody has begun is in progress then; one that is held stays so.
func Attempted(c feedback.Case, a feedback.Attempt, at feedback.Time) (feedback.Case, error) {
	if !c.Status.Open() {
		return c, cannot("note an attempt on", c)
	}
	if a.Channel == "" || a.Result == "" {
		return c, fmt.Errorf("an attempt needs its channel and its result: %w", ErrMissing)
	}
	a.At = at
	c.Attempts = append(slices.Clip(c.Attempts), a)
	responded(&c, at)
	if !c.Status.Held() {
		c.Status = feedback.CaseInProgress
	}
	note := a.Channel + ": " + a.Result
	if a.Note != "" {
		note += ", " + a.Note
	}
	return line(c, at, Attempt, a.By, note), nil
}

// responded keeps the promise of a response.
func responded(c *feedback.Case, at feedback.Time) {
	if c.RespondedAt == 0 {
		c.RespondedAt = at
	}
	c.DueAt, c.ResponseLeft, c.WarnAt = 0, 0, 0
}

// Resolution says how a case ended.
type Resolution struct {
	Outcome   string `json:"outcome,omitempty"`
	RootCause string `json:"root_cause,omitempty"`
	Action    string `json:"action,omitempty"` // what was done about it
}

func (r Resolution) onto(c *feedback.Case) {
	for _, f := range [...]struct {
		to   *string
		from string
	}{{&c.Outcome, r.Outcome}, {&c.RootCause, r.RootCause}, {&c.Action, r.Action}} {
		if f.from != "" {
			*f.to = f.from
		}
	}
}

// Resolve ends the work on a case. It is closed later, or reopened when the customer is unhappy again.
func Resolve(c feedback.Case, r Resolution, by string, at feedback.Time) (feedback.Case, error) {
	if !c.Status.Open() {
		return c, cannot("resolve", c)
	}
	r.onto(&c)
	if c.Outcome == "" {
		return c, fmt.Errorf("to resolve a case its outcome must be given: %w", ErrMissing)
	}
	end(&c, at)
	c.Status = feedback.CaseResolved
	return line(c, at, Resolved, by, c.Outcome), nil
}

// end stops the clocks for good.
func end(c *feedback.Case, at feedback.Time) {
	responded(c, at)
	c.ResolveBy, c.ResolutionLeft, c.ResolveWarnAt, c.HeldAt, c.RunsSince = 0, 0, 0, 0, 0
	if c.ResolvedAt == 0 {
		c.ResolvedAt = at
	}
}

// Close ends a case for good: with its outcome, its root cause and what was done about it.
func Close(c feedback.Case, r Resolution, by string, at feedback.Time) (feedback.Case, error) {
	if c.Status == feedback.CaseClosed {
		return c, cannot("close", c)
	}
	r.onto(&c)
	var missing []string
	for _, f := range [...]struct{ name, value string }{{"outcome", c.Outcome}, {"root cause", c.RootCause}, {"action", c.Action}} {
		if strings.TrimSpace(f.value) == "" {
			missing = append(missing, f.name)
		}
	}
	if n := len(missing); n > 0 {
		if n > 1 {
			missing = append(missing[:n-2], missing[n-2]+" and "+missing[n-1])
		}
		return c, fmt.Errorf("to close a case its %s must be given: %w", strings.Join(missing, ", "), ErrMissing)
	}
	end(&c, at)
	c.Status, c.ClosedAt = feedback.CaseClosed, at
	return line(c, at, Closed, by, c.Outcome+"; "+c.RootCause+"; "+c.Action), nil
}

// Reopen takes a case up again that was resolved or closed. Its promises count anew, and how it ended is to be said anew.
func Reopen(c feedback.Case, why, by string, at feedback.Time, k Clock) (feedback.Case, error) {
	if c.Status.Open() {
		return c, cannot("reopen", c)
	}
	if strings.TrimSpace(why) == "" {
		return c, fmt.Errorf("to reopen a case the reason must be given: %w", ErrMissing)
	}
	c.Past = append(slices.Clip(c.Past), feedback.CaseRound{
		OpenedAt: c.Since(), RespondedAt: c.RespondedAt, BreachedAt: c.BreachedAt, OverdueAt: c.OverdueAt,
		ResolvedAt: c.ResolvedAt, Outcome: c.Outcome, RootCause: c.RootCause, Action: c.Action, Recovery: recovery(&c),
	})
	c.Outcome, c.RootCause, c.Action = "", "", ""
	c.Status, c.ResolvedAt, c.ClosedAt, c.RespondedAt, c.BreachedAt, c.OverdueAt = feedback.CaseReopened, 0, 0, 0, 0, 0
	c.ReopenedAt = at
	c.Escalation = 0
	c.Reopens++
	return line(c, at, Reopened, by, why+promise(&c, at, k)), nil
}

func cannot(what string, c feedback.Case) error {
	return fmt.Errorf("cannot %s a case that is %s: %w", what, c.Status, ErrTransition)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
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
