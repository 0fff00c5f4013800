// Package outbox sends the messages that decisions put into the store: at least once each, under an idempotency key
// that is the same at every attempt, after every restart and every replay.
//
// What holds:
//
//   - A destination has one lane. With a concurrency of 1 its messages go out in their order, and one that fails holds
//     back those behind it. With more, messages about the same item, case or alert keep their order and others overtake.
//   - A message that fails is tried again with full-jitter backoff (Brooker, "Exponential Backoff And Jitter", AWS 2015),
//     not before the destination asks for it, until it is sent, refused for good, too old, or tried too often; then it is
//     a dead letter. Attempts and due times are durable. The store's timer wheel wakes the lane, through Wake.
//   - A destination that fails several times in a row is left alone by a circuit breaker. Messages that wait meanwhile
//     are not tried, and so neither use up attempts nor grow too old at once. Breaker and rate begin anew with the process.
//   - A sent message is deleted in the order in which answers come, many in one commit. The process may die between the
//     answer and the commit: then at most unsaved messages are sent again, with the same keys and bodies.
//   - What somebody deletes while it waits is not sent; nothing brings it back.
//   - A message to a destination that is not in the program is a dead letter, once the program runs without it.
//
// Usage:
//
//	o := outbox.New(st, destinations, now, hooks)
//	err := o.Run(ctx) // until ctx ends
package outbox

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// TimerRetry is the kind of the timer that fires when a destination is to be tried again. Its reference is the
// destination's id.
const TimerRetry = "retry"

// Destination is where messages go.
type Destination struct {
	ID     string
	Plugin host.Plugin
	Policy Policy
}

// Hooks tell the host what became of messages, once that is durable. A nil hook is skipped. Those of one destination
// are called one after another, and hold it up.
type Hooks struct {
	Sent   func(feedback.Delivery)
	Failed func(feedback.Delivery, error) // it is tried again
	Dead   func(feedback.DeadLetter)
}

// Outbox is safe for concurrent use.
type Outbox struct {
	store  *store.Store
	now    func() feedback.Time
	hooks  Hooks
	lanes  map[string]*lane
	strays chan struct{} // holds one when there may be messages to destinations that are not in the program
}

// New returns the outbox of the destinations.
func New(st *store.Store, destinations []Destination, now func() feedback.Time, hooks Hooks) *Outbox {
	o := &Outbox{store: st, now: now, hooks: hooks, lanes: map[string]*lane{}, strays: make(chan struct{}, 1)}
	for _, d := range destinations {
		o.lanes[d.ID] = newLane(o, d)
	}
	return o
}

// Wake has a destination look for messages.
func (o *Outbox) Wake(destination string) {
	if l := o.lanes[destination]; l != nil {
		signal(l.wake)
	} else {
		signal(o.strays)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// look is the longest that a destination waits before it looks for due messages unasked.
const look = time.Minute

// Run serves every destination until ctx ends; attempts that are then under way may end within a short time. Store
// failures do not end it: the messages stay where they are, and are tried again.
func (o *Outbox) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { o.buryStrays(ctx) })
	for _, l := range o.lanes {
		wg.Go(func() { _, _ = l.serve(ctx, false) })
	}
	wg.Wait()
}

// Drain tries what is due at each destination, as fast as its rate allows, until nothing is due any more or ctx ends. It
// returns how many were sent. The error is the store's.
func (o *Outbox) Drain(ctx context.Context) (sent int, err error) {
	err = o.bury(ctx)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, l := range o.lanes {
		wg.Go(func() {
			n, e := l.serve(ctx, true)
			mu.Lock()
			defer mu.Unlock()
			sent, err = sent+n, errors.Join(err, e)
		})
	}
	wg.Wait()
	return sent, errors.Join(err, ctx.Err())
}

// hurried bounds the messages that Hurry makes due.
const hurried = 256

// Hurry makes the first messages of a destination due at once, ends what its breaker waits for, and has it look.
func (o *Outbox) Hurry(ctx context.Context, destination string) error {
	l := o.lanes[destination]
	if l == nil {
		return nil
	}
	var seqs []uint64
	err := o.store.View(func(s *store.Snapshot) error {
		n := 0
		return records.Each(s, records.DeliveryPrefix(destination), nil, false, func(h *head) (bool, error) {
			if n++; h.NextAt != 0 {
				seqs = append(seqs, h.Sequence)
			}
			return n < hurried, nil
		})
	})
	if err != nil {
		return err
	}
	if len(seqs) > 0 {
		err = o.expedite(ctx, destination, seqs)
	}
	l.hurry(true, nil)
	return err
}

// expedite makes waiting messages due at once, in one update if they fit.
func (o *Outbox) expedite(ctx context.Context, destination string, seqs []uint64) error {
	return store.InParts(seqs, func(part []uint64) error {
		return o.store.Update(ctx, func(tx *store.Tx) error {
			for _, n := range part {
				if _, err := Expedite(tx, destination, n); err != nil && !errors.Is(err, store.ErrNotFound) {
					return err
				}
			}
			return nil
		})
	})
}

// Expedited tells a destination that a waiting message was made due by Expedite.
func (o *Outbox) Expedited(destination string, sequence uint64) {
	if l := o.lanes[destination]; l != nil {
		l.hurry(false, []uint64{sequence})
	}
}

// Deleted tells the destinations that messages which waited were deleted: they are not to hold back those behind them
// until they would have been tried again.
func (o *Outbox) Deleted() {
	for _, l := range o.lanes {
		l.tell(func() {
			_ = l.line.forget(l.o.store, l.ID) // when it fails, what is gone is found when it is tried
		})
	}
}

// Has reports whether the destination is in the program.
func (o *Outbox) Has(destination string) bool { return o.lanes[destination] != nil }

// Status is how a destination stands since the process began to serve it.
type Status struct {
	Breaker BreakerState
	// Resting is when the destination is tried again: its breaker is open, it asked to be left alone, or its plugin is
	// paused. Zero when it is not left alone.
	Resting  feedback.Time
	InFlight int   // messages on their way
	Sent     int64 // since the process began
	Failed   int64 // attempts that are tried again
	Dead     int64 // given up
	Opened   int64 // how often the breaker has opened
	LastSent feedback.Time
	Trouble  error // of the store, while nothing is tried because of it
}

// Status returns how the destinations stand, by id.
func (o *Outbox) Status() map[string]Status {
	out := make(map[string]Status, len(o.lanes))
	for id, l := range o.lanes {
		l.mu.Lock()
		out[id] = l.status
		l.mu.Unlock()
	}
	return out
}
