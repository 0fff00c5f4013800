package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/closedloop/closedloop/engine/internal/backup"
)

// ErrNotEmpty says that there is something in a directory that is to be restored into.
var ErrNotEmpty = errors.New("directory is not empty")

// RestoreOptions say how to restore. The zero value works.
type RestoreOptions struct {
	Options
	// Progress, which may be nil, is told how many of about how many bytes are restored.
	Progress func(done, total int64)
}

// Restored says what Restore did.
type Restored struct {
	Chain   []Link // the full backup, then the incremental ones in their order
	Records uint64 // in the store now
	Bytes   uint64 // of keys and records
}

// Restore makes a store of a full backup and the incremental ones that go on from it, in any order, in a directory that is
// empty or not there. The store holds what the one that the last backup was made of held; it has an ID of its own, so that
// backups of the two cannot be mixed up.
//
// The store is made in a directory beside, read back and compared, and then put in place; until then nothing is in dir,
// and what is left beside by a process that was killed is whole or does not open as a store. Errors: ErrNotEmpty, ErrBase for files
// that are no chain, ErrNewer, ErrFull, *backup.DamageError, ErrCorrupt, or ctx's.
func Restore(ctx context.Context, dir string, files []string, o RestoreOptions) (r Restored, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return r, fmt.Errorf("store: restore: %w", err)
	}
	chain, err := ReadChain(files)
	if err != nil {
		return r, err
	}
	if err := emptyDir(dir); err != nil {
		return r, err
	}
	w := &restoring{ctx: ctx, o: o, chain: chain, dir: dir + ".restoring"}
	r, err = w.run()
	if err != nil {
		return r, errors.Join(err, w.abandon())
	}
	if err := w.place(dir); err != nil {
		return r, errors.Join(err, w.abandon())
	}
	return r, nil
}

func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("store: restore: %w", err)
	}
	if len(entries) > 0 {
		return errorf(ErrNotEmpty, "name a directory that is not there; nothing is ever overwritten", "%s holds %s", dir, entries[0].Name())
	}
	return nil
}

// Link is a file of a chain.
type Link struct {
	backup.Info
	Path string
}

// ReadChain looks at the heads and trailers of backup files, and returns them in the order in which they are restored.
// It fails with ErrBase when they are not one full backup and the incremental ones that go on from it one by one.
func ReadChain(files []string) ([]Link, error) {
	var links []Link
	for _, path := range files {
		l, err := LookAt(path)
		if err != nil {
			return nil, err
		}
		if err := readable(path, l.Format, migratingOf(l.Migration)); err != nil {
			return nil, err
		}
		links = append(links, l)
	}
	full := slices.IndexFunc(links, func(l Link) bool { return l.Full() })
	if full < 0 {
		what := "there are no files"
		if len(links) > 0 {
			what = fmt.Sprintf("%s goes on from backup %.8s, which is not among the files", links[0].Path, links[0].Base)
		}
		return nil, errorf(ErrBase, "name the full backup too, and the incremental ones between", "%s", what)
	}
	chain := []Link{links[full]}
	links = slices.Delete(links, full, full+1)
	for len(links) > 0 {
		last := &chain[len(chain)-1]
		next := slices.IndexFunc(links, func(l Link) bool { return l.Base == last.ID })
		if next < 0 {
			return nil, strayError(last, &links[0])
		}
		if l := &links[next]; l.Store != last.Store || l.From != last.To || l.To < l.From {
			return nil, strayError(last, l)
		}
		chain = append(chain, links[next])
		links = slices.Delete(links, next, next+1)
	}
	return chain, nil
}

// strayError says why a file does not follow the last one of a chain.
func strayError(last, l *Link) error {
	switch {
	case l.Store != last.Store:
		return errorf(ErrBase, "restore backups of one store at a time", "%s is of the store %.8s, %s of the store %.8s", l.Path, l.Store, last.Path, last.Store)
	case l.Full():
		return errorf(ErrBase, "name one of the two", "%s and %s are no chain: the second is a full backup", last.Path, l.Path)
	}
	return errorf(ErrBase, "name the backup that it goes on from too", "%s goes on from backup %.8s of commit %d, which is not among the files; the last before it is %s, backup %.8s of commit %d",
		l.Path, l.Base, l.From, last.Path, last.ID, last.To)
}

