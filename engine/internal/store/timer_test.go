package store

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/closedloop/closedloop/sdk/feedback"
)

func dueOf(t testing.TB, s *Store, now feedback.Time, limit int) string {
	t.Helper()
	due, err := s.Due(now, limit)
	if err != nil {
		t.Fatal(err)
	}
	out := ""
	for _, tm := range due {
		out += fmt.Sprintf("%d %s %s %s; ", tm.Due, tm.Kind, tm.Ref, tm.Payload)
	}
	return out
}

func TestTimers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := Open(dir, small())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := s.NextDue(); ok || err != nil {
		t.Error("an empty wheel has a timer", err)
	}
	must(t, s, func(tx *Tx) {
		tx.SetTimer(30, "sla", "k_2", []byte("late"))
		tx.SetTimer(20, "sla", "k_1", []byte("x"))
		tx.SetTimer(20, "retry", "d_1", nil)
		tx.SetTimer(-5, "old", "", nil)
		tx.SetTimer(20, "sla", "k_1", []byte("again"))
	})
	if at, ok, err := s.NextDue(); at != -5 || !ok || err != nil {
		t.Error(at, ok, err)
	}
	if got, want := dueOf(t, s, 20, 9), "-5 old  ; 20 retry d_1 ; 20 sla k_1 again; "; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got, want := dueOf(t, s, 20, 1), "-5 old  ; "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	must(t, s, func(tx *Tx) {
		tx.ClearTimer(-5, "old", "")
		tx.ClearTimer(20, "sla", "k_1")
	})
	// A timer before all that the wheel has looked at.
	if at, _, _ := s.NextDue(); at != 20 {
		t.Error(at)
	}
	must(t, s, func(tx *Tx) { tx.SetTimer(1, "early", "", nil) })
	if got, want := dueOf(t, s, math.MaxInt64, 9), "1 early  ; 20 retry d_1 ; 30 sla k_2 late; "; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, dir, small())
	if got, want := dueOf(t, s, 25, 9), "1 early  ; 20 retry d_1 ; "; got != want {
		t.Errorf("after opening again: got %s\nwant %s", got, want)
	}
}

// A timer that many try to fire has its effect once.
func TestTimerFiresOnce(t *testing.T) {
	t.Parallel()
	s := setup(t)
	must(t, s, func(tx *Tx) {
		for i := range 50 {
			tx.SetTimer(feedback.Time(i), "sla", fmt.Sprint(i), nil)
		}
	})
	var fired atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			due, err := s.Due(100, 100)
			if err != nil {
				t.Error(err)
			}
			for _, tm := range due {
				if err := s.Update(t.Context(), func(tx *Tx) error {
					there, err := tx.TakeTimer(tm)
					if err != nil || !there {
						return err
					}
					if tm.Due%2 == 0 {
						return errors.New("the effect failed")
					}
					fired.Add(1)
					return nil
				}); err != nil && tm.Due%2 != 0 {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	due, err := s.Due(100, 100)
	if fired.Load() != 25 || len(due) != 25 || err != nil {
		t.Errorf("%d fired, %d left, %v", fired.Load(), len(due), err)
	}
}

// The wheel skips what has fired, and never skips a timer, however setting and looking overlap.
func TestWheelMissesNothing(t *testing.T) {
	t.Parallel()
	s := setup(t)
	const n = 1000
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; i < n; i += 5 {
			must(t, s, func(tx *Tx) {
				for j := range 5 {
					tx.SetTimer(feedback.Time(((i+j)*7919)%n), "k", "", nil)
				}
			})
		}
	})
	fired := 0
	for fired < n && !t.Failed() {
		due, err := s.Due(n, 50)
		if err != nil {
			t.Fatal(err)
		}
		must(t, s, func(tx *Tx) {
			for _, tm := range due {
				if there, err := tx.TakeTimer(tm); !there || err != nil {
					t.Errorf("timer %d: %v, %v", tm.Due, there, err)
				}
			}
		})
		fired += len(due)
	}
	wg.Wait()
	if _, ok, err := s.NextDue(); ok || err != nil {
		t.Error("a timer is left", err)
	}
}
