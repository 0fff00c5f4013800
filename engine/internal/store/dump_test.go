package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/closedloop/closedloop/engine/internal/backup"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// backedUp writes a backup of the store and returns its file.
func backedUp(t testing.TB, s *Store, since string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "b"+backup.Extension)
	if _, err := s.BackupFile(t.Context(), path, BackupOptions{Since: baseOf(t, since)}); err != nil {
		t.Fatal(err)
	}
	return path
}

func baseOf(t testing.TB, path string) *backup.Head {
	t.Helper()
	if path == "" {
		return nil
	}
	l, err := LookAt(path)
	if err != nil {
		t.Fatal(err)
	}
	return &l.Head
}

// restored returns a store that was restored from files.
func restored(t testing.TB, files ...string) *Store {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "restored")
	if _, err := Restore(t.Context(), dir, files, RestoreOptions{Options: small()}); err != nil {
		t.Fatal(err)
	}
	return reopen(t, dir, small())
}

// backups is a store with random histories and the backups that were made of it. All runs share a directory.
type backups struct {
	model
	tmp   string
	n     int
	chain []string // files; the first is a full backup
	held  []string // what the store held at each, as contents says it
}

// A full backup and the incremental ones after it give the store back byte for byte, as of each of them, whatever was
// written, overwritten, deleted, compacted and opened anew between.
func TestChainsOfBackups(t *testing.T) {
	t.Parallel()
	b := &backups{tmp: t.TempDir()}
	b.dir = t.TempDir()
	t.Cleanup(func() {
		if err := b.s.Close(); err != nil {
			t.Error(err)
		}
	})
	b.open(t)
	rapid.Check(t, func(t *rapid.T) {
		b.empty(t)
		b.chain, b.held = nil, nil
		t.Repeat(map[string]func(*rapid.T){
			"update":  b.update,
			"update2": b.update,
			"timer":   b.timer,
			"compact": b.compact,
			"flatten": b.flatten,
			"reopen":  b.reopen,
			"backup":  b.backup,
		})
		b.backup(t)
		if rapid.IntRange(0, 3).Draw(t, "chance") == 0 { // it takes long
			b.restore(t)
		}
	})
}

