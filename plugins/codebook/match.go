package codebook

import (
	"strings"
	"unicode/utf8"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// span is a range of bytes of what is being read: the title, then the text, both in NFC.
type span struct{ start, end uint32 }

// hit is a place where a term is.
type hit struct {
	span
	next uint32 // the term's next hit, 0 for none
}

// scratch is the memory of one item. What carries a round holds only when that is the present one.
type scratch struct {
	parts  [2]part // title and text
	divide uint32  // where the text begins in spans
	pieces []piece
	sights []sight
	folded []byte

	round    uint32
	hits     []hit   // hits[0] is none
	seen     []round // by term
	asked    []uint32
	asking   []uint32 // rules that may hold
	work     []span   // results of nodes, as a stack
	finds    []find
	tonal    []tonal         // in the order of endsBefore
	numbered bool            // the words of both parts are counted
	places   []position      // of the finds of a theme
	negators []span          // likewise
	evidence []feedback.Span // of all the items of a call
}

// part is a title or a text that is being read.
type part struct {
	text  string // in NFC
	base  uint32 // where it begins in spans
	ascii bool   // as far as it was read
	marks
}

// round is the list of a term's hits in one round.
type round struct{ number, first, last uint32 }

// prepare makes the memory that has its size once and for all.
func (b *book) prepare() {
	b.seen = make([]round, len(b.terms))
	b.asked = make([]uint32, len(b.rules))
	b.hits = make([]hit, 1, 64)
	b.sights = make([]sight, 0, 64)
	b.prepareTones()
}

// read finds every term in the title and the text of an item.
func (b *book) read(title, text string) {
	b.pieces = nil
	if !b.readParts(title, text, false) {
		title, _ = compose(title)
		text, b.pieces = compose(text)
		b.readParts(title, text, true)
	}
}

// readParts does so unless NFC may change the title or the text, and they are not composed already. Then it reports
// false and has found nothing of use.
func (b *book) readParts(title, text string, composed bool) bool {
	if b.round++; b.round == 0 { // after 2^32 items
		clear(b.seen)
		clear(b.asked)
		b.round = 1
	}
	b.hits, b.asking, b.finds = b.hits[:1], b.asking[:0], b.finds[:0]
	b.tonal, b.negators, b.numbered = b.tonal[:0], b.negators[:0], false
	b.divide = uint32(len(title))
	p := &b.parts[0]
	p.text, p.base = title, 0
	if title != "" && !b.scan(p, composed) {
		return false
	}
	p = &b.parts[1]
	p.text, p.base = text, b.divide
	return b.scan(p, composed)
}

// scan finds every term in a part. It stops and reports false at a character that NFC may change, unless the part is
// composed already.
func (b *book) scan(p *part, composed bool) bool {
	a, text := b.automaton, p.text
	p.reset(len(text))
	b.sights = b.sights[:0]
	p.ascii = true
	state, at, wide := a.start, 0, false
	for at < len(text) {
		if at, state, wide = a.run(text, at, state, p.separators); wide {
			var ok bool
			if at, state, ok = b.wide(p, at, state, composed); !ok {
				return false
			}
		} else if state >= a.limit {
			b.sight(p, state, at-1)
		}
	}
	b.move(p, state, classSeparator, at)
	b.report(p)
	return true
}

// wide moves over the characters from at that are not ASCII.
func (b *book) wide(p *part, at int, state uint32, composed bool) (int, uint32, bool) {
	p.ascii = false
	for at < len(p.text) && p.text[at] >= utf8.RuneSelf {
		r, size := utf8.DecodeRuneInString(p.text[at:])
		c := b.folder.character(r)
		if c.unstable && !composed {
			return at, state, false
		}
		switch c.kind {
		case separator:
			state = b.move(p, state, classSeparator, at)
			p.separate(at, at+size)
		case ignored:
			p.attach(at, at+size)
		case letter:
			state = b.letter(p, state, c, at)
		case solo:
			state = b.move(p, state, classSeparator, at)
			p.startsAt(at)
			state = b.letter(p, state, c, at)
			state = b.move(p, state, classSeparator, at+1)
			p.startsAt(at + size)
		}
		at += size
	}
	return at, state, true
}

// letter moves over the folded bytes of a letter.
func (b *book) letter(p *part, state uint32, c *character, at int) uint32 {
	classes := c.classes
	for range c.bytes {
		state = b.move(p, state, classes&0xff, at)
		classes >>= 8
	}
	return state
}

// move makes one move at the offset at.
func (b *book) move(p *part, state, class uint32, at int) uint32 {
	if state = b.automaton.table[state+class]; state >= b.automaton.limit {
		b.sight(p, state, at)
	}
	return state
}

// sight notes the terms of a state that the byte at the offset led to. Those that need to know what comes after, and
// those whose hits are listed in order, wait for the end of the part.
func (b *book) sight(p *part, state uint32, at int) {
	id, last := b.automaton.table[state+columnOutput], uint32(at)-state&1 // a byte of the last word of the literals
	if id < several && p.ascii {
		if t := &b.terms[id]; !t.open && !t.listed && t.length > 0 && p.single(last+1-t.length, last, t.words-1) {
			b.note(p, id, t, span{last + 1 - t.length, last + 1})
			return
		}
	}
	b.sights = append(b.sights, sight{id, last})
}

// report notes the terms of all sights that waited.
func (b *book) report(p *part) {
	for _, s := range b.sights {
		if s.output < several {
			b.term(p, s.output, s.at)
			continue
		}
		list := b.automaton.outputs[s.output-several:]
		for _, id := range list[1:][:list[0]] {
			b.term(p, id, s.at)
		}
	}
}

// term notes a term that has its literal at a place; the offset is of a byte of the literal's last word.
func (b *book) term(p *part, id, at uint32) {
	t := &b.terms[id]
	if p.ascii && t.length > 0 && p.single(at+1-t.length, at, t.words-1) {
		end := at + 1
		if t.open {
			end = p.end(at)
		}
		b.note(p, id, t, span{at + 1 - t.length, end})
	} else if s, ok := b.locate(p, t, int(at)); ok {
		b.note(p, id, t, s)
	}
}

// locate returns the words around a byte of the last word of a term's literal, and false when they are not what the
// term asks for.
func (b *book) locate(p *part, t *term, at int) (span, bool) {
	start, last := p.start(at), at
	for range t.last {
		start = p.start(start - 1)
	}
	for i := t.words - 1 - t.last; i > 0 && last >= 0; i-- {
		last = p.next(last + 1)
	}
	if start < 0 || last < 0 {
		return span{}, false
	}
	s := span{uint32(start), p.end(uint32(last))}
	if t.exact {
		return s, true
	}
	b.folded = b.folder.appendFolded(b.folded[:0], p.text[s.start:s.end])
	return s, glob(t.text, b.folded)
}

// note keeps a place of the part where a term is.
func (b *book) note(p *part, id uint32, t *term, s span) {
	s.start += p.base
	s.end += p.base
	if t.direct != none {
		b.finds = append(b.finds, find{uint64(t.direct)<<32 | uint64(s.start), s.end})
	}
	if t.listed {
		b.list(id, t, s)
	}
}

// list keeps a hit of a term, once for each place.
func (b *book) list(id uint32, t *term, s span) {
	n := uint32(len(b.hits))
	list := &b.seen[id]
	if list.number == b.round {
		last := &b.hits[list.last]
		if last.span == s {
			return
		}
		last.next = n
	} else {
		*list = round{number: b.round, first: n}
		for _, r := range t.rules {
			if b.asked[r] != b.round {
				b.asked[r] = b.round
				b.asking = append(b.asking, r)
			}
		}
	}
	list.last = n
	b.hits = append(b.hits, hit{span: s})
	if t.tone != 0 {
		b.tonal = append(b.tonal, tonal{span: s, tone: t.tone})
		for i := len(b.tonal) - 1; i > 0 && endsBefore(b.tonal[i].span, b.tonal[i-1].span); i-- {
			b.tonal[i], b.tonal[i-1] = b.tonal[i-1], b.tonal[i]
		}
	}
	if t.negator {
		b.negators = append(b.negators, s)
		for i := len(b.negators) - 1; i > 0 && endsBefore(b.negators[i], b.negators[i-1]); i-- {
			b.negators[i], b.negators[i-1] = b.negators[i-1], b.negators[i]
		}
	}
}

// partOf returns the part that a place is in.
func (b *book) partOf(s span) *part {
	if s.start < b.divide {
		return &b.parts[0]
	}
	return &b.parts[1]
}

// languagesOf returns the bits of the languages that an item's language is, all for an unknown one.
func (b *book) languagesOf(language string) (set uint64) {
	if language == "" {
		return ^uint64(0)
	}
	for i, l := range b.languages {
		if len(language) >= len(l) && strings.EqualFold(language[:len(l)], l) && (len(language) == len(l) || language[len(l)] == '-') {
			set |= 1 << i
		}
	}
	return set
}
