package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

func TestUpdatesRunAlone(t *testing.T) {
	t.Parallel()
	s := setup(t)
	refuse := errors.New("refused")
	var wg sync.WaitGroup
	for i := range 2000 {
		wg.Go(func() {
			err := s.Update(t.Context(), func(tx *Tx) error {
				n := 0
				if v, err := tx.Get(key("n")); err == nil {
					if _, err := fmt.Sscan(string(v), &n); err != nil {
						return err
					}
				}
				tx.Set(key("n"), fmt.Append(nil, n+1))
				if i%10 == 0 {
					return refuse
				}
				return nil
			})
			if (i%10 == 0) != errors.Is(err, refuse) {
				t.Errorf("update %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if v := read(t, s, key("n")); v != "1800" {
		t.Errorf("counter is %q, want 1800", v)
	}
	st := s.Stats()
	if st.Updates != 1800 || st.Commits >= 1800 || st.Commit != st.Commits || st.LastError != "" || st.Waiting != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestUpdateSeesItself(t *testing.T) {
	t.Parallel()
	s := setup(t)
	must(t, s, func(tx *Tx) {
		tx.Set(key("gone"), []byte("before"))
		tx.Set(key("kept"), nil)
	})
	must(t, s, func(tx *Tx) {
		tx.Delete(key("gone"))
		if _, err := tx.Get(key("gone")); !errors.Is(err, ErrNotFound) {
			t.Errorf("deleted key: %v", err)
		}
		v := []byte("mine")
		tx.Set(key("new"), v)
		copy(v, "lost")
		if v, err := tx.Get(key("new")); string(v) != "mine" {
			t.Errorf("own write: %q, %v", v, err)
		}
		if v, err := tx.Get(key("kept")); err != nil || len(v) != 0 {
			t.Errorf("empty payload: %q, %v", v, err)
		}
		if keys, bytes := tx.Size(); keys != 2 || bytes == 0 {
			t.Errorf("size %d keys, %d bytes", keys, bytes)
		}
		tx.Delete(key("never there"))
	})
	for k, want := range map[string]string{"gone": "", "kept": "", "new": "mine", "never there": ""} {
		if v := read(t, s, key(k)); v != want {
			t.Errorf("%s is %q, want %q", k, v, want)
		}
	}
}

// An update that panics or leaves its goroutine must not stop the store.
func TestUpdateThatDoesNotReturn(t *testing.T) {
	t.Parallel()
	s := setup(t)
	func() {
		defer func() {
			if r := recover(); r != "boom" {
				t.Errorf("recovered %v", r)
			}
		}()
		_ = s.Update(t.Context(), func(tx *Tx) error {
			tx.Set(key("a"), []byte("1"))
			panic("boom")
		})
	}()
	must(t, s, func(tx *Tx) { tx.Set(key("c"), nil) })
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = s.Update(t.Context(), func(tx *Tx) error {
			tx.Set(key("a"), []byte("2"))
			runtime.Goexit()
			return nil
		})
	})
	wg.Wait()
	if err := s.View(func(sn *Snapshot) error {
		defer func() {
			if r := recover(); r != "in a scan" {
				t.Errorf("recovered %v", r)
			}
		}()
		return sn.Scan([]byte{KeyMeta}, nil, false, func(_, _ []byte) (bool, error) { panic("in a scan") })
	}); err != nil {
		t.Error(err)
	}
	must(t, s, func(tx *Tx) { tx.Set(key("b"), []byte("3")) })
	if a, b := read(t, s, key("a")), read(t, s, key("b")); a != "" || b != "3" {
		t.Errorf("a is %q, b is %q", a, b)
	}
}

func TestKeysAndSizes(t *testing.T) {
	t.Parallel()
	s := setup(t)
	big := make([]byte, MaxValueBytes)
	cases := []struct {
		name string
		fn   func(tx *Tx)
		want error
	}{
		{"empty key", func(tx *Tx) { tx.Set(nil, nil) }, ErrKey},
		{"the store's own key", func(tx *Tx) { tx.Set(historyKey(), nil) }, ErrKey},
		{"badger's own key", func(tx *Tx) { tx.Delete([]byte("!badger!x")) }, ErrKey},
		{"too long key", func(tx *Tx) { tx.Set([]byte(strings.Repeat("k", MaxKeyBytes+1)), nil) }, ErrTooLarge},
		{"longest key", func(tx *Tx) { tx.Set([]byte(strings.Repeat("k", MaxKeyBytes)), nil) }, nil},
		{"largest value", func(tx *Tx) { tx.Set(key("big"), big) }, nil},
		{"too large value", func(tx *Tx) { tx.Set(key("big"), make([]byte, MaxValueBytes+1)) }, ErrTooLarge},
		{"too large update", func(tx *Tx) { tx.Set(key("a"), big); tx.Set(key("b"), big) }, ErrTooLarge},
		{"the same key again", func(tx *Tx) { tx.Set(key("a"), big); tx.Set(key("a"), big) }, nil},
		{"as much as fits", func(tx *Tx) {
			rest := s.limits.size - entrySize(len(key("a")), MaxValueBytes+recordHeader) - entrySize(len(key("b")), recordHeader)
			tx.Set(key("a"), big)
			tx.Set(key("b"), big[:rest])
			if tx.size != s.limits.size {
				t.Errorf("size %d, limit %d", tx.size, s.limits.size)
			}
		}, nil},
		{"too many keys", func(tx *Tx) {
			for i := range s.limits.count + 1 {
				tx.Delete(key(i))
			}
		}, ErrTooLarge},
		{"as many keys as fit", func(tx *Tx) {
			for i := range s.limits.count {
				tx.Delete(key(i))
			}
		}, nil},
		{"an item of 256 KiB", func(tx *Tx) { tx.Set(key("item"), make([]byte, 256<<10)) }, nil},
	}
	for _, c := range cases {
		err := s.Update(t.Context(), func(tx *Tx) error { c.fn(tx); return nil })
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if v := read(t, s, key("big")); len(v) != MaxValueBytes {
		t.Errorf("largest value came back with %d bytes", len(v))
	}
	if !s.Fits(1000, 300<<10) || s.Fits(1, 600<<10) || s.Fits(1<<20, 0) {
		t.Error("Fits does not agree with the limits")
	}
	if err := s.Healthy(); err != nil {
		t.Error("healthy:", err)
	}
}

// Updates that do not fit into one commit together are divided, in their order.
func TestGroupsAreSplit(t *testing.T) {
	t.Parallel()
	s := setup(t)
	const callers = 40
	began, hold := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // the first update keeps the others waiting
		must(t, s, func(tx *Tx) {
			tx.Set(key("n"), []byte("0"))
			close(began)
			<-hold
		})
	})
	<-began
	for i := range callers {
		wg.Go(func() {
			must(t, s, func(tx *Tx) {
				v, err := tx.Get(key("n"))
				if err != nil {
					t.Error(err)
				}
				var n int
				if _, err := fmt.Sscan(string(v), &n); err != nil {
					t.Error(err)
				}
				tx.Set(key("n"), fmt.Append(nil, n+1))
				tx.Set(key("v", i), make([]byte, 100<<10))
			})
		})
	}
	for s.waiting.Load() < callers+1 {
		runtime.Gosched()
	}
	close(hold)
	wg.Wait()
	if v := read(t, s, key("n")); v != fmt.Sprint(callers) {
		t.Errorf("counter is %s, want %d", v, callers)
	}
	if st := s.Stats(); st.Commits < callers/5 || st.Commits >= callers {
		t.Errorf("%d commits of %d updates", st.Commits, st.Updates)
	}
}

func TestContextEndsTheWait(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	must(t, s, func(tx *Tx) {
		done := make(chan error)
		go func() { done <- s.Update(ctx, func(*Tx) error { t.Error("ran"); return nil }) }()
		for s.waiting.Load() < 2 {
			runtime.Gosched()
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	if err := s.Update(ctx, func(*Tx) error { t.Error("ran"); return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := Open(dir, small())
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	if err := s.View(func(sn *Snapshot) error {
		must(t, s, func(tx *Tx) { tx.Set(key("a"), []byte("1")) })
		go func() { closed <- s.Close() }()
		for !errors.Is(s.Update(t.Context(), func(*Tx) error { return nil }), ErrClosed) {
			runtime.Gosched()
		}
		<-s.stopped
		if _, err := sn.Get(key("a")); !errors.Is(err, ErrNotFound) {
			t.Errorf("a view that was opened before the update: %v", err)
		}
		select {
		case <-closed:
			t.Error("closed with an open view")
		default:
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error("again:", err)
	}
	if err := s.View(func(*Snapshot) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if err := s.Healthy(); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if v := read(t, reopen(t, dir, small()), key("a")); v != "1" {
		t.Errorf("a is %q", v)
	}
}

func TestDirectoryIsLockedAndPrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	reopen(t, dir, small())
	_, err := Open(dir, small())
	var e *Error
	if !errors.Is(err, ErrLocked) || !errors.As(err, &e) || e.Hint == "" {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("process %d", os.Getpid()); !strings.Contains(err.Error(), want) {
		t.Errorf("%v does not name %q", err, want)
	}
	if runtime.GOOS == "windows" {
		return // has no modes
	}
	for _, d := range []string{dir, filepath.Join(dir, "badger")} {
		if fi, err := os.Stat(d); err != nil || fi.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", d, fi.Mode(), err)
		}
	}
	if fi, err := os.Stat(filepath.Join(dir, "mark")); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mark: %v, %v", fi, err)
	}
}

func TestUnknownProfile(t *testing.T) {
	t.Parallel()
	if _, err := Open(t.TempDir(), Options{Profile: "huge"}); err == nil || !strings.Contains(err.Error(), `"huge"`) {
		t.Error(err)
	}
}

// A view keeps what it saw while records are rewritten and old versions are compacted away.
func TestViewIsStable(t *testing.T) {
	t.Parallel()
	s := setup(t)
	must(t, s, func(tx *Tx) {
		for i := range 500 {
			tx.Set(key(i), []byte("old"))
		}
	})
	if err := s.View(func(sn *Snapshot) error {
		for round := range 40 { // several memtables
			must(t, s, func(tx *Tx) {
				for i := range 500 {
					tx.Set(key(i), make([]byte, 900+round))
				}
			})
		}
		if st := s.Stats(); st.OldestView != 1 {
			t.Errorf("oldest view is %d", st.OldestView)
		}
		if err := s.db.Flatten(1); err != nil {
			t.Error(err)
		}
		n := 0
		err := sn.Scan([]byte{KeyMeta}, nil, false, func(k, v []byte) (bool, error) {
			n++
			if string(v) != "old" {
				t.Errorf("%q is %d bytes", k, len(v))
			}
			return true, nil
		})
		if n != 500 {
			t.Errorf("%d records", n)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if v := read(t, s, key(499)); len(v) != 939 {
		t.Errorf("%d bytes", len(v))
	}
}

// Another program that has Badger's files open is as much in the way as another engine.
func TestBadgerIsInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o, err := Small.badgerOptions(filepath.Join(dir, "badger"))
	if err != nil {
		t.Fatal(err)
	}
	db, err := badger.OpenManaged(o.WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, small()); !errors.Is(err, ErrLocked) {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	reopen(t, dir, small())
}