func (b *backups) compact(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "chance") > 0 {
		t.Skip("compacting takes long")
	}
	if _, err := b.s.Compact(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

// flatten has Badger compact everything, so that it forgets deletions.
func (b *backups) flatten(t *rapid.T) {
	if err := b.s.db.Flatten(1); err != nil {
		t.Fatal(err)
	}
}

func (b *backups) backup(t *rapid.T) {
	b.n++
	path := filepath.Join(b.tmp, fmt.Sprint(b.n, backup.Extension))
	o := BackupOptions{}
	if len(b.chain) > 0 {
		l, err := LookAt(b.chain[len(b.chain)-1])
		if err != nil {
			t.Fatal(err)
		}
		o.Since = &l.Head
	}
	info, err := b.s.BackupFile(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := VerifyBackup(t.Context(), path, nil); err != nil || got.ID != info.ID || got.Records != info.Records {
		t.Fatalf("verified %+v, %v; want %+v", got, err, info)
	}
	sum, err := b.s.contents(info.To)
	if err != nil {
		t.Fatal(err)
	}
	b.chain, b.held = append(b.chain, path), append(b.held, string(sum))
}

func (b *backups) restore(t *rapid.T) {
	n := rapid.IntRange(1, len(b.chain)).Draw(t, "backups of the chain")
	files := rapid.Permutation(b.chain[:n]).Draw(t, "order")
	b.n++
	dir := filepath.Join(b.tmp, fmt.Sprint(b.n))
	if _, err := Restore(t.Context(), dir, files, RestoreOptions{Options: small()}); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, small())
	if err != nil {
		t.Fatal(err)
	}
	sum, err := s.contents(s.durable.Load())
	if err != nil || string(sum) != b.held[n-1] {
		t.Errorf("restored from %d of %d backups it holds something else: %v", n, len(b.chain), err)
	}
	if n == len(b.chain) {
		copied := model{s: s, state: b.state}
		copied.check(t)
	}
	// The restored store lives on.
	err = s.Update(t.Context(), func(tx *Tx) error { tx.Set(key("later"), []byte("x")); return nil })
	if err := errors.Join(err, s.Close(), os.RemoveAll(dir)); err != nil {
		t.Fatal(err)
	}
}

// What was deleted long before an incremental backup is gone after it, also when nothing of the deletion is left in the
// tree.
func TestDeletionsOutliveCompactions(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for i := range 500 {
		must(t, s, func(tx *Tx) { tx.Set(key(i), record(i)) })
	}
	full := backedUp(t, s, "")
	for i := range 500 {
		must(t, s, func(tx *Tx) {
			if i%5 > 0 {
				tx.Delete(key(i))
			}
			tx.Set(key("filler", i%7), record(i))
		})
	}
	if _, err := s.Compact(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	incremental := backedUp(t, s, full)
	if l, err := LookAt(incremental); err != nil || l.Gone != 400 || l.Records != 7 {
		t.Errorf("%+v, %v", l, err)
	}
	if got, want := digest(t, restored(t, full, incremental)), digest(t, s); got != want {
		t.Error("the restored store is another one")
	}
}

// A log of deletions that has grown too large loses its beginning, and incremental backups since then are refused.
func TestLogOfDeletionsIsTrimmed(t *testing.T) {
	t.Parallel()
	s := setup(t)
	const leastLog = 64 << 10
	s.leastLog = leastLog
	must(t, s, func(tx *Tx) { tx.Set(key("a"), []byte("x")) })
	full := backedUp(t, s, "")
	n := 0
	remove := func(bytes int) {
		for end := n + bytes/hashBytes; n < end; {
			must(t, s, func(tx *Tx) {
				for range min(200, end-n) {
					tx.Delete(key("gone", n))
					n++
				}
			})
		}
	}
	remove(leastLog / 2)
	first := backedUp(t, s, full)
	remove(leastLog * 3 / 4)
	second := backedUp(t, s, first)
	if g := s.goneNow(); !g.on || g.total-g.off > leastLog || g.from == 0 {
		t.Errorf("the log is %+v", g)
	}
	if _, err := s.Backup(t.Context(), new(bytes.Buffer), BackupOptions{Since: baseOf(t, full)}); !errors.Is(err, ErrBase) {
		t.Error("since the full one:", err)
	}
	third := backedUp(t, s, second)
	if got, want := digest(t, restored(t, full, first, second, third)), digest(t, s); got != want {
		t.Error("the restored store is another one")
	}
	// Without backups the log ends by itself, and begins again with the next one.
	remove(2*leastLog + 8<<10)
	must(t, s, func(tx *Tx) { tx.Delete(key("one more")) })
	if g := s.goneNow(); g.on {
		t.Errorf("the log is %+v", g)
	}
	if _, err := s.Backup(t.Context(), new(bytes.Buffer), BackupOptions{Since: baseOf(t, third)}); !errors.Is(err, ErrBase) {
		t.Error("since the third:", err)
	}
	full = backedUp(t, s, "")
	remove(100 * hashBytes)
	must(t, s, func(tx *Tx) { tx.Delete(key("a")) })
	if l, err := LookAt(backedUp(t, s, full)); err != nil || l.Gone != 101 {
		t.Errorf("%+v, %v", l, err)
	}
}

// What is no base is refused, with both names.
func TestBasesThatAreRefused(t *testing.T) {
	t.Parallel()
	a, b := setup(t), setup(t)
	for _, s := range []*Store{a, b} {
		must(t, s, func(tx *Tx) { tx.Set(key("a"), []byte("x")) })
	}
	fullA, fullB := backedUp(t, a, ""), backedUp(t, b, "")
	must(t, a, func(tx *Tx) { tx.Set(key("a"), []byte("y")) })
	one := backedUp(t, a, fullA)
	must(t, a, func(tx *Tx) { tx.Delete(key("a")) })
	two := backedUp(t, a, one)
	other := backedUp(t, a, fullA)
	c := restored(t, fullA, one)

	for name, try := range map[string]struct {
		s     *Store
		since string
	}{"of another store": {a, fullB}, "of the store that it was restored from": {c, one}} {
		_, err := try.s.Backup(t.Context(), new(bytes.Buffer), BackupOptions{Since: baseOf(t, try.since)})
		if !errors.Is(err, ErrBase) || !strings.Contains(fmt.Sprint(err), try.s.ID()[:8]) || !strings.Contains(fmt.Sprint(err), baseOf(t, try.since).Store[:8]) {
			t.Errorf("since a backup %s: %v", name, err)
		}
	}
	for name, files := range map[string][]string{
		"no file": nil, "no full one": {one}, "a hole": {fullA, two}, "two full ones": {fullA, fullB},
		"of another store": {fullB, one}, "two ways": {fullA, one, other}, "twice": {fullA, one, one}, "the full one twice": {fullA, fullA},
	} {
		dir := filepath.Join(t.TempDir(), "r")
		_, err := Restore(t.Context(), dir, files, RestoreOptions{Options: small()})
		if !errors.Is(err, ErrBase) {
			t.Errorf("%s: %v", name, err)
		}
		if len(files) == 2 && !strings.Contains(fmt.Sprint(err), files[1]) {
			t.Errorf("%s: %v does not name %s", name, err, files[1])
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: left %v", name, err)
		}
	}
}

// A store that was put back to an earlier state does not go on from what it no longer knows.
func TestStoreThatWasPutBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := Open(dir, small())
	if err != nil {
		t.Fatal(err)
	}
	must(t, s, func(tx *Tx) { tx.Set(key("a"), []byte("x")) })
	full := backedUp(t, s, "")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	old := copyOf(t, dir)
	s = reopen(t, dir, small())
	must(t, s, func(tx *Tx) { tx.Set(key("a"), []byte("y")) })
	one := backedUp(t, s, full)
	s = reopen(t, old, small())
	for i := range 9 {
		must(t, s, func(tx *Tx) { tx.Set(key("b", i), []byte("z")) })
	}
	if _, err := s.Backup(t.Context(), new(bytes.Buffer), BackupOptions{Since: baseOf(t, one)}); !errors.Is(err, ErrBase) {
		t.Error("since what it never made:", err)
	}
	if got, want := digest(t, restored(t, full, backedUp(t, s, full))), digest(t, s); got != want {
		t.Error("the restored store is another one")
	}
}

// A damaged file is refused with the place, and leaves nothing behind.
func TestRestoreRefusesDamage(t *testing.T) {
	t.Parallel()
	r := random(t)
	s := setup(t)
	for i := range 100 {
		must(t, s, func(tx *Tx) {
			tx.Set(key(i), record(i))
			tx.SetTimer(feedback.Time(i), "k", "", nil)
		})
	}
	full := backedUp(t, s, "")
	must(t, s, func(tx *Tx) { tx.Delete(key(7)) })
	incremental := backedUp(t, s, full)
	whole := map[string][]byte{}
	for _, name := range []string{full, incremental} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		whole[name] = b
	}
	dir := filepath.Join(t.TempDir(), "r")
	refused := func(what string) {
		t.Helper()
		_, err := Restore(t.Context(), dir, []string{full, incremental}, RestoreOptions{Options: small()})
		var d *backup.DamageError
		if !errors.As(err, &d) {
			t.Errorf("%s: %v", what, err)
		}
		if left, _ := filepath.Glob(dir + "*"); len(left) > 0 {
			t.Fatalf("%s left %q", what, left)
		}
	}
	for name, b := range whole {
		for range rounds(t, 8, 400) {
			at := r.IntN(len(b))
			bad := bytes.Clone(b)
			bad[at] ^= 1 << r.IntN(8)
			if err := os.WriteFile(name, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			refused(fmt.Sprintf("byte %d of %s flipped", at, name))
			if err := os.WriteFile(name, b[:at], 0o600); err != nil {
				t.Fatal(err)
			}
			refused(fmt.Sprintf("%s cut off at %d", name, at))
		}
		if err := os.WriteFile(name, append(bytes.Clone(b), 'x'), 0o600); err != nil {
			t.Fatal(err)
		}
		refused("appended")
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Restore(t.Context(), dir, []string{full, incremental}, RestoreOptions{Options: small()}); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), dir, []string{full, incremental}, RestoreOptions{Options: small()}); !errors.Is(err, ErrNotEmpty) {
		t.Error("into a store:", err)
	}
	if digest(t, reopen(t, dir, small())) != digest(t, s) {
		t.Error("the restored store is another one")
	}
}

