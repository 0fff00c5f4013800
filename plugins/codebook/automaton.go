package codebook

import (
	"errors"
	"math/bits"
)

// Columns of a row of the automaton's table, which are the classes of bytes. Further classes are the bytes that
// literals use.
const (
	columnOutput   = iota // no class: the row's term, or several + where the list of its terms begins in outputs
	classSeparator        // any number of characters between words
	classOther            // a letter that no literal has
	classWide             // the first byte of a character that is not ASCII: the caller must look at it
	classLiteral
)

// several marks the output of a row with more than one term.
const several = 1 << 31

// maxTable bounds the automaton: 8 MiB of table, some 4,000 phrases.
const maxTable = 2 << 20

var errTooLarge = errors.New("found more words and phrases than one codebook can hold, expected fewer or shorter ones; two categorizers can share the work")

// automaton is the machine of Aho and Corasick, "Efficient String Matching" (CACM 18, 1975), as one table of moves.
//
// A literal is folded text in which one space stands for all that divides two words, and for both ends of a text. A
// state is the offset of its row in the table, so that a move is one addition and one load. It is odd after a separator.
// States that have something to tell begin at a power of two, so that one comparison finds them among several.
type automaton struct {
	class   [256]uint8 // of a byte of a text
	table   []uint32
	outputs []uint32 // lists of terms, each after its length
	start   uint32   // after a separator
	limit   uint32   // states from here on are wide or have terms to tell
	wide    uint32   // where classWide leads: the caller must look at the character
}

// trie is the automaton under construction. Node 0 is the empty prefix, node 1 the prefix " ".
type trie struct {
	classes int
	moves   []int32 // of node n and class c at n*classes+c; first the children, 0 for none
	fail    []int32
	own     [][]uint32 // terms whose literal ends in the node
	parent  []bool     // whether the node has children
	spaced  []bool     // whether the node ends with a separator
}

// newAutomaton makes the machine for literals, one for each term, and tells the folder the classes of folded bytes.
func newAutomaton(literals []string, f *folder) (*automaton, error) {
	a := &automaton{}
	t := &trie{classes: a.classify(literals, f)}
	t.add()
	t.child(0, classSeparator)
	for term, literal := range literals {
		node := int32(0)
		for i := range len(literal) {
			node = t.child(node, f.folded[literal[i]])
		}
		t.own[node] = append(t.own[node], uint32(term))
		if len(t.moves) > maxTable {
			return nil, errTooLarge
		}
	}
	order := t.complete()
	if a.number(t, order); a.table == nil {
		return nil, errTooLarge
	}
	return a, nil
}

// classify gives every byte its class and returns how many there are.
func (a *automaton) classify(literals []string, f *folder) int {
	for i := range f.folded {
		f.folded[i] = classOther
	}
	classes := classLiteral
	f.folded[' '] = classSeparator
	for _, literal := range literals {
		for i := range len(literal) {
			if c := literal[i]; f.folded[c] == classOther {
				f.folded[c] = uint8(classes)
				classes++
			}
		}
	}
	for i := range a.class {
		switch {
		case i >= len(f.ascii):
			a.class[i] = classWide
		case f.ascii[i] != letter:
			a.class[i] = classSeparator
		default:
			a.class[i] = f.folded[foldRune(rune(i))]
		}
	}
	return classes
}

func (t *trie) add() int32 {
	t.moves = append(t.moves, make([]int32, t.classes)...)
	t.fail, t.own = append(t.fail, 0), append(t.own, nil)
	t.parent, t.spaced = append(t.parent, false), append(t.spaced, false)
	return int32(len(t.fail) - 1)
}

func (t *trie) child(node int32, class uint8) int32 {
	at := int(node)*t.classes + int(class)
	if t.moves[at] == 0 {
		n := t.add()
		t.moves[at] = n
		t.parent[node] = true
		t.spaced[n] = class == classSeparator
	}
	return t.moves[at]
}

// complete fills in the moves that are no children, and the terms that end in a suffix. It returns the nodes, short
// prefixes first.
func (t *trie) complete() []int32 {
	order := []int32{0}
	for i := 0; i < len(order); i++ {
		node := order[i]
		row := t.moves[int(node)*t.classes:][:t.classes]
		suffix := t.moves[int(t.fail[node])*t.classes:][:t.classes]
		for class := classSeparator; class < t.classes; class++ {
			switch child := row[class]; {
			case child == 0 && class == classSeparator && t.spaced[node]:
				row[class] = node // a second separator changes nothing
			case child == 0:
				row[class] = suffix[class]
			default:
				if node != 0 {
					t.fail[child] = suffix[class]
				}
				t.own[child] = append(t.own[child], t.own[t.fail[child]]...)
				order = append(order, child)
			}
		}
	}
	return order
}

