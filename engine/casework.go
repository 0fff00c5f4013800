package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/engine/internal/cases"
	"github.com/closedloop/closedloop/engine/internal/pipeline"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Errors of what people do to cases and labels.
var (
	// ErrTransition says that a case cannot do that in the state that it is in.
	ErrTransition = cases.ErrTransition
	// ErrMissing says that something is missing that has to be said, or is not what it can be.
	ErrMissing = cases.ErrMissing
	// ErrDenied says that the host does not let the actor do that; see Options.Authorize.
	ErrDenied = errors.New("engine: not allowed")

	errNoDesk  = errors.New("engine: this CaseDesk is of no engine, expected that of an Engine, a State or a Client")
	errNoRules = errors.New("engine: the rules do not compile, and with them the calendars of cases")
)

// Actor is who does something. The host knows who that is and what the roles mean.
type Actor struct {
	Name  string   `json:"name"`
	Roles []string `json:"roles,omitempty"`
}

// Action is something that people do.
type Action string

// What people do to cases, to the labels of items, and to imports.
const (
	ActionAssign  Action = "assign"
	ActionBegin   Action = "begin"
	ActionAttempt Action = "attempt"
	ActionHold    Action = "hold"
	ActionResume  Action = "resume"
	ActionResolve Action = "resolve"
	ActionClose   Action = "close"
	ActionReopen  Action = "reopen"
	ActionNote    Action = "note"
	ActionCorrect Action = "correct"
	ActionImport  Action = "import" // see Engine.Import
	ActionUndo    Action = "undo"   // see Engine.UndoImport
)

// CaseAction is something that somebody does to a case. Which members count depends on Action.
type CaseAction struct {
	Case   feedback.CaseID `json:"case"`
	Action Action          `json:"action"`
	By     Actor           `json:"by"`
	Why    string          `json:"why,omitempty"` // needed to hold, to reopen and to note
	// To is what assign asks for.
	To CaseAssignment `json:"to,omitzero"`
	// Attempt is what attempt tells: its channel, its result and a note.
	Attempt CaseAttempt `json:"attempt,omitzero"`
	// ForCustomer says that the case is held because the customer is to answer.
	ForCustomer bool `json:"for_customer,omitempty"`
	// Resolution is how the case ended, of resolve and close.
	Resolution CaseResolution `json:"resolution,omitzero"`
}

// CaseAssignment says where a case goes. Empty members leave what is there, but a queue of its own takes the case from
// its owner.
type CaseAssignment struct {
	Queue    string `json:"queue,omitempty"`
	Owner    string `json:"owner,omitempty"`
	Priority string `json:"priority,omitempty"` // low, normal, high or urgent
}

// CaseAttempt is an attempt to reach the customer.
type CaseAttempt struct {
	Channel string `json:"channel"` // such as phone or email
	Result  string `json:"result"`  // such as reached, voicemail or no_answer
	Note    string `json:"note,omitempty"`
}

// CaseResolution says how a case ended. To resolve it the outcome is needed, to close it all three; what was said since it
// was opened, or reopened, stands where a member is empty.
type CaseResolution struct {
	Outcome   string `json:"outcome,omitempty"`
	RootCause string `json:"root_cause,omitempty"`
	Action    string `json:"action,omitempty"` // what was done about it
}

// CaseDesk is what people do to cases, each act with who does it and why. The case is returned as it is after it. Errors
// are ErrNotFound, ErrTransition, ErrMissing, ErrDenied, or those of the store. What was done is in the audit log.
type CaseDesk struct {
	actOn func(context.Context, CaseAction) (feedback.Case, error) // nil in the zero CaseDesk
}

func (d CaseDesk) act(ctx context.Context, a CaseAction) (feedback.Case, error) {
	if d.actOn == nil {
		return feedback.Case{}, errNoDesk
	}
	return d.actOn(ctx, a)
}

// AssignCase moves a case to another queue or owner, or gives it another priority.
func (d CaseDesk) AssignCase(ctx context.Context, by Actor, id feedback.CaseID, to CaseAssignment, why string) (feedback.Case, error) {
	return d.act(ctx, CaseAction{Case: id, Action: ActionAssign, By: by, Why: why, To: to})
}

