package meter

import (
	"math"

	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
)

// The weights of what costs the host more than an instruction.
const (
	weightHostCall = 64
	weightGrow     = 256
	weightFree     = 64 // of a function that calls nothing and is not charged for
)

// loopAims is how many blocks and labels what is put into a loop is taken for.
const loopAims = 5

// What a frame of the stack is taken to have, in bytes, besides one for each byte of code.
const (
	frameFixed = 64
	frameLocal = 8
)

// function rewrites one function at a time.
type function struct {
	*rewriter
	*wasmfile.Reader

	index   int // of the function, without the imported ones
	size    int // of its code, in bytes
	at      int // offset of the instruction that is being read
	out     []byte
	locals  uint32 // parameters and locals of the original
	frame   int    // bytes of stack
	scratch bool   // one more local of type i32 is needed
	calls   bool
	aims    int      // blocks and labels so far
	blocks  []bool   // open blocks, true for loops
	regions []region // what is charged at once: the function, and each open loop

	dispatch dispatch
	aim      aim
	flow     flow
	layout   layout
}

// region is a stretch of code that is charged at its beginning.
type region struct {
	at     int // where in out its weight is to be written; unused for the function
	weight int
}

// rewrite reads the code of function i and appends the new code.
func (f *function) rewrite(i int, code wasmfile.Reader, out []byte) []byte {
	head := f.finish(f.read(i, code), nil)
	return appendCode(out, head, f.out)
}

// read is the first pass over a function.
func (f *function) read(i int, code wasmfile.Reader) locals {
	f.flow = flow{segments: f.flow.segments[:0], edges: f.flow.edges[:0], table: f.flow.table[:0]}
	f.begin(i, &code)
	declared := f.declarations()
	for f.More() && f.rewriter.err == nil {
		f.instruction()
		if len(f.blocks) > f.limits.Nesting { // asked first: passing the function's number allocates
			f.limit(len(f.blocks), f.limits.Nesting, "nested blocks in function %d", i)
		}
	}
	f.rewriter.effort += f.aims * (f.aims + 8*int(f.locals))
	f.limit(f.rewriter.effort, f.limits.Effort, "blocks and labels by the blocks, labels and locals of their functions")
	if len(f.regions) != 1 {
		f.Fail("a block of function %d is not closed", i)
	}
	return declared
}

// begin prepares for reading function i, whose flow is kept.
func (f *function) begin(i int, r *wasmfile.Reader) {
	*f = function{
		rewriter: f.rewriter, Reader: r, index: i, size: r.Len(), out: f.out[:0], blocks: f.blocks[:0],
		regions: append(f.regions[:0], region{}), flow: f.flow,
	}
}

// finish ends the code and returns what stands before it: the locals, the charges, and then first.
func (f *function) finish(declared locals, first []byte) (head []byte) {
	if f.scratch {
		declared.groups++
		declared.code = append(declared.code, 1, wasmfile.I32)
	}
	head = append(wasmfile.AppendU32(nil, declared.groups), declared.code...)
	switch weight := f.regions[0].weight; {
	case f.calls:
		head = f.enter(head, weight, f.signature().results)
		f.out = append(f.pile(f.out, f.frame), opEnd)
	case weight > weightFree:
		head = f.ask(f.charge(head, weight), false)
	}
	return append(head, first...)
}

// signature returns the type of the function.
func (f *function) signature() signature { return f.types[f.functions[f.index]] }

// enter appends code that takes a frame and the weight, and opens the block that the function's code is put into: what
// leaves it comes by the code after it, which gives the frame back.
func (f *function) enter(out []byte, weight int, results []byte) []byte {
	out = f.ask(f.charge(f.pile(out, -f.frame), weight), true)
	switch out = append(out, opBlock); len(results) {
	case 0:
		return append(out, blockEmpty)
	case 1:
		return append(out, results[0])
	}
	return wasmfile.AppendS64(out, f.tupleType(results))
}

// pile appends code that adds n to what is left of the stack.
func (f *function) pile(out []byte, n int) []byte {
	out = wasmfile.AppendU32(append(out, opGlobalGet), f.stack())
	out = wasmfile.AppendS64(append(out, opI64Const), int64(n))
	return wasmfile.AppendU32(append(out, opI64Add, opGlobalSet), f.stack())
}

// locals is the groups of locals of a function.
type locals struct {
	groups uint32
	code   []byte
}

