package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/dgraph-io/badger/v4"
)

// Compacted says what Compact did.
type Compacted struct {
	Before  Sizes  `json:"before"`
	After   Sizes  `json:"after"`
	Records uint64 `json:"records"` // written anew
}

// Compact writes all records anew into a tree of their own, which then takes the place of the old one, whose files are
// removed. What was deleted or overwritten before Compact began is in no file of the directory afterwards.
//
// Updates and Views go on; updates wait while the last changes are copied. Progress, which may be nil, is told how many
// of about how many bytes are written. A process that is killed leaves the one tree or the other. Errors: ErrFull when
// there is no room for a second tree, ErrCorrupt, ErrClosed, ErrPoisoned, or ctx's; the store is as it was then.
func (s *Store) Compact(ctx context.Context, progress func(done, total int64)) (c Compacted, err error) {
	s.upkeep.Lock()
	defer s.upkeep.Unlock()
	old, oldTree := s.db, s.tree
	if c.Before, err = sizesOf(s.path(oldTree)); err != nil {
		return c, err
	}
	// Besides the records there is the log of the new tree, and a table of what is in that of the old one.
	if err := s.space.check(c.Before.Tables + c.Before.Logs + 4*old.Opts().MemTableSize); err != nil {
		return c, err
	}
	name, err := nextTree(oldTree)
	if err != nil {
		return c, err
	}
	w := &rewrite{s: s, ctx: ctx, name: name, progress: progress}
	// The View keeps Badger from forgetting what is changed or deleted meanwhile.
	if err := s.View(w.run); err != nil {
		return c, errors.Join(err, w.abandon())
	}
	if err := s.retire(old, oldTree); err != nil {
		return c, err
	}
	c.Records = w.records
	c.After, err = sizesOf(s.path(name))
	return c, err
}

func (s *Store) path(tree string) string { return filepath.Join(s.dir, tree) }

