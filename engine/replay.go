package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/closedloop/closedloop/engine/internal/pipeline"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// ErrNoReplay says that a dead letter cannot be replayed: a rejected row has to be mended where it came from.
var ErrNoReplay = errors.New("engine: a rejected row cannot be replayed; mend it in its source")

// Replay tries a dead letter again: an item is ingested anew, a delivery goes back to the end of its destination's
// line under the same key, in the name of the host. The letter is gone once that is durable. It returns what became of an
// item. See also ReplayDelivery.
func (e *Engine) Replay(ctx context.Context, id string) (Row, error) {
	e.replays.Lock()
	defer e.replays.Unlock()
	letter, err := e.deadLetter(id)
	if err != nil {
		return Row{}, err
	}
	switch letter.Kind {
	case feedback.DeadDelivery:
		return Row{}, e.ReplayDelivery(ctx, Actor{Name: "host"}, id, "")
	case feedback.DeadItem:
		return e.replayItem(ctx, letter)
	}
	return Row{}, fmt.Errorf("dead letter %s: %w", id, ErrNoReplay)
}

func (e *Engine) deadLetter(id string) (l *feedback.DeadLetter, err error) {
	err = e.store.View(func(snap *store.Snapshot) (err error) {
		l, err = store.Load[feedback.DeadLetter](snap, records.DeadLetterKey(id))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("dead letter %s: %w", id, err)
	}
	return l, nil
}

// replayItem ingests the item anew. One that is there already, because a categorizer refused it late, is labelled anew; its
// letter stays until it is.
func (e *Engine) replayItem(ctx context.Context, l *feedback.DeadLetter) (Row, error) {
	r, err := e.take(ctx, pipeline.Chunk{
		Source: e.source(l.Source), Batch: l.Batch, Items: []feedback.Item{*l.Item}, ReceivedAt: e.now(), Letter: l.ID,
	})
	if err != nil {
		return Row{}, fmt.Errorf("dead letter %s: %w", l.ID, err)
	}
	row := Row{ID: r.Rows[0].ID, Outcome: Outcome(r.Rows[0].Outcome), Reason: r.Rows[0].Reason}
	if row.Outcome != OutcomeDuplicate {
		return row, nil
	}
	refused, err := e.pipe.Relabel(ctx, row.ID, e.now())
	switch {
	case err != nil:
		return Row{}, fmt.Errorf("dead letter %s: %w", l.ID, err)
	case refused != "":
		row.Outcome, row.Reason = OutcomeRejected, refused
		return row, nil
	}
	return row, e.store.Update(ctx, func(tx *store.Tx) error {
		tx.Delete(records.DeadLetterKey(l.ID))
		return nil
	})
}
