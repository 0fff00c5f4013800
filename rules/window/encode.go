package window

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// The record of a ring:
//
//	format byte, step in ms, over in steps, offset in ms, number of buckets: unsigned varints
//	index of the last bucket that has left: zigzag varint
//	each bucket by index: distance from the index before as an unsigned varint, a byte of flags,
//	then what the flags name: N, Pos, Neg as zigzag varints; the sum as a zigzag varint or two words of 8 bytes;
//	the squares as an unsigned varint or three words
//	what a newer version has appended
const format = 1

const (
	hasN = 1 << iota
	hasPos
	hasNeg
	hasSum
	hasWideSum
	hasSquares
	hasWideSquares
	unknownFlags = 1 << iota
)

// smallestBucket is the size of a bucket that only counts.
const smallestBucket = 3

// AppendBinary writes the ring: its span, the buckets that hold something, and which have left. Two rings that tell the
// same now and ever after give the same bytes, whatever their histories.
func (r *Ring) AppendBinary(b []byte) ([]byte, error) {
	n := 0
	for _, k := range r.buckets[r.head:] {
		if k.sums != (Sums{}) {
			n++
		}
	}
	b = append(b, format)
	for _, v := range [...]int64{r.step, r.over, r.offset, int64(n)} {
		b = binary.AppendUvarint(b, uint64(v))
	}
	b = binary.AppendVarint(b, r.left)
	last := r.left
	for _, k := range r.buckets[r.head:] {
		if k.sums != (Sums{}) {
			b = binary.AppendUvarint(b, uint64(k.index-last))
			b = k.sums.append(b)
			last = k.index
		}
	}
	return append(b, r.more...), nil
}

func (s *Sums) append(b []byte) []byte {
	at := len(b)
	b = append(b, 0)
	var flags byte
	for i, v := range [...]int64{s.N, s.Pos, s.Neg} {
		if v != 0 {
			flags |= hasN << i
			b = binary.AppendVarint(b, v)
		}
	}
	switch {
	case s.sum == [2]uint64{}:
	case s.sum[1] == uint64(int64(s.sum[0])>>63):
		flags |= hasSum
		b = binary.AppendVarint(b, int64(s.sum[0]))
	default:
		flags |= hasWideSum
		b = appendWords(b, s.sum[:])
	}
	switch {
	case s.squares == [3]uint64{}:
	case s.squares[1]|s.squares[2] == 0:
		flags |= hasSquares
		b = binary.AppendUvarint(b, s.squares[0])
	default:
		flags |= hasWideSquares
		b = appendWords(b, s.squares[:])
	}
	b[at] = flags
	return b
}

func appendWords(b []byte, words []uint64) []byte {
	for _, w := range words {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}

// UnmarshalBinary reads what AppendBinary writes. A ring that has a span takes only records of that span; the zero Ring
// takes the span of the record. After an error the ring is what it was.
func (r *Ring) UnmarshalBinary(b []byte) error {
	if len(b) == 0 || b[0] != format {
		return fmt.Errorf("window: found %x, expected a record of format %d", b[:min(len(b), 1)], format)
	}
	d := &decoder{rest: b[1:]}
	step, over, offset, n := d.uvarint(), d.uvarint(), d.uvarint(), d.uvarint()
	left := d.varint()
	if d.failed {
		return errCut
	}
	span, err := spanOf(step, over, offset)
	if err != nil {
		return err
	}
	if r.step != 0 && span != r.Span() {
		return fmt.Errorf("window: found a record of %+v, expected %+v", span, r.Span())
	}
	if n > uint64(len(d.rest)/smallestBucket) {
		return errCut
	}
	fresh := NewRing(span)
	fresh.left = left
	if fresh.buckets, err = d.buckets(int(n), left, fresh.reach()); err != nil {
		return err
	}
	fresh.more = append([]byte(nil), d.rest...)
	*r = *fresh
	return nil
}

var errCut = errors.New("window: the record is cut off")

// spanOf returns the span of a record; that of a ring that counts nothing is all zeros.
func spanOf(step, over, offset uint64) (Span, error) {
	const longest = uint64(math.MaxInt64 / time.Millisecond)
	if step|over|offset == 0 {
		return Span{}, nil
	}
	if step == 0 || step > longest || offset > longest || over > MaxBuckets || over > longest/step {
		return Span{}, fmt.Errorf("window: found %d buckets of %d ms, offset %d ms, in a record", over, step, offset)
	}
	s := Span{Step: time.Duration(step) * time.Millisecond, Offset: time.Duration(offset) * time.Millisecond}
	s.Over = time.Duration(over) * s.Step
	if err := s.Validate(); err != nil {
		return Span{}, fmt.Errorf("window: in a record, %w", err)
	}
	return s, nil
}

// reach is how far the index of a bucket can be from the last that has left.
func (r *Ring) reach() uint64 {
	if r.step == 0 {
		return 0
	}
	return uint64(2*r.over + ceilDiv(r.offset, r.step) + 1)
}

// decoder reads from the front of rest. After a failure it returns zeros.
type decoder struct {
	rest   []byte
	failed bool
}

func (d *decoder) buckets(n int, left int64, reach uint64) ([]bucket, error) {
	if n == 0 {
		return nil, nil
	}
	if left > math.MaxInt64-int64(reach) {
		return nil, fmt.Errorf("window: found the index %d in a record", left)
	}
	all := slices.Grow([]bucket(nil), n)
	far := uint64(0)
	for range n {
		step := d.uvarint()
		flags := d.byte()
		sums := d.sums(flags)
		if d.failed {
			return nil, errCut
		}
		if step == 0 || step > reach || far+step > reach {
			return nil, fmt.Errorf("window: found a bucket %d after the one before in a record, expected 1 to %d", step, reach-far)
		}
		if flags >= unknownFlags || sums == (Sums{}) {
			return nil, fmt.Errorf("window: found a bucket with flags %#x in a record that holds nothing", flags)
		}
		far += step
		all = append(all, bucket{left + int64(far), sums})
	}
	return all, nil
}

func (d *decoder) sums(flags byte) (s Sums) {
	for i, v := range [...]*int64{&s.N, &s.Pos, &s.Neg} {
		if flags&(hasN<<i) != 0 {
			*v = d.varint()
		}
	}
	if flags&hasSum != 0 {
		v := d.varint()
		s.sum = [2]uint64{uint64(v), uint64(v >> 63)}
	}
	if flags&hasWideSum != 0 {
		d.words(s.sum[:])
	}
	if flags&hasSquares != 0 {
		s.squares[0] = d.uvarint()
	}
	if flags&hasWideSquares != 0 {
		d.words(s.squares[:])
	}
	return s
}

func (d *decoder) uvarint() uint64 {
	v, size := binary.Uvarint(d.rest)
	d.skip(size)
	return v
}

func (d *decoder) varint() int64 {
	v, size := binary.Varint(d.rest)
	d.skip(size)
	return v
}

func (d *decoder) byte() byte {
	if len(d.rest) == 0 {
		d.failed = true
		return 0
	}
	v := d.rest[0]
	d.skip(1)
	return v
}

func (d *decoder) words(to []uint64) {
	for i := range to {
		if len(d.rest) < 8 {
			d.failed = true
			return
		}
		to[i] = binary.LittleEndian.Uint64(d.rest)
		d.skip(8)
	}
}

// skip drops what was read; a size of nothing means that the number was cut off or too long.
func (d *decoder) skip(size int) {
	if size <= 0 {
		d.failed, d.rest = true, nil
		return
	}
	d.rest = d.rest[size:]
}
