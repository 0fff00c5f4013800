package wasmhost

import "github.com/tetratelabs/wazero/experimental"

// linear is the memory of one instance, bounded by limit.
type linear struct {
	limit  int64
	b      []byte
	denied bool // the guest wanted more in this call
}

// Allocate implements experimental.MemoryAllocator. An instance has one memory.
func (l *linear) Allocate(_, _ uint64) experimental.LinearMemory { return l }
