package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRecords(t *testing.T) {
	t.Parallel()
	k := []byte("mkey")
	rec := append(make([]byte, recordHeader), "payload"...)
	seal(rec, k)
	if p, err := payload(k, rec); string(p) != "payload" || err != nil {
		t.Fatal(p, err)
	}
	for i := range len(rec) * 8 {
		bad := bytes.Clone(rec)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := payload(k, bad); err == nil || !strings.Contains(err.Error(), `"mkey"`) {
			t.Errorf("bit %d flipped: %v", i, err)
		} else if i >= 8 && !errors.Is(err, ErrCorrupt) {
			t.Errorf("bit %d flipped: %v", i, err)
		}
	}
	if _, err := payload([]byte("mkez"), rec); !errors.Is(err, ErrCorrupt) {
		t.Error("under another key:", err)
	}
	if _, err := payload(k, rec[:4]); !errors.Is(err, ErrCorrupt) {
		t.Error("cut short:", err)
	}
	rec[0] = formatByte + 1
	if _, err := payload(k, rec); !errors.Is(err, ErrNewer) {
		t.Error("newer format:", err)
	}
}

// filledBy runs a part of runChild that leaves a directory as a crash does.
func filledBy(t *testing.T, part string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := child(part, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// closedStore returns the directory of a store that was filled and closed.
func closedStore(t *testing.T) string {
	t.Helper()
	dir := filledBy(t, "fill")
	s, err := Open(dir, small())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func file(t *testing.T, dir, pattern string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "badger", pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	return names[0]
}

func flip(t *testing.T, name string, at int64, bit int) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	_, rerr := f.ReadAt(b[:], at)
	b[0] ^= 1 << bit
	_, werr := f.WriteAt(b[:], at)
	if err := errors.Join(rerr, werr, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// A bit that flips in a table is found when the store is opened. Who goes on all the same finds the record that is
// damaged when it is read, and the others as they were.
func TestFlippedBitIsNamed(t *testing.T) {
	t.Parallel()
	dir, table := flippedIn(t, 77)
	_, err := Open(dir, small())
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), table) || !strings.Contains(err.Error(), acceptFile) {
		t.Errorf("opened: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, acceptFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := reopen(t, dir, small())
	expectDamaged(t, s, 77)
	must(t, s, func(tx *Tx) { tx.Set(key("a"), nil) })
}

// The tables of a large store are checked while it runs: then no update is accepted any more.
func TestFlippedBitOfALargeStore(t *testing.T) {
	t.Parallel()
	dir, table := flippedIn(t, 77)
	o := small()
	o.scrubAtOnce = 1
	s := reopen(t, dir, o)
	s.scrubbing.Wait()
	err := s.Update(t.Context(), func(tx *Tx) error { tx.Set(key("a"), nil); return nil })
	if !errors.Is(err, ErrPoisoned) || !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), table) || !errors.Is(s.Healthy(), ErrCorrupt) {
		t.Errorf("updated: %v", err)
	}
}

// flippedIn returns the directory of a store in one of whose tables a bit of a record is flipped, and the table.
func flippedIn(t *testing.T, n int) (dir, table string) {
	t.Helper()
	dir = closedStore(t)
	table = file(t, dir, "*.sst")
	b, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, record(n)[:80])
	if at < 0 {
		t.Fatal("the record is not in the table")
	}
	flip(t, table, int64(at+40), 3)
	return dir, table
}

// expectDamaged expects that a record cannot be read and all others can.
func expectDamaged(t *testing.T, s *Store, n int) {
	t.Helper()
	for i := range filled {
		err := s.View(func(sn *Snapshot) error {
			v, err := sn.Get(key(i))
			if err == nil && !bytes.Equal(v, record(i)) {
				t.Errorf("record %d is wrong", i)
			}
			return err
		})
		if (i == n) != errors.Is(err, ErrCorrupt) || i != n && err != nil {
			t.Errorf("record %d: %v", i, err)
		}
		if i == n && !strings.Contains(err.Error(), fmt.Sprintf("%q", key(n))) {
			t.Errorf("%v does not name the key", err)
		}
	}
	if err := s.View(func(sn *Snapshot) error {
		return sn.Scan([]byte{KeyMeta}, nil, false, func(_, _ []byte) (bool, error) { return true, nil })
	}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("scan: %v", err)
	}
	if err := s.Update(t.Context(), func(tx *Tx) error { _, err := tx.Get(key(n)); return err }); !errors.Is(err, ErrCorrupt) {
		t.Errorf("update: %v", err)
	}
}

// Badger drops the rest of a damaged log without a word; opening the store tells.
func TestCutLogIsLost(t *testing.T) {
	t.Parallel()
	r := random(t)
	dir := filledBy(t, "fill")
	if out, err := child("verify", copyOf(t, dir)).Output(); err != nil || string(out) != "wrong 0 missing 0 unreadable 0\n" {
		t.Fatalf("undamaged: %v, %s", err, out)
	}
	for range rounds(t, 5, 100) {
		d := copyOf(t, dir)
		flip(t, file(t, d, "*.mem"), 100+r.Int64N(300<<10), r.IntN(8))
		_, err := Open(d, small())
		var e *Error
		if !errors.Is(err, ErrLost) || !errors.As(err, &e) || e.Hint == "" {
			t.Errorf("flipped: %v", err)
		}
	}
	for _, damage := range []func(name string) error{os.Remove, func(name string) error { return os.Truncate(name, 100<<10) }} {
		d := copyOf(t, dir)
		if err := damage(file(t, d, "*.mem")); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(d, small()); !errors.Is(err, ErrLost) {
			t.Errorf("log removed or truncated: %v", err)
		}
	}
	// The loss can be accepted.
	d := copyOf(t, dir)
	if err := errors.Join(os.Truncate(file(t, d, "*.mem"), 100<<10), os.Remove(filepath.Join(d, "mark"))); err != nil {
		t.Fatal(err)
	}
	s := reopen(t, d, small())
	must(t, s, func(tx *Tx) { tx.Set(key("a"), nil) })
}

// A log that is cut while a later one is whole leaves a gap, which the mark alone does not show.
func TestGapBetweenLogsIsLost(t *testing.T) {
	t.Parallel()
	dir := filledBy(t, "two logs")
	obstacles, err := filepath.Glob(filepath.Join(dir, "badger", "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range obstacles {
		if err := os.Remove(o); err != nil {
			t.Fatal(err)
		}
	}
	logs, err := filepath.Glob(filepath.Join(dir, "badger", "*.mem"))
	if err != nil || len(logs) != 2 {
		t.Fatalf("expected two logs: %v, %v", logs, err)
	}
	slices.Sort(logs)
	d := copyOf(t, dir)
	flip(t, filepath.Join(d, "badger", filepath.Base(logs[0])), 1<<20, 3)
	if _, err := Open(d, small()); !errors.Is(err, ErrLost) {
		t.Errorf("a gap: %v", err)
	}
	s := reopen(t, dir, small())
	if s.Stats().Commit == 0 {
		t.Error("the undamaged directory is empty")
	}
}

// TestAnyBitFlips flips a bit in any file of a store, of each kind as often: a store that opens has every record as it
// was written.
func TestAnyBitFlips(t *testing.T) {
	t.Parallel()
	r := random(t)
	tally := map[string]int{}
	for _, from := range []string{closedStore(t), filledBy(t, "fill")} {
		files := kinds(t, from)
		for range rounds(t, 12, 1200) {
			kind := r.IntN(len(files))
			name := files[kind][r.IntN(len(files[kind]))]
			result := flipAnywhere(t, copyOf(t, from), name, r)
			tally[kindOf(name)+": "+result]++
		}
	}
	t.Log(tally)
}

// kindOf returns the kind of a file: what its name ends with, or the name itself.
func kindOf(name string) string { return cmp.Or(filepath.Ext(name), filepath.Base(name)) }

// kinds returns the files of a store that hold something, those of a kind together.
func kinds(t *testing.T, dir string) (kinds [][]string) {
	t.Helper()
	of := map[string][]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Size() == 0 {
			return err
		}
		name, err := filepath.Rel(dir, path)
		of[kindOf(name)] = append(of[kindOf(name)], name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range slices.Sorted(maps.Keys(of)) {
		kinds = append(kinds, of[kind])
	}
	return kinds
}

// flipAnywhere flips a bit of the file and says what came of it.
func flipAnywhere(t *testing.T, dir, name string, r *rand.Rand) string {
	t.Helper()
	path := filepath.Join(dir, name)
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	at := r.Int64N(min(fi.Size(), 350<<10)) // logs are empty behind it
	flip(t, path, at, r.IntN(8))
	out, _ := child("verify", dir).CombinedOutput() // what it says tells more than how it ends
	var wrong, missing, unreadable int
	switch n, _ := fmt.Sscanf(string(out), "wrong %d missing %d unreadable %d", &wrong, &missing, &unreadable); {
	case n < 3:
		return "refused to open"
	case wrong+missing+unreadable > 0:
		t.Errorf("a flip at %d in %s: %s", at, name, out)
		return "damage"
	}
	return "all is there"
}

func TestMark(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m, at, err := openMark(dir)
	if err != nil || at != 0 {
		t.Fatal(at, err)
	}
	for i := range uint64(5) {
		if err := m.write(i + 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.close(); err != nil {
		t.Fatal(err)
	}
	check := func(what string, want uint64, kind error) {
		t.Helper()
		m, at, err := openMark(dir)
		if at != want || !errors.Is(err, kind) {
			t.Errorf("%s: %d, %v; want %d, %v", what, at, err, want, kind)
		}
		if m != nil {
			if err := m.close(); err != nil {
				t.Error(err)
			}
		}
	}
	check("whole", 5, nil)
	flip(t, m.path, markSlot+9, 1)
	check("the newer slot torn", 4, nil)
	flip(t, m.path, 3, 1)
	check("both slots torn", 0, ErrCorrupt)
	if err := os.Truncate(m.path, 0); err != nil {
		t.Fatal(err)
	}
	check("empty, as after a power cut", 0, nil)
}

// Deletions that are compacted away must not look like lost commits.
func TestOnlyDeletionsIsNotLost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 3 {
		s, err := Open(dir, small())
		if err != nil {
			t.Fatal(err)
		}
		for i := range 200 {
			must(t, s, func(tx *Tx) { tx.Set(key(i), make([]byte, 30<<10)) })
		}
		for i := range 200 {
			must(t, s, func(tx *Tx) { tx.Delete(key(i)) })
		}
		if err := s.db.Flatten(1); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := reopen(t, dir, small())
	if st := s.Stats(); st.Commit != 1200 {
		t.Errorf("commit %d", st.Commit)
	}
	if s.floor == 0 {
		t.Error("the floor never rose")
	}
	if err := s.Update(context.Background(), func(tx *Tx) error { _, err := tx.Get(key(1)); return err }); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

// A process that was killed while files were made leaves empty ones.
func TestEmptyFiles(t *testing.T) {
	t.Parallel()
	dir := filledBy(t, "fill")
	for _, name := range []string{"00002.mem", "000009.vlog", "DISCARD", "000007.sst", "MANIFEST-REWRITE"} {
		if err := os.WriteFile(filepath.Join(dir, "badger", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := reopen(t, dir, small())
	if v := read(t, s, key(filled-1)); v != string(record(filled-1)) {
		t.Errorf("last record has %d bytes", len(v))
	}
}
