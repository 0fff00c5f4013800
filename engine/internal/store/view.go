package store

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/dgraph-io/badger/v4"
)

// Reader reads records; Tx and Snapshot are the two.
type Reader interface {
	// Get returns the payload of the record under key, or ErrNotFound. The payload must not be changed.
	Get(key []byte) ([]byte, error)
}

var (
	_ Reader = (*Tx)(nil)
	_ Reader = (*Snapshot)(nil)
)

// Snapshot is the state as of one commit. Goroutines may share one, until the function of its View returns.
type Snapshot struct {
	s   *Store
	db  *badger.DB
	txn *badger.Txn
	at  uint64
}

// View runs fn on the last durable commit. It never waits for an update. A View that stays open keeps old versions
// on disk, and Close waits for it. Errors besides fn's: ErrClosed.
func (s *Store) View(fn func(*Snapshot) error) error { return s.view(nil, fn) }

// view runs fn on the last durable commit, and atStart, if any, at the moment of choosing it and with mu held.
func (s *Store) view(atStart func(), fn func(*Snapshot) error) error {
	p, err := s.pin(atStart)
	if err != nil {
		return err
	}
	txn := p.db.NewTransactionAt(p.at, false)
	defer func() {
		s.discard(txn)
		s.unpin(p)
	}()
	return fn(&Snapshot{s: s, db: p.db, txn: txn, at: p.at})
}

// pinned is a commit that stays readable.
type pinned struct {
	db *badger.DB
	at uint64
}

// pin keeps the last durable commit readable until it is unpinned.
func (s *Store) pin(atStart func()) (pinned, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return pinned{}, ErrClosed
	}
	if atStart != nil {
		atStart()
	}
	p := pinned{s.db, s.durable.Load()}
	s.readers[p.at]++
	s.views[p.db]++
	return p, nil
}

func (s *Store) unpin(p pinned) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readers[p.at]--; s.readers[p.at] == 0 {
		delete(s.readers, p.at)
	}
	if s.views[p.db]--; s.views[p.db] == 0 {
		delete(s.views, p.db)
		s.idle.Broadcast()
	}
}

// discard ends a transaction. Badger panics when reading damaged data left an iterator behind.
func (s *Store) discard(txn *badger.Txn) {
	var err error
	defer recovered(&err) // the read has returned its own error
	txn.Discard()
}

// oldest returns the oldest commit that an open View sees, else the last one; the caller holds mu.
func (s *Store) oldest() uint64 {
	at := s.durable.Load()
	for r := range s.readers {
		at = min(at, r)
	}
	return at
}

// Commit returns the number of the commit that the snapshot shows. 0 is the empty store.
func (sn *Snapshot) Commit() uint64 { return sn.at }

// Get returns the payload of the record under key, or ErrNotFound. The caller owns it.
func (sn *Snapshot) Get(key []byte) ([]byte, error) { return sn.s.get(sn.txn, key) }

// get reads and checks one record.
func (s *Store) get(txn *badger.Txn, key []byte) (p []byte, err error) {
	defer s.readFault(&key, &err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // a table that cannot be read is a fault in a memory map
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) || errors.Is(err, badger.ErrEmptyKey) {
		if s.below != nil {
			return s.below.get(key)
		}
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("store: reading %q: %w", key, err)
	}
	err = item.Value(func(record []byte) error {
		if s.isBuried(record) {
			return ErrNotFound
		}
		p, err = payload(key, record)
		return err
	})
	return p, err
}

// Scan calls fn with the records whose keys begin with prefix, in the order of their keys, or backwards. It starts
// at from, or behind it when there is no such key; a nil from means the first of the prefix (the last when
// backwards). It ends when fn returns false or an error, which Scan returns. Key and payload are valid during the
// call only.
func (sn *Snapshot) Scan(prefix, from []byte, reverse bool, fn func(key, payload []byte) (more bool, err error)) (err error) {
	var key, record []byte
	defer sn.s.readFault(&key, &err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	o := badger.IteratorOptions{Reverse: reverse, AllVersions: !reverse}
	if !reverse {
		o.Prefix = prefix
	}
	it := sn.txn.NewIterator(o)
	defer it.Close()
	steps := mostSteps
	for it.Seek(scanStart(prefix, from, reverse)); it.Valid(); steps = next(it, &key, steps) {
		item := it.Item()
		key = item.KeyCopy(key)
		if o.AllVersions && item.IsDeletedOrExpired() {
			continue
		}
		if key[0] == 0 || !bytes.HasPrefix(key, prefix) {
			if reverse && bytes.Compare(key, prefix) < 0 {
				return nil
			}
			continue // the successor of the prefix, when going backwards
		}
		if record, err = item.ValueCopy(record); err != nil {
			return fmt.Errorf("store: reading %q: %w", key, err)
		}
		if sn.s.isBuried(record) {
			continue
		}
		p, err := payload(key, record)
		if err != nil {
			return err
		}
		if more, err := call(fn, key, p); err != nil || !more {
			return err
		}
	}
	return nil
}

// mostSteps is how many versions of a record may be stepped over: from there on it is cheaper to seek what follows them.
const mostSteps = 32

// next goes on to the key behind the present one. A record that is rewritten with every commit has thousands of versions
// until they are compacted, which Badger would step over one by one. It seeks after so many steps, and returns how many to
// take the next time: records that lie side by side were rewritten about as often.
func next(it *badger.Iterator, key *[]byte, steps int) int {
	for range steps {
		if it.Next(); !it.Valid() || !bytes.Equal(it.Item().Key(), *key) {
			return min(2*steps, mostSteps)
		}
	}
	*key = append(*key, 0)
	it.Seek(*key)
	return max(steps/2, 1)
}

// scanStart returns the key to seek.
func scanStart(prefix, from []byte, reverse bool) []byte {
	if !reverse {
		if bytes.Compare(from, prefix) > 0 {
			return from
		}
		if len(prefix) == 0 {
			return []byte{1}
		}
		return prefix
	}
	end := successor(prefix)
	if from != nil && (end == nil || bytes.Compare(from, end) < 0) {
		return from
	}
	return end
}

// successor returns the smallest key above all that begin with prefix, or nil when there is none.
func successor(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xFF {
			s := bytes.Clone(prefix[:i+1])
			s[i]++
			return s
		}
	}
	return nil
}

// callerPanic carries a panic of a caller's function through the recovery of faults.
type callerPanic struct{ value any }

func call(fn func(key, payload []byte) (bool, error), key, p []byte) (more bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			panic(callerPanic{r})
		}
	}()
	return fn(key, p)
}

// readFault, deferred, turns a panic while reading damaged data into an error that names the last key.
func (s *Store) readFault(key *[]byte, err *error) {
	r := recover()
	switch v := r.(type) {
	case nil:
		return
	case callerPanic:
		panic(v.value)
	}
	if perr := s.poison(); perr != nil {
		*err = perr
		return
	}
	*err = errorf(ErrCorrupt, corruptHint, "reading at %q: %v", *key, r)
}

// recovered, deferred, turns a panic of Badger on damaged data into an error.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = errorf(ErrCorrupt, corruptHint, "%v", r)
	}
}
