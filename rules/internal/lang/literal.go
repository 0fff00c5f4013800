package lang

import (
	"bytes"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// sizeOf estimates the number of instructions of a regular expression without building its program, up to beyond
// maxRegexp: the parser keeps repetitions unexpanded.
func sizeOf(re *syntax.Regexp) int {
	n := 1
	for _, sub := range re.Sub {
		n = min(n+sizeOf(sub)+1, 1<<20)
	}
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpRepeat:
		n = min(n*max(re.Max, re.Min+1, 1), 1<<20)
	}
	return n
}

// plan is a set of fixed texts of which any match of a regular expression holds at least one.
type plan struct {
	texts []string // folded where case does not count
	// folded holds the texts where case does not count. They decide for texts in ASCII only: other texts are folded in
	// NFC, and the expression sees them as they are.
	folded  [][]byte
	anyCase bool
	// whole says that holding one of the texts is also enough to match.
	whole bool
}

// The limits of a plan.
const (
	maxTexts = 64
	maxClass = 8 // characters of a class that are spelt out
)

// planOf returns the plan of a regular expression, or nil when it has none.
func planOf(re *syntax.Regexp) *plan {
	re = re.Simplify()
	var best *plan
	least := 0
	for _, anyCase := range [...]bool{false, true} {
		if texts, ok := spell(re, anyCase); ok && usable(texts) {
			return newPlan(texts, anyCase, true)
		}
		if texts := required(re, anyCase); usable(texts) && shortest(texts) > least {
			best, least = newPlan(texts, anyCase, false), shortest(texts)
		}
	}
	return best
}

func newPlan(texts []string, anyCase, whole bool) *plan {
	p := &plan{texts: texts, anyCase: anyCase, whole: whole}
	if !anyCase {
		return p
	}
	for _, t := range texts {
		if isASCII(t) { // any other is not in a text in ASCII
			p.folded = append(p.folded, []byte(t))
		}
	}
	return p
}

// excludes reports whether none of the texts is there. It is for a plan where case counts.
func (p *plan) excludes(s string) bool {
	return !slices.ContainsFunc(p.texts, func(t string) bool { return strings.Contains(s, t) })
}

// excludesFolded is excludes for a plan in any case and a folded text in ASCII.
func (p *plan) excludesFolded(s []byte) bool {
	return !slices.ContainsFunc(p.folded, func(t []byte) bool { return bytes.Contains(s, t) })
}

// usable reports whether a search for the texts excludes anything.
func usable(texts []string) bool {
	return len(texts) > 0 && !slices.ContainsFunc(texts, func(s string) bool { return s == "" || strings.ContainsRune(s, utf8.RuneError) })
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// spell returns all texts that the expression matches, if they are few, and it matches them anywhere and in the given
// sense of case throughout.
func spell(re *syntax.Regexp, anyCase bool) ([]string, bool) {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return []string{""}, true
	case syntax.OpLiteral:
		s := string(re.Rune)
		if cased := re.Flags&syntax.FoldCase != 0; cased != anyCase && hasCase(re.Rune) {
			return nil, false
		}
		if anyCase {
			s = string(foldRunes(re.Rune))
		}
		return []string{s}, true
	case syntax.OpCharClass:
		return spellClass(re.Rune, anyCase)
	case syntax.OpCapture:
		return spell(re.Sub[0], anyCase)
	case syntax.OpQuest:
		texts, ok := spell(re.Sub[0], anyCase)
		return append(texts, ""), ok
	case syntax.OpAlternate:
		var out []string
		for _, sub := range re.Sub {
			texts, ok := spell(sub, anyCase)
			if out = append(out, texts...); !ok || len(out) > maxTexts {
				return nil, false
			}
		}
		return out, true
	case syntax.OpConcat:
		out := []string{""}
		for _, sub := range re.Sub {
			texts, ok := spell(sub, anyCase)
			if !ok || len(out)*len(texts) > maxTexts {
				return nil, false
			}
			out = product(out, texts)
		}
		return out, true
	}
	return nil, false
}

func product(heads, tails []string) []string {
	var out []string
	for _, h := range heads {
		for _, t := range tails {
			out = append(out, h+t)
		}
	}
	return out
}

func hasCase(rs []rune) bool {
	return slices.ContainsFunc(rs, func(r rune) bool { return unicode.SimpleFold(r) != r })
}

func foldRunes(rs []rune) []rune {
	out := make([]rune, len(rs))
	for i, r := range rs {
		out[i] = fold(r)
	}
	return out
}

// spellClass spells out a small class. Where case does not count, the class must hold every case of its characters.
func spellClass(ranges []rune, anyCase bool) ([]string, bool) {
	var members []rune
	for i := 0; i < len(ranges); i += 2 {
		if ranges[i+1]-ranges[i] >= maxClass {
			return nil, false
		}
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			members = append(members, r)
		}
	}
	if len(members) == 0 || len(members) > maxClass {
		return nil, false
	}
	var out []string
	for _, r := range members {
		if anyCase {
			for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
				if !slices.Contains(members, o) {
					return nil, false
				}
			}
			r = fold(r)
		}
		if !slices.Contains(out, string(r)) {
			out = append(out, string(r))
		}
	}
	return out, true
}

// required returns texts of which every match holds one, or nil when there are no such texts.
func required(re *syntax.Regexp, anyCase bool) []string {
	if texts, ok := spell(re, anyCase); ok {
		return texts
	}
	switch re.Op {
	case syntax.OpCapture, syntax.OpPlus:
		return required(re.Sub[0], anyCase)
	case syntax.OpRepeat:
		if re.Min > 0 {
			return required(re.Sub[0], anyCase)
		}
	case syntax.OpConcat:
		var best []string
		for _, sub := range re.Sub {
			if texts := required(sub, anyCase); usable(texts) && shortest(texts) > shortest(best) {
				best = texts
			}
		}
		return best
	case syntax.OpAlternate:
		var out []string
		for _, sub := range re.Sub {
			texts := required(sub, anyCase)
			if !usable(texts) || len(out)+len(texts) > maxTexts {
				return nil
			}
			out = append(out, texts...)
		}
		return out
	}
	return nil
}

func shortest(texts []string) int {
	n := 0
	for i, t := range texts {
		if i == 0 || len(t) < n {
			n = len(t)
		}
	}
	return n
}
