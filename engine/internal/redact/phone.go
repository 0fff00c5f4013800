package redact

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// isPhone reports whether the first j groups are a telephone number. Before low are markers.
func (r *row) isPhone(j int, about context, low int) bool {
	if r.plus {
		return r.international(j, 0)
	}
	if about == otherNumber || r.isDate(j) {
		return false
	}
	d, n := r.digits[:r.sum(j)], r.sum(j)
	switch {
	case d[0] == 0 && about != telephone && r.follows(low):
		return false
	case n > 11 && d[0] == 0 && d[1] == 0 && d[2] != 0:
		return r.international(j, 2)
	case d[0] == 0:
		return r.trunk(j, about)
	case r.bracketed(j):
		return true
	case about == telephone:
		return n <= 13 && r.groups[0].n <= 11 && !(j == 2 && r.groups[1].gap == dot && r.groups[0].n < 4) // a fraction
	}
	return r.american(j) || !r.crowded(j, low) && r.shaped(j)
}

// callingCode is a country's calling code, with how many digits its numbers have in all.
type callingCode struct {
	code        string
	least, most int
}

// known returns the calling codes whose numbers have a known length. Others have 9 to 15 digits.
func known() [46]callingCode {
	return [...]callingCode{
		{"1", 11, 11}, {"7", 11, 11}, {"20", 11, 12}, {"27", 11, 11}, {"30", 12, 12}, {"31", 11, 11}, {"32", 10, 11},
		{"33", 11, 11}, {"34", 11, 11}, {"36", 10, 11}, {"39", 8, 13}, {"40", 11, 11}, {"41", 11, 11}, {"43", 8, 14},
		{"44", 11, 12}, {"45", 10, 10}, {"46", 9, 12}, {"47", 10, 10}, {"48", 11, 11}, {"49", 8, 14}, {"52", 12, 13},
		{"54", 12, 13}, {"55", 12, 13}, {"56", 11, 11}, {"57", 12, 12}, {"60", 10, 12}, {"61", 11, 11}, {"62", 10, 14},
		{"63", 12, 12}, {"64", 10, 12}, {"65", 10, 10}, {"66", 10, 11}, {"81", 11, 12}, {"82", 10, 12}, {"84", 11, 12},
		{"86", 12, 13}, {"90", 12, 12}, {"91", 12, 12}, {"92", 12, 12}, {"98", 12, 12}, {"351", 12, 12}, {"353", 10, 12},
		{"380", 12, 12}, {"420", 12, 12}, {"421", 12, 12}, {"852", 11, 11},
	}
}

// international reports whether the digits behind the first skip ones are a calling code and a number. A zero in brackets,
// which is dialled at home only, does not count. Behind an exit code, which looks like any zeros, the code must be known.
func (r *row) international(j, skip int) bool {
	d := r.digits[skip:r.sum(j)]
	n := len(d)
	for i := 1; i < j; i++ {
		if g := r.groups[i]; g.n == 1 && r.digits[g.at] == 0 && g.gap&opened != 0 {
			n--
		}
	}
	if len(d) == 0 || d[0] == 0 {
		return false
	}
	for _, c := range known() {
		if len(c.code) < len(d) && begins(d, c.code) {
			return n >= c.least && n <= c.most
		}
	}
	return skip == 0 && n >= 9 && n <= 15
}

func begins(digits []byte, code string) bool {
	for i := range len(code) {
		if digits[i] != code[i]-'0' {
			return false
		}
	}
	return true
}

// trunk reports whether the groups are a number with the zero that is dialled first within many countries.
func (r *row) trunk(j int, about context) bool {
	n := r.sum(j)
	if r.digits[1] == 0 || n < 9 || n > 12 {
		return about == telephone && n <= 13
	}
	if j == 1 {
		return n == 10 || n == 11 || about == telephone
	}
	pairs, dots := 0, 0
	for i, g := range r.groups[:j] {
		if g.n == 2 {
			pairs++
		}
		if g.gap&dot != 0 {
			dots++
		}
		if i > 0 && (g.n < 2 && r.groups[0].n > 1 || g.n > 8) || i > 1 && g.gap&slash != 0 {
			return false
		}
	}
	switch {
	case r.groups[0].n > 6, r.groups[0].n == 1 && r.groups[1].gap&dot != 0: // 0.123 is a fraction
		return false
	case dots > 0 && dots < j-1 && r.groups[1].gap&dot == 0:
		return false
	}
	return pairs < j || n == 10
}

// bracketed reports whether the groups are a number whose area stands in brackets.
func (r *row) bracketed(j int) bool {
	area := r.groups[0]
	n := r.sum(j)
	if area.n == 1 && j > 2 { // 8 (912) 345-67-89
		return n == 11 && r.groups[1].gap&opened != 0 && r.groups[2].gap&closed != 0
	}
	return r.opened && j > 1 && r.groups[1].gap&closed != 0 && area.n >= 2 && area.n <= 5 && n >= 8 && n <= 12 &&
		n-area.n >= 5 && !(area.n == 4 && r.isYear(area)) && r.groups[1].gap&(dot|slash) == 0
}

