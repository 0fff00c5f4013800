package store

import (
	"os"
	"path/filepath"
	"testing"
)

// A mark of any size is read: one that is too short gets its size, and what follows the slots of a longer one is nothing.
func TestMarkOfAnySize(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, markSlot, 2*markSlot - 1, 2 * markSlot, 2*markSlot + 1, 1 << 20} {
		dir := t.TempDir()
		s := reopen(t, dir, small())
		must(t, s, func(tx *Tx) { tx.Set(key(1), []byte("one")) })
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(dir, markFile), int64(size)); err != nil {
			t.Fatal(err)
		}
		if got := read(t, reopen(t, dir, small()), key(1)); got != "one" {
			t.Errorf("with a mark of %d bytes: %q", size, got)
		}
	}
}
