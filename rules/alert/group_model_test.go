package alert

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
	"pgregory.net/rapid"
)

// TestGroupModel drives groups with random events, holds, restarts and clocks, and holds them to what people are
// promised: see world.
func TestGroupModel(t *testing.T) {
	t.Parallel()
	t.Run("clock goes on", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) { newWorld(t).run(400) })
	})
	t.Run("flushed late", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			w := newWorld(t)
			w.exact, w.late = false, true
			w.run(200)
		})
	})
	t.Run("clock is set back", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			w := newWorld(t)
			w.back = true
			w.run(200)
		})
	})
}

// world is a group with everything around it, and what a person who reads its notifications knows.
type world struct {
	t     *rapid.T
	now   feedback.Time
	group Group
	pace  Pace
	late  bool // nobody flushes for a while at times, as when the engine is down
	back  bool // the clock is set back at times
	// exact says that neither has happened, so that promises about time hold to the millisecond.
	exact bool

	alerts [5]alertInWorld
	muted  feedback.Time // until when

	last     feedback.Time // instant of the last notification
	sequence int64
}

// alertInWorld is an alert as it is, what holds it, and what the reader knows of it.
type alertInWorld struct {
	firing    bool
	severity  string
	since     feedback.Time // when it began or ceased to fire
	free      feedback.Time // since when nothing holds it back
	silenced  feedback.Time // until when
	inhibited bool
	untouched bool // nothing has held it back since then
	owed      bool // fired for the whole wait, is over, was not told, and nothing has held it back since it began
	passed    bool // fired for the whole wait, is over, and was not told

	told         bool
	toldSeverity string
}

func newWorld(t *rapid.T) *world {
	minutes := func(name string, values ...int) time.Duration {
		return time.Duration(rapid.SampledFrom(values).Draw(t, name)) * time.Minute
	}
	return &world{t: t, now: feedback.TimeOf(monday), exact: true, pace: Pace{
		Wait: minutes("wait", 0, 1, 5), Interval: minutes("interval", 0, 2, 30), Repeat: minutes("repeat", 0, 10, 120)}}
}

func (w *world) run(steps int) {
	for range rapid.IntRange(1, steps).Draw(w.t, "steps") {
		w.step()
		if !w.late || rapid.Bool().Draw(w.t, "in time") {
			w.flushDue()
		}
	}
	w.settle()
}

func (w *world) step() {
	i := rapid.IntRange(0, len(w.alerts)-1).Draw(w.t, "alert")
	a := &w.alerts[i]
	switch rapid.IntRange(0, 13).Draw(w.t, "what") {
	case 0, 1, 2:
		if w.late && rapid.Bool().Draw(w.t, "late") {
			w.hold(w.now + feedback.Time(rapid.IntRange(1, 300).Draw(w.t, "minutes down")*60e3))
			return
		}
		w.advance(w.now + feedback.Time(rapid.SampledFrom([]int64{1, 999, 30e3, 60e3, 150e3, 600e3, 1800e3}).Draw(w.t, "ms")))
	case 3, 4, 5:
		w.set(i, true, rapid.SampledFrom([]string{"", "info", "warning", "critical"}).Draw(w.t, "severity"))
	case 6, 7:
		w.set(i, false, a.severity)
	case 8:
		a.silenced = max(a.silenced, w.now+feedback.Time(rapid.IntRange(1, 40).Draw(w.t, "minutes")*60e3))
	case 9:
		a.inhibited = !a.inhibited
	case 10:
		w.muted = max(w.muted, w.now+feedback.Time(rapid.IntRange(1, 40).Draw(w.t, "minutes")*60e3))
	case 11:
		w.group = w.stored()
	case 12: // what is ended early is followed by a flush
		a.silenced, w.muted = min(a.silenced, w.now), min(w.muted, w.now)
		w.flush()
	case 13:
		if w.back {
			w.setBack(feedback.Time(rapid.IntRange(1, 90*60e3).Draw(w.t, "ms back")))
		}
		w.flush() // at any time it does no harm
	}
}

