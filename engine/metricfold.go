package engine

import (
	"cmp"
	"maps"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"golang.org/x/sync/errgroup"
)

// fold adds up the rollups of one measure and dimension.
type fold struct {
	snap         *store.Snapshot
	measure, dim string
	value        string // when not empty, only of this value
}

// sums are rollups by value.
type sums map[string]*records.Rollup

// of returns the sum of a value, which is empty when there is none.
func (s sums) of(value string) *records.Rollup {
	if r := s[value]; r != nil {
		return r
	}
	return &records.Rollup{}
}

func (s sums) add(value string, r *records.Rollup, sign int64) {
	sum := s[value]
	if sum == nil {
		sum = &records.Rollup{}
		s[value] = sum
	}
	sum.Add(*r, sign)
}

// between adds up the days from first to last, where 0 sets no bound: of these values, or of all that the fold is of.
func (f *fold) between(first, last uint32, only []string) (sums, error) {
	cover, err := f.cover(first, last)
	if err != nil {
		return nil, err
	}
	return f.sum(cover, only)
}

// manyYears is from how many years on only those are looked at in which there is something.
const manyYears = 10

// cover returns the rollups that sum up the days from first to last, where 0 sets no bound.
func (f *fold) cover(first, last uint32) ([]records.Signed, error) {
	if first != 0 && last != 0 && last/10_000-first/10_000 < manyYears {
		return records.Cover(first, last), nil
	}
	years, err := records.RollupYears(f.snap, f.measure, f.dim)
	var out []records.Signed
	for _, year := range years {
		from, to := max(first, year+101), year+1231
		if last != 0 {
			to = min(to, last)
		}
		if from <= to {
			out = append(out, records.Cover(from, to)...)
		}
	}
	return out, err
}

// sum adds up the rollups of a cover: of these values, or of all that the fold is of. Each processor takes a range of the
// values, so that the sums do not depend on how many there are.
func (f *fold) sum(cover []records.Signed, only []string) (sums, error) {
	if only == nil && (f.value != "" || f.dim == records.DimAll) {
		only = []string{f.value}
	}
	if only != nil || len(cover) == 0 {
		return f.load(cover, only)
	}
	longest := slices.MinFunc(cover, func(a, b records.Signed) int { // it has the most values
		return cmp.Or(cmp.Compare(a.Day%100, b.Day%100), cmp.Compare(a.Day%10_000, b.Day%10_000))
	})
	ranges, err := records.SplitValues(f.snap, f.measure, f.dim, longest.Day, runtime.GOMAXPROCS(0))
	if err != nil {
		return nil, err
	}
	parts := make([]sums, len(ranges))
	err = parallel(len(ranges), func(i int) (err error) {
		parts[i], err = f.scan(cover, ranges[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, part := range parts[1:] {
		maps.Copy(parts[0], part)
	}
	return parts[0], nil
}

// scan adds up the rollups of a cover of a range of values.
func (f *fold) scan(cover []records.Signed, of records.Values) (sums, error) {
	out := sums{}
	for _, c := range cover {
		err := records.EachRollup(f.snap, f.measure, f.dim, c.Day, of, func(value string, r *records.Rollup) { out.add(value, r, c.Sign) })
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// load adds up the rollups of a cover of these values.
func (f *fold) load(cover []records.Signed, values []string) (sums, error) {
	out := sums{}
	for _, c := range cover {
		for _, value := range values {
			r, err := records.LoadRollup(f.snap, records.RollupID{Measure: f.measure, Dim: records.Dim{Name: f.dim, Value: value}, Day: c.Day})
			if err != nil {
				return nil, err
			}
			out.add(value, r, c.Sign)
		}
	}
	return out, nil
}

// parallel calls do with the numbers below n, on all processors.
func parallel(n int, do func(i int) error) error {
	var g errgroup.Group
	var next atomic.Int64
	for range min(n, runtime.GOMAXPROCS(0)) {
		g.Go(func() (err error) {
			for i := int(next.Add(1)); i <= n && err == nil; i = int(next.Add(1)) {
				err = do(i - 1)
			}
			return err
		})
	}
	return g.Wait()
}
