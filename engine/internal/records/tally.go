package records

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/closedloop/closedloop/engine/internal/store"
)

// Tally is what one update adds to the rollups. The zero value is empty.
type Tally struct{ days map[RollupID]*Rollup }

// Add adds a contribution, or takes it away with sign -1.
func (t *Tally) Add(c *Contribution, sign int64) {
	c.Each(func(id RollupID, r Rollup) { t.add(id, r, sign) })
}

func (t *Tally) add(id RollupID, r Rollup, sign int64) {
	sum := t.days[id]
	if sum == nil {
		if t.days == nil {
			t.days = map[RollupID]*Rollup{}
		}
		sum = &Rollup{}
		t.days[id] = sum
	}
	sum.Add(r, sign)
}

// Write adds the tally to the rollups of its days, and of their months and years. A rollup in which nothing counts any
// more is deleted.
func (t *Tally) Write(tx *store.Tx) error {
	longer := Tally{}
	var b []byte
	write := func(sums map[RollupID]*Rollup, each func(RollupID, Rollup)) (err error) {
		for id, delta := range sums {
			if delta.Zero() && delta.Sum == 0 && delta.SumSq == 0 {
				continue
			}
			if b, err = delta.write(tx, id, b); err != nil {
				return err
			}
			each(id, *delta)
		}
		return nil
	}
	err := write(t.days, func(id RollupID, delta Rollup) {
		for _, span := range [...]uint32{100, 10_000} {
			id.Day -= id.Day % span
			longer.add(id, delta, 1)
		}
	})
	return errors.Join(err, write(longer.days, func(RollupID, Rollup) {}))
}

// write adds r to what is stored under id. It returns the buffer that it was handed.
func (r *Rollup) write(tx *store.Tx, id RollupID, b []byte) ([]byte, error) {
	key := id.Key()
	sum, err := loadRollup(tx, key)
	if err != nil {
		return b, err
	}
	sum.Add(*r, 1)
	if sum.Zero() && len(sum.more) == 0 {
		tx.Delete(key)
		return b, nil
	}
	if b, err = sum.AppendBinary(b[:0]); err != nil {
		return b, err
	}
	tx.Set(key, b)
	return b, nil
}

// LoadRollup reads a rollup, and an empty one where there is none.
func LoadRollup(r Reader, id RollupID) (*Rollup, error) { return loadRollup(r, id.Key()) }

func loadRollup(r Reader, key []byte) (*Rollup, error) {
	sum := &Rollup{}
	b, err := r.Get(key)
	if errors.Is(err, store.ErrNotFound) {
		return sum, nil
	}
	if err == nil {
		err = sum.UnmarshalBinary(b)
	}
	if err != nil {
		return nil, fmt.Errorf("record %q: %w", key, err)
	}
	return sum, nil
}

// Values is a range of values: from one on, and below another one, where an empty one sets no bound.
type Values struct{ From, Below string }

// EachRollup calls yield with the rollups of some values of a dimension on one day, month or year, by value. The rollup is
// valid during the call only.
func EachRollup(s *store.Snapshot, measure, dim string, day uint32, of Values, yield func(value string, r *Rollup)) error {
	prefix := rollupsOf(measure, dim).Uint64(uint64(day))
	var r Rollup
	return s.Scan(prefix.Bytes(), prefix.Str(of.From).Bytes(), false, func(key, val []byte) (bool, error) {
		value, err := valueOf(prefix, key)
		if err != nil || of.Below != "" && value >= of.Below {
			return false, err
		}
		if err := r.UnmarshalBinary(val); err != nil {
			return false, fmt.Errorf("record %q: %w", key, err)
		}
		yield(value, &r)
		return true, nil
	})
}

