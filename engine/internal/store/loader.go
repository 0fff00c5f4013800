package store

import (
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/ristretto/v2/z"
)

// loader fills an empty tree with records in the order of their keys. They go straight into tables: nothing is
// logged, and nothing is left to compact.
type loader struct {
	db    *badger.DB
	w     *badger.StreamWriter
	buf   *z.Buffer
	space *space
	bytes int64 // loaded
	ended bool
}

const (
	loadBatch = 1 << 20  // bytes handed to Badger at once, after a look at the free space
	loadRoom  = 32 << 20 // bytes that must be free for that, besides the reserve
)

// load begins to fill db. Either finish or cancel must be called.
func load(db *badger.DB, sp *space) (l *loader, err error) {
	defer recovered(&err)
	l = &loader{db: db, w: db.NewStreamWriter(), space: sp, buf: z.NewBuffer(2*loadBatch, "closedloop.load")}
	if err := l.w.Prepare(); err != nil {
		l.cancel()
		return nil, fmt.Errorf("store: load: %w", err)
	}
	return l, nil
}

// add loads a record as it is stored, under the number of the commit that wrote it. Both are copied.
func (l *loader) add(key, record []byte, version uint64) error {
	badger.KVToBuffer(&pb.KV{Key: key, Value: record, Version: version}, l.buf)
	l.bytes += int64(len(key) + len(record))
	if l.buf.LenNoPadding() < loadBatch {
		return nil
	}
	return l.flush()
}

func (l *loader) flush() (err error) {
	defer recovered(&err)
	if err := l.space.check(loadRoom); err != nil {
		return err
	}
	if err := l.w.Write(l.buf); err != nil {
		return fmt.Errorf("store: load: %w", err)
	}
	l.buf.Reset()
	return nil
}

// history loads the history of a store whose last commit is number last: all of it is in tables.
func (l *loader) history(last uint64) error {
	return l.add(historyKey(), historyRecord(last, last), last)
}

// finish makes what was loaded durable.
func (l *loader) finish() (err error) {
	defer recovered(&err)
	if err := l.flush(); err != nil {
		return err
	}
	l.ended = true
	err = errors.Join(l.w.Flush(), l.buf.Release())
	if err != nil {
		return fmt.Errorf("store: load: %w", err)
	}
	return nil
}

// cancel ends a load that was not finished.
func (l *loader) cancel() {
	if l.ended {
		return
	}
	l.ended = true
	var err error
	defer recovered(&err) // what is loaded is removed
	l.w.Cancel()
	_ = l.buf.Release()
}