// set tells the group of an alert, twice.
func (w *world) set(i int, firing bool, severity string) {
	a := &w.alerts[i]
	if firing != a.firing {
		if !firing && !a.told && w.now >= after(a.since, w.pace.Wait) {
			a.passed = true
			a.owed = a.untouched
		}
		a.since, a.untouched = w.now, w.free(a)
		a.free = max(a.free, w.now)
	}
	a.firing = firing
	if firing {
		a.severity = severity
	}
	m := Member{Rule: "r", Key: fmt.Sprint(i), Severity: a.severity, FiringAt: a.since}
	w.group.Update(m, firing, w.now, w.pace)
	once := w.group
	if w.group.Update(m, firing, w.now, w.pace) || !reflect.DeepEqual(once, w.group) {
		w.t.Fatalf("the second of two equal updates changes %+v to %+v", once, w.group)
	}
}

func (w *world) free(a *alertInWorld) bool {
	return w.now >= a.silenced && !a.inhibited && w.now >= w.muted
}

// advance lets the time pass, and flushes at the very instants at which the group wants it.
func (w *world) advance(to feedback.Time) {
	for range 100_000 {
		due, ok := w.group.Due()
		if !ok || due > to {
			w.hold(to)
			return
		}
		w.hold(due)
		w.flush()
	}
	w.t.Fatalf("something is always due: %+v", w.group)
}

// hold moves the clock to an instant and keeps account of what is held back until then.
func (w *world) hold(to feedback.Time) {
	for i := range w.alerts {
		a := &w.alerts[i]
		a.untouched = a.untouched && w.free(a)
		if a.inhibited {
			a.free = to
		} else {
			a.free = max(a.free, min(to, max(a.silenced, w.muted)))
		}
	}
	w.now = max(w.now, to)
}

func (w *world) flushDue() { w.hold(w.now); w.advance(w.now); w.check() }

func (w *world) setBack(by feedback.Time) {
	w.exact = false
	w.now -= by
	for i := range w.alerts {
		w.alerts[i].since = min(w.alerts[i].since, w.now)
		w.alerts[i].free = min(w.alerts[i].free, w.now)
		w.alerts[i].owed = false
	}
	w.last = min(w.last, w.now)
}

// stored returns the group as it is after a restart.
func (w *world) stored() Group {
	again := w.group
	reread(w.t, &again)
	if !reflect.DeepEqual(w.group, again) {
		w.t.Fatalf("a restart makes %+v of %+v", again, w.group)
	}
	return again
}

func (w *world) flush() {
	c := Conditions{
		Silenced: func(m Member) (string, feedback.Time, bool) {
			a := w.of(m)
			return "s_1", a.silenced, w.now < a.silenced
		},
		Inhibited: func(m Member) (string, bool) { return "other", w.of(m).inhibited },
		Muted:     func(now feedback.Time) (feedback.Time, bool) { return w.muted, now < w.muted },
	}
	lost := w.stored() // the power fails before the commit; then the same is done again
	first, _ := lost.Flush(w.now, w.pace, c)
	n, why := w.group.Flush(w.now, w.pace, c)
	if !reflect.DeepEqual(first, n) || !reflect.DeepEqual(lost, w.group) {
		w.t.Fatalf("the same flush gives %+v and %+v", first, n)
	}
	if (n != nil) != (why == News || why == Again) {
		w.t.Fatalf("reason %s with notification %+v", why, n)
	}
	if due, ok := w.group.Due(); ok && due <= w.now {
		w.t.Fatalf("flushed at %s for %s, and due again at %s", w.now, why, due)
	}
	if n != nil {
		w.promised(n, why)
		w.read(n)
	}
}

func (w *world) of(m Member) *alertInWorld { return &w.alerts[m.Key[0]-'0'] }

// promised checks what holds of every notification.
func (w *world) promised(n *Notification, why Reason) {
	if n.Sequence <= w.sequence {
		w.t.Fatalf("sequence %d after %d", n.Sequence, w.sequence)
	}
	if w.now < w.muted {
		w.t.Fatalf("told at %s while muted until %s", w.now, w.muted)
	}
	if w.last != 0 && w.now < after(w.last, w.pace.Interval) {
		w.t.Fatalf("told at %s and at %s", w.last, w.now)
	}
	news := n.NewCount+n.ResolvedCount+n.PassedCount > 0
	if news != (why == News) || news == n.Repeat {
		w.t.Fatalf("%s, repeat %t, with %+v", why, n.Repeat, n)
	}
	if !news && (w.pace.Repeat == 0 || w.now < after(w.last, w.pace.Repeat) || n.FiringCount == 0) {
		w.t.Fatalf("told at %s and the same at %s, %+v", w.last, w.now, n)
	}
	firing, suppressed := int64(0), int64(0)
	for i := range w.alerts {
		a := &w.alerts[i]
		switch held := w.now < a.silenced || a.inhibited; {
		case a.firing && held:
			suppressed++
		case a.firing:
			firing++
		}
	}
	if n.FiringCount != firing || int64(len(n.Firing)) != firing || n.Suppressed != suppressed {
		w.t.Fatalf("found %d firing and %d suppressed, expected %d and %d", n.FiringCount, n.Suppressed, firing, suppressed)
	}
	w.sequence, w.last = n.Sequence, w.now
}

