package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/closedloop/closedloop/engine/internal/backup"
)

// ErrBase says that a backup cannot go on from the one that it was asked to go on from.
var ErrBase = errors.New("not the base of an incremental backup")

// BackupOptions say what Backup is to write. The zero value asks for a full backup.
type BackupOptions struct {
	// Since is the backup that an incremental one goes on from; nil for a full one.
	Since *backup.Head
	// Now is when the backup is made, for people. Defaults to the system's time.
	Now time.Time
	// Progress, which may be nil, is told how many of about how many bytes are read.
	Progress func(done, total int64)
}

// Backup writes what the last durable commit holds, or what has changed in it since an earlier backup. Updates and Views
// go on meanwhile. The checksums of every table and record are looked at: a damaged store makes no backup. Errors: ErrBase, ErrCorrupt,
// ErrClosed, ErrPoisoned, the writer's or ctx's; what was written then is no whole file.
//
// The first backup begins a log of what is deleted, which later incremental ones need; where the disk is too full for
// that only full ones can be made.
func (s *Store) Backup(ctx context.Context, to io.Writer, o BackupOptions) (backup.Info, error) {
	info, err := s.backup(ctx, to, o)
	if err != nil {
		return info, err
	}
	return info, s.noteBackup(ctx, info)
}

func (s *Store) backup(ctx context.Context, to io.Writer, o BackupOptions) (info backup.Info, err error) {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if err := s.startGone(ctx); err != nil && (!errors.Is(err, ErrFull) || o.Since != nil || s.durable.Load() == 0) {
		return info, err
	}
	err = s.View(func(sn *Snapshot) error {
		if err := sn.checkTables(ctx); err != nil {
			return err
		}
		d := &dump{s: s, sn: sn, ctx: ctx, o: o, total: tableBytes(sn.db)}
		info, err = d.write(to)
		return err
	})
	return info, err
}

// mostBackups bounds how many backups a store remembers.
const mostBackups = 256

func backupsKey() []byte { return []byte{0, 'b'} }

// Backups returns the backups that were made of the store, the latest last, at most 256.
func (s *Store) Backups() (made []backup.Info, err error) {
	err = s.View(func(sn *Snapshot) error {
		made, err = sn.backups()
		return err
	})
	return made, err
}

func (sn *Snapshot) backups() ([]backup.Info, error) {
	made, err := Load[[]backup.Info](sn, backupsKey())
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return *made, nil
}

// noteBackup remembers a backup that is whole, and tidies the log of deletions. On a full disk it is not remembered:
// no incremental one can go on from it, and the receipts of erasures do not count it.
func (s *Store) noteBackup(ctx context.Context, info backup.Info) error {
	var failed error
	err := s.commitOwn(ctx, func(_ uint64, g *group) {
		var record []byte
		if record, failed = s.backupsWith(info); failed == nil {
			g.writes[string(backupsKey())] = record
		}
	})
	if err = cmp.Or(failed, err); err == nil {
		err = s.trimGone(ctx)
	}
	if errors.Is(err, ErrFull) {
		return nil
	}
	return err
}

// backupsWith returns the record of the backups with one more. No other may be noted meanwhile.
func (s *Store) backupsWith(info backup.Info) ([]byte, error) {
	made, err := s.Backups()
	if err != nil {
		return nil, err
	}
	made = append(made, info)
	p, err := json.Marshal(made[max(0, len(made)-mostBackups):])
	if err != nil {
		return nil, fmt.Errorf("store: backup: %w", err)
	}
	return sealed(backupsKey(), p), nil
}

