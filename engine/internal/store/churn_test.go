package store

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The churn is what a process does to a store until a fault ends it: several writers overwrite and delete a bounded set
// of large records, so that logs become tables and tables are compacted all the time. Which records update n of a writer
// writes follows from the two numbers alone; so the number of updates tells the whole state.
const (
	churnWriters = 4
	churnKeys    = 60 // of each writer
	churnSets    = 3  // of each update, besides a deletion and two counters
)

// churnUpdate applies update n of a writer to set and remove, in their order.
func churnUpdate(w, n int, set func(k int, payload func() []byte), remove func(k int)) {
	r := rand.New(rand.NewPCG(uint64(w), uint64(n)))
	remove(r.IntN(churnKeys))
	for range churnSets {
		k, size := r.IntN(churnKeys), r.IntN(20<<10)
		set(k, func() []byte {
			p := fmt.Appendf(nil, "writer %d, record %d, update %d;", w, k, n)
			return bytes.Repeat(p, 1+size/len(p))
		})
	}
}

// churnState returns the records of a writer after so many updates.
func churnState(w, updates int) map[int]func() []byte {
	state := map[int]func() []byte{}
	for n := range updates {
		churnUpdate(w, n, func(k int, payload func() []byte) { state[k] = payload }, func(k int) { delete(state, k) })
	}
	return state
}

// churn is the part of a child that writes until it fails or is ended.
func churn(dir string) error {
	return churnBeside(dir, func(*Store) error { select {} })
}

// churnAndCompact is the part of a child that compacts again and again besides.
func churnAndCompact(dir string) error {
	return churnBeside(dir, func(s *Store) error {
		for {
			if _, err := s.Compact(context.Background(), nil); err != nil {
				return err
			}
		}
	})
}

// churnBeside writes while beside runs too, until one of them fails.
func churnBeside(dir string, beside func(*Store) error) error {
	fmt.Println("opening")
	s, err := Open(dir, small())
	if err != nil {
		return err
	}
	fmt.Println("open")
	failed := make(chan error, churnWriters+1)
	go func() { failed <- beside(s) }()
	for w := range churnWriters {
		go func() {
			for {
				n, err := churnOnce(s, w)
				if err != nil {
					failed <- err
					return
				}
				fmt.Println("ack", w, n)
			}
		}()
	}
	return <-failed
}

// churnOnce makes the next update of a writer and returns how many it has made then.
func churnOnce(s *Store, w int) (n int, err error) {
	err = s.Update(context.Background(), func(tx *Tx) error {
		if n, err = count(tx, key("writer", w)); err != nil {
			return err
		}
		all, err := count(tx, key("all"))
		if err != nil {
			return err
		}
		churnUpdate(w, n, func(k int, payload func() []byte) { tx.Set(key("churn", w, k), payload()) },
			func(k int) { tx.Delete(key("churn", w, k)) })
		n++
		tx.Set(key("writer", w), strconv.AppendInt(nil, int64(n), 10))
		tx.Set(key("all"), strconv.AppendInt(nil, int64(all+1), 10))
		return nil
	})
	return n, err
}

func count(r Reader, key []byte) (int, error) {
	v, err := r.Get(key)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(v))
}

// checkChurn is the part of a child that compares a store with what the counters of the writers say, and tells those.
func checkChurn(dir string) error {
	s, err := Open(dir, small())
	if err != nil {
		return err
	}
	err = s.View(func(sn *Snapshot) error {
		sum := 0
		for w := range churnWriters {
			n, err := count(sn, key("writer", w))
			if err != nil {
				return err
			}
			if err := sameChurn(sn, w, churnState(w, n)); err != nil {
				return fmt.Errorf("writer %d after %d updates: %w", w, n, err)
			}
			sum += n
			fmt.Println("writer", w, n)
		}
		all, err := count(sn, key("all"))
		if err == nil && all != sum {
			err = fmt.Errorf("the counter of all says %d, the writers %d", all, sum)
		}
		return err
	})
	return errors.Join(err, s.Close())
}

