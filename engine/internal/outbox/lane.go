package outbox

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

const (
	// unsaved is how many answers may wait to become durable; that many messages are sent again after a kill at most.
	unsaved = 64
	// grace is how long attempts may go on when they should end.
	grace = 2 * time.Second
	// leastPause and look bound the pause after the store has failed, which doubles each time.
	leastPause = time.Second
)

// lane serves one destination. Its loop alone uses what is not guarded.
type lane struct {
	Destination
	o       *Outbox
	wake    chan struct{}
	serving sync.Mutex // one loop at a time

	line    line
	breaker breaker
	bucket  bucket
	rest    feedback.Time // nothing is tried before it, because destination or plugin asked for that
	flight  int           // attempts under way
	done    []outcome     // what came of attempts, to be made durable

	mu     sync.Mutex
	told   []func() // for the loop
	status Status
}

func newLane(o *Outbox, d Destination) *lane {
	d.Policy = d.Policy.WithDefaults()
	l := &lane{
		Destination: d, o: o, wake: make(chan struct{}, 1), status: Status{Breaker: Closed},
		line:    line{strict: d.Policy.Concurrency == 1, held: map[string]bool{}},
		breaker: newBreaker(d.Policy.Breaker), bucket: newBucket(d.Policy.Rate, time.Now()),
	}
	return l
}

// hurry has the loop try messages that wait for another try: those with the sequence numbers, or all.
func (l *lane) hurry(all bool, seqs []uint64) {
	l.tell(func() {
		l.line.hurry(all, seqs)
		l.breaker.tryNow()
		l.rest = 0
	})
}

// tell has the loop do something.
func (l *lane) tell(do func()) {
	l.mu.Lock()
	l.told = append(l.told, do)
	l.mu.Unlock()
	signal(l.wake)
}

func (l *lane) heed() {
	l.mu.Lock()
	told := l.told
	l.told = nil
	l.mu.Unlock()
	for _, do := range told {
		do()
	}
}

// loop is one time that a lane is served.
type loop struct {
	*lane
	once     bool            // until nothing is due
	attempts context.Context // of attempts
	came     chan outcome
	saved    chan error
	saving   []outcome // what is being made durable
	sent     int

	trouble error         // of the store, until it works again
	pause   time.Duration // after it
	resume  time.Time     // the end of the pause
	last    bool          // the end was tried once in spite of the pause
}

// serve sends what is due until ctx ends, or with once until nothing is. It returns how many were sent. With once, the
// error of the store ends it; otherwise what failed is tried again.
func (l *lane) serve(ctx context.Context, once bool) (sent int, err error) {
	l.serving.Lock()
	defer l.serving.Unlock()
	attempts, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	lp := &loop{
		lane: l, once: once, attempts: attempts,
		came: make(chan outcome, l.Policy.Concurrency), saved: make(chan error, 1),
	}
	l.line.end = false
	ended := ctx.Done()
	for {
		l.heed()
		wait, more, err := lp.start(ctx)
		lp.save(ctx)
		idle := l.flight == 0 && lp.saving == nil
		lp.show()
		if idle && (ctx.Err() != nil || once && (err != nil || !more)) {
			return lp.sent, err
		}
		timer := time.NewTimer(wait)
		select {
		case out := <-lp.came:
			lp.land(out)
		case err := <-lp.saved:
			lp.settle(err)
		case <-l.wake:
			l.line.end = false
		case <-timer.C:
			l.line.end = false
		case <-ended:
			ended = nil
			defer time.AfterFunc(grace, cut).Stop()
		}
		timer.Stop()
	}
}

