package wire

import (
	"time"
	"unicode/utf8"

	"github.com/closedloop/closedloop/sdk"
)

// writer appends one frame to a buffer. Offsets count from the frame's start.
type writer struct {
	buf   []byte
	start int
	full  bool // something did not fit; end writes a failure frame instead
}

// begin appends the header, and head and records of zeros.
func begin(dst []byte, kind FrameKind, head, count, stride int) writer {
	w := writer{buf: dst, start: len(dst)}
	if count > MaxRecords {
		w.full, count = true, 0
	}
	w.zeros(head + count*stride)
	putHeader(w.buf[w.start:], kind, head, count, stride)
	return w
}

func putHeader(b []byte, kind FrameKind, head, count, stride int) {
	le.PutUint32(b[atMagic:], Magic)
	le.PutUint16(b[atVersion:], Version)
	le.PutUint16(b[atKind:], uint16(kind))
	le.PutUint32(b[atCount:], uint32(count))
	le.PutUint16(b[atStride:], uint16(stride))
	le.PutUint16(b[atHead:], uint16(head))
	le.PutUint32(b[atFlags:], 0)
}

// zeros appends n zeros and returns where they start.
func (w *writer) zeros(n int) int {
	at := len(w.buf) - w.start
	w.buf = grow(w.buf, n)
	clear(w.buf[w.start+at:])
	return at
}

// grow extends b by n bytes of any content.
func grow(b []byte, n int) []byte {
	if need := len(b) + n; need > cap(b) {
		b = append(b[:cap(b)], make([]byte, max(need-cap(b), cap(b)/2))...)[:len(b)]
	}
	return b[:len(b)+n]
}

func (w *writer) u32(at int, v uint32) { le.PutUint32(w.buf[w.start+at:], v) }
func (w *writer) u64(at int, v uint64) { le.PutUint64(w.buf[w.start+at:], v) }

// str appends a string and puts its reference at at.
func (w *writer) str(at int, s string) {
	if s == "" {
		return
	}
	w.ref(at, len(s))
	w.buf = append(w.buf, s...)
}

// bytes appends bytes and puts their reference at at.
func (w *writer) bytes(at int, b []byte) {
	if len(b) == 0 {
		return
	}
	w.ref(at, len(b))
	w.buf = append(w.buf, b...)
}

func (w *writer) ref(at, n int) {
	off := len(w.buf) - w.start
	if n > MaxFrame-off {
		w.full = true
		return
	}
	w.u64(at, uint64(off)|uint64(n)<<32)
}

// list appends a list of zeros, puts its reference at at, and returns where the elements start.
func (w *writer) list(at, count, stride int) (elements int, ok bool) {
	if count == 0 {
		return 0, true
	}
	if count > MaxRecords {
		w.full = true
		return 0, false
	}
	elements = w.zeros(count * stride)
	w.u64(at, listRef(elements, count, stride))
	return elements, true
}

func listRef(at, count, stride int) uint64 {
	return uint64(at) | uint64(count)<<32 | uint64(stride)<<48
}

// end completes the frame. A frame that does not fit its limits becomes a failure frame that says so.
func (w *writer) end() []byte {
	total := len(w.buf) - w.start
	if w.full || total > MaxFrame {
		return AppendFailure(w.buf[:w.start], tooLarge())
	}
	w.u32(atTotal, uint32(total))
	return w.buf
}

func tooLarge() *sdk.Failure {
	return &sdk.Failure{Fatal: true, Code: "too_large", Message: "the answer does not fit a frame: too many elements or too many bytes"}
}

// cutText cuts s to at most n bytes, before a rune that would not fit whole.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// millis rounds a duration up to the millisecond; negative ones become zero.
func millis(d time.Duration) uint64 {
	ms := max(d, 0) / time.Millisecond
	if d > ms*time.Millisecond {
		ms++
	}
	return uint64(ms)
}
