package host

import (
	"strings"
	"sync"
)

// maxTail is how many bytes a Tail keeps.
const maxTail = 8 << 10

// Tail keeps the end of what a plugin writes: the last 8 KiB. The zero value is empty; it may be used by many
// goroutines at once.
type Tail struct {
	mu  sync.Mutex
	b   []byte
	cut bool
}

// Write keeps the last bytes of p and of what came before. It never fails.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(p)
	if n > maxTail {
		p, t.cut = p[n-maxTail:], true
	}
	if over := len(t.b) + len(p) - maxTail; over > 0 {
		t.b, t.cut = append(t.b[:0], t.b[over:]...), true
	}
	t.b = append(t.b, p...)
	return n, nil
}

// Reset forgets everything.
func (t *Tail) Reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b, t.cut = t.b[:0], false
}

// String returns what was kept, as valid UTF-8, after a line of dots when the beginning is missing.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := strings.ToValidUTF8(string(t.b), "\uFFFD")
	if t.cut {
		return "...\n" + s
	}
	return s
}

// Panic returns the line with which a crash of a Go program begins, or "" when there is none.
func (t *Tail) Panic() string {
	for line := range strings.Lines(t.String()) {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}
