package index

import (
	"slices"

	"github.com/closedloop/closedloop/rules/internal/lang"
)

// part is something that a row asks besides what the way to it has decided.
type part struct {
	mask   uint64
	ref    int32 // a domain, an atom or a condition
	kind   partKind
	accept accept
}

// partKind says what a part asks. They are asked in this order.
type partKind uint8

const (
	partMask  partKind = iota // the class of domain ref, a bit of mask
	partSpan                  // the class of domain ref, in the halves of mask
	partSet                   // the class of domain ref, in sets[mask]
	partKey                   // key mask of domain ref
	partKeys                  // one of lists[mask] of domain ref
	partAtom                  // the truth of atom ref
	partWhole                 // that condition ref is true
)

// asked are the sets and lists of parts.
type asked struct {
	sets  []set
	lists [][]int32
}

// partsBuilder makes the parts of rows.
type partsBuilder struct {
	doms  []domain
	asked *asked
	out   []part
	// searched are the domains of texts that are searched for all literals at once anyway.
	searched map[int32]bool
}

// add appends the parts of a row of the condition.
func (b *partsBuilder) add(rule int32, r *row) {
	from := len(b.out)
	for _, in := range r.ranges {
		b.out = append(b.out, b.ofSet(in.dom, in.set))
	}
	for _, n := range r.needs {
		if p, ok := b.ofNeed(&n); ok {
			b.out = append(b.out, p)
		}
	}
	for _, c := range r.checks {
		b.out = append(b.out, part{kind: partAtom, ref: c.atom, accept: c.accept})
	}
	if r.loose {
		b.out = append(b.out, part{kind: partWhole, ref: rule})
	}
	slices.SortStableFunc(b.out[from:], func(x, y part) int { return int(x.kind) - int(y.kind) })
}

// ofNeed returns the part for a need, and false if the row asks for more of it anyway. A text is not searched for all
// literals at once for the sake of one.
func (b *partsBuilder) ofNeed(n *anyOf) (part, bool) {
	searched := b.doms[n.dom].Kind != lang.FoldedSource || b.searched[n.dom]
	switch {
	case !searched && n.also:
		return part{}, false
	case !searched && n.atom >= 0:
		return part{kind: partAtom, ref: n.atom, accept: isTrue}, true
	case len(n.keys) == 1:
		return part{kind: partKey, ref: n.dom, mask: uint64(n.keys[0])}, true
	}
	b.asked.lists = append(b.asked.lists, n.keys)
	return part{kind: partKeys, ref: n.dom, mask: uint64(len(b.asked.lists) - 1)}, true
}

func (b *partsBuilder) ofSet(dom int32, s set) part {
	p := part{ref: dom}
	switch {
	case b.doms[dom].classes <= 64:
		for _, in := range s {
			for c := in.lo; c <= in.hi; c++ {
				p.mask |= 1 << c
			}
		}
	case len(s) == 1:
		p.kind, p.mask = partSpan, uint64(uint32(s[0].lo))|uint64(uint32(s[0].hi))<<32
	default:
		p.kind, p.mask = partSet, uint64(len(b.asked.sets))
		b.asked.sets = append(b.asked.sets, s)
	}
	return p
}

// holds reports whether all parts hold for the event. What is known of the event already is asked first.
func (x *Index) holds(s *Scratch, f *lang.Frame, parts []part) bool {
	news := false
	for i := range parts {
		p := &parts[i]
		if p.kind >= partAtom || !s.done[p.ref] {
			news = true
		} else if !x.passes(s, p) {
			return false
		}
	}
	if !news {
		return true
	}
	for i := range parts {
		p := &parts[i]
		switch p.kind {
		case partAtom:
			if !p.accept.has(f.Truth(p.ref)) {
				return false
			}
		case partWhole:
			if f.Eval(x.conds[p.ref]) != lang.True {
				return false
			}
		default: // again where it was known, so that no part of a value is left out that another has made known
			s.ensure(x, f, p.ref)
			if !x.passes(s, p) {
				return false
			}
		}
	}
	return true
}

// passes reports whether a part that asks for a class or for keys holds.
func (x *Index) passes(s *Scratch, p *part) bool {
	switch p.kind {
	case partMask:
		return p.mask>>uint(s.class[p.ref])&1 != 0
	case partSpan:
		c := uint32(s.class[p.ref])
		return c >= uint32(p.mask) && c <= uint32(p.mask>>32)
	case partSet:
		return x.asked.sets[p.mask].has(s.class[p.ref])
	case partKey:
		return s.keys[p.ref].has(int32(p.mask))
	}
	return slices.ContainsFunc(x.asked.lists[p.mask], s.keys[p.ref].has)
}
