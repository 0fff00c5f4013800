package store

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
)

// disk is a file system of a made-up size.
type disk struct{ free atomic.Int64 }

func (d *disk) options(reserve, ballast int64) Options {
	o := small()
	o.Reserve, o.Ballast = reserve, ballast
	o.Free = func(string) (int64, error) { return d.free.Load(), nil }
	return o
}

func TestFullAtOpen(t *testing.T) {
	t.Parallel()
	var d disk
	d.free.Store(99 << 20)
	dir := t.TempDir()
	_, err := Open(dir, d.options(100<<20, -1))
	var e *Error
	if !errors.Is(err, ErrFull) || !errors.As(err, &e) || e.Hint == "" {
		t.Fatal(err)
	}
	d.free.Store(100 << 20)
	reopen(t, dir, d.options(100<<20, -1))
	if _, err := Open(t.TempDir(), Options{Reserve: 1 << 60}); !errors.Is(err, ErrFull) {
		t.Error("the real disk:", err)
	}
}

func TestFullAtCommit(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	var d disk
	d.free.Store(1000 * mb)
	dir := t.TempDir()
	s := reopen(t, dir, d.options(100*mb, 10*mb))
	ballast := filepath.Join(dir, "ballast")
	held := func() bool {
		fi, err := os.Stat(ballast)
		return err == nil && fi.Size() == 10*mb
	}
	n := 0
	set := func() error {
		n++
		return s.Update(t.Context(), func(tx *Tx) error { tx.Set(key("n", n), nil); return nil })
	}
	steps := []struct {
		free int64
		want error
		held bool
	}{
		{1000, nil, true},
		{99, ErrFull, true}, // its reserve is there for what Badger still does
		{101, nil, true},
		{49, ErrFull, false}, // others eat the reserve
		{101, ErrFull, false},
		{109, ErrFull, false},
		{111, nil, true},
	}
	for i, step := range steps {
		d.free.Store(step.free * mb)
		err := set()
		if !errors.Is(err, step.want) || (err == nil) != (step.want == nil) || held() != step.held {
			t.Errorf("step %d, %d MiB free: %v, ballast %v; want %v, %v", i, step.free, err, held(), step.want, step.held)
		}
		if there := read(t, s, key("n", n)) != "" || err == nil; there != (step.want == nil) {
			t.Errorf("step %d: record there %v", i, there)
		}
		if st := s.Stats(); (st.LastError == "") != (step.want == nil) || st.FreeBytes != step.free*mb {
			t.Errorf("step %d: %+v", i, st)
		}
		if err := s.Healthy(); !errors.Is(err, step.want) {
			t.Errorf("step %d: healthy %v", i, err)
		}
	}
}

// An update that read what could not be committed fails with it.
func TestFullTakesFollowersAlong(t *testing.T) {
	t.Parallel()
	var d disk
	d.free.Store(1000)
	entered, hold := make(chan struct{}), make(chan struct{})
	o := d.options(100, -1)
	measure := o.Free
	var holding atomic.Bool
	o.Free = func(dir string) (int64, error) {
		if holding.CompareAndSwap(true, false) {
			close(entered)
			<-hold
		}
		return measure(dir)
	}
	s := reopen(t, t.TempDir(), o)
	must(t, s, func(tx *Tx) { tx.Set(key("a"), []byte("1")) })
	holding.Store(true)
	d.free.Store(1)
	first, _, err := s.run(t.Context(), nil, func(tx *Tx) error { tx.Set(key("a"), []byte("2")); return nil })
	if err != nil {
		t.Fatal(err)
	}
	<-entered // the committer is about to find the disk full
	reads := func(want string) func(tx *Tx) error {
		return func(tx *Tx) error {
			if v, err := tx.Get(key("a")); string(v) != want {
				t.Errorf("a is %q, %v; want %q", v, err, want)
			}
			return nil
		}
	}
	onlyReads, _, err := s.run(t.Context(), nil, reads("2"))
	if err != nil || onlyReads != first {
		t.Fatal("an update that read the first one does not wait for it", err)
	}
	refuse := errors.New("refused")
	refused, _, err := s.run(t.Context(), nil, func(tx *Tx) error { _, _ = tx.Get(key("a")); return refuse })
	if !errors.Is(err, refuse) || refused != first {
		t.Error(err)
	}
	second, _, err := s.run(t.Context(), nil, func(tx *Tx) error { tx.Set(key("b"), []byte("2")); return reads("2")(tx) })
	if err != nil {
		t.Fatal(err)
	}
	close(hold)
	for i, g := range []*group{first, second} {
		if <-g.done; !errors.Is(g.err, ErrFull) {
			t.Errorf("group %d: %v", i, g.err)
		}
	}
	d.free.Store(1 << 40)
	if err := s.Update(t.Context(), reads("1")); err != nil {
		t.Error(err)
	}
	if v := read(t, s, key("b")); v != "" {
		t.Errorf("b is %q", v)
	}
}

