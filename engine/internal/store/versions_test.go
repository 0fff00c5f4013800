package store

import (
	"fmt"
	"slices"
	"testing"
)

// TestScanOverManyVersions scans records that were rewritten and deleted more often than a scan steps over one by one.
func TestScanOverManyVersions(t *testing.T) {
	t.Parallel()
	s := reopen(t, t.TempDir(), small())
	key := func(name string) []byte { return NewKey(KeyRollup).Str(name).Bytes() }
	for i := range 3 * mostSteps {
		must(t, s, func(tx *Tx) {
			for _, name := range []string{"a", "a\x00", "b", "gone"} {
				tx.Set(key(name), fmt.Append(nil, name, i))
			}
			if i%2 == 1 {
				tx.Delete(key("gone"))
			}
			if i < 2 {
				tx.Set(key("seldom"), []byte("seldom"))
			}
		})
	}
	last := fmt.Sprint(3*mostSteps - 1)
	want := []string{"a" + last, "a\x00" + last, "b" + last, "seldom"}
	for _, reverse := range []bool{false, true} {
		var got []string
		err := s.View(func(sn *Snapshot) error {
			return sn.Scan([]byte{KeyRollup}, nil, reverse, func(_, p []byte) (bool, error) {
				got = append(got, string(p))
				return true, nil
			})
		})
		if reverse {
			slices.Reverse(got)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("reverse %v: %q, want %q; %v", reverse, got, want, err)
		}
	}
}
