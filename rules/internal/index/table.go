package index

import "math/bits"

// table finds texts among those of a dictionary. It is built once, and finds without allocating.
type table struct {
	texts []string
	slots []slot // a power of two of them, at most half of them used
	hash  func(string) uint64
}

// slot holds the upper half of a text's hash, and its number plus one.
type slot struct {
	tag uint32
	id  int32
}

func newTable(texts []string, hash func(string) uint64) *table {
	t := &table{texts: texts, hash: hash, slots: make([]slot, 2<<bits.Len(uint(len(texts))))}
	for i, s := range texts {
		h := hash(s)
		at := h & uint64(len(t.slots)-1)
		for t.slots[at].id != 0 {
			at = (at + 1) & uint64(len(t.slots)-1)
		}
		t.slots[at] = slot{uint32(h >> 32), int32(i) + 1}
	}
	return t
}

// find returns the number of a text, or -1.
func (t *table) find(s string) int32 { return t.findHashed(s, t.hash(s)) }

func (t *table) findHashed(s string, h uint64) int32 {
	mask := uint64(len(t.slots) - 1)
	for at := h & mask; ; at = (at + 1) & mask {
		p := t.slots[at]
		if p.id == 0 {
			return -1
		}
		if p.tag == uint32(h>>32) && t.texts[p.id-1] == s {
			return p.id - 1
		}
	}
}

const (
	seed  = 0x9e3779b97f4a7c15
	prime = 0x00000100000001b3
)

// hashText hashes a text eight bytes at a time.
func hashText(s string) uint64 {
	h := uint64(len(s)) * seed
	for len(s) > 8 {
		h = mix(h ^ word(s))
		s = s[8:]
	}
	var last uint64
	if len(s) == 8 {
		last = word(s)
	} else {
		for i := 0; i < len(s); i++ {
			last = last<<8 | uint64(s[i])
		}
	}
	return mix(h ^ last)
}

func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func mix(h uint64) uint64 {
	hi, lo := bits.Mul64(h^seed, 0xd6e8feb86659fd93)
	return hi ^ lo
}

// hashPath hashes a text byte by byte, so that the hashes of its beginnings are found on the way; see ended.
func hashPath(s string) uint64 {
	h := uint64(seed)
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * prime
	}
	return ended(h)
}

// ended spreads the hash of a path over all bits.
func ended(h uint64) uint64 { return mix(h) }

// ancestors notes each text of a table by hashPath that is the path or lies above it.
func (t *table) ancestors(path string, longest int, found *hits) {
	h := uint64(seed)
	for i := 0; i <= len(path) && i <= longest; i++ {
		if i == len(path) || path[i] == '/' {
			if id := t.findHashed(path[:i], ended(h)); id >= 0 {
				found.add(id)
			}
		}
		if i < len(path) {
			h = (h ^ uint64(path[i])) * prime
		}
	}
}

// longestOf returns the number of bytes of the longest text.
func longestOf(texts []string) int {
	n := 0
	for _, s := range texts {
		n = max(n, len(s))
	}
	return n
}
