// Package audit keeps a log of what people and the engine did, in which nothing can be changed or left out unnoticed.
//
// What holds:
//
//   - An entry is written in the update that does what it tells of: neither is there without the other.
//   - Entries are numbered from 1 without a gap and are never changed. Each carries the digest of the one before it, and
//     the head the digest of the last one.
//   - Verify finds an entry that was changed, removed, added in between or cut off at the end. Whoever can write the
//     whole log anew, with the head, can only be found out by somebody who noted an earlier Head elsewhere.
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
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Entry is one act. Its JSON is what is stored and what digests are made of.
type Entry struct {
	N    uint64          `json:"n"` // from 1
	At   feedback.Time   `json:"at"`
	Kind string          `json:"kind"`           // what was done, such as "rules.activate"
	Who  string          `json:"who"`            // a person, or "engine"
	What string          `json:"what,omitempty"` // the id of what it was done to
	Why  string          `json:"why,omitempty"`
	Data json.RawMessage `json:"data,omitempty"` // what belongs to the kind
	Prev string          `json:"prev"`           // the digest of the entry before it, in hexadecimal; empty in the first
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
	last, err := HeadOf(tx)
	if err != nil {
		return Head{}, err
	}
	for _, e := range entries {
		e.N, e.Prev = last.N+1, last.Digest
		payload, err := json.Marshal(&e)
		if err != nil {
			return Head{}, fmt.Errorf("audit: entry %d: %w", e.N, err)
		}
		tx.Set(entryKey(e.N), payload)
		last = Head{N: e.N, Digest: digest(payload)}
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

// Each calls yield with the entries from the last one on back, or with forward from the first one on, until it returns
// false or an error.
func Each(s *store.Snapshot, forward bool, yield func(Entry) (bool, error)) error {
	return s.Scan(entryPrefix(), nil, !forward, func(_, payload []byte) (bool, error) {
		var e Entry
		if err := json.Unmarshal(payload, &e); err != nil {
			return false, fmt.Errorf("audit: %w", err)
		}
		return yield(e)
	})
}

// DamageError says where the log is not what was written.
type DamageError struct {
	N      uint64 // the entry at which it shows
	Reason string
}

func (e *DamageError) Error() string { return fmt.Sprintf("audit: entry %d: %s", e.N, e.Reason) }

// Verify goes through the whole log and returns its head. The error is a *DamageError when something in it was changed,
// or the store's when it cannot be read.
func Verify(s *store.Snapshot) (Head, error) {
	var at Head
	err := s.Scan(entryPrefix(), nil, false, func(key, payload []byte) (bool, error) {
		next := at.N + 1
		k := store.ReadKey(key)
		k.Str()
		if n := k.Uint64(); k.Err() != nil || n != next {
			return false, &DamageError{next, "it is missing"}
		}
		var e Entry
		if err := json.Unmarshal(payload, &e); err != nil {
			return false, &DamageError{next, "it is no entry: " + err.Error()}
		}
		switch {
		case e.N != next:
			return false, &DamageError{next, fmt.Sprintf("found entry %d in its place", e.N)}
		case e.Prev != at.Digest:
			return false, &DamageError{next, "the entry before it is not the one that it was written after"}
		}
		at = Head{N: next, Digest: digest(payload)}
		return true, nil
	})
	if err != nil {
		return Head{}, err
	}
	said, err := HeadOf(s)
	switch {
	case err != nil:
		return Head{}, err
	case said.N > at.N:
		return Head{}, &DamageError{at.N + 1, "it is missing"}
	case said != at:
		return Head{}, &DamageError{at.N, "it is not the entry that the log ended with"}
	}
	return at, nil
}
