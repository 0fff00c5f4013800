package records

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/closedloop/closedloop/engine/internal/store"
)

func openStore(t *testing.T) *store.Store {
	t.Helper()
	st, err := store.Open(t.TempDir(), store.Options{Profile: store.Small, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

// told returns the rollups of a dimension of a store on a day, month or year.
func told(t *testing.T, st *store.Store, measure, dim string, day uint32) (out []string) {
	t.Helper()
	err := st.View(func(s *store.Snapshot) error {
		return EachRollup(s, measure, dim, day, func(value string, r *Rollup) error {
			out = append(out, fmt.Sprint(value, " ", r.N, " ", r.Sum))
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestOldRollupsAreMoved writes rollups as an older store has them, more than one update moves, and moves them twice.
func TestOldRollupsAreMoved(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	const days = rollupsAtOnce + 100
	err := st.Update(t.Context(), func(tx *store.Tx) error {
		for i := range days {
			day := DayOf(Date(20250101).AddDate(0, 0, i))
			b, err := (&Rollup{N: 2, Sum: 3}).AppendBinary(nil)
			if err != nil {
				return err
			}
			tx.Set(store.NewKey(store.KeyRollup).Str("nps").Str(DimTheme).Str("a\x00b").Uint64(uint64(day)).Bytes(), b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	moveAll(t, st)
	moveAll(t, st)
	for day, want := range map[uint32]string{20250101: "a\x00b 2 3", 20250300: "a\x00b 62 93", 20250000: "a\x00b 730 1095"} {
		if got := told(t, st, "nps", DimTheme, day); !slices.Equal(got, []string{want}) {
			t.Errorf("%d has %q, want %q", day, got, want)
		}
	}
	err = st.View(func(s *store.Snapshot) error {
		first, last, err := RollupSpan(s, "nps", DimTheme)
		years, err2 := RollupYears(s, "nps", DimTheme)
		measures, err3 := Measures(s)
		if end := DayOf(Date(20250101).AddDate(0, 0, days-1)); first != 20250101 || last != end || !slices.Equal(years, []uint32{20250000, 20260000}) || !slices.Equal(measures, []string{"nps"}) {
			t.Errorf("from %d to %d in %v, %v", first, last, years, measures)
		}
		return errors.Join(err, err2, err3)
	})
	if err != nil {
		t.Error(err)
	}
}

// TestNothingIsLeftOfWhatIsTakenBack counts an item and takes it back, at once and later.
func TestNothingIsLeftOfWhatIsTakenBack(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	c := &Contribution{Day: 20260302, Survey: "mood", Score: new(0.1), Dims: []Dim{{Name: DimAll}, {DimTheme, "price"}}}
	other := *c
	other.Score = new(0.7)
	for _, signs := range [][]int64{{1, -1}, {1}, {-1}} {
		err := st.Update(t.Context(), func(tx *store.Tx) error {
			var tally Tally
			for _, sign := range signs {
				tally.Add(c, sign)
				tally.Add(&other, sign)
			}
			return tally.Write(tx)
		})
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		if slices.Equal(signs, []int64{1}) {
			want = 1
		}
		for _, day := range []uint32{20260302, 20260300, 20260000} {
			if got := told(t, st, "mood", DimTheme, day); len(got) != want {
				t.Errorf("after %v %d has %q", signs, day, got)
			}
		}
	}
}
