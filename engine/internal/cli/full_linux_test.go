package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// smallDisk mounts a file system of so many bytes in memory.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size)
	if errors.Is(err, syscall.EPERM) {
		t.Skip("SKIPPED: a disk that is full can be made by root only")
	}
	if err != nil {
		t.Skipf("SKIPPED: a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// It does not run beside tests that start processes: until a new process has become another program, it holds copies
// of what is open here, and what is removed takes space.
func TestFullDisk(t *testing.T) {
	program, disk := smallProgram(t), smallDisk(t, "160m")
	state := filepath.Join(disk, "state")
	if _, errs, code := call("run", "--once", "--profile", "small", "--state", state, program); code != 0 {
		t.Fatalf("exit %d\n%s", code, errs)
	}
	filler := filepath.Join(disk, "filler")
	if err := os.WriteFile(filler, make([]byte, 100<<20), 0o600); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	out, errs, code := call("run", "--once", "--profile", "small", "--state", state, program)
	if code != exitEnvironment || out != "" || !strings.Contains(errs, "closedloop: error: ") || !strings.Contains(errs, "disk is full") ||
		!strings.Contains(errs, "MiB free") || !strings.Contains(errs, "closedloop: hint: free some space") {
		t.Errorf("on a full disk: exit %d\n%s%s", code, out, errs)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	out, errs, code = call("run", "--once", "--profile", "small", "--state", state, program)
	if code != 0 || !strings.Contains(out, "nothing is new") {
		t.Errorf("with space again: exit %d\n%s%s", code, out, errs)
	}
}
