//go:build unix

package grants

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/closedloop/closedloop/engine/internal/host"
)

// TestFileBecomesFIFO replaces the granted file by a FIFO, which nobody writes to.
func TestFileBecomesFIFO(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "data.csv")
	if err := os.WriteFile(path, []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, folder := session(t, host.Grants{File: path}), session(t, host.Grants{File: dir})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	for _, n := range []*Session{file, folder} {
		_, err := n.ReadFile("data.csv", make([]byte, 1), 0)
		wantFailure(t, err, "no_file", true)
		_, err = n.Stat("data.csv")
		wantFailure(t, err, "no_file", true)
	}
}
