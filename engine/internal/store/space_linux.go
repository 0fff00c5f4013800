package store

import "golang.org/x/sys/unix"

// unitOf returns the size in bytes of the units in which a file system counts. It is not the block size, which says how
// to read and write: a folder that a virtual machine shares with its host may tell of blocks of 1 MiB and count in 4 KiB.
func unitOf(st *unix.Statfs_t) uint64 {
	if st.Frsize > 0 {
		return uint64(st.Frsize)
	}
	return uint64(st.Bsize)
}
