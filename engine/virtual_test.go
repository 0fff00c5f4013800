package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// promises are the rules of the tests in virtual time, in a timezone: promises in business hours with a ladder, an alert
// that waits before it is told, and a digest.
const promises = `
-- program.yaml --
version: 1
name: test
timezone: ZONE
destinations:
  team: {plugin: native:sink, retry: {base: 1s, cap: 1h}}
queues:
  care: {owners: [anna]}
  exec: {owners: [eva]}
-- rules/route.yaml --
version: 1
calendars:
  office: {days: mon-fri, hours: "09:00-17:00", timezone: ZONE}
groups:
  - name: route
    rules:
      - id: detractor
        when: nps <= 6
        do:
          - assign: {queue: care}
          - case:
              {sla: 8h, resolve: 12h, calendar: office, escalate: [
                {after: 10h, priority: high, notify: team, message: "{text} waits"},
                {after: 11h, value: 100000, queue: exec, owner: eva, notify: team, message: "{text} is worth much"}]}
      - {id: safety, when: text contains "fire", do: [{alert: {severity: critical, summary: "{text}", notify: team, wait: 10m, interval: 1h}}]}
      - {id: praise, when: nps >= 9, do: [{notify: {destination: team, message: "{text}", digest: 3h}}]}
`

// virtual is an engine whose loops run in the time of a synctest bubble, with a wall clock that a test sets.
type virtual struct {
	*engine.Engine
	t    *testing.T
	dir  string
	zone *time.Location
	wall atomic.Int64 // how many nanoseconds the wall clock is ahead of the bubble's
	halt func()
	log  io.Writer // of the engine that is started next, if not nil

	mu    sync.Mutex
	shut  error    // what every delivery fails with
	tried []string // when which delivery was tried
	sent  []string // when what was told
	keys  map[string]int
	lines []string // when which line was written into the history of a case
}

// inVirtualTime runs a test in a bubble, from an instant of a timezone on.
func inVirtualTime(t *testing.T, zone, from string, test func(*virtual)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		v := &virtual{t: t, dir: writeProgram(t, strings.ReplaceAll(promises, "ZONE", zone)), zone: loc, keys: map[string]int{}}
		v.set(from)
		v.start()
		test(v)
		v.stop()
		for key, n := range v.keys {
			if n != 1 {
				t.Errorf("the message %s was sent %d times", key, n)
			}
		}
	})
}

func (v *virtual) at(text string) time.Time {
	v.t.Helper()
	at, err := time.ParseInLocation("2006-01-02 15:04", text, v.zone)
	if err != nil {
		v.t.Fatal(err)
	}
	return at
}

// set sets the wall clock.
func (v *virtual) set(text string) { v.wall.Store(int64(time.Until(v.at(text)))) }

func (v *virtual) now() time.Time { return time.Now().Add(time.Duration(v.wall.Load())) }

// clock is the wall clock to the minute, for what is compared.
func (v *virtual) clock() string { return v.now().In(v.zone).Format("02 15:04") }

