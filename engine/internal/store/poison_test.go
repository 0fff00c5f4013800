package store

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// A commit that fails with an I/O error is final. The error is a real one: Badger cannot create its next log, because
// a directory is in the way.
func TestIOErrorPoisons(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := Open(dir, small())
	if err != nil {
		t.Fatal(err)
	}
	obstacle := filepath.Join(dir, "badger", "00002.mem")
	if err := os.Mkdir(obstacle, 0o700); err != nil {
		t.Fatal(err)
	}
	acked := make([]int, 8)
	var wg sync.WaitGroup
	for w := range acked {
		wg.Go(func() {
			for i := 0; ; i++ {
				err := s.Update(t.Context(), func(tx *Tx) error {
					tx.Set(key("record", w, i), make([]byte, 20<<10))
					tx.SetTimer(feedback.Time(i), "k", "", nil)
					return nil
				})
				if err != nil {
					if !errors.Is(err, ErrPoisoned) {
						t.Error(err)
					}
					return
				}
				acked[w]++
			}
		})
	}
	wg.Wait()
	if err := s.Update(t.Context(), func(*Tx) error { t.Error("ran"); return nil }); !errors.Is(err, ErrPoisoned) {
		t.Error("a later update:", err)
	}
	if err := s.Healthy(); !errors.Is(err, ErrPoisoned) {
		t.Error("healthy:", err)
	}
	if st := s.Stats(); st.LastError == "" {
		t.Errorf("stats %+v", st)
	}
	// Badger cannot read any more either: an error, not a panic.
	if _, err := s.Due(10, 10); !errors.Is(err, ErrPoisoned) {
		t.Error("due:", err)
	}
	if err := s.View(func(sn *Snapshot) error { _, err := sn.Get(key("a")); return err }); !errors.Is(err, ErrPoisoned) {
		t.Error("get:", err)
	}
	if err := s.Close(); err != nil {
		t.Error("close:", err)
	}
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, dir, small())
	for w, n := range acked {
		for i := range n {
			if len(read(t, s, key("record", w, i))) != 20<<10 {
				t.Errorf("update %d of writer %d was acknowledged and is gone", i, w)
			}
		}
	}
}