// BeginCase notes that somebody has begun, without having tried to reach the customer.
func (d CaseDesk) BeginCase(ctx context.Context, by Actor, id feedback.CaseID, why string) (feedback.Case, error) {
	return d.act(ctx, CaseAction{Case: id, Action: ActionBegin, By: by, Why: why})
}

// AttemptCase notes an attempt to reach the customer. The first one keeps the promise of a response.
func (d CaseDesk) AttemptCase(ctx context.Context, by Actor, id feedback.CaseID, a CaseAttempt) (feedback.Case, error) {
	return d.act(ctx, CaseAction{Case: id, Action: ActionAttempt, By: by, Attempt: a})
}

// HoldCase stops the clocks of a case: it waits for something, or for the customer.
func (d CaseDesk) HoldCase(ctx context.Context, by Actor, id feedback.CaseID, forCustomer bool, why string) (feedback.Case, error) {
	return d.act(ctx, CaseAction{Case: id, Action: ActionHold, By: by, Why: why, ForCustomer: forCustomer})
}

// ResumeCase starts the clocks of a case again.
func (d CaseDesk) ResumeCase(ctx context.Context, by Actor, id feedback.CaseID, why string) (feedback.Case, error) {
	return d.act(ctx, CaseAction{Case: id, Action: ActionResume, By: by, Why: why})
}

// ResolveCase ends the work on a case. It is reopened when the customer is unhappy again.
func (d CaseDesk) ResolveCase(ctx context.Context, by Actor, id feedback.CaseID, r CaseResolution, why string) (feedback.Case, error) {
	return d.act(ctx, CaseAction{Case: id, Action: ActionResolve, By: by, Why: why, Resolution: r})
}

// CloseCase ends a case for good.
func (d CaseDesk) CloseCase(ctx context.Context, by Actor, id feedback.CaseID, r CaseResolution, why string) (feedback.Case, error) {
	return d.act(ctx, CaseAction{Case: id, Action: ActionClose, By: by, Why: why, Resolution: r})
}

// ReopenCase takes a case up again that was resolved or closed.
func (d CaseDesk) ReopenCase(ctx context.Context, by Actor, id feedback.CaseID, why string) (feedback.Case, error) {
	return d.act(ctx, CaseAction{Case: id, Action: ActionReopen, By: by, Why: why})
}

// NoteCase adds a note.
func (d CaseDesk) NoteCase(ctx context.Context, by Actor, id feedback.CaseID, text string) (feedback.Case, error) {
	return d.act(ctx, CaseAction{Case: id, Action: ActionNote, By: by, Why: text})
}

// mostTries is how often an act is tried on a case that others change at the same time.
const mostTries = 16

// ActOnCase has somebody do something to a case, when the host allows it for the case as it then is.
func (s *State) ActOnCase(ctx context.Context, a CaseAction) (feedback.Case, error) {
	if s.casework == nil {
		return feedback.Case{}, errNoRules
	}
	if strings.TrimSpace(a.By.Name) == "" {
		return feedback.Case{}, fmt.Errorf("who acts: %w", ErrMissing)
	}
	for try := 1; ; try++ {
		seen, err := s.Case(ctx, a.Case)
		if err != nil {
			return feedback.Case{}, err
		}
		if err := s.allowed(ctx, a.By, a.Action, *seen); err != nil {
			return feedback.Case{}, err
		}
		at := feedback.TimeOf(s.Clock())
		c, err := s.casework.ChangeCase(ctx, pipeline.CaseChange{
			Case: a.Case, At: at, Who: a.By.Name, Why: a.Why, Expect: seen,
			Do: func(c feedback.Case, k cases.Clock) (feedback.Case, error) { return a.do(c, at, k) },
		})
		if !errors.Is(err, pipeline.ErrCaseChanged) || try == mostTries {
			return c, err
		}
	}
}

func (s *State) allowed(ctx context.Context, by Actor, what Action, c feedback.Case) error {
	if s.authorize == nil {
		return nil
	}
	if err := s.authorize(ctx, by, what, c); err != nil {
		return fmt.Errorf("%w: %s may not %s: %w", ErrDenied, by.Name, what, err)
	}
	return nil
}

