package store

import (
	"errors"
	"fmt"
	"sync"
	"testing"
)

// TestGoroutinesShareASnapshot reads one snapshot from several goroutines, while what it shows is rewritten.
func TestGoroutinesShareASnapshot(t *testing.T) {
	t.Parallel()
	s := setup(t)
	key := func(i int) []byte { return NewKey(KeyRollup).Uint64(uint64(i)).Bytes() }
	const records = 100
	write := func(value string) {
		must(t, s, func(tx *Tx) {
			for i := range records {
				tx.Set(key(i), []byte(value))
			}
		})
	}
	write("first")
	err := s.View(func(sn *Snapshot) error {
		errs := make([]error, 4)
		var group sync.WaitGroup
		for g := range errs {
			group.Go(func() {
				for i := range records {
					p, err := sn.Get(key(i))
					if err == nil && string(p) != "first" {
						err = fmt.Errorf("record %d is %q", i, p)
					}
					n := 0
					err2 := sn.Scan([]byte{KeyRollup}, key(i), g%2 == 1, func(_, p []byte) (bool, error) {
						n++
						return string(p) == "first", nil
					})
					if want := [...]int{records - i, i + 1}[g%2]; n != want {
						err = errors.Join(err, fmt.Errorf("a scan from %d tells %d records, want %d", i, n, want))
					}
					errs[g] = errors.Join(errs[g], err, err2)
				}
			})
		}
		for range 20 {
			write("later")
		}
		group.Wait()
		return errors.Join(errs...)
	})
	if err != nil {
		t.Error(err)
	}
}
