package index

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/closedloop/closedloop/rules/internal/lang"
)

// leaf is many rows of which an event selects some by and-ing bit masks, one bit a row. A mask has a summary, one bit for
// each block of a cache line, so that whole blocks without a row are passed over. The rows stand in the order of their
// conditions.
type leaf struct {
	rows   []entry
	parts  []part
	words  int // of a mask
	masks  [][]uint64
	sums   [][]uint64
	groups []group
	keyed  []keyGroup
	every  int32 // the mask of all rows
	gaps   []gapMask
	access []gapMask // of the rows that stand in postings too, by domain
}

// block is the words of a block.
const block = 8

// group are the masks of a domain: the rows that accept a class.
type group struct {
	dom   int32
	shift uint8   // classes from 1 on are taken together in runs of 1<<shift
	masks []int32 // by run
	none  int32   // where the value is missing
	wide  int32   // likewise, if rows are to be found that may be unknown
}

// keyGroup are the masks of the keys of a domain.
type keyGroup struct {
	dom   int32
	free  int32   // the rows that ask for no key
	masks []int32 // by key: the rows that ask for it, or -1
}

// gapMask are the rows that something concerns.
type gapMask struct {
	id   int32
	mask int32
}

// The limits of a leaf. What exceeds them is asked of each row by itself.
const (
	maxClasses = 128
	maxMasks   = 2048
	maxGroups  = 48
)

// placed is a row with the number of its condition.
type placed struct {
	rule int32
	row  *row
	skip int32  // the domain of the range or need that the way to the row has decided, or -1
	gaps uint64 // see stage.gaps
}

// leafBuilder builds one leaf.
type leafBuilder struct {
	*leaf
	doms []domain
	from []placed
	seen map[uint64][]int32 // masks by their hash
	left []row              // by row: what no group decides
}

// newLeaf builds a leaf. It notes the domains of texts that it searches. Without parts nothing can be asked of a row that
// the masks select.
func newLeaf(doms []domain, asked *asked, searched map[int32]bool, rows []placed, withParts bool) *leaf {
	blocks := (len(rows) + 64*block - 1) / (64 * block)
	b := &leafBuilder{leaf: &leaf{words: blocks * block, rows: make([]entry, len(rows))}, doms: doms, from: rows, seen: map[uint64][]int32{}, left: make([]row, len(rows))}
	every := b.newMask()
	for i, p := range rows {
		set1(every, i)
		b.leaf.rows[i].rule = p.rule
		b.left[i] = p.row.without(p.skip)
	}
	b.every = b.intern(every)
	for _, d := range b.choose() {
		switch {
		case len(b.masks) >= maxMasks || len(b.groups)+len(b.keyed) >= maxGroups:
		case !doms[d].keyed():
			b.addGroup(d)
		default:
			b.addKeys(d)
			searched[d] = true
		}
	}
	b.addGaps()
	if withParts {
		parts := partsBuilder{doms: doms, asked: asked, searched: searched}
		for i, p := range rows {
			from := len(parts.out)
			parts.add(p.rule, &b.left[i])
			b.leaf.rows[i] = entry{p.rule, uint32(len(parts.out) - from), uint32(from)}
		}
		b.parts = slices.Clip(parts.out)
	}
	return b.leaf
}

// use is that a row accepts a share of the values of a domain.
type use struct {
	row   int32
	share float64
}

// choose returns the domains whose masks are worth their cost, those that leave the fewest rows first. It supposes that
// all values are equally frequent, and that domains have nothing to do with each other.
func (b *leafBuilder) choose() []int32 {
	uses := map[int32][]use{}
	for i := range b.left {
		for _, r := range b.left[i].ranges {
			share := float64(r.set.size()) / float64(b.doms[r.dom].classes)
			uses[r.dom] = append(uses[r.dom], use{int32(i), share})
		}
		for _, n := range b.left[i].needs {
			share := min(1, keysOfEvent*float64(len(n.keys))/float64(b.doms[n.dom].asked))
			uses[n.dom] = append(uses[n.dom], use{int32(i), share})
		}
	}
	alive := make([]float64, len(b.left)) // the share of events that leave the row, by row
	for i := range alive {
		alive[i] = 1
	}
	excluded := func(dom int32) (n float64) {
		for _, u := range uses[dom] {
			n += alive[u.row] * (1 - u.share)
		}
		return n
	}
	first := map[int32]float64{}
	var order, out []int32
	for d := range uses {
		if b.doms[d].cuts != nil || !b.doms[d].sparse() {
			first[d] = excluded(d)
			order = append(order, d)
		}
	}
	slices.SortFunc(order, func(x, y int32) int { return cmp.Or(cmp.Compare(first[y], first[x]), cmp.Compare(x, y)) })
	for _, d := range order {
		if excluded(d) < b.doms[d].effort()+float64(b.words/block)/8 {
			continue
		}
		out = append(out, d)
		for _, u := range uses[d] {
			alive[u.row] *= u.share
		}
	}
	return out
}

