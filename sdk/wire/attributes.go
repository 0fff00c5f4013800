package wire

import (
	"cmp"
	"slices"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// attrPair is an attribute.
type attrPair struct {
	name  string
	value feedback.Value
}

// attrWriter puts attributes in the order of their names. Items of one batch mostly have the same attributes, so it
// looks for those of the item before, which is faster than going through the map and sorting.
type attrWriter struct {
	few [8]attrPair // the attributes of the item before, when they are so few
	n   int
}

// sorted returns the attributes that are not absent, by name. They are valid until the next call.
func (w *attrWriter) sorted(a feedback.Attributes) []attrPair {
	if len(a) == 0 {
		return nil
	}
	if len(a) == w.n && w.again(a) {
		return w.few[:w.n]
	}
	pairs := w.few[:0]
	if len(a) > len(w.few) {
		pairs = make([]attrPair, 0, len(a))
	}
	for name, v := range a {
		if v.Kind() != feedback.Absent {
			pairs = append(pairs, attrPair{name, v})
		}
	}
	slices.SortFunc(pairs, func(x, y attrPair) int { return cmp.Compare(x.name, y.name) })
	if w.n = len(pairs); cap(pairs) > len(w.few) {
		w.n = 0 // too many to be kept
	}
	return pairs
}

// again takes the values of the names that the item before had, and reports whether all are there.
func (w *attrWriter) again(a feedback.Attributes) bool {
	for i := range w.few[:w.n] {
		v := a[w.few[i].name]
		if v.Kind() == feedback.Absent {
			return false
		}
		w.few[i].value = v
	}
	return true
}

// size returns the bytes that attributes take; above MaxFrame when there are too many for a list.
func (w *attrWriter) size(a feedback.Attributes) int {
	pairs := w.sorted(a)
	if len(pairs) > MaxRecords {
		return MaxFrame + 1
	}
	n := len(pairs) * attrSize
	for i := range pairs {
		s, _ := pairs[i].value.Str()
		n += len(pairs[i].name) + len(s)
	}
	return n
}
