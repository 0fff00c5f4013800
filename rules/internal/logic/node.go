package logic

import "github.com/closedloop/closedloop/rules/internal/lang"

// possible returns the truth values that a part can have, or more.
func (x *search) possible(s *state, n *lang.Node) Accept {
	x.left--
	kids := n.Kids()
	switch n.Op() {
	case lang.Atom:
		return s.truth[x.local[n.Atom()]]
	case lang.Not:
		return x.possible(s, &kids[0]).Not()
	case lang.Else:
		first := x.possible(s, &kids[0])
		if first&IsUnknown == 0 {
			return first
		}
		return first&^IsUnknown | x.possible(s, &kids[1])
	}
	and := n.Op() == lang.And
	out := IsFalse
	if and {
		out = IsTrue
	}
	for i := range kids {
		if out = joined(out, x.possible(s, &kids[i]), and); out == IsFalse && and || out == IsTrue && !and {
			break
		}
	}
	return out
}

// joined returns the truth values of a and b, or of a or b.
func joined(a, b Accept, and bool) Accept {
	if !and {
		return joined(a.Not(), b.Not(), true).Not()
	}
	out := (a | b) & IsFalse
	if a&NotFalse != 0 && b&NotFalse != 0 {
		out |= (a | b) & IsUnknown
	}
	return out | a&b&IsTrue
}

// assume has a part have one of the truth values, and draws the conclusions for its atoms. It reports whether it learnt
// anything, and whether the part can have one of the values.
func (x *search) assume(s *state, n *lang.Node, a Accept) (changed, ok bool) {
	can := x.possible(s, n)
	switch {
	case can&a == 0:
		return false, false
	case can&^a == 0:
		return false, true
	}
	kids := n.Kids()
	switch n.Op() {
	case lang.Atom:
		s.truth[x.local[n.Atom()]] &= a
		return true, true
	case lang.Not:
		return x.assume(s, &kids[0], a.Not())
	case lang.Else:
		return x.assumeElse(s, n, a)
	case lang.And:
		return x.assumeAnd(s, kids, a, false)
	}
	return x.assumeAnd(s, kids, a.Not(), true)
}

// assumeAnd assumes of parts joined by and; with opposite set, of their opposites.
func (x *search) assumeAnd(s *state, kids []lang.Node, a Accept, opposite bool) (changed, ok bool) {
	turned := func(v Accept) Accept {
		if opposite {
			return v.Not()
		}
		return v
	}
	if a&IsFalse == 0 { // each must be at least the least of a
		for i := range kids {
			least := NotFalse
			if a == IsTrue {
				least = IsTrue
			}
			c, fits := x.assume(s, &kids[i], turned(least))
			if changed = changed || c; !fits {
				return changed, false
			}
		}
	}
	if a&IsTrue != 0 {
		return changed, true
	}
	low := a // one must be at most the greatest of a
	if a&IsUnknown != 0 {
		low = NotTrue
	}
	only, several := -1, false
	for i := range kids {
		switch can := turned(x.possible(s, &kids[i])); {
		case can&low == 0:
		case can&^low == 0:
			return changed, true
		case only >= 0:
			several = true
		default:
			only = i
		}
	}
	if several {
		return changed, true
	}
	if only < 0 {
		return changed, false
	}
	c, fits := x.assume(s, &kids[only], turned(low))
	return changed || c, fits
}

func (x *search) assumeElse(s *state, n *lang.Node, a Accept) (changed, ok bool) {
	kids := n.Kids()
	first, second := x.possible(s, &kids[0]), x.possible(s, &kids[1])
	if second&a == 0 {
		return x.assume(s, &kids[0], a&^IsUnknown)
	}
	changed, ok = x.assume(s, &kids[0], a|IsUnknown)
	if !ok || first&a&^IsUnknown != 0 {
		return changed, ok
	}
	c, ok := x.assume(s, &kids[1], a)
	return changed || c, ok
}
