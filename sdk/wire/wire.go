// Package wire is the frame: how items, results and calls travel between the engine and a plugin, the same in a
// sandbox's memory and in a message of the process transport. sdk/ABI.md describes it for other languages.
//
// A frame is a fixed header, a head that belongs to its kind, records of one size, and then lists and strings that
// the head and the records refer to. Both the head and every kind of record say their size, so that a later minor
// version can append fields: a reader skips what it does not know, and takes what is not there as absent.
//
// What holds:
//
//   - A reader never panics and never reads outside the frame, whatever the bytes; it returns an *Error, or the
//     *sdk.Failure that the other side sent in place of an answer.
//   - A reader's work and memory are bounded by the size of the frame.
//   - Numbers are finite and instants lie in the years 1 to 9999. Everything else about meaning is the reader's
//     caller to judge: strings may be invalid UTF-8 and spans may lie outside the text.
//   - Equal values give equal frames.
//   - Writing and reading items and results allocates nothing once buffers have grown to size.
//
// One batch, host to guest and back:
//
//	n := wire.PutItems(memory[ptr:], now, items) // memory[ptr:] holds wire.ItemsSize(items) bytes
//	in, err := items.Read(frame)                 // an ItemReader, in the guest
//	out = wire.AppendResults(out[:0], results)   // in the guest
//	rs, err := results.Read(frame, len(items))   // a ResultReader, in the host
package wire

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// Magic is the first four bytes of a frame: "CLF1".
const Magic = 0x31464c43

// Version is the layout of the header. It changes only when frames stop being readable at all.
const Version = 1

// HeaderSize is the size of the fixed header in bytes.
const HeaderSize = 24

// Limits of a frame.
const (
	MaxFrame   = 256 << 20 // bytes of a frame
	MaxRecords = 65535     // records, and elements of a list
	MaxMessage = 4 << 10   // bytes of a failure's message; a longer one is cut
	MaxCode    = 64        // bytes of a failure's code; a longer one is cut
)

// The fixed header. All numbers are little-endian.
const (
	atMagic   = 0  // u32
	atVersion = 4  // u16
	atKind    = 6  // u16
	atTotal   = 8  // u32: bytes of the frame
	atCount   = 12 // u32: records
	atStride  = 16 // u16: bytes from one record to the next
	atHead    = 18 // u16: bytes before the first record
	atFlags   = 20 // u32: zero
	atNow     = 24 // i64: the time of a call, in the head of every call
)

// FrameKind says what a frame carries.
type FrameKind uint16

// The kinds of frame.
const (
	KindConfigure     FrameKind = 1 + iota // host to guest, the first call
	KindOK                                 // answer: done
	KindFailure                            // answer: not done, and why
	KindItems                              // host to guest: categorize
	KindResults                            // answer to KindItems
	KindPoll                               // host to guest
	KindPollResult                         // answer to KindPoll
	KindReceive                            // host to guest
	KindReceiveResult                      // answer to KindReceive
	KindDeliver                            // host to guest, answered by KindOK
	KindHTTPRequest                        // guest to host
	KindHTTPResponse                       // answer to KindHTTPRequest
	KindFiles                              // host to guest: the granted files
)

var kindNames = [...]string{
	"", "configure", "ok", "failure", "items", "results", "poll", "poll result", "receive", "receive result",
	"deliver", "http request", "http response", "files",
}

// String returns the kind's name as ABI.md has it.
func (k FrameKind) String() string {
	if k > 0 && int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// call reports whether the kind is a call of the host, which carries the time.
func (k FrameKind) call() bool {
	switch k {
	case KindConfigure, KindItems, KindPoll, KindReceive, KindDeliver:
		return true
	}
	return false
}

// Error is a malformed frame.
type Error struct {
	Kind   FrameKind // the kind that was read; 0 when even that is unknown
	Offset int       // where in the frame, in bytes
	Reason string    // what was found and what was expected
}

func (e *Error) Error() string {
	kind := "frame"
	if e.Kind != 0 {
		kind = e.Kind.String() + " frame"
	}
	return "wire: malformed " + kind + " at byte " + strconv.Itoa(e.Offset) + ": " + e.Reason
}

// Kind returns the kind of the frame in b after checking its header.
func Kind(b []byte) (FrameKind, error) {
	var r reader
	if err := r.open(b); err != nil {
		return 0, err
	}
	return r.kind, nil
}

// Now returns the time that a call carries: what the clock of a plugin shows that was not granted a real one.
func Now(b []byte) (feedback.Time, error) {
	var r reader
	if err := r.open(b); err != nil {
		return 0, err
	}
	if !r.kind.call() || len(r.head) < atNow+8 {
		return 0, r.bad(atNow, "found no time, expected a call")
	}
	t := r.time(atNow, int64(binary.LittleEndian.Uint64(r.head[atNow:])))
	return t, r.done()
}

// maxMillis bounds a duration that travels in milliseconds, so that it fits time.Duration.
const maxMillis = math.MaxInt64 / 1_000_000

// Instants lie in the years 1 to 9999, which RFC 3339 can write.
const minTime, maxTime = -62135596800000, 253402300799999
