package store

import (
	"encoding/binary"
	"errors"
	"strings"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// The keyspaces: the first byte of every key.
const (
	KeyItem         byte = 'f' // item
	KeySeen         byte = 'd' // source, external id: the item's id and versions
	KeyCustomer     byte = 'c' // customer
	KeyIndex        byte = 'i' // secondary indexes
	KeyLabels       byte = 'l' // effective labels
	KeyLabelHistory byte = 'L' // every change of labels
	KeyDecision     byte = 'r' // decision of the rules
	KeyEffect       byte = 'e' // effects recorded, one per item, rule, kind and target
	KeyCase         byte = 'k' // case
	KeyTimer        byte = 'w' // the timer wheel; see SetTimer
	KeyOutbox       byte = 'o' // deliveries due
	KeyDead         byte = 'x' // dead letters
	KeyAlert        byte = 'a' // alert groups
	KeySilence      byte = 'z' // silences, and how alerts are told
	KeyWindow       byte = 'b' // buckets of windows
	KeyThrottle     byte = 't' // firings of throttled rules
	KeyCheckpoint   byte = 'p' // checkpoints of connectors
	KeyRollup       byte = 'u' // rollups
	KeyPlugin       byte = 'g' // plugins' own key-value pairs
	KeyRuleset      byte = 'v' // rulesets
	KeyMeta         byte = 'm' // meta
	KeyAudit        byte = 'y' // hash-chained audit
)

// MaxKeyBytes is the length of the longest key.
const MaxKeyBytes = 16 << 10

// A string in a key ends with 0x00 0x01, and a zero byte in it is 0x00 0xFF. So no string is a prefix of another,
// and keys sort as the tuples of their fields do.
const (
	escapedZero = 0xFF
	terminator  = 0x01
)

// Key is a key under construction: a keyspace, then fields. Keys sort like the tuples of their fields. A Key is
// never changed; each method returns a longer one.
type Key struct{ b []byte }

// NewKey begins a key in a keyspace.
func NewKey(space byte) Key { return Key{append(make([]byte, 0, 48), space)} }

// grow returns the key's bytes with room for n more; appending to them changes no other Key.
func (k Key) grow(n int) []byte {
	b := make([]byte, len(k.b), len(k.b)+n)
	copy(b, k.b)
	return b
}

// Str adds a string, of any bytes.
func (k Key) Str(s string) Key { return Key{appendString(k.grow(len(s)+2), s)} }

func appendString(b []byte, s string) []byte {
	for {
		i := strings.IndexByte(s, 0)
		if i < 0 {
			return append(append(b, s...), 0, terminator)
		}
		b = append(append(b, s[:i]...), 0, escapedZero)
		s = s[i+1:]
	}
}

// Uint64 adds an unsigned integer.
func (k Key) Uint64(n uint64) Key { return Key{binary.BigEndian.AppendUint64(k.grow(8), n)} }

// Time adds an instant. Instants before 1970 sort first.
func (k Key) Time(t feedback.Time) Key { return k.Uint64(uint64(t) ^ 1<<63) }

// Bytes returns the key. It must not be changed.
func (k Key) Bytes() []byte { return k.b }

// KeyReader reads the fields of a key, in the order in which they were added.
type KeyReader struct {
	b   []byte
	err error
}

var errKeyField = errors.New("store: key does not hold the field that was asked for")

// ReadKey begins reading a key behind its keyspace.
func ReadKey(key []byte) *KeyReader {
	if len(key) == 0 {
		return &KeyReader{err: errKeyField}
	}
	return &KeyReader{b: key[1:]}
}

// Str reads a string.
func (r *KeyReader) Str() string {
	var out []byte
	for i := 0; i+1 < len(r.b); i++ {
		if r.b[i] != 0 {
			continue
		}
		part, mark := r.b[:i], r.b[i+1]
		r.b = r.b[i+2:]
		if mark == terminator && out == nil {
			return string(part)
		}
		out = append(out, part...)
		switch mark {
		case terminator:
			return string(out)
		case escapedZero:
			out = append(out, 0)
			i = -1
		default:
			r.fail()
			return ""
		}
	}
	r.fail()
	return ""
}

// Uint64 reads an unsigned integer.
func (r *KeyReader) Uint64() uint64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	n := binary.BigEndian.Uint64(r.b)
	r.b = r.b[8:]
	return n
}

// Time reads an instant.
func (r *KeyReader) Time() feedback.Time {
	n := r.Uint64()
	if r.err != nil {
		return 0
	}
	return feedback.Time(n ^ 1<<63)
}

// Done reports whether all fields were read.
func (r *KeyReader) Done() bool { return len(r.b) == 0 }

// Err returns an error when a field that was asked for was not there.
func (r *KeyReader) Err() error { return r.err }

func (r *KeyReader) fail() {
	r.b = nil
	r.err = errKeyField
}
