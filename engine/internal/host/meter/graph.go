package meter

import "slices"

// graph has the segments that can be reached from the entry as nodes, numbered in reverse postorder: an edge to a node
// with a higher number leads forward, every other leads back to the header of a loop.
type graph struct {
	segment []int32 // of each node
	node    []int32 // of each segment, or none
	preds   []int32 // nodes before node i: preds[first[i]:first[i+1]]
	first   []int32

	parent, depth, skip []int32 // the dominator tree; skip leads to an ancestor far above
	header              []bool
	around              []int32 // header of the innermost loop around a node; that of a header is the next outer one
	place               []place
}

// place is where the code of a node stands.
type place struct {
	next            int32 // the next in the list of followers that the node is in
	inside, outside int32 // what follows the node's code, within and behind its loop: lists, highest numbers first
	inline          int32 // the node that its code falls into, and that nothing else leads to
}

const (
	none32       = -1
	maxLoopDepth = 100 // of loops within loops
	// maxLoops is how many loops a function may have to get them back: compiling it takes a time that grows with their
	// square, where the one loop around a table takes a linear one.
	maxLoops = 500
)

// newGraph returns the graph of a flow, or nil if some loop can be entered other than by its header.
func newGraph(w *flow) *graph {
	g := &graph{}
	g.number(w)
	g.invert(w)
	if !g.dominate() || !g.nest() {
		return nil
	}
	g.arrange(w)
	return g
}

func filled(n int) []int32 { return slices.Repeat([]int32{none32}, n) }

// successors returns the segments that follow a segment by jumps.
func (w *flow) successors(s int32) []int32 {
	to := len(w.edges)
	if int(s)+1 < len(w.segments) {
		to = w.segments[s+1].edges
	}
	return w.edges[w.segments[s].edges:to]
}

// next returns the segment that control falls into at the end of a segment, or none.
func (w *flow) next(s int32) int32 {
	if w.segments[s].falls && int(s)+1 < len(w.segments) {
		return s + 1
	}
	return none32
}

// number walks the segments depth first. What a segment falls into is walked last, and so comes right after it.
func (g *graph) number(w *flow) {
	type visit struct {
		segment int32
		edge    int
	}
	g.node = filled(len(w.segments))
	const open = -2
	g.node[w.entry] = open
	stack := []visit{{segment: int32(w.entry)}}
	for len(stack) > 0 {
		v := &stack[len(stack)-1]
		jumps := w.successors(v.segment)
		var to int32
		switch {
		case v.edge < len(jumps):
			to = jumps[v.edge]
		case v.edge == len(jumps):
			to = w.next(v.segment)
		default:
			g.segment = append(g.segment, v.segment)
			stack = stack[:len(stack)-1]
			continue
		}
		v.edge++
		if to != none32 && g.node[to] == none32 {
			g.node[to] = open
			stack = append(stack, visit{segment: to})
		}
	}
	slices.Reverse(g.segment)
	for n, s := range g.segment {
		g.node[s] = int32(n)
	}
}

// each calls do for every edge.
func (g *graph) each(w *flow, do func(from, to int32)) {
	for n, s := range g.segment {
		for _, t := range w.successors(s) {
			do(int32(n), g.node[t])
		}
		if t := w.next(s); t != none32 {
			do(int32(n), g.node[t])
		}
	}
}

// invert lists the edges by target.
func (g *graph) invert(w *flow) {
	g.first = make([]int32, len(g.segment)+2)
	g.each(w, func(_, to int32) { g.first[to+2]++ })
	for i := 2; i < len(g.first); i++ {
		g.first[i] += g.first[i-1]
	}
	g.preds = make([]int32, g.first[len(g.first)-1])
	g.each(w, func(from, to int32) {
		g.preds[g.first[to+1]] = from
		g.first[to+1]++
	})
}

func (g *graph) before(n int32) []int32 { return g.preds[g.first[n]:g.first[n+1]] }

