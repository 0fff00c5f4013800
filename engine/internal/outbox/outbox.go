// Package outbox sends the messages that decisions put into the store: at least once each, in the order of their
// destination, under an idempotency key that is the same at every attempt.
//
// A message that fails holds back those behind it. It is tried again with full-jitter backoff (Brooker, "Exponential
// Backoff And Jitter", AWS 2015) until it is sent, refused for good, too old, or tried too often; then it goes to the
// dead letters, and the next one has its turn. Attempts and due times are durable; the store's timer wheel wakes the
// destination up, through Wake.
//
//	o := outbox.New(st, destinations, now, hooks)
//	err := o.Run(ctx) // one worker a destination, until ctx ends
package outbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// TimerRetry is the kind of the timer that fires when a destination is to be tried again. Its reference is the
// destination's id.
const TimerRetry = "retry"

// Policy says how often and how long a destination is tried. Zero members take their defaults.
type Policy struct {
	Base     time.Duration // the first wait is up to this. Defaults to 5 s.
	Cap      time.Duration // no wait is longer. Defaults to 1 h.
	MaxAge   time.Duration // a message older than this is given up. Defaults to 72 h.
	Attempts int           // a message tried this often is given up. Defaults to 50.
}

// WithDefaults returns the policy with every zero replaced by its default.
func (p Policy) WithDefaults() Policy {
	if p.Base <= 0 {
		p.Base = 5 * time.Second
	}
	if p.Cap <= 0 {
		p.Cap = time.Hour
	}
	if p.MaxAge <= 0 {
		p.MaxAge = 72 * time.Hour
	}
	if p.Attempts <= 0 {
		p.Attempts = 50
	}
	return p
}

// Backoff returns how long to wait after so many attempts: u in [0, 1) of the base doubled with each, at most the cap,
// and never less than what the destination asked for.
func (p Policy) Backoff(attempts int, asked time.Duration, u float64) time.Duration {
	ceiling := p.Cap
	if shift := attempts - 1; shift < 32 && p.Base<<shift>>shift == p.Base {
		ceiling = min(ceiling, p.Base<<shift)
	}
	return max(time.Duration(u*float64(ceiling)), asked, time.Millisecond)
}

// Destination is where messages go.
type Destination struct {
	ID     string
	Plugin host.Plugin
	Policy Policy
}

// Hooks tell the host what became of messages. A nil hook is skipped.
type Hooks struct {
	Sent   func(feedback.Delivery)
	Failed func(feedback.Delivery, error) // it is tried again
	Dead   func(feedback.DeadLetter)
}

// Outbox is safe for concurrent use. A destination is served by one goroutine at a time.
type Outbox struct {
	store *store.Store
	now   func() feedback.Time
	hooks Hooks
	lanes map[string]*lane
}

type lane struct {
	Destination
	mu   sync.Mutex // one attempt at a time
	wake chan struct{}
}

// New returns the outbox of the destinations.
func New(st *store.Store, destinations []Destination, now func() feedback.Time, hooks Hooks) *Outbox {
	o := &Outbox{store: st, now: now, hooks: hooks, lanes: map[string]*lane{}}
	for _, d := range destinations {
		d.Policy = d.Policy.WithDefaults()
		o.lanes[d.ID] = &lane{Destination: d, wake: make(chan struct{}, 1)}
	}
	return o
}

