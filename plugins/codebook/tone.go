package codebook

import (
	"math/bits"
	"strings"
	"unicode/utf8"
)

// toneSteps is how many words of one tone are told apart.
const toneSteps = 16

// reach is how many words after itself a negator turns around.
const reach = 3

// tonal is a place with a word that tells a tone.
type tonal struct {
	span
	tone int8
	at   position // once settled
}

// position is a place in words: how many begin before its start, and before its end.
type position struct{ start, end uint32 }

// prepareTones works out every tone there can be, so that results can point to them for ever.
func (b *book) prepareTones() {
	for positive := range toneSteps {
		for negative := range toneSteps {
			b.tones[positive*toneSteps+negative] = float64(positive-negative) / float64(positive+negative+1)
		}
	}
}

// count is how many words tell either tone.
type count struct{ positive, negative int }

func (c *count) add(tone int8) {
	if tone > 0 {
		c.positive++
	} else {
		c.negative++
	}
}

// tone returns (positive - negative) / (positive + negative + 1), or nil when no word tells any.
func (b *book) tone(c count) *float64 {
	if c == (count{}) {
		return nil
	}
	return &b.tones[min(c.positive, toneSteps-1)*toneSteps+min(c.negative, toneSteps-1)]
}

// itemTone returns the tone of all that was read.
func (b *book) itemTone() *float64 {
	var c count
	for _, t := range b.tonal {
		c.add(t.tone)
	}
	return b.tone(c)
}

// settleTones leaves the longest of the words that tell a tone where they lie within each other, and turns those
// around that follow a negator.
func (b *book) settleTones() {
	b.tonal = longest(b.tonal)
	for i := range b.tonal {
		t := &b.tonal[i]
		t.at = b.position(t.span)
		if len(b.negators) > 0 {
			t.tone = b.negate(t.span, t.tone)
		}
	}
}

// position returns where a place is in words. No place of the title is near one of the text.
func (b *book) position(s span) position {
	if !b.numbered {
		b.numbered = true
		n := uint32(0)
		if b.divide > 0 {
			n = b.parts[0].number(0) + uint32(b.window)
		}
		b.parts[1].number(n)
	}
	p := b.partOf(s)
	return position{p.before(s.start - p.base), p.before(s.end - p.base)}
}

// endsBefore orders places by their ends, and the shorter first where they end together.
func endsBefore(x, y span) bool { return x.end < y.end || x.end == y.end && x.start > y.start }

// longest drops what lies within a longer one. Places come in the order of endsBefore.
func longest(tones []tonal) []tonal {
	kept := len(tones)
	start := ^uint32(0) // the least among those that end later
	for i := len(tones) - 1; i >= 0; i-- {
		if t := tones[i]; t.start < start {
			start = t.start
			kept--
			tones[kept] = t
		}
	}
	return tones[kept:]
}

// negate returns the tone of a word, turned around when a negator stands before it in the same clause.
func (b *book) negate(s span, tone int8) int8 {
	i := len(b.negators) - 1
	for i >= 0 && b.negators[i].end > s.start {
		i--
	}
	if i < 0 || !b.within(b.negators[i], s, reach-1) || endsClause(b.between(b.negators[i], s)) {
		return tone
	}
	return -tone
}

// between returns the text between two places of one part.
func (b *book) between(first, second span) string {
	p := b.partOf(first)
	return p.text[first.end-p.base : second.start-p.base]
}

// themeTone returns the tone of a theme: of the words near its finds, else its own.
func (b *book) themeTone(t *theme, finds []find) *float64 {
	finds = finds[:min(len(finds), maxEvidence)]
	b.places = b.places[:0]
	for i := range finds {
		b.places = append(b.places, b.position(finds[i].span()))
	}
	var c count
	for i := range b.tonal {
		if w := &b.tonal[i]; b.nearAny(w.span, w.at, finds) {
			c.add(w.tone)
		}
	}
	for _, w := range t.words {
		list := b.seen[w.term]
		if list.number != b.round {
			continue
		}
		for i := list.first; i != 0; i = b.hits[i].next {
			if s := b.hits[i].span; b.nearAny(s, b.position(s), finds) {
				c.add(b.negate(s, w.tone))
			}
		}
	}
	if tone := b.tone(c); tone != nil {
		return tone
	}
	return t.tone
}

// nearAny reports whether a word lies within one of the finds or near one: in the same sentence, with fewer than
// b.window words between. b.places has the finds in words.
func (b *book) nearAny(w span, at position, finds []find) bool {
	window := uint32(b.window)
	for i, place := range b.places {
		s := finds[i].span()
		if w.start <= s.start {
			if w.end > s.start || place.start-at.end < window && !b.sentenceEnds(w.end, s.start) {
				return true
			}
		} else if s.end > w.start || at.start-place.end < window && !b.sentenceEnds(s.end, w.start) {
			return true
		}
	}
	return false
}

// sentenceEnds reports whether a sentence ends between two offsets of one part. What ends one stands between words.
func (b *book) sentenceEnds(from, to uint32) bool {
	p := &b.parts[1]
	if from < b.divide {
		p = &b.parts[0]
	}
	from, to = from-p.base, to-p.base
	for i := from / 64; i <= to/64; i++ {
		s := p.separators[i]
		if i == from/64 {
			s &= ^uint64(0) << (from % 64)
		}
		if i == to/64 {
			s &= 1<<(to%64) - 1
		}
		for ; s != 0; s &= s - 1 {
			at := i*64 + uint32(bits.TrailingZeros64(s))
			if p.text[at] != ' ' {
				return endsSentence(p.text[at:to])
			}
		}
	}
	return false
}

// endsSentence reports whether a sentence ends in what stands between two words.
func endsSentence(between string) bool {
	for i := 0; i < len(between); i++ {
		c := between[i]
		if c > '?' {
			if c >= utf8.RuneSelf && strings.ContainsAny(between[i:], "…。！？") {
				return true
			}
			continue
		}
		if c == '!' || c == '?' || (c == '.' || c == '\n') && i+1 < len(between) && kindOf(rune(between[i+1])) != letter {
			return true
		}
	}
	return false
}

// endsClause reports whether a clause ends in what stands between two words.
func endsClause(between string) bool {
	for i := range len(between) {
		switch between[i] {
		case '.', ',', ';', ':', '!', '?', '(', ')':
			return true
		}
	}
	return endsSentence(between)
}
