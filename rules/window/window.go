// Package window counts observations by the time of their event and tells what the last hours or days add up to.
//
// A Ring cuts time into buckets of one step and keeps the running totals of the buckets that a window covers, so that
// adding and reading cost the same whatever the window covers. Three things hold:
//
//   - What a ring tells depends on the observations that it was given, on their buckets and on the time of the question;
//     never on the order in which they came. Late events go to the bucket of their time.
//   - What was added can be taken back, also years later and in any order, and leaves no trace.
//   - Buckets leave by the greatest time that Add or Remove was told. A clock that steps back brings none of them back,
//     and what it adds to or takes from a bucket that has left is nothing.
//
// The package reads no clock. Neither Ring nor Sums may be used by several goroutines at once.
//
//	r := window.NewRing(window.Span{Over: 7 * 24 * time.Hour, Step: time.Hour})
//	r.Add(item.OccurredAt, now, window.Observation{Neg: true})
//	f := window.NPS.Figure(r.Read(now), window.Sums{}, 0.95) // f.Value is -100
package window

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// MaxBuckets is how many buckets Over and Offset may span.
const MaxBuckets = 4096

// Span says which events a window covers when it is read: those of the last Over, in steps of Step, up to Offset ago.
// At the time now these are the buckets floor((now-Offset)/Step)-Over/Step < i <= floor((now-Offset)/Step), and an event
// is in the bucket floor(at/Step). All are whole milliseconds.
type Span struct {
	Over   time.Duration
	Step   time.Duration
	Offset time.Duration
}

// Validate returns what is wrong with the span, or nil.
func (s Span) Validate() error {
	switch {
	case s.Step <= 0:
		return fmt.Errorf("step is %v, expected more than nothing", s.Step)
	case s.Over <= 0:
		return fmt.Errorf("over is %v, expected more than nothing", s.Over)
	case s.Offset < 0:
		return fmt.Errorf("offset is %v, expected nothing or more", s.Offset)
	case s.Step%time.Millisecond != 0:
		return fmt.Errorf("step is %v, expected whole milliseconds", s.Step)
	case s.Offset%time.Millisecond != 0:
		return fmt.Errorf("offset is %v, expected whole milliseconds", s.Offset)
	case s.Over%s.Step != 0:
		return fmt.Errorf("over is %v, expected a multiple of step, which is %v", s.Over, s.Step)
	}
	over, offset := int64(s.Over/s.Step), ceilDiv(int64(s.Offset), int64(s.Step))
	if over > MaxBuckets || offset > MaxBuckets || over+offset > MaxBuckets {
		return fmt.Errorf("over and offset are %d steps of %v, expected at most %d: choose a longer step",
			over+offset, s.Step, MaxBuckets)
	}
	return nil
}

// Ring is a window of one key: buckets of Sums, and the total of those that the window covered when it was last asked.
// Only buckets that something was added to take memory.
type Ring struct {
	step, offset int64 // milliseconds; step is 0 in a ring that counts nothing
	over         int64 // buckets

	left    int64    // the greatest index of the buckets that have left
	buckets []bucket // by index, those before head have left
	head    int

	end      int64 // index of the last bucket of the window that total is of
	from, to int   // the buckets of the window are buckets[from:to]
	total    Sums

	more []byte // what a newer version has appended
}

type bucket struct {
	index int64
	sums  Sums
}

// none stands for no index at all. Times are so far from it that windows around them never reach it.
const none = math.MinInt64

// NewRing returns an empty ring. One whose span does not pass Validate counts nothing.
func NewRing(s Span) *Ring {
	r := &Ring{left: none, end: none}
	if s.Validate() == nil {
		r.setSpan(s)
	}
	return r
}

func (r *Ring) setSpan(s Span) {
	r.step, r.offset = int64(s.Step/time.Millisecond), int64(s.Offset/time.Millisecond)
	r.over = int64(s.Over / s.Step)
}

// Span returns the span of the ring, and the zero Span for one that counts nothing.
func (r *Ring) Span() Span {
	step := time.Duration(r.step) * time.Millisecond
	return Span{Over: time.Duration(r.over) * step, Step: step, Offset: time.Duration(r.offset) * time.Millisecond}
}

// Add counts an observation of the time at. It reports false, and counts nothing, when the bucket of that time is out of
// reach: it has left the window, or lies more than Over in the future of now; and when the observation is not Valid.
// A future bucket within reach waits until the window comes to it.
func (r *Ring) Add(at, now feedback.Time, o Observation) bool {
	if r.step == 0 || !usable(at) || !usable(now) || !o.Valid() {
		return false
	}
	r.advance(now)
	i := floorDiv(int64(at), r.step)
	if i <= r.left || i > floorDiv(int64(now), r.step)+r.over {
		return false
	}
	p, found := r.find(i)
	if !found {
		p = r.insert(p, i)
	}
	one := sumsOf(o)
	r.buckets[p].sums.merge(one)
	if i <= r.end {
		r.total.merge(one)
	}
	return true
}

