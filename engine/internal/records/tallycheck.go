package records

import (
	"errors"
	"fmt"
	"math"

	"github.com/closedloop/closedloop/engine/internal/store"
)

// Differences calls yield with every rollup of the store that is not what the tally comes to, with what is found and
// expected. The tally is of all contributions. Sums may be off by what rounding leaves.
func (t *Tally) Differences(s *store.Snapshot, yield func(key []byte, found, expected *Rollup) error) error {
	want := map[string]*Rollup{}
	for id, r := range t.days {
		day := id.Day
		for _, span := range [...]uint32{1, 100, 10_000} {
			id.Day = day - day%span
			key := string(id.Key())
			if want[key] == nil {
				want[key] = &Rollup{}
			}
			want[key].Add(*r, 1)
		}
	}
	err := s.Scan(rollups().Bytes(), nil, false, func(key, val []byte) (bool, error) {
		var found Rollup
		if err := found.UnmarshalBinary(val); err != nil {
			return false, fmt.Errorf("record %q: %w", key, err)
		}
		expected := want[string(key)]
		delete(want, string(key))
		if expected == nil {
			expected = &Rollup{}
		}
		if same(&found, expected) {
			return true, nil
		}
		return true, yield(key, &found, expected)
	})
	for key, expected := range want {
		if err == nil && !expected.Zero() {
			err = errors.Join(err, yield([]byte(key), &Rollup{}, expected))
		}
	}
	return err
}

// Covers reports whether a rollup counts all that another one does, and perhaps more.
func (r *Rollup) Covers(o *Rollup) bool {
	for i, n := range o.Hist {
		if r.Hist[i] < n {
			return false
		}
	}
	return r.N >= o.N
}

func same(a, b *Rollup) bool {
	near := func(x, y float64) bool { return math.Abs(x-y) <= 1e-6*math.Max(1, math.Max(math.Abs(x), math.Abs(y))) }
	return a.N == b.N && a.Hist == b.Hist && (a.N == 0 || near(a.Sum, b.Sum) && near(a.SumSq, b.SumSq))
}

// IndexEntry is an entry of a secondary index, taken apart.
type IndexEntry struct {
	By   string // queue, customer, waiting, case, opencase or customercase
	Name string // of the queue, customer, categorizer or status
	ID   string // of the item or case
}

// ParseIndex takes the key of an index entry apart.
func ParseIndex(key []byte) (IndexEntry, error) {
	r := store.ReadKey(key)
	e := IndexEntry{By: r.Str(), Name: r.Str()}
	if e.By == byOpenCase {
		_ = r.Time()
	}
	e.ID = r.Str()
	return e, r.Err()
}

// FirstString returns the first field of a key, which is a string.
func FirstString(key []byte) (string, error) { return lastString(key, 1) }

// LoadOwner returns the owner in a LoadKey, and false for any other key.
func LoadOwner(key []byte) (string, bool) {
	r := store.ReadKey(key)
	if key[0] != store.KeyMeta || r.Str() != byLoad {
		return "", false
	}
	owner := r.Str()
	return owner, r.Err() == nil
}
