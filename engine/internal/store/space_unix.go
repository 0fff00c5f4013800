//go:build unix

package store

import (
	"errors"
	"math"
	"math/bits"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// freeSpace returns the bytes that this process may still write to the file system of dir.
func freeSpace(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return bytesOf(max(int64(st.Bavail), 0), unitOf(&st)), nil
}

// bytesOf returns how many bytes so many units are, or as many as can be counted.
func bytesOf(units int64, size uint64) int64 {
	over, n := bits.Mul64(uint64(units), size)
	if over != 0 || n > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(n)
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// allocated returns the bytes that a file takes on the disk; its holes take none.
func allocated(fi os.FileInfo) int64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return int64(st.Blocks) * 512
	}
	return fi.Size()
}
