package store

import (
	"errors"

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
	return s.View(func(sn *Snapshot) error {
		return sn.Scan([]byte{KeyTimer}, nil, false, func(key, payload []byte) (bool, error) {
			r := ReadKey(key)
			tm := Timer{Due: r.Time(), Kind: r.Str(), Ref: r.Str()}
			if r.Err() != nil {
				return false, errorf(ErrCorrupt, corruptHint, "timer %q: %v", key, r.Err())
			}
			tm.Payload = append([]byte(nil), payload...)
			return fn(tm), nil
		})
	})
}
