package meter

// dispatch is a loop that begins with a table of jumps:
//
//	loop block ... block local.get X br_table ... end ... end ... end
//
// A compiler that has jumps and no structure to translate makes functions of this shape, Go's among them. A jump sets X
// to the number of its target and goes back to the loop, whose table leads to the end of one of the blocks.
type dispatch struct {
	outermost int // index of the outermost of its blocks in function.blocks
	blocks    int // how many there are
	open      int // how many of these are open, from the outermost inwards
	local     uint32
	table     []uint32 // labels, as they are within the innermost block; the last is the default
}

// aim is what the instructions before say about a jump, or about what is on top of the stack.
type aim struct {
	constant bool   // the last was i32.const number
	set      bool   // the last two were i32.const number and local.set local
	called   bool   // the last was a call of the function number, besides those that copy a global to a local
	copying  bool   // such a copy has begun
	ended    bool   // the last cannot be passed
	number   uint32 // a constant, or a function of the original
	local    uint32
}

// lookForDispatch looks ahead from the beginning of the innermost loop, which has just been opened.
func (f *function) lookForDispatch() {
	r, blocks := *f.Reader, 0
	for ; r.Peek() == opBlock; blocks++ {
		r.Byte()
		if r.Byte() != blockEmpty {
			return
		}
	}
	if blocks == 0 || r.Byte() != opLocalGet {
		return
	}
	local := r.U32()
	if r.Byte() != opBrTable {
		return
	}
	table := f.flow.table[:0]
	for range r.Count(1) + 1 {
		table = append(table, r.U32())
	}
	if r.Err() == nil {
		f.dispatch = dispatch{outermost: len(f.blocks), blocks: blocks, open: blocks, local: local, table: table}
		f.follow(&r)
	}
}

// lead returns the label to which the table leads a number.
func lead(table []uint32, number uint32) uint32 {
	return table[min(int64(number), int64(len(table)-1))]
}

// straight returns where the table would lead a jump with this label, when that is the end of a block that is open, or
// else the label. In Go's code that spares six in seven jumps the way through the loop, the table, and the charge for
// the loop's body, which has been paid: what lies ahead in the body runs only once for each iteration.
func (f *function) straight(label uint32, a aim) uint32 {
	d := &f.dispatch
	if d.open == 0 || !a.set || a.local != d.local || int64(label) != int64(len(f.blocks)-d.outermost) {
		return label
	}
	target := int64(d.blocks) - 1 - int64(lead(d.table, a.number)) // counted from the outermost
	if target < 0 || target >= int64(d.open) {
		return label
	}
	return uint32(len(f.blocks) - 1 - d.outermost - int(target))
}
