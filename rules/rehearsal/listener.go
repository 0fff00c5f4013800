package rehearsal

import (
	"time"

	"github.com/closedloop/closedloop/rules/alert"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Listener is told what happens in a World as it happens. Functions that are nil are not called. What they are handed is
// valid during the call only.
type Listener struct {
	Opened  func(*Case)
	Closed  func(*Case)
	Sent    func(*Message)
	Told    func(*Notice)
	Changed func(*Change) // of alerts
}

func tell[T any](f func(*T), v *T) {
	if f != nil {
		f(v)
	}
}

func (w *World) opened(c *Case) {
	if l := w.options.Listener; l != nil {
		tell(l.Opened, c)
	} else {
		w.cases = append(w.cases, c)
	}
}

func (w *World) closed(c *Case) {
	if l := w.options.Listener; l != nil {
		tell(l.Closed, c)
	}
}

func (w *World) sent(m Message) {
	if l := w.options.Listener; l != nil {
		tell(l.Sent, &m)
	} else {
		w.messages = append(w.messages, m)
	}
}

func (w *World) told(n Notice) {
	if l := w.options.Listener; l != nil {
		tell(l.Told, &n)
	} else {
		w.notices = append(w.notices, n)
	}
}

func (w *World) changed(c Change) {
	if l := w.options.Listener; l != nil {
		tell(l.Changed, &c)
	} else {
		w.changes = append(w.changes, c)
	}
}

// closesAt returns when a case is closed by itself, and false when it is not.
func (w *World) closesAt(c *Case) (feedback.Time, bool) {
	if due := max(c.DueAt, c.ResolveBy); w.options.CloseWhenDue && due != 0 {
		return due, true
	}
	return w.now.Add(w.options.CloseAfter), w.options.CloseAfter > 0
}

// sweepEvery is how often a world with a Listener forgets what does not matter any more.
const sweepEvery = 24 * time.Hour

// sweep forgets, from time to time, what no decision can depend on any more.
func (w *World) sweep() {
	if w.options.Listener == nil || w.now < w.swept.Add(sweepEvery) {
		return
	}
	w.swept = w.now
	for _, byKey := range w.windows {
		for key, r := range byKey {
			if r.Empty(w.now) {
				delete(byKey, key)
			}
		}
	}
	since := w.now.Add(-w.set.Reach())
	for at, firings := range w.throttled {
		if len(firings) == 0 || firings[len(firings)-1].At <= since {
			delete(w.throttled, at)
		}
	}
	for at, a := range w.alerts {
		if a.State.Status != alert.Pending && a.State.Status != alert.Firing {
			delete(w.alerts, at)
		}
	}
	for at, g := range w.groups {
		if g.Idle() {
			delete(w.groups, at)
		}
	}
	for at, d := range w.digests {
		if d.Idle() {
			delete(w.digests, at)
		}
	}
}

// Kept returns how many things the world remembers for later decisions: observations of windows, firings of throttles,
// alerts, groups, digests, timers and items.
func (w *World) Kept() int {
	n := len(w.throttled) + len(w.alerts) + len(w.groups) + len(w.digests) + len(w.timers.heap) + len(w.items) + len(w.cases)
	for _, byKey := range w.windows {
		n += len(byKey)
	}
	return n
}
