package pipeline

import (
	"bytes"
	"context"
	"errors"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// ladderBatch bounds the cases whose timers one update sets.
const ladderBatch = 256

// Reladder has open cases go up the ladders of the rules that decide now: their timers were set by the ladders of the
// rules before. It costs next to nothing when the ladders are the same, and begins anew when it was cut off.
func (p *Pipeline) Reladder(ctx context.Context, at feedback.Time) error {
	now, before := p.Rules().Ladders(), []byte(nil)
	err := p.cfg.Store.View(func(s *store.Snapshot) error {
		b, err := s.Get(records.LaddersKey())
		before = bytes.Clone(b)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	if err != nil || bytes.Equal(before, now) {
		return err
	}
	for _, status := range [...]feedback.CaseStatus{feedback.CaseNew, feedback.CaseAssigned, feedback.CaseInProgress, feedback.CaseReopened} {
		if err := p.reladder(ctx, status, at); err != nil {
			return err
		}
	}
	return p.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		tx.Set(records.LaddersKey(), now)
		return nil
	})
}

// reladder sets the timers of the cases of a state. One that changes its state meanwhile gets its timer by that. A timer
// that is left over finds nothing to do.
func (p *Pipeline) reladder(ctx context.Context, status feedback.CaseStatus, at feedback.Time) error {
	var last feedback.CaseID
	for {
		var ids []feedback.CaseID
		err := p.cfg.Store.View(func(s *store.Snapshot) (err error) {
			ids, err = records.CasesOf(s, status, last, ladderBatch)
			return err
		})
		if err != nil || len(ids) == 0 {
			return err
		}
		err = p.overTime(ctx, at, func(w *writer) error {
			for _, id := range ids {
				c, err := w.known(id)
				if err != nil {
					return err
				}
				if c != nil {
					w.schedule(nil, c)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		last = ids[len(ids)-1]
	}
}
