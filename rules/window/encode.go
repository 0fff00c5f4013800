package window

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
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
	kept := r.buckets[r.head:]
	for i := range kept {
		if !kept[i].sums.isZero() {
			n++
		}
	}
	b = append(b, format)
	for _, v := range [...]int64{r.step, r.over, r.offset, int64(n)} {
		b = appendUvarint(b, uint64(v))
	}
	b = appendVarint(b, r.left)
	last := r.left
	for i := range kept {
		if k := &kept[i]; !k.sums.isZero() {
			b = appendUvarint(b, uint64(k.index-last))
			b = k.sums.append(b)
			last = k.index
		}
	}
	return append(b, r.more...), nil
}

func (s *Sums) isZero() bool {
	return s.N|s.Pos|s.Neg == 0 && s.sum[0]|s.sum[1]|s.squares[0]|s.squares[1]|s.squares[2] == 0
}

func (s *Sums) append(b []byte) []byte {
	at := len(b)
	b = append(b, 0)
	var flags byte
	if s.N != 0 {
		flags = hasN
		b = appendVarint(b, s.N)
	}
	if s.Pos != 0 {
		flags |= hasPos
		b = appendVarint(b, s.Pos)
	}
	if s.Neg != 0 {
		flags |= hasNeg
		b = appendVarint(b, s.Neg)
	}
	switch {
	case s.sum[0]|s.sum[1] == 0:
	case s.sum[1] == uint64(int64(s.sum[0])>>63):
		flags |= hasSum
		b = appendVarint(b, int64(s.sum[0]))
	default:
		flags |= hasWideSum
		b = appendWords(b, s.sum[:])
	}
	switch {
	case s.squares[0]|s.squares[1]|s.squares[2] == 0:
	case s.squares[1]|s.squares[2] == 0:
		flags |= hasSquares
		b = appendUvarint(b, s.squares[0])
	default:
		flags |= hasWideSquares
		b = appendWords(b, s.squares[:])
	}
	b[at] = flags
	return b
}

// Nearly all numbers of a ring take one byte.

func appendUvarint(b []byte, v uint64) []byte {
	if v < 0x80 {
		return append(b, byte(v))
	}
	return binary.AppendUvarint(b, v)
}

func appendVarint(b []byte, v int64) []byte {
	return appendUvarint(b, uint64(v)<<1^uint64(v>>63))
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
	d := &decoder{record: b, at: 1}
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
	if n > uint64(len(d.rest())/smallestBucket) {
		return errCut
	}
	fresh := NewRing(span)
	fresh.left = left
	if fresh.buckets, err = d.buckets(int(n), left, fresh.reach()); err != nil {
		return err
	}
	fresh.more = append([]byte(nil), d.rest()...)
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

// decoder reads a record from at onwards. After a failure what it returns means nothing.
type decoder struct {
	record []byte
	at     int
	failed bool
}

func (d *decoder) buckets(n int, left int64, reach uint64) ([]bucket, error) {
	if n == 0 {
		return nil, nil
	}
	if left > math.MaxInt64-int64(reach) {
		return nil, fmt.Errorf("window: found the index %d in a record", left)
	}
	all := make([]bucket, n)
	far := uint64(0)
	for i := range all {
		step, flags := d.uvarint(), d.byte()
		k := &all[i]
		d.sums(&k.sums, flags)
		if d.failed {
			return nil, errCut
		}
		if step == 0 || step > reach-far {
			return nil, fmt.Errorf("window: found a bucket %d after the one before in a record, expected 1 to %d", step, reach-far)
		}
		if flags >= unknownFlags || k.sums.isZero() {
			return nil, fmt.Errorf("window: found a bucket with flags %#x in a record that holds nothing", flags)
		}
		far += step
		k.index = left + int64(far)
	}
	return all, nil
}

// sums reads what the flags name.
func (d *decoder) sums(s *Sums, flags byte) {
	if flags&hasN != 0 {
		s.N = d.varint()
	}
	if flags&hasPos != 0 {
		s.Pos = d.varint()
	}
	if flags&hasNeg != 0 {
		s.Neg = d.varint()
	}
	if flags < hasSum {
		return
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
}

func (d *decoder) uvarint() uint64 {
	if d.at < len(d.record) && d.record[d.at] < 0x80 {
		d.at++
		return uint64(d.record[d.at-1])
	}
	v, size := binary.Uvarint(d.rest())
	d.skip(size)
	return v
}

func (d *decoder) varint() int64 {
	v := d.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

func (d *decoder) byte() byte {
	if d.at >= len(d.record) {
		d.failed = true
		return 0
	}
	d.at++
	return d.record[d.at-1]
}

func (d *decoder) words(to []uint64) {
	for i := range to {
		if len(d.rest()) < 8 {
			d.failed = true
			return
		}
		to[i] = binary.LittleEndian.Uint64(d.rest())
		d.at += 8
	}
}

func (d *decoder) rest() []byte { return d.record[d.at:] }

// skip passes what was read; a size of nothing means that the number was cut off or too long.
func (d *decoder) skip(size int) {
	if size <= 0 {
		d.failed, size = true, len(d.record)-d.at
	}
	d.at += size
}
