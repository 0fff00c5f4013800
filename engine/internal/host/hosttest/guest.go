package hosttest

import (
	"bytes"
	"encoding/binary"

	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
	"github.com/closedloop/closedloop/sdk"
)

// TinyManifest is the manifest of modules that are put together by hand.
func TinyManifest() sdk.Manifest {
	return sdk.Manifest{Name: "tiny", Version: "1.0.0", Contract: "1.0", Abilities: []sdk.Ability{sdk.AbilityCategorize}}
}

// Where a guest keeps what: the answer to configure, its results, data of an attack, room, and the input.
const (
	okAt      = 0
	resultsAt = 64
	dataAt    = 32 << 10
	roomAt    = 512 << 10
	inputAt   = 1 << 20
)

// The parameter and the locals of cl_categorize.
const (
	length = iota
	index
	count
	record
)

// code is instructions of WebAssembly.
type code []byte

func join(parts ...code) code { return bytes.Join(toBytes(parts), nil) }

func toBytes(parts []code) [][]byte {
	out := make([][]byte, len(parts))
	for i := range parts {
		out[i] = parts[i]
	}
	return out
}

func i32(v int64) code           { return wasmfile.AppendS64([]byte{0x41}, v) }
func i64(v int64) code           { return wasmfile.AppendS64([]byte{0x42}, v) }
func get(local byte) code        { return code{0x20, local} }
func set(local byte) code        { return code{0x21, local} }
func load(offset uint32) code    { return wasmfile.AppendU32([]byte{0x28, 2}, offset) }
func load8(offset uint32) code   { return wasmfile.AppendU32([]byte{0x2d, 0}, offset) }
func load16(offset uint32) code  { return wasmfile.AppendU32([]byte{0x2f, 1}, offset) }
func store(offset uint32) code   { return wasmfile.AppendU32([]byte{0x36, 2}, offset) }
func call(function uint32) code  { return wasmfile.AppendU32([]byte{0x10}, function) }
func loop(body ...code) code     { return join(code{0x03, 0x40}, join(body...), code{0x0b}) }
func when(body ...code) code     { return join(code{0x04, 0x40}, join(body...), code{0x0b}) }
func forever(body ...code) code  { return loop(join(body...), again) }
func result(at, size int64) code { return join(i64(at<<32|size), code{0x0f}) }

var (
	add         = code{0x6a}
	mul         = code{0x6c}
	equal       = code{0x46}
	unequal     = code{0x47}
	drop        = code{0x1a}
	again       = code{0x0c, 0}
	againIf     = code{0x0d, 0}
	leaveIf     = code{0x0d, 1}
	unreachable = code{0x00}
	grow        = code{0x40, 0}
	fill        = code{0xfc, 0x0b, 0}
	growTable   = code{0xfc, 0x0f, 0}
	nullFunc    = code{0xd0, 0x70}
)

// answer writes the head of an answer with as many empty results as the local count says, and returns it.
func answer() code {
	size := join(get(count), i32(56), mul, i32(24), add)
	return join(
		i32(resultsAt), size, store(8),
		i32(resultsAt), get(count), store(12),
		size, code{0xad}, i64(resultsAt<<32), code{0x84, 0x0f}, // extended to 64 bits, with the address
	)
}

// frame returns the bytes of a frame with empty records.
func frame(kind uint16, records, stride int) []byte {
	b := make([]byte, 24+records*stride)
	copy(b, "CLF1\x01\x00")
	binary.LittleEndian.PutUint16(b[6:], kind)
	binary.LittleEndian.PutUint32(b[8:], uint32(len(b)))
	binary.LittleEndian.PutUint32(b[12:], uint32(records))
	binary.LittleEndian.PutUint16(b[16:], uint16(stride))
	binary.LittleEndian.PutUint16(b[18:], 24)
	return b
}

// guest returns a categorizer that finds nothing in any item, and runs the attack on the first item whose text begins
// with an exclamation mark. Data is at dataAt.
func guest(attack code, data []byte) *Assembly {
	memory := make([]byte, dataAt, dataAt+len(data))
	copy(memory[okAt:], frame(2, 0, 0))
	copy(memory[resultsAt:], frame(5, 0, 56)[:24])
	categorize := join(
		i32(inputAt), load(12), set(count),
		code{0x02, 0x40}, loop( // for each item
			get(index), get(count), code{0x4f}, leaveIf,
			i32(inputAt), i32(inputAt), load16(18), add, get(index), i32(inputAt), load16(16), mul, add, set(record),
			get(record), load(212), when( // it has a text
				get(record), load(208), i32(inputAt), add, load8(0), i32('!'), equal, when(attack),
			),
			get(index), i32(1), add, set(index), again,
		), code{0x0b},
		answer(), unreachable,
	)
	return &Assembly{Pages: 32, Data: append(memory, data...), Funcs: []Func{
		{Name: "cl_abi", Results: I32, Body: i32(1 << 16)},
		{Name: "cl_alloc", Params: I32, Results: I32, Body: i32(inputAt)},
		{Name: "cl_configure", Params: I32, Results: I64, Body: i64(okAt<<32 | 24)},
		{Name: "cl_categorize", Params: I32, Results: I64, Locals: []byte{wasmfile.I32, wasmfile.I32, wasmfile.I32}, Body: categorize},
	}}
}

// helper is the number of the first function that an attack adds, in a guest without imports.
const helper = 4
