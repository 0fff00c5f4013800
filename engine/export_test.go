package engine

import (
	"context"

	"github.com/fsnotify/fsnotify"

	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules/backtest"
	"github.com/closedloop/closedloop/rules/rehearsal"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// EachStep calls yield with what a backtest of the rules that decide does with each item of the past.
func (e *Engine) EachStep(ctx context.Context, o backtest.Options, yield func(feedback.ItemID, *rehearsal.Step)) error {
	run := backtest.New(e.Rules(), o)
	return e.store.View(func(snap *store.Snapshot) error {
		return history(ctx, snap, o.Since, o.Until, func(p *past) error {
			step := run.Add(p.event, p.corrections...)
			yield(p.event.Item.ID, &step)
			return nil
		})
	})
}

// EachPast calls yield with each item of the past, without deciding on it.
func (e *Engine) EachPast(ctx context.Context, until feedback.Time, yield func(feedback.ItemID)) error {
	return e.store.View(func(snap *store.Snapshot) error {
		return history(ctx, snap, 0, until, func(p *past) error {
			yield(p.event.Item.ID)
			return nil
		})
	})
}

// Loop runs without a socket: in virtual time nothing may wait for the network.
func (e *Engine) Loop(ctx context.Context) error { return e.loop(ctx) }

// Updates returns how many updates the store has made durable since it was opened.
func (e *Engine) Updates() uint64 { return e.store.Stats().Updates }

// Watches reports whether a write to a file may have changed the program.
func (e *Engine) Watches(file string) bool {
	return e.matters(fsnotify.Event{Name: file, Op: fsnotify.Write})
}

// ErrorCode is errorCode.
var ErrorCode = errorCode

// Before is before.
var Before = before

// Dump returns every record of the store.
func (e *Engine) Dump() (map[string]string, error) {
	out := map[string]string{}
	return out, e.store.View(func(s *store.Snapshot) error {
		return s.Scan(nil, nil, false, func(key, payload []byte) (bool, error) {
			out[string(key)] = string(payload)
			return true, nil
		})
	})
}