// sameChurn compares the records of a writer with what they should be, one by one and in a scan.
func sameChurn(sn *Snapshot, w int, want map[int]func() []byte) error {
	for k := range churnKeys {
		payload, there := want[k]
		got, err := sn.Get(key("churn", w, k))
		switch {
		case !there && !errors.Is(err, ErrNotFound):
			return fmt.Errorf("record %d is back: %d bytes, %w", k, len(got), err)
		case there && err != nil:
			return fmt.Errorf("record %d: %w", k, err)
		case there && !bytes.Equal(got, payload()):
			return fmt.Errorf("record %d is %.60q, expected %.60q", k, got, payload())
		}
	}
	found := 0
	if err := sn.Scan(key("churn", w), nil, false, func(_, _ []byte) (bool, error) { found++; return true, nil }); err != nil {
		return err
	}
	if found != len(want) {
		return fmt.Errorf("a scan finds %d records, expected %d", found, len(want))
	}
	return nil
}

// oracle knows what a store has acknowledged over the lives of the processes that worked on it.
type oracle struct {
	part   string            // of the child. Defaults to the churn.
	acked  [churnWriters]int // updates of each writer
	lives  int               // since the store was examined
	opened bool              // in the last life
}

// watch runs the churn on dir. It calls fault when the child opens the store and when it has acknowledged something, and
// returns when the child has ended: with what it said in the end, unless it was killed. It is the fault that makes it end.
func (o *oracle) watch(t *testing.T, dir string, fault func(c *exec.Cmd, open bool)) (last string) {
	t.Helper()
	c := child(cmp.Or(o.part, "churn"), dir)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	c.Stderr = &stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	o.opened = false
	o.lives++
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var w, n int
		switch line := lines.Text(); {
		case line == "opening":
			fault(c, false)
		case line == "open":
			o.opened = true
		case strings.HasPrefix(line, "error"):
			last = line
		default:
			if _, err := fmt.Sscanf(line, "ack %d %d", &w, &n); err == nil {
				if o.acked[w] = n; n%8 == 0 {
					fault(c, true)
				}
			}
		}
	}
	_ = c.Wait()
	return last + stderr.String()
}

// examine looks at the store in a process of its own: everything acknowledged is there, and of each writer at most
// the one update more in each life that it was about when it ended.
func (o *oracle) examine(t *testing.T, dir string) (updates int) {
	t.Helper()
	out, err := child("check churn", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("acknowledged %v: %v: %s", o.acked, err, out)
	}
	told := 0
	for line := range strings.Lines(string(out)) {
		var w, n int
		if _, err := fmt.Sscanf(line, "writer %d %d", &w, &n); err != nil {
			continue
		}
		if n < o.acked[w] || n > o.acked[w]+o.lives {
			t.Errorf("writer %d: %d updates are there, %d were acknowledged", w, n, o.acked[w])
		}
		o.acked[w] = n
		updates += n
		told++
	}
	if told != churnWriters {
		t.Fatalf("the check said %s", out)
	}
	o.lives = 0
	return updates
}

// tables returns how many tables the store has written, ever.
func tables(t *testing.T, dir string) int {
	names, err := filepath.Glob(filepath.Join(dir, "badger", "*.sst"))
	if err != nil || len(names) == 0 {
		return 0
	}
	slices.Sort(names)
	n, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(names[len(names)-1]), ".sst"))
	if err != nil {
		t.Error(err)
	}
	return n
}

// TestKilledAtAnyMoment kills a process that writes, one time in three while it opens what the one before it left.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	r := random(t)
	var o oracle
	dir := t.TempDir()
	updates, built, opening := 0, 0, 0
	n := rounds(t, 12, 300)
	for round := range n {
		wait := time.Duration(r.Int64N(int64(150 * time.Millisecond)))
		early := round > 0 && r.IntN(3) == 0
		if early {
			wait /= 10
		}
		var once sync.Once
		last := o.watch(t, dir, func(c *exec.Cmd, open bool) {
			if open || early {
				once.Do(func() { time.AfterFunc(wait, func() { _ = c.Process.Kill() }) })
			}
		})
		if last != "" {
			t.Fatalf("it ended by itself: %.4000s", last)
		}
		if !o.opened {
			opening++
		}
		if round%4 == 3 || round == n-1 {
			updates = o.examine(t, dir)
		}
		if round%20 == 19 || round == n-1 {
			t.Logf("%d updates", updates)
			built += tables(t, dir)
			dir, o = t.TempDir(), oracle{}
		}
	}
	t.Logf("%d kills, %d of them within Open; %d tables were written meanwhile", n, opening, built)
}