// LookAt reads the head and the trailer of a backup file.
func LookAt(path string) (Link, error) {
	f, err := os.Open(path)
	if err != nil {
		return Link{}, fmt.Errorf("store: %w", err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return Link{}, fmt.Errorf("store: %w", err)
	}
	info, err := backup.Look(f, fi.Size(), path)
	return Link{info, path}, err
}

func migratingOf(b []byte) *Migrating {
	if len(b) == 0 {
		return nil
	}
	m := new(Migrating)
	if json.Unmarshal(b, m) != nil {
		m.To = CurrentFormat + 1 // whatever it is, this version does not know it
	}
	return m
}

// restoring is a store being made.
type restoring struct {
	ctx   context.Context
	o     RestoreOptions
	chain []Link
	dir   string // where it is made
	lock  *dirLock
	s     *Store
	files []*os.File
}

// unfinished is what the file that names the current tree holds until a restored store is whole: no name of a tree, so
// that the directory does not open.
const unfinished = "unfinished restore"

func (w *restoring) run() (r Restored, err error) {
	if err := w.begin(); err != nil {
		return r, err
	}
	layers, err := w.layers()
	defer func() {
		for _, l := range layers {
			l.Close()
		}
		for _, f := range w.files {
			err = errors.Join(err, f.Close())
		}
	}()
	if err != nil {
		return r, err
	}
	m := newMerge(layers)
	if err := w.load(m); err != nil {
		return r, err
	}
	r.Chain = w.chain
	r.Records, r.Bytes = m.records, m.bytes
	return r, w.finish(m)
}

// begin makes the directory beside, which one process at a time works in.
func (w *restoring) begin() error {
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return fmt.Errorf("store: restore: %w", err)
	}
	lock, err := lockDir(w.dir)
	if err != nil {
		return err
	}
	w.lock = lock
	opts := w.o.Options.withDefaults()
	w.s = newStore(w.dir, opts, lock)
	size := uint64(0)
	for _, l := range w.chain {
		size += l.Bytes
	}
	if err := w.s.space.check(int64(size) + 2*loadRoom); err != nil {
		return err
	}
	tree := w.s.path(firstTree)
	err = errors.Join(setCurrent(w.dir, unfinished), os.RemoveAll(tree), os.Mkdir(tree, 0o700))
	if rerr := os.Remove(filepath.Join(w.dir, markFile)); !errors.Is(rerr, os.ErrNotExist) { // of one that was killed, perhaps of a later commit
		err = errors.Join(err, rerr)
	}
	if err != nil {
		return fmt.Errorf("store: restore: %w", err)
	}
	w.s.tree = firstTree
	w.s.db, err = w.s.openBadger(tree)
	return err
}

// layers opens the files.
func (w *restoring) layers() (layers []*backup.Reader, err error) {
	for i := range w.chain {
		f, err := os.Open(w.chain[i].Path)
		if err != nil {
			return layers, fmt.Errorf("store: restore: %w", err)
		}
		w.files = append(w.files, f)
		r, err := backup.NewReader(f, w.chain[i].Path)
		if err != nil {
			return layers, err
		}
		layers = append(layers, r)
		if r.Head().ID != w.chain[i].ID {
			return layers, errorf(ErrBase, "", "%s was exchanged meanwhile", w.chain[i].Path)
		}
	}
	return layers, nil
}

