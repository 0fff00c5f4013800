package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"runtime/debug"

	"github.com/dgraph-io/badger/v4"

	"github.com/closedloop/closedloop/engine/internal/backup"
)

// The log of what is gone lets an incremental backup say which keys were deleted since its base: Badger forgets
// deletions when it compacts. From the first backup on, a commit that deletes writes the hashes of the keys under its
// number. Hashes, so that nothing of what was deleted is left.
//
// The log is kept while it is small; what is too much is taken off its beginning, and an incremental backup since a
// commit before that is refused.
type goneLog struct {
	on    bool
	from  uint64 // it has everything that was deleted after this commit
	total uint64 // bytes of hashes, ever; each entry holds the total up to it
	off   uint64 // the total that was taken off
}

// leastLog is how many bytes of hashes are kept in any case, else an eighth of what the tables hold.
const leastLog = 16 << 20

func goneKey() []byte { return []byte{0, 'g'} }

func goneEntryPrefix() []byte { return []byte{0, 'l'} }

func goneEntryKey(commit uint64) []byte {
	return binary.BigEndian.AppendUint64(goneEntryPrefix(), commit)
}

// goneRecord says from where on the log is whole.
func goneRecord(from, off uint64) []byte {
	return sealed(goneKey(), binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, from), off))
}

// readGone takes up the log.
func (s *Store) readGone() error {
	last := s.durable.Load()
	if last == 0 {
		return nil
	}
	txn := s.db.NewTransactionAt(last, false)
	defer s.discard(txn)
	p, err := s.get(txn, goneKey())
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err == nil && len(p) < 16 {
		err = errorf(ErrCorrupt, corruptHint, "the log of deletions has %d bytes", len(p))
	}
	if err != nil {
		return err
	}
	s.gone = goneLog{on: true, from: binary.BigEndian.Uint64(p), off: binary.BigEndian.Uint64(p[8:])}
	s.gone.total = s.gone.off
	return s.goneEntries(txn, last, true, func(commit, total uint64, _ []byte) bool {
		if commit > s.gone.from {
			s.gone.total = total
		}
		return false
	})
}

// goneEntries calls fn with the entries of the log up to a commit, or from there back, until it returns false.
func (s *Store) goneEntries(txn *badger.Txn, to uint64, reverse bool, fn func(commit, total uint64, hashes []byte) bool) (err error) {
	var key []byte
	defer s.readFault(&key, &err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	it := txn.NewIterator(badger.IteratorOptions{Reverse: reverse})
	defer it.Close()
	from := goneEntryPrefix()
	if reverse {
		from = goneEntryKey(to)
	}
	for it.Seek(from); it.Valid() && bytes.HasPrefix(it.Item().Key(), goneEntryPrefix()); it.Next() {
		key = it.Item().KeyCopy(key)
		record, err := it.Item().ValueCopy(nil)
		if err != nil {
			return err
		}
		p, err := payload(key, record)
		if err == nil && (len(p) < 8 || len(key) != len(goneEntryKey(0))) {
			err = errorf(ErrCorrupt, corruptHint, "entry %q of the log of deletions has %d bytes", key, len(p))
		}
		if err != nil {
			return err
		}
		commit := binary.BigEndian.Uint64(key[len(goneEntryPrefix()):])
		if commit > to || !fn(commit, binary.BigEndian.Uint64(p), p[8:]) {
			return nil
		}
	}
	return nil
}

// note writes the entry of a commit that deletes, into that commit, and ends a log that has grown far too large. most is
// how many bytes of hashes are worth keeping.
func (g *goneLog) note(txn *badger.Txn, store string, at uint64, writes map[string][]byte, most uint64) error {
	if !g.on {
		return nil
	}
	if g.total-g.off > 2*most {
		*g = goneLog{}
		return write(txn, goneKey(), nil)
	}
	var entry []byte
	for k, v := range writes {
		if v != nil || k[0] == 0 {
			continue
		}
		if entry == nil {
			entry = make([]byte, 8, 8+16*hashBytes)
		}
		h := backup.HashKey(store, []byte(k))
		entry = append(entry, h[:]...)
	}
	if entry == nil {
		return nil
	}
	g.total += uint64(len(entry) - 8)
	binary.BigEndian.PutUint64(entry, g.total)
	return write(txn, goneEntryKey(at), sealed(goneEntryKey(at), entry))
}

// hashBytes is the size of what the log holds of a key.
const hashBytes = len(backup.Hash{})

// goneNow returns the state of the log as of the last commit.
func (s *Store) goneNow() goneLog {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone
}

// commitOwn commits records of the store's own between two commits. fill is told the number that the commit will have
// and fills its group, or leaves it empty.
func (s *Store) commitOwn(ctx context.Context, fill func(at uint64, g *group)) error {
	return s.pause(ctx, func() error {
		g := newGroup(nil)
		g.writes = map[string][]byte{}
		if fill(s.durable.Load()+1, g); len(g.writes) == 0 {
			return nil
		}
		for k, v := range g.writes {
			g.size += entrySize(len(k), len(v))
		}
		return s.commit(g)
	})
}

// startGone has the log begin, if it has not, behind whatever is left of an earlier one.
func (s *Store) startGone(ctx context.Context) error {
	if s.goneNow().on {
		return nil
	}
	return s.commitOwn(ctx, func(at uint64, g *group) {
		if s.goneNow().on { // by now
			return
		}
		g.gone = &goneLog{on: true, from: at}
		g.writes[string(goneKey())] = goneRecord(at, 0)
	})
}

// trimGone takes off the beginning of the log what is too much, and what is left of an earlier one.
func (s *Store) trimGone(ctx context.Context) error {
	for {
		c, err := s.excess()
		if err != nil || len(c.old) == 0 {
			return err
		}
		if err := s.cut(ctx, &c); err != nil {
			return err
		}
	}
}

// excess is what is to be taken off the beginning of the log.
type excess struct {
	log, next goneLog  // as it was and as it will be
	old       []uint64 // the commits whose entries are taken off
}

func (s *Store) excess() (c excess, err error) {
	err = s.View(func(sn *Snapshot) error {
		log := s.goneNow()
		keep := max(s.leastLog, uint64(tableBytes(sn.db)/8))
		tooMuch := log.total-log.off > keep
		c.log, c.next = log, log
		return s.goneEntries(sn.txn, sn.at, false, func(commit, total uint64, _ []byte) bool {
			if len(c.old) == trimAtOnce || commit > log.from && (!tooMuch || log.total-total < keep/2) {
				return false
			}
			if c.old = append(c.old, commit); commit > log.from {
				c.next.from, c.next.off = commit, total
			}
			return true
		})
	})
	return c, err
}

// cut takes it off, unless the log begins elsewhere by now: it would claim to hold what was taken off since.
func (s *Store) cut(ctx context.Context, c *excess) error {
	return s.commitOwn(ctx, func(_ uint64, g *group) {
		if s.gone.on != c.log.on || s.gone.from != c.log.from {
			return
		}
		for _, commit := range c.old {
			g.writes[string(goneEntryKey(commit))] = nil
		}
		if c.next.from != c.log.from {
			c.next.total = s.gone.total
			g.gone = &c.next
			g.writes[string(goneKey())] = goneRecord(c.next.from, c.next.off)
		}
	})
}

// trimAtOnce bounds the entries that one commit takes off.
const trimAtOnce = 1000
