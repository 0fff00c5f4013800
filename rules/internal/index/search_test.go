package index

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/rules/internal/campaign"
)

// The automaton finds exactly the texts that are there, with tables for all states, for some and for the root alone.
func TestAutomatonFindsAllTexts(t *testing.T) {
	t.Parallel()
	a := choices(t)
	for range campaign.Rounds(t, 300, 20_000) {
		letters := a.pick("ab", "abc", "aé日", "abcdefghijklmnopqrstuvwxyz")
		text := func(n int) string {
			out := make([]rune, a.IntN(n))
			for i := range out {
				out[i] = []rune(letters)[a.IntN(len([]rune(letters)))]
			}
			return string(out)
		}
		words := []string{"a"}
		for range a.IntN(40) {
			if w := text(8); w != "" {
				words = append(words, w)
			}
		}
		slices.Sort(words)
		words = slices.Compact(words)
		for _, limit := range []int32{1, 30, 200, maxDense} {
			m := newAutomaton(words, limit)
			var found hits
			for range 3 {
				s := text(60)
				found.clear(len(words))
				m.scan([]byte(s), &found)
				for i, w := range words {
					if found.has(int32(i)) != strings.Contains(s, w) || found.has(int32(i)) != slices.Contains(found.words, int32(i)) {
						t.Fatalf("%q in %q with %d entries: found %v", w, s, limit, found.has(int32(i)))
					}
				}
			}
		}
	}
}

func TestTableFindsItsTexts(t *testing.T) {
	t.Parallel()
	var texts []string
	for i := range 3000 {
		texts = append(texts, strings.Repeat("x", i%20)+fmt.Sprint(i*7))
	}
	for _, hash := range []func(string) uint64{hashText, hashPath, func(string) uint64 { return 5 }} {
		texts := texts
		if hash("a") == hash("b") {
			texts = texts[:200] // all collide
		}
		table := newTable(texts, hash)
		for i, s := range texts {
			if table.find(s) != int32(i) || table.find(s+"y") != -1 {
				t.Fatalf("%q: found %d", s, table.find(s))
			}
		}
	}
}

func TestAncestors(t *testing.T) {
	t.Parallel()
	texts := []string{"", "/", "/a", "a", "a/", "a/b", "a/b/c", "ab", "b"}
	table := newTable(texts, hashPath)
	for path, want := range map[string]string{
		"a": "a", "a/b": "a a/b", "a/b/c": "a a/b a/b/c", "a/b/c/d": "a a/b a/b/c", "ab/c": "ab", "abc": "", "a//b": "a a/", "/a/x": " /a", "": "", "//": " /", "c/a": "",
	} {
		var found hits
		found.clear(len(texts))
		table.ancestors(path, longestOf(texts), &found)
		var got []string
		for _, id := range found.words {
			got = append(got, texts[id])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: got %q, want %q", path, got, want)
		}
	}
}

// Sets do what sets of numbers do.
func TestSets(t *testing.T) {
	t.Parallel()
	a := choices(t)
	const top = 20
	random := func() (set, [top + 1]bool) {
		var s set
		var in [top + 1]bool
		for c := range int32(top + 1) {
			if a.chance(40) {
				s, in[c] = s.or(single(c)), true
			}
		}
		return s, in
	}
	for range 3000 {
		s, inS := random()
		o, inO := random()
		and, or, not, within, size := s.and(o), s.or(o), s.not(1, top), true, 0
		for c := range int32(top + 1) {
			if s.has(c) != inS[c] || and.has(c) != (inS[c] && inO[c]) || or.has(c) != (inS[c] || inO[c]) || c > 0 && not.has(c) == inS[c] {
				t.Fatalf("%v and %v at %d", s, o, c)
			}
			within = within && (!inS[c] || inO[c])
			if inS[c] {
				size++
			}
		}
		if s.within(o) != within || s.size() != size || not.has(0) {
			t.Fatalf("%v within %v: %v, size %d", s, o, s.within(o), s.size())
		}
		for i := 1; i < len(or); i++ {
			if or[i].lo <= or[i-1].hi+1 {
				t.Fatalf("%v has no gap between its spans", or)
			}
		}
	}
}
