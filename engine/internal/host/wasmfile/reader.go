package wasmfile

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// Reader reads the primitives of the binary format. After the first error every method returns zero and the error
// stands in Err.
type Reader struct {
	b    []byte
	off  int
	base int // offset of b in the module
	err  error
}

// NewReader returns a reader of b; its offsets count from the beginning of b.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Fail records that the module is malformed at the current offset, unless there is an error already.
func (r *Reader) Fail(format string, args ...any) { r.fail(false, format, args) }

// Unsupported records that the module uses something at the current offset that is not supported.
func (r *Reader) Unsupported(format string, args ...any) { r.fail(true, format, args) }

func (r *Reader) fail(unsupported bool, format string, args []any) {
	if r.err == nil {
		r.err = &SyntaxError{Offset: r.Offset(), Message: fmt.Sprintf(format, args...), Unsupported: unsupported}
	}
	r.off = len(r.b)
}

// Err returns the first error.
func (r *Reader) Err() error { return r.err }

// End returns the first error, or one when there are bytes left.
func (r *Reader) End() error {
	if r.off < len(r.b) {
		r.Fail("%d bytes are left over", len(r.b)-r.off)
	}
	return r.err
}

// Offset returns the offset of the next byte in the module.
func (r *Reader) Offset() int { return r.base + r.off }

// More reports whether there are bytes left and no error.
func (r *Reader) More() bool { return r.off < len(r.b) }

// Len returns how many bytes are left.
func (r *Reader) Len() int { return len(r.b) - r.off }

// Rest returns the bytes that are left, and reads them.
func (r *Reader) Rest() []byte {
	b := r.b[r.off:]
	r.off = len(r.b)
	return b
}

// Since returns what was read since the offset that Offset returned earlier.
func (r *Reader) Since(offset int) []byte {
	if r.err != nil {
		return nil
	}
	return r.b[offset-r.base : r.off]
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if r.off >= len(r.b) {
		r.Fail("the bytes end too early")
		return 0
	}
	c := r.b[r.off]
	r.off++
	return c
}

// Peek returns the next byte without reading it, or 0 at the end.
func (r *Reader) Peek() byte {
	if r.off >= len(r.b) {
		return 0
	}
	return r.b[r.off]
}

// Bytes reads n bytes.
func (r *Reader) Bytes(n uint32) []byte {
	if uint64(n) > uint64(len(r.b)-r.off) {
		r.Fail("found a length of %d with %d bytes left", n, len(r.b)-r.off)
		return nil
	}
	b := r.b[r.off : r.off+int(n) : r.off+int(n)]
	r.off += int(n)
	return b
}

// Sub reads n bytes and returns a reader of them.
func (r *Reader) Sub(n uint32) *Reader {
	at := r.Offset()
	return &Reader{b: r.Bytes(n), base: at, err: r.err}
}

// U32 reads an unsigned LEB128 number of 32 bits.
func (r *Reader) U32() uint32 {
	var v uint32
	for i := 0; i < 5; i++ {
		c := r.Byte()
		if i == 4 && c > 0x0f {
			break
		}
		v |= uint32(c&0x7f) << (7 * i)
		if c < 0x80 {
			return v
		}
	}
	r.Fail("found a number of more than 32 bits")
	return 0
}

// S33 reads a signed LEB128 number of 33 bits, the form of a block's type.
func (r *Reader) S33() int64 { return r.signed(33) }

// S32 reads a signed LEB128 number of 32 bits.
func (r *Reader) S32() int32 { return int32(r.signed(32)) }

// S64 reads a signed LEB128 number of 64 bits.
func (r *Reader) S64() int64 { return r.signed(64) }

func (r *Reader) signed(bits int) int64 {
	var v int64
	for shift := 0; shift < bits; shift += 7 {
		c := r.Byte()
		v |= int64(c&0x7f) << shift
		if c >= 0x80 {
			continue
		}
		if used := bits - shift; used < 7 {
			// The bits above the number's sign bit must repeat it.
			if top := int8(c<<1) >> used; top != 0 && top != -1 {
				break
			}
		} else if shift+7 < 64 {
			v = v << (57 - shift) >> (57 - shift)
		}
		if bits < 64 {
			v = v << (64 - bits) >> (64 - bits)
		}
		return v
	}
	r.Fail("found a number of more than %d bits", bits)
	return 0
}

// Count reads the length of a vector whose elements take at least size bytes each: one that the rest of the bytes
// cannot hold is an error.
func (r *Reader) Count(size int) int {
	n := r.U32()
	if uint64(n)*uint64(size) > uint64(len(r.b)-r.off) {
		r.Fail("found a count of %d with %d bytes left", n, len(r.b)-r.off)
		return 0
	}
	return int(n)
}

// Name reads a string of valid UTF-8.
func (r *Reader) Name() string {
	b := r.Bytes(r.U32())
	if !utf8.Valid(b) {
		r.Fail("found a name that is not valid UTF-8")
		return ""
	}
	return string(b)
}

// Limits reads the limits of a table or memory.
func (r *Reader) Limits() (low, high uint32, bounded bool) {
	switch flag := r.Byte(); flag {
	case 0:
		return r.U32(), 0, false
	case 1:
		return r.U32(), r.U32(), true
	default:
		r.Unsupported("found limits of form %#x, expected 0 or 1", flag)
		return 0, 0, false
	}
}

// The types of values in version 2.0 of the specification.
const (
	I32       = 0x7f
	I64       = 0x7e
	F32       = 0x7d
	F64       = 0x7c
	V128      = 0x7b
	FuncRef   = 0x70
	ExternRef = 0x6f
)

// ValueType reads the type of a value.
func (r *Reader) ValueType() byte {
	c := r.Byte()
	if r.err == nil && (c < V128 || c > I32) && c != FuncRef && c != ExternRef {
		r.Unsupported("found a value of type %#x, expected one of WebAssembly 2.0", c)
	}
	return c
}

// RefType reads the type of a reference.
func (r *Reader) RefType() byte {
	c := r.Byte()
	if r.err == nil && c != FuncRef && c != ExternRef {
		r.Unsupported("found a reference of type %#x, expected one of WebAssembly 2.0", c)
	}
	return c
}

// AppendU32 appends an unsigned LEB128 number in its shortest form.
func AppendU32(b []byte, v uint32) []byte { return binary.AppendUvarint(b, uint64(v)) }

// AppendS64 appends a signed LEB128 number in its shortest form.
func AppendS64(b []byte, v int64) []byte {
	for {
		c := byte(v) & 0x7f
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// AppendName appends a name.
func AppendName(b []byte, name string) []byte {
	return append(AppendU32(b, uint32(len(name))), name...)
}
