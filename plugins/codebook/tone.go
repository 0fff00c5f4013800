package codebook

import (
	"cmp"
	"slices"
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
}

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
		b.tonal[i].tone = b.negate(b.tonal[i])
	}
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
func (b *book) negate(t tonal) int8 {
	i, _ := slices.BinarySearchFunc(b.negators, t.start+1, func(n span, start uint32) int { return cmp.Compare(n.end, start) })
	if i == 0 || !b.within(b.negators[i-1], t.span, reach-1) {
		return t.tone
	}
	if endsClause(b.between(b.negators[i-1], t.span)) {
		return t.tone
	}
	return -t.tone
}

// between returns the text between two places of one part.
func (b *book) between(first, second span) string {
	p := b.partOf(first)
	return p.text[first.end-p.base : second.start-p.base]
}

// themeTone returns the tone of a theme: of the words near its finds, else its own.
func (b *book) themeTone(t *theme, finds []find) *float64 {
	var c count
	for _, w := range b.tonal {
		if b.nearAny(w.span, finds) {
			c.add(w.tone)
		}
	}
	for _, w := range t.words {
		list := b.seen[w.term]
		if list.number != b.round {
			continue
		}
		for i := list.first; i != 0; i = b.hits[i].next {
			if s := b.hits[i].span; b.nearAny(s, finds) {
				c.add(b.negate(tonal{s, w.tone}))
			}
		}
	}
	if tone := b.tone(c); tone != nil {
		return tone
	}
	return t.tone
}

// nearAny reports whether a word lies within one of the first finds or near one: in the same sentence, with fewer than
// b.window words between.
func (b *book) nearAny(w span, finds []find) bool {
	for i := range finds[:min(len(finds), maxEvidence)] {
		first, second := w, finds[i].span()
		if second.start < first.start {
			first, second = second, first
		}
		if first.end > second.start || b.within(first, second, b.window-1) && !endsSentence(b.between(first, second)) {
			return true
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
