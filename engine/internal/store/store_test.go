package store

import (
	"errors"
	"fmt"
	"sync"
	"testing"
)

// setup opens an empty small store that is closed with the test.
func setup(t testing.TB) *Store {
	t.Helper()
	s, err := Open(t.TempDir(), Options{Profile: Small, Reserve: -1, Ballast: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error("close:", err)
		}
	})
	return s
}

func key(s string) []byte { return NewKey(KeyMeta).Str(s).Bytes() }

func TestUpdatesRunAlone(t *testing.T) {
	t.Parallel()
	s := setup(t)
	refuse := errors.New("refused")
	var wg sync.WaitGroup
	for i := range 2000 {
		wg.Go(func() {
			err := s.Update(t.Context(), func(tx *Tx) error {
				n := 0
				if v, err := tx.Get(key("n")); err == nil {
					if _, err := fmt.Sscan(string(v), &n); err != nil {
						return err
					}
				}
				tx.Set(key("n"), fmt.Append(nil, n+1))
				if i%10 == 0 {
					return refuse
				}
				return nil
			})
			if (i%10 == 0) != errors.Is(err, refuse) {
				t.Errorf("update %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if err := s.View(func(sn *Snapshot) error {
		v, err := sn.Get(key("n"))
		if string(v) != "1800" {
			t.Errorf("counter is %q, want 1800 (%v)", v, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	st := s.Stats()
	t.Logf("%+v", st)
}