// retire waits for the Views of a tree that no longer counts, and removes it.
func (s *Store) retire(db *badger.DB, tree string) error {
	s.mu.Lock()
	for s.views[db] > 0 {
		s.idle.Wait()
	}
	s.mu.Unlock()
	if !s.space.makeRoom(2 * db.Opts().MemTableSize) {
		return errorf(ErrFull, "the old files are removed when the store is opened again", "no room to close %s cleanly", s.path(tree))
	}
	if err := closeBadger(db); err != nil {
		return err
	}
	if err := os.RemoveAll(s.path(tree)); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// rewrite is a tree that is being written to take the place of the present one.
type rewrite struct {
	s        *Store
	ctx      context.Context
	name     string
	db       *badger.DB // nil while it is closed
	records  uint64
	progress func(done, total int64)
	kept     bool // the new tree may be the one that counts
}

// run copies the snapshot, then what was committed meanwhile, then, while no update runs, the rest.
func (w *rewrite) run(sn *Snapshot) error {
	if err := sn.checkTables(w.ctx); err != nil {
		return err
	}
	if err := os.Mkdir(w.s.path(w.name), 0o700); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := w.copyAll(sn); err != nil {
		return err
	}
	at := sn.at
	err := w.s.View(func(now *Snapshot) error {
		from := at
		at = now.at
		return w.catchUp(now.txn, from, at)
	})
	if err != nil {
		return err
	}
	return w.s.pause(w.ctx, func() error {
		if err := w.s.poison(); err != nil {
			return err
		}
		last := w.s.durable.Load()
		txn := w.s.db.NewTransactionAt(last, false)
		err := w.catchUp(txn, at, last)
		w.s.discard(txn)
		if err != nil {
			return err
		}
		return w.takeOver(last)
	})
}

// copyAll fills the new tree with the records of a snapshot.
func (w *rewrite) copyAll(sn *Snapshot) (err error) {
	if err := w.open(); err != nil {
		return err
	}
	l, err := load(w.db, w.s.space)
	if err != nil {
		return err
	}
	defer l.cancel()
	total, n := tableBytes(sn.db), 0
	err = w.s.stored(sn.txn, badger.IteratorOptions{}, func(item *badger.Item, record []byte) error {
		if bytes.Equal(item.Key(), historyKey()) {
			return l.history(sn.at)
		}
		if item.Key()[0] != 0 {
			w.records++
		}
		if n++; n%4096 == 0 {
			if err := w.ended(); err != nil {
				return err
			}
			if w.progress != nil {
				w.progress(min(l.bytes, total), total)
			}
		}
		return l.add(item.Key(), record, item.Version())
	})
	if err != nil {
		return err
	}
	if err := l.finish(); err != nil {
		return err
	}
	return w.close()
}

// ended returns why the rewriting is to stop.
func (w *rewrite) ended() error {
	select {
	case <-w.s.quit:
		return ErrClosed
	case <-w.ctx.Done():
		return w.ctx.Err()
	default:
		return nil
	}
}

// catchUp copies what was committed after from up to the commit that txn sees, and closes the new tree, which makes
// tables of it.
func (w *rewrite) catchUp(txn *badger.Txn, from, to uint64) error {
	if err := w.ended(); err != nil || from == to {
		return err
	}
	if err := w.open(); err != nil {
		return err
	}
	batch := w.db.NewManagedWriteBatch()
	defer batch.Cancel()
	var last []byte
	size := int64(0)
	err := w.s.stored(txn, badger.IteratorOptions{AllVersions: true, SinceTs: from}, func(item *badger.Item, record []byte) error {
		if bytes.Equal(item.Key(), last) || bytes.Equal(item.Key(), historyKey()) {
			return nil
		}
		last = item.KeyCopy(nil)
		if size += int64(len(last) + len(record)); size >= loadBatch {
			size = 0
			if err := errors.Join(w.s.space.check(loadRoom), w.ended()); err != nil {
				return err
			}
		}
		if last[0] != 0 {
			w.records++
		}
		if item.IsDeletedOrExpired() {
			return batch.DeleteAt(last, item.Version())
		}
		return batch.SetEntryAt(badger.NewEntry(last, bytes.Clone(record)), item.Version())
	})
	if err != nil {
		return err
	}
	if err := errors.Join(batch.SetEntryAt(badger.NewEntry(historyKey(), historyRecord(to, to)), to), batch.Flush()); err != nil {
		return fmt.Errorf("store: compact: %w", err)
	}
	return w.close()
}

func (w *rewrite) open() (err error) {
	w.db, err = w.s.openBadger(w.s.path(w.name))
	return err
}

func (w *rewrite) close() error {
	db := w.db
	w.db = nil
	return closeBadger(db)
}

// takeOver makes the new tree, which holds everything up to the last commit, the one that counts.
func (w *rewrite) takeOver(last uint64) error {
	if err := syncTree(w.s.path(w.name)); err != nil {
		return fmt.Errorf("store: compact: %w", err)
	}
	if err := w.open(); err != nil {
		return err
	}
	if at, _, err := readHistory(w.db); err != nil || at != last {
		return errors.Join(err, errorf(ErrCorrupt, "", "the new tree ends with commit %d, expected %d", at, last))
	}
	if err := setCurrent(w.s.dir, w.name); err != nil {
		w.kept = true // which one counts is known only after Open; both hold every commit
		return w.s.fail(last, err)
	}
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	w.s.db, w.s.tree, w.s.floor, w.s.floorBytes = w.db, w.name, last, 0
	w.db, w.kept = nil, true
	return nil
}

// abandon removes what a rewriting that failed has written.
func (w *rewrite) abandon() error {
	var err error
	if w.db != nil {
		err = w.close()
	}
	if w.kept {
		return err
	}
	return errors.Join(err, os.RemoveAll(w.s.path(w.name)))
}

// pause runs fn between two commits, while no update runs.
func (s *Store) pause(ctx context.Context, fn func() error) error {
	done := make(chan error, 1)
	select {
	case s.chores <- func() { done <- fn() }:
		return <-done
	case <-s.stopped:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stored calls fn with items of all keyspaces, the store's own too, as they are stored, after a look at their checksums.
// Both are valid during the call only.
func (s *Store) stored(txn *badger.Txn, o badger.IteratorOptions, fn func(item *badger.Item, record []byte) error) (err error) {
	var key, record []byte
	defer s.readFault(&key, &err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	it := txn.NewIterator(o)
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		item := it.Item()
		key = item.KeyCopy(key)
		record = record[:0]
		if !item.IsDeletedOrExpired() {
			if record, err = item.ValueCopy(record); err != nil {
				return fmt.Errorf("store: reading %q: %w", key, err)
			}
			if _, err := payload(key, record); err != nil {
				return err
			}
		}
		if err := fn(item, record); err != nil {
			return err
		}
	}
	return nil
}

// tableBytes returns about how many bytes of keys and records the tables of a database hold, which a View keeps open.
func tableBytes(db *badger.DB) int64 {
	n := int64(0)
	for _, t := range db.Tables() {
		n += int64(t.UncompressedSize)
	}
	return n
}
