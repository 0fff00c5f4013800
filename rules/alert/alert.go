// Package alert holds the state machines behind alerts: the state of one alert (Instance), what is told together to one
// destination (Group), messages that are collected (Digest), silences, and which alerts keep others quiet.
//
// The package has no clock: every call is given the instant at which it happens. The same calls give the same state,
// and a state that was written as JSON and read again goes on as if nothing had happened. A state and the notification
// that a call returns belong into one commit; then no notification is lost and none is sent twice. A clock that is set
// back lengthens a wait by at most that wait; it never makes anything happen early.
//
//	var in alert.Instance
//	var group alert.Group
//	change := in.Observe(alert.True, now, alert.Policy{For: 30 * time.Minute})
//	if change == alert.Fires || change == alert.Resolves {
//		m := alert.Member{Rule: "nps-drop", Key: "kettle", Severity: "critical", Summary: "NPS fell", FiringAt: in.FiringAt}
//		group.Update(m, in.Status == alert.Firing, now, pace)
//	}
//	// Later, at the instant of group.Due():
//	if note, _ := group.Flush(now, pace, alert.Conditions{}); note != nil {
//		send(note) // note.Sequence is the idempotency key within the group
//	}
package alert

import (
	"errors"
	"math"
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// ErrDamaged says that a stored state contradicts itself and cannot be gone on with.
var ErrDamaged = errors.New("damaged state")

// Truth says whether a condition holds.
type Truth uint8

// The truth values.
const (
	False Truth = iota
	Unknown
	True
)

// lastInstant is the end of the year 9999, beyond which an instant cannot be written in RFC 3339.
var lastInstant = feedback.TimeOf(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC))

// after returns the instant d after t. Less than nothing counts as nothing, and no instant is beyond lastInstant.
func after(t feedback.Time, d time.Duration) feedback.Time {
	ms := max(d, 0).Milliseconds()
	if max(d, 0)%time.Millisecond > 0 {
		ms++ // a wait is never cut short
	}
	if t > lastInstant || ms > int64(lastInstant-min(t, lastInstant)) {
		return lastInstant
	}
	return t + feedback.Time(ms)
}

// earlier returns the earlier of two instants, of which either may be not given.
func earlier(a, b feedback.Time) feedback.Time {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// instant returns a now that is given: clocks that stand before 1970 count as standing at its beginning.
func instant(now feedback.Time) feedback.Time { return min(max(now, 1), lastInstant) }

// storable returns an instant that can be written: one that is given and at most lastInstant, or none.
func storable(t feedback.Time) feedback.Time { return min(max(t, 0), lastInstant) }

// notBeyond moves instants of the past that lie after now, because the clock was set back, to now.
func notBeyond(now feedback.Time, past ...*feedback.Time) {
	for _, t := range past {
		*t = min(*t, now)
	}
}

// sequence returns the number of the next notification: the instant in milliseconds, or one more than the last when the
// clock has not gone on since. So it also rises for a group that was forgotten and begins again.
func sequence(last int64, now feedback.Time) int64 {
	if last == math.MaxInt64 {
		return last
	}
	return max(last+1, int64(now))
}