// declarations reads the groups of locals.
func (f *function) declarations() locals {
	groups := uint32(f.Count(2))
	at := f.Offset()
	n := len(f.signature().params)
	for k := uint32(0); k < groups && f.Err() == nil; k++ {
		n += int(f.U32())
		f.limit(n, f.limits.Locals, "locals in function %d", f.index)
		f.ValueType()
	}
	f.locals = uint32(n)
	f.frame = frameFixed + frameLocal*n + f.size
	if !f.settled {
		f.rewriter.locals += n
		f.limit(f.rewriter.locals, 100*f.limits.Locals, "locals in all functions")
	}
	code := f.Since(at)
	return locals{groups, code[:len(code):len(code)]}
}

// charge appends code that takes weight from the counter. The weight takes five bytes, so that it can be written again
// later.
func (f *function) charge(out []byte, weight int) []byte {
	out = wasmfile.AppendU32(append(out, opGlobalGet), f.fuel())
	out = append(out, opI64Const, 0, 0, 0, 0, 0)
	putWeight(out[len(out)-5:], weight)
	return wasmfile.AppendU32(append(out, opI64Sub, opGlobalSet), f.fuel())
}

// ask appends code that calls the host when the counter is below zero, or that of the stack if it is to be asked too.
func (f *function) ask(out []byte, stack bool) []byte {
	out = wasmfile.AppendU32(append(out, opGlobalGet), f.fuel())
	if stack {
		out = append(wasmfile.AppendU32(append(out, opGlobalGet), f.stack()), opI64Or)
	}
	out = append(out, opI64Const, 0, opI64GeS, opIf, blockEmpty, opElse, opCall)
	return append(wasmfile.AppendU32(out, f.tick()), opEnd)
}

func putWeight(b []byte, weight int) {
	v := uint32(min(weight, math.MaxInt32))
	for i := range 4 {
		b[i] = byte(v>>(7*i)) | 0x80
	}
	b[4] = byte(v >> 28)
}

// bulk appends code that charges for the length on top of the stack.
func (f *function) bulk(shift int) {
	f.scratch = true
	out := wasmfile.AppendU32(append(f.out, opLocalTee), f.locals)
	out = wasmfile.AppendU32(append(out, opGlobalGet), f.fuel())
	out = wasmfile.AppendU32(append(out, opLocalGet), f.locals)
	out = append(out, opI64ExtendI32U, opI64Const, byte(shift), opI64ShrU, opI64Sub)
	out = wasmfile.AppendU32(append(out, opGlobalSet), f.fuel())
	f.out = f.ask(out, false)
}

func (f *function) weigh(n int) { f.regions[len(f.regions)-1].weight += n }

// instruction copies one instruction.
func (f *function) instruction() {
	f.at = f.Offset()
	op, before := f.Byte(), f.aim
	f.aim = aim{}
	f.leaves(op)
	f.weigh(1)
	switch kind := immediates[op]; kind {
	case unknown:
		f.Unsupported("found opcode %#x, expected one of WebAssembly 2.0 or a tail call", op)
	case block:
		f.open(op)
	case end:
		if len(f.blocks) == 0 {
			f.exit(before)
		}
		f.close()
	case misc:
		f.misc()
	case vector:
		// The compiler reads one byte here. A well-formed opcode above 127 has a second byte, 1, which it and this
		// loop take for a nop.
		sub := f.Byte()
		f.out = append(f.out, op, sub)
		f.out = f.immediate(f.Reader, f.out, vectorImmediate(sub))
	case fn, indirect:
		f.call(op, kind)
	case local:
		f.local(op, before)
	case const32:
		n := f.S32()
		f.out = wasmfile.AppendS64(append(f.out, op), int64(n))
		f.aim = aim{constant: true, number: uint32(n)}
	case label:
		f.branch(op, before)
	case labels:
		n := f.Count(1)
		f.out = wasmfile.AppendU32(append(f.out, op), uint32(n))
		for range n + 1 {
			f.label(aim{})
		}
	case none:
		if op == opReturn { // to the end of the function's code, where a frame may have to be given back
			f.out = wasmfile.AppendU32(append(f.out, opBr), uint32(len(f.blocks)))
			f.exit(before)
			return
		}
		f.out = append(f.out, op)
		f.aim.ended = op == opUnreachable
	case global:
		f.out = f.immediate(f.Reader, append(f.out, op), kind)
		f.aim = aim{copying: before.called && op == opGlobalGet, number: before.number}
	default:
		if op == opMemoryGrow {
			f.weigh(weightGrow - 1)
		}
		f.out = f.immediate(f.Reader, append(f.out, op), kind)
	}
}

// local copies an instruction that reads or writes a local.
func (f *function) local(op byte, before aim) {
	i := f.U32()
	if i >= f.locals {
		f.Fail("found local %d of %d", i, f.locals)
	}
	f.out = wasmfile.AppendU32(append(f.out, op), i)
	f.flow.written = f.flow.written || op != opLocalGet && int(i) < len(f.signature().params)
	if op == opLocalSet {
		f.aim = aim{set: before.constant, called: before.copying, number: before.number, local: i}
	}
}

