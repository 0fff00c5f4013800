package wire

import (
	"encoding/binary"
	"math"
	"strings"
	"time"
	"unsafe"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

var le = binary.LittleEndian

// reader takes a frame apart. Its first error sticks: the methods then return zeros, and done returns it.
type reader struct {
	b      []byte // the frame, cut to its total
	s      string // what strings are cut from: the frame itself, or a copy that outlives it
	head   []byte
	kind   FrameKind
	count  int
	stride int
	lists  int   // bytes that lists may still take up, so that overlapping lists cannot multiply
	chars  int64 // bytes that strings may still take up
	err    *Error

	// Where the shorter heads, records and list elements of an older peer are completed.
	padHead    [httpRequestHead]byte
	padRecord  [itemSize]byte
	padElement [themeSize]byte
}

// open reads the header. Strings alias b until own is called.
func (r *reader) open(b []byte) error {
	r.kind, r.err = 0, nil
	if len(b) < HeaderSize {
		return r.bad(len(b), "found the end of the data, expected a header")
	}
	if le.Uint32(b) != Magic {
		return r.bad(atMagic, "found another start than CLF1, expected a frame")
	}
	if le.Uint16(b[atVersion:]) != Version {
		return r.bad(atVersion, "found a version other than 1")
	}
	r.kind = FrameKind(le.Uint16(b[atKind:]))
	total, head := int(le.Uint32(b[atTotal:])), int(le.Uint16(b[atHead:]))
	count, stride := int(le.Uint32(b[atCount:])), int(le.Uint16(b[atStride:]))
	switch {
	case total > len(b) || total > MaxFrame || total < HeaderSize:
		return r.bad(atTotal, "found a size that is not the frame's")
	case head < HeaderSize || head > total || head%8 != 0:
		return r.bad(atHead, "found a head size that cannot be")
	case count > MaxRecords:
		return r.bad(atCount, "found too many records")
	case count > 0 && (stride < 8 || stride%8 != 0 || count*stride > total-head):
		return r.bad(atStride, "found a record size that cannot be")
	}
	r.b, r.head, r.count, r.stride = b[:total:total], b[:head:head], count, stride
	r.s = unsafe.String(unsafe.SliceData(b), total)
	r.lists, r.chars = total, int64(4*total+64<<10)
	return nil
}

// expect opens a frame of the kind and returns its head with at least size bytes. A failure frame in place of an
// answer is returned as *sdk.Failure.
func (r *reader) expect(b []byte, kind FrameKind, size int) ([]byte, error) {
	if err := r.open(b); err != nil {
		return nil, err
	}
	if r.kind == kind {
		return widen(r.head, r.padHead[:size]), nil
	}
	if r.kind == KindFailure && !kind.call() && kind != KindHTTPRequest {
		f, err := r.failure()
		if err != nil {
			return nil, err
		}
		return nil, f
	}
	return nil, r.bad(atKind, "found a frame of the kind "+r.kind.String()+", expected "+kind.String())
}

// own makes the strings that are read from now on outlive the frame. All of them share one copy of it.
func (r *reader) own() { r.s = string(r.b) }

// widen returns b when it has at least pad's size, else pad with b at its start and zeros after it.
func widen(b, pad []byte) []byte {
	if len(b) >= len(pad) {
		return b
	}
	clear(pad[copy(pad, b):])
	return pad
}

// record returns where record i starts, and the record with at least size bytes, valid until the next call.
func (r *reader) record(i, size int) (int, []byte) {
	at := len(r.head) + i*r.stride
	return at, widen(r.b[at:at+r.stride], r.padRecord[:size])
}

func (r *reader) bad(at int, reason string) error {
	if r.err == nil {
		r.err = &Error{Kind: r.kind, Offset: at, Reason: reason}
	}
	return r.err
}

// done returns the first error.
func (r *reader) done() error {
	if r.err != nil {
		return r.err
	}
	return nil
}

// str returns the string that a reference names.
func (r *reader) str(ref uint64) string {
	if ref>>32 == 0 {
		return ""
	}
	r.spend(ref >> 32)
	return r.text(ref)
}

// text returns the string that a reference names, for the caller to spend.
func (r *reader) text(ref uint64) string {
	at := ref & math.MaxUint32
	end := at + ref>>32
	if end > uint64(len(r.s)) {
		return r.outside(at)
	}
	return r.s[at:end]
}

func (r *reader) outside(at uint64) string {
	_ = r.bad(int(at), "found a string that leaves the frame")
	return ""
}

// spend counts the bytes of strings.
func (r *reader) spend(n uint64) {
	if r.chars -= int64(n); r.chars < 0 {
		_ = r.bad(0, "found strings that add up to more than the frame can hold")
	}
}

// bytes returns a copy of the bytes that a reference names; nil when there are none.
func (r *reader) bytes(ref uint64) []byte {
	if s := r.str(ref); s != "" {
		return []byte(s)
	}
	return nil
}

// list is a nested list; its elements start at at.
type list struct{ at, count, stride int }

// list returns the list that a reference names.
func (r *reader) list(ref uint64) list {
	l := list{at: int(uint32(ref)), count: int(ref >> 32 & 0xffff), stride: int(ref >> 48)}
	if l.count == 0 {
		return list{}
	}
	n := l.count * l.stride
	if l.stride < 8 || l.stride%8 != 0 || n > len(r.b) || l.at > len(r.b)-n {
		_ = r.bad(l.at, "found a list that leaves the frame or has elements of a size that cannot be")
		return list{}
	}
	if r.lists -= n; r.lists < 0 {
		_ = r.bad(l.at, "found lists that add up to more than the frame can hold")
		return list{}
	}
	return l
}

// element returns where element i of the list starts, and the element with at least size bytes, valid until the next
// call.
func (r *reader) element(l list, i, size int) (int, []byte) {
	at := l.at + i*l.stride
	return at, widen(r.b[at:at+l.stride], r.padElement[:size])
}

// num checks that a number is finite.
func (r *reader) num(at int, bits uint64) float64 {
	f := math.Float64frombits(bits)
	if f-f != 0 {
		_ = r.bad(at, "found a number that is not finite")
		return 0
	}
	return f
}

func (r *reader) time(at int, ms int64) feedback.Time {
	if ms < minTime || ms > maxTime {
		_ = r.bad(at, "found an instant outside the years 1 to 9999")
		return 0
	}
	return feedback.Time(ms)
}

func (r *reader) duration(at int, ms uint64) time.Duration {
	if ms > maxMillis {
		_ = r.bad(at, "found a duration that is negative or too long")
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// failure reads the head of a failure frame.
func (r *reader) failure() (*sdk.Failure, error) {
	h := widen(r.head, r.padHead[:failureHead])
	f := &sdk.Failure{
		Fatal:   h[failureFlags]&1 != 0,
		Code:    strings.Clone(cutText(r.str(le.Uint64(h[failureCode:])), MaxCode)),
		Message: strings.Clone(cutText(r.str(le.Uint64(h[failureMessage:])), MaxMessage)),
		After:   r.duration(failureAfter, le.Uint64(h[failureAfter:])),
	}
	return f, r.done()
}
