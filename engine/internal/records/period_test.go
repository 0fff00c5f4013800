package records

import (
	"testing"

	"pgregory.net/rapid"
)

// TestCoverIsTheDays covers random spans of time, and counts every day as its year, its month and itself do.
func TestCoverIsTheDays(t *testing.T) {
	t.Parallel()
	start := Date(20221130)
	rapid.Check(t, func(rt *rapid.T) {
		from := rapid.IntRange(0, 1500).Draw(rt, "from")
		n := rapid.IntRange(0, 1500).Draw(rt, "days")
		first, last := DayOf(start.AddDate(0, 0, from)), DayOf(start.AddDate(0, 0, from+n))
		cover := Cover(first, last)
		if most := 2*(1+5+15) + n/365 + 1; len(cover) > most {
			rt.Fatalf("%d to %d takes %d rollups, want at most %d", first, last, len(cover), most)
		}
		for d := start.AddDate(-1, 0, 0); d.Before(start.AddDate(10, 0, 0)); d = d.AddDate(0, 0, 1) {
			day := DayOf(d)
			var got, want int64
			if day >= first && day <= last {
				want = 1
			}
			for _, c := range cover {
				if c.Day == day || c.Day == day/100*100 || c.Day == day/10_000*10_000 {
					got += c.Sign
				}
			}
			if got != want {
				rt.Fatalf("%d to %d counts the day %d %d times, want %d: %v", first, last, day, got, want, cover)
			}
		}
	})
}
