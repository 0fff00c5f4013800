package store

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// CurrentFormat is the format in which this version keeps a store. A store of an older one is brought to it by
// migrations; one of a newer one is refused.
const CurrentFormat = 2

// identity is a record of the store's own, which says which store it is and in which format.
type identity struct {
	// ID tells this store from any other. A restored one has an ID of its own: from there on it goes its own way.
	ID     string `json:"id"`
	Format int    `json:"format"`
	// Migration says how far the store is on its way to another format, if it is.
	Migration *Migrating `json:"migration,omitempty"`
}

// Migrating is a migration under way.
type Migrating struct {
	To     int    `json:"to"`
	Cursor []byte `json:"cursor,omitempty"` // where it goes on
}

func identityKey() []byte { return []byte{0, 'i'} }

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

// record returns the record of the identity.
func (id *identity) record() ([]byte, error) {
	p, err := json.Marshal(id)
	if err != nil {
		return nil, fmt.Errorf("store: the identity of the store: %w", err)
	}
	return sealed(identityKey(), p), nil
}

// sealed makes a record.
func sealed(key, payload []byte) []byte {
	b := make([]byte, recordHeader+len(payload))
	copy(b[recordHeader:], payload)
	seal(b, key)
	return b
}

// identity returns the identity as of the snapshot.
func (sn *Snapshot) identity() (identity, error) {
	p, err := sn.Get(identityKey())
	if err != nil {
		return identity{}, fmt.Errorf("store: the identity of the store: %w", err)
	}
	var id identity
	if err := json.Unmarshal(p, &id); err != nil {
		return id, errorf(ErrCorrupt, corruptHint, "the identity of the store: %v", err)
	}
	return id, nil
}

// migration returns how far the store is on its way to another format, as a backup says it.
func (id *identity) migration() ([]byte, error) {
	if id.Migration == nil {
		return nil, nil
	}
	return json.Marshal(id.Migration)
}

// readIdentity takes up which store it is. One that has none yet, because nothing was committed or because it is of
// format 1, gets one with its next commit.
func (s *Store) readIdentity() error {
	last := s.durable.Load()
	s.identity = identity{ID: newID(), Format: CurrentFormat}
	s.unnamed = true
	if last == 0 {
		return nil
	}
	txn := s.db.NewTransactionAt(last, false)
	defer s.discard(txn)
	p, err := s.get(txn, identityKey())
	if errors.Is(err, ErrNotFound) {
		s.identity.Format = 1
		return nil
	}
	if err != nil {
		return err
	}
	s.identity, s.unnamed = identity{}, false
	if err := json.Unmarshal(p, &s.identity); err != nil {
		return errorf(ErrCorrupt, corruptHint, "the identity of the store: %v", err)
	}
	return readable(s.dir, s.identity.Format, s.identity.Migration)
}

// readable returns ErrNewer when what says so is of a format that this version does not know, or on its way to one.
func readable(what string, format int, m *Migrating) error {
	if m != nil && m.To > format {
		format = m.To
	}
	if format > CurrentFormat {
		return errorf(ErrNewer, "use the version that wrote it", "%s has format %d, this version reads up to %d", what, format, CurrentFormat)
	}
	return nil
}

// Format returns the format in which the store is kept.
func (s *Store) Format() int { return s.identity.Format }

// ID returns what tells this store from any other. It is durable from the first commit on.
func (s *Store) ID() string { return s.identity.ID }
