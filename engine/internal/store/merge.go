package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"github.com/dgraph-io/badger/v4"

	"github.com/closedloop/closedloop/engine/internal/backup"
)

// merge goes through the backups of a chain at once, in the order of keys, and yields what they come to: of each key the
// record of the latest backup that has one, unless a later backup says that the key is gone.
type merge struct {
	layers []*backup.Reader
	gone   []map[backup.Hash]struct{} // by layer
	ended  []bool                     // by layer
	store  string

	key, record []byte
	from        string // where the record is from
	records     uint64
	bytes       uint64
	sum         hash.Hash // over all that was yielded
	err         error
}

// newMerge begins with the oldest layer first. Each is to be at its beginning.
func newMerge(layers []*backup.Reader) *merge {
	m := &merge{layers: layers, ended: make([]bool, len(layers)), store: layers[0].Head().Store, sum: sha256.New()}
	for _, l := range layers {
		m.gone = append(m.gone, l.Gone())
	}
	for i := range layers {
		m.advance(i)
	}
	return m
}

func (m *merge) advance(i int) {
	if !m.layers[i].Next() {
		m.ended[i] = true
		if err := m.layers[i].Err(); err != nil && m.err == nil {
			m.err = err
		}
	}
}

// next goes on to the next record, and returns false at the end or with an error. Key and record are valid until then.
func (m *merge) next() bool {
	for m.err == nil {
		low := -1
		for i, l := range m.layers {
			if !m.ended[i] && (low < 0 || bytes.Compare(l.Key(), m.layers[low].Key()) <= 0) {
				low = i // of equal keys the latest layer's
			}
		}
		if low < 0 {
			return false
		}
		m.key = append(m.key[:0], m.layers[low].Key()...)
		m.record = append(m.record[:0], m.layers[low].Record()...)
		m.from = m.layers[low].Head().ID
		for i := range m.layers {
			if !m.ended[i] && bytes.Equal(m.layers[i].Key(), m.key) {
				m.advance(i)
			}
		}
		if !m.goneAfter(low) {
			m.records++
			m.bytes += uint64(len(m.key) + len(m.record))
			addContents(m.sum, m.key, m.record)
			return m.err == nil
		}
	}
	return false
}

// goneAfter reports whether a layer after one says that the key is gone.
func (m *merge) goneAfter(layer int) bool {
	if layer == len(m.layers)-1 {
		return false
	}
	var h backup.Hash
	hashed := false
	for _, gone := range m.gone[layer+1:] {
		if len(gone) == 0 {
			continue
		}
		if !hashed {
			h, hashed = backup.HashKey(m.store, m.key), true
		}
		if _, ok := gone[h]; ok {
			return true
		}
	}
	return false
}

func addContents(sum hash.Hash, key, record []byte) {
	var n [8]byte
	binary.LittleEndian.PutUint32(n[:], uint32(len(key)))
	binary.LittleEndian.PutUint32(n[4:], uint32(len(record)))
	_, _ = sum.Write(n[:])
	_, _ = sum.Write(key)
	_, _ = sum.Write(record)
}

// contents returns a digest of all records of a commit, without those of the store's own.
func (s *Store) contents(at uint64) ([]byte, error) {
	txn := s.db.NewTransactionAt(at, false)
	defer s.discard(txn)
	sum := sha256.New()
	err := s.stored(txn, badger.IteratorOptions{}, func(item *badger.Item, record []byte) error {
		if item.Key()[0] != 0 {
			addContents(sum, item.Key(), record)
		}
		return nil
	})
	return sum.Sum(nil), err
}
