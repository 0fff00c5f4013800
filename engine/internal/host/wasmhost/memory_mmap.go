//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package wasmhost

import "syscall"

// Reallocate grows the memory within address space that was reserved for all of it: it never moves, and takes real
// memory only where the guest has written. It returns nil when the limit is passed.
func (l *linear) Reallocate(size uint64) []byte {
	if size > uint64(l.limit) {
		l.denied = true
		return nil
	}
	if l.b == nil {
		b, err := syscall.Mmap(-1, 0, int(l.limit), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			l.denied = true
			return nil
		}
		l.b = b
	}
	return l.b[:size:len(l.b)]
}

// Free gives the memory back. It may be called again.
func (l *linear) Free() {
	if l.b != nil {
		_ = syscall.Munmap(l.b) // it fails only for memory that was not mapped
		l.b = nil
	}
}
