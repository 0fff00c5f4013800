//go:build unix

package sdktest

import (
	"io/fs"
	"syscall"
)

// identity returns the file's inode.
func identity(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ino
	}
	return 0
}
