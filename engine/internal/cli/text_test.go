package cli

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ got, want string }{
		{clean("a\tb\nc\x1b[0m\u202ed\u0085", oneLine), "a b c\uFFFD[0md\uFFFD"},
		{clean("a\nb\r\n", keepLines), "a\nb \n"},
		{cut("hello", 5), "hello"},
		{cut("hello there", 7), "hello…"},
		{cut("開けにくい", 5), "開け…"},
		{cut("e\u0301e\u0301e\u0301", 2), "e\u0301…"},
		{strings.Join(wrap("one two three\nfour", 8), "|"), "one two|three|four"},
		{strings.Join(wrap("unbreakable a", 4), "|"), "unbreakable|a"},
		{count(0, "reply"), "0 replies"},
		{count(1, "reply"), "1 reply"},
		{count(1234567, "item"), "1,234,567 items"},
		{grouped(-1234), "-1,234"},
		{bar(1, 1000, 24), "█"},
		{bar(12, 24, 4), "██"},
		{bar(0, 24, 4), ""},
		{signed(12.4), "+12"},
		{signed(-0.3), "0"},
		{signed(-33.4), "-33"},
		{span(12 * time.Millisecond), "12 ms"},
		{span(2500 * time.Millisecond), "2.5 s"},
		{span(61 * time.Second), "61 s"},
		{span(7 * time.Minute), "7 min"},
		{span(48 * time.Hour), "48 h"},
		{span(7 * 24 * time.Hour), "7 d"},
		{size(812), "812 B"},
		{size(3 << 20), "3.0 MiB"},
		{short("sha256:0123456789abcdef"), "0123456789ab"},
		{short("ab"), "ab"},
		{list([]string{"a", "b", "c"}), "a, b or c"},
	} {
		if c.got != c.want {
			t.Errorf("found %q, want %q", c.got, c.want)
		}
	}
}

func TestTextOfAnyKind(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		n := rapid.IntRange(1, 40).Draw(t, "n")
		safe := clean(s, oneLine)
		if strings.ContainsFunc(safe, unicode.IsControl) || !utf8.ValidString(safe) {
			t.Errorf("clean(%q) = %q", s, safe)
		}
		if short := cut(safe, n); widthOf(short) > n {
			t.Errorf("cut(%q, %d) is %d wide", safe, n, widthOf(short))
		}
		table := newTable(text("id"), elastic("text"), digits("n"))
		table.add(s, s, "12")
		var b strings.Builder
		table.write(&b, n)
		for line := range strings.Lines(b.String()) {
			if w := widthOf(strings.TrimSuffix(line, "\n")); w > n {
				t.Errorf("a line is %d wide, want at most %d: %q", w, n, line)
			}
		}
	})
}

func TestErrorsAreDivided(t *testing.T) {
	t.Parallel()
	a, b, c := errors.New("a"), errors.New("b"), errors.New("c")
	whole := fmt.Errorf("x: %w: %w", a, b)
	got := divide(errors.Join(errors.Join(a, nil, whole), nil, errors.Join(c)))
	if len(got) != 3 || got[0] != a || got[1] != whole || got[2] != c {
		t.Errorf("divided into %v", got)
	}
	if divide(nil) != nil {
		t.Error("nothing is divided into something")
	}
}