// call copies a call, or a reference to a function.
func (f *function) call(op byte, kind immediate) {
	f.calls = f.calls || op != opRefFunc
	last := op == opReturnCall || op == opReturnCallIndirect
	if last {
		f.out = f.pile(f.out, f.frame)
	}
	at := len(f.out) + 1
	f.out = f.immediate(f.Reader, append(f.out, op), kind)
	if kind == fn && op != opRefFunc {
		if i := wasmfile.NewReader(f.out[at:]).U32(); i < f.imported {
			f.weigh(weightHostCall - 1)
		} else {
			f.aim = aim{called: true, number: i - 1} // the index that it had
		}
	}
	if last {
		f.exit(f.aim)
	}
}

// branch copies a jump with one label. One that is taken after a call of a function that never returns zero has no code
// behind it.
func (f *function) branch(op byte, before aim) {
	f.out = append(f.out, op)
	if op == opBr {
		f.label(before)
		return
	}
	f.label(aim{})
	if before.called && !f.returnsZero(before.number) {
		f.out = append(f.out, opUnreachable)
		f.leaves(opUnreachable)
	}
}

// label copies a label; a is where a jump to it aims.
func (f *function) label(a aim) {
	l := f.U32()
	f.aims++
	if f.layout.segment != nil {
		f.out = wasmfile.AppendU32(f.out, f.relabel(l, a))
		return
	}
	switch open := int64(len(f.blocks)); {
	case int64(l) > open: // it would lead to what is put around the code
		f.Fail("found label %d of %d", l, open+1)
	case int64(l) == open:
		f.exit(aim{}) // what it returns is not followed
	}
	f.jump(l, a)
	f.out = wasmfile.AppendU32(f.out, f.straight(l, a))
}

// open begins a block, loop or if.
func (f *function) open(op byte) {
	f.out = append(f.out, op)
	t := f.S33()
	switch {
	case t == blockNone:
		f.out = append(f.out, blockEmpty)
	case t < 0 && t >= -64 && isValueType(byte(t&0x7f)):
		f.out = append(f.out, byte(t&0x7f))
	case t < 0:
		f.Unsupported("found a block of type %d, expected one of WebAssembly 2.0", t)
	case t >= int64(len(f.types)):
		f.Fail("found a block of type %d of %d", t, len(f.types))
	default:
		f.out = wasmfile.AppendS64(f.out, t)
	}
	f.opened(op)
	if op == opLoop && t == blockNone && !f.flow.found && f.dispatch.open == 0 {
		f.lookForDispatch()
	}
}

// opened notes that a block was opened, and has a loop charge for its iterations.
func (f *function) opened(op byte) {
	f.aims++
	f.blocks = append(f.blocks, op == opLoop)
	if op == opLoop {
		f.aims += loopAims
		f.regions = append(f.regions, region{at: len(f.out)})
		f.out = f.ask(f.charge(f.out, 0), false)
	}
}

func isValueType(c byte) bool {
	return c >= wasmfile.V128 && c <= wasmfile.I32 || c == wasmfile.FuncRef || c == wasmfile.ExternRef
}

// close ends a block, or the function.
func (f *function) close() {
	f.out = append(f.out, opEnd)
	last := len(f.blocks) - 1
	if last < 0 {
		if f.More() {
			f.Fail("found code after the end of the function")
		}
		return
	}
	if f.blocks[last] {
		r := f.regions[len(f.regions)-1]
		f.regions = f.regions[:len(f.regions)-1]
		at := r.at + len(wasmfile.AppendU32(nil, f.fuel())) + 2 // after global.get and i64.const
		putWeight(f.out[at:at+5], r.weight)
	}
	f.blocks = f.blocks[:last]
	f.boundary(last)
	f.dispatch.open = max(min(f.dispatch.open, last-f.dispatch.outermost), 0)
}

// misc copies an instruction with the prefix 0xfc.
func (f *function) misc() {
	sub := f.U32()
	if sub >= uint32(len(miscImmediates)) {
		f.Unsupported("found opcode 0xfc %d, expected one of WebAssembly 2.0", sub)
		return
	}
	if shift := miscShift[sub]; shift >= 0 {
		f.bulk(shift)
	}
	if sub == miscTableGrow {
		f.weigh(weightGrow - 1)
	}
	f.out = wasmfile.AppendU32(append(f.out, opMisc), sub)
	f.out = f.immediate(f.Reader, f.out, miscImmediates[sub])
}
