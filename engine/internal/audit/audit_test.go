package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/closedloop/closedloop/engine/internal/audit"
	"github.com/closedloop/closedloop/engine/internal/store"
)

func open(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.TempDir(), store.Options{Profile: store.Small})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func update(t *testing.T, s *store.Store, fn func(*store.Tx) error) {
	t.Helper()
	if err := s.Update(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

// fill appends entries, several to an update.
func fill(t *testing.T, s *store.Store, n int) {
	t.Helper()
	for done := 0; done < n; done += 2 {
		update(t, s, func(tx *store.Tx) error {
			for i := done; i < min(done+2, n); i++ {
				e := audit.Entry{At: 1_772_445_600_000, Kind: "test", Who: "anna", What: fmt.Sprint(i), Data: json.RawMessage(`{"a":1}`)}
				if got, err := audit.Append(tx, e); err != nil || got.N != uint64(i+1) {
					return fmt.Errorf("entry %d: %+v, %w", i, got, err)
				}
			}
			return nil
		})
	}
}

func verify(t *testing.T, s *store.Store) (h audit.Head, err error) {
	t.Helper()
	if verr := s.View(func(snap *store.Snapshot) error {
		h, _, err = audit.Verify(t.Context(), snap)
		return nil
	}); verr != nil {
		t.Fatal(verr)
	}
	return h, err
}

func TestChainHolds(t *testing.T) {
	t.Parallel()
	s := open(t)
	if h, err := verify(t, s); err != nil || h.N != 0 {
		t.Errorf("an empty log: %+v, %v", h, err)
	}
	fill(t, s, 5)
	h, err := verify(t, s)
	if err != nil || h.N != 5 || len(h.Digest) != 64 {
		t.Errorf("%+v, %v", h, err)
	}
	for _, forward := range []bool{true, false} {
		var order []string
		err := s.View(func(snap *store.Snapshot) error {
			return audit.Each(snap, forward, func(e audit.Entry) (bool, error) {
				order = append(order, e.What)
				return len(order) < 2, nil
			})
		})
		want := "[0 1]"
		if !forward {
			want = "[4 3]"
		}
		if got := fmt.Sprint(order); err != nil || got != want {
			t.Errorf("forward %v: %s, %v, want %s", forward, got, err, want)
		}
	}
}

func TestAFailedUpdateLeavesNoEntry(t *testing.T) {
	t.Parallel()
	s := open(t)
	fill(t, s, 1)
	failed := errors.New("no")
	err := s.Update(context.Background(), func(tx *store.Tx) error {
		_, err := audit.Append(tx, audit.Entry{Kind: "test"})
		return errors.Join(err, failed)
	})
	if h, verr := verify(t, s); !errors.Is(err, failed) || verr != nil || h.N != 1 {
		t.Errorf("%v; %+v, %v", err, h, verr)
	}
}

// entryKey is the key of an entry as it lies in the store.
func entryKey(n uint64) []byte {
	return store.NewKey(store.KeyAudit).Str("entry").Uint64(n).Bytes()
}

func read(t *testing.T, s *store.Store, key []byte) (b []byte) {
	t.Helper()
	if err := s.View(func(snap *store.Snapshot) (err error) {
		b, err = snap.Get(key)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return b
}

// Whoever can write to the store changes the log in one place; the checksums of the store's records are right.
func TestDamageIsFound(t *testing.T) {
	t.Parallel()
	headKey := store.NewKey(store.KeyAudit).Str("head").Bytes()
	for name, c := range map[string]struct {
		at     uint64 // where it shows
		damage func(t *testing.T, s *store.Store, tx *store.Tx)
	}{
		"changed": {3, func(t *testing.T, s *store.Store, tx *store.Tx) {
			tx.Set(entryKey(2), bytes.Replace(read(t, s, entryKey(2)), []byte("anna"), []byte("mark"), 1))
		}},
		"last changed": {5, func(t *testing.T, s *store.Store, tx *store.Tx) {
			tx.Set(entryKey(5), bytes.Replace(read(t, s, entryKey(5)), []byte("anna"), []byte("mark"), 1))
		}},
		"removed":       {2, func(_ *testing.T, _ *store.Store, tx *store.Tx) { tx.Delete(entryKey(2)) }},
		"first removed": {1, func(_ *testing.T, _ *store.Store, tx *store.Tx) { tx.Delete(entryKey(1)) }},
		"last removed":  {5, func(_ *testing.T, _ *store.Store, tx *store.Tx) { tx.Delete(entryKey(5)) }},
		"swapped": {2, func(t *testing.T, s *store.Store, tx *store.Tx) {
			tx.Set(entryKey(2), read(t, s, entryKey(3)))
			tx.Set(entryKey(3), read(t, s, entryKey(2)))
		}},
		"appended without the head": {6, func(t *testing.T, s *store.Store, tx *store.Tx) {
			tx.Set(entryKey(6), bytes.Replace(read(t, s, entryKey(5)), []byte(`"n":5`), []byte(`"n":6`), 1))
		}},
		"no entry":     {4, func(_ *testing.T, _ *store.Store, tx *store.Tx) { tx.Set(entryKey(4), []byte("?")) }},
		"head removed": {5, func(_ *testing.T, _ *store.Store, tx *store.Tx) { tx.Delete(headKey) }},
		"cut off": {6, func(_ *testing.T, _ *store.Store, tx *store.Tx) {
			tx.Set(headKey, []byte(`{"n":6,"digest":"00"}`))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			fill(t, s, 5)
			update(t, s, func(tx *store.Tx) error {
				c.damage(t, s, tx)
				return nil
			})
			damage := (*audit.DamageError)(nil)
			if _, err := verify(t, s); !errors.As(err, &damage) || damage.N != c.at {
				t.Errorf("got %v, want damage at entry %d", err, c.at)
			}
		})
	}
}
