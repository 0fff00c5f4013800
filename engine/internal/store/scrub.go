package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
)

// A flipped bit in a record is found by the record's own checksum when it is read. One in what Badger keeps around it,
// such as the key or the version, would make a record look absent or deleted, or bring an older one back. The blocks of
// tables have checksums for that, but Badger takes a block that fails for an empty one when it reads. So the tables are
// read as a whole: those of a small store before Open returns, those of a large one while it runs.
const (
	scrubAtOnce = 256 << 20 // bytes of tables that Open reads, which takes some tenths of a second
	scrubRate   = 64 << 20  // bytes a second that are read while the store runs
	// acceptFile is made by whoever wants what can still be read: the tables are not checked then.
	acceptFile = "damage-accepted"
)

// damageAccepted reports whether somebody wants what can still be read.
func (s *Store) damageAccepted() bool {
	_, err := os.Stat(filepath.Join(s.dir, acceptFile))
	return err == nil
}

// checkTables checks all tables of the snapshot, before what is read of it takes the place of them: records in a damaged
// block would be left out.
func (sn *Snapshot) checkTables(ctx context.Context) error {
	if sn.s.damageAccepted() {
		return nil
	}
	for _, t := range sn.db.Tables() {
		if _, err := sn.s.checkTable(sn.db, t.ID); err != nil && sn.s.counts(sn.db, t.ID) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// scrub checks the tables, or begins to when there are many.
func (s *Store) scrub() error {
	if s.damageAccepted() {
		return nil
	}
	size := uint64(0)
	db := s.db // a Compact may exchange it
	tables := db.Tables()
	for i := range tables {
		size += uint64(tables[i].OnDiskSize)
	}
	if size > s.opts.scrubAtOnce {
		s.scrubbing.Go(func() { s.scrubSlowly(db, tables) })
		return nil
	}
	for i := range tables {
		if _, err := s.checkTable(db, tables[i].ID); err != nil && s.counts(db, tables[i].ID) {
			return err
		}
	}
	return nil
}

// scrubSlowly checks the tables that there were at Open, with pauses. When one is damaged, no update is accepted any more.
func (s *Store) scrubSlowly(db *badger.DB, tables []badger.TableInfo) {
	for i := range tables {
		n, err := s.checkTable(db, tables[i].ID)
		if err != nil && s.counts(db, tables[i].ID) {
			s.mu.Lock()
			s.failed = fmt.Errorf("%w: %w", ErrPoisoned, err)
			s.mu.Unlock()
			return
		}
		select {
		case <-time.After(time.Second * time.Duration(n) / scrubRate):
		case <-s.quit:
			return
		}
	}
}

// counts reports whether a table is part of the store still: one that is being removed looks damaged.
func (s *Store) counts(db *badger.DB, id uint64) (there bool) {
	_ = s.view(func() { there = db == s.db }, func(*Snapshot) error { // the View keeps db open
		there = there && slices.ContainsFunc(db.Tables(), func(t badger.TableInfo) bool { return t.ID == id })
		return nil
	})
	return there
}

// checkTable compares the checksums of all blocks of a table, if it is there still, and returns how many bytes it has.
// Errors: ErrCorrupt, or one of the operating system.
func (s *Store) checkTable(db *badger.DB, id uint64) (bytes int, err error) {
	path := filepath.Join(db.Opts().Dir, fmt.Sprintf("%06d.sst", id))
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("store: %w", err)
	}
	if err := checkBlocks(data, id); err != nil {
		return 0, errorf(ErrCorrupt, corruptHint+", or make a file "+filepath.Join(s.dir, acceptFile)+" to go on with what can be read",
			"%s has a wrong checksum", path)
	}
	return len(data), nil
}

func checkBlocks(data []byte, id uint64) (err error) {
	defer recovered(&err) // from a panic, as on other damage
	t, err := table.OpenInMemoryTable(data, id, &table.Options{})
	if err != nil {
		return err
	}
	return t.VerifyChecksum()
}
