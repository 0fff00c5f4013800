package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// TestOver has a store over another behave like a copy of it, and the one below stay as it is.
func TestOver(t *testing.T) {
	t.Parallel()
	base := setup(t)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		change := func(s *Store, what string, model map[string]string) {
			for range rapid.IntRange(0, 6).Draw(rt, what) {
				k, v := modelKey(rt), rapid.SliceOfN(rapid.Byte(), 1, 9).Draw(rt, "value")
				remove := rapid.Bool().Draw(rt, "remove")
				if delete(model, string(k)); !remove {
					model[string(k)] = string(v)
				}
				must(t, s, func(tx *Tx) {
					if remove {
						tx.Delete(k)
					} else {
						tx.Set(k, v)
					}
				})
			}
		}
		change(base, "below", map[string]string{})
		var keys [][]byte
		for _, space := range []byte{KeyItem, KeyMeta, 0xFF} {
			for _, k := range modelKeys {
				keys = append(keys, NewKey(space).Str(k).Bytes())
			}
		}
		want := map[string]string{}
		for _, k := range keys {
			if v := read(t, base, k); v != "" {
				want[string(k)] = v
			}
		}
		before := digest(t, base)
		run++
		over, err := Over(base, filepath.Join(t.TempDir(), fmt.Sprint(run)), Options{Profile: Still, Reserve: -1, Ballast: -1})
		if err != nil {
			rt.Fatal(err)
		}
		change(over, "above", want)
		if err := over.View(func(sn *Snapshot) error {
			return over.Update(t.Context(), func(tx *Tx) error {
				for _, k := range keys {
					a, e1 := sn.Get(k)
					b, e2 := tx.Get(k)
					if string(a) != string(b) || errors.Is(e1, ErrNotFound) != errors.Is(e2, ErrNotFound) {
						rt.Fatalf("%q is %q, %v in a view and %q, %v in an update", k, a, e1, b, e2)
					}
				}
				return nil
			})
		}); err != nil {
			rt.Fatal(err)
		}
		if digest(t, base) != before {
			rt.Fatal("the store below has changed")
		}
		change(base, "below again", map[string]string{}) // is not seen above
		for _, k := range keys {
			if got := read(t, over, k); got != want[string(k)] {
				rt.Fatalf("%q is %q, want %q", k, got, want[string(k)])
			}
		}
		if err := over.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}