// Wake has a destination look for due messages. An unknown destination is nothing to wake.
func (o *Outbox) Wake(destination string) {
	if l := o.lanes[destination]; l != nil {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// look is the longest that a destination waits before it looks for due messages unasked.
const look = time.Minute

// Run serves every destination until ctx ends. Store failures do not end it: the messages stay where they are, and are
// tried again.
func (o *Outbox) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, l := range o.lanes {
		wg.Go(func() { o.serve(ctx, l) })
	}
	wg.Wait()
}

func (o *Outbox) serve(ctx context.Context, l *lane) {
	for pause := time.Second; ; {
		_, next, err := o.drain(ctx, l)
		if err != nil {
			next, pause = pause, min(2*pause, look)
		} else {
			pause = time.Second
		}
		timer := time.NewTimer(min(max(next, time.Millisecond), look))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-l.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// Hurry makes a destination's first message due at once, and has the destination look for it.
func (o *Outbox) Hurry(ctx context.Context, destination string) error {
	l := o.lanes[destination]
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	d, err := o.head(destination)
	if err != nil || d == nil || d.NextAt == 0 {
		return err
	}
	d.NextAt = 0
	err = o.store.Update(ctx, func(tx *store.Tx) error {
		return store.Put(tx, records.DeliveryKey(d.Destination, d.Sequence), d)
	})
	o.Wake(destination)
	return err
}

// Drain tries what is due at each destination once, in order, until one fails. It returns how many were sent.
func (o *Outbox) Drain(ctx context.Context) (sent int, err error) {
	for _, l := range o.lanes {
		n, _, e := o.drain(ctx, l)
		sent, err = sent+n, errors.Join(err, e)
	}
	return sent, err
}

// drain sends the lane's messages from the head until none is due, and returns how long that will be.
func (o *Outbox) drain(ctx context.Context, l *lane) (sent int, next time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ctx.Err() == nil {
		d, err := o.head(l.ID)
		if err != nil || d == nil {
			return sent, look, err
		}
		if left := d.NextAt.Std().Sub(o.now().Std()); d.NextAt != 0 && left > 0 {
			return sent, left, nil
		}
		ok, err := o.attempt(ctx, l, d)
		if err != nil {
			return sent, look, err
		}
		if ok {
			sent++
		}
	}
	return sent, look, ctx.Err()
}

// head returns the destination's oldest message, or nil.
func (o *Outbox) head(destination string) (d *feedback.Delivery, err error) {
	err = o.store.View(func(s *store.Snapshot) error {
		return records.Each(s, records.DeliveryPrefix(destination), nil, false, func(v *feedback.Delivery) (bool, error) {
			d = v
			return false, nil
		})
	})
	return d, err
}

// attempt tries one message and records what came of it. The error is the store's.
func (o *Outbox) attempt(ctx context.Context, l *lane, d *feedback.Delivery) (sent bool, err error) {
	failure := l.Plugin.Deliver(ctx, sdk.Message{Key: d.Key, Attempt: d.Attempts + 1, Kind: d.Kind, At: d.CreatedAt, Body: d.Body})
	if ctx.Err() != nil && failure != nil {
		return false, ctx.Err()
	}
	if host.Paused(failure) {
		return false, o.hold(ctx, d, failure)
	}
	d.Attempts++
	key := records.DeliveryKey(d.Destination, d.Sequence)
	if failure == nil {
		// A stop that comes now must not make it be sent again.
		if err := o.store.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error { tx.Delete(key); return nil }); err != nil {
			return false, err
		}
		call(o.hooks.Sent, *d)
		return true, nil
	}
	f := sdk.FailureOf(failure)
	d.LastError = clip(failure.Error())
	now := o.now()
	if code, reason := l.Policy.giveUp(d, f, now); code != "" {
		return false, o.kill(ctx, d, code, reason, now)
	}
	d.NextAt = now.Add(l.Policy.Backoff(d.Attempts, min(f.After, longestAfter), rand.Float64()))
	return false, o.later(ctx, d, failure)
}

// hold leaves a message as it is while the destination's plugin is paused: it was not tried.
func (o *Outbox) hold(ctx context.Context, d *feedback.Delivery, paused error) error {
	d.LastError = clip(paused.Error())
	d.NextAt = o.now().Add(sdk.FailureOf(paused).After)
	return o.later(ctx, d, paused)
}

func (o *Outbox) later(ctx context.Context, d *feedback.Delivery, failure error) error {
	err := o.store.Update(ctx, func(tx *store.Tx) error {
		tx.SetTimer(d.NextAt, TimerRetry, d.Destination, nil)
		return store.Put(tx, records.DeliveryKey(d.Destination, d.Sequence), d)
	})
	if err == nil && o.hooks.Failed != nil {
		o.hooks.Failed(*d, failure)
	}
	return err
}

// giveUp returns why a message is not tried again, or "".
func (p Policy) giveUp(d *feedback.Delivery, f *sdk.Failure, now feedback.Time) (code, reason string) {
	age := now.Std().Sub(d.CreatedAt.Std())
	switch {
	case f.Fatal:
		return "refused", d.LastError
	case d.Attempts >= p.Attempts:
		return "attempts", fmt.Sprintf("tried %d times: %s", d.Attempts, d.LastError)
	case age >= p.MaxAge:
		return "too_old", fmt.Sprintf("%s old: %s", age.Round(time.Minute), d.LastError)
	}
	return "", ""
}

func (o *Outbox) kill(ctx context.Context, d *feedback.Delivery, code, reason string, now feedback.Time) error {
	letter := feedback.DeadLetter{
		ID: records.DeadLetterID(d.Destination, "", d.Key, ""), Kind: feedback.DeadDelivery, At: now,
		Code: code, Reason: reason, Delivery: d,
	}
	err := o.store.Update(ctx, func(tx *store.Tx) error {
		tx.Delete(records.DeliveryKey(d.Destination, d.Sequence))
		return store.Put(tx, records.DeadLetterKey(letter.ID), &letter)
	})
	if err == nil {
		call(o.hooks.Dead, letter)
	}
	return err
}

// Replay puts a dead delivery back at the end of its destination's line, under the same key.
func (o *Outbox) Replay(ctx context.Context, letter feedback.DeadLetter) error {
	d := *letter.Delivery
	if o.lanes[d.Destination] == nil {
		return fmt.Errorf("destination %q is not in the program", d.Destination)
	}
	d.Attempts, d.NextAt, d.CreatedAt = 0, 0, o.now()
	err := o.store.Update(ctx, func(tx *store.Tx) error {
		if _, err := tx.Get(records.DeadLetterKey(letter.ID)); err != nil {
			return fmt.Errorf("dead letter %s: %w", letter.ID, err)
		}
		n, err := records.NextSequence(tx, d.Destination)
		if err != nil {
			return err
		}
		d.Sequence = n
		tx.Set(records.SequenceKey(d.Destination), strconv.AppendUint(nil, n, 10))
		tx.Delete(records.DeadLetterKey(letter.ID))
		return store.Put(tx, records.DeliveryKey(d.Destination, d.Sequence), &d)
	})
	if err == nil {
		o.Wake(d.Destination)
	}
	return err
}

// longestAfter bounds what a destination may ask to wait.
const longestAfter = 24 * time.Hour

// clip bounds a message that is kept.
func clip(s string) string {
	const most = 1 << 10
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

func call[T any](hook func(T), v T) {
	if hook != nil {
		hook(v)
	}
}
