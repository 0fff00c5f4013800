//go:build wasip1

package serve

import (
	"context"
	"runtime"
	"unsafe"

	"github.com/closedloop/closedloop/sdk"
)

// Main does nothing in a sandbox: the host calls the exported functions.
func Main() {}

// The instance, and the buffers that the host writes to and reads from. They are reachable from here, so the garbage
// collector keeps them.
var (
	guest   session
	in, out []byte
)

// alloc returns a pointer to an input buffer of at least n bytes.
//
//go:wasmexport cl_alloc
func alloc(n uint32) uint32 {
	if uint64(len(in)) < uint64(n) {
		in = make([]byte, n)
	}
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(in))))
}

//go:wasmexport cl_abi
func abi() uint32 { return sdk.ContractMajor<<16 | sdk.ContractMinor }

//go:wasmexport cl_configure
func configure(n uint32) uint64 { return answer(n) }

//go:wasmexport cl_categorize
func categorize(n uint32) uint64 { return answer(n) }

//go:wasmexport cl_poll
func poll(n uint32) uint64 { return answer(n) }

//go:wasmexport cl_receive
func receive(n uint32) uint64 { return answer(n) }

//go:wasmexport cl_deliver
func deliver(n uint32) uint64 { return answer(n) }

// idle lets the garbage collector work: it cannot while exported functions follow one another.
//
//go:wasmexport cl_idle
func idle() { runtime.Gosched() }

// answer serves the call in the first n bytes of the input buffer.
func answer(n uint32) uint64 {
	out = guest.call(context.Background(), sandbox{}, in[:min(uint64(n), uint64(len(in)))], out[:0])
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(out))))<<32 | uint64(len(out))
}
