package story

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// block returns a text as a story has it: lines without control characters, without blanks at its ends, and with at
// most one empty line in a row.
func block(s string) string {
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	var out []string
	for l := range strings.SplitSeq(s, "\n") {
		l = strings.TrimRightFunc(strings.Map(visible, l), unicode.IsSpace)
		if l == "" && (len(out) == 0 || out[len(out)-1] == "") {
			continue
		}
		out = append(out, l)
	}
	return strings.TrimSpace(strings.Join(out, "\n"))
}

// line returns a text as one line.
func line(s string) string { return strings.Join(strings.Fields(block(s)), " ") }

// visible maps what must not be in a text to nothing: control characters but the tab, which becomes a blank, and the
// marks that turn the direction of all that follows.
func visible(r rune) rune {
	switch {
	case r == '\t', r == '\u2028', r == '\u2029':
		return ' '
	case unicode.IsControl(r), r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069', r == '\ufeff':
		return -1
	}
	return r
}

// Clip cuts a text to a length, which cost counts of each character: what is longer ends in "…". It does not divide a
// letter from its accents, nor an emoji.
func Clip(s string, length int, cost func(rune) int) string {
	const ellipsis = '…'
	used, kept, joined := 0, 0, false // kept is the end of what fits together with the ellipsis
	for at, r := range s {
		begins := at > 0 && !joined && !extends(r)
		if begins && used+cost(ellipsis) <= length {
			kept = at
		}
		if used += cost(r); used > length {
			return strings.TrimRightFunc(s[:kept], unicode.IsSpace) + string(ellipsis)
		}
		joined = r == '\u200d'
	}
	return s
}

// extends reports whether a character belongs to the one before it.
func extends(r rune) bool {
	return unicode.In(r, unicode.Mn, unicode.Me, unicode.Mc) || r == '\u200d' || r >= '\U0001f3fb' && r <= '\U0001f3ff'
}

// UTF16 counts a character as it is in UTF-16, by which services bound their texts.
func UTF16(r rune) int {
	if r > 0xffff {
		return 2
	}
	return 1
}

// Bytes counts a character as it is in UTF-8.
func Bytes(r rune) int { return utf8.RuneLen(r) }

// number writes a number without needless digits.
func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// grouped writes an amount as a whole number with commas.
func grouped(f float64) string {
	digits := strconv.FormatFloat(math.Abs(math.Round(f)), 'f', 0, 64)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	if math.Round(f) < 0 {
		return "-" + digits
	}
	return digits
}

// duration writes a length of time in its two greatest units.
func duration(d time.Duration) string {
	minutes := int64(d / time.Minute)
	days, hours := minutes/(24*60), minutes/60%24
	switch {
	case days > 0 && hours > 0:
		return strconv.FormatInt(days, 10) + " d " + strconv.FormatInt(hours, 10) + " h"
	case days > 0:
		return strconv.FormatInt(days, 10) + " d"
	case hours > 0 && minutes%60 > 0:
		return strconv.FormatInt(hours, 10) + " h " + strconv.FormatInt(minutes%60, 10) + " min"
	case hours > 0:
		return strconv.FormatInt(hours, 10) + " h"
	}
	return strconv.FormatInt(max(minutes, 1), 10) + " min"
}
