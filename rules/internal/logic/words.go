package logic

import (
	"slices"
)

// words is a set of texts: those that are listed, or all others.
type words struct {
	list []string // ascending
	not  bool
}

var allWords = words{not: true}

func wordsOf(list []string, not bool) words {
	return words{slices.Compact(slices.Sorted(slices.Values(list))), not}
}

func (w words) has(s string) bool {
	_, ok := slices.BinarySearch(w.list, s)
	return ok != w.not
}

func (w words) empty() bool { return !w.not && len(w.list) == 0 }

// opposite returns all texts that are not in the set.
func (w words) opposite() words { return words{w.list, !w.not} }

// and returns what is in both sets.
func (w words) and(o words) words {
	switch {
	case w.not && o.not:
		return wordsOf(slices.Concat(w.list, o.list), true)
	case w.not:
		return o.and(w)
	}
	return w.only(o.has)
}

// only returns the texts of a list for which keep reports true; the set must not be all others.
func (w words) only(keep func(string) bool) words {
	var out []string
	for _, s := range w.list {
		if keep(s) {
			out = append(out, s)
		}
	}
	return words{list: out}
}

// meets reports whether the sets have something in common.
func (w words) meets(o words) bool {
	switch {
	case w.not && o.not:
		return true
	case w.not:
		return o.meets(w)
	}
	return slices.ContainsFunc(w.list, o.has)
}

// some returns a text of the set.
func (w words) some() (string, bool) {
	if !w.not {
		if len(w.list) == 0 {
			return "", false
		}
		return w.list[0], true
	}
	for _, s := range [...]string{"other", "another", "something else"} {
		if w.has(s) {
			return s, true
		}
	}
	s := "other"
	for !w.has(s) {
		s += "r"
	}
	return s, true
}
