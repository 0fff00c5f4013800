// Package audit keeps a log of what people and the engine did, in which nothing can be changed or left out unnoticed.
//
// What holds:
//
//   - An entry is written in the update that does what it tells of: neither is there without the other.
//   - Entries are numbered from 1 without a gap. Each carries the digest of the one before it, and the head the digest of
//     the last one.
//   - What an entry says of whom, the body, is in the digest as its salted hash only. So it can be erased and the rest
//     still be verified; when, by whom and that something was done stays. An erasure is itself an entry that names the
//     entries whose body is gone.
//   - Verify finds an entry that was changed, removed, added in between or cut off at the end, and a body that is gone
//     without an entry that says so. Whoever can write the whole log anew, with the head, can only be found out by
//     somebody who noted an earlier Head elsewhere.
//
// One use:
//
//	err := s.Update(ctx, func(tx *store.Tx) error {
//		tx.Set(key, value)
//		_, err := audit.Append(tx, audit.Entry{At: now, Kind: "rules.activate", Who: "anna", What: hash, Why: why})
//		return err
//	})
package audit

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Entry is one act.
type Entry struct {
	N    uint64          `json:"n"` // from 1
	At   feedback.Time   `json:"at"`
	Kind string          `json:"kind"`           // what was done, such as "rules.activate"
	Who  string          `json:"who"`            // a person, or "engine"
	What string          `json:"what,omitempty"` // the id of what it was done to
	Why  string          `json:"why,omitempty"`
	Data json.RawMessage `json:"data,omitempty"` // what belongs to the kind, as json.Marshal writes it
	Prev string          `json:"prev"`           // the digest of the entry before it, in hexadecimal; empty in the first
	// Erased says that What, Why and Data were taken out; see Erase.
	Erased bool `json:"erased,omitempty"`
}

// Head is the end of the log: how many entries there are, and the digest of the last one. Noted elsewhere, it proves
// later that the log up to there is the same.
type Head struct {
	N      uint64 `json:"n"`
	Digest string `json:"digest,omitempty"`
}

// The first field of keys.
const (
	entries = "entry"
	head    = "head"
)

func entryKey(n uint64) []byte { return store.NewKey(store.KeyAudit).Str(entries).Uint64(n).Bytes() }

func entryPrefix() []byte { return store.NewKey(store.KeyAudit).Str(entries).Bytes() }

func headKey() []byte { return store.NewKey(store.KeyAudit).Str(head).Bytes() }

// domain keeps digests of entries apart from all others.
const domain = "closedloop audit 1\n"

func digest(payload []byte) string {
	h := sha256.New()
	h.Write([]byte(domain))
	h.Write(payload)
	return hex.EncodeToString(h.Sum(nil))
}

// Append writes entries at the end of the log, with their numbers and the digests of those before them, and returns the
// new end.
func Append(tx *store.Tx, entries ...Entry) (Head, error) {
	return AppendSalted(tx, rand.Reader, entries...)
}

// AppendSalted is Append with salts from elsewhere.
func AppendSalted(tx *store.Tx, salts io.Reader, entries ...Entry) (Head, error) {
	last, err := HeadOf(tx)
	if err != nil {
		return Head{}, err
	}
	for _, e := range entries {
		e.N, e.Prev = last.N+1, last.Digest
		payload, front, err := encode(&e, salts)
		if err != nil {
			return Head{}, fmt.Errorf("audit: entry %d: %w", e.N, err)
		}
		tx.Set(entryKey(e.N), payload)
		last = Head{N: e.N, Digest: digest(payload[:front])}
	}
	return last, store.PutNew(tx, headKey(), &last)
}

// HeadOf returns the end of the log, which of an empty one is the zero Head.
func HeadOf(r store.Reader) (Head, error) {
	h, err := store.Load[Head](r, headKey())
	if errors.Is(err, store.ErrNotFound) {
		return Head{}, nil
	}
	if err != nil {
		return Head{}, fmt.Errorf("audit: %w", err)
	}
	return *h, nil
}

// Bodies calls yield with what each entry says of whom, as it is stored, from the first one on, until it returns false or
// an error. Entries that say nothing are left out.
func Bodies(s *store.Snapshot, yield func(n uint64, body []byte) (bool, error)) error {
	return s.Scan(entryPrefix(), nil, false, func(_, payload []byte) (bool, error) {
		e, err := decode(payload)
		if err != nil {
			return false, fmt.Errorf("audit: %w", err)
		}
		switch {
		case e.raw != nil:
			return yield(e.N, e.raw)
		case e.Sum == "" && e.Digest == "":
			return yield(e.N, payload)
		}
		return true, nil
	})
}

// Each calls yield with the entries from the last one on back, or with forward from the first one on, until it returns
// false or an error.
func Each(s *store.Snapshot, forward bool, yield func(Entry) (bool, error)) error {
	return s.Scan(entryPrefix(), nil, !forward, func(_, payload []byte) (bool, error) {
		e, err := decode(payload)
		if err != nil {
			return false, fmt.Errorf("audit: %w", err)
		}
		return yield(e.entry())
	})
}
