package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/engine/internal/audit"
	"github.com/closedloop/closedloop/engine/internal/outbox"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// ErrNoDestination says that a message cannot be replayed because its destination is not in the program.
var ErrNoDestination = errors.New("engine: the destination is not in the program")

// What people do to deliveries.
const (
	ActionReplay Action = "replay" // a dead one goes back into the line, a waiting one is tried at once
	ActionDrop   Action = "drop"   // it is not delivered any more
)

// DeliveryAction is something that somebody does to one delivery, or to all that a query chooses.
type DeliveryAction struct {
	Action Action `json:"action"`
	By     Actor  `json:"by"`
	Why    string `json:"why,omitempty"` // needed to drop
	// Key is that of one delivery, or the id of its dead letter.
	Key string `json:"key,omitempty"`
	// All chooses deliveries when there is no Key. Its After and Limit do not count.
	All *DeliveryQuery `json:"all,omitempty"`
	// Rehearse says to do nothing, and to return what would be done.
	Rehearse bool `json:"rehearse,omitempty"`
}

// DeliveryResult is what became of a DeliveryAction. Deliveries that reached their destination meanwhile do not count.
type DeliveryResult struct {
	Done         int            `json:"done"`
	Destinations map[string]int `json:"destinations"` // the same by destination
}

// ReplayDelivery tries a delivery again: a dead one goes to the end of its destination's line, one that waits for
// another try is due at once. Key and body stay as they are. See ActOnDeliveries for the errors.
func (s *State) ReplayDelivery(ctx context.Context, by Actor, key, why string) error {
	_, err := s.ActOnDeliveries(ctx, DeliveryAction{Action: ActionReplay, By: by, Why: why, Key: key})
	return err
}

// DropDelivery gives a delivery up for good. One that is just on its way may arrive all the same.
func (s *State) DropDelivery(ctx context.Context, by Actor, key, why string) error {
	_, err := s.ActOnDeliveries(ctx, DeliveryAction{Action: ActionDrop, By: by, Why: why, Key: key})
	return err
}

// ActOnDeliveries has somebody do something to deliveries, if the host allows it for each; see Options.Authorize, which is
// handed the case that a delivery is about, or one with its item alone. Dead ones are replayed in the order in which they
// were put into the outbox. Each act is an entry in the audit log, in the same update. Errors are ErrNotFound of a key,
// ErrMissing, ErrDenied, ErrNoDestination, or those of the store; when there is one with All, some may be done.
func (s *State) ActOnDeliveries(ctx context.Context, a DeliveryAction) (DeliveryResult, error) {
	none := DeliveryResult{Destinations: map[string]int{}}
	if err := a.check(); err != nil {
		return none, err
	}
	chosen, err := s.chosen(ctx, &a)
	if err != nil {
		return none, err
	}
	for i := range chosen {
		if err := s.mayAct(ctx, &a, &chosen[i]); err != nil {
			return none, err
		}
	}
	result := DeliveryResult{Destinations: map[string]int{}}
	for batch := range slices.Chunk(chosen, deskBatch) {
		err := store.InParts(batch, func(done []Delivery) (err error) {
			if !a.Rehearse {
				if done, err = s.actOn(ctx, &a, done); err != nil {
					return err
				}
			}
			for i := range done {
				result.Done++
				result.Destinations[done[i].Destination]++
			}
			return nil
		})
		if err != nil {
			return result, err
		}
	}
	if result.Done == 0 && a.Key != "" {
		return result, fmt.Errorf("delivery %s: %w", a.Key, ErrNotFound) // it was delivered meanwhile
	}
	return result, nil
}

// deskBatch bounds the deliveries that one update acts on.
const deskBatch = 64

func (a *DeliveryAction) check() error {
	switch {
	case a.Action != ActionReplay && a.Action != ActionDrop:
		return fmt.Errorf("found the action %q, which is none of a delivery: %w", a.Action, ErrMissing)
	case strings.TrimSpace(a.By.Name) == "":
		return fmt.Errorf("who acts: %w", ErrMissing)
	case a.Action == ActionDrop && strings.TrimSpace(a.Why) == "":
		return fmt.Errorf("to drop a delivery the reason must be given: %w", ErrMissing)
	case a.Key == "" && a.All == nil:
		return fmt.Errorf("the key of a delivery, or which: %w", ErrMissing)
	}
	return nil
}

