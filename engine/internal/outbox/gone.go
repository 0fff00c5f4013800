package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// codeNoDestination is the code of messages whose destination is not in the program.
const codeNoDestination = "no_destination"

// buryStrays gives up the messages of destinations that are not in the program, now and whenever there may be new ones.
func (o *Outbox) buryStrays(ctx context.Context) {
	signal(o.strays)
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.strays:
		}
		if err := o.bury(ctx); err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(look):
			signal(o.strays)
		}
	}
}

// bury gives up the messages of destinations that are not in the program: nobody is to find them delivered when the
// name is used again for something else. They can be replayed once the destination is back.
func (o *Outbox) bury(ctx context.Context) error {
	var found []string
	err := o.store.View(func(s *store.Snapshot) (err error) {
		found, err = records.Outgoing(s)
		return err
	})
	for _, id := range found {
		if err == nil && o.lanes[id] == nil {
			err = o.buryAll(ctx, id)
		}
	}
	return err
}

func (o *Outbox) buryAll(ctx context.Context, destination string) error {
	for l := (line{}); !l.end && ctx.Err() == nil; l.entries = nil {
		if err := l.more(o.store, destination); err != nil {
			return err
		}
		if err := store.InParts(l.entries, func(part []*entry) error { return o.buryThese(ctx, destination, part) }); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (o *Outbox) buryThese(ctx context.Context, destination string, these []*entry) error {
	var letters []*feedback.DeadLetter
	err := o.store.Update(ctx, func(tx *store.Tx) error {
		for _, e := range these {
			key := records.DeliveryKey(destination, e.seq)
			d, err := store.Load[feedback.Delivery](tx, key)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			letter := letterOf(d, codeNoDestination, fmt.Sprintf("the program has no destination %s; once it is back, the message can be replayed", destination), o.now())
			letters = append(letters, letter)
			tx.Delete(key)
			if err := store.Put(tx, records.DeadLetterKey(letter.ID), letter); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		for _, letter := range letters {
			call(o.hooks.Dead, *letter)
		}
	}
	return err
}
