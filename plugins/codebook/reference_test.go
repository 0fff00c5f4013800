package codebook

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// The reference finds themes the slow and obvious way: it cuts the text into words and looks at every word for every
// phrase. What the book answers must be the same.

type refWord struct {
	folded     string
	start, end int // bytes of the original
}

// refPlace is a range of words, both ends included.
type refPlace struct{ first, last int }

func refWords(text string) []refWord {
	type char struct {
		r          rune
		start, end int
	}
	var chars []char
	var it norm.Iter
	for it.InitString(norm.NFC, text); !it.Done(); {
		start := it.Pos()
		segment := string(it.Next())
		same := segment == text[start:it.Pos()]
		for i, r := range segment {
			c := char{r, start, it.Pos()}
			if same {
				c.start, c.end = start+i, start+i+utf8.RuneLen(r)
			}
			chars = append(chars, c)
		}
	}
	var words []refWord
	open, inside := false, false // whether a letter goes on with the last word, and whether that ends right here
	for _, c := range chars {
		k := kindOf(c.r)
		switch {
		case k == solo || k == letter && !open:
			words = append(words, refWord{string(foldRune(c.r)), c.start, c.end})
			open, inside = k == letter, true
		case k == letter:
			w := &words[len(words)-1]
			w.folded, w.end = w.folded+string(foldRune(c.r)), c.end
		case k == ignored && inside:
			words[len(words)-1].end = c.end
		case k == separator:
			open, inside = false, false
		}
	}
	return words
}

// refPattern makes a regular expression for each word of a phrase.
func refPattern(phrase string) []*regexp.Regexp {
	var out []*regexp.Regexp
	for _, w := range strings.Fields(string(foldPattern(norm.NFC.String(phrase)))) {
		w = strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(w))
		out = append(out, regexp.MustCompile("(?s)^"+w+"$"))
	}
	return out
}

func refFind(pattern []*regexp.Regexp, words []refWord) []refPlace {
	var out []refPlace
	for i := 0; i+len(pattern) <= len(words); i++ {
		hit := true
		for j, re := range pattern {
			hit = hit && re.MatchString(words[i+j].folded)
		}
		if hit {
			out = append(out, refPlace{i, i + len(pattern) - 1})
		}
	}
	return out
}

func refEvaluate(n node, phrases []string, words []refWord) []refPlace {
	switch n.op {
	case opTerm:
		return refFind(refPattern(phrases[n.term]), words)
	case opOr, opAnd:
		var out []refPlace
		for _, k := range n.kids {
			places := refEvaluate(k, phrases, words)
			if n.op == opAnd && len(places) == 0 {
				return nil
			}
			out = append(out, places...)
		}
		return out
	case opNot:
		if len(refEvaluate(n.kids[1], phrases, words)) > 0 {
			return nil
		}
		return refEvaluate(n.kids[0], phrases, words)
	}
	var out []refPlace
	others := refEvaluate(n.kids[1], phrases, words)
	for _, here := range refEvaluate(n.kids[0], phrases, words) {
		earlier, later := refPlace{-1, -1}, refPlace{-1, -1}
		for _, o := range others {
			if o.last < here.first && (earlier.first < o.first || earlier.first == o.first && earlier.last < o.last) {
				earlier = o
			}
			if o.first > here.last && (later.first < 0 || later.first > o.first || later.first == o.first && later.last > o.last) {
				later = o
			}
		}
		if earlier.first >= 0 && here.first-earlier.last-1 <= n.n {
			out = append(out, refPlace{earlier.first, here.last})
		}
		if later.first >= 0 && later.first-here.last-1 <= n.n {
			out = append(out, refPlace{here.first, later.last})
		}
	}
	return out
}

// refEvidence returns where an expression holds in a text, as evidence, and whether it does.
func refEvidence(expression, text string) ([]feedback.Span, bool, error) {
	var phrases []string
	n, err := parse(expression, func(p string) (uint32, error) {
		_, err := newPattern(p)
		phrases = append(phrases, p)
		return uint32(len(phrases) - 1), err
	})
	if err != nil {
		return nil, false, err
	}
	words := refWords(text)
	places := refEvaluate(n, phrases, words)
	slices.SortFunc(places, func(a, b refPlace) int {
		if a.first != b.first {
			return a.first - b.first
		}
		return a.last - b.last
	})
	var out []feedback.Span
	for _, p := range places {
		s := feedback.Span{Start: uint32(words[p.first].start), End: uint32(words[p.last].end)}
		if k := len(out) - 1; k >= 0 && s.Start < out[k].End {
			out[k].End = max(out[k].End, s.End)
			continue
		}
		if len(out) == maxEvidence {
			break
		}
		out = append(out, s)
	}
	return out, len(places) > 0, nil
}

// boundary reports whether an offset lies between two characters of text.
func boundary(text string, at uint32) bool {
	return int(at) == len(text) || int(at) < len(text) && utf8.RuneStart(text[at])
}
