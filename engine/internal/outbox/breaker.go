package outbox

import (
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// BreakerState is how the circuit breaker of a destination stands.
type BreakerState string

// The states of a breaker.
const (
	Closed   BreakerState = "closed"    // messages pass
	Open     BreakerState = "open"      // none passes until the time is over
	HalfOpen BreakerState = "half_open" // one at a time passes, to see whether the destination works again
)

// breaker leaves a destination alone that does not work. A destination works when it answers, also when it refuses a
// message for good; so only failures that ask for another try count.
type breaker struct {
	policy   BreakerPolicy
	state    BreakerState
	failures int           // in a row, while it is closed
	opened   int           // times in a row
	until    feedback.Time // while it is open
	trying   bool          // a message is on its way while it is half open
}

func newBreaker(p BreakerPolicy) breaker { return breaker{policy: p, state: Closed} }

// wait returns how long it is until a message may pass, and whether that is known: while one is tried it is not. A clock
// that was set back does not make it longer.
func (b *breaker) wait(now feedback.Time) (left time.Duration, known bool) {
	if b.state == Open {
		if left = b.until.Std().Sub(now.Std()); left > 0 && left <= b.policy.Cap {
			return left, true
		}
		b.state, b.trying = HalfOpen, false
	}
	return 0, b.state != HalfOpen || !b.trying
}

// pass notes that a message passes, which wait has allowed.
func (b *breaker) pass() { b.trying = b.state == HalfOpen }

// worked notes that the destination has answered.
func (b *breaker) worked() { *b = newBreaker(b.policy) }

// failed notes that an attempt has failed; u in [0, 1) chooses how long the breaker stays open if it opens now.
func (b *breaker) failed(now feedback.Time, u float64) {
	b.failures++
	if b.state == Open || b.state == Closed && b.failures < b.policy.Failures {
		return // what was on its way when it opened tells nothing new
	}
	b.until = now.Add(jitter(b.policy.Open, b.policy.Cap, b.opened, u))
	b.state, b.trying = Open, false
	b.opened++
}

// void notes that the attempt that had passed was none.
func (b *breaker) void() { b.trying = false }

// tryNow ends the time that it stays open.
func (b *breaker) tryNow() {
	if b.state == Open {
		b.state, b.trying = HalfOpen, false
	}
}
