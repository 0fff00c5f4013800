package meter

import "github.com/closedloop/closedloop/engine/internal/host/wasmfile"

// immediate copies what follows an opcode, with the indices moved.
func (w *rewriter) immediate(r *wasmfile.Reader, out []byte, kind immediate) []byte {
	switch kind {
	case table, dataIndex, elemIndex:
		return wasmfile.AppendU32(out, r.U32())
	case elem, tables, memory:
		return wasmfile.AppendU32(wasmfile.AppendU32(out, r.U32()), r.U32())
	case memLane:
		return append(wasmfile.AppendU32(wasmfile.AppendU32(out, r.U32()), r.U32()), r.Byte())
	case fn:
		return wasmfile.AppendU32(out, w.function(r))
	case indirect:
		t := r.U32()
		if t >= uint32(len(w.types)) {
			r.Fail("found type %d of %d", t, len(w.types))
		}
		return wasmfile.AppendU32(wasmfile.AppendU32(out, t), r.U32())
	case global:
		return wasmfile.AppendU32(out, w.global(r))
	case typed:
		if n := r.Byte(); n != 1 {
			r.Fail("found a select of %d types, expected one", n)
		}
		return append(out, 1, r.ValueType())
	case zero, zeros, data:
		if kind == data {
			out = wasmfile.AppendU32(out, r.U32())
		}
		out = w.zero(r, out)
		if kind == zeros {
			out = w.zero(r, out)
		}
		return out
	case const32:
		return wasmfile.AppendS64(out, int64(r.S32()))
	case const64:
		return wasmfile.AppendS64(out, r.S64())
	case lane:
		return append(out, r.Byte())
	case bytes4:
		return append(out, r.Bytes(4)...)
	case bytes8:
		return append(out, r.Bytes(8)...)
	case bytes16:
		return append(out, r.Bytes(16)...)
	case heap:
		return append(out, r.RefType())
	}
	return out
}

// zero copies a memory's index, which takes one byte.
func (w *rewriter) zero(r *wasmfile.Reader, out []byte) []byte {
	if c := r.Byte(); c != 0 {
		r.Unsupported("found memory %d, expected 0", c)
	}
	return append(out, 0)
}

// constant copies a constant expression.
func (w *rewriter) constant(r *wasmfile.Reader, out []byte) []byte {
	for r.Err() == nil {
		op := r.Byte()
		out = append(out, op)
		switch op {
		case opEnd:
			return out
		case opI32Const, opI64Const, opF32Const, opF64Const, opGlobalGet, opRefNull, opRefFunc:
			out = w.immediate(r, out, immediates[op])
		case opVector:
			if sub := r.Byte(); sub != vectorConst {
				r.Unsupported("found opcode 0xfd %d in a constant", sub)
			}
			out = w.immediate(r, append(out, vectorConst), bytes16)
		default:
			r.Unsupported("found opcode %#x in a constant", op)
		}
	}
	return out
}
