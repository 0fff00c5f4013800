package meter

import "github.com/closedloop/closedloop/engine/internal/host/wasmfile"

// flow is how control goes through the segments of a function's first dispatch. Segment i is the code from the end of
// the block that table entry i leads to up to the end of the next one, or of the loop. The first pass over a function
// notes it; if it is sound, the second gives the segments structure.
type flow struct {
	found    bool // there is a dispatch
	sound    bool // and control goes only where edges says
	written  bool // a parameter is written before the dispatch
	at       int  // offset of the loop
	loop     int  // index of the loop in function.blocks
	end      int  // offset after the end of the loop, once it is known
	local    uint32
	table    []uint32 // of the dispatch
	entry    int      // segment of table entry 0
	blocks   int      // how many segments there are
	segments []segment
	edges    []int32 // targets of all jumps, in the order of the segments they stand in
	back     bool    // there is a jump that does not lead ahead
}

// segment is a stretch of code whose stack is empty at both ends.
type segment struct {
	from, to int   // offsets of its code
	edges    int   // index of its first in flow.edges
	falls    bool  // its end can be reached, from where control goes on to the next
	base     int32 // how many blocks are open around it
}

// current returns the segment that is being read in the first pass, or nil.
func (f *function) current() *segment {
	if f.flow.end != 0 || len(f.flow.segments) == 0 {
		return nil
	}
	return &f.flow.segments[len(f.flow.segments)-1]
}

// follow notes the dispatch that lookForDispatch found, with r behind the table.
func (f *function) follow(r *wasmfile.Reader) {
	w := &f.flow
	params := uint32(len(f.signature().params))
	d := &f.dispatch
	if r.Byte() != opEnd || len(f.regions) != 2 { // the last would be a loop around the loop
		return
	}
	*w = flow{
		found: true, at: f.at, loop: d.outermost - 1, local: d.local, table: d.table, entry: int(d.table[0]), blocks: d.blocks,
		segments: w.segments[:0], edges: w.edges[:0],
		sound: !w.written && d.local < params && int64(d.table[0]) < int64(d.blocks),
	}
}

// boundary notes that a block of the dispatch, or its loop, is closed.
func (f *function) boundary(closed int) {
	w := &f.flow
	if !w.found || w.end != 0 || closed != w.loop+w.blocks-len(w.segments) {
		return
	}
	if s := f.current(); s != nil {
		s.to = f.at
	}
	if closed == w.loop {
		w.end = f.Offset()
		return
	}
	w.segments = append(w.segments, segment{from: f.Offset(), edges: len(w.edges), falls: true, base: int32(closed)})
}

// leaves notes that the code after op cannot be reached.
func (f *function) leaves(op byte) {
	switch op {
	case opUnreachable, opBr, opBrTable, opReturn, opReturnCall, opReturnCallIndirect:
		if s := f.current(); s != nil && len(f.blocks) == int(s.base) {
			s.falls = false
		}
	}
}

// jump notes where a label leads.
func (f *function) jump(label uint32, a aim) {
	w, s := &f.flow, f.current()
	if s == nil {
		return
	}
	from := len(w.segments) - 1
	switch target := f.target(from, int(s.base), label, a); {
	case target == toLoop:
		w.sound = false
	case target >= 0:
		w.edges = append(w.edges, int32(target))
		w.back = w.back || target <= int64(from)
	}
}

// target returns where a label leads that stands in a segment with base blocks open around it.
func (f *function) target(segment, base int, label uint32, a aim) int64 {
	w := &f.flow
	target := w.resolve(segment, int64(label)-int64(len(f.blocks)-base))
	if target == toLoop && a.set && a.local == w.local {
		if lead := int64(lead(w.table, a.number)); lead < int64(w.blocks) {
			return lead
		}
	}
	return target
}

// Where a label of a segment can lead besides the beginning of a segment. What is below toOuter is further out.
const (
	toInner = -1 // a block within the segment
	toLoop  = -2 // the loop of the dispatch
	toOuter = -3 // the innermost block around the loop
)

// resolve returns where a label leads that passes the given number of labels around the segment.
func (w *flow) resolve(segment int, passes int64) int64 {
	ahead := int64(w.blocks - 1 - segment)
	switch {
	case passes < 0:
		return toInner
	case passes < ahead:
		return int64(segment) + 1 + passes
	default:
		return toLoop - (passes - ahead)
	}
}
