//go:build unix

package grants

import (
	"io/fs"
	"syscall"
)

// identity tells a file from another one of the same name by its device and inode.
func identity(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Dev)*0x9e3779b97f4a7c15 ^ uint64(st.Ino)
	}
	return 0
}
