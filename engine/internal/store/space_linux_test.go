package store

import (
	"math"
	"testing"

	"golang.org/x/sys/unix"
)

// Free space is counted in the file system's units, also when its blocks are larger, and when there is more than fits.
func TestFreeSpaceIsCountedInUnits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		st   unix.Statfs_t
		want int64
	}{
		"blocks that are units":      {unix.Statfs_t{Bavail: 1000, Bsize: 4096, Frsize: 4096}, 1000 * 4096},
		"blocks larger than units":   {unix.Statfs_t{Bavail: 1000, Bsize: 1 << 20, Frsize: 4096}, 1000 * 4096},
		"no units":                   {unix.Statfs_t{Bavail: 1000, Bsize: 4096}, 1000 * 4096},
		"more than can be counted":   {unix.Statfs_t{Bavail: 1 << 60, Bsize: 4096, Frsize: 4096}, math.MaxInt64},
		"more than can be counted 2": {unix.Statfs_t{Bavail: 1 << 51, Bsize: 4096, Frsize: 4096}, math.MaxInt64},
	} {
		if got := bytesOf(int64(c.st.Bavail), unitOf(&c.st)); got != c.want {
			t.Errorf("%s: %d bytes, expected %d", name, got, c.want)
		}
	}
}
