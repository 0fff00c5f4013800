package store

import (
	"errors"
	"math"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// Timer is one entry of the durable timer wheel: something of a kind, named by ref, that is due at an instant.
type Timer struct {
	Due     feedback.Time
	Kind    string
	Ref     string
	Payload []byte
}

func timerKey(due feedback.Time, kind, ref string) []byte {
	return NewKey(KeyTimer).Time(due).Str(kind).Str(ref).Bytes()
}

// SetTimer adds a timer, or replaces the payload of the one with the same instant, kind and ref.
func (t *Tx) SetTimer(due feedback.Time, kind, ref string, payload []byte) {
	t.Set(timerKey(due, kind, ref), payload)
}

// ClearTimer removes a timer, if there is one.
func (t *Tx) ClearTimer(due feedback.Time, kind, ref string) { t.Delete(timerKey(due, kind, ref)) }

// TakeTimer removes a timer that Due returned and reports whether it was still there. Its effect belongs into the
// same update: so it happens exactly once.
func (t *Tx) TakeTimer(tm Timer) (bool, error) {
	key := timerKey(tm.Due, tm.Kind, tm.Ref)
	_, err := t.Get(key)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	t.Delete(key)
	return true, nil
}

// Due returns the timers that are due at now, the oldest first, at most limit.
func (s *Store) Due(now feedback.Time, limit int) ([]Timer, error) {
	var due []Timer
	err := s.timers(func(tm Timer) bool {
		if tm.Due > now || len(due) >= limit {
			return false
		}
		due = append(due, tm)
		return true
	})
	return due, err
}

// NextDue returns the instant of the next timer, and false when there is none.
func (s *Store) NextDue() (at feedback.Time, ok bool, err error) {
	err = s.timers(func(tm Timer) bool {
		at, ok = tm.Due, true
		return false
	})
	return at, ok, err
}

// timers calls fn with the timers in the order of their instants until it returns false.
func (s *Store) timers(fn func(Timer) bool) error {
	var low feedback.Time
	var scan uint64
	first := feedback.Time(math.MaxInt64)
	err := s.view(func() { low, scan = s.wheel.begin() }, func(sn *Snapshot) error {
		from := NewKey(KeyTimer).Time(low).Bytes()
		return sn.Scan([]byte{KeyTimer}, from, false, func(key, payload []byte) (bool, error) {
			r := ReadKey(key)
			tm := Timer{Due: r.Time(), Kind: r.Str(), Ref: r.Str()}
			if r.Err() != nil {
				return false, errorf(ErrCorrupt, corruptHint, "timer %q: %v", key, r.Err())
			}
			first = min(first, tm.Due)
			tm.Payload = append([]byte(nil), payload...)
			return fn(tm), nil
		})
	})
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.wheel.end(scan, first)
	}
	return err
}

// wheel remembers before which instant there is no timer. A scan from the beginning of the keyspace would step over
// the deletion mark of every timer that ever fired and is not yet compacted away.
type wheel struct {
	low   feedback.Time // no timer is due before it
	added feedback.Time // the earliest timer that was set since the last scan began
	scans uint64
}

func newWheel() wheel { return wheel{low: math.MinInt64, added: math.MaxInt64} }

// set notes that timers were committed, the earliest of them due at an instant.
func (w *wheel) set(earliest feedback.Time) {
	w.low = min(w.low, earliest)
	w.added = min(w.added, earliest)
}

// begin starts a scan of the last commit, from low on.
func (w *wheel) begin() (low feedback.Time, scan uint64) {
	w.added = math.MaxInt64
	w.scans++
	return w.low, w.scans
}

// end takes note of the first timer that a scan found, unless another scan has begun since.
func (w *wheel) end(scan uint64, first feedback.Time) {
	if scan == w.scans {
		w.low = min(first, w.added)
	}
}
