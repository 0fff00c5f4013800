package redact

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The fewest digits of a telephone number, and how many groups of digits one number may have.
const (
	fewestDigits = 7
	mostGroups   = 8
	mostDigits   = 19 // of a card; one more is kept to tell that there are more
)

// mayHoldNumber reports whether a text has as many digits as a number.
func mayHoldNumber(s string) bool {
	n := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if isDigit(c) {
			n++
		} else if c >= utf8.RuneSelf {
			if _, size := digitAt(s, i); size > 0 {
				n++
			}
		}
		if n == fewestDigits {
			return true
		}
	}
	return false
}

// digitAt returns the value of the digit at i and its length in bytes, which is 0 when there is none. Digits are those of
// ASCII, full-width ones, Arabic, Persian, and those of Devanagari and Bengali.
func digitAt(s string, i int) (value byte, size int) {
	c := s[i]
	if c < utf8.RuneSelf {
		if isDigit(c) {
			return c - '0', 1
		}
		return 0, 0
	}
	switch c {
	case 0xD9, 0xDB, 0xE0, 0xEF:
	default:
		return 0, 0
	}
	r, n := utf8.DecodeRuneInString(s[i:])
	for _, zero := range [...]rune{0x0660, 0x06F0, 0x0966, 0x09E6, 0xFF10} {
		if r >= zero && r < zero+10 {
			return byte(r - zero), n
		}
	}
	return 0, 0
}

// seps is what stands between two groups of digits.
type seps uint8

const (
	space seps = 1 << iota
	dash
	dot
	slash
	opened
	closed
)

// separatorAt returns which separator is at i, and its length in bytes, or 0.
func separatorAt(s string, i int) (seps, int) {
	switch s[i] {
	case ' ':
		return space, 1
	case '-':
		return dash, 1
	case '.':
		return dot, 1
	case '/':
		return slash, 1
	case '(':
		return opened, 1
	case ')':
		return closed, 1
	}
	if s[i] < utf8.RuneSelf {
		return 0, 0
	}
	r, size := utf8.DecodeRuneInString(s[i:])
	switch {
	case r >= 0x2010 && r <= 0x2015, r == 0x2212, r == 0xFF0D:
		return dash, size
	case r == 0xA0, r >= 0x2000 && r <= 0x200B, r == 0x202F, r == 0x3000:
		return space, size
	}
	return 0, 0
}

// longestGap is the most separators between two groups of one number.
const longestGap = 3

// row is a few groups of digits that stand beside each other, beginning with one.
type row struct {
	s      string
	lead   int // where it begins, with what belongs to it before the first digit
	plus   bool
	opened bool // a bracket opens before the first digit

	n      int // groups
	groups [mostGroups]group
	digits [(mostDigits + 1) * mostGroups]byte // values, of one group behind the other
}

type group struct {
	from, to int  // in the text
	at, n    int  // in the row's digits; n is mostDigits+1 when there are more
	gap      seps // what stands before it; of the first group nothing
	gaps     int  // how many separators that are
}

// sum returns how many digits the groups before j have.
func (r *row) sum(j int) int { return r.groups[j-1].at + r.groups[j-1].n }

// read reads the row that begins with the digit at from. Nothing before low is part of it.
func (r *row) read(s string, low, from int) {
	r.s, r.n = s, 0
	r.before(low, from)
	at := 0
	for i, gap, gaps := from, seps(0), 0; i < len(s) && r.n < mostGroups; {
		g := group{from: i, at: at, gap: gap, gaps: gaps}
		for i < len(s) {
			v, size := digitAt(s, i)
			if size == 0 {
				break
			}
			if g.n <= mostDigits {
				r.digits[at+g.n] = v
				g.n++
			}
			i += size
		}
		if g.n == 0 {
			return
		}
		g.to, at = i, at+g.n
		r.groups[r.n] = g
		r.n++
		gap, gaps = 0, 0
		for i < len(s) && gaps <= longestGap {
			sep, size := separatorAt(s, i)
			if size == 0 {
				break
			}
			gap, gaps, i = gap|sep, gaps+1, i+size
		}
		if gaps == 0 || gaps > longestGap {
			return
		}
	}
}

// before looks at what belongs to a number before its first digit: a plus and a bracket.
func (r *row) before(low, from int) {
	r.lead, r.plus, r.opened = from, false, false
	for r.lead > low {
		switch c := r.s[r.lead-1]; {
		case c == '+' && !r.plus:
			r.plus = true
		case c == '(' && !r.opened:
			r.opened = true
		case !r.plus && strings.HasSuffix(r.s[low:r.lead], "＋"):
			r.plus = true
			r.lead -= len("＋") - 1
		default:
			return
		}
		r.lead--
	}
}

