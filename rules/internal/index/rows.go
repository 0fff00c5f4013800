package index

import (
	"slices"

	"github.com/closedloop/closedloop/rules/internal/lang"
)

// accept is a set of truth values.
type accept uint8

const (
	isFalse accept = 1 << lang.False
	unknown accept = 1 << lang.Unknown
	isTrue  accept = 1 << lang.True
)

func (a accept) has(t lang.Truth) bool { return a>>t&1 != 0 }

// not returns the opposites.
func (a accept) not() accept { return a&isFalse<<2 | a&unknown | a&isTrue>>2 }

// row is one way in which a condition is true: all of it holds. A condition is true if one of its rows holds; of a loose
// row, the condition must be asked besides.
type row struct {
	ranges []inRange // by domain, ascending
	needs  []anyOf
	checks []check // by atom, ascending
	loose  bool
}

// inRange asks for the class of the event's value. If gap is set, the atoms of the row are unknown, or hold, where the
// value is missing.
type inRange struct {
	dom int32
	set set
	gap bool
}

// anyOf asks for one of some keys.
type anyOf struct {
	dom  int32
	keys []int32 // ascending
	atom int32   // that is true exactly then, or -1
	also bool    // the row asks for more of it besides, or is loose
}

// check asks for the truth of an atom.
type check struct {
	atom   int32
	accept accept
}

// The limits of the rows of one condition.
const (
	maxRows  = 8
	maxParts = 512 // looked at
)

// splitter makes the rows of conditions.
type splitter struct {
	doms  []domain
	views []view
	left  int // parts that may still be looked at
}

// rows returns the rows of a condition, none if it is never true.
func (x *splitter) rows(c *lang.Condition) []row {
	x.left = maxParts
	return x.split(c.Root(), isTrue)
}

// split returns the rows of a part having one of the truth values, which are true or false, with or without unknown. If
// they are taken to accept unknown besides, so do the rows; then they may hold for more.
func (x *splitter) split(n *lang.Node, a accept) []row {
	if x.left--; x.left < 0 {
		return []row{{loose: true}}
	}
	kids := n.Kids()
	switch n.Op() {
	case lang.Atom:
		return x.atom(n.Atom(), a)
	case lang.Not:
		return x.split(&kids[0], a.not())
	case lang.Else:
		// The first decides, or is not the opposite while the second decides.
		sure := a &^ unknown
		first, second := x.split(&kids[0], sure), product(x.split(&kids[0], sure|unknown), x.split(&kids[1], a))
		return union(slices.Concat(first, second))
	}
	if (n.Op() == lang.And) == (a&isTrue != 0) {
		out := []row{{}}
		for i := range kids {
			out = product(out, x.split(&kids[i], a))
		}
		return out
	}
	var out []row
	for i := range kids {
		out = append(out, x.split(&kids[i], a)...)
	}
	return union(out)
}

// atom returns the row of one atom.
func (x *splitter) atom(id int32, a accept) []row {
	v := &x.views[id]
	switch v.kind {
	case trueView, falseView:
		if (v.kind == trueView) == (a&isTrue != 0) {
			return []row{{}}
		}
		return nil
	case givenView, classView:
		r := inRange{dom: v.dom, gap: v.kind == classView || a&isFalse != 0}
		if a&isTrue != 0 {
			r.set = v.true
		} else {
			r.set = v.true.not(1, x.doms[v.dom].classes-1)
		}
		if v.kind == givenView && r.gap || v.kind == classView && a&unknown != 0 {
			r.set = single(missing).or(r.set)
		}
		return []row{{ranges: []inRange{r}}}
	case keyView:
		if a == isTrue {
			need := anyOf{v.dom, slices.Compact(slices.Sorted(slices.Values(v.keys))), id, !v.exact}
			if v.exact {
				return []row{{needs: []anyOf{need}}}
			}
			return []row{{needs: []anyOf{need}, checks: []check{{id, a}}}}
		}
	}
	return []row{{checks: []check{{id, a}}}}
}

// product returns the rows that hold where a row of each side does.
func product(a, b []row) []row {
	if len(a)*len(b) > maxRows {
		if len(a) > len(b) {
			a, b = b, a
		}
		b = []row{hull(b)}
	}
	var out []row
	for i := range a {
		for j := range b {
			out = append(out, both(&a[i], &b[j]))
		}
	}
	return out
}

