package alert

import (
	"testing"
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
	"pgregory.net/rapid"
)

// minute returns the instant n minutes after the timelines begin.
func minute(n int) feedback.Time { return feedback.TimeOf(monday).Add(time.Duration(n) * time.Minute) }

// drawPolicy draws durations of whole minutes.
func drawPolicy(t *rapid.T) Policy {
	d := func(name string) time.Duration {
		return time.Duration(rapid.IntRange(0, 6).Draw(t, name)) * time.Minute
	}
	return Policy{For: d("for"), KeepFiring: d("keep"), Stale: d("stale")}
}

// drawTruths draws what the condition is in each minute, in runs.
func drawTruths(t *rapid.T, among ...Truth) []Truth {
	var h []Truth
	for range rapid.IntRange(1, 12).Draw(t, "runs") {
		v := rapid.SampledFrom(among).Draw(t, "truth")
		for range rapid.IntRange(1, 9).Draw(t, "minutes") {
			h = append(h, v)
		}
	}
	return h
}

// TestInstanceAgainstDefinition compares an alert that is observed every minute with the definition of for and
// keep_firing over the whole history.
func TestInstanceAgainstDefinition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, h := drawPolicy(t), drawTruths(t, False, True)
		hold, keep := int(p.For/time.Minute), int(p.KeepFiring/time.Minute)
		all := func(v Truth, from, to int) bool {
			for k := from; k <= to; k++ {
				if k < 0 || h[k] != v {
					return false
				}
			}
			return true
		}
		var in Instance
		firing, firings := false, int64(0)
		for n := range h {
			change := in.Observe(h[n], minute(n), p)
			was := firing
			if !firing && all(True, n-hold, n) {
				firing = true
				firings++
			} else if firing && all(False, n-keep, n) {
				firing = false
			}
			want := Inactive
			switch {
			case firing:
				want = Firing
			case h[n] == True:
				want = Pending
			case firings > 0:
				want = Resolved
			}
			if in.Status != want || in.Firings != firings {
				t.Fatalf("minute %d of %v with %+v: found %s after %d firings, expected %s after %d", n, h, p, in.Status, in.Firings, want, firings)
			}
			if (change == Fires) != (firing && !was) || (change == Resolves) != (was && !firing) {
				t.Fatalf("minute %d of %v with %+v: found change %q", n, h, p, change)
			}
		}
	})
}

// TestInstanceDue compares an alert that is observed every minute, twice, and is stored and read each time, with one
// that is observed only when its condition changes and when it is due.
func TestInstanceDue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, h := drawPolicy(t), drawTruths(t, False, Unknown, True)
		var often, seldom Instance
		for n := range h {
			often.Observe(h[n], minute(n), p)
			once := often
			if change := often.Observe(h[n], minute(n), p); change != None || once != often {
				t.Fatalf("the second of two equal observations: %q, %+v to %+v", change, once, often)
			}
			reread(t, &often)
			if once != often {
				t.Fatalf("a restart makes %+v of %+v", often, once)
			}
			due, ok := seldom.Due()
			if ok && due < minute(n) {
				t.Fatalf("due at %s was not in whole minutes", due)
			}
			if n == 0 || h[n] != h[n-1] || ok && due == minute(n) {
				seldom.Observe(h[n], minute(n), p)
			}
			if due, ok := seldom.Due(); ok && due <= minute(n) {
				t.Fatalf("minute %d: observed, and due again at %s", n, due)
			}
			if often != seldom {
				t.Fatalf("minute %d of %v with %+v: observed every minute %+v, when due %+v", n, h, p, often, seldom)
			}
		}
	})
}

// TestInstanceClock sets the clock back while an alert is pending or kept firing: each time lengthens the wait by what
// has passed of it at most, and nothing happens early.
func TestInstanceClock(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := Policy{For: 10 * time.Minute, KeepFiring: 10 * time.Minute}
		var in Instance
		raised := rapid.Bool().Draw(t, "raised")
		holds, end := True, Fires
		if raised {
			in.Raise(minute(0), p.KeepFiring)
			holds, end = False, Resolves
		}
		clock, passed, steps := 0, 0, 0
		for {
			change := in.Observe(holds, minute(clock), p)
			due, ok := in.Due()
			if change == end {
				if passed < 10 || passed > 10*(steps+1) {
					t.Fatalf("%s after %d minutes with the clock set back %d times", change, passed, steps)
				}
				break
			}
			if !ok || due <= minute(clock) || due > minute(clock+10) {
				t.Fatalf("at minute %d due %s, %t: %+v", clock, due, ok, in)
			}
			clock, passed = clock+1, passed+1
			if steps < 3 && rapid.IntRange(0, 9).Draw(t, "back") == 0 {
				clock -= rapid.IntRange(1, 1000).Draw(t, "minutes")
				steps++
			}
		}
		if in.FiringAt > minute(clock) || in.ResolvedAt > minute(clock) {
			t.Fatalf("at minute %d: %+v", clock, in)
		}
	})
}

// TestRaise: every raise prolongs the firing.
func TestRaise(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var in Instance
		keep, last, raises, firings := time.Hour, -1000, int64(0), int64(0)
		now := 0
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			now += rapid.IntRange(0, 50).Draw(t, "minutes")
			if due, ok := in.Due(); ok && due <= minute(now) {
				if change := in.Observe(False, due, Policy{KeepFiring: keep}); change != Resolves {
					t.Fatalf("at %s: %q of %+v", due, change, in)
				}
			}
			if rapid.Bool().Draw(t, "raise") {
				change := in.Raise(minute(now), keep)
				if began := now-last >= 60; began != (change == Fires) {
					t.Fatalf("minute %d, raised before at %d: %q", now, last, change)
				} else if began {
					raises, firings = 0, firings+1
				}
				last = now
				raises++
			}
			if firing := now-last < 60; firing != (in.Status == Firing) || in.Raises != raises || in.Firings != firings {
				t.Fatalf("minute %d, raised at %d: %+v", now, last, in)
			}
		}
	})
}
