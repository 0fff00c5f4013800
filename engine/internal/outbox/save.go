package outbox

import (
	"context"
	"errors"
	"time"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// outcome is what came of an attempt.
type outcome struct {
	entry    *entry
	key      []byte
	delivery *feedback.Delivery // as it was read, and then as it is to be kept
	failure  error
	untried  bool                 // it is as if the attempt had not been
	letter   *feedback.DeadLetter // of a message that is given up
}

// hold leaves a message as it is while the destination's plugin is paused: it was not tried.
func (out *outcome) hold(now feedback.Time) {
	out.delivery.LastError = clip(out.failure.Error())
	out.delivery.NextAt = now.Add(sdk.FailureOf(out.failure).After)
}

// fail has a message tried again, or given up.
func (out *outcome) fail(p Policy, f *sdk.Failure, now feedback.Time, u float64) {
	d := out.delivery
	d.Attempts++
	d.LastError = clip(out.failure.Error())
	if code, reason := p.giveUp(d, f, now); code != "" {
		out.letter = letterOf(d, code, reason, now)
		return
	}
	d.NextAt = now.Add(p.Backoff(d.Attempts, f.After, u))
}

func letterOf(d *feedback.Delivery, code, reason string, at feedback.Time) *feedback.DeadLetter {
	return &feedback.DeadLetter{
		ID: LetterID(d), Kind: feedback.DeadDelivery, At: at, Code: code, Reason: reason, Delivery: d,
	}
}

// write makes the outcome part of an update. A message that was deleted meanwhile stays deleted.
func (out *outcome) write(tx *store.Tx) error {
	if out.failure == nil {
		tx.Delete(out.key)
		return nil
	}
	now, err := store.Load[feedback.Delivery](tx, out.key)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	d := out.delivery
	d.Body = now.Body // what was taken out of it meanwhile stays out
	if out.letter != nil {
		tx.Delete(out.key)
		return store.Put(tx, records.DeadLetterKey(out.letter.ID), out.letter)
	}
	tx.SetTimer(d.NextAt, TimerRetry, d.Destination, nil)
	return store.Put(tx, out.key, d)
}

// save begins to make durable what came of attempts, unless it is at that already or pauses. At the end it is tried once
// in spite of a pause.
func (lp *loop) save(ctx context.Context) {
	paused, ended := time.Now().Before(lp.resume), ctx.Err() != nil
	if len(lp.done) == 0 || lp.saving != nil || paused && (!ended || lp.last) {
		return
	}
	lp.last = ended
	outs := lp.done
	lp.saving, lp.done = outs, nil
	go func() { lp.saved <- write(context.WithoutCancel(ctx), lp.o.store, outs) }()
}

// write makes outcomes durable, in one update if they fit.
func write(ctx context.Context, st *store.Store, outs []outcome) error {
	return store.InParts(outs, func(part []outcome) error {
		return st.Update(ctx, func(tx *store.Tx) error {
			for i := range part {
				if err := part[i].write(tx); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// settle acts on what has become durable, or keeps it for another try.
func (lp *loop) settle(err error) {
	outs := lp.saving
	lp.saving = nil
	if err != nil {
		lp.done = append(outs, lp.done...)
		lp.fail(err)
		return
	}
	lp.trouble, lp.pause = nil, 0
	for i := range outs {
		lp.finish(&outs[i])
	}
}

// finish ends an attempt whose outcome is durable.
func (lp *loop) finish(out *outcome) {
	l, d := lp.lane, out.delivery
	l.mu.Lock()
	switch {
	case out.failure == nil:
		d.Attempts++
		l.status.Sent++
		l.status.LastSent = l.o.now()
	case out.letter != nil:
		l.status.Dead++
	case !host.Paused(out.failure):
		l.status.Failed++
	}
	l.mu.Unlock()
	switch {
	case out.failure == nil:
		lp.sent++
		call(l.o.hooks.Sent, *d)
	case out.letter != nil:
		l.line.drop(out.entry)
		call(l.o.hooks.Dead, *out.letter)
	default:
		l.line.later(out.entry, d.NextAt)
		if l.o.hooks.Failed != nil {
			l.o.hooks.Failed(*d, out.failure)
		}
	}
}

// fail pauses after the store has failed. Nothing is tried meanwhile.
func (lp *loop) fail(err error) {
	lp.trouble, lp.pause = err, min(max(2*lp.pause, leastPause), look)
	lp.resume = time.Now().Add(lp.pause)
}