// american reports whether the groups are a number of North America: area, exchange and line.
func (r *row) american(j int) bool {
	from := 0
	if j == 4 && r.groups[0].n == 1 && r.digits[0] == 1 {
		from = 1
	}
	g := r.groups[from:j]
	if len(g) != 3 || g[0].n != 3 || g[1].n != 3 || g[2].n != 4 || r.digits[g[0].at] < 2 {
		return false
	}
	a, b := g[1].gap, g[2].gap
	if (a|b)&slash != 0 || g[1].gaps > 2 || g[2].gaps > 2 {
		return false
	}
	return (a|b)&dash != 0 || a == dot && b == dot || a == space && b == space || a == space|closed
}

// shapes are how telephone numbers without a zero, a plus or a bracket are grouped, each with the digits that it begins with.
func shapes() [13]struct{ groups, first string } {
	return [...]struct{ groups, first string }{
		{"3.3.3", "5679"},      // Spain, Portugal, Poland, Czechia
		{"3.2.2.2", "6789"},    // Spain
		{"3.2.3", "49"},        // Norway
		{"2.3.2.2", "2345678"}, // Poland, Switzerland, Turkey
		{"3.3.2.2", "3589"},    // Russia, Turkey
		{"1.3.3.2.2", "78"},    // Russia
		{"1.3.3.4", "78"},      // Russia
		{"3.4.4", "1"},         // China
		{"5.5", "6789"},        // India
		{"2.4.4", "123456789"}, // Brazil, Mexico
		{"2.5.4", "123456789"}, // Brazil
		{"4.4", "689"},         // Singapore, Hong Kong
		{"3.7", "35"},          // Italy
	}
}

// shaped reports whether the groups have one of the shapes.
func (r *row) shaped(j int) bool {
	for _, g := range r.groups[1:j] {
		if g.gaps != 1 || g.gap&(space|dash) == 0 {
			return false
		}
	}
	for _, s := range shapes() {
		if len(s.groups) != 2*j-1 || strings.IndexByte(s.first, '0'+r.digits[0]) < 0 {
			continue
		}
		fits := true
		for i := range j {
			fits = fits && r.groups[i].n == int(s.groups[2*i]-'0')
		}
		if fits {
			return true
		}
	}
	return false
}

// crowded reports whether other numbers stand beside the first j groups, so that they may be a part of a longer row.
func (r *row) crowded(j, low int) bool {
	if j < r.n || r.follows(low) {
		return true
	}
	i := skipSeparators(r.s, low, r.lead)
	if i == low && low > 0 || i > low && r.s[i-1] == ']' {
		return true
	}
	i = r.groups[j-1].to
	for n := 0; n <= longestGap && i < len(r.s); n++ {
		_, size := separatorAt(r.s, i)
		if size == 0 {
			break
		}
		i += size
	}
	if i == len(r.s) {
		return false
	}
	_, digit := digitAt(r.s, i)
	return digit > 0 || r.s[i] == '[' || r.s[i] == '+'
}

// follows reports whether another number stands before the row that was not replaced.
func (r *row) follows(low int) bool {
	i := skipSeparators(r.s, low, r.lead)
	if i == low {
		return false
	}
	c, _ := utf8.DecodeLastRuneInString(r.s[low:i])
	return unicode.IsDigit(c)
}

// skipSeparators returns where the separators begin that end at i, of which one number can have so many, not before low.
func skipSeparators(s string, low, i int) int {
	for n := 0; n <= longestGap && i > low; n++ {
		_, size := utf8.DecodeLastRuneInString(s[low:i])
		if _, sep := separatorAt(s, i-size); sep != size {
			break
		}
		i -= size
	}
	return i
}

// isDate reports whether the row begins with a date, or is a span of years.
func (r *row) isDate(j int) bool {
	if j == 2 && r.isYear(r.groups[0]) && r.isYear(r.groups[1]) {
		return true
	}
	if j < 3 {
		return false
	}
	a, b, c := r.groups[0], r.groups[1], r.groups[2]
	if b.gap != c.gap || b.gap&(dash|dot|slash) == 0 {
		return false
	}
	short := func(g group) bool { return g.n <= 2 }
	return r.isYear(a) && short(b) && short(c) || short(a) && short(b) && r.isYear(c)
}

// isYear reports whether a group is a year of the last or this century.
func (r *row) isYear(g group) bool {
	if g.n != 4 {
		return false
	}
	d := r.digits[g.at : g.at+2]
	return d[0] == 1 && d[1] == 9 || d[0] == 2 && d[1] == 0
}
