package index

import (
	"bytes"
	"slices"
)

// automaton finds all texts of a dictionary within a text in one pass (Aho and Corasick). Bytes that no text holds are
// one class. The states nearest to the root, in the order of their depth, have a table of all their successors; deeper
// ones, of which there are many in a large dictionary, have a list of children and fall back to a shorter state.
type automaton struct {
	class  [256]uint8
	width  int32
	dense  int32   // states below it have tables
	next   []int32 // of the dense states, by state*width+class: a place, with hit
	fall   []int32 // the longest other state that is an end of this one
	kids   []int32 // of state dense+i, kids[i] to kids[i+1] in symbol and to
	symbol []uint8
	to     []int32 // places
	word   []int32 // the text that ends in the state, or -1
	also   []int32 // the nearest state on the way of fall that has a text, or -1
}

// A place is where the automaton is: the beginning of a dense state's table in next, or maxDense and more for a state
// without one. It has the sign bit where a text ends.
const (
	maxDense = 1 << 20 // bounds the memory of the tables, in entries of four bytes
	hit      = -1 << 31
)

// hits are the texts that were found in one text, each once.
type hits struct {
	stamp uint32
	marks []uint32 // by text: equals stamp if it was found
	words []int32
}

func (h *hits) clear(n int) {
	if h.stamp++; h.stamp == 0 || len(h.marks) != n {
		h.marks, h.stamp = make([]uint32, n), 1
	}
	h.words = h.words[:0]
}

func (h *hits) has(w int32) bool { return h.marks[w] == h.stamp }

// add notes a text, and reports whether it was not noted before.
func (h *hits) add(w int32) bool {
	if h.marks[w] == h.stamp {
		return false
	}
	h.marks[w] = h.stamp
	h.words = append(h.words, w)
	return true
}

// scan notes all texts of the dictionary that the text holds.
func (a *automaton) scan(text []byte, h *hits) {
	at := int32(0)
	for _, b := range text {
		c := a.class[b]
		if at < maxDense {
			at = a.next[at+int32(c)]
		} else {
			at = a.step(at-maxDense, c)
		}
		if at < 0 {
			at &^= hit
			a.found(at, h)
		}
	}
}

// found notes the texts that end at a place. One that was found before has brought those that are its ends.
func (a *automaton) found(at int32, h *hits) {
	s := a.state(at)
	if a.word[s] < 0 {
		s = a.also[s]
	}
	for s >= 0 && h.add(a.word[s]) {
		s = a.also[s]
	}
}

// place returns the place of a state.
func (a *automaton) place(s int32) int32 {
	at := s + maxDense
	if s < a.dense {
		at = s * a.width
	}
	if a.word[s] >= 0 || a.also[s] >= 0 {
		at |= hit
	}
	return at
}

// state returns the state at a place.
func (a *automaton) state(at int32) int32 {
	if at &^= hit; at < maxDense {
		return at / a.width
	}
	return at - maxDense
}

// trie is what an automaton is built from: states by depth, each with its children in the order of their bytes.
type trie struct {
	words        []string // sorted, without repetition
	first, last  []int32  // the words below the state
	depth        []int32
	parent, kids []int32
	symbol       []uint8 // that leads from the parent to the state
}

// newAutomaton returns the automaton of texts in UTF-8 that are sorted, not empty, and different from each other. Its tables
// have at most limit entries, but those of the root.
func newAutomaton(words []string, limit int32) *automaton {
	t := newTrie(words)
	a := &automaton{width: 1}
	for _, s := range t.symbol[1:] {
		if a.class[s] == 0 {
			a.class[s] = uint8(a.width)
			a.width++
		}
	}
	n := int32(len(t.parent))
	a.dense = max(1, min(n, limit/a.width))
	a.next = make([]int32, a.dense*a.width)
	a.fall, a.also, a.word = make([]int32, n), make([]int32, n), make([]int32, n)
	a.kids = make([]int32, n-a.dense+1)
	for s := range n {
		a.word[s], a.also[s] = -1, -1
		if i := t.first[s]; int(t.depth[s]) == len(words[i]) {
			a.word[s] = i
		}
	}
	for s := range n {
		a.link(t, s)
	}
	for _, all := range [...][]int32{a.next, a.to} {
		for i, s := range all {
			all[i] = a.place(s)
		}
	}
	return a
}

// link sets the successors of a state. Those above it are set already.
func (a *automaton) link(t *trie, s int32) {
	if s > 0 {
		if p := t.parent[s]; p > 0 {
			a.fall[s] = a.step(a.fall[p], a.class[t.symbol[s]])
		}
		if f := a.fall[s]; a.word[f] >= 0 {
			a.also[s] = f
		} else {
			a.also[s] = a.also[f]
		}
	}
	if s < a.dense {
		copy(a.next[s*a.width:(s+1)*a.width], a.next[a.fall[s]*a.width:])
		for k := t.kids[s]; k < t.kids[s+1]; k++ {
			a.next[s*a.width+int32(a.class[t.symbol[k]])] = k
		}
		return
	}
	for k := t.kids[s]; k < t.kids[s+1]; k++ {
		a.symbol = append(a.symbol, a.class[t.symbol[k]])
		a.to = append(a.to, k)
	}
	a.kids[s-a.dense+1] = int32(len(a.to))
}

// step returns what stands for the state after one more byte of the class: itself while the automaton is built, then its
// place.
func (a *automaton) step(s int32, class uint8) int32 {
	for s >= a.dense {
		if class == 0 {
			return 0
		}
		lo, hi := a.kids[s-a.dense], a.kids[s-a.dense+1]
		if i := bytes.IndexByte(a.symbol[lo:hi], class); i >= 0 {
			return a.to[lo+int32(i)]
		}
		s = a.fall[s]
	}
	return a.next[s*a.width+int32(class)]
}

// newTrie builds the states level by level.
func newTrie(words []string) *trie {
	t := &trie{words: words, first: []int32{0}, last: []int32{int32(len(words))}, depth: []int32{0}, parent: []int32{-1}, symbol: []uint8{0}}
	for s := 0; s < len(t.parent); s++ {
		t.kids = append(t.kids, int32(len(t.parent)))
		d := int(t.depth[s])
		for i := int(t.first[s]); i < int(t.last[s]); {
			if len(words[i]) == d {
				i++
				continue
			}
			b := words[i][d]
			rest := words[i:t.last[s]]
			n, _ := slices.BinarySearchFunc(rest, b, func(w string, b uint8) int {
				if w[d] <= b {
					return -1
				}
				return 1
			})
			t.first, t.last = append(t.first, int32(i)), append(t.last, int32(i+n))
			t.depth, t.parent, t.symbol = append(t.depth, int32(d+1)), append(t.parent, int32(s)), append(t.symbol, b)
			i += n
		}
	}
	t.kids = append(t.kids, int32(len(t.parent)))
	return t
}
