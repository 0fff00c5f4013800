package alert

import (
	"math"
	"testing"
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// However long the time between two digests is, the next one has an instant, after the message and not beyond that time.
func TestRhythmsOfAnyLength(t *testing.T) {
	t.Parallel()
	now := feedback.TimeOf(time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC))
	for _, every := range []time.Duration{math.MinInt64, -1, 0, 1, time.Minute, day - 1, day, day + 1, 36500 * day, math.MaxInt64 - day + 2, math.MaxInt64} {
		for _, aligned := range []bool{false, true} {
			for _, offset := range []time.Duration{0, 8 * time.Hour, math.MaxInt64} {
				at := Rhythm{Every: every, Aligned: aligned, Offset: offset}.next(now)
				least := max(every, time.Minute)
				if every <= 0 {
					least = day
				}
				if latest := after(after(now, least), day); at <= now || at > latest {
					t.Errorf("every %v, aligned %v, offset %v: next at %v, expected one after %v up to %v", every, aligned, offset, at, now, latest)
				}
			}
		}
	}
}
