package records

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/engine/internal/store"
	"pgregory.net/rapid"
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
		return EachRollup(s, measure, dim, day, Values{}, func(value string, r *Rollup) {
			out = append(out, fmt.Sprint(value, " ", r.N, " ", r.Sum))
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

// TestSplitValues divides random values into ranges, each of which is read alone.
func TestSplitValues(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		measure := fmt.Sprint("measure ", run)
		common := rapid.StringOfN(rapid.RuneFrom([]rune("a\x00ÿ")), 0, 12, -1).Draw(rt, "common")
		values := rapid.SliceOfNDistinct(rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]byte("\x00\x01am\xff")), 1, 10), func(b []byte) string { return common + string(b) }), 0, 20, rapid.ID).Draw(rt, "values")
		err := st.Update(t.Context(), func(tx *store.Tx) error {
			for _, value := range values {
				b, err := (&Rollup{N: 1}).AppendBinary(nil)
				if err != nil {
					return err
				}
				tx.Set(RollupID{measure, Dim{DimTheme, value}, 20260000}.Key(), b)
			}
			return nil
		})
		if err != nil {
			rt.Fatal(err)
		}
		slices.Sort(values)
		n := rapid.IntRange(1, 9).Draw(rt, "ranges")
		err = st.View(func(s *store.Snapshot) error {
			ranges, err := SplitValues(s, measure, DimTheme, 20260000, n)
			if len(ranges) < 1 || len(ranges) > n {
				rt.Fatalf("%d ranges, want at most %d", len(ranges), n)
			}
			var got []string
			for _, of := range ranges {
				err = errors.Join(err, EachRollup(s, measure, DimTheme, 20260000, of, func(value string, _ *Rollup) { got = append(got, value) }))
			}
			if !slices.Equal(got, values) {
				rt.Fatalf("%q hold %q, want %q", ranges, got, values)
			}
			return err
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// TestSplitIsEven divides names as there are, which share a beginning.
func TestSplitIsEven(t *testing.T) {
	t.Parallel()
	got := split("theme-00", "theme-99/part-9", 4)
	for i, want := range []string{"theme-2", "theme-4", "theme-6"} {
		if at := got[i].Below; !strings.HasPrefix(at, want) || at != got[i+1].From {
			t.Errorf("range %d ends below %q and the next one begins with %q, want %s", i, at, got[i+1].From, want)
		}
	}
}