// effort is the cost of looking at the event's value, in rows that might be asked one by one instead.
func (d *domain) effort() float64 {
	switch d.Kind {
	case lang.FoldedSource:
		return 40
	case lang.ThemeSource:
		return 8
	}
	return 1 + float64(min(d.Cost, 64))/4
}

func (b *leafBuilder) newMask() []uint64 { return make([]uint64, b.words) }

func set1(m []uint64, i int) { m[i>>6] |= 1 << (i & 63) }

// intern keeps a mask, once for all that are equal.
func (b *leafBuilder) intern(m []uint64) int32 {
	h := uint64(seed)
	for _, w := range m {
		h = mix(h ^ w)
	}
	for _, id := range b.seen[h] {
		if slices.Equal(b.masks[id], m) {
			return id
		}
	}
	id := int32(len(b.masks))
	b.seen[h] = append(b.seen[h], id)
	sum := make([]uint64, (b.words/block+63)/64)
	for i, w := range m {
		if w != 0 {
			set1(sum, i/block)
		}
	}
	b.masks, b.sums = append(b.masks, m), append(b.sums, sum)
	return id
}

// addGroup makes the masks of a domain, and takes what they decide from the rows.
func (b *leafBuilder) addGroup(dom int32) {
	g := group{dom: dom}
	values := b.doms[dom].classes - 1
	for values>>g.shift > maxClasses {
		g.shift++
	}
	masks := make([][]uint64, (values-1)>>g.shift+1)
	for i := range masks {
		masks[i] = b.newMask()
	}
	free, none, wide := b.newMask(), b.newMask(), b.newMask()
	for i := range b.left {
		r := &b.left[i]
		at := slices.IndexFunc(r.ranges, func(r inRange) bool { return r.dom == dom })
		if at < 0 {
			set1(free, i)
			continue
		}
		in := r.ranges[at]
		if in.set.has(missing) {
			set1(none, i)
		}
		if in.gap {
			set1(wide, i)
		}
		if g.fill(masks, i, in.set, values) {
			r.ranges = slices.Delete(slices.Clone(r.ranges), at, at+1)
		}
	}
	for _, group := range [...][][]uint64{masks, {none, wide}} {
		for _, m := range group {
			for i, w := range free {
				m[i] |= w
			}
		}
	}
	for _, m := range masks {
		g.masks = append(g.masks, b.intern(m))
	}
	g.none, g.wide = b.intern(none), b.intern(wide)
	b.groups = append(b.groups, g)
}

// fill sets the row's bit in the masks of the runs that hold a class of the set, and reports whether they hold no other.
func (g *group) fill(masks [][]uint64, row int, s set, values int32) bool {
	exact := true
	last := int32(-1)
	for _, p := range s {
		if p.hi == missing {
			continue
		}
		lo, hi := max(p.lo, 1)-1, p.hi-1
		run := int32(1)<<g.shift - 1
		exact = exact && lo&run == 0 && (hi&run == run || hi == values-1)
		for c := max(lo>>g.shift, last+1); c <= hi>>g.shift; c++ {
			set1(masks[c], row)
			last = c
		}
	}
	return exact
}

// addKeys makes the masks of a domain with keys, and takes what they decide from the rows.
func (b *leafBuilder) addKeys(dom int32) {
	g := keyGroup{dom: dom, masks: make([]int32, b.doms[dom].keys)}
	free := b.newMask()
	masks := map[int32][]uint64{}
	for i := range b.left {
		r := &b.left[i]
		at := slices.IndexFunc(r.needs, func(n anyOf) bool { return n.dom == dom })
		if at < 0 {
			set1(free, i)
			continue
		}
		for _, k := range r.needs[at].keys {
			if masks[k] == nil {
				masks[k] = b.newMask()
			}
			set1(masks[k], i)
		}
		r.needs = slices.Delete(slices.Clone(r.needs), at, at+1)
	}
	for k := range g.masks {
		g.masks[k] = -1
		if m := masks[int32(k)]; m != nil {
			g.masks[k] = b.intern(m)
		}
	}
	g.free = b.intern(free)
	b.keyed = append(b.keyed, g)
}

