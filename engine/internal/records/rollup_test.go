package records

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
)

func encodeRollup(t *testing.T, r *Rollup) []byte {
	t.Helper()
	b, err := r.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRollupSurvivesARewriteByOlderCode(t *testing.T) {
	t.Parallel()
	r := Rollup{N: 3, Sum: 12.5, SumSq: 90.25}
	r.Hist[4], r.Hist[10] = 2, -1
	newer := append(encodeRollup(t, &r), "a member of tomorrow"...)
	var read Rollup
	if err := read.UnmarshalBinary(newer); err != nil {
		t.Fatal(err)
	}
	if read.N != r.N || read.Sum != r.Sum || read.SumSq != r.SumSq || read.Hist != r.Hist {
		t.Errorf("read %+v, want %+v", read, r)
	}
	if again := encodeRollup(t, &read); !bytes.Equal(again, newer) {
		t.Errorf("rewritten as %q, want %q", again, newer)
	}
}

func FuzzRollup(f *testing.F) {
	b, err := (&Rollup{N: 1 << 40, Sum: -1}).AppendBinary(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, again Rollup
		if r.UnmarshalBinary(b) != nil {
			return
		}
		if err := again.UnmarshalBinary(encodeRollup(t, &r)); err != nil {
			t.Errorf("what was written cannot be read: %v", err)
		}
	})
}

func TestContributionsAddUpToNothing(t *testing.T) {
	t.Parallel()
	it := &feedback.Item{
		Survey: feedback.NPS, Score: new(6.0), Touchpoint: "checkout", Source: "s",
		OccurredAt: feedback.TimeOf(time.Date(2026, 3, 2, 23, 30, 0, 0, time.UTC)),
	}
	l := &feedback.Labels{Themes: []feedback.Theme{{Path: "packaging/opening"}, {Path: "packaging/damage"}}}
	c := ContributionOf(it, l, "care", time.UTC)
	sums := map[RollupID]*Rollup{}
	for _, sign := range []int64{1, -1} {
		c.Each(func(id RollupID, r Rollup) {
			if sums[id] == nil {
				sums[id] = &Rollup{}
			}
			sums[id].Add(r, sign)
		})
		if sign > 0 {
			packaging := sums[RollupID{Volume, Dim{DimTheme, "packaging"}, 20260302}]
			if packaging == nil || packaging.N != 1 {
				t.Errorf("an item with two themes below packaging counts %+v there, want once", packaging)
			}
			if hist := sums[RollupID{"nps", Dim{Name: DimAll}, 20260302}].Hist; hist[6] != 1 {
				t.Errorf("histogram %v", hist)
			}
		}
	}
	for id, r := range sums {
		if r.N != 0 || r.Sum != 0 || r.SumSq != 0 || slices.Max(r.Hist[:]) != 0 {
			t.Errorf("%v is left with %+v", id, r)
		}
	}
}
