// Package rehearsal lets a set of rules decide in memory, in a time of its own: for tests of rules, and to see what rules
// would have done with feedback that is stored.
//
// A World does what an engine does with a set: it keeps windows, throttles, pools and what was decided on each item, and
// it acts on effects once per item and effect. It opens cases, tells them when they are due, raises alerts, collects
// digests and makes notifications. Nothing leaves it. Three things hold:
//
//   - A World reads no clock. Its time is what Decide, Tick and Advance are told; it never goes back, and what falls due on
//     the way happens in the order of its instants.
//   - The same calls give the same world, whatever the machine.
//   - A World may not be used by several goroutines at once. Several worlds may share a set.
//
// One item of the past:
//
//	w := rehearsal.New(set, rehearsal.Options{})
//	step := w.Decide(&feedback.Event{Item: item, Labels: labels}, item.ReceivedAt)
//	w.Advance(item.ReceivedAt.Add(48 * time.Hour))
//	w.Notices() // what was told by then
package rehearsal

import (
	"cmp"
	"slices"
	"time"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/alert"
	"github.com/closedloop/closedloop/rules/window"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Options are the circumstances of a World.
type Options struct {
	// Once says that no item comes twice, so that nothing is remembered of an item once the next one is decided on.
	// Defaults to false: an item with an id that was there before is a revision.
	Once bool
	// TickEvery is how often all alerts are looked at while time passes. Defaults to never: only Tick does.
	TickEvery time.Duration
	// CloseAfter is after how long an open case is closed. Defaults to never: only Close does.
	CloseAfter time.Duration
	// CloseWhenDue closes an open case when it is due. CloseAfter is then for those that are never due.
	CloseWhenDue bool
	// Listener is told what happens. The world then keeps nothing of it: Cases, Messages, Notices and Changes have
	// nothing to say, and what can matter to no later decision is forgotten. Defaults to keeping all.
	Listener *Listener
	// Silences keep alerts from being told. Defaults to none.
	Silences []alert.Silence
	// Stop is asked now and then while time passes. When it says so time stands still, and what the world tells from then on
	// is of no use. Defaults to never.
	Stop func() bool
}

// World is a set of rules at work. The zero value is not usable; see New.
type World struct {
	set     *rules.Set
	options Options
	now     feedback.Time
	tick    feedback.Time // when all alerts are looked at next; 0 is never
	looks   int           // until Stop is asked

	windows   map[string]map[string]*window.Ring // by WindowInfo.ID and key
	stated    map[string]map[string]window.Figure
	throttled map[place][]rules.Firing
	turns     map[string]int
	load      map[string]int
	items     map[feedback.ItemID]*memory
	latest    *memory       // of the item that was decided on last, with Options.Once
	swept     feedback.Time // when what does not matter any more was forgotten last

	alerts  map[place]*rules.AlertState
	groups  map[place]*alert.Group
	digests map[place]*alert.Digest
	firing  map[string][]string // keys by rule
	timers  timers
	board   board
	known   []known

	cases    []*Case
	notices  []Notice
	messages []Message
	changes  []Change
	observed []rules.Instance // by the last call
}

// place is what alerts, throttles and the like are kept under: a rule, and what tells its instances apart.
type place struct{ rule, key string }

// known is a rule that holds over time, with the windows whose keys are the values of its each.
type known struct {
	rule    string
	windows []string
}

// New returns a world in which nothing has happened.
func New(set *rules.Set, o Options) *World {
	w := &World{
		set: set, options: o, windows: map[string]map[string]*window.Ring{}, stated: map[string]map[string]window.Figure{},
		throttled: map[place][]rules.Firing{}, turns: map[string]int{}, load: map[string]int{}, items: map[feedback.ItemID]*memory{},
		alerts: map[place]*rules.AlertState{}, groups: map[place]*alert.Group{}, digests: map[place]*alert.Digest{},
		firing: map[string][]string{}, timers: timers{at: map[timer]feedback.Time{}},
	}
	w.board = board{w}
	keyed := set.Keyed()
	for _, r := range set.Rules() {
		if windows, ok := keyed[r.ID]; ok && r.Alert {
			w.known = append(w.known, known{r.ID, windows})
		}
	}
	return w
}

// Step is what a decision did.
type Step struct {
	At feedback.Time
	rules.Result
	// Acted are the effects that were carried out: those that had not been before for the item, without tags.
	Acted []rules.Effect
	// Lapsed are the keys of effects that were carried out before and are not asked for any more.
	Lapsed []string
	// Case is the item's open case, if any.
	Case *Case
	// Opened says that the decision opened it.
	Opened bool
}

// Decide decides on an event at an instant, or now if that has passed, and acts on what follows. The event is what
// Set.Evaluate takes; corrections are the human layer of the item's labels. An item with the id of one that was there
// before is a revision of it.
func (w *World) Decide(ev *feedback.Event, at feedback.Time, corrections ...feedback.Change) Step {
	w.Advance(at)
	m := w.memory(ev.Item.ID)
	m.corrections = corrections
	was := m.counts
	step := Step{At: w.now, Result: w.set.Decide(ev, w.now, m)}
	m.counts = step.Counts
	w.act(ev.Item, m, &step)
	if len(w.known) > 0 {
		var touched []rules.Instance
		seen := map[rules.Instance]bool{}
		for _, counts := range [...][]rules.Count{step.Counts, was} {
			w.set.Touched(counts, func(in rules.Instance) {
				if !seen[in] {
					seen[in] = true
					touched = append(touched, in)
				}
			})
		}
		w.observe(touched)
	}
	if !w.options.Once {
		m.decision = new(step.Decision)
	}
	w.advance(w.now)
	w.sweep()
	return step
}

// Explain tells why the rules fired or did not in a step on the event. It is to be asked before the next one.
func (w *World) Explain(ev *feedback.Event, step *Step) *rules.Explanation {
	return w.set.ExplainDecision(&step.Decision, ev, w.memory(ev.Item.ID))
}

// Now returns the instant that the world has come to, and 0 before anything has happened.
func (w *World) Now() feedback.Time { return w.now }

// Advance lets time pass up to an instant. An instant that has passed changes nothing.
func (w *World) Advance(to feedback.Time) {
	w.observed = nil
	w.advance(to)
}

// advance does in its order what is due up to an instant.
func (w *World) advance(to feedback.Time) {
	if w.now == 0 && len(w.timers.heap) == 0 {
		w.start(to)
	}
	for {
		at, due := w.timers.next()
		ticks := w.tick != 0 && w.tick <= to && (!due || w.tick < at)
		switch {
		case ticks:
			if w.stopped() {
				return
			}
			w.now = max(w.now, w.tick)
			w.tick = w.tick.Add(w.options.TickEvery)
			w.look()
		case due && at <= to:
			w.now = max(w.now, at)
			w.wake()
		default:
			w.now = max(w.now, to)
			return
		}
	}
}

// looksBetween is how often all alerts are looked at until Stop is asked.
const looksBetween = 64

// stopped reports whether Stop says so.
func (w *World) stopped() bool {
	if w.looks--; w.options.Stop == nil || w.looks > 0 {
		return false
	}
	if w.options.Stop() {
		return true
	}
	w.looks = looksBetween
	return false
}

// start begins the world's time.
func (w *World) start(at feedback.Time) {
	w.now = at
	if every := feedback.Time(w.options.TickEvery / time.Millisecond); every > 0 {
		w.tick = at - at%every + every
	}
}

// Tick looks at all alerts that are known, at an instant or now if that has passed.
func (w *World) Tick(at feedback.Time) {
	w.Advance(at)
	w.look()
	w.advance(w.now)
}

// look observes every rule that holds over time under every key that its windows or its active alerts have.
func (w *World) look() {
	var all []rules.Instance
	for _, k := range w.known {
		if k.windows == nil {
			all = append(all, rules.Instance{Rule: k.rule})
			continue
		}
		keys := map[string]bool{}
		for _, id := range k.windows {
			for key := range w.windows[id] {
				keys[key] = true
			}
			for key := range w.stated[id] {
				keys[key] = true
			}
		}
		for p, a := range w.alerts {
			if p.rule == k.rule && (a.State.Status == alert.Pending || a.State.Status == alert.Firing) {
				keys[p.key] = true
			}
		}
		delete(keys, "") // what a rate by theme is a share of
		all = appendSorted(all, k.rule, keys)
	}
	w.observe(all)
}

func appendSorted(to []rules.Instance, rule string, keys map[string]bool) []rules.Instance {
	from := len(to)
	for key := range keys {
		to = append(to, rules.Instance{Rule: rule, Key: key})
	}
	slices.SortFunc(to[from:], func(a, b rules.Instance) int { return cmp.Compare(a.Key, b.Key) })
	return to
}

func (w *World) observe(instances []rules.Instance) {
	w.observed = append(w.observed, instances...)
	w.set.Observe(instances, w.now, w.board)
}

// SetWindow states what a window tells under a key from now on, whatever it has observed; see rules.KeyOf for a key of
// several fields. It reports false when the set has no window of that name.
func (w *World) SetWindow(name, key string, f window.Figure) bool {
	found := false
	for _, info := range w.set.Windows() {
		if info.Name != name {
			continue
		}
		found = true
		if w.stated[info.ID] == nil {
			w.stated[info.ID] = map[string]window.Figure{}
		}
		w.stated[info.ID][key] = f
	}
	return found
}