// Remove takes back what Add counted, and nothing when its bucket has left since. Give it what Add was given, and only
// what Add reported true for.
func (r *Ring) Remove(at, now feedback.Time, o Observation) {
	if r.step == 0 || !usable(at) || !usable(now) || !o.Valid() {
		return
	}
	r.advance(now)
	i := floorDiv(int64(at), r.step)
	p, found := r.find(i)
	if !found {
		return
	}
	one := sumsOf(o)
	r.buckets[p].sums.unmerge(one)
	if r.from <= p && p < r.to {
		r.total.unmerge(one)
	}
}

// Read returns the sums of the window at the time now. It lets no bucket leave, so that asking about a later time
// changes nothing.
func (r *Ring) Read(now feedback.Time) Sums {
	if r.step == 0 || !usable(now) {
		return Sums{}
	}
	r.move(r.endAt(now))
	return r.total
}

// Empty reports whether nothing is kept that the window at now or later covers. Such a ring need not be stored, as long
// as the time does not step back.
func (r *Ring) Empty(now feedback.Time) bool {
	gone := r.left
	if r.step != 0 && usable(now) {
		gone = max(gone, r.endAt(now)-r.over)
	}
	for i := len(r.buckets) - 1; i >= r.head && r.buckets[i].index > gone; i-- {
		if r.buckets[i].sums != (Sums{}) {
			return false
		}
	}
	return true
}

// HasLeft reports whether the bucket of that time has left, so that Add and Remove do nothing there.
func (r *Ring) HasLeft(at feedback.Time) bool {
	return r.step == 0 || !usable(at) || floorDiv(int64(at), r.step) <= r.left
}

// endAt returns the index of the last bucket of the window at now.
func (r *Ring) endAt(now feedback.Time) int64 { return floorDiv(int64(now)-r.offset, r.step) }

// advance moves the window to now, and lets the buckets before it leave unless they were kept for longer already.
func (r *Ring) advance(now feedback.Time) {
	r.move(r.endAt(now))
	if gone := r.end - r.over; gone > r.left {
		r.left, r.head = gone, r.from
	}
}

// move makes total the sums of the window that ends with the bucket of the given index.
func (r *Ring) move(end int64) {
	if end == r.end {
		return
	}
	begin := end - r.over
	for r.to < len(r.buckets) && r.buckets[r.to].index <= end {
		r.total.merge(r.buckets[r.to].sums)
		r.to++
	}
	for r.to > r.head && r.buckets[r.to-1].index > end {
		r.to--
		r.total.unmerge(r.buckets[r.to].sums)
	}
	for r.from < len(r.buckets) && r.buckets[r.from].index <= begin {
		r.total.unmerge(r.buckets[r.from].sums)
		r.from++
	}
	for r.from > r.head && r.buckets[r.from-1].index > begin {
		r.from--
		r.total.merge(r.buckets[r.from].sums)
	}
	r.end = end
}

// find returns the position of the bucket, or where it belongs and false.
func (r *Ring) find(index int64) (int, bool) {
	n := len(r.buckets)
	if n == r.head || r.buckets[n-1].index < index {
		return n, false
	}
	if r.buckets[n-1].index == index {
		return n - 1, true
	}
	p, found := slices.BinarySearchFunc(r.buckets[r.head:], index, func(b bucket, i int64) int {
		switch {
		case b.index < i:
			return -1
		case b.index > i:
			return 1
		}
		return 0
	})
	return r.head + p, found
}

// insert puts an empty bucket at the position, which is not before the window, and returns where that is now.
func (r *Ring) insert(p int, index int64) int {
	if len(r.buckets) == cap(r.buckets) && r.head > 0 && r.head >= len(r.buckets)/4 {
		r.buckets = r.buckets[:copy(r.buckets, r.buckets[r.head:])]
		p, r.from, r.to, r.head = p-r.head, r.from-r.head, r.to-r.head, 0
	}
	r.buckets = slices.Insert(r.buckets, p, bucket{index: index})
	if index <= r.end {
		r.to++
	}
	return p
}

// usable reports whether a time is so near that sums of times, spans and steps stay within 64 bits.
func usable(t feedback.Time) bool { return t > -farthest && t < farthest }

const farthest = 1 << 61

// floorDiv returns a/b, rounded down also for negative a, and takes b > 0.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func ceilDiv(a, b int64) int64 { return -floorDiv(-a, b) }
