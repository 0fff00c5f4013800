package index

import (
	"cmp"
	"maps"
	"slices"

	"github.com/closedloop/closedloop/rules/internal/lang"
)

// few is the number of conditions up to which a stage asks each of them.
const few = 6

// stage is the index of the conditions that are looked for together.
type stage struct {
	first    int32 // their numbers: from first to end
	end      int32
	small    bool  // each of them is asked, and the rest is not set
	gaps     []gap // what may be missing
	never    bool  // none of them is unknown while nothing is missing
	postings []posting
	leaf     *leaf // of the rows that are in no posting, or nil
	scoped   *leaf // of those that are, for events without the value by which they are found, or nil
}

// gap is a domain of which something may be missing, and the bit that stands for it in the gaps of a condition.
type gap struct {
	dom int32
	bit uint64
}

// always is the bit of conditions that may be unknown though nothing is missing.
const always = 1 << 63

// posting leads from the class of an event's value, or from its keys, to the rows that ask for it.
type posting struct {
	dom   int32
	start []uint32 // by class or key: where its entries begin; they end where the next begin
	rows  []entry
	large map[int32]*leaf // of those with many rows, which have no entries
}

// entry is a row of a posting.
type entry struct {
	rule int32
	n    uint32 // of its parts
	at   uint32 // where they begin
}

// The limits of postings.
const (
	maxValues   = 16 // that a row asks for
	maxEntries  = 96 // beyond which a value has a leaf of its own
	keysOfEvent = 4  // how many keys of a domain an event may be expected to have
)

// builder builds one stage after another.
type builder struct {
	*Index
	few   int
	split splitter
	parts partsBuilder
}

func (b *builder) stage(conds []*lang.Condition, first int32) stage {
	st := stage{first: first, end: first + int32(len(conds)), never: true}
	if st.small = len(conds) <= b.few; st.small {
		return st
	}
	used := map[int32]bool{}
	var free, scoped []placed
	for i, c := range conds {
		rule := first + int32(i)
		b.gaps[rule] = b.gapsOf(c.Root(), used)
		st.never = st.never && b.gaps[rule]&always == 0
		rows := b.split.rows(c)
		for j := range rows {
			r := &rows[j]
			if r.never() {
				continue
			}
			p := placed{rule: rule, row: r, skip: b.access(r), gaps: b.gaps[rule]}
			if p.skip >= 0 {
				scoped = append(scoped, p)
			} else {
				free = append(free, p)
			}
		}
	}
	for _, d := range slices.Sorted(maps.Keys(used)) {
		st.gaps = append(st.gaps, gap{d, gapBit(d)})
	}
	b.parts.searched = map[int32]bool{}
	for _, p := range scoped {
		b.parts.searched[p.skip] = true
	}
	if len(free) > 0 {
		st.leaf = newLeaf(b.doms, b.asked, b.parts.searched, free, true)
	}
	if len(scoped) > 0 {
		st.scoped = newLeaf(b.doms, b.asked, map[int32]bool{}, scoped, false)
		st.postings = b.postings(scoped)
	}
	return st
}

func gapBit(dom int32) uint64 { return 1 << (dom % 63) }

// gapsOf returns the bits of what must be missing for the condition to be unknown, and notes the domains.
func (b *builder) gapsOf(n *lang.Node, used map[int32]bool) uint64 {
	var out uint64
	if n.Op() == lang.Atom {
		t := b.tests[n.Atom()]
		for _, d := range t.Gaps {
			out |= gapBit(d)
			used[d] = true
		}
		if t.Always {
			out |= always
		}
		return out
	}
	kids := n.Kids()
	for i := range kids {
		out |= b.gapsOf(&kids[i], used)
	}
	return out
}

// access returns the sparse domain by whose values the row is found, the one that leads to the fewest rows, or -1.
func (b *builder) access(r *row) int32 {
	best, least := int32(-1), 0.5
	for _, in := range r.ranges {
		d := &b.doms[in.dom]
		if n := in.set.size(); d.sparse() && n <= maxValues && d.values(in.set) {
			if p := float64(n) / float64(d.classes); p < least {
				best, least = in.dom, p
			}
		}
	}
	for _, n := range r.needs {
		d := &b.doms[n.dom]
		if d.sparse() && len(n.keys) <= maxValues {
			if p := keysOfEvent * float64(len(n.keys)) / float64(d.asked); p < least {
				best, least = n.dom, p
			}
		}
	}
	return best
}

// values reports whether the set holds only single values.
func (d *domain) values(s set) bool {
	for _, p := range s {
		if p.lo == missing || d.Kind == lang.NumberSource && (p.lo != p.hi || p.lo%2 != 0) || p.hi == d.classes-1 {
			return false
		}
	}
	return true
}

// postings builds the postings of rows by the domains that lead to them.
func (b *builder) postings(rows []placed) []posting {
	byDom := map[int32]map[int32][]int{}
	for i, p := range rows {
		values := byDom[p.skip]
		if values == nil {
			values = map[int32][]int{}
			byDom[p.skip] = values
		}
		for _, v := range p.values() {
			values[v] = append(values[v], i)
		}
	}
	at := b.ownParts(rows)
	var out []posting
	for dom, values := range byDom {
		out = append(out, b.posting(dom, rows, values, at))
	}
	slices.SortFunc(out, func(x, y posting) int { return cmp.Compare(x.dom, y.dom) })
	return out
}

// ownParts makes the parts of the rows, and returns their entries.
func (b *builder) ownParts(rows []placed) []entry {
	out := make([]entry, len(rows))
	for i, p := range rows {
		from := len(b.parts.out)
		left := p.row.without(p.skip)
		b.parts.add(p.rule, &left)
		out[i] = entry{p.rule, uint32(len(b.parts.out) - from), uint32(from)}
	}
	return out
}

func (b *builder) posting(dom int32, rows []placed, values map[int32][]int, entries []entry) posting {
	d := &b.doms[dom]
	out := posting{dom: dom, start: make([]uint32, max(d.classes, d.keys)+1)}
	for v := range int32(len(out.start) - 1) {
		out.start[v] = uint32(len(out.rows))
		list := values[v]
		if len(list) <= maxEntries {
			for _, i := range list {
				out.rows = append(out.rows, entries[i])
			}
			continue
		}
		sub := make([]placed, len(list))
		for i, at := range list {
			sub[i] = rows[at]
		}
		if out.large == nil {
			out.large = map[int32]*leaf{}
		}
		out.large[v] = newLeaf(b.doms, b.asked, b.parts.searched, sub, true)
	}
	out.start[len(out.start)-1] = uint32(len(out.rows))
	return out
}

// values returns the classes or keys by which the row is found.
func (p *placed) values() []int32 {
	for _, in := range p.row.ranges {
		if in.dom == p.skip {
			var out []int32
			for _, s := range in.set {
				for c := s.lo; c <= s.hi; c++ {
					out = append(out, c)
				}
			}
			return out
		}
	}
	for _, n := range p.row.needs {
		if n.dom == p.skip {
			return n.keys
		}
	}
	return nil
}