// Updates that were begun one after the other become durable without a hole, whichever of them the disk has no room for
// and however late that shows.
func TestNothingStandsOnWhatFailed(t *testing.T) {
	t.Parallel()
	var d disk
	o := d.options(100, -1)
	var measured atomic.Int64
	var over atomic.Bool
	o.Free = func(string) (int64, error) {
		if measured.Add(1)%7 == 0 && !over.Load() {
			return 1, nil
		}
		return 1 << 40, nil
	}
	s := reopen(t, t.TempDir(), o)
	durable := func() int { n, _ := strconv.Atoi(read(t, s, key("n"))); return n }
	failures, holes := 0, 0
	count := func(n int) func(tx *Tx) error {
		return func(tx *Tx) error {
			if v, err := tx.Get(key("n")); n > 1 && string(v) != strconv.Itoa(n-1) || err != nil && n > 1 {
				holes++
			}
			tx.Set(key("n"), strconv.AppendInt(nil, int64(n), 10))
			return nil
		}
	}
	for n := 1; n < 2000; {
		var last *Pending
		for {
			next, err := s.Begin(t.Context(), last, count(n))
			if last != nil {
				err = errors.Join(last.Wait(), err)
			}
			if last = next; err != nil {
				failures++
				if !errors.Is(err, ErrFull) {
					t.Fatal(err)
				}
				break
			}
			if n++; n == 2000 {
				break
			}
		}
		if last != nil && last.Wait() != nil && n == 2000 {
			failures++
		}
		n = durable() + 1
	}
	over.Store(true)
	if failures < 10 || holes > 0 || durable() != 1999 {
		t.Errorf("%d failures, %d holes, %d at the end", failures, holes, durable())
	}
}

// An update that writes nothing passes on whether the one before it stands.
func TestNothingStandsOnWhatFailedInBetween(t *testing.T) {
	t.Parallel()
	var d disk
	d.free.Store(1000)
	s := reopen(t, t.TempDir(), d.options(100, -1))
	must(t, s, func(tx *Tx) { tx.Set(key("z"), []byte("1")) })
	d.free.Store(1)
	set := func(k string) func(tx *Tx) error {
		return func(tx *Tx) error { tx.Set(key(k), []byte("1")); return nil }
	}
	a, err := s.Begin(t.Context(), nil, set("a"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Begin(t.Context(), a, func(*Tx) error { return nil })
	if err == nil {
		err = b.Wait()
	}
	if failed := a.Wait(); !errors.Is(failed, ErrFull) || !errors.Is(err, ErrFull) {
		t.Fatal(failed, err)
	}
	d.free.Store(1 << 40)
	if b != nil {
		if _, err := s.Begin(t.Context(), b, set("c")); !errors.Is(err, ErrFull) {
			t.Errorf("got %v", err)
		}
	}
	if v := read(t, s, key("c")); v != "" {
		t.Error("c stands without a")
	}
}

// Without room to write the last table, Close leaves the log as it is.
func TestCloseOnFullDisk(t *testing.T) {
	t.Parallel()
	var d disk
	d.free.Store(1000 << 20)
	dir := t.TempDir()
	s, err := Open(dir, d.options(100<<20, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	must(t, s, func(tx *Tx) { tx.Set(key("a"), []byte("1")) })
	copied := filepath.Join(t.TempDir(), "copy")
	d.free.Store(1 << 20)
	if err := s.Close(); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "ballast")); err == nil {
		t.Error("the ballast is still there")
	}
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if v := read(t, reopen(t, copied, small()), key("a")); v != "1" {
		t.Errorf("a is %q", v)
	}
	if err := errors.Join(closeBadger(s.db), s.lock.unlock()); err != nil { // ends Badger's goroutines
		t.Error(err)
	}
}

// A compaction writes no table while the disk is full, and goes on once there is room.
func TestCompactionAwaitsRoom(t *testing.T) {
	t.Parallel()
	var d disk
	d.free.Store(1000 << 20)
	dir, o := t.TempDir(), d.options(100<<20, -1)
	o.Profile = Still // compacts only when told
	for i := range 6 {
		s := reopen(t, dir, o)
		must(t, s, func(tx *Tx) { tx.Set(key("a", i), []byte("1")) })
		if err := s.Close(); err != nil { // leaves a table, of which there are more than may stay
			t.Fatal(err)
		}
	}
	looks, measure := make(chan struct{}, 100), o.Free
	o.Free = func(dir string) (int64, error) {
		looks <- struct{}{}
		return measure(dir)
	}
	s := reopen(t, dir, o)
	before := len(s.db.Tables())
	for len(looks) > 0 {
		<-looks
	}
	d.free.Store(49 << 20)
	flat := make(chan error, 1)
	go func() { flat <- s.db.Flatten(1) }()
	for range 4 { // each time it measures twice
		select {
		case <-looks:
		case err := <-flat:
			t.Fatal("the compaction did not wait:", err)
		}
	}
	if n := len(s.db.Tables()); n != before {
		t.Errorf("%d tables, were %d", n, before)
	}
	d.free.Store(1000 << 20)
	if err := <-flat; err != nil {
		t.Error(err)
	}
	if n := len(s.db.Tables()); n >= before {
		t.Errorf("%d tables, were %d", n, before)
	}
}

// A tree that is being closed waits for no room.
func TestAwaitEnds(t *testing.T) {
	t.Parallel()
	var d disk
	o := d.options(100<<20, -1)
	l := newLogger(nil, &space{dir: t.TempDir(), reserve: o.Reserve, free: o.Free})
	l.release()
	l.release()
	l.Debugf(aboutToWrite+"%d keys", 1, 2)
}

func TestWriteBlocks(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := writeBlocks(f, 2<<20+5); err != nil {
		t.Fatal(err)
	}
	if fi, err := f.Stat(); err != nil || fi.Size() != 2<<20+5 {
		t.Error(fi.Size(), err)
	}
}
