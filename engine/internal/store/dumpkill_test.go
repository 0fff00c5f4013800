package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine/internal/backup"
)

// dumpParts are the parts of a child that back up, restore and migrate.
func dumpParts() map[string]func(dir string) error {
	return map[string]func(dir string) error{"churn and backup": churnAndBackup, "restore for ever": restoreForEver, "migrate slowly": migrateSlowly}
}

// backupsOf is where a child keeps the backups of a store.
func backupsOf(dir string) string { return dir + "-backups" }

// churnAndBackup is the part of a child that makes backups again and again besides, of which each goes on from the one
// before it, and tells how many updates a writer has made after it.
func churnAndBackup(dir string) error {
	to := backupsOf(dir)
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	return churnBeside(dir, func(s *Store) error {
		since, n := latestOf(to)
		for n++; ; n++ {
			path := filepath.Join(to, fmt.Sprintf("%06d%s", n, backup.Extension))
			info, err := s.BackupFile(context.Background(), path, BackupOptions{Since: since})
			if err != nil {
				return err
			}
			since = &info.Head
		}
	})
}

// latestOf returns the latest backup in a directory and its number.
func latestOf(dir string) (h *backup.Head, n int) {
	names, _ := filepath.Glob(filepath.Join(dir, "*"+backup.Extension))
	if len(names) == 0 {
		return nil, 0
	}
	last := names[len(names)-1]
	l, err := LookAt(last)
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	_, _ = fmt.Sscanf(filepath.Base(last), "%d", &n)
	return &l.Head, n
}

// chainTo returns the files that the last backup in a directory needs.
func chainTo(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"+backup.Extension))
	if err != nil {
		t.Fatal(err)
	}
	for i := len(names) - 1; i >= 0; i-- {
		if baseOf(t, names[i]).Full() {
			return names[i:]
		}
	}
	return nil
}

// restoreForEver is the part of a child that restores again and again.
func restoreForEver(dir string) error {
	fmt.Println("opening")
	files, err := filepath.Glob(filepath.Join(backupsOf(dir), "*"+backup.Extension))
	if err != nil {
		return err
	}
	for {
		if _, err := Restore(context.Background(), dir, files, RestoreOptions{Options: small()}); err != nil {
			return err
		}
		// A removal that is cut off is not a restore that is.
		if err := errors.Join(os.RemoveAll(dir+".old"), os.Rename(dir, dir+".old")); err != nil {
			return err
		}
	}
}

// TestKilledWhileBackingUp kills a process that writes while it makes backups. Each file that is there is whole, together
// they restore to a state in which every writer's updates are whole, and of the store nothing is lost.
func TestKilledWhileBackingUp(t *testing.T) {
	t.Parallel()
	r := random(t)
	o := oracle{part: "churn and backup"}
	dir := filepath.Join(t.TempDir(), "s")
	n, files := rounds(t, 6, 200), 0
	for range n {
		wait := time.Duration(r.Int64N(int64(300 * time.Millisecond)))
		var once sync.Once
		if said := o.watch(t, dir, func(c *exec.Cmd, open bool) {
			if open {
				once.Do(func() { time.AfterFunc(wait, func() { _ = c.Process.Kill() }) })
			}
		}); said != "" {
			t.Fatalf("it ended by itself: %.4000s", said)
		}
		o.examine(t, dir)
		chain := chainTo(t, backupsOf(dir))
		if len(chain) == 0 {
			continue
		}
		files += len(chain)
		for _, name := range chain {
			if _, err := VerifyBackup(t.Context(), name, nil); err != nil {
				t.Error(err)
			}
		}
		again := filepath.Join(t.TempDir(), "r")
		if _, err := Restore(t.Context(), again, chain, RestoreOptions{Options: small()}); err != nil {
			t.Fatal(err)
		}
		// The updates of the restored store are a beginning of what was acknowledged.
		backedUp := oracle{lives: 1 << 30}
		backedUp.examine(t, again)
		for w := range churnWriters {
			if backedUp.acked[w] > o.acked[w] {
				t.Errorf("writer %d: the backup has %d updates, the store %d", w, backedUp.acked[w], o.acked[w])
			}
		}
		if err := errors.Join(os.RemoveAll(dir), os.RemoveAll(backupsOf(dir)), os.RemoveAll(again)); err != nil {
			t.Fatal(err)
		}
		o = oracle{part: o.part}
	}
	t.Logf("%d kills, %d backups", n, files)
}

// TestKilledWhileRestoring kills a process that restores. What it leaves does not open as a store, or is whole; restoring
// again succeeds.
func TestKilledWhileRestoring(t *testing.T) {
	t.Parallel()
	r := random(t)
	s := setup(t)
	for i := range 600 {
		must(t, s, func(tx *Tx) { tx.Set(key(i), record(i)) })
	}
	base := t.TempDir()
	dir := filepath.Join(base, "s")
	if err := os.MkdirAll(backupsOf(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := s.BackupFile(t.Context(), filepath.Join(backupsOf(dir), "b"+backup.Extension), BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	want := digest(t, s)
	whole, unfinished := 0, 0
	o := oracle{part: "restore for ever"}
	n := rounds(t, 10, 300)
	for range n {
		wait := time.Duration(r.Int64N(int64(500 * time.Millisecond)))
		if said := o.watch(t, dir, func(c *exec.Cmd, _ bool) { time.AfterFunc(wait, func() { _ = c.Process.Kill() }) }); said != "" {
			t.Fatalf("it ended by itself: %.4000s", said)
		}
		for _, left := range []string{dir, dir + ".restoring"} {
			if !Exists(left) {
				continue
			}
			again, err := Open(left, small())
			if err != nil {
				if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "unfinished restore") {
					t.Errorf("%s: %v", left, err)
				}
				unfinished++
				continue
			}
			if digest(t, again) != want {
				t.Errorf("%s opens and holds something else", left)
			}
			whole++
			if err := again.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills left %d whole stores and %d that do not open", n, whole, unfinished)
}
