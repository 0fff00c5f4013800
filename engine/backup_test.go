package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/closedloop/closedloop/engine"
)

// Backups are made while items come in. Each is the state at one moment: of the items that were ingested one after another
// it has a first part, with all that was acknowledged before it began, and an engine that opens it finds nothing wrong.
func TestBackupWhileIngesting(t *testing.T) {
	t.Parallel()
	dir := writeProgram(t, programFiles)
	e := open(t, dir, &parts{})
	ctx, stop := context.WithCancel(t.Context())
	var acked atomic.Int64
	ended := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			n := acked.Load()
			if _, err := e.Ingest(t.Context(), "app", answer(fmt.Sprint(n), float64(n%11), "late")); err != nil {
				ended <- err
				return
			}
			acked.Add(1)
		}
		ended <- nil
	}()
	to := t.TempDir()
	var files []string
	var before, after []int64
	for i := range 4 {
		for acked.Load() < int64(20*(i+1)) && len(ended) == 0 { // until more has come in
			if _, err := e.Stats(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		o := engine.BackupFileOptions{Path: filepath.Join(to, fmt.Sprint(i, engine.BackupExtension))}
		if i > 0 {
			o.Since = files[i-1]
		}
		before = append(before, acked.Load())
		b, err := e.BackupFile(t.Context(), o, nil)
		if err != nil || b.Full() != (i == 0) || b.Size == 0 {
			t.Fatalf("%+v, %v", b, err)
		}
		after = append(after, acked.Load()+1) // one may be durable and not yet acknowledged
		files = append(files, o.Path)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for i := range files {
		state := filepath.Join(t.TempDir(), "restored")
		if _, err := engine.Restore(t.Context(), state, files[:i+1], engine.RestoreOptions{Profile: engine.Small}); err != nil {
			t.Fatal(err)
		}
		again := open(t, dir, &parts{}, func(o *engine.Options) { o.State = state })
		items, err := again.Items(t.Context(), engine.ItemQuery{Limit: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if n := int64(len(items)); n < before[i] || n > after[i] {
			t.Errorf("backup %d has %d items, %d were acknowledged before it and %d after", i, n, before[i], after[i])
		}
		there := map[string]bool{}
		for _, it := range items {
			there[it.ExternalID] = true
		}
		for n := range len(items) {
			if !there[fmt.Sprint(n)] {
				t.Errorf("backup %d has %d items, and item %d is not among them", i, len(items), n)
			}
		}
	}
}

// What goes wrong with backups can be told apart.
func TestBackupErrors(t *testing.T) {
	t.Parallel()
	e, other := open(t, writeProgram(t, programFiles), &parts{}), open(t, writeProgram(t, programFiles), &parts{})
	dir := t.TempDir()
	one, two := filepath.Join(dir, "1"), filepath.Join(dir, "2")
	f, err := os.Create(one)
	if err != nil {
		t.Fatal(err)
	}
	progressed := false
	b, err := e.Backup(t.Context(), f, engine.BackupOptions{Progress: func(int, int) { progressed = true }})
	if err := errors.Join(err, f.Close()); err != nil || !b.Full() || progressed {
		t.Fatalf("%+v, %v", b, err)
	}
	if _, err := other.Backup(t.Context(), f, engine.BackupOptions{Since: one}); !errors.Is(err, engine.ErrNoBase) {
		t.Error("of another store:", err)
	}
	if _, err := e.BackupFile(t.Context(), engine.BackupFileOptions{Path: two, Since: one}, nil); err != nil {
		t.Fatal(err)
	}
	if err := engine.VerifyChain([]string{two, one}); err != nil {
		t.Error(err)
	}
	if err := engine.VerifyChain([]string{two}); !errors.Is(err, engine.ErrNoBase) {
		t.Error("without the full one:", err)
	}
	data, err := os.ReadFile(one)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 4
	if err := os.WriteFile(one, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.VerifyBackup(t.Context(), one, nil); !errors.Is(err, engine.ErrBackupDamaged) {
		t.Error("damaged:", err)
	}
	if _, err := engine.Restore(t.Context(), filepath.Join(dir, "r"), []string{one}, engine.RestoreOptions{}); !errors.Is(err, engine.ErrBackupDamaged) {
		t.Error("restored from a damaged one:", err)
	}
	if _, err := engine.Restore(t.Context(), dir, []string{one}, engine.RestoreOptions{}); !errors.Is(err, engine.ErrNotEmpty) {
		t.Error("into a directory with files:", err)
	}
}

func TestBackupNeedsAPath(t *testing.T) {
	t.Parallel()
	dir, p := writeProgram(t, programFiles), &parts{}
	e := open(t, dir, p)
	defer closeEngine(t, e)
	if _, err := e.BackupFile(t.Context(), engine.BackupFileOptions{}, nil); !errors.Is(err, engine.ErrMissing) {
		t.Errorf("got %v", err)
	}
}
