package store

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/closedloop/closedloop/engine/internal/backup"
)

// endsWith is a context that has ended once there is a file.
type endsWith struct {
	context.Context
	path string
}

func (c endsWith) Err() error {
	if names, _ := filepath.Glob(c.path); len(names) > 0 {
		return context.Canceled
	}
	return nil
}

func (c endsWith) Done() <-chan struct{} {
	done := make(chan struct{})
	if c.Err() != nil {
		close(done)
	}
	return done
}

// A backup that is there under its name is one that the store remembers, whatever happens from that moment on: an
// erasure's receipt counts it, and an incremental one goes on from it.
func TestBackupsThatAreThereAreRemembered(t *testing.T) {
	t.Parallel()
	s, dir := setup(t), t.TempDir()
	var since *backup.Head
	for i := range 20 {
		must(t, s, func(tx *Tx) { tx.Set(key(i), []byte("value")) })
		path := filepath.Join(dir, fmt.Sprint(i)+backup.Extension)
		info, err := s.BackupFile(endsWith{t.Context(), path}, path, BackupOptions{Since: since})
		if err != nil {
			t.Fatalf("backup %d: %v", i, err)
		}
		since = &info.Head
	}
}
