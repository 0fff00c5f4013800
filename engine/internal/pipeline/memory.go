package pipeline

import (
	"errors"
	"slices"
	"strconv"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/window"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// ringID names the observations of a window under a key.
type ringID struct{ window, key string }

// ring is the observations of a window in one update.
type ring struct {
	*window.Ring
	changed bool
}

// memory is what the rules remember, as one update sees it: read from the store when it is asked for, and written at the
// end of the update.
type memory struct {
	rings     map[ringID]*ring
	throttled map[rules.Instance][]rules.Firing // that have changed
	turns     map[string]int
	loads     map[string]int
	board     board
	book      casebook
	touched   []rules.Instance // rules that hold over time whose windows have changed, each once
	seen      map[rules.Instance]bool
}

// touch notes that an instance is to be looked at.
func (m *memory) touch(in rules.Instance) {
	if m.seen[in] {
		return
	}
	if m.seen == nil {
		m.seen = map[rules.Instance]bool{}
	}
	m.seen[in] = true
	m.touched = append(m.touched, in)
}

// fail notes an error of a read that the rules asked for.
func (w *writer) fail(err error) {
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		w.failed = errors.Join(w.failed, err)
	}
}

// loadOr reads a record, or returns an empty one.
func loadOr[T any](w *writer, key []byte) *T {
	v, err := store.Load[T](w.tx, key)
	if err != nil {
		w.fail(err)
		return new(T)
	}
	return v
}

// number reads a number in decimal, 0 when there is none.
func (w *writer) number(key []byte) int {
	b, err := w.tx.Get(key)
	if err != nil {
		w.fail(err)
		return 0
	}
	n, err := strconv.Atoi(string(b))
	w.fail(err)
	return n
}

func (w *writer) setNumber(key []byte, n int) {
	if n == 0 {
		w.tx.Delete(key)
		return
	}
	w.tx.Set(key, strconv.AppendInt(nil, int64(n), 10))
}

// ring returns the observations of a window under a key, with those of this update. It is nil when there are none and
// none are to be made.
func (w *writer) ring(id, key string, span *window.Span) *ring {
	at := ringID{id, key}
	if r, ok := w.memory.rings[at]; ok && (r != nil || span == nil) {
		return r
	}
	r := w.readRing(id, key)
	if r == nil && span != nil {
		r = &ring{Ring: window.NewRing(*span)}
	}
	if w.memory.rings == nil {
		w.memory.rings = map[ringID]*ring{}
	}
	w.memory.rings[at] = r
	return r
}

func (w *writer) readRing(id, key string) *ring {
	b, err := w.tx.Get(records.RingKey(id, w.deciding.generations[id], key))
	if err != nil {
		w.fail(err)
		return nil
	}
	r := &ring{Ring: new(window.Ring)}
	if err := r.UnmarshalBinary(b); err != nil {
		w.fail(err)
		return nil
	}
	return r
}

// remember writes what the rules of this update are to remember.
func (w *writer) remember() error {
	var b []byte
	for id, r := range w.memory.rings {
		if r == nil || !r.changed {
			continue
		}
		key := records.RingKey(id.window, w.deciding.generations[id.window], id.key)
		if r.Empty(w.at) {
			w.tx.Delete(key)
			continue
		}
		var err error
		if b, err = r.AppendBinary(b[:0]); err != nil {
			return err
		}
		w.tx.Set(key, b)
	}
	for at, firings := range w.memory.throttled {
		if err := store.Put(w.tx, records.ThrottleKey(at.Rule, at.Key), &records.Throttled{Firings: firings}); err != nil {
			return err
		}
	}
	for pool, n := range w.memory.turns {
		w.setNumber(records.TurnKey(pool), n)
	}
	for owner, n := range w.memory.loads {
		w.setNumber(records.LoadKey(owner), n)
	}
	return errors.Join(w.memory.board.write(w), w.writeCases())
}

// loadOf returns the number of open cases of an owner.
func (w *writer) loadOf(owner string) int {
	if n, ok := w.memory.loads[owner]; ok {
		return n
	}
	return w.number(records.LoadKey(owner))
}

// burden notes that an owner has more or fewer open cases.
func (w *writer) burden(owner string, by int) {
	if owner == "" {
		return
	}
	if w.memory.loads == nil {
		w.memory.loads = map[string]int{}
	}
	w.memory.loads[owner] = max(w.loadOf(owner)+by, 0)
}

