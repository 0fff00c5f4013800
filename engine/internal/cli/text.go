package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/width"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// lines says what becomes of line ends.
type lines bool

const (
	oneLine   lines = false // they become blanks
	keepLines lines = true
)

// clean returns text that is safe to write to a terminal: control characters are replaced, and those that turn the
// direction of writing are left out.
func clean(s string, l lines) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' && l == keepLines:
			return r
		case r == '\n', r == '\r', r == '\t':
			return ' '
		case unicode.Is(unicode.Bidi_Control, r):
			return -1
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// columns returns how many columns of a terminal a rune takes.
func columns(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// widthOf returns how many columns a text takes.
func widthOf(s string) int {
	n := 0
	for _, r := range s {
		n += columns(r)
	}
	return n
}

// cut shortens a text to at most n columns, marking where something is missing.
func cut(s string, n int) string {
	if widthOf(s) <= n {
		return s
	}
	used := 1 // the mark
	for i, r := range s {
		if used += columns(r); used > n {
			return strings.TrimRight(s[:i], " ") + "…"
		}
	}
	return s
}

// wrap divides a text into lines of at most n columns where there are blanks. Its own line ends stay.
func wrap(s string, n int) []string {
	var out []string
	for line := range strings.SplitSeq(strings.TrimRight(s, "\n"), "\n") {
		row := ""
		for word := range strings.FieldsSeq(line) {
			switch {
			case row == "":
				row = word
			case widthOf(row)+1+widthOf(word) <= n:
				row += " " + word
			default:
				out = append(out, row)
				row = word
			}
		}
		out = append(out, row)
	}
	return out
}

// count writes a number with its noun: 1 case, 2 cases, 2 replies.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ok := strings.CutSuffix(noun, "y"); ok {
		return grouped(n) + " " + stem + "ies"
	}
	return grouped(n) + " " + noun + "s"
}

// grouped writes a number with a comma between each three digits.
func grouped(n int) string {
	if n < 0 {
		return "-" + grouped(-n)
	}
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// bar draws n of most as a bar of up to size columns. What is not zero is seen.
func bar(n, most, size int) string {
	if n <= 0 || most <= 0 {
		return ""
	}
	return strings.Repeat("█", max(1, (n*size+most/2)/most))
}

// number writes a score: 7, 4.5.
func number(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// signed writes a Net Promoter Score: +12, 0, -3.
func signed(f float64) string {
	s := fmt.Sprintf("%+.0f", f)
	if s == "+0" || s == "-0" {
		return "0"
	}
	return s
}

// span writes a duration as people say it: 340 ms, 12 s, 5 min, 3 h, 2 d.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d <= 72*time.Hour:
		return fmt.Sprintf("%.0f h", d.Hours())
	}
	return fmt.Sprintf("%.0f d", d.Hours()/24)
}

// size writes a number of bytes: 812 B, 3.4 MiB.
func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// instant writes a time in the program's time zone, to the minute.
func instant(t feedback.Time, zone *time.Location) string {
	if t == 0 {
		return ""
	}
	return t.Std().In(zone).Format("2006-01-02 15:04")
}

// moment writes a time in the program's time zone, to the second: of what is soon.
func moment(t feedback.Time, zone *time.Location) string {
	if t == 0 {
		return ""
	}
	return t.Std().In(zone).Format(time.DateTime)
}

// short returns the beginning of a hash such as sha256:0123...
func short(hash string) string {
	const digits = 12
	_, hex, found := strings.Cut(hash, ":")
	if !found {
		hex = hash
	}
	return hex[:min(len(hex), digits)]
}

// list writes names as people do: a, b or c.
func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// cleaned is the output of results for text of others, of which each write is cleaned.
func (a *app) cleaned() io.Writer { return cleaner{a.std.Out} }

type cleaner struct{ w io.Writer }

// Write writes what is safe for a terminal.
func (c cleaner) Write(b []byte) (int, error) {
	_, err := io.WriteString(c.w, clean(string(b), keepLines))
	return len(b), err
}