// A store that is damaged makes no backup, and an existing file is not written over.
func TestBackupRefusesDamage(t *testing.T) {
	t.Parallel()
	dir := closedStore(t)
	table := file(t, dir, "*.sst")
	b, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, record(77)[:80])
	s := reopen(t, dir, small())
	flip(t, table, int64(at+40), 3)
	to := t.TempDir()
	path := filepath.Join(to, "b")
	// The table is damaged.
	if _, err := s.BackupFile(t.Context(), path, BackupOptions{}); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), filepath.Base(table)) {
		t.Error(err)
	}
	was := s.Stats().Commit
	if _, err := s.Compact(t.Context(), nil); !errors.Is(err, ErrCorrupt) || s.Stats().Commit != was {
		t.Error("compact:", err)
	}
	// A record in it is, which is looked at too.
	if err := os.WriteFile(filepath.Join(dir, acceptFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.BackupFile(t.Context(), path, BackupOptions{}); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), fmt.Sprintf("%q", key(77))) {
		t.Error(err)
	}
	if left, _ := os.ReadDir(to); len(left) > 0 {
		t.Errorf("left %v", left)
	}
	must(t, s, func(tx *Tx) { tx.Set(key(77), record(77)) })
	if _, err := s.BackupFile(t.Context(), path, BackupOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := s.BackupFile(t.Context(), path, BackupOptions{}); !errors.Is(err, fs.ErrExist) {
		t.Error("over a file:", err)
	}
}