// SplitValues divides all values of a dimension into at most n ranges, in order. They hold about as many each when the
// values of the day, month or year are spread evenly between its first and its last one.
func SplitValues(s *store.Snapshot, measure, dim string, day uint32, n int) ([]Values, error) {
	prefix := rollupsOf(measure, dim).Uint64(uint64(day))
	var ends [2]string
	for i, reverse := range [...]bool{false, true} {
		err := s.Scan(prefix.Bytes(), nil, reverse, func(key, _ []byte) (more bool, err error) {
			ends[i], err = valueOf(prefix, key)
			return false, err
		})
		if err != nil {
			return nil, err
		}
	}
	return split(ends[0], ends[1], n), nil
}

// split divides what two strings begin with alike into ranges of the same width, where the eight bytes that follow count
// as a number.
func split(first, last string, n int) []Values {
	same := 0
	for same < min(len(first), len(last)) && first[same] == last[same] {
		same++
	}
	number := func(s string) uint64 {
		var b [8]byte
		copy(b[:], s[same:])
		return binary.BigEndian.Uint64(b[:])
	}
	low := number(first)
	width := (number(last) - low) / uint64(n)
	out := []Values{{}}
	for i := 1; i < n && width > 0; i++ {
		at := string(binary.BigEndian.AppendUint64([]byte(first[:same]), low+uint64(i)*width))
		out[i-1].Below = at
		out = append(out, Values{From: at})
	}
	return out
}

// valueOf returns the value in the key of a rollup.
func valueOf(prefix store.Key, key []byte) (string, error) {
	k := store.ReadKey(key[len(prefix.Bytes())-1:])
	value := k.Str()
	if err := k.Err(); err != nil {
		return "", fmt.Errorf("record %q: %w", key, err)
	}
	return value, nil
}

// RollupYears returns the years in which a measure has rollups of a dimension, as yyyy0000, by stepping from one to the
// next.
func RollupYears(s *store.Snapshot, measure, dim string) (years []uint32, err error) {
	for day := uint32(0); ; {
		if day, err = rollupFrom(s, measure, dim, day); err != nil || day == 0 {
			return years, err
		}
		year := day - day%10_000
		years, day = append(years, year), year+10_000
	}
}

// RollupSpan returns the first and the last day on which a measure has rollups of a dimension, both 0 when there are none.
func RollupSpan(s *store.Snapshot, measure, dim string) (first, last uint32, err error) {
	prefix := rollupsOf(measure, dim)
	err = s.Scan(prefix.Bytes(), nil, true, func(key, _ []byte) (bool, error) {
		last, err = dayOf(key)
		return false, err
	})
	for day := uint32(0); err == nil && last != 0; day = first + 1 { // the year, its first month, the first day of that
		if first, err = rollupFrom(s, measure, dim, day); first%100 != 0 {
			break
		}
	}
	return first, last, err
}

// rollupFrom returns the first day, month or year with rollups from one on, or 0.
func rollupFrom(s *store.Snapshot, measure, dim string, from uint32) (day uint32, err error) {
	prefix := rollupsOf(measure, dim)
	err = s.Scan(prefix.Bytes(), prefix.Uint64(uint64(from)).Bytes(), false, func(key, _ []byte) (bool, error) {
		day, err = dayOf(key)
		return false, err
	})
	return day, err
}

func dayOf(key []byte) (uint32, error) {
	k := store.ReadKey(key)
	for range 3 {
		_ = k.Str()
	}
	day := k.Uint64()
	if k.Err() == nil && day > math.MaxUint32 {
		return 0, fmt.Errorf("record %q: no day", key)
	}
	return uint32(day), k.Err()
}

// Measures returns the measures that have rollups, in their order, by stepping from one to the next.
func Measures(s *store.Snapshot) (measures []string, err error) {
	var from []byte
	for found := true; found && err == nil; {
		found = false
		err = s.Scan(rollups().Bytes(), from, false, func(key, _ []byte) (bool, error) {
			k := store.ReadKey(key)
			_ = k.Str()
			measure := k.Str()
			measures, found = append(measures, measure), true
			from = rollups().Str(measure).Str("\U0010FFFF").Bytes()
			return false, k.Err()
		})
	}
	return measures, err
}
