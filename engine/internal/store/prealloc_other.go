//go:build !linux

package store

import "os"

// preallocate reserves n bytes for the file.
func preallocate(f *os.File, n int64) error { return writeBlocks(f, n) }