// Deliver takes what is sent.
func (v *virtual) Deliver(_ context.Context, m sdk.Message) error {
	var body struct{ Text string }
	if err := json.Unmarshal(m.Body, &body); err != nil {
		return sdk.Fatal("%v", err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.tried = append(v.tried, v.now().In(v.zone).Format("15:04:05"))
	if v.shut != nil {
		return v.shut
	}
	v.keys[m.Key]++
	v.sent = append(v.sent, v.clock()+" "+body.Text)
	return nil
}

// fail says what every delivery fails with from now on.
func (v *virtual) fail(with error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.shut = with
}

// start opens the engine and has its loops run.
func (v *virtual) start() {
	v.t.Helper()
	log := zerolog.Nop()
	if v.log != nil {
		log = zerolog.New(v.log)
	}
	e, err := engine.Open(v.t.Context(), v.dir, engine.Options{
		Profile: engine.Profile(store.Still), Now: v.now, Logger: log,
		Native: map[string]sdk.Plugin{"sink": native(sdk.AbilityDeliver, v)},
		Events: engine.Events{CaseChanged: func(c feedback.Case) {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.lines = append(v.lines, v.clock()+" "+c.History[len(c.History)-1].Kind)
		}},
	})
	if err != nil {
		v.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Loop(ctx) }()
	v.Engine = e
	v.halt = func() {
		cancel()
		if err := <-done; err != nil {
			v.t.Error(err)
		}
		closeEngine(v.t, e)
	}
}

func (v *virtual) stop() { v.halt(); synctest.Wait() }

// restart closes the engine and opens it again after a while.
func (v *virtual) restart(after time.Duration) {
	v.t.Helper()
	v.stop()
	time.Sleep(after)
	v.start()
}

// until lets time pass, to the second after an instant of the wall clock, within which timers fire.
func (v *virtual) until(text string) {
	v.t.Helper()
	d := v.at(text).Sub(v.now())
	if d < 0 {
		v.t.Fatalf("%s was %s ago", text, -d)
	}
	time.Sleep(d + time.Second)
	synctest.Wait()
}

func (v *virtual) says(id string, score float64, text string, arr float64) {
	v.t.Helper()
	it := answer(id, score, text)
	it.OccurredAt, it.Customer = feedback.TimeOf(v.now()), feedback.Customer{ID: id, ARR: &arr}
	if _, err := v.Ingest(v.t.Context(), "app", it); err != nil {
		v.t.Fatal(err)
	}
	synctest.Wait()
}

func (v *virtual) want(what string, got []string, want ...string) {
	v.t.Helper()
	if !slices.Equal(got, want) {
		v.t.Errorf("%s\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestTimersInVirtualTime has nobody take care of a case over a weekend at which the clocks change. Everything that was
// promised happens at its instant of business hours, also over restarts before and between.
func TestTimersInVirtualTime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ zone, friday, monday, tuesday string }{
		{"Europe/Berlin", "2026-03-27", "2026-03-30", "2026-03-31"},
		{"Europe/Berlin", "2026-10-23", "2026-10-26", "2026-10-27"},
		{"America/New_York", "2026-03-06", "2026-03-09", "2026-03-10"},
		{"America/New_York", "2026-10-30", "2026-11-02", "2026-11-03"},
	} {
		t.Run(tt.zone+" "+tt.friday, func(t *testing.T) {
			t.Parallel()
			inVirtualTime(t, tt.zone, tt.friday+" 16:00", func(v *virtual) {
				v.says("1", 2, "late", 250_000)
				v.restart(30 * time.Hour) // the rest of Friday and all of Saturday
				v.until(tt.monday + " 13:59")
				v.restart(0)
				v.until(tt.monday + " 17:30")
				v.restart(12 * time.Hour)
				v.until(tt.tuesday + " 12:30")
				mon, tue := tt.monday[8:], tt.tuesday[8:]
				v.want("lines", v.lines, tt.friday[8:]+" 16:00 opened", mon+" 14:00 warned", mon+" 16:00 breached", mon+" 17:00 warned",
					tue+" 10:00 escalated", tue+" 11:00 escalated", tue+" 12:00 overdue")
				v.want("told", v.sent, tue+" 10:00 late waits", tue+" 11:00 late is worth much")
				cs, err := v.Cases(v.t.Context(), engine.CaseQuery{})
				if err != nil || len(cs) != 1 || cs[0].Queue != "exec" || cs[0].Owner != "eva" || cs[0].Priority != "high" || cs[0].Escalation != 2 {
					v.t.Errorf("%+v, %v", cs, err)
				}
			})
		})
	}
}

// TestFlushesDigestsAndRetriesInVirtualTime follows what is told later than it happens, over restarts.
func TestFlushesDigestsAndRetriesInVirtualTime(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, "Europe/Berlin", "2026-03-02 10:00", func(v *virtual) {
		v.says("1", 8, "fire at the gate", 0)
		v.until("2026-03-02 10:04")
		v.says("2", 10, "lovely", 0)
		v.restart(time.Minute)
		v.until("2026-03-02 10:09")
		v.want("told before its time", v.sent)
		v.fail(sdk.Retry(20*time.Minute, "come back later"))
		v.until("2026-03-02 10:29")
		v.want("tried", v.tried, "10:10:00")
		v.restart(0)
		v.fail(nil)
		v.until("2026-03-02 10:30")
		v.want("told after the wait", v.sent, "02 10:30 safety: 1 firing: fire at the gate")
		v.restart(time.Hour)
		v.says("3", 9, "thanks", 0)
		v.until("2026-03-02 13:03")
		v.restart(0)
		v.until("2026-03-02 15:00")
		v.want("told", v.sent[1:], "02 13:04 praise: 2 since 2026-03-02T09:04:01.000Z")
	})
}

// TestAWeekOfDowntimeInVirtualTime stops the engine for a week in which hundreds of promises break. They are caught up
// with in their order, each once, in many short updates, while new feedback goes on.
func TestAWeekOfDowntimeInVirtualTime(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, "Europe/Berlin", "2026-03-02 10:00", func(v *virtual) {
		const n, at = 600, 60 // promises, at so many instants
		for i := range at {
			var items []feedback.Item
			for j := range n / at {
				it := answer(fmt.Sprintf("%d-%d", i, j), 2, fmt.Sprintf("late %02d", i))
				it.OccurredAt, it.Customer.ID = feedback.TimeOf(v.now()), it.ExternalID
				items = append(items, it)
			}
			if _, err := v.Ingest(v.t.Context(), "app", items...); err != nil {
				v.t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		v.stop()
		v.lines = nil
		time.Sleep(7 * 24 * time.Hour)
		v.start()
		before := v.Updates()
		time.Sleep(time.Second)
		synctest.Wait()
		if len(v.lines) != n || strings.Count(strings.Join(v.lines, "\n"), "09 10:01 escalated") != n {
			v.t.Errorf("%d lines, first %q", len(v.lines), v.lines[:min(3, len(v.lines))])
		}
		for i, text := range v.sent {
			if want := fmt.Sprintf("09 10:01 late %02d waits", i/(n/at)); text != want {
				v.t.Fatalf("message %d is %q, want %q", i, text, want)
			}
		}
		if len(v.sent) != n {
			v.t.Fatalf("%d messages of %d", len(v.sent), n)
		}
		if got := v.Updates() - before; got < n/256 || got > n/10+n { // at most one for each message that is sent
			v.t.Errorf("catching up took %d updates", got)
		}
		late, err := v.Cases(v.t.Context(), engine.CaseQuery{Breached: true, Overdue: true, Limit: 2 * n})
		if err != nil || len(late) != n {
			v.t.Errorf("%d are late, %v", len(late), err)
		}
		v.says("new", 2, "still there", 0)
		v.restart(time.Minute)
		time.Sleep(time.Minute)
		synctest.Wait()
		if v.want("lines of what is new", v.lines[n:], "09 10:01 opened"); len(v.sent) != n {
			v.t.Errorf("told %q again", v.sent[n:])
		}
	})
}

// TestClockStepsInVirtualTime sets the wall clock forth and back under a running engine. What is due happens at the first
// instant at which the wall clock says so, and never again.
func TestClockStepsInVirtualTime(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, "Europe/Berlin", "2026-03-02 10:00", func(v *virtual) {
		v.says("1", 2, "fire", 0)
		v.says("2", 9, "lovely", 0)
		step := func(to string) {
			v.set(to)
			time.Sleep(2 * time.Second)
			synctest.Wait()
		}
		step("2026-03-02 16:30") // a step ahead: the warning, the alert and the digest are due
		v.want("lines", v.lines, "02 10:00 opened", "02 16:30 warned")
		v.want("told", v.sent, "02 16:30 safety: 1 firing: fire", "02 16:30 praise: 1 since 2026-03-02T09:00:00.000Z")
		step("2026-03-02 08:00") // a step back
		v.says("3", 9, "thanks", 0)
		v.until("2026-03-02 11:01")
		v.want("told after a step back", v.sent[2:], "02 11:00 praise: 1 since 2026-03-02T07:00:02.000Z")
		step("2026-03-02 09:00")
		v.until("2026-03-02 17:30")
		v.want("lines after a step back", v.lines[2:])
		v.until("2026-03-03 10:00")
		v.want("lines", v.lines[2:], "03 10:00 breached")
		step("2026-03-02 15:00")
		v.until("2026-03-03 12:30")
		v.want("lines", v.lines[2:], "03 10:00 breached", "03 11:00 warned", "03 12:00 escalated")
		v.want("told", v.sent[3:], "03 10:10 safety: 1 resolved: fire", "03 12:00 fire waits")
	})
}
