package rehearsal

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/alert"
	"github.com/closedloop/closedloop/rules/window"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Notice is a notification of alerts, or a digest, that was sent.
type Notice struct {
	At feedback.Time
	rules.Notice
}

// Change is an alert that began to wait, fired, resolved or was dropped.
type Change struct {
	At   feedback.Time
	What alert.Change
	rules.AlertState
}

// Notices returns the notifications that were sent, in their order.
func (w *World) Notices() []Notice { return slices.Clone(w.notices) }

// Changes returns what became of alerts, in its order.
func (w *World) Changes() []Change { return slices.Clone(w.changes) }

// Alerts returns all alerts, by rule and key.
func (w *World) Alerts() []rules.AlertState {
	out := make([]rules.AlertState, 0, len(w.alerts))
	for _, a := range w.alerts {
		out = append(out, *a)
	}
	slices.SortFunc(out, func(a, b rules.AlertState) int { return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Key, b.Key)) })
	return out
}

// Observed returns the instances of rules that hold over time that the last call of Decide, Tick or Advance looked at
// because an item or a tick made it, not a timer. Each is there once.
func (w *World) Observed() []rules.Instance {
	out := slices.Clone(w.observed)
	slices.SortFunc(out, func(a, b rules.Instance) int { return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Key, b.Key)) })
	return slices.Compact(out)
}

// Stand tells how a rule that holds over time stands now under a key, with every comparison. It reports false when the
// set has no such rule.
func (w *World) Stand(in rules.Instance) (rules.Stand, bool) {
	return w.set.LookAt(in, w.now, &memory{w: w}, true)
}

// board keeps the alerts of a world.
type board struct{ w *World }

var (
	_ rules.Board   = board{}
	_ rules.Stating = board{}
)

// Window returns the observations of a window.
func (b board) Window(id, key string) *window.Ring { return b.w.windows[id][key] }

// Stated returns what SetWindow stated.
func (b board) Stated(id, key string) (window.Figure, bool) { return b.w.statement(id, key) }

// Alert returns an alert.
func (b board) Alert(rule, key string) *rules.AlertState {
	p := place{rule, key}
	a := b.w.alerts[p]
	if a == nil {
		a = &rules.AlertState{Rule: rule, Key: key}
		b.w.alerts[p] = a
	}
	return a
}

// AlertGroup returns a group.
func (b board) AlertGroup(rule, group string) *alert.Group {
	return entry(b.w.groups, place{rule, group})
}

// Digest returns a digest.
func (b board) Digest(rule, destination string) *alert.Digest {
	return entry(b.w.digests, place{rule, destination})
}

// entry returns what is kept under a place, and makes it when there is nothing.
func entry[T any](m map[place]*T, p place) *T {
	v := m[p]
	if v == nil {
		v = new(T)
		m[p] = v
	}
	return v
}

// Firing returns the keys of the alerts of a rule that fire.
func (b board) Firing(rule string) []string { return b.w.firing[rule] }

// Silences returns those of the options.
func (b board) Silences() []alert.Silence { return b.w.options.Silences }

// Wake sets a timer.
func (b board) Wake(at feedback.Time, kind rules.WakeKind, rule, key string) {
	b.w.timers.set(timer{kind: kind, rule: rule, key: key}, at)
}

// Tell takes note of a notification.
func (b board) Tell(n rules.Notice) { b.w.told(Notice{b.w.now, n}) }

// Changed takes note of what became of an alert.
func (b board) Changed(a *rules.AlertState, what alert.Change) {
	w := b.w
	w.changed(Change{w.now, what, *a})
	keys := w.firing[a.Rule]
	at, found := slices.BinarySearch(keys, a.Key)
	switch fires := a.State.Status == alert.Firing; {
	case fires && !found && !a.Shadow:
		w.firing[a.Rule] = slices.Insert(keys, at, a.Key)
	case !fires && found:
		w.firing[a.Rule] = slices.Delete(keys, at, at+1)
	}
}

// wake does what is due next.
func (w *World) wake() {
	t := w.timers.take()
	if t.kind == closing {
		w.close(t.closes)
	} else {
		w.set.Wake(t.kind, t.rule, t.key, w.now, w.board)
		w.timers.last = timer{}
	}
}

// closing is the kind of the timers that close cases.
const closing rules.WakeKind = "close"

// timer is something to look at when its time has come.
type timer struct {
	kind      rules.WakeKind
	rule, key string
	closes    *Case
}

type wish struct {
	timer
	at     feedback.Time
	number int // tells apart what closes cases
}

// timers are kept by their instants, and at one instant by kind, rule and key.
type timers struct {
	heap wishes
	at   map[timer]feedback.Time
	last timer // what is being looked at
	now  feedback.Time
	made int
}

// set wishes that something is looked at. An earlier wish for the same stays. What is being looked at is looked at again
// later, however soon it wishes to be.
func (t *timers) set(what timer, at feedback.Time) {
	if what == t.last && at <= t.now {
		at = t.now + 1
	}
	if earlier, ok := t.at[what]; ok && earlier <= at {
		return
	}
	t.at[what] = at
	heap.Push(&t.heap, wish{timer: what, at: at})
}

func (t *timers) closing(c *Case, at feedback.Time) {
	t.made++
	heap.Push(&t.heap, wish{timer: timer{kind: closing, closes: c}, at: at, number: t.made})
}

// next returns when something is due, and false when nothing is.
func (t *timers) next() (feedback.Time, bool) {
	for len(t.heap) > 0 {
		first := &t.heap[0]
		if first.kind == closing || t.at[first.timer] == first.at {
			return first.at, true
		}
		heap.Pop(&t.heap) // an earlier wish took its place
	}
	return 0, false
}

// take removes what is due first; next has reported that there is one.
func (t *timers) take() timer {
	first, _ := heap.Pop(&t.heap).(wish)
	delete(t.at, first.timer)
	t.last, t.now = first.timer, max(first.at, t.now)
	return first.timer
}

// wishes is a heap.
type wishes []wish

// Len returns the number of wishes.
func (h wishes) Len() int { return len(h) }

// Less orders by instant, then by what is wished.
func (h wishes) Less(i, j int) bool {
	a, b := &h[i], &h[j]
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.kind, b.kind), cmp.Compare(a.rule, b.rule),
		cmp.Compare(a.key, b.key), cmp.Compare(a.number, b.number)) < 0
}

// Swap exchanges two wishes.
func (h wishes) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push is for package heap.
func (h *wishes) Push(x any) {
	if v, ok := x.(wish); ok {
		*h = append(*h, v)
	}
}

// Pop is for package heap.
func (h *wishes) Pop() any {
	last := len(*h) - 1
	v := (*h)[last]
	*h = (*h)[:last]
	return v
}
