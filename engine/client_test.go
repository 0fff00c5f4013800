package engine_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/closedloop/closedloop/engine"
)

// dialled returns a client of a running engine.
func dialled(t *testing.T, e *engine.Engine) *engine.Client {
	t.Helper()
	run(t, e)
	for {
		c, err := engine.Dial(e.StateDir())
		switch {
		case err == nil:
			t.Cleanup(func() { _ = c.Close() })
			return c
		case !errors.Is(err, engine.ErrNotRunning):
			t.Fatal(err)
		}
	}
}

// Paths that a client is given are those of its own process, and stay the caller's.
func TestPathsOfAClient(t *testing.T) {
	t.Parallel()
	c := dialled(t, open(t, writeProgram(t, programFiles), &parts{}))
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Rel(here, filepath.Join(t.TempDir(), "b"+engine.BackupExtension))
	if err != nil {
		t.Skip(err) // on another volume
	}
	if b, err := c.BackupFile(t.Context(), engine.BackupFileOptions{Path: path}, nil); err != nil || !filepath.IsAbs(b.Path) {
		t.Errorf("backup %+v, %v", b, err)
	}
	files := []string{"nothing.csv"}
	if _, err := c.Import(t.Context(), engine.ImportOptions{Files: files}, nil); err == nil || files[0] != "nothing.csv" {
		t.Errorf("import: %v, and the caller's files are %q", err, files)
	}
}

// An error that is several is always the same one for a client: why nothing was done.
func TestErrorsKeepTheirIdentity(t *testing.T) {
	t.Parallel()
	for range 50 {
		if code := engine.ErrorCode(fmt.Errorf("%w: %w", engine.ErrDenied, engine.ErrNotFound)); code != "denied" {
			t.Fatalf("what was denied is %q", code)
		}
	}
	if code := engine.ErrorCode(fmt.Errorf("x: %w", engine.ErrClosed)); code != "closed" {
		t.Errorf("what is closed is %q", code)
	}
}