// do is the transition that the act asks for.
func (a *CaseAction) do(c feedback.Case, at feedback.Time, k cases.Clock) (feedback.Case, error) {
	by, ending := a.By.Name, cases.Resolution(a.Resolution)
	switch a.Action {
	case ActionAssign:
		return a.assign(c, at)
	case ActionBegin:
		return cases.Begin(c, by, at)
	case ActionAttempt:
		return cases.Attempted(c, feedback.Attempt{By: by, Channel: a.Attempt.Channel, Result: a.Attempt.Result, Note: a.Attempt.Note}, at)
	case ActionHold:
		return cases.Hold(c, a.ForCustomer, a.Why, by, at, k)
	case ActionResume:
		return cases.Resume(c, by, at, k)
	case ActionResolve:
		return cases.Resolve(c, ending, by, at)
	case ActionClose:
		return cases.Close(c, ending, by, at)
	case ActionReopen:
		return cases.Reopen(c, a.Why, by, at, k)
	case ActionNote:
		if strings.TrimSpace(a.Why) == "" {
			return c, fmt.Errorf("a note needs its text: %w", ErrMissing)
		}
		return cases.Note(c, by, a.Why, at), nil
	}
	return c, fmt.Errorf("found the action %q, which is none of a case: %w", a.Action, ErrMissing)
}

func (a *CaseAction) assign(c feedback.Case, at feedback.Time) (feedback.Case, error) {
	switch {
	case a.To == CaseAssignment{}:
		return c, fmt.Errorf("a case is moved to a queue or an owner, or gets a priority: %w", ErrMissing)
	case c.Status == feedback.CaseClosed:
		return c, fmt.Errorf("cannot assign a case that is %s: %w", c.Status, ErrTransition)
	}
	c = cases.Assign(c, a.To.Queue, a.To.Owner, a.By.Name, at)
	if a.To.Priority == "" {
		return c, nil
	}
	return cases.Prioritized(c, a.To.Priority, a.By.Name, a.Why, at)
}

// Correction is what a person says of an item, above what categorizers and rules say. It stands also when the item is
// revised, and is marked for review then.
type Correction struct {
	Item      feedback.ItemID      `json:"item"`
	By        Actor                `json:"by"`
	Why       string               `json:"why"` // needed
	Add       []feedback.ThemePath `json:"add,omitempty"`
	Remove    []feedback.ThemePath `json:"remove,omitempty"`    // with all that lies below
	Sentiment *float64             `json:"sentiment,omitempty"` // from -1 to 1
}

// Correct changes the labels of an item, and has the rules decide again: every metric counts it anew, and its case moves to
// the queue that follows from them. Effects that were acted on stay so. What was said before stays in the history. Errors
// are ErrNotFound, ErrMissing, also when something is out of range, ErrDenied, or those of the store.
func (e *Engine) Correct(ctx context.Context, c Correction) (*Item, error) {
	change := feedback.Change{
		By: feedback.Author{Layer: feedback.LayerHuman, Name: c.By.Name}, At: e.now(), Reason: c.Why,
		Remove: slices.Clone(c.Remove), Sentiment: c.Sentiment,
	}
	for _, path := range c.Add {
		change.Add = append(change.Add, feedback.Theme{Path: path, Confidence: 1})
	}
	switch {
	case strings.TrimSpace(c.By.Name) == "":
		return nil, fmt.Errorf("who corrects: %w", ErrMissing)
	case strings.TrimSpace(c.Why) == "":
		return nil, fmt.Errorf("a correction needs its reason: %w", ErrMissing)
	case len(change.Add) == 0 && len(change.Remove) == 0 && change.Sentiment == nil:
		return nil, fmt.Errorf("a correction adds or removes a theme, or gives a sentiment: %w", ErrMissing)
	}
	if err := pipeline.CheckCorrection(&change); err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrMissing)
	}
	it, err := e.Item(ctx, c.Item)
	if err != nil {
		return nil, err
	}
	about := feedback.Case{Item: it.ID, Queue: it.Queue, Owner: it.Owner, Customer: it.Customer.ID}
	if it.Case != "" {
		switch of, err := e.Case(ctx, it.Case); {
		case err == nil:
			about = *of
		case !errors.Is(err, ErrNotFound): // it may have been too old
			return nil, err
		}
	}
	if err := e.allowed(ctx, c.By, ActionCorrect, about); err != nil {
		return nil, err
	}
	r, err := e.pipe.Correct(ctx, c.Item, change)
	e.meter.count(&r)
	if err != nil {
		return nil, err
	}
	return e.Item(ctx, c.Item)
}