// read is the person who reads: nothing may be told that is not so, or that is known already.
func (w *world) read(n *Notification) {
	for _, l := range n.Firing {
		a := w.of(l.Member)
		if isNew := !a.told || rank(a.severity) > rank(a.toldSeverity); !a.firing || l.New != isNew || l.Severity != a.severity {
			w.t.Fatalf("told that %+v fires, which is %+v", l, a)
		}
		if l.New {
			a.toldSeverity = a.severity
		}
		a.told, a.owed, a.passed = true, false, false
	}
	for _, m := range n.Resolved {
		a := w.of(m)
		if a.firing || !a.told {
			w.t.Fatalf("told that %+v is resolved, which is %+v", m, a)
		}
		a.told, a.toldSeverity = false, ""
	}
	for _, m := range n.Passed {
		a := w.of(m)
		if a.firing || a.told || !a.passed && w.exact {
			w.t.Fatalf("told that %+v has passed, which is %+v", m, a)
		}
		a.owed, a.passed = false, false
	}
}

// check looks for what the reader should know by now and does not.
func (w *world) check() {
	if !w.exact {
		return
	}
	open := feedback.Time(0)
	if w.last != 0 {
		open = after(w.last, w.pace.Interval)
	}
	repeat := max(after(w.last, w.pace.Repeat), open, w.muted)
	for i := range w.alerts {
		a := &w.alerts[i]
		if by := max(repeat, w.patience(a)); a.firing && a.told && w.pace.Repeat > 0 && w.free(a) && w.now > by {
			w.t.Fatalf("at %s nobody was told again that alert %d fires, expected by %s", w.now, i, by)
		}
		switch {
		case a.owed && !w.free(a):
			a.owed = false // held back after all
		case w.now < w.muted:
		case a.firing && !a.told && w.free(a):
			if by := max(after(a.since, w.pace.Wait), w.patience(a), open); w.now > by {
				w.t.Fatalf("at %s nobody was told of alert %d, expected by %s: %+v in %+v", w.now, i, by, a, w.group)
			}
		case !a.firing && a.told:
			if by := max(after(a.since, w.pace.Wait), w.muted, open); w.now > by {
				w.t.Fatalf("at %s nobody was told that alert %d is over, expected by %s: %+v", w.now, i, by, a)
			}
		case a.owed:
			if by := max(open, w.muted); w.now > by {
				w.t.Fatalf("at %s nobody was told that alert %d has passed, expected by %s", w.now, i, by)
			}
		}
	}
}

// patience returns until when what has been held back may go on unnoticed: that an inhibition is over is seen at the
// next look.
func (w *world) patience(a *alertInWorld) feedback.Time {
	return after(a.free, max(w.pace.Interval, recheck))
}

// settle lets everything that holds back end; then the reader knows what is.
func (w *world) settle() {
	for i := range w.alerts {
		a := &w.alerts[i]
		a.inhibited, a.silenced, a.owed = false, min(a.silenced, w.now), false
	}
	w.exact, w.muted = false, min(w.muted, w.now)
	w.flush()
	w.advance(w.now + feedback.Time((3 * time.Hour).Milliseconds()))
	for i := range w.alerts {
		if a := &w.alerts[i]; a.firing != a.told {
			w.t.Fatalf("in the end alert %d is %+v and the group %+v", i, a, w.group)
		}
	}
	for i := range w.alerts {
		w.set(i, false, "")
	}
	w.advance(w.now + feedback.Time((3 * time.Hour).Milliseconds()))
	if !w.group.Idle() {
		w.t.Fatalf("all is over and told, and there is still %+v", w.group)
	}
}
