package meter

import "github.com/closedloop/closedloop/engine/internal/host/wasmfile"

// layout is where the second pass over a function is.
type layout struct {
	segment *segment // the segment that is being written, or nil
	number  int      // its number
	base    int      // how many blocks are open around it
	graph   *graph
	labels  []int32 // of each node, the index in function.blocks of the block or loop that leads there
}

// worth reports whether the second pass is to be tried.
func (w *flow) worth() bool { return w.sound && w.end != 0 && w.back }

// structured appends the code of function i, written anew for a call at its beginning: without the table, with jumps
// ahead that leave a block, and jumps back to a loop that has nothing in it but its own segments. A call that enters
// elsewhere is passed on to the copy that is added next. It reports false when the flow has no such structure.
//
// What is copied was read without an error before.
func (f *function) structured(i int, code wasmfile.Reader, out []byte) ([]byte, bool) {
	f.read(i, code)
	if !f.flow.worth() {
		return out, false
	}
	g := newGraph(&f.flow)
	if g == nil {
		return out, false
	}
	calls := f.calls
	f.begin(i, &code)
	f.calls = calls // the copy does
	f.layout = layout{graph: g, labels: filled(len(g.segment))}
	all, end := code, code.Offset()+code.Len()
	declared := f.declarations()
	f.part(all, f.Offset(), f.flow.at)
	f.openBlock()
	if !f.tree(all) {
		return out, false
	}
	f.close()
	f.part(all, f.flow.end, end)
	head := f.finish(declared, f.passOn())
	return appendCode(out, head, f.out), true
}

// part copies the code between two offsets.
func (f *function) part(code wasmfile.Reader, from, to int) {
	r := code
	r.Bytes(uint32(from - r.Offset()))
	for f.Reader = r.Sub(uint32(to - from)); f.More(); {
		f.instruction()
	}
}

// passOn returns code that passes a call that enters elsewhere on to the copy.
func (f *function) passOn() []byte {
	out := wasmfile.AppendU32([]byte{opLocalGet}, f.flow.local)
	out = append(out, opIf, blockEmpty)
	for i := range f.signature().params {
		out = wasmfile.AppendU32(append(out, opLocalGet), uint32(i))
	}
	out = wasmfile.AppendU32(append(out, opCall), f.copied(len(f.copies)))
	if f.calls {
		return append(out, opBr, 1, opEnd) // to where the frame is given back
	}
	return append(out, opReturn, opEnd)
}

func (f *function) openBlock() {
	f.out = append(f.out, opBlock, blockEmpty)
	f.opened(opBlock)
}

func (f *function) openLoop() {
	f.out = append(f.out, opLoop, blockEmpty)
	f.opened(opLoop)
}

// tree writes all nodes. It keeps what is still to do in a list of its own, as trees can be high: the nodes that are
// still to be written, or none to close a block. It reports whether the limit of nested blocks was kept.
func (f *function) tree(code wasmfile.Reader) bool {
	g := f.layout.graph
	var todo []int32
	follow := func(list int32) {
		for ; list != none32; list = g.place[list].next {
			todo = append(todo, list, none32)
		}
	}
	for todo = append(todo, 0); len(todo) > 0; {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if n == none32 {
			f.close()
			continue
		}
		p := &g.place[n]
		f.openBlocks(p.outside)
		follow(p.outside)
		if g.header[n] {
			f.layout.labels[n] = int32(len(f.blocks))
			f.openLoop()
			todo = append(todo, none32)
		}
		f.openBlocks(p.inside)
		follow(p.inside)
		f.node(code, n)
		if p.inline != none32 {
			todo = append(todo, p.inline)
		}
		if len(f.blocks) > f.limits.Nesting {
			return false
		}
	}
	return true
}

// openBlocks opens a block for each follower, in front of which it ends.
func (f *function) openBlocks(list int32) {
	for ; list != none32; list = f.layout.graph.place[list].next {
		f.layout.labels[list] = int32(len(f.blocks))
		f.openBlock()
	}
}

// node writes the code of a node, and the way to where it falls.
func (f *function) node(code wasmfile.Reader, n int32) {
	w, l := &f.flow, &f.layout
	s := l.graph.segment[n]
	l.segment, l.number, l.base = &w.segments[s], int(s), len(f.blocks)
	f.part(code, l.segment.from, l.segment.to)
	if l.segment.falls && l.graph.place[n].inline == none32 {
		label := int64(len(f.blocks) - 1 - w.loop)
		if next := w.next(s); next != none32 {
			label = f.distance(next)
		}
		f.out = wasmfile.AppendU32(append(f.out, opBr), uint32(label))
	}
	l.segment = nil
}

// distance returns the label of a segment.
func (f *function) distance(segment int32) int64 {
	return int64(len(f.blocks)) - 1 - int64(f.layout.labels[f.layout.graph.node[segment]])
}

// relabel returns what a label of the segment is now.
func (f *function) relabel(label uint32, a aim) uint32 {
	w, l := &f.flow, &f.layout
	target := f.target(l.number, l.base, label, a)
	switch {
	case target == toInner:
		return label
	case target >= 0:
		return uint32(f.distance(int32(target)))
	}
	return uint32(int64(len(f.blocks)-w.loop) + toOuter - target)
}