// chosen returns the deliveries to act on, without their bodies, each destination's in the order of its line.
func (s *State) chosen(ctx context.Context, a *DeliveryAction) ([]Delivery, error) {
	if a.Key != "" {
		d, err := s.Delivery(ctx, a.Key)
		if err != nil {
			return nil, err
		}
		return []Delivery{*d}, nil
	}
	q := *a.All
	q.After, q.Limit, q.NoBody = "", everything, true
	page, err := s.Deliveries(ctx, q)
	slices.SortStableFunc(page.Deliveries, func(a, b Delivery) int {
		return cmp.Or(cmp.Compare(a.Destination, b.Destination), cmp.Compare(a.Sequence, b.Sequence))
	})
	return page.Deliveries, err
}

func (s *State) mayAct(ctx context.Context, a *DeliveryAction, d *Delivery) error {
	if a.Action == ActionReplay && !slices.Contains(s.destinations, d.Destination) {
		return fmt.Errorf("delivery %s to %s: %w", d.Key, d.Destination, ErrNoDestination)
	}
	if s.authorize == nil {
		return nil
	}
	about := feedback.Case{Item: d.Item}
	if d.Case != "" {
		switch c, err := s.Case(ctx, d.Case); {
		case err == nil:
			about = *c
		case !errors.Is(err, ErrNotFound): // it may have been erased
			return err
		}
	}
	return s.allowed(ctx, a.By, a.Action, about)
}

// actOn acts on deliveries in one update, and returns those that were still there.
func (s *State) actOn(ctx context.Context, a *DeliveryAction, these []Delivery) (done []Delivery, err error) {
	at := feedback.TimeOf(s.Clock())
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		done = nil
		for i := range these {
			d := these[i]
			switch err := a.do(tx, &d, at); {
			case errors.Is(err, store.ErrNotFound):
				continue
			case err != nil:
				return err
			}
			done = append(done, d)
		}
		return nil
	})
	if err == nil && s.outbox != nil {
		a.tell(s.outbox, done)
	}
	return done, err
}

// tell has the outbox know what was done to what may wait in it.
func (a *DeliveryAction) tell(o *outbox.Outbox, done []Delivery) {
	if a.Action == ActionDrop {
		o.Deleted()
		return
	}
	for i := range done {
		o.Expedited(done[i].Destination, done[i].Sequence)
	}
}

// do acts on one delivery and writes the audit log.
func (a *DeliveryAction) do(tx *store.Tx, d *Delivery, at feedback.Time) (err error) {
	switch {
	case a.Action == ActionDrop:
		key := records.DeliveryKey(d.Destination, d.Sequence)
		if d.State == DeliveryDead {
			key = records.DeadLetterKey(d.Letter)
		}
		if _, err = tx.Get(key); err == nil {
			tx.Delete(key)
		}
	case d.State == DeliveryDead:
		var back *feedback.Delivery
		if back, err = outbox.Replay(tx, d.Letter, at); err == nil {
			d.Sequence = back.Sequence
		}
	default:
		_, err = outbox.Expedite(tx, d.Destination, d.Sequence)
	}
	if err != nil {
		return err
	}
	data, err := json.Marshal(struct {
		Destination string          `json:"destination"`
		Kind        string          `json:"kind"`
		Item        feedback.ItemID `json:"item,omitempty"`
		Case        feedback.CaseID `json:"case,omitempty"`
		State       DeliveryState   `json:"state"`
		Code        string          `json:"code,omitempty"`
		Attempts    int             `json:"attempts,omitempty"`
	}{d.Destination, d.Kind, d.Item, d.Case, d.State, d.Code, d.Attempts})
	if err != nil {
		return err
	}
	_, err = audit.Append(tx, audit.Entry{At: at, Kind: "delivery." + string(a.Action), Who: a.By.Name, What: d.Key, Why: a.Why, Data: data})
	return err
}
