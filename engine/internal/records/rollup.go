package records

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Volume is the measure that counts every item. The other measures are the survey kinds, and count answers. Share is what
// part of the volume has a value: it is computed, and no kind of survey has its name either.
const (
	Volume = "items"
	Share  = "share"
)

// The dimensions of rollups. All has one value, the empty string.
const (
	DimAll        = "all"
	DimTheme      = "theme" // with the themes above
	DimTouchpoint = "touchpoint"
	DimSegment    = "segment"
	DimChannel    = "channel"
	DimSource     = "source"
	DimQueue      = "queue"
)

// Rollup is a signed sum over the items of one day, measure, dimension and value.
type Rollup struct {
	N     int64
	Sum   float64 // of the scores
	SumSq float64 // of their squares
	// Hist counts the scores 0 to 10, each rounded to the nearest; scores outside count nowhere.
	Hist [histBins]int64
	more []byte // what a newer version has appended
}

// rollupMinimum is the size of a record whose counts all take one byte.
const rollupMinimum = 16 + 1 + 1

// AppendBinary writes the record: the sums as little-endian IEEE 754, the count, the number of bins and the bins as
// zigzag varints, then what a newer version has appended. Millions of these are rewritten, so they are not JSON.
func (r *Rollup) AppendBinary(b []byte) ([]byte, error) {
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(r.Sum))
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(r.SumSq))
	b = binary.AppendVarint(b, r.N)
	b = binary.AppendVarint(b, histBins)
	for _, n := range r.Hist {
		b = binary.AppendVarint(b, n)
	}
	return append(b, r.more...), nil
}

// UnmarshalBinary reads what AppendBinary writes.
func (r *Rollup) UnmarshalBinary(b []byte) error {
	if len(b) < rollupMinimum {
		return fmt.Errorf("rollup: found %d bytes, expected at least %d", len(b), rollupMinimum)
	}
	r.Sum = math.Float64frombits(binary.LittleEndian.Uint64(b))
	r.SumSq = math.Float64frombits(binary.LittleEndian.Uint64(b[8:]))
	b = b[16:]
	var bins int64
	for _, v := range [...]*int64{&r.N, &bins} {
		if b = readVarint(b, v); b == nil {
			return errors.New("rollup: cut off in its counts")
		}
	}
	if bins != histBins {
		return fmt.Errorf("rollup: found %d bins, expected %d", bins, histBins)
	}
	for i := range r.Hist {
		if b = readVarint(b, &r.Hist[i]); b == nil {
			return fmt.Errorf("rollup: cut off in bin %d", i)
		}
	}
	r.more = append([]byte(nil), b...)
	return nil
}

// readVarint reads a number and returns what follows it, or nil when there is none.
func readVarint(b []byte, v *int64) []byte {
	n, size := binary.Varint(b)
	if size <= 0 {
		return nil
	}
	*v = n
	return b[size:]
}

// Add adds the other rollup, sign times.
func (r *Rollup) Add(o Rollup, sign int64) {
	r.N += sign * o.N
	r.Sum += float64(sign) * o.Sum
	r.SumSq += float64(sign) * o.SumSq
	for i, n := range o.Hist {
		r.Hist[i] += sign * n
	}
}

// Zero reports whether nothing counts in it. The sums of no answers may be off by what rounding left.
func (r *Rollup) Zero() bool { return r.N == 0 && r.Hist == [histBins]int64{} }

const histBins = 11

// Contribution is what one item adds to the rollups, kept so that it can be subtracted whatever changes later.
type Contribution struct {
	Day    uint32          `json:"day,omitempty"` // yyyymmdd in the program's timezone; 0 adds nothing
	Survey feedback.Survey `json:"survey,omitempty"`
	Score  *float64        `json:"score,omitempty"`
	Dims   []Dim           `json:"dims,omitempty"`
}

// Dim is one value of one dimension.
type Dim struct {
	Name  string `json:"d"`
	Value string `json:"v,omitempty"`
}

// Day returns the day of the instant in the timezone as yyyymmdd.
func Day(t feedback.Time, zone *time.Location) uint32 {
	return DayOf(t.Std().In(zone))
}

// ContributionOf returns what an item with these effective labels and this queue adds to the rollups.
func ContributionOf(it *feedback.Item, l *feedback.Labels, queue string, zone *time.Location) Contribution {
	c := Contribution{Day: Day(it.OccurredAt, zone), Dims: make([]Dim, 0, 8)}
	if it.Score != nil {
		c.Survey, c.Score = it.Survey, it.Score
	}
	add := func(name, value string) {
		if d := (Dim{name, value}); value != "" && !slices.Contains(c.Dims, d) {
			c.Dims = append(c.Dims, d)
		}
	}
	c.Dims = append(c.Dims, Dim{Name: DimAll})
	for i := range l.Themes {
		for p := range l.Themes[i].Path.Ancestors {
			add(DimTheme, string(p))
		}
	}
	add(DimTouchpoint, it.Touchpoint)
	add(DimSegment, it.Customer.Segment)
	add(DimChannel, it.Channel)
	add(DimSource, it.Source)
	add(DimQueue, queue)
	return c
}

// RollupID names one rollup.
type RollupID struct {
	Measure string
	Dim     Dim
	Day     uint32 // yyyymmdd; yyyymm00 is the whole month, and yyyy0000 the whole year
}

// Key is the key of the rollup: the values of one measure, dimension and day lie side by side, behind those of its month
// and of its year.
func (id RollupID) Key() []byte {
	return rollupsOf(id.Measure, id.Dim.Name).Uint64(uint64(id.Day)).Str(id.Dim.Value).Bytes()
}

// rollups begins the keys of rollups. Behind an empty string they are ordered by day before value; a key with a measure in
// its place is of a store that ordered them by value before day. See moveRollups.
func rollups() store.Key { return store.NewKey(store.KeyRollup).Str("") }

func rollupsOf(measure, dim string) store.Key { return rollups().Str(measure).Str(dim) }

// Each calls yield with everything that the contribution adds.
func (c *Contribution) Each(yield func(RollupID, Rollup)) {
	if c.Day == 0 {
		return
	}
	scored := Rollup{N: 1}
	if c.Score != nil {
		s := *c.Score
		scored.Sum, scored.SumSq = s, s*s
		if bin := math.Round(s); bin >= 0 && bin < histBins {
			scored.Hist[int(bin)] = 1
		}
	}
	for _, d := range c.Dims {
		yield(RollupID{Volume, d, c.Day}, Rollup{N: 1})
		if c.Score != nil && c.Survey != "" {
			yield(RollupID{string(c.Survey), d, c.Day}, scored)
		}
	}
}