// both returns the row that holds where both do.
func both(a, b *row) row {
	out := row{loose: a.loose || b.loose, needs: a.needs}
	out.ranges = merge(a.ranges, b.ranges, func(r inRange) int32 { return r.dom }, func(r, s inRange) inRange {
		return inRange{r.dom, r.set.and(s.set), r.gap && s.gap}
	})
	out.checks = merge(a.checks, b.checks, func(c check) int32 { return c.atom }, func(c, d check) check {
		return check{c.atom, c.accept & d.accept}
	})
	for _, n := range b.needs {
		if !slices.ContainsFunc(out.needs, func(o anyOf) bool { return o.dom == n.dom && slices.Equal(o.keys, n.keys) }) {
			out.needs = append(slices.Clip(out.needs), n)
		}
	}
	return out
}

// merge merges two lists that ascend by a number, joining those of equal numbers.
func merge[T any](a, b []T, by func(T) int32, join func(a, b T) T) []T {
	if len(a) == 0 || len(b) == 0 {
		return slices.Concat(a, b)
	}
	out := make([]T, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case by(a[0]) < by(b[0]):
			out, a = append(out, a[0]), a[1:]
		case by(a[0]) > by(b[0]):
			out, b = append(out, b[0]), b[1:]
		default:
			out, a, b = append(out, join(a[0], b[0])), a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// union makes rows of which one must hold fewer: those that ask for one thing alone are joined, and if there are still too
// many, one loose row stands for all.
func union(rows []row) []row {
	var out []row
	for i := range rows {
		joined := false
		for j := range out {
			if joined = out[j].join(&rows[i]); joined {
				break
			}
		}
		if !joined {
			out = append(out, rows[i])
		}
		if len(out) > maxRows {
			return []row{hull(rows)}
		}
	}
	return out
}

// join makes r hold also where o does, if both ask for one thing, and it is of the same domain.
func (r *row) join(o *row) bool {
	switch {
	case r.loose || o.loose || len(r.checks)+len(o.checks) > 0:
		return false
	case len(r.ranges) == 1 && len(o.ranges) == 1 && len(r.needs)+len(o.needs) == 0 && r.ranges[0].dom == o.ranges[0].dom:
		a, b := r.ranges[0], o.ranges[0]
		r.ranges = []inRange{{a.dom, a.set.or(b.set), a.gap || b.gap}}
		return true
	case len(r.needs) == 1 && len(o.needs) == 1 && len(r.ranges)+len(o.ranges) == 0 && r.needs[0].dom == o.needs[0].dom:
		r.needs = []anyOf{{r.needs[0].dom, bothKeys(r.needs[0].keys, o.needs[0].keys), -1, false}}
		return true
	}
	return false
}

func bothKeys(a, b []int32) []int32 {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// hull returns a loose row that holds where any of the rows does: it asks for what all of them ask.
func hull(rows []row) row {
	out := row{loose: true}
	if len(rows) == 0 {
		return out
	}
	out.ranges = slices.Clone(rows[0].ranges)
	if len(rows[0].needs) > 0 {
		first := rows[0].needs[0]
		out.needs = []anyOf{{first.dom, first.keys, -1, true}}
	}
	for i := range rows[1:] {
		r := &rows[i+1]
		out.ranges = slices.DeleteFunc(out.ranges, func(in inRange) bool {
			return !slices.ContainsFunc(r.ranges, func(o inRange) bool { return o.dom == in.dom })
		})
		for j, in := range out.ranges {
			at := slices.IndexFunc(r.ranges, func(o inRange) bool { return o.dom == in.dom })
			out.ranges[j] = inRange{in.dom, in.set.or(r.ranges[at].set), in.gap || r.ranges[at].gap}
		}
		out.needs = widened(out.needs, r.needs)
	}
	return out
}

// widened returns what is needed where one or the other is.
func widened(a, b []anyOf) []anyOf {
	for _, n := range a {
		for _, o := range b {
			if n.dom == o.dom {
				return []anyOf{{n.dom, bothKeys(n.keys, o.keys), -1, true}}
			}
		}
	}
	return nil
}

// never reports whether the row cannot hold, even where what it does not know is taken to hold.
func (r *row) never() bool {
	return slices.ContainsFunc(r.ranges, func(in inRange) bool { return len(in.set) == 0 && !in.gap })
}
