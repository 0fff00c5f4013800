package store

import (
	"errors"
	"testing"
)

// Of two backups that tidy the log of deletions at the same time the slower one does not have it claim to hold again what
// the other has taken off, or what nobody noted while there was no log: an incremental backup would leave deletions out.
func TestLogOfDeletionsIsCutOnce(t *testing.T) {
	t.Parallel()
	const kept = 10 // entries of one hash each
	for name, meanwhile := range map[string]func(t *testing.T, s *Store, remove func(n int)){
		"another cut": func(t *testing.T, s *Store, remove func(n int)) {
			for range 2 {
				if err := s.trimGone(t.Context()); err != nil {
					t.Fatal(err)
				}
				remove(kept - 3)
			}
		},
		"the log ended": func(t *testing.T, s *Store, remove func(n int)) { remove(2 * kept) },
		"the log ended and began anew": func(t *testing.T, s *Store, remove func(n int)) {
			remove(2 * kept)
			if err := s.startGone(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.leastLog = kept * uint64(hashBytes)
			if err := s.startGone(t.Context()); err != nil {
				t.Fatal(err)
			}
			n := 0
			remove := func(times int) {
				for range times {
					n++
					must(t, s, func(tx *Tx) { tx.Delete(key(n)) })
				}
			}
			remove(kept + 2)
			slow, err := s.excess()
			if err != nil || len(slow.old) == 0 {
				t.Fatalf("too much are %v, %v", slow.old, err)
			}
			meanwhile(t, s, remove)
			was := s.goneNow()
			if err := s.cut(t.Context(), &slow); err != nil {
				t.Fatal(err)
			}
			if now := s.goneNow(); now != was {
				t.Errorf("the log is %+v, was %+v", now, was)
			}
		})
	}
}

// A backup that ends while the store is closed, or its tree exchanged, does not ask tables that are no longer in memory.
func TestLogOfDeletionsOfAClosedStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 { // the second time there are tables
		s, err := Open(dir, small())
		if err != nil {
			t.Fatal(err)
		}
		must(t, s, func(tx *Tx) { tx.Set(key(1), []byte("value")) })
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.excess(); !errors.Is(err, ErrClosed) {
			t.Errorf("of a closed store: %v", err)
		}
	}
}
