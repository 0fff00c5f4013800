package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/closedloop/closedloop/engine/internal/store"
)

// KindErased is the kind of the entries that say which bodies were erased. Their data are an Erasure.
const KindErased = "audit.erased"

// Erasure names entries whose body is gone.
type Erasure struct {
	Entries []uint64 `json:"entries"`
}

// Erase takes the bodies of entries out and returns those that had one. The caller appends an entry of KindErased that
// names them, in the same update.
func Erase(tx *store.Tx, entries []uint64) (done []uint64, err error) {
	for _, n := range entries {
		payload, err := tx.Get(entryKey(n))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		s, err := decode(payload)
		if err != nil {
			return nil, fmt.Errorf("audit: entry %d: %w", n, err)
		}
		if s.erased() || s.Kind == KindErased {
			continue
		}
		if s.Sum == "" {
			if s.What == "" && s.Why == "" && len(s.Data) == 0 {
				continue
			}
			s.Digest = s.digest
		}
		s.What, s.Why, s.Data = "", "", nil
		rest, err := json.Marshal(&s.front)
		if err != nil {
			return nil, fmt.Errorf("audit: entry %d: %w", n, err)
		}
		tx.Set(entryKey(n), rest)
		done = append(done, n)
	}
	return done, nil
}

// DamageError says where the log is not what was written.
type DamageError struct {
	N      uint64 // the entry at which it shows
	Reason string
}

func (e *DamageError) Error() string { return fmt.Sprintf("audit: entry %d: %s", e.N, e.Reason) }

// Verify goes through the whole log and returns its head, and how many bodies were erased. The error is a *DamageError when
// something in it was changed, the store's when it cannot be read, or ctx's.
func Verify(ctx context.Context, s *store.Snapshot) (Head, int, error) {
	v := verification{gone: map[uint64]bool{}}
	err := s.Scan(entryPrefix(), nil, false, func(key, payload []byte) (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		return v.next(key, payload)
	})
	if err != nil {
		return Head{}, 0, err
	}
	said, err := HeadOf(s)
	switch at := v.at; {
	case err != nil:
		return Head{}, 0, err
	case said.N > at.N:
		return Head{}, 0, &DamageError{at.N + 1, "it is missing"}
	case said != at:
		return Head{}, 0, &DamageError{at.N, "it is not the entry that the log ended with"}
	case len(v.gone) > 0:
		return Head{}, 0, &DamageError{slices.Min(slices.Collect(maps.Keys(v.gone))), "what it says is gone, and no entry says that it was erased"}
	}
	return v.at, v.erased, nil
}

// verification is a log that is gone through from its beginning.
type verification struct {
	at     Head
	gone   map[uint64]bool // bodies that are gone and not yet said to be
	erased int
	summed bool // an entry had a sum: none of old comes behind it
}

func (v *verification) next(key, payload []byte) (bool, error) {
	next := v.at.N + 1
	k := store.ReadKey(key)
	k.Str()
	if n := k.Uint64(); k.Err() != nil || n != next {
		return false, &DamageError{next, "it is missing"}
	}
	e, err := decode(payload)
	if err != nil {
		return false, &DamageError{next, "it is no entry: " + err.Error()}
	}
	switch {
	case e.N != next:
		return false, &DamageError{next, fmt.Sprintf("found entry %d in its place", e.N)}
	case e.Prev != v.at.Digest:
		return false, &DamageError{next, "the entry before it is not the one that it was written after"}
	case e.Digest != "" && v.summed:
		return false, &DamageError{next, "it says what its digest is, which entries of old alone do"}
	case e.raw != nil && sumOf(e.raw) != e.Sum:
		return false, &DamageError{next, "what it says is not what was said"}
	case e.erased():
		v.gone[next] = true
		v.erased++
	case e.Kind == KindErased:
		var said Erasure
		if err := json.Unmarshal(e.body.Data, &said); err != nil {
			return false, &DamageError{next, "it does not say what was erased: " + err.Error()}
		}
		for _, n := range said.Entries {
			delete(v.gone, n)
		}
	}
	v.summed = v.summed || e.Sum != ""
	v.at = Head{N: next, Digest: e.digest}
	return true, nil
}