// Backups that are made at the same time are all remembered, and each can be gone on from.
func TestBackupsAtTheSameTime(t *testing.T) {
	t.Parallel()
	s := setup(t)
	must(t, s, func(tx *Tx) { tx.Set(key("a"), []byte("1")) })
	heads := make([]backup.Info, 8)
	var group sync.WaitGroup
	for i := range heads {
		group.Go(func() {
			var err error
			if heads[i], err = s.Backup(t.Context(), io.Discard, BackupOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	must(t, s, func(tx *Tx) { tx.Set(key("b"), []byte("2")) })
	made, err := s.Backups()
	if err != nil || len(made) != len(heads) {
		t.Errorf("%d backups of %d are remembered, %v", len(made), len(heads), err)
	}
	if _, err := s.Backup(t.Context(), io.Discard, BackupOptions{Since: &heads[0].Head}); err != nil {
		t.Error(err)
	}
}

// Of several backups into one file at the same time one is made, and it is whole.
func TestBackupsIntoOneFileAtTheSameTime(t *testing.T) {
	t.Parallel()
	s := setup(t)
	must(t, s, func(tx *Tx) { tx.Set(key("a"), []byte("1")) })
	path := filepath.Join(t.TempDir(), "b"+backup.Extension)
	var made atomic.Int32
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			switch _, err := s.BackupFile(t.Context(), path, BackupOptions{}); {
			case err == nil:
				made.Add(1)
			case !errors.Is(err, fs.ErrExist):
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := made.Load(); n != 1 {
		t.Errorf("%d were made", n)
	}
	if _, err := VerifyBackup(t.Context(), path, nil); err != nil {
		t.Error(err)
	}
}

// What a restore that was killed just before its end has left beside, here of a later backup, does no harm to the next one.
func TestRestoreOverWhatAKilledOneLeft(t *testing.T) {
	t.Parallel()
	s := setup(t)
	must(t, s, func(tx *Tx) { tx.Set(key(1), []byte("one")) })
	file := backedUp(t, s, "")
	dir := filepath.Join(t.TempDir(), "restored")
	if err := os.Mkdir(dir+".restoring", 0o700); err != nil {
		t.Fatal(err)
	}
	later := s.Stats().Commit + 100
	for _, commit := range []uint64{later, later + 1} {
		m, _, err := openMark(dir + ".restoring")
		if err := errors.Join(err, m.write(commit), m.close()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Restore(t.Context(), dir, []string{file}, RestoreOptions{Options: small()}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, reopen(t, dir, small()), key(1)); got != "one" {
		t.Errorf("restored: %q", got)
	}
}