// number lays out the table: silent states, then those with terms. A state after a separator that has told its terms
// must not tell them again at the next one; it moves on to a silent twin.
func (a *automaton) number(t *trie, order []int32) {
	state := make([]uint32, len(order))
	quiet := make([]uint32, len(order)) // where a second separator leads
	var rows uint32
	stride := uint32(t.classes+2) &^ 1 // even, with room to begin a row at an odd offset
	place := func(node int32) uint32 {
		at := rows
		rows += stride
		if t.spaced[node] {
			at++
		}
		return at
	}
	for _, node := range order {
		if len(t.own[node]) == 0 {
			state[node] = place(node)
			quiet[node] = state[node]
		}
	}
	for _, node := range order {
		if len(t.own[node]) > 0 && t.spaced[node] && t.parent[node] {
			quiet[node] = place(node)
		}
	}
	a.limit = uint32(1) << bits.Len32(rows-1)
	rows = a.limit
	a.wide = place(0)
	for _, node := range order {
		if len(t.own[node]) == 0 {
			continue
		}
		state[node] = place(node)
		if t.spaced[node] && !t.parent[node] { // without children it moves as its suffix does
			quiet[node] = quiet[t.fail[node]]
		}
	}
	a.start = state[1]
	if rows > maxTable {
		return
	}
	a.table = make([]uint32, rows)
	for class := range t.classes {
		a.table[a.wide+uint32(class)] = a.wide
	}
	for _, node := range order {
		a.fill(t, node, state[node], state, quiet)
		if t.spaced[node] && quiet[node] != state[node] && t.parent[node] {
			a.fill(t, node, quiet[node], state, quiet)
		}
		switch terms := t.own[node]; len(terms) {
		case 0:
		case 1:
			a.table[state[node]+columnOutput] = terms[0]
		default:
			a.table[state[node]+columnOutput] = several + uint32(len(a.outputs))
			a.outputs = append(append(a.outputs, uint32(len(terms))), terms...)
		}
	}
}

// fill writes the moves of a node into the row at the offset.
func (a *automaton) fill(t *trie, node int32, at uint32, state, quiet []uint32) {
	for class := classSeparator; class < t.classes; class++ {
		to := t.moves[int(node)*t.classes+class]
		a.table[at+uint32(class)] = state[to]
	}
	if t.spaced[node] {
		a.table[at+classSeparator] = quiet[node]
	}
	a.table[at+classWide] = a.wide
}

// sight is the output of a state, and the offset of a byte of the last word of its literals.
type sight struct{ output, at uint32 }

// run moves over text from the offset at until a state has terms to tell, and returns the offset after the byte that
// led there; or until it meets a character that is not ASCII, and returns its offset, the state before it and true; or
// to the end. On the way it marks separators.
//
// Eight moves stand in a row because in WebAssembly each round of a Go loop costs an indirect jump, and numbers have 64
// bits because others cost conversions.
func (a *automaton) run(text string, at int, from uint32, separators []uint64) (int, uint32, bool) {
	table, class, limit := a.table, &a.class, uint64(a.limit)
	state, last := uint64(from), uint64(from)
	mark, k := uint64(0), 0 // the separators among the bytes at hand, and how many bytes these are
	for at+8 <= len(text) {
		b := text[at : at+8]
		word := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56 // one load
		last, state = state, uint64(table[state+uint64(class[byte(word)])])
		if mark = state & 1; state >= limit {
			k = 1
			break
		}
		last, state = state, uint64(table[state+uint64(class[byte(word>>8)])])
		if mark |= state & 1 << 1; state >= limit {
			k = 2
			break
		}
		last, state = state, uint64(table[state+uint64(class[byte(word>>16)])])
		if mark |= state & 1 << 2; state >= limit {
			k = 3
			break
		}
		last, state = state, uint64(table[state+uint64(class[byte(word>>24)])])
		if mark |= state & 1 << 3; state >= limit {
			k = 4
			break
		}
		last, state = state, uint64(table[state+uint64(class[byte(word>>32)])])
		if mark |= state & 1 << 4; state >= limit {
			k = 5
			break
		}
		last, state = state, uint64(table[state+uint64(class[byte(word>>40)])])
		if mark |= state & 1 << 5; state >= limit {
			k = 6
			break
		}
		last, state = state, uint64(table[state+uint64(class[byte(word>>48)])])
		if mark |= state & 1 << 6; state >= limit {
			k = 7
			break
		}
		last, state = state, uint64(table[state+uint64(class[byte(word>>56)])])
		if mark |= state & 1 << 7; state >= limit {
			k = 8
			break
		}
		i, shift := uint(at)/64, uint(at)%64
		separators[i] |= mark << shift
		if shift > 56 {
			separators[i+1] |= mark >> (64 - shift)
		}
		at += 8
	}
	if k == 0 {
		for mark = 0; at+k < len(text); {
			last, state = state, uint64(table[state+uint64(class[text[at+k]])])
			mark |= state & 1 << uint(k)
			if k++; state >= limit {
				break
			}
		}
	}
	i, shift := uint(at)/64, uint(at)%64
	separators[i] |= mark << shift
	if shift > 56 {
		separators[i+1] |= mark >> (64 - shift)
	}
	if state == uint64(a.wide) {
		return at + k - 1, uint32(last), true
	}
	return at + k, uint32(state), false
}
