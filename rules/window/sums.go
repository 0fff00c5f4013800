package window

import (
	"math"
	"math/bits"
)

// Observation is what one event adds to a window: which of two classes it is in, and its number. An event that is only
// counted is the zero Observation. It is small in JSON because each item keeps those it has added.
type Observation struct {
	Pos   bool    `json:"p,omitempty"` // a promoter; a satisfied answer
	Neg   bool    `json:"n,omitempty"` // a detractor
	Value float64 `json:"v,omitempty"` // the number whose mean the window tells; counted to the nearest millionth
}

// MaxValue is the greatest magnitude of a Value that can be counted.
const MaxValue = 1e12

const micro = 1e6

// Valid reports whether the observation can be counted: its Value is a number between -MaxValue and MaxValue.
func (o Observation) Valid() bool { return math.Abs(o.Value) <= MaxValue }

// Sums is what observations add up to. It is exact: whatever was added and is taken back, in any order, leaves no trace,
// and equal observations give equal Sums. Numbers are summed in millionths and their squares in 192 bits, so that nothing
// overflows before 2^63 observations.
type Sums struct {
	N   int64 // observations
	Pos int64 // of them Pos
	Neg int64 // of them Neg

	sum     [2]uint64 // of the values in millionths; two's complement, low word first
	squares [3]uint64 // of their squares
}

// Add counts an observation. It reports false, and counts nothing, when the observation is not Valid.
func (s *Sums) Add(o Observation) bool {
	if !o.Valid() {
		return false
	}
	s.merge(sumsOf(o))
	return true
}

// Remove takes back an observation that was added. What is not Valid was never counted.
func (s *Sums) Remove(o Observation) {
	if o.Valid() {
		s.unmerge(sumsOf(o))
	}
}

// sumsOf returns the sums of one valid observation.
func sumsOf(o Observation) Sums {
	s := Sums{N: 1}
	if o.Pos {
		s.Pos = 1
	}
	if o.Neg {
		s.Neg = 1
	}
	if o.Value != 0 {
		m := int64(math.Round(o.Value * micro))
		s.sum = [2]uint64{uint64(m), uint64(m >> 63)}
		a := uint64(max(m, -m))
		s.squares[1], s.squares[0] = bits.Mul64(a, a)
	}
	return s
}

func (s *Sums) merge(o Sums) {
	s.N += o.N
	s.Pos += o.Pos
	s.Neg += o.Neg
	var c uint64
	s.sum[0], c = bits.Add64(s.sum[0], o.sum[0], 0)
	s.sum[1], _ = bits.Add64(s.sum[1], o.sum[1], c)
	s.squares[0], c = bits.Add64(s.squares[0], o.squares[0], 0)
	s.squares[1], c = bits.Add64(s.squares[1], o.squares[1], c)
	s.squares[2], _ = bits.Add64(s.squares[2], o.squares[2], c)
}

func (s *Sums) unmerge(o Sums) {
	s.N -= o.N
	s.Pos -= o.Pos
	s.Neg -= o.Neg
	var c uint64
	s.sum[0], c = bits.Sub64(s.sum[0], o.sum[0], 0)
	s.sum[1], _ = bits.Sub64(s.sum[1], o.sum[1], c)
	s.squares[0], c = bits.Sub64(s.squares[0], o.squares[0], 0)
	s.squares[1], c = bits.Sub64(s.squares[1], o.squares[1], c)
	s.squares[2], _ = bits.Sub64(s.squares[2], o.squares[2], c)
}

// Sum returns the sum of the values.
func (s Sums) Sum() float64 { return s.sumMicro() / micro }

// Mean returns the mean of the values, and 0 without observations.
func (s Sums) Mean() float64 {
	if s.N == 0 {
		return 0
	}
	return s.sumMicro() / (micro * float64(s.N))
}

// Variance returns the sample variance of the values, from integers without cancellation, and 0 for fewer than two.
func (s Sums) Variance() float64 {
	if s.N < 2 {
		return 0
	}
	n := float64(s.N)
	return s.spread() / (n * (n - 1) * micro * micro)
}

// sumMicro is the sum in millionths.
func (s Sums) sumMicro() float64 {
	magnitude, negative := s.magnitude()
	v := float64(magnitude[1])*(1<<64) + float64(magnitude[0])
	if negative {
		return -v
	}
	return v
}

// magnitude returns the sum without its sign, and its sign.
func (s Sums) magnitude() ([2]uint64, bool) {
	if s.sum[1]>>63 == 0 {
		return s.sum, false
	}
	lo, borrow := bits.Sub64(0, s.sum[0], 0)
	hi, _ := bits.Sub64(0, s.sum[1], borrow)
	return [2]uint64{lo, hi}, true
}

// spread is N times the sum of the squares less the square of the sum, computed in 256 bits.
func (s Sums) spread() float64 {
	m, _ := s.magnitude()
	var all, square [4]uint64
	for i, q := range s.squares {
		addProduct(all[i:], q, uint64(s.N))
	}
	for i := range m {
		for j := range m {
			addProduct(square[i+j:], m[i], m[j])
		}
	}
	var v, scale, borrow = 0.0, 1.0, uint64(0)
	for i := range all {
		var d uint64
		d, borrow = bits.Sub64(all[i], square[i], borrow)
		v += float64(d) * scale
		scale *= 1 << 64
	}
	if borrow != 0 { // only sums that no observations have
		return 0
	}
	return v
}

// addProduct adds x*y to a number whose low word comes first; what leaves its last word is lost.
func addProduct(to []uint64, x, y uint64) {
	hi, lo := bits.Mul64(x, y)
	var c uint64
	to[0], c = bits.Add64(to[0], lo, 0)
	for i := 1; i < len(to); i++ {
		to[i], c = bits.Add64(to[i], hi, c)
		hi = 0
	}
}
