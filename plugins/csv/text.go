package csv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/closedloop/closedloop/sdk"
)

// encoding is how a file writes text.
type encoding uint8

const (
	utf8Text encoding = iota
	utf16LE
	utf16BE
)

// text is a file as UTF-8, read from the front in pieces. buf[pos:] is what was read and not yet consumed.
type text struct {
	host sdk.Host
	name string
	enc  encoding
	raw  []byte // one piece, as the file has it
	read int64  // raw bytes that were decoded
	at   int64  // raw offset of buf[pos]
	buf  []byte
	pos  int
	end  bool // there is no more to read
}

// piece is how many raw bytes are read at once; it is even, for UTF-16.
const piece = 256 << 10

// head is how much of a file is looked at to find out what it is.
const head = 8 << 10

// openText finds out how a file writes text. The choice "auto" looks at the first bytes. The result stands behind the
// byte order mark.
func openText(host sdk.Host, name, choice string) (*text, error) {
	t := &text{host: host, name: name, raw: make([]byte, piece)}
	n, err := host.ReadFile(name, t.raw[:head], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	first := t.raw[:n]
	enc, mark := sniff(first)
	switch choice {
	case "utf-8":
		enc = utf8Text
	case "utf-16le":
		enc = utf16LE
	case "utf-16be":
		enc = utf16BE
	}
	t.enc = enc
	if enc == utf8Text {
		if err := refuseBinary(name, first); err != nil {
			return nil, err
		}
	}
	t.seek(int64(mark))
	return t, nil
}

// sniff tells the encoding and the size of the byte order mark. Without a mark, zeros at every second byte mean UTF-16.
func sniff(b []byte) (enc encoding, mark int) {
	switch {
	case bytes.HasPrefix(b, []byte{0xef, 0xbb, 0xbf}):
		return utf8Text, 3
	case bytes.HasPrefix(b, []byte{0xff, 0xfe}):
		return utf16LE, 2
	case bytes.HasPrefix(b, []byte{0xfe, 0xff}):
		return utf16BE, 2
	}
	var zeros [2]int
	for i, c := range b {
		if c == 0 {
			zeros[i&1]++
		}
	}
	switch enough := len(b) / 4; {
	case len(b) >= 4 && zeros[1] > enough && zeros[0] < enough/8+1:
		return utf16LE, 0
	case len(b) >= 4 && zeros[0] > enough && zeros[1] < enough/8+1:
		return utf16BE, 0
	}
	return utf8Text, 0
}

func refuseBinary(name string, first []byte) error {
	if bytes.HasPrefix(first, []byte("PK\x03\x04")) {
		return sdk.Fatal("%s: found a ZIP archive such as an Excel workbook, expected a CSV file; save it as CSV UTF-8", name)
	}
	if i := bytes.IndexByte(first, 0); i >= 0 {
		return sdk.Fatal("%s: found a zero byte at offset %d, expected text", name, i)
	}
	return nil
}

// seek goes to a raw offset.
func (t *text) seek(offset int64) {
	t.read, t.at, t.buf, t.pos, t.end = offset, offset, t.buf[:0], 0, false
}

// more reads and decodes another piece. It reports false at the end of the file.
func (t *text) more() (bool, error) {
	if t.end {
		return false, nil
	}
	if t.pos > 0 {
		t.buf = append(t.buf[:0], t.buf[t.pos:]...)
		t.pos = 0
	}
	n, err := t.host.ReadFile(t.name, t.raw, t.read)
	switch {
	case errors.Is(err, io.EOF):
		t.end = true
	case err != nil:
		return false, err
	case n == 0:
		t.end = true
	}
	if t.enc != utf8Text && n%2 != 0 && !t.end {
		n--
	}
	t.decode(t.raw[:n])
	t.read += int64(n)
	return n > 0, nil
}

// highSurrogate marks the first unit of a pair.
const highSurrogate = 0xd800

func (t *text) decode(raw []byte) {
	if t.enc == utf8Text {
		t.buf = append(t.buf, raw...)
		return
	}
	order := binary.ByteOrder(binary.LittleEndian)
	if t.enc == utf16BE {
		order = binary.BigEndian
	}
	if len(raw) >= 2 && len(raw) == piece && order.Uint16(raw[len(raw)-2:])&0xfc00 == highSurrogate {
		// A pair may lie across two pieces; one more unit is looked at.
		var next [2]byte
		if n, _ := t.host.ReadFile(t.name, next[:], t.read+int64(len(raw))); n == 2 {
			raw = append(raw, next[:]...)
			t.read += 2
		}
	}
	for i := 0; i+1 < len(raw); i += 2 {
		r := rune(order.Uint16(raw[i:]))
		if utf16.IsSurrogate(r) {
			pair := rune(utf8.RuneError)
			if i+3 < len(raw) {
				pair = utf16.DecodeRune(r, rune(order.Uint16(raw[i+2:])))
			}
			if pair != utf8.RuneError {
				i += 2
			}
			r = pair
		}
		t.buf = utf8.AppendRune(t.buf, r)
	}
	if len(raw)%2 != 0 {
		t.buf = utf8.AppendRune(t.buf, utf8.RuneError)
	}
}

// skip consumes n decoded bytes.
func (t *text) skip(n int) {
	t.at = min(t.at+t.size(t.buf[t.pos:t.pos+n]), t.read) // half a unit at the end of a file counts as one
	t.pos += n
}

// size returns how many raw bytes the decoded bytes took.
func (t *text) size(b []byte) int64 {
	if t.enc == utf8Text {
		return int64(len(b))
	}
	units := 0
	for _, r := range string(b) {
		units++
		if r > 0xffff {
			units++
		}
	}
	return int64(2 * units)
}

// String says where the reader stands, for errors.
func (t *text) String() string { return fmt.Sprintf("%s at byte %d", t.name, t.at) }
