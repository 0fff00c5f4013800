package store

import (
	"context"

	"github.com/dgraph-io/badger/v4"
)

// Survey says what a store holds and what it takes.
type Survey struct {
	ID     string
	Format int
	Commit uint64
	Spaces map[byte]Space // by keyspace; the store's own records are in 0
	Levels []Level        // that hold tables, the newest records first
	Stale  int64          // bytes in tables that were overwritten or deleted, as far as Badger counted
	Sizes  Sizes
}

// Space is what one keyspace holds.
type Space struct {
	Records int64
	Bytes   int64 // of keys and records
}

// Level is one level of the tree.
type Level struct {
	Level  int   `json:"level"`
	Tables int   `json:"tables"`
	Bytes  int64 `json:"bytes"`
}

// Survey counts the records of every keyspace. It reads all keys; progress, which may be nil, is told how many of about
// how many bytes.
func (s *Store) Survey(ctx context.Context, progress func(done, total int64)) (v Survey, err error) {
	v.Spaces = map[byte]Space{}
	err = s.View(func(sn *Snapshot) error {
		v.ID, v.Format, v.Commit = s.identity.ID, s.identity.Format, sn.at
		if v.Sizes, err = sizesOf(sn.db.Opts().Dir); err != nil {
			return err
		}
		for _, l := range sn.db.Levels() {
			if l.NumTables > 0 {
				v.Levels = append(v.Levels, Level{l.Level, l.NumTables, l.Size})
			}
			v.Stale += l.StaleDatSize
		}
		return v.count(ctx, sn, progress)
	})
	return v, err
}

func (v *Survey) count(ctx context.Context, sn *Snapshot, progress func(done, total int64)) (err error) {
	var key []byte
	defer sn.s.readFault(&key, &err)
	total, done, n := tableBytes(sn.db), int64(0), 0
	it := sn.txn.NewIterator(badger.IteratorOptions{})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		key = it.Item().KeyCopy(key)
		space := v.Spaces[key[0]]
		size := int64(len(key)) + it.Item().ValueSize()
		space.Records++
		space.Bytes += size
		v.Spaces[key[0]] = space
		done += size
		if n++; n%4096 != 0 {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if progress != nil {
			progress(min(done, total), total)
		}
	}
	return nil
}
