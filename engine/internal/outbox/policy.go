package outbox

import (
	"cmp"
	"fmt"
	"time"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Policy says how a destination is served. Zero members take their defaults.
type Policy struct {
	Base        time.Duration // the first wait after a failure is up to this. Defaults to 5 s.
	Cap         time.Duration // no wait is longer. Defaults to 1 h.
	MaxAge      time.Duration // a message that fails when it is older is given up. Defaults to 72 h.
	Attempts    int           // a message tried this often is given up. Defaults to 20.
	Concurrency int           // how many messages are on their way at once. Defaults to 1, which keeps all in order.
	Timeout     time.Duration // how long one attempt may take. Defaults to 30 s.
	Rate        Rate          // how many attempts are begun in a time. Defaults to no bound.
	Breaker     BreakerPolicy
}

// Rate is so many in a time. The zero value is no bound.
type Rate struct {
	N   int
	Per time.Duration
}

// BreakerPolicy says when a destination that does not work is left alone, and for how long.
type BreakerPolicy struct {
	Failures int           // in a row that open the breaker. Defaults to 5.
	Open     time.Duration // the first time that it stays open is up to this; each next doubles it. Defaults to Policy.Base.
	Cap      time.Duration // it never stays open longer. Defaults to the lesser of 10 min and Policy.Cap.
}

// WithDefaults returns the policy with every zero replaced by its default.
func (p Policy) WithDefaults() Policy {
	set(&p.Base, 5*time.Second)
	set(&p.Cap, time.Hour)
	set(&p.MaxAge, 72*time.Hour)
	set(&p.Attempts, 20)
	set(&p.Concurrency, 1)
	set(&p.Timeout, 30*time.Second)
	set(&p.Breaker.Failures, 5)
	set(&p.Breaker.Open, p.Base)
	set(&p.Breaker.Cap, max(min(p.Cap, 10*time.Minute), p.Breaker.Open))
	return p
}

func set[T int | time.Duration](p *T, value T) {
	if *p <= 0 {
		*p = value
	}
}

// longestAfter bounds what a destination may ask to wait.
const longestAfter = 24 * time.Hour

// Backoff returns how long to wait after so many attempts: u in [0, 1) of the base doubled with each, at most the cap,
// and never less than what the destination asked for, of which a day counts.
func (p Policy) Backoff(attempts int, asked time.Duration, u float64) time.Duration {
	return max(jitter(p.Base, p.Cap, attempts-1, u), min(asked, longestAfter))
}

// jitter returns u in [0, 1) of base doubled so often, at most most, and at least a millisecond.
func jitter(base, most time.Duration, doublings int, u float64) time.Duration {
	ceiling := most
	if doublings < 32 && base<<doublings>>doublings == base {
		ceiling = min(ceiling, base<<doublings)
	}
	return max(time.Duration(u*float64(ceiling)), time.Millisecond)
}

// The codes of messages that were given up.
const (
	codeRefused  = "refused"  // the destination will never take it
	codeAttempts = "attempts" // it was tried too often
	codeTooOld   = "too_old"
)

// giveUp returns why a message whose attempt has failed is not tried again, or "".
func (p Policy) giveUp(d *feedback.Delivery, f *sdk.Failure, now feedback.Time) (code, reason string) {
	age := now.Std().Sub(cmp.Or(d.ReplayedAt, d.CreatedAt).Std()) // also when the clock stepped back before the replay
	switch {
	case f.Fatal:
		return codeRefused, d.LastError
	case d.Attempts >= p.Attempts:
		return codeAttempts, fmt.Sprintf("tried %d times: %s", d.Attempts, d.LastError)
	case age >= p.MaxAge:
		return codeTooOld, fmt.Sprintf("%s old: %s", age.Round(time.Minute), d.LastError)
	}
	return "", ""
}
