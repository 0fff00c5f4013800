package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/closedloop/closedloop/engine/internal/backup"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Errors of backups that a host may want to tell apart.
var (
	// ErrNoBase says that an incremental backup does not go on from another, or cannot be made.
	ErrNoBase = store.ErrBase
	// ErrBackupDamaged says that a backup file is not what was written: the message has the place.
	ErrBackupDamaged = backup.ErrDamaged
	// ErrNotEmpty says that there is something in the directory that is to be restored into.
	ErrNotEmpty = store.ErrNotEmpty
)

// BackupExtension is how the names of backup files end.
const BackupExtension = backup.Extension

// Backup describes a backup.
type Backup struct {
	ID      string        `json:"id"`
	Store   string        `json:"store"`          // id of the store
	Base    string        `json:"base,omitempty"` // id of the backup that it goes on from; empty of a full one
	From    uint64        `json:"from"`           // the last commit of the base
	To      uint64        `json:"to"`             // the last commit that it holds
	At      feedback.Time `json:"at"`
	Records int64         `json:"records"`
	Deleted int64         `json:"deleted"` // keys since the base, of those that an incremental one takes away
	Bytes   int64         `json:"bytes"`   // of keys and records, before they are compressed
	// Path and Size are of the file, where it is one.
	Path string `json:"path,omitempty"`
	Size int64  `json:"size,omitempty"`
}

// Full reports whether the backup needs no other.
func (b *Backup) Full() bool { return b.Base == "" }

func backupOf(i backup.Info) Backup {
	return Backup{
		ID: i.ID, Store: i.Store, Base: i.Base, From: i.From, To: i.To, At: feedback.Time(i.At),
		Records: int64(i.Records), Deleted: int64(i.Gone), Bytes: int64(i.Bytes),
	}
}

func backupFile(i backup.Info, path string) (*Backup, error) {
	b := backupOf(i)
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	b.Path, b.Size = path, fi.Size()
	return &b, nil
}

// BackupOptions say what to write. The zero value asks for a full backup.
type BackupOptions struct {
	// Since is the file of an earlier backup of this store: what has changed since is written.
	Since string
	// Progress, which may be nil, is told how many of about how many bytes are read.
	Progress func(done, total int)
}

// Backup writes what is durable now, or what has changed since an earlier backup, as one file. Intake and queries go on.
// The checksum of every record is looked at. The caller makes the file durable; see BackupFile. It fails with ErrNoBase
// when the store cannot go on from Since.
func (s *State) Backup(ctx context.Context, w io.Writer, o BackupOptions) (*Backup, error) {
	opts, err := s.backupOptions(o)
	if err != nil {
		return nil, err
	}
	info, err := s.store.Backup(ctx, w, opts)
	if err != nil {
		return nil, err
	}
	b := backupOf(info)
	return &b, nil
}

// Backup is State.Backup. It ends when the engine is closed.
func (e *Engine) Backup(ctx context.Context, w io.Writer, o BackupOptions) (*Backup, error) {
	return whileOpen(ctx, e, func(ctx context.Context) (*Backup, error) { return e.State.Backup(ctx, w, o) })
}

func (s *State) backupOptions(o BackupOptions) (store.BackupOptions, error) {
	opts := store.BackupOptions{Now: s.Clock(), Progress: inBytes(o.Progress)}
	if o.Since != "" {
		base, err := store.LookAt(o.Since)
		if err != nil {
			return opts, err
		}
		opts.Since = &base.Head
	}
	return opts, nil
}

// BackupFileOptions say what to write where.
type BackupFileOptions struct {
	Path  string `json:"path"`            // of a file that is not there
	Since string `json:"since,omitempty"` // see BackupOptions
}

// BackupFile does as Backup, into a file that is there under its name once it is whole and durable.
func (s *State) BackupFile(ctx context.Context, o BackupFileOptions, progress func(done, total int)) (*Backup, error) {
	if o.Path == "" {
		return nil, fmt.Errorf("a file to write the backup into: %w", ErrMissing)
	}
	opts, err := s.backupOptions(BackupOptions{o.Since, progress})
	if err != nil {
		return nil, err
	}
	info, err := s.store.BackupFile(ctx, o.Path, opts)
	if err != nil {
		return nil, err
	}
	return backupFile(info, o.Path)
}

// BackupFile asks as State.BackupFile does; the running engine writes the file. Paths are relative to this process's working
// directory.
func (c *Client) BackupFile(ctx context.Context, o BackupFileOptions, progress func(done, total int)) (*Backup, error) {
	if err := errors.Join(absolute(&o.Path), absolute(&o.Since)); err != nil {
		return nil, err
	}
	return callTold[Backup](ctx, c, "backup", o, progress)
}

// LookAtBackup says what a backup file says of itself. Whether it is whole VerifyBackup tells.
func LookAtBackup(path string) (*Backup, error) {
	l, err := store.LookAt(path)
	if err != nil {
		return nil, err
	}
	return backupFile(l.Info, path)
}

// VerifyBackup reads a backup file to its end and checks everything in it. It fails with ErrBackupDamaged and the place.
func VerifyBackup(ctx context.Context, path string, progress func(done, total int)) (*Backup, error) {
	info, err := store.VerifyBackup(ctx, path, inBytes(progress))
	if err != nil {
		return nil, err
	}
	return backupFile(info, path)
}

// VerifyChain checks that files are a full backup and the incremental ones that go on from it, by what they say of
// themselves. It fails with ErrNoBase.
func VerifyChain(files []string) error {
	_, err := store.ReadChain(files)
	return err
}

// RestoreOptions say how to restore. The zero value works.
type RestoreOptions struct {
	Profile Profile // Defaults to Server.
	// Progress, which may be nil, is told how many of about how many bytes are restored.
	Progress func(done, total int)
}

// Restored says what Restore did.
type Restored struct {
	Dir     string   `json:"dir"`
	Chain   []Backup `json:"chain"`   // the full backup, then the incremental ones
	Records int64    `json:"records"` // in the state now
	Bytes   int64    `json:"bytes"`   // of keys and records
}

// Restore makes a state directory of a full backup and the incremental ones that go on from it, in any order. The
// directory must be empty or not there: nothing is ever overwritten. All files are verified, and what was written is read
// back, before anything is in dir. Errors: ErrNotEmpty, ErrNoBase, ErrBackupDamaged, ErrFull, or ctx's.
func Restore(ctx context.Context, dir string, files []string, o RestoreOptions) (*Restored, error) {
	r, err := store.Restore(ctx, dir, files, store.RestoreOptions{
		Options: store.Options{Profile: store.Profile(o.Profile)}, Progress: inBytes(o.Progress),
	})
	if err != nil {
		return nil, err
	}
	out := &Restored{Dir: dir, Records: int64(r.Records), Bytes: int64(r.Bytes)}
	for _, l := range r.Chain {
		b, err := backupFile(l.Info, l.Path)
		if err != nil {
			return nil, err
		}
		out.Chain = append(out.Chain, *b)
	}
	return out, nil
}
