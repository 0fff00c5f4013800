package meter

// The instructions that need to be known by name.
const (
	opUnreachable             = 0x00
	opBlock                   = 0x02
	opLoop                    = 0x03
	opIf                      = 0x04
	opElse                    = 0x05
	opEnd                     = 0x0b
	opBr                      = 0x0c
	opBrIf                    = 0x0d
	opBrTable                 = 0x0e
	opReturn                  = 0x0f
	opCall                    = 0x10
	opReturnCall              = 0x12
	opReturnCallIndirect      = 0x13
	opLocalGet                = 0x20
	opLocalSet                = 0x21
	opLocalTee                = 0x22
	opGlobalGet               = 0x23
	opGlobalSet               = 0x24
	opMemoryGrow              = 0x40
	opI32Const                = 0x41
	opI64Const                = 0x42
	opF32Const                = 0x43
	opF64Const                = 0x44
	opI64GeS                  = 0x59
	opI64Add                  = 0x7c
	opI64Sub                  = 0x7d
	opI64Or                   = 0x84
	opI64ShrU                 = 0x88
	opI64ExtendI32U           = 0xad
	opRefNull                 = 0xd0
	opRefFunc                 = 0xd2
	opMisc                    = 0xfc
	opVector                  = 0xfd
	vectorConst               = 12
	blockEmpty           byte = 0x40
	blockNone                 = -64 // blockEmpty as it is read
)

// immediate says what follows an opcode.
type immediate uint8

const (
	unknown   immediate = iota
	none                // nothing
	block               // a block's type
	end                 // nothing; closes a block
	label               // a label
	labels              // a vector of labels, and a label
	fn                  // a function
	indirect            // a type and a table
	local               // a local
	global              // a global
	table               // a table
	typed               // a vector of one value type
	memory              // an alignment and an offset
	zero                // a byte of zero
	const32             // an i32
	const64             // an i64
	bytes4              // an f32
	bytes8              // an f64
	heap                // a reference type
	misc                // a number of the second table
	vector              // a byte of the third table
	data                // a data segment, and a byte of zero
	dataIndex           // a data segment
	elem                // an element segment and a table
	elemIndex           // an element segment
	zeros               // two bytes of zero
	tables              // two tables
	lane                // a lane
	memLane             // an alignment, an offset and a lane
	bytes16             // 16 lanes, or a v128
)

// immediates has an entry for every one-byte opcode, 2.0 and tail calls.
var immediates = func() (t [256]immediate) {
	set := func(kind immediate, from, to int) {
		for i := from; i <= to; i++ {
			t[i] = kind
		}
	}
	set(none, 0x00, 0x01) // unreachable, nop
	set(block, opBlock, opIf)
	set(none, opElse, opElse)
	set(end, opEnd, opEnd)
	set(label, opBr, 0x0d)
	set(labels, opBrTable, opBrTable)
	set(none, opReturn, opReturn)
	set(fn, opCall, opCall)
	set(indirect, 0x11, 0x11)
	set(fn, opReturnCall, opReturnCall)
	set(indirect, opReturnCallIndirect, opReturnCallIndirect)
	set(none, 0x1a, 0x1b) // drop, select
	set(typed, 0x1c, 0x1c)
	set(local, opLocalGet, opLocalTee)
	set(global, opGlobalGet, opGlobalSet)
	set(table, 0x25, 0x26)
	set(memory, 0x28, 0x3e)
	set(zero, 0x3f, opMemoryGrow)
	set(const32, opI32Const, opI32Const)
	set(const64, opI64Const, opI64Const)
	set(bytes4, opF32Const, opF32Const)
	set(bytes8, opF64Const, opF64Const)
	set(none, 0x45, 0xc4) // numeric
	set(heap, opRefNull, opRefNull)
	set(none, 0xd1, 0xd1) // ref.is_null
	set(fn, opRefFunc, opRefFunc)
	set(misc, opMisc, opMisc)
	set(vector, opVector, opVector)
	return t
}()

// miscImmediates has the instructions after the prefix 0xfc.
var miscImmediates = [18]immediate{
	none, none, none, none, none, none, none, none, // saturating truncations
	data, dataIndex, zeros, zero, // memory.init, data.drop, memory.copy, memory.fill
	elem, elemIndex, tables, // table.init, elem.drop, table.copy
	table, table, table, // table.grow, table.size, table.fill
}

// miscShift has, for the instructions after 0xfc whose work grows with the operand on top of the stack, the binary
// logarithm of how much of it costs one; -1 for the others.
var miscShift = [18]int{
	-1, -1, -1, -1, -1, -1, -1, -1,
	6, -1, 6, 6,
	3, -1, 3,
	3, -1, 3,
}

const miscTableGrow = 15

// vectorImmediate returns what follows the instruction after the prefix 0xfd.
func vectorImmediate(op byte) immediate {
	switch {
	case op <= 11 || op == 92 || op == 93:
		return memory
	case op == vectorConst || op == 13:
		return bytes16
	case op >= 21 && op <= 34:
		return lane
	case op >= 84 && op <= 91:
		return memLane
	}
	return none
}