// numbers replaces telephone numbers and cards.
func numbers(s string, k Kinds) (string, int, int) {
	o := output{in: s}
	var r row
	var phones, cards int
	for i := 0; i < len(s); {
		if _, size := digitAt(s, i); size == 0 {
			i++
			continue
		}
		r.read(s, o.done, i)
		start, end, card := r.find(o.done)
		switch {
		case end == 0:
			i = r.groups[0].to
			continue
		case card && k&Card != 0:
			o.replace(start, end, cardMark)
			cards++
		case !card && k&Phone != 0:
			o.replace(start, end, phoneMark)
			phones++
		}
		i = end
	}
	return o.String(), phones, cards
}

// find returns where the longest number begins and ends that begins with the first group, and whether it is a card; end
// is 0 when there is none. Before low are markers.
func (r *row) find(low int) (start, end int, card bool) {
	left := r.leftOf(low)
	if left == within {
		return 0, 0, false
	}
	for j := r.n; j > 0; j-- {
		if n := r.sum(j); n < fewestDigits || n > mostDigits || !r.endsAt(j) {
			continue
		}
		if left == apart && r.isCard(j) {
			return r.groups[0].from, r.groups[j-1].to, true
		}
	}
	about := contextOf(r.s[low:r.lead])
	for j := r.n; j > 0; j-- {
		n := r.sum(j)
		if n < fewestDigits || n > 17 || r.groups[j-1].n < 2 || !r.endsAt(j) || left == joined && about != telephone {
			continue
		}
		if r.isPhone(j, about, low) {
			return r.startOf(j), r.extension(r.groups[j-1].to), false
		}
	}
	return 0, 0, false
}

// startOf returns where a number of j groups begins: a bracket that it does not close is not part of it.
func (r *row) startOf(j int) int {
	if r.s[r.lead] == '(' && !r.closes(j) {
		return r.lead + 1
	}
	return r.lead
}

// closes reports whether a bracket closes within the first j groups.
func (r *row) closes(j int) bool {
	for _, g := range r.groups[1:j] {
		if g.gap&closed != 0 {
			return true
		}
	}
	return false
}

// side is how a number stands to what is beside it.
type side uint8

const (
	apart  side = iota // nothing is joined to it
	joined             // a hyphen or the like joins it to a word or a number
	within             // it is a part of a word or a number
)

// leftOf says how the row stands to what is before it.
func (r *row) leftOf(low int) side {
	if r.lead == low {
		return apart
	}
	c, size := utf8.DecodeLastRuneInString(r.s[low:r.lead])
	if isWord(c) || c == '#' || unicode.Is(unicode.Sc, c) {
		return within
	}
	if c != '-' && c != '.' && c != '/' && c != ',' && c != ':' {
		return apart
	}
	if r.lead-size == low {
		return apart
	}
	before, _ := utf8.DecodeLastRuneInString(r.s[low : r.lead-size])
	if isWord(before) && !(c == ':' && unicode.IsLetter(before)) { // behind a word and a colon stands what the word says
		return joined
	}
	return apart
}

// isWord reports whether a rune joins a number to make a word of it.
func isWord(r rune) bool {
	if r < utf8.RuneSelf {
		return r == '_' || isWordByte(byte(r))
	}
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) && !unspaced(r)
}

// endsAt reports whether a number may end behind the first j groups.
func (r *row) endsAt(j int) bool {
	if j < r.n { // a number goes on behind it
		return r.groups[j].gap&(space|opened|closed) != 0
	}
	i := r.groups[j-1].to
	if i == len(r.s) || r.extension(i) > i {
		return true
	}
	c, size := utf8.DecodeRuneInString(r.s[i:])
	if isWord(c) || c == '%' || c == '@' {
		return false
	}
	if i += size; i == len(r.s) {
		return true
	}
	next, _ := utf8.DecodeRuneInString(r.s[i:])
	switch c {
	case '-', '/':
		return !isWord(next)
	case '.', ',', ':':
		_, digit := digitAt(r.s, i)
		return digit == 0
	}
	return true
}

// extension returns where an extension ends that begins at i, such as x12 or ext. 12, or i when there is none.
func (r *row) extension(i int) int {
	at := i
	if at < len(r.s) && r.s[at] == ' ' {
		at++
	}
	switch {
	case at < len(r.s) && r.s[at]|0x20 == 'x':
		at++
	case at+3 <= len(r.s) && r.s[at]|0x20 == 'e' && r.s[at+1]|0x20 == 'x' && r.s[at+2]|0x20 == 't':
		at += 3
		if at < len(r.s) && r.s[at] == '.' {
			at++
		}
	default:
		return i
	}
	if at < len(r.s) && r.s[at] == ' ' {
		at++
	}
	n := 0
	for at < len(r.s) && isDigit(r.s[at]) {
		at++
		n++
	}
	if n == 0 || n > 6 {
		return i
	}
	if at < len(r.s) {
		if c, _ := utf8.DecodeRuneInString(r.s[at:]); isWord(c) {
			return i
		}
	}
	return at
}
