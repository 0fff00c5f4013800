package index

import "slices"

// span is a range of classes, both bounds included.
type span struct{ lo, hi int32 }

// set is a set of classes: ascending spans with a gap between each two.
type set []span

func single(c int32) set { return set{{c, c}} }

// has reports whether the class is in the set.
func (s set) has(c int32) bool {
	i, ok := slices.BinarySearchFunc(s, c, func(p span, c int32) int { return int(p.lo) - int(c) })
	return ok || i > 0 && c <= s[i-1].hi
}

// size is the number of classes in the set.
func (s set) size() int {
	n := 0
	for _, p := range s {
		n += int(p.hi-p.lo) + 1
	}
	return n
}

func (s set) and(o set) set {
	var out set
	for i, j := 0, 0; i < len(s) && j < len(o); {
		lo, hi := max(s[i].lo, o[j].lo), min(s[i].hi, o[j].hi)
		if lo <= hi {
			out = append(out, span{lo, hi})
		}
		if s[i].hi < o[j].hi {
			i++
		} else {
			j++
		}
	}
	return out
}

func (s set) or(o set) set {
	all := slices.Concat(s, o)
	slices.SortFunc(all, func(a, b span) int { return int(a.lo) - int(b.lo) })
	return joined(all)
}

// joined makes a set of spans that ascend but may overlap, in place.
func joined(spans []span) set {
	out := spans[:0]
	for _, p := range spans {
		if n := len(out); n > 0 && p.lo <= out[n-1].hi+1 {
			out[n-1].hi = max(out[n-1].hi, p.hi)
		} else {
			out = append(out, p)
		}
	}
	return out
}

// not returns the classes from low to high that are not in the set.
func (s set) not(low, high int32) set {
	var out set
	for _, p := range s {
		if p.lo > low {
			out = append(out, span{low, p.lo - 1})
		}
		low = max(low, p.hi+1)
	}
	if low <= high {
		out = append(out, span{low, high})
	}
	return out
}

// within reports whether all of the set is in the other.
func (s set) within(o set) bool {
	j := 0
	for _, p := range s {
		for j < len(o) && o[j].hi < p.lo {
			j++
		}
		if j == len(o) || o[j].lo > p.lo || o[j].hi < p.hi {
			return false
		}
	}
	return true
}
