package codebook

import "math/bits"

// marks says where the words of a text are: one bit for each byte. Reading the text makes them on the way, so that
// questions about words cost a few operations on bits and no second look at the text.
type marks struct {
	separators []uint64 // bytes between words, and all from size on
	breaks     []uint64 // words that begin without a separator before them; nil when there are none
	broken     []uint64 // the memory of breaks
	begins     []begin  // by block; see number
}

// begin has the bytes of a block that words begin at, and how many words begin before the block.
type begin struct {
	at     uint64
	before uint32
}

// reset empties the marks for a text of size bytes.
func (m *marks) reset(size int) {
	m.breaks = nil
	m.separators = zeroed(m.separators, size/64+2)
	last := size / 64
	m.separators[last] = ^uint64(0) << (size % 64)
	m.separators[last+1] = ^uint64(0)
}

// separate marks the bytes from start to end as divisions.
func (m *marks) separate(start, end int) {
	for ; start < end; start++ {
		m.separators[start/64] |= 1 << (start % 64)
	}
}

// attach marks the bytes from start to end as part of the word before them, or as a division when there is none.
func (m *marks) attach(start, end int) {
	if start == 0 || m.separators[(start-1)/64]>>((start-1)%64)&1 != 0 {
		m.separate(start, end)
	} else if m.breaks != nil && m.breaks[start/64]>>(start%64)&1 != 0 {
		m.breaks[start/64] &^= 1 << (start % 64)
		m.startsAt(end)
	}
}

// startsAt marks the beginning of a word that no separator need stand before. It means nothing where there is none.
func (m *marks) startsAt(at int) {
	if m.breaks == nil {
		m.broken = zeroed(m.broken, len(m.separators))
		m.breaks = m.broken
	}
	m.breaks[at/64] |= 1 << (at % 64)
}

// starts returns block i of the bytes that words begin at.
func (m *marks) starts(i int) uint64 {
	s := m.separators[i]
	before := s << 1
	if i == 0 {
		before |= 1
	} else {
		before |= m.separators[i-1] >> 63
	}
	if m.breaks != nil {
		before |= m.breaks[i]
	}
	return before &^ s
}

// start returns where the last word begins that begins at or before the offset at, or -1.
func (m *marks) start(at int) int {
	if at < 0 {
		return -1
	}
	i := at / 64
	s := m.starts(i) & (2<<(at%64) - 1)
	for s == 0 {
		if i--; i < 0 {
			return -1
		}
		s = m.starts(i)
	}
	return i*64 + 63 - bits.LeadingZeros64(s)
}

// single reports whether exactly n bytes from the offset from to the offset to, both included, are separators.
func (m *marks) single(from, to uint32, n int) bool {
	if n == 0 {
		return true
	}
	i, mask := from/64, ^uint64(0)<<(from%64)
	for ; i < to/64; i++ {
		n -= bits.OnesCount64(m.separators[i] & mask)
		mask = ^uint64(0)
	}
	return bits.OnesCount64(m.separators[i]&mask&(2<<(to%64)-1)) == n
}

// next returns where the first word begins that begins at or after the offset at, or -1.
func (m *marks) next(at int) int {
	i := at / 64
	s := m.starts(i) & (^uint64(0) << (at % 64))
	for s == 0 {
		if i++; i == len(m.separators) {
			return -1
		}
		s = m.starts(i)
	}
	return i*64 + bits.TrailingZeros64(s)
}

// end returns where the word ends that has a byte at the offset at.
func (m *marks) end(at uint32) uint32 {
	at++
	i, mask := at/64, ^uint64(0)<<(at%64)
	for {
		s := m.separators[i]
		if m.breaks != nil {
			s |= m.breaks[i]
		}
		if s &= mask; s != 0 {
			return i*64 + uint32(bits.TrailingZeros64(s))
		}
		i, mask = i+1, ^uint64(0)
	}
}

// number has the words counted, from first on, and returns how many that makes.
func (m *marks) number(first uint32) uint32 {
	m.begins = m.begins[:0]
	for i := range m.separators {
		s := m.starts(i)
		m.begins = append(m.begins, begin{s, first})
		first += uint32(bits.OnesCount64(s))
	}
	return first
}

// before returns how many words begin before the offset at, which is at most the size of the text.
func (m *marks) before(at uint32) uint32 {
	b := &m.begins[at/64]
	return b.before + uint32(bits.OnesCount64(b.at&(1<<(at%64)-1)))
}

// near reports whether at most n words begin from the offset from to before the offset to.
func (m *marks) near(from, to, n int) bool {
	mask := ^uint64(0) << (from % 64)
	i := from / 64
	for ; i < to/64; i++ {
		if n -= bits.OnesCount64(m.starts(i) & mask); n < 0 {
			return false
		}
		mask = ^uint64(0)
	}
	return bits.OnesCount64(m.starts(i)&mask&(1<<(to%64)-1)) <= n
}

// zeroed returns n zeros, in the memory of b when that is enough.
func zeroed(b []uint64, n int) []uint64 {
	if cap(b) < n {
		return make([]uint64, n, 2*n)
	}
	b = b[:n]
	clear(b)
	return b
}