// BackupFile writes a backup into a file, which is there under its name once it is whole, durable and remembered. One that
// could not get its name is remembered too: an erasure rather counts it than leaves one out.
func (s *Store) BackupFile(ctx context.Context, path string, o BackupOptions) (info backup.Info, err error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return info, fmt.Errorf("store: backup: %w", err)
	}
	_, written := s.backups.LoadOrStore(abs, true)
	if !written {
		defer s.backups.Delete(abs)
	}
	if _, err := os.Lstat(path); err == nil || written {
		return info, fmt.Errorf("store: backup: %w", &os.PathError{Op: "create", Path: path, Err: os.ErrExist})
	}
	partial := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".partial")
	f, err := os.OpenFile(partial, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return info, fmt.Errorf("store: backup: %w", err)
	}
	info, err = s.backup(ctx, f, o)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = s.noteBackup(ctx, info)
	}
	if err != nil {
		return info, errors.Join(err, os.Remove(partial))
	}
	if err := os.Rename(partial, path); err != nil {
		return info, errors.Join(fmt.Errorf("store: backup: %w", err), os.Remove(partial))
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return info, fmt.Errorf("store: backup: %w", err)
	}
	return info, nil
}

// dump is a backup being written.
type dump struct {
	s     *Store
	sn    *Snapshot
	ctx   context.Context
	o     BackupOptions
	w     *backup.Writer
	done  int64
	total int64
	count int
}

func (d *dump) write(to io.Writer) (backup.Info, error) {
	head, err := d.head()
	if err != nil {
		return backup.Info{}, err
	}
	if d.w, err = backup.NewWriter(to, head); err != nil {
		return backup.Info{}, err
	}
	defer d.w.Abort()
	if !head.Full() {
		if err := d.gone(head.From); err != nil {
			return backup.Info{}, err
		}
	}
	err = d.s.stored(d.sn.txn, badger.IteratorOptions{SinceTs: head.From}, func(item *badger.Item, record []byte) error {
		if err := d.step(int64(len(item.Key()) + len(record))); err != nil || item.Key()[0] == 0 {
			return err
		}
		return d.w.Record(item.Key(), record)
	})
	if err != nil {
		return backup.Info{}, err
	}
	return d.w.Close()
}

// step counts what was read, and returns why the backup is to stop.
func (d *dump) step(bytes int64) error {
	d.done += bytes
	if d.count++; d.count%4096 != 0 {
		return nil
	}
	if d.o.Progress != nil {
		d.o.Progress(min(d.done, d.total), d.total)
	}
	return d.ctx.Err()
}

// head describes the backup, and refuses a base that it cannot go on from.
func (d *dump) head() (backup.Head, error) {
	id, err := d.sn.identity()
	if err != nil {
		return backup.Head{}, err
	}
	migration, err := id.migration()
	if err != nil {
		return backup.Head{}, err
	}
	h := backup.Head{ID: newID(), Store: id.ID, To: d.sn.at, At: d.o.Now.UnixMilli(), Format: id.Format, Migration: migration}
	base := d.o.Since
	if base == nil {
		return h, nil
	}
	h.Base, h.From = base.ID, base.To
	made, err := d.sn.backups()
	if err != nil {
		return h, err
	}
	known := slices.ContainsFunc(made, func(b backup.Info) bool { return b.ID == base.ID && b.To == base.To })
	log := d.s.goneNow()
	switch {
	case base.Store != h.Store:
		return h, errorf(ErrBase, "make a full backup of this store; a restored store is another one than the one it was made of",
			"backup %.8s is of the store %.8s, this one is %.8s", base.ID, base.Store, h.Store)
	case !known || base.To > h.To:
		return h, errorf(ErrBase, "make a full backup", "the store does not remember backup %.8s of commit %d", base.ID, base.To)
	case !log.on || base.To < log.from:
		return h, errorf(ErrBase, "make a full backup", "more was deleted since backup %.8s of commit %d than the store remembers", base.ID, base.To)
	}
	return h, nil
}

// gone writes the hashes of the keys that were deleted after a commit.
func (d *dump) gone(from uint64) (err error) {
	return errors.Join(d.s.goneEntries(d.sn.txn, d.sn.at, false, func(commit, _ uint64, hashes []byte) bool {
		for ; commit > from && err == nil && len(hashes) >= hashBytes; hashes = hashes[hashBytes:] {
			err = d.w.Gone(backup.Hash(hashes[:hashBytes]))
		}
		return err == nil
	}), err)
}
