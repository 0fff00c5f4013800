package records

import (
	"fmt"
	"testing"

	"github.com/closedloop/closedloop/engine/internal/store"
)

// The rollups of format 1 come to lie where they would be had they been counted today, part by part.
func TestMoveRollups(t *testing.T) {
	t.Parallel()
	old, today := openStore(t), openStore(t)
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
	if parts := moveAll(t, old); parts != days*values/rollupsAtOnce+1 {
		t.Errorf("%d parts", parts)
	}
	if got, want := dumped(t, old), dumped(t, today); got != want {
		t.Errorf("moved:\n%s\nwant:\n%s", got, want)
	}
}

// moveAll moves all rollups of format 1 and returns in how many parts.
func moveAll(t *testing.T, st *store.Store) (parts int) {
	t.Helper()
	var part store.Part
	for ; !part.Last; parts++ {
		err := st.View(func(s *store.Snapshot) (err error) {
			part, err = moveRollups(s, part.Cursor)
			return err
		})
		if err == nil {
			err = st.Update(t.Context(), part.Do)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return parts
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
