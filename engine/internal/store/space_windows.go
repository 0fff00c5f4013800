package store

import (
	"os"

	"golang.org/x/sys/windows"
)

// freeSpace returns the bytes that this user may still write to the volume of dir.
func freeSpace(dir string) (int64, error) {
	p, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(p, &free, nil, nil); err != nil {
		return 0, err
	}
	return int64(free), nil
}

// syncDir does nothing: Windows makes names durable by itself and cannot sync a directory.
func syncDir(string) error { return nil }

// allocated returns the bytes that a file takes on the disk.
func allocated(fi os.FileInfo) int64 { return fi.Size() }
