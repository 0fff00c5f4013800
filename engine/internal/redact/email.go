package redact

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The ways in which the sign of an address is written: as it is, in a URL, and as an input method for Chinese or Japanese
// writes it.
const (
	at          = '@'
	atEscaped   = "%40"
	atFullWidth = "＠"
)

// The bounds of an address (RFC 5321, section 4.5.3.1).
const (
	maxLocal  = 64
	maxDomain = 255
)

// emails replaces addresses of e-mail. Each byte is looked at a bounded number of times: the parts of an address are
// bounded.
func emails(s string) (string, int) {
	o := output{in: s}
	signs := newSigns(s)
	n := 0
	for from := 0; ; {
		i, width := signs.next(from)
		if i < 0 {
			return o.String(), n
		}
		start := localPart(s, max(o.done, i-maxLocal), i)
		end := domain(s, i+width)
		from = i + width
		if start < i && end > from {
			o.replace(start, end, emailMark)
			n++
			from = end
		}
	}
}

// signs finds the signs of addresses from left to right.
type signs struct {
	s  string
	at [3]int // where the next of each way is; -1 when there is none any more
}

func newSigns(s string) signs {
	return signs{s, [3]int{strings.IndexByte(s, at), strings.Index(s, atEscaped), strings.Index(s, atFullWidth)}}
}

// next returns where the first sign at or behind from is, and how many bytes it takes, or -1.
func (g *signs) next(from int) (i, width int) {
	i = -1
	for way, sign := range [...]string{string(at), atEscaped, atFullWidth} {
		if j := g.at[way]; j >= 0 && j < from {
			if j = strings.Index(g.s[from:], sign); j >= 0 {
				j += from
			}
			g.at[way] = j
		}
		if j := g.at[way]; j >= 0 && (i < 0 || j < i) {
			i, width = j, len(sign)
		}
	}
	return i, width
}

// localPart returns where the part of an address before its sign at end begins, not before low; end when there is none.
func localPart(s string, low, end int) int {
	i := end
	for i > low {
		r, size := utf8.DecodeLastRuneInString(s[low:i])
		if !isLocal(r) {
			break
		}
		i -= size
	}
	for i < end && !isWordByte(s[i]) { // an address begins with a letter or a digit
		_, size := utf8.DecodeRuneInString(s[i:])
		i += size
	}
	if i < end && s[end-1] == '.' {
		return end
	}
	return i
}

// isLocal reports whether a rune can stand before the sign. Of what the standard allows it leaves out the signs that
// stand around an address more often than in it.
func isLocal(r rune) bool {
	switch {
	case r == utf8.RuneError:
		return false
	case r >= utf8.RuneSelf:
		return isName(r)
	}
	return isWordByte(byte(r)) || strings.ContainsRune("._-+'~%", r)
}

// isWordByte reports whether a byte is an ASCII letter, a digit or part of a rune that is not ASCII.
func isWordByte(c byte) bool {
	return c >= utf8.RuneSelf || 'a' <= c|0x20 && c|0x20 <= 'z' || isDigit(c)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// domain returns where the domain that begins at from ends; from when there is none. It has at least two labels, and the
// last one is one of a top level: letters, at least two, or the form of those for other scripts.
func domain(s string, from int) int {
	end, label := from, from
	for i := from; i <= len(s) && i-from <= maxDomain; {
		r, size := utf8.RuneError, 0
		if i < len(s) {
			r, size = utf8.DecodeRuneInString(s[i:])
		}
		if size > 0 && isLabel(r) && (r != '-' || i > label) {
			i += size
			continue
		}
		if label > from && topLevel(s[label:i]) {
			end = i
		}
		if r != '.' || i == label {
			break
		}
		i++
		label = i
	}
	return end
}

func topLevel(label string) bool {
	if len(label) > 4 && strings.EqualFold(label[:4], "xn--") {
		return true
	}
	n := 0
	for _, r := range label {
		if !unicode.IsLetter(r) && !unicode.IsMark(r) {
			return false
		}
		n++
	}
	return n >= 2
}

func isLabel(r rune) bool {
	if r >= utf8.RuneSelf {
		return isName(r)
	}
	return isWordByte(byte(r)) || r == '-'
}

// isName reports whether a rune that is not ASCII may be part of a name in an address. Scripts that are written without
// spaces are left out: what stands around an address would become a part of it.
func isName(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r)) && !unspaced(r)
}

// unspaced reports whether a rune is of a script that is written without spaces between words.
func unspaced(r rune) bool {
	return r >= 0x0E00 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai, unicode.Lao,
		unicode.Khmer, unicode.Myanmar)
}