// start begins what may begin. It returns how long it is until more may, and whether that is only because of the rate or
// of what is under way.
func (lp *loop) start(ctx context.Context) (wait time.Duration, more bool, err error) {
	l := lp.lane
	for l.flight < l.Policy.Concurrency && len(l.done)+len(lp.saving)+l.flight < unsaved {
		now := l.o.now()
		if ctx.Err() != nil {
			return look, false, nil
		}
		if left := time.Until(lp.resume); left > 0 {
			return left, false, lp.trouble
		}
		if left := l.rest.Std().Sub(now.Std()); left > 0 && left <= longestAfter {
			return min(left, look), false, nil
		}
		switch left, known := l.breaker.wait(now); {
		case !known: // what comes of the attempt wakes the loop
			return look, false, nil
		case left > 0:
			return min(left, look), false, nil
		}
		if err := l.line.fill(l.o.store, l.ID, 2*l.Policy.Concurrency); err != nil {
			lp.fail(err)
			return lp.pause, false, err
		}
		if len(l.done)+len(lp.saving) == 0 {
			lp.trouble, lp.pause = nil, 0
		}
		e, wait := l.line.pick(now, max(l.Policy.Cap, longestAfter))
		if e == nil {
			return wait, false, nil
		}
		if wait := l.bucket.wait(time.Now()); wait > 0 {
			return wait, true, nil
		}
		l.bucket.take()
		l.breaker.pass()
		l.line.begin(e)
		l.flight++
		go func() { lp.came <- l.attempt(lp.attempts, e) }()
	}
	return look, true, nil
}

// attempt tries one message.
func (l *lane) attempt(ctx context.Context, e *entry) outcome {
	out := outcome{entry: e, key: records.DeliveryKey(l.ID, e.seq)}
	err := l.o.store.View(func(s *store.Snapshot) (err error) {
		out.delivery, err = store.Load[feedback.Delivery](s, out.key)
		return err
	})
	if err != nil {
		out.failure, out.untried = err, true
		return out
	}
	d := out.delivery
	limited, cancel := context.WithTimeout(ctx, l.Policy.Timeout)
	defer cancel()
	out.failure = l.Plugin.Deliver(limited, sdk.Message{Key: d.Key, Attempt: d.Attempts + 1, Kind: d.Kind, At: d.CreatedAt, Body: d.Body})
	switch {
	case out.failure == nil:
	case ctx.Err() != nil:
		out.untried = true // nobody knows what became of it
	case limited.Err() != nil:
		out.failure = sdk.Retry(0, "no answer within %s", l.Policy.Timeout)
	}
	return out
}

// land takes note of what came of an attempt.
func (lp *loop) land(out outcome) {
	l := lp.lane
	l.flight--
	now := l.o.now()
	switch f := sdk.FailureOf(out.failure); {
	case errors.Is(out.failure, store.ErrNotFound) && out.untried: // somebody has deleted it
		l.breaker.void()
		l.line.drop(out.entry)
		return
	case out.untried:
		l.breaker.void()
		l.line.later(out.entry, out.entry.next)
		if lp.attempts.Err() == nil {
			lp.fail(out.failure)
		}
		return
	case f == nil:
		l.breaker.worked()
		l.line.drop(out.entry)
	case host.Paused(out.failure):
		l.breaker.void()
		out.hold(now)
		l.rest = out.delivery.NextAt
	default:
		if f.Fatal {
			l.breaker.worked()
		} else {
			l.failed(now, f)
		}
		out.fail(l.Policy, f, now, rand.Float64())
	}
	l.done = append(l.done, out)
}

// failed takes note of a destination that does not work.
func (l *lane) failed(now feedback.Time, f *sdk.Failure) {
	was := l.breaker.opened
	l.breaker.failed(now, rand.Float64())
	if f.After > 0 {
		l.rest = now.Add(min(f.After, longestAfter))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Opened += int64(l.breaker.opened - was)
}

// show has the status say how the lane stands.
func (lp *loop) show() {
	l := lp.lane
	until := l.rest
	if l.breaker.state == Open {
		until = max(until, l.breaker.until)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Breaker, l.status.InFlight, l.status.Resting, l.status.Trouble = l.breaker.state, l.flight, 0, lp.trouble
	if until > l.o.now() {
		l.status.Resting = until
	}
}

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
