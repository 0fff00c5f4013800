package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Undo says which import to take back.
type Undo struct {
	Source string `json:"source"`
	Batch  string `json:"batch"`
	By     Actor  `json:"by"`
	Why    string `json:"why"` // needed
	// DryRun changes nothing, and tells what would happen.
	DryRun bool `json:"dry_run,omitempty"`
}

// Undone counts what taking an import back led to, and names the first hundred of what needs looking after.
type Undone struct {
	Items   int `json:"items"`   // that the import created, and are not there any more
	Rejects int `json:"rejects"` // rows and items that were held back, and are forgotten
	Cases   int `json:"cases"`   // that are not there any more
	Closed  int `json:"closed"`  // cases that stay, closed as undone, because people have acted on them
	Unsent  int `json:"unsent"`  // messages that waited and are not sent
	Sent    int `json:"sent"`    // messages that have left
	Revised int `json:"revised"` // items of other imports that stay as this one revised them
	Shared  int `json:"shared"`  // items that stay because a later import brought them too
	Held    int `json:"held"`    // items that stay because of a hold

	ClosedCases  []feedback.CaseID   `json:"closed_cases,omitempty"`
	SentMessages []feedback.Delivery `json:"sent_messages,omitempty"` // their item, destination and time
	RevisedItems []feedback.ItemID   `json:"revised_items,omitempty"`
	SharedItems  []feedback.ItemID   `json:"shared_items,omitempty"`
	HeldItems    []feedback.ItemID   `json:"held_items,omitempty"`
}

// UndoImport takes an import back: the items that it created, with their labels, decisions, cases, waiting messages,
// entries in digests and throttles, and what they added to every metric and window. The rules then see the windows as
// they are without it. The audit log says who did it and why. It works in many small updates beside what else goes on;
// when it is cut off, Run and RunOnce take it up again, and so does calling it again.
//
// What stays is told: cases on which people have acted are closed as undone; messages that have left; items of other
// imports that this one revised, whose earlier content is not kept; items that a later import brought too, or that are
// held. Alerts that were raised stay as well, and the priority that repeat contact gave to other cases. Rows of later
// imports that were duplicates of what is taken back were not kept: import them again. A source does not read again what
// its checkpoint has passed.
//
// Errors: ErrNotFound, ErrMissing, ErrDenied, or those of the store. progress is told how many items were taken back; it may be nil.
func (e *Engine) UndoImport(ctx context.Context, o Undo, progress func(done, total int)) (*Undone, error) {
	switch {
	case strings.TrimSpace(o.By.Name) == "" && !o.DryRun:
		return nil, fmt.Errorf("who takes the import back: %w", ErrMissing)
	case strings.TrimSpace(o.Why) == "" && !o.DryRun:
		return nil, fmt.Errorf("an import is taken back for a reason: %w", ErrMissing)
	}
	if err := e.allowed(ctx, o.By, ActionUndo, feedback.Case{}); err != nil {
		return nil, err
	}
	ctx, stop := e.living(ctx)
	defer stop()
	e.undoing.Lock()
	defer e.undoing.Unlock()
	done, err := e.pipe.Undo(ctx, records.Undo{Source: o.Source, Batch: o.Batch, At: e.now(), Who: o.By.Name, Why: o.Why}, o.DryRun, func(n int) {
		if progress != nil {
			progress(n, 0)
		}
	})
	if !o.DryRun {
		e.outbox.Deleted()
	}
	if err != nil {
		return nil, err
	}
	return new(Undone(done)), nil
}

// resumeUndos goes on with imports whose taking back was cut off.
func (e *Engine) resumeUndos(ctx context.Context) error {
	e.undoing.Lock()
	defer e.undoing.Unlock()
	return e.pipe.ResumeUndos(ctx, e.now())
}
