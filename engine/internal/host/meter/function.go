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

// What a frame of the stack is taken to have, in bytes, besides one for each byte of code.
const (
	frameFixed = 64
	frameLocal = 8
)

// function rewrites one function at a time.
type function struct {
	*rewriter
	*wasmfile.Reader

	out     []byte
	locals  uint32 // parameters and locals of the original
	frame   int    // bytes of stack
	scratch bool   // one more local of type i32 is needed
	calls   bool
	blocks  []bool   // open blocks, true for loops
	regions []region // what is charged at once: the function, and each open loop

	dispatch dispatch
	aim      aim
}

// region is a stretch of code that is charged at its beginning.
type region struct {
	at     int // where in out its weight is to be written; unused for the function
	weight int
}

// rewrite reads the code of function i and returns its new locals and instructions, which the next call overwrites.
func (f *function) rewrite(i int, r *wasmfile.Reader) (head, body []byte) {
	params, size := len(f.types[f.functions[i]].params), r.Len()
	*f = function{
		rewriter: f.rewriter, Reader: r, out: f.out[:0], blocks: f.blocks[:0], regions: append(f.regions[:0], region{}),
		dispatch: dispatch{table: f.dispatch.table[:0]},
	}
	groups, declared := f.declarations(i, params)
	f.frame = frameFixed + frameLocal*int(f.locals) + size
	for f.More() {
		f.instruction()
		f.limit(len(f.blocks), f.limits.Nesting, "nested blocks in function %d", i)
		if f.rewriter.err != nil {
			return nil, nil
		}
	}
	if len(f.regions) != 1 {
		f.Fail("a block of function %d is not closed", i)
	}
	if f.scratch {
		declared = append(wasmfile.AppendU32(declared, 1), wasmfile.I32)
		groups++
	}
	head = append(wasmfile.AppendU32(nil, groups), declared...)
	switch weight := f.regions[0].weight; {
	case f.calls:
		head = f.enter(head, weight, f.types[f.functions[i]].results)
		f.out = append(f.pile(f.out, f.frame), opEnd)
	case weight > weightFree:
		head = f.ask(f.charge(head, weight), false)
	}
	return head, f.out
}

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

// declarations reads the groups of locals.
func (f *function) declarations(i, params int) (groups uint32, declared []byte) {
	groups = uint32(f.Count(2))
	at := f.Offset()
	n := params
	for k := uint32(0); k < groups && f.Err() == nil; k++ {
		n += int(f.U32())
		f.limit(n, f.limits.Locals, "locals in function %d", i)
		f.ValueType()
	}
	f.locals = uint32(n)
	f.rewriter.locals += n
	f.limit(f.rewriter.locals, 100*f.limits.Locals, "locals in all functions")
	declared = f.Since(at)
	return groups, declared[:len(declared):len(declared)]
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
	out = append(out, opI64Const, 0, opI64LtS, opIf, blockEmpty, opCall)
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
	op, before := f.Byte(), f.aim
	f.aim = aim{}
	f.weigh(1)
	switch kind := immediates[op]; kind {
	case unknown:
		f.Unsupported("found opcode %#x, expected one of WebAssembly 2.0 or a tail call", op)
	case block:
		f.open(op)
	case end:
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
		f.calls = f.calls || op != opRefFunc
		if op == opReturnCall || op == opReturnCallIndirect {
			f.out = f.pile(f.out, f.frame)
		}
		at := len(f.out) + 1
		f.out = f.immediate(f.Reader, append(f.out, op), kind)
		if kind == fn && op != opRefFunc && f.importedAt(at) {
			f.weigh(weightHostCall - 1)
		}
	case local:
		i := f.U32()
		if i >= f.locals {
			f.Fail("found local %d of %d", i, f.locals)
		}
		f.out = wasmfile.AppendU32(append(f.out, op), i)
		f.aim = aim{set: before.constant && op == opLocalSet, number: before.number, local: i}
	case const32:
		n := f.S32()
		f.out = wasmfile.AppendS64(append(f.out, op), int64(n))
		f.aim = aim{constant: true, number: uint32(n)}
	case label:
		l := f.U32()
		if op == opBr && before.set {
			l = f.straight(l, before)
		}
		f.out = wasmfile.AppendU32(append(f.out, op), l)
	case none:
		if op == opReturn { // to the end of the function's code, where a frame may have to be given back
			f.out = wasmfile.AppendU32(append(f.out, opBr), uint32(len(f.blocks)))
			return
		}
		f.out = append(f.out, op)
	default:
		if op == opMemoryGrow {
			f.weigh(weightGrow - 1)
		}
		f.out = f.immediate(f.Reader, append(f.out, op), kind)
	}
}

// importedAt reports whether the index that was written at out[at:] is that of an imported function.
func (f *function) importedAt(at int) bool {
	r := wasmfile.NewReader(f.out[at:])
	return r.U32() < f.imported
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
	f.blocks = append(f.blocks, op == opLoop)
	if op == opLoop {
		f.regions = append(f.regions, region{at: len(f.out)})
		f.out = f.ask(f.charge(f.out, 0), false)
		if t == blockNone && f.dispatch.open == 0 {
			f.lookForDispatch()
		}
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
