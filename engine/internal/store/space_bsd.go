//go:build unix && !linux

package store

import "golang.org/x/sys/unix"

// unitOf returns the size in bytes of the units in which a file system counts.
func unitOf(st *unix.Statfs_t) uint64 { return uint64(st.Bsize) }