// view is what the rules know of one item, and where they take note: point reads and writes inside the update.
type view struct {
	w      *writer
	id     feedback.ItemID
	last   int // number of the latest decision
	labels *records.Labels
	was    []rules.Count
}

var _ rules.Memory = (*view)(nil)

// Previous returns the item's latest decision, or nil.
func (v *view) Previous() *rules.Decision {
	if v.last == 0 {
		return nil
	}
	d, err := store.Load[rules.Decision](v.w.tx, records.DecisionKey(v.id, v.last))
	if err != nil {
		v.w.failed = errors.Join(v.w.failed, err)
		return nil
	}
	return d
}

// Corrections returns what people say of the item.
func (v *view) Corrections() []feedback.Change { return v.labels.Layer(feedback.LayerHuman) }

// Counted returns what the item adds to windows that are kept.
func (v *view) Counted() []rules.Count { return v.was }

// Window returns the observations of a window under a key.
func (v *view) Window(id, key string) *window.Ring { return v.w.window(id, key) }

func (w *writer) window(id, key string) *window.Ring {
	if r := w.ring(id, key, nil); r != nil {
		return r.Ring
	}
	return nil
}

// Ring returns the observations of a window under a key, to be changed.
func (v *view) Ring(info *rules.WindowInfo, key string) *window.Ring {
	r := v.w.ring(info.ID, key, &info.Span)
	r.changed = true
	return r.Ring
}

// Throttled returns the latest firings of a rule under a key.
func (v *view) Throttled(rule, key string) []rules.Firing {
	if f, ok := v.w.memory.throttled[rules.Instance{Rule: rule, Key: key}]; ok {
		return f
	}
	return loadOr[records.Throttled](v.w, records.ThrottleKey(rule, key)).Firings
}

// SetThrottled replaces them.
func (v *view) SetThrottled(rule, key string, firings []rules.Firing) {
	if v.w.memory.throttled == nil {
		v.w.memory.throttled = map[rules.Instance][]rules.Firing{}
	}
	v.w.memory.throttled[rules.Instance{Rule: rule, Key: key}] = firings
}

// Turn returns how many owners were taken from a pool.
func (v *view) Turn(pool string) int {
	if n, ok := v.w.memory.turns[pool]; ok {
		return n
	}
	return v.w.number(records.TurnKey(pool))
}

// SetTurn replaces it.
func (v *view) SetTurn(pool string, n int) {
	if v.w.memory.turns == nil {
		v.w.memory.turns = map[string]int{}
	}
	v.w.memory.turns[pool] = n
}

// Load returns the number of open cases of an owner.
func (v *view) Load(owner string) int { return v.w.loadOf(owner) }

// counted returns what an item adds to the windows that are kept now, and leaves out what it added to others.
func (w *writer) counted(rec *records.Item) []rules.Count {
	if len(rec.Windows) == 0 {
		return nil
	}
	out := make([]rules.Count, 0, len(rec.Windows))
	for _, c := range rec.Windows {
		if generation, kept := w.deciding.generations[c.Window]; kept && generation == c.Generation {
			out = append(out, c.Count)
		}
	}
	return out
}

// recount keeps with the item what it adds to windows, also to those that are being filled, and notes which rules that
// hold over time are to be looked at.
func (w *writer) recount(s *subject, v *view, is []rules.Count, effective *feedback.Labels) {
	if filling := w.deciding.filling; filling != nil {
		of := func(c rules.Count) bool { return !filling.HasWindow(c.Window) || w.rules.HasWindow(c.Window) }
		was := slices.DeleteFunc(slices.Clone(v.was), of)
		more := filling.CountsOf(s.counting(effective))
		is = slices.DeleteFunc(is, func(c rules.Count) bool { return !of(c) })
		is = append(is, filling.Recount(was, slices.DeleteFunc(more, of), w.at, v)...)
	}
	w.rules.Touched(v.was, w.memory.touch)
	w.rules.Touched(is, w.memory.touch)
	s.rec.Windows = nil
	for _, c := range is {
		s.rec.Windows = append(s.rec.Windows, records.WindowCount{Count: c, Generation: w.deciding.generations[c.Window]})
	}
}
