package records

import (
	"math"
	"slices"
	"time"

	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Volume is the measure that counts every item. The other measures are the survey kinds, and count answers.
const Volume = "items"

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
	N     int64   `json:"n"`
	Sum   float64 `json:"sum,omitempty"`   // of the scores
	SumSq float64 `json:"sumsq,omitempty"` // of their squares
	// Hist counts the scores 0 to 10, each rounded to the nearest. Empty for scores outside.
	Hist []int64 `json:"hist,omitempty"`
}

// Add adds the other rollup, sign times.
func (r *Rollup) Add(o Rollup, sign int64) {
	r.N += sign * o.N
	r.Sum += float64(sign) * o.Sum
	r.SumSq += float64(sign) * o.SumSq
	if len(o.Hist) > 0 && len(r.Hist) == 0 {
		r.Hist = make([]int64, histBins)
	}
	for i, n := range o.Hist {
		r.Hist[i] += sign * n
	}
}

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
	y, m, d := t.Std().In(zone).Date()
	return uint32(y)*10000 + uint32(m)*100 + uint32(d)
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
	Day     uint32
}

// Key is the key of the rollup: days of one measure and value lie side by side.
func (id RollupID) Key() []byte {
	return store.NewKey('u').Str(id.Measure).Str(id.Dim.Name).Str(id.Dim.Value).Uint64(uint64(id.Day)).Bytes()
}

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
			scored.Hist = make([]int64, histBins)
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
