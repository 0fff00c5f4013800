package records

import (
	"fmt"
	"testing"

	"github.com/closedloop/closedloop/engine/internal/store"
)

// The rollups of format 1 come to lie where they would be had they been counted today, part by part.
func TestMoveRollups(t *testing.T) {
	t.Parallel()
	open := func() *store.Store {
		s, err := store.Open(t.TempDir(), store.Options{Profile: store.Small, Reserve: -1, Ballast: -1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	old, today := open(), open()
	const days, values = 40, 40
	for d := range days {
		err := old.Update(t.Context(), func(tx *store.Tx) error {
			for v := range values {
				b, err := (&Rollup{N: int64(v + 1), Sum: float64(d)}).AppendBinary(nil)
				if err != nil {
					return err
				}
				tx.Set(store.NewKey('u').Str("nps").Str(DimTheme).Str(fmt.Sprint("t", v)).Uint64(uint64(20260101+d/28*100+d%28)).Bytes(), b)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := today.Update(t.Context(), func(tx *store.Tx) error {
			var tally Tally
			for v := range values {
				tally.add(RollupID{"nps", Dim{DimTheme, fmt.Sprint("t", v)}, uint32(20260101 + d/28*100 + d%28)}, Rollup{N: int64(v + 1), Sum: float64(d)}, 1)
			}
			return tally.Write(tx)
		}); err != nil {
			t.Fatal(err)
		}
	}
	var cursor []byte
	parts := 0
	for last := false; !last; parts++ {
		var part store.Part
		if err := old.View(func(s *store.Snapshot) (err error) {
			part, err = moveRollups(s, cursor)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if err := old.Update(t.Context(), part.Do); err != nil {
			t.Fatal(err)
		}
		cursor, last = part.Cursor, part.Last
	}
	if parts != days*values/rollupsAtOnce+1 {
		t.Errorf("%d parts", parts)
	}
	if got, want := dumped(t, old), dumped(t, today); got != want {
		t.Errorf("moved:\n%s\nwant:\n%s", got, want)
	}
}

func dumped(t *testing.T, s *store.Store) (out string) {
	t.Helper()
	if err := s.View(func(sn *store.Snapshot) error {
		return sn.Scan(nil, nil, false, func(key, payload []byte) (bool, error) {
			out += fmt.Sprintf("%q %x\n", key, payload)
			return true, nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	return out
}