// load fills the tree with what the layers come to.
func (w *restoring) load(m *merge) error {
	last := w.chain[len(w.chain)-1]
	id := identity{ID: newID(), Format: last.Format, Migration: migratingOf(last.Migration)}
	record, err := id.record()
	if err != nil {
		return err
	}
	l, err := load(w.s.db, w.s.space)
	if err != nil {
		return err
	}
	defer l.cancel()
	if err := errors.Join(l.history(last.To), l.add(identityKey(), record, last.To)); err != nil {
		return err
	}
	total := int64(0)
	for _, link := range w.chain {
		total += int64(link.Bytes)
	}
	for m.next() {
		if _, err := payload(m.key, m.record); err != nil {
			return fmt.Errorf("backup %s: %w", m.from, err)
		}
		if err := l.add(m.key, m.record, last.To); err != nil {
			return err
		}
		if m.records%4096 == 0 {
			if err := w.ctx.Err(); err != nil {
				return err
			}
			if w.o.Progress != nil {
				w.o.Progress(min(l.bytes, total), total)
			}
		}
	}
	if m.err != nil {
		return m.err
	}
	return l.finish()
}

// finish reads back what was written, and makes it durable.
func (w *restoring) finish(m *merge) error {
	last := w.chain[len(w.chain)-1].To
	db := w.s.db
	w.s.db = nil
	if err := closeBadger(db); err != nil {
		return err
	}
	var err error
	if w.s.db, err = w.s.openBadger(w.s.path(firstTree)); err != nil {
		return err
	}
	sum, err := w.s.contents(last)
	if err != nil {
		return err
	}
	if !bytes.Equal(sum, m.sum.Sum(nil)) {
		return errorf(ErrCorrupt, "look at the disk and its memory, then restore again", "%s does not hold what was written", w.dir)
	}
	if at, _, err := readHistory(w.s.db); err != nil || at != last {
		return errors.Join(err, errorf(ErrCorrupt, "", "the restored store ends with commit %d, expected %d", at, last))
	}
	mk, _, err := openMark(w.dir)
	if err != nil {
		return err
	}
	return errors.Join(mk.write(last), mk.f.Sync(), mk.close())
}

// place closes the store and gives it its name.
func (w *restoring) place(dir string) error {
	db := w.s.db
	w.s.db = nil
	if err := closeBadger(db); err != nil {
		return err
	}
	err := syncTree(w.s.path(firstTree))
	if err == nil {
		err = setCurrent(w.dir, firstTree)
	}
	lock := w.lock
	w.lock = nil
	err = errors.Join(err, lock.unlock())
	if err != nil {
		return fmt.Errorf("store: restore: %w", err)
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) { // an empty one
		return fmt.Errorf("store: restore: %w", err)
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(dir), 0o700), os.Rename(w.dir, dir), syncDir(filepath.Dir(dir))); err != nil {
		return fmt.Errorf("store: restore: %w", err)
	}
	return nil
}

// abandon removes what was made.
func (w *restoring) abandon() error {
	if w.s == nil {
		return nil // another process works there
	}
	var err error
	if w.s.db != nil {
		err = closeBadger(w.s.db)
	}
	if w.lock != nil {
		err = errors.Join(err, w.lock.unlock())
	}
	// The tree goes before the file that keeps it from being opened.
	return errors.Join(err, os.RemoveAll(w.s.path(firstTree)), os.RemoveAll(w.dir))
}

// VerifyBackup reads a backup file to its end, with the checksum of every record. Errors: *backup.DamageError,
// ErrCorrupt, or the operating system's.
func VerifyBackup(ctx context.Context, path string, progress func(done, total int64)) (info backup.Info, err error) {
	f, err := os.Open(path)
	if err != nil {
		return info, fmt.Errorf("store: %w", err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return info, fmt.Errorf("store: %w", err)
	}
	from := &counting{r: f}
	r, err := backup.NewReader(from, path)
	if err != nil {
		return info, err
	}
	defer r.Close()
	for n := 1; r.Next(); n++ {
		if _, err := payload(r.Key(), r.Record()); err != nil {
			return info, fmt.Errorf("backup %s: %w", path, err)
		}
		if n%4096 == 0 {
			if ctx.Err() != nil {
				return info, ctx.Err()
			}
			if progress != nil {
				progress(from.n, fi.Size())
			}
		}
	}
	return r.Info(), r.Err()
}

type counting struct {
	r io.Reader
	n int64
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}
