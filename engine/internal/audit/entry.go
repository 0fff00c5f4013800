package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"

	"github.com/closedloop/closedloop/engine/internal/quickjson"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// A record is its front, which digests are made of, a line feed, and its body, which is gone when it was erased. JSON as
// it is written here has no line feed. Entries of old are a front with the members of a body.

// front is what stays of an entry. Its members are in the order in which they are written.
type front struct {
	N    uint64          `json:"n"`
	At   feedback.Time   `json:"at"`
	Kind string          `json:"kind"`
	Who  string          `json:"who"`
	What string          `json:"what,omitempty"` // of an entry of old, as Why and Data
	Why  string          `json:"why,omitempty"`
	Data json.RawMessage `json:"data,omitempty"`
	Sum  string          `json:"sum,omitempty"` // SHA-256 of the body, in hexadecimal
	Prev string          `json:"prev"`
	// Digest is that of an entry of old whose members were erased, before they were.
	Digest string `json:"digest,omitempty"`
}

// body is what can be erased.
type body struct {
	Salt string          `json:"salt"` // keeps anybody from trying out what an erased body may have said
	What string          `json:"what,omitempty"`
	Why  string          `json:"why,omitempty"`
	Data json.RawMessage `json:"data,omitempty"`
}

// stored is a record taken apart.
type stored struct {
	front
	body   body
	digest string
	// raw is the body as it is stored, nil when there is none.
	raw []byte
}

const saltBytes = 16

var (
	fronts = quickjson.For[front](true)
	bodies = quickjson.For[body](true)
)

// encode writes an entry and says how long its front is.
func encode(e *Entry, salts io.Reader) (payload []byte, length int, err error) {
	f := front{N: e.N, At: e.At, Kind: e.Kind, Who: e.Who, Prev: e.Prev}
	var b []byte
	if e.What != "" || e.Why != "" || len(e.Data) > 0 {
		var salt [saltBytes]byte
		if _, err = io.ReadFull(salts, salt[:]); err != nil {
			return nil, 0, err
		}
		b = make([]byte, 0, 128+len(e.What)+len(e.Why)+len(e.Data))
		if b, err = bodies.Append(b, &body{Salt: hex.EncodeToString(salt[:]), What: e.What, Why: e.Why}); err != nil {
			return nil, 0, err
		}
		if len(e.Data) > 0 {
			b = append(append(append(b[:len(b)-1], `,"data":`...), e.Data...), '}')
		}
		f.Sum = sumOf(b)
	}
	if payload, err = fronts.Append(make([]byte, 0, 256+len(b)), &f); err != nil {
		return nil, 0, err
	}
	length = len(payload)
	if b != nil {
		payload = append(append(payload, '\n'), b...)
	}
	return payload, length, nil
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// decode takes a record apart. It does not check the sum of the body.
func decode(payload []byte) (*stored, error) {
	head, raw, _ := bytes.Cut(payload, []byte{'\n'})
	s := &stored{}
	if err := json.Unmarshal(head, &s.front); err != nil {
		return nil, err
	}
	if s.digest = s.Digest; s.digest == "" {
		s.digest = digest(head)
	}
	if len(raw) > 0 {
		s.raw = raw
		if err := json.Unmarshal(raw, &s.body); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// erased reports whether the body was taken out.
func (s *stored) erased() bool { return s.Sum != "" && s.raw == nil || s.Digest != "" }

func (s *stored) entry() Entry {
	e := Entry{
		N: s.N, At: s.At, Kind: s.Kind, Who: s.Who, What: s.body.What, Why: s.body.Why, Data: s.body.Data, Prev: s.Prev, Erased: s.erased(),
	}
	if s.Sum == "" {
		e.What, e.Why, e.Data = s.What, s.Why, s.Data
	}
	return e
}