// addGaps makes the masks that tell which rows something missing concerns, and by which domain they are reached.
func (b *leafBuilder) addGaps() {
	byGap, byDom := map[int32][]uint64{}, map[int32][]uint64{}
	note := func(in map[int32][]uint64, id int32, row int) {
		if in[id] == nil {
			in[id] = b.newMask()
		}
		set1(in[id], row)
	}
	for i, p := range b.from {
		for g := p.gaps; g != 0; g &= g - 1 {
			note(byGap, int32(bits.TrailingZeros64(g)), i)
		}
		if p.skip >= 0 {
			note(byDom, p.skip, i)
		}
	}
	b.gaps, b.access = b.list(byGap), b.list(byDom)
}

func (b *leafBuilder) list(masks map[int32][]uint64) []gapMask {
	var out []gapMask
	for id, m := range masks {
		out = append(out, gapMask{id, b.intern(m)})
	}
	slices.SortFunc(out, func(x, y gapMask) int { return cmp.Compare(x.id, y.id) })
	return out
}

// without returns the row without what it asks of a domain first.
func (r *row) without(dom int32) row {
	out := *r
	if dom < 0 {
		return out
	}
	if at := slices.IndexFunc(r.ranges, func(r inRange) bool { return r.dom == dom }); at >= 0 {
		out.ranges = slices.Delete(slices.Clone(r.ranges), at, at+1)
	} else if at := slices.IndexFunc(r.needs, func(n anyOf) bool { return n.dom == dom }); at >= 0 {
		out.needs = slices.Delete(slices.Clone(r.needs), at, at+1)
	}
	return out
}

// sweep is the masks that select rows of a leaf for one event: a row must be in each of and, and in one of each group of
// or, which end at ends.
type sweep struct {
	and, andSum [][]uint64
	or, orSum   [][]uint64
	ends        []int
}

func (w *sweep) reset() {
	w.and, w.andSum, w.or, w.orSum, w.ends = w.and[:0], w.andSum[:0], w.or[:0], w.orSum[:0], w.ends[:0]
}

func (w *sweep) all(l *leaf, mask int32) {
	w.and, w.andSum = append(w.and, l.masks[mask]), append(w.andSum, l.sums[mask])
}

func (w *sweep) any(l *leaf, mask int32) {
	w.or, w.orSum = append(w.or, l.masks[mask]), append(w.orSum, l.sums[mask])
}

func (w *sweep) end() { w.ends = append(w.ends, len(w.or)) }

// rows appends the rows that the masks select among those of the summaries' word at n.
func (w *sweep) rows(n int, blocks int, out []int32) []int32 {
	x := ^uint64(0)
	if left := blocks - n*64; left < 64 {
		x = 1<<left - 1
	}
	for _, m := range w.andSum {
		x &= m[n]
	}
	from := 0
	for _, end := range w.ends {
		y := uint64(0)
		for _, m := range w.orSum[from:end] {
			y |= m[n]
		}
		x &= y
		from = end
	}
	for ; x != 0; x &= x - 1 {
		at := (n*64 + bits.TrailingZeros64(x)) * block
		acc, some := w.block(at)
		if !some {
			continue
		}
		for i, bitsLeft := range acc {
			for ; bitsLeft != 0; bitsLeft &= bitsLeft - 1 {
				out = append(out, int32((at+i)*64+bits.TrailingZeros64(bitsLeft)))
			}
		}
	}
	return out
}

// block returns the words of the selected rows of one block, and whether there are any.
func (w *sweep) block(at int) ([block]uint64, bool) {
	var a0, a1, a2, a3, a4, a5, a6, a7 uint64
	a0--
	a1, a2, a3, a4, a5, a6, a7 = a0, a0, a0, a0, a0, a0, a0
	from := 0
	for _, end := range w.ends {
		var o0, o1, o2, o3, o4, o5, o6, o7 uint64
		for _, m := range w.or[from:end] {
			p := (*[block]uint64)(m[at:])
			o0, o1, o2, o3 = o0|p[0], o1|p[1], o2|p[2], o3|p[3]
			o4, o5, o6, o7 = o4|p[4], o5|p[5], o6|p[6], o7|p[7]
		}
		a0, a1, a2, a3 = a0&o0, a1&o1, a2&o2, a3&o3
		a4, a5, a6, a7 = a4&o4, a5&o5, a6&o6, a7&o7
		from = end
	}
	for _, m := range w.and {
		p := (*[block]uint64)(m[at:])
		a0, a1, a2, a3 = a0&p[0], a1&p[1], a2&p[2], a3&p[3]
		a4, a5, a6, a7 = a4&p[4], a5&p[5], a6&p[6], a7&p[7]
		if a0|a1|a2|a3|a4|a5|a6|a7 == 0 {
			return [block]uint64{}, false
		}
	}
	return [block]uint64{a0, a1, a2, a3, a4, a5, a6, a7}, true
}
