//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package wasmhost

// Reallocate grows the memory. It returns nil when the limit is passed.
func (l *linear) Reallocate(size uint64) []byte {
	if size > uint64(l.limit) {
		l.denied = true
		return nil
	}
	if size > uint64(cap(l.b)) {
		b := make([]byte, size, min(uint64(l.limit), size+size/2))
		copy(b, l.b)
		l.b = b
	}
	l.b = l.b[:size]
	return l.b
}

// Free gives the memory back. It may be called again.
func (l *linear) Free() { l.b = nil }
