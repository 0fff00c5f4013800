package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// holding returns the names of the files below a directory that hold a text.
func holding(t *testing.T, dir string, text []byte) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, text) {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// What was deleted or overwritten is in no file any more, and all else is as it was.
func TestCompactLeavesNoByteOfWhatIsGone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := reopen(t, dir, small())
	const rounds, keys = 60, 50
	value := func(round, k int) []byte { return bytes.Repeat(fmt.Appendf(nil, "round %03d of %03d;", round, k), 60) }
	for round := range rounds {
		must(t, s, func(tx *Tx) {
			for k := range keys {
				tx.Set(key(k), value(round, k))
			}
		})
	}
	must(t, s, func(tx *Tx) { tx.Set(key("secret"), []byte("the words of anna")) })
	must(t, s, func(tx *Tx) {
		tx.Delete(key("secret"))
		tx.Delete(key(7))
	})
	if len(holding(t, dir, []byte("the words of anna"))) == 0 {
		t.Error("the text was gone before")
	}
	was, commit := digest(t, s), s.Stats().Commit
	c, err := s.Compact(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.After.Tables+c.After.Logs >= c.Before.Tables+c.Before.Logs || c.Records != keys-1 {
		t.Errorf("%+v", c)
	}
	for _, text := range [][]byte{[]byte("the words of anna"), value(rounds-1, 7)[:17], value(3, 4)[:17]} {
		if names := holding(t, dir, text); len(names) > 0 {
			t.Errorf("%q is in %q", text, names)
		}
	}
	if digest(t, s) != was || s.Stats().Commit != commit {
		t.Error("the state has changed")
	}
	must(t, s, func(tx *Tx) { tx.Set(key("later"), []byte("x")) })
	was = digest(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, dir, small())
	if digest(t, s) != was || s.Stats().Commit != commit+1 {
		t.Error("the state has changed over an opening")
	}
	if _, err := s.Compact(t.Context(), nil); err != nil {
		t.Error("again:", err)
	}
	if digest(t, s) != was {
		t.Error("the state has changed by compacting again")
	}
}

// Updates and views go on while the store is compacted, and none is lost.
func TestCompactWhileWriting(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := reopen(t, dir, small())
	for i := range 300 {
		must(t, s, func(tx *Tx) { tx.Set(key("old", i), record(i)) })
	}
	ctx, stop := context.WithCancel(t.Context())
	acked := make(chan int)
	go func() {
		n := 0
		for ; ctx.Err() == nil; n++ {
			must(t, s, func(tx *Tx) {
				tx.Set(key("new", n), record(n))
				tx.Set(key("last"), fmt.Append(nil, n))
				tx.Delete(key("old", n))
				if n%3 == 0 {
					tx.Delete(key("new", n/2))
				}
			})
		}
		acked <- n
	}()
	for range 3 {
		// A view that began before sees what it saw until it ends; Compact waits for it.
		began, release := make(chan string), make(chan struct{})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if err := s.View(func(sn *Snapshot) error {
				before, err := sn.Get(key("last"))
				if err != nil && !errors.Is(err, ErrNotFound) {
					t.Error(err)
				}
				began <- string(before)
				<-release
				if after, _ := sn.Get(key("last")); !bytes.Equal(after, before) {
					t.Errorf("a view saw %s, then %s", before, after)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		}()
		<-began
		time.AfterFunc(50*time.Millisecond, func() { close(release) })
		if _, err := s.Compact(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		<-ended
	}
	stop()
	n := <-acked
	check := func() {
		gone := func(i int) bool { return i*2 < n && (i*2)%3 == 0 || i*2+1 < n && (i*2+1)%3 == 0 }
		for i := range n {
			want := string(record(i))
			if gone(i) {
				want = ""
			}
			if got := read(t, s, key("new", i)); got != want {
				t.Fatalf("record %d of %d has %d bytes, want %d", i, n, len(got), len(want))
			}
			if read(t, s, key("old", i)) != "" {
				t.Fatalf("record %d of the old ones is back", i)
			}
		}
	}
	check()
	was := digest(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, dir, small())
	if digest(t, s) != was {
		t.Error("the state has changed over an opening")
	}
	check()
	t.Logf("%d updates", n)
}

// A Compact that cannot be finished leaves the store as it was and no files.
func TestCompactGivesUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	free := int64(1 << 40)
	o := Options{Profile: Small, Reserve: 1 << 20, Ballast: -1, Free: func(string) (int64, error) { return free, nil }}
	s := reopen(t, dir, o)
	for i := range 100 {
		must(t, s, func(tx *Tx) { tx.Set(key(i), record(i)) })
	}
	was := digest(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Compact(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Error("canceled:", err)
	}
	free = 2 << 20
	if _, err := s.Compact(t.Context(), nil); !errors.Is(err, ErrFull) {
		t.Error("no room:", err)
	}
	free = 1 << 40
	if trees, _ := filepath.Glob(filepath.Join(dir, "badger*")); len(trees) != 1 {
		t.Errorf("left: %q", trees)
	}
	if digest(t, s) != was {
		t.Error("the state has changed")
	}
	must(t, s, func(tx *Tx) { tx.Set(key("later"), []byte("x")) })
}

// What is left of a Compact that was cut off is removed when the directory is opened, and a wrong name is refused.
func TestCurrentTree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := reopen(t, dir, small())
	must(t, s, func(tx *Tx) { tx.Set(key("a"), []byte("x")) })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "badger-7"), os.DirFS(filepath.Join(dir, "badger"))); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, dir, small())
	if _, err := os.Stat(filepath.Join(dir, "badger-7")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a leftover is still there:", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{"", "badger", "../badger\n", "badger-0\n", "badger-01\n", "badger-9\n", "badger-x\n"} {
		if err := os.WriteFile(filepath.Join(dir, currentFile), []byte(wrong), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, small()); !errors.Is(err, ErrCorrupt) {
			t.Errorf("current %q: %v", wrong, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, currentFile), []byte("badger\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s = reopen(t, dir, small()); read(t, s, key("a")) != "x" {
		t.Error("the record is gone")
	}
}

// TestKilledWhileCompacting kills a process that writes while it compacts again and again.
func TestKilledWhileCompacting(t *testing.T) {
	t.Parallel()
	r := random(t)
	o := oracle{part: "churn and compact"}
	dir := t.TempDir()
	compacted, last := 0, firstTree
	n := rounds(t, 8, 200)
	for range n {
		wait := time.Duration(r.Int64N(int64(300 * time.Millisecond)))
		var once sync.Once
		if said := o.watch(t, dir, func(c *exec.Cmd, open bool) {
			if open {
				once.Do(func() { time.AfterFunc(wait, func() { _ = c.Process.Kill() }) })
			}
		}); said != "" {
			t.Fatalf("it ended by itself: %.4000s", said)
		}
		o.examine(t, dir)
		name, err := currentTree(dir)
		if err != nil {
			t.Fatal(err)
		}
		if trees, _ := filepath.Glob(filepath.Join(dir, "badger*")); len(trees) != 1 {
			t.Errorf("left: %q", trees)
		}
		if name != last {
			compacted++
		}
		last = name
	}
	t.Logf("%d kills, the tree was another after %d of them", n, compacted)
}

// A store whose file "current" was lost is refused, with all its files left as they are: without it the tree that holds
// everything would pass for a leftover.
func TestLosingWhichTreeCountsLosesNoTree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := Open(dir, small())
	if err != nil {
		t.Fatal(err)
	}
	must(t, s, func(tx *Tx) { tx.Set(key(1), []byte("one")) })
	if _, err := s.Compact(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, currentFile)
	was, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(dir, small()); !errors.Is(err, ErrCorrupt) || !Exists(dir) {
		t.Errorf("open: %v, there: %v", err, Exists(dir))
		if err == nil {
			_ = s.Close()
		}
	}
	if err := os.WriteFile(path, was, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := read(t, reopen(t, dir, small()), key(1)); got != "one" {
		t.Errorf("after the file is back: %q", got)
	}
}
