package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func diskParts() map[string]func(dir string) error {
	return map[string]func(dir string) error{"run full": runFull}
}

// mounted makes a file system of so many bytes in a file under dir and mounts it.
func mounted(t *testing.T, dir string, bytes int64) (image, mnt string) {
	t.Helper()
	image, mnt = filepath.Join(dir, "image"), filepath.Join(t.TempDir(), "mnt")
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, bytes), os.Mkdir(mnt, 0o700)); err != nil {
		t.Fatal(err)
	}
	run(t, "mkfs.ext4", "-q", "-F", "-m", "0", image)
	run(t, "mount", "-o", "loop", image, mnt)
	t.Cleanup(func() {
		if err := unix.Unmount(mnt, 0); err != nil {
			t.Error("unmount:", err, unix.Unmount(mnt, unix.MNT_DETACH))
		}
	})
	return image, mnt
}

// run runs a command of the system, and skips the test aloud when that is not possible.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: this test needs root and loop devices: %s %v: %v: %s", name, args, err, out)
	}
}

// putSome writes update i of the disk tests: 20 records of 2 KB.
func putSome(s *Store, i int) error {
	return s.Update(context.Background(), func(tx *Tx) error {
		for part := range 20 {
			tx.Set(key("record", i, part), make([]byte, 2000))
		}
		return nil
	})
}

func expectSome(t *testing.T, s *Store, n int) {
	t.Helper()
	for i := range n {
		for part := range 20 {
			if len(read(t, s, key("record", i, part))) != 2000 {
				t.Fatalf("record %d of update %d of %d was acknowledged and is gone", part, i, n)
			}
		}
	}
}

func fullOptions() Options { return Options{Profile: Small, Reserve: 48 << 20, Ballast: 8 << 20} }

// runFull writes until the disk is full, waits to be told that there is space, and writes on.
func runFull(dir string) error {
	s, err := Open(dir, fullOptions())
	if err != nil {
		return err
	}
	i := 0
	for ; err == nil; i++ {
		err = putSome(s, i)
	}
	if !errors.Is(err, ErrFull) {
		return err
	}
	i--
	for range 20 {
		if err := putSome(s, i); !errors.Is(err, ErrFull) {
			return fmt.Errorf("still full: %w", err)
		}
	}
	fmt.Println("full", i)
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	for range 100 {
		if err := putSome(s, i); err != nil {
			return err
		}
		i++
	}
	fmt.Println("resumed", i)
	return s.Close()
}

// A disk that runs full is an error to the caller; the process survives and writes on as soon as there is space.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	_, mnt := mounted(t, t.TempDir(), 160<<20)
	filler := filepath.Join(mnt, "filler")
	run(t, "fallocate", "-l", "50M", filler)
	dir := filepath.Join(mnt, "state")
	c := child("run full", dir)
	in, _ := c.StdinPipe()
	out, _ := c.StdoutPipe()
	var stderr strings.Builder
	c.Stderr = &stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	acked := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		t.Log(lines.Text())
		if n, _ := fmt.Sscanf(lines.Text(), "full %d", &acked); n == 1 {
			if err := os.Remove(filler); err != nil {
				t.Error(err)
			}
			fmt.Fprintln(in)
		} else {
			_, _ = fmt.Sscanf(lines.Text(), "resumed %d", &acked)
		}
	}
	if err := c.Wait(); err != nil {
		t.Fatalf("%v\n%.2000s", err, stderr.String())
	}
	if acked < 200 {
		t.Errorf("only %d updates", acked)
	}
	s, err := Open(dir, fullOptions())
	if err != nil {
		t.Fatal(err)
	}
	expectSome(t, s, acked)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
