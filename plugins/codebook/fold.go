package codebook

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// kind is what a character does to the words around it.
type kind uint8

const (
	letter    kind = iota // part of a word: letters, digits and the marks on them
	separator             // divides words
	solo                  // a word of its own: scripts without spaces, emoji
	ignored               // neither a word nor a division: soft hyphens, joiners, variation selectors
)

var spaceless = []*unicode.RangeTable{
	unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar,
}

// kindOf returns the kind of any character.
func kindOf(r rune) kind {
	switch {
	case r < utf8.RuneSelf:
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			return letter
		}
		return separator
	case r == '\u02bc' || r == '\u200b' || r == utf8.RuneError: // a letter, ignored and a symbol to Unicode
		return separator
	case unicode.In(r, unicode.Cf, unicode.Variation_Selector) || 0x1f3fb <= r && r <= 0x1f3ff: // skin tones
		return ignored
	case unicode.In(r, spaceless...):
		return solo
	case r >= 0x2190 && unicode.Is(unicode.So, r): // emoji, but not the signs for trade marks and degrees
		return solo
	case unicode.In(r, unicode.L, unicode.N, unicode.M):
		return letter
	}
	return separator
}

// foldRune returns the one character that stands for all that simple case folding holds to be equal.
func foldRune(r rune) rune {
	least := r
	for q := unicode.SimpleFold(r); q != r; q = unicode.SimpleFold(q) {
		least = min(least, q)
	}
	if 'A' <= least && least <= 'Z' {
		least += 'a' - 'A'
	}
	return least
}

// folder knows the characters of texts. It remembers those that it met last.
type folder struct {
	ascii  [utf8.RuneSelf]kind
	folded [256]uint8 // class of a byte of folded text; see automaton
	recent [recentSize]character
}

const recentSize = 1024

// character is what matching needs to know of a character that is not ASCII.
type character struct {
	r        rune
	classes  uint32 // classes of its folded bytes, the first lowest
	bytes    uint8  // number of classes
	kind     kind
	unstable bool // may change when the text is brought to NFC
}

func newFolder() *folder {
	f := &folder{}
	for c := range f.ascii {
		f.ascii[c] = kindOf(rune(c))
	}
	return f
}

// character returns what is known of r. The pointer is valid until the next call.
func (f *folder) character(r rune) *character {
	c := &f.recent[uint32(r)%recentSize]
	if c.r == r {
		return c
	}
	*c = character{r: r, kind: kindOf(r)}
	var buf [utf8.UTFMax]byte
	n := utf8.EncodeRune(buf[:], r)
	c.unstable = !norm.NFC.IsNormal(buf[:n]) || !norm.NFC.Properties(buf[:n]).BoundaryBefore()
	n = utf8.EncodeRune(buf[:], foldRune(r))
	for i := range n {
		c.classes |= uint32(f.folded[buf[i]]) << (8 * i)
	}
	c.bytes = uint8(n)
	return c
}

// appendFolded appends the words of text to b: folded, a space before and after each.
func (f *folder) appendFolded(b []byte, text string) []byte {
	b = append(b, ' ')
	for _, r := range text {
		switch kindOf(r) {
		case letter:
			b = utf8.AppendRune(b, foldRune(r))
		case solo:
			b = append(space(b), string(foldRune(r))...)
			b = append(b, ' ')
		case separator:
			b = space(b)
		}
	}
	return space(b)
}

// space appends a space when b does not end with one.
func space(b []byte) []byte {
	if len(b) > 0 && b[len(b)-1] == ' ' {
		return b
	}
	return append(b, ' ')
}

// piece is a stretch of text in NFC with the offsets it has there and in the original.
type piece struct{ at, original uint32 }

// compose returns text in NFC, and the pieces that lead back to the original, or nil when nothing changed.
func compose(text string) (string, []piece) {
	if norm.NFC.IsNormalString(text) {
		return text, nil
	}
	var it norm.Iter
	it.InitString(norm.NFC, text)
	out := make([]byte, 0, len(text))
	var pieces []piece
	for !it.Done() {
		start := it.Pos()
		composed := it.Next()
		if string(composed) == text[start:it.Pos()] { // every character of it is where it was
			for i := range string(composed) {
				pieces = append(pieces, piece{uint32(len(out) + i), uint32(start + i)})
			}
		} else {
			pieces = append(pieces, piece{uint32(len(out)), uint32(start)})
		}
		out = append(out, composed...)
	}
	return string(out), append(pieces, piece{uint32(len(out)), uint32(len(text))})
}

// original returns the bytes of the original that a span of composed text came from: whole pieces.
func original(pieces []piece, s span) span {
	first, last := 0, len(pieces)-1
	for lo, hi := 0, len(pieces); lo < hi; { // the last piece that begins at or before the span
		if mid := (lo + hi) / 2; pieces[mid].at <= s.start {
			first, lo = mid, mid+1
		} else {
			hi = mid
		}
	}
	for lo, hi := first, len(pieces); lo < hi; { // the first piece that begins at or after its end
		if mid := (lo + hi) / 2; pieces[mid].at >= s.end {
			last, hi = mid, mid
		} else {
			lo = mid + 1
		}
	}
	return span{pieces[first].original, pieces[last].original}
}
