package codebook

// evaluate pushes the places where a node holds on the stack b.work, by their beginnings, and reports whether there
// are any.
func (b *book) evaluate(n *node) bool {
	from := len(b.work)
	switch n.op {
	case opTerm:
		if list := b.seen[n.term]; list.number == b.round {
			for i := list.first; i != 0; i = b.hits[i].next {
				b.work = append(b.work, b.hits[i].span)
			}
		}
	case opOr:
		for i := range n.kids {
			mid := len(b.work)
			b.evaluate(&n.kids[i])
			b.order(from, mid)
		}
	case opAnd:
		for i := range n.kids {
			mid := len(b.work)
			if !b.evaluate(&n.kids[i]) {
				b.work = b.work[:from]
				break
			}
			b.order(from, mid)
		}
	case opNot:
		if !b.evaluate(&n.kids[0]) {
			break
		}
		mid := len(b.work)
		without := !b.evaluate(&n.kids[1])
		b.work = b.work[:mid]
		if !without {
			b.work = b.work[:from]
		}
	case opNear:
		b.near(n, from)
	}
	return len(b.work) > from
}

// order brings two stretches of the stack, each in order and the second up to the top, into one.
func (b *book) order(from, mid int) {
	if mid == from || mid == len(b.work) || !before(b.work[mid], b.work[mid-1]) {
		return
	}
	end := len(b.work)
	b.work = append(b.work, b.work[from:mid]...) // the first, out of the way
	first, second, to := b.work[end:], b.work[mid:end], b.work[from:end]
	for len(first) > 0 {
		if len(second) > 0 && before(second[0], first[0]) {
			to[0], second = second[0], second[1:]
		} else {
			to[0], first = first[0], first[1:]
		}
		to = to[1:]
	}
	b.work = b.work[:end]
}

func before(x, y span) bool { return x.start < y.start || x.start == y.start && x.end < y.end }

// near finds for each place of the first kid the nearest of the second on either side, without overlap and with at
// most n.n words between, and pushes the stretches that cover both.
func (b *book) near(n *node, from int) {
	if !b.evaluate(&n.kids[0]) {
		return
	}
	mid := len(b.work)
	if !b.evaluate(&n.kids[1]) {
		b.work = b.work[:from]
		return
	}
	end := len(b.work)
	next := mid // the first place of the second kid that does not begin before the place at hand
	for i := from; i < mid; i++ {
		here := b.work[i]
		for next < end && b.work[next].start < here.start {
			next++
		}
		for j := next - 1; j >= mid; j-- {
			if there := b.work[j]; there.end <= here.start {
				if b.within(there, here, n.n) {
					b.work = append(b.work, span{there.start, here.end})
				}
				break
			}
		}
		for j := next; j < end; j++ {
			if there := b.work[j]; there.start >= here.end {
				if b.within(here, there, n.n) {
					b.work = append(b.work, span{here.start, there.end})
				}
				break
			}
		}
	}
	found := copy(b.work[from:], b.work[end:])
	b.work = b.work[:from+found]
	for i := from + 1; i < len(b.work); i++ { // they are in order but for neighbours
		for j := i; j > from && before(b.work[j], b.work[j-1]); j-- {
			b.work[j], b.work[j-1] = b.work[j-1], b.work[j]
		}
	}
}

// within reports whether at most n words stand between two places, the first of which ends before the second begins.
func (b *book) within(first, second span, n int) bool {
	p := b.partOf(first)
	return p == b.partOf(second) && p.near(int(first.end-p.base), int(second.start-p.base), n)
}