// dominate makes the dominator tree from the edges that lead forward. It reports whether all others lead to a node that
// dominates where they come from; these change nothing about the tree.
func (g *graph) dominate() bool {
	n := len(g.segment)
	g.parent, g.depth, g.skip, g.header = make([]int32, n), make([]int32, n), make([]int32, n), make([]bool, n)
	for i := int32(0); i < int32(n); i++ {
		p := int32(none32)
		for _, b := range g.before(i) {
			switch {
			case b >= i:
				g.header[i] = true
			case p == none32:
				p = b
			default:
				p = g.common(p, b)
			}
		}
		if p == none32 {
			continue // the entry
		}
		g.parent[i], g.depth[i], g.skip[i] = p, g.depth[p]+1, p
		if s := g.skip[p]; g.depth[p]-g.depth[s] == g.depth[s]-g.depth[g.skip[s]] {
			g.skip[i] = g.skip[s]
		}
	}
	for i := int32(0); i < int32(n); i++ {
		for _, b := range g.before(i) {
			if b >= i && g.ancestor(b, g.depth[i]) != i {
				return false
			}
		}
	}
	return true
}

// ancestor returns the ancestor of a node that has the given depth, in logarithmic time.
func (g *graph) ancestor(n, depth int32) int32 {
	for g.depth[n] > depth {
		if s := g.skip[n]; g.depth[s] >= depth {
			n = s
		} else {
			n = g.parent[n]
		}
	}
	return n
}

// common returns the lowest common ancestor of two nodes.
func (g *graph) common(a, b int32) int32 {
	if g.depth[a] < g.depth[b] {
		a, b = b, a
	}
	for a = g.ancestor(a, g.depth[b]); a != b; {
		if g.skip[a] != g.skip[b] {
			a, b = g.skip[a], g.skip[b]
		} else {
			a, b = g.parent[a], g.parent[b]
		}
	}
	return a
}

// nest finds the loop of each node: from the innermost outwards, it walks from the jumps to a header against the edges,
// and takes a loop that is done for one node. It reports whether there are at most maxLoops, nested at most maxLoopDepth
// deep.
func (g *graph) nest() bool {
	n := int32(len(g.segment))
	g.around = filled(int(n))
	merged := make([]int32, n)
	for i := range merged {
		merged[i] = int32(i)
	}
	find := func(i int32) int32 {
		for merged[i] != i {
			merged[i] = merged[merged[i]]
			i = merged[i]
		}
		return i
	}
	var work []int32
	loops := 0
	for h := n - 1; h >= 0; h-- {
		if !g.header[h] {
			continue
		}
		if loops++; loops > maxLoops {
			return false
		}
		for _, b := range g.before(h) {
			if b >= h {
				work = append(work, b)
			}
		}
		for len(work) > 0 {
			i := find(work[len(work)-1])
			work = work[:len(work)-1]
			if i != h {
				g.around[i], merged[i] = h, h
				work = append(work, g.before(i)...)
			}
		}
	}
	depth := make([]uint8, n)
	for i := range n {
		if h := g.around[i]; h != none32 {
			if depth[i] = depth[h] + 1; depth[i] > maxLoopDepth {
				return false
			}
		}
	}
	return true
}

// arrange places the code of every node after that of the node that dominates it, but not in loops that it is not in.
func (g *graph) arrange(w *flow) {
	g.place = slices.Repeat([]place{{none32, none32, none32, none32}}, len(g.segment))
	for i := int32(1); i < int32(len(g.segment)); i++ {
		after, outside := g.parent[i], false
		loop := g.around[after]
		if g.header[after] {
			loop = after
		}
		for ; loop != g.around[i]; loop = g.around[loop] {
			after, outside = loop, true
		}
		list := &g.place[after].inside
		if outside {
			list = &g.place[after].outside
		} else if g.falls(w, i) {
			g.place[after].inline = i
			continue
		}
		g.place[i].next, *list = *list, i
	}
}

// falls reports whether the only way to a node, besides jumps back, is to fall into it.
func (g *graph) falls(w *flow, i int32) bool {
	ways := 0
	for _, b := range g.before(i) {
		if b < i {
			ways++
		}
	}
	return ways == 1 && w.next(g.segment[g.parent[i]]) == g.segment[i]
}
