package outbox

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// bubble runs a test with an outbox that is served in the time of a synctest bubble. deliver is called for each attempt;
// tried returns when which message was tried, in seconds since the beginning.
func bubble(t *testing.T, policy Policy, deliver func(m sdk.Message) error, test func(w *world, tried func() []string)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		from := time.Now()
		var mu sync.Mutex
		var tried []string
		w := newWorld(t, inPlace(t, many, func(ctx context.Context, m sdk.Message) error {
			mu.Lock()
			tried = append(tried, fmt.Sprintf("%s %s", m.Key, time.Since(from).Truncate(time.Millisecond)))
			mu.Unlock()
			if strings.HasPrefix(m.Key, "stall") && m.Attempt == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return deliver(m)
		}), policy)
		w.clock = func() feedback.Time { return feedback.TimeOf(time.Now()) }
		stop := w.run()
		test(w, func() []string {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(tried)
		})
		stop()
	})
}

// TestRetriesInTime has a message fail until its attempts are used up: each wait is within the backoff, and the next
// message has its turn at once.
func TestRetriesInTime(t *testing.T) {
	bubble(t, Policy{Base: time.Second, Cap: 4 * time.Second, Attempts: 6, Breaker: BreakerPolicy{Failures: 100}}, func(m sdk.Message) error {
		if m.Key == "bad" {
			return errDown
		}
		return nil
	}, func(w *world, tried func() []string) {
		w.put("bad", "good")
		time.Sleep(time.Minute)
		got := tried()
		if len(got) != 7 || !strings.HasPrefix(got[6], "good") {
			w.t.Fatalf("tried %q", got)
		}
		w.want("dead", w.codes(), "bad attempts")
		w.want("sent", w.keys(), "good")
		last := time.Duration(0)
		for i, text := range got[:6] {
			at, err := time.ParseDuration(strings.Fields(text)[1])
			if most := min(time.Second<<max(i-1, 0), 4*time.Second) + time.Millisecond; err != nil || at-last > most {
				w.t.Errorf("attempt %d came after %s, at most %s was due", i+1, at-last, most)
			}
			last = at
		}
		if good := strings.TrimPrefix(got[6], "good "); good != strings.TrimPrefix(got[5], "bad ") {
			w.t.Errorf("good was sent at %s, bad was given up at %s", good, last)
		}
	})
}

// TestRetryAfterHoldsTheDestination has one of several messages be told to wait: all of the destination do.
func TestRetryAfterHoldsTheDestination(t *testing.T) {
	bubble(t, Policy{Concurrency: 4}, func(m sdk.Message) error {
		if m.Key == "a" && m.Attempt == 1 {
			return sdk.Retry(90*time.Second, "busy")
		}
		return nil
	}, func(w *world, tried func() []string) {
		w.put("a/1")
		tried()
		w.put("b/2", "c/3")
		time.Sleep(89 * time.Second)
		w.want("tried in 89 s", tried(), "a 0s")
		if st := w.Status()["team"]; st.Resting == 0 || st.Failed != 1 {
			w.t.Errorf("status %+v", st)
		}
		time.Sleep(2 * time.Second)
		if got := strings.Join(tried(), ","); !strings.Contains(got, "b 1m30s") || !strings.Contains(got, "c 1m30s") || len(tried()) != 4 {
			w.t.Errorf("tried %s", got)
		}
	})
}

// TestBreakerInTime follows the breaker: it opens after so many failures, uses up no attempts of those that wait, lets one
// message through now and then, stays open longer each time, and closes when the destination answers.
func TestBreakerInTime(t *testing.T) {
	broken := &mood{err: errDown}
	bubble(t, Policy{Concurrency: 4, Base: time.Millisecond, Cap: time.Millisecond, Breaker: BreakerPolicy{Failures: 4, Open: time.Minute, Cap: 8 * time.Minute}},
		func(sdk.Message) error { return broken.get() },
		func(w *world, tried func() []string) {
			for i := range 100 {
				w.put(fmt.Sprintf("m%d/%d", i, i))
			}
			n := len(tried())
			if st := w.Status()["team"]; n < 4 || n > 8 || st.Breaker != Open || st.Opened != 1 || st.Resting == 0 {
				w.t.Fatalf("%d attempts, status %+v", n, st)
			}
			time.Sleep(24 * time.Hour)
			n = len(tried()) - n
			opened := int(w.Status()["team"].Opened) - 1
			if n != opened || n < 180 || n > 1200 { // 24 h in steps of up to 8 min
				w.t.Errorf("%d attempts in a day, and it opened %d times", n, opened)
			}
			attempted := map[string]bool{}
			for _, text := range tried() {
				attempted[strings.Fields(text)[0]] = true
			}
			if len(attempted) > 60 {
				w.t.Errorf("%d messages were tried", len(attempted))
			}
			broken.set(sdk.Fatal("refused for good")) // an answer all the same
			time.Sleep(9 * time.Minute)
			synctest.Wait()
			if st := w.Status()["team"]; st.Breaker != Closed || len(w.waiting()) != 0 || len(w.codes()) != 100 {
				w.t.Errorf("status %+v, %d wait, %d are dead", st, len(w.waiting()), len(w.codes()))
			}
		})
}

// TestRefusalsOpenNoBreaker has a destination refuse every message, each for good.
func TestRefusalsOpenNoBreaker(t *testing.T) {
	bubble(t, Policy{Breaker: BreakerPolicy{Failures: 1}}, func(sdk.Message) error { return sdk.Fatal("no") }, func(w *world, tried func() []string) {
		w.put("a", "b", "c")
		w.want("tried", tried(), "a 0s", "b 0s", "c 0s")
		if st := w.Status()["team"]; st.Breaker != Closed || st.Dead != 3 {
			w.t.Errorf("status %+v", st)
		}
	})
}

// TestRateInTime counts attempts: those of a second at once, and then as the rate says.
func TestRateInTime(t *testing.T) {
	for _, tt := range []struct {
		name       string
		rate       Rate
		first, min int // attempts at once, and in the first minute
	}{{"10/s", Rate{10, time.Second}, 10, 610}, {"120/m", Rate{120, time.Minute}, 2, 122}, {"30/m", Rate{30, time.Minute}, 1, 31}, {"60/h", Rate{60, time.Hour}, 1, 2}} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, Policy{Rate: tt.rate, Concurrency: 3}, func(sdk.Message) error { return nil }, func(w *world, tried func() []string) {
				var keys []string
				for i := range 700 {
					keys = append(keys, fmt.Sprintf("m%d/%d", i, i))
				}
				w.put(keys...)
				if n := len(tried()); n != tt.first {
					w.t.Errorf("%d at once, want %d", n, tt.first)
				}
				time.Sleep(time.Minute + time.Millisecond)
				if n := len(tried()); n < tt.min-1 || n > tt.min {
					w.t.Errorf("%d in a minute, want %d", n, tt.min)
				}
			})
		})
	}
}

// TestDrainKeepsTheRate drains what is due as fast as the rate allows.
func TestDrainKeepsTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, inPlace(t, many, func(context.Context, sdk.Message) error { return nil }), Policy{Rate: Rate{1, time.Second}})
		w.put("a", "b", "c")
		from := time.Now()
		if n, took := w.drain(), time.Since(from); n != 3 || took.Round(time.Second) != 2*time.Second {
			t.Errorf("%d in %s", n, took)
		}
	})
}

// TestTimeoutInTime has a destination stall: the attempt ends at its timeout, and the message is tried again.
func TestTimeoutInTime(t *testing.T) {
	bubble(t, Policy{Timeout: 7 * time.Second, Base: time.Millisecond, Cap: time.Millisecond}, func(sdk.Message) error { return nil }, func(w *world, tried func() []string) {
		w.put("stall", "next")
		time.Sleep(6 * time.Second)
		w.want("tried", tried(), "stall 0s")
		time.Sleep(2 * time.Second)
		if got := tried(); len(got) != 3 || !strings.HasPrefix(got[1], "stall 7") || !strings.HasPrefix(got[2], "next 7") {
			w.t.Errorf("tried %q", got)
		}
		if st := w.Status()["team"]; st.Failed != 1 || st.Sent != 2 {
			w.t.Errorf("status %+v", st)
		}
	})
}

// TestHurryInTime has a person say that a destination works again, while its breaker is open.
func TestHurryInTime(t *testing.T) {
	broken := &mood{err: errDown}
	bubble(t, Policy{Base: time.Hour, Cap: time.Hour, Breaker: BreakerPolicy{Failures: 1}}, func(sdk.Message) error { return broken.get() }, func(w *world, tried func() []string) {
		w.put("a", "b")
		w.want("tried", tried(), "a 0s")
		broken.set(nil)
		if err := w.Hurry(context.Background(), "team"); err != nil {
			w.t.Fatal(err)
		}
		synctest.Wait()
		w.want("sent", w.keys(), "a", "b")
	})
}

// TestProbeIsWaitedFor has nothing look at the clock while one message is tried to see whether a destination works again.
func TestProbeIsWaitedFor(t *testing.T) {
	t.Parallel()
	l := newLane(&Outbox{now: func() feedback.Time { return 1 }}, Destination{ID: "x", Policy: Policy{Concurrency: 2}})
	l.breaker.state = HalfOpen
	l.breaker.pass()
	if wait, more, err := (&loop{lane: l}).start(t.Context()); wait != look || more || err != nil {
		t.Errorf("it waits %s, %v, %v", wait, more, err)
	}
}
