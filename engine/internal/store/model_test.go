package store

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// model is what a store should hold: records by key, timers among them.
type model struct {
	dir   string
	s     *Store
	state map[string]string
}

var modelKeys = []string{"a", "ab", "b\x00", "b", "\xff\xff", "\xff", "c"}

func modelKey(t *rapid.T) []byte {
	space := rapid.SampledFrom([]byte{KeyItem, KeyMeta, 0xFF}).Draw(t, "space")
	return NewKey(space).Str(rapid.SampledFrom(modelKeys).Draw(t, "key")).Bytes()
}

// Random updates, views, scans, timers and reopenings agree with a map. All runs share a directory, which each of
// them empties first.
func TestModel(t *testing.T) {
	t.Parallel()
	m := &model{dir: t.TempDir()}
	t.Cleanup(func() {
		if err := m.s.Close(); err != nil {
			t.Error(err)
		}
	})
	m.open(t)
	rapid.Check(t, func(t *rapid.T) {
		m.empty(t)
		t.Repeat(map[string]func(*rapid.T){
			"update": m.update,
			"timer":  m.timer,
			"scan":   m.scan,
			"reopen": m.reopen,
			"":       m.check,
		})
	})
}

func (m *model) open(t interface{ Fatal(...any) }) {
	s, err := Open(m.dir, small())
	if err != nil {
		t.Fatal(err)
	}
	m.s = s
}

func (m *model) empty(t *rapid.T) {
	m.state = map[string]string{}
	var keys [][]byte
	err := m.s.View(func(sn *Snapshot) error {
		return sn.Scan(nil, nil, false, func(k, _ []byte) (bool, error) {
			keys = append(keys, bytes.Clone(k))
			return true, nil
		})
	})
	if err == nil {
		err = m.s.Update(t.Context(), func(tx *Tx) error {
			for _, k := range keys {
				tx.Delete(k)
			}
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (m *model) reopen(t *rapid.T) {
	if rapid.IntRange(0, 19).Draw(t, "chance") > 0 {
		t.Skip("an opening takes long")
	}
	if err := m.s.Close(); err != nil {
		t.Fatal(err)
	}
	m.open(t)
}

func (m *model) update(t *rapid.T) {
	refuse := errors.New("refused")
	fail := rapid.IntRange(0, 4).Draw(t, "fail") == 0
	next := maps.Clone(m.state)
	err := m.s.Update(t.Context(), func(tx *Tx) error {
		for range rapid.IntRange(0, 8).Draw(t, "operations") {
			k := modelKey(t)
			switch rapid.IntRange(0, 2).Draw(t, "operation") {
			case 0:
				v := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "value")
				tx.Set(k, v)
				next[string(k)] = string(v)
			case 1:
				tx.Delete(k)
				delete(next, string(k))
			case 2:
				v, err := tx.Get(k)
				want, there := next[string(k)]
				if string(v) != want || errors.Is(err, ErrNotFound) == there {
					t.Fatalf("get %q: %q, %v; want %q, %v", k, v, err, want, there)
				}
			}
		}
		if fail {
			return refuse
		}
		return nil
	})
	if fail != errors.Is(err, refuse) || !fail && err != nil {
		t.Fatal(err)
	}
	if !fail {
		m.state = next
	}
}

func (m *model) timer(t *rapid.T) {
	at := feedback.Time(rapid.IntRange(-3, 6).Draw(t, "due"))
	now := feedback.Time(rapid.IntRange(-3, 6).Draw(t, "now"))
	if rapid.Bool().Draw(t, "set") {
		if err := m.s.Update(t.Context(), func(tx *Tx) error { tx.SetTimer(at, "k", "r", []byte("p")); return nil }); err != nil {
			t.Fatal(err)
		}
		m.state[string(timerKey(at, "k", "r"))] = "p"
	}
	due, err := m.s.Due(now, 3)
	if err != nil {
		t.Fatal(err)
	}
	want := m.timers()
	want = want[:min(3, len(want))]
	for i, x := range want {
		if x > now {
			want = want[:i]
			break
		}
	}
	got := []feedback.Time{}
	for _, tm := range due {
		got = append(got, tm.Due)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("due at %d: %v, want %v", now, got, want)
	}
	if err := m.s.Update(t.Context(), func(tx *Tx) error {
		for _, tm := range due {
			if there, err := tx.TakeTimer(tm); !there || err != nil {
				t.Fatalf("timer at %d: %v, %v", tm.Due, there, err)
			}
			delete(m.state, string(timerKey(tm.Due, tm.Kind, tm.Ref)))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func (m *model) timers() []feedback.Time {
	out := []feedback.Time{}
	for k := range m.state {
		if k[0] == KeyTimer {
			out = append(out, ReadKey([]byte(k)).Time())
		}
	}
	slices.Sort(out)
	return out
}

func (m *model) scan(t *rapid.T) {
	prefix := rapid.SampledFrom([][]byte{nil, {KeyItem}, {KeyMeta}, {0xFF}, {0xFF, 0xFF}, NewKey(KeyItem).Str("a").Bytes()[:2]}).Draw(t, "prefix")
	reverse := rapid.Bool().Draw(t, "reverse")
	limit := rapid.IntRange(1, 30).Draw(t, "limit")
	var from []byte
	if rapid.Bool().Draw(t, "from the middle") {
		from = modelKey(t)
	}
	var want []string
	for k := range m.state {
		if !bytes.HasPrefix([]byte(k), prefix) || from != nil && (!reverse && k < string(from) || reverse && k > string(from)) {
			continue
		}
		want = append(want, k)
	}
	slices.Sort(want)
	if reverse {
		slices.Reverse(want)
	}
	want = want[:min(limit, len(want))]
	var got []string
	if err := m.s.View(func(sn *Snapshot) error {
		return sn.Scan(prefix, from, reverse, func(k, v []byte) (bool, error) {
			got = append(got, string(k))
			if string(v) != m.state[string(k)] {
				t.Fatalf("scan: %q is %q", k, v)
			}
			return len(got) < limit, nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("scan of %q from %q, reverse %v:\n got %q\nwant %q", prefix, from, reverse, got, want)
	}
}

func (m *model) check(t *rapid.T) {
	if at, ok, err := m.s.NextDue(); err != nil || ok != (len(m.timers()) > 0) || ok && at != m.timers()[0] {
		t.Fatalf("next due %d, %v, %v; want %v", at, ok, err, m.timers())
	}
	if err := m.s.View(func(sn *Snapshot) error {
		for k, want := range m.state {
			if v, err := sn.Get([]byte(k)); string(v) != want || err != nil {
				t.Fatalf("%q is %q, %v; want %q", k, v, err, want)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// digest is a hash over all keys and payloads in their order.
func digest(t testing.TB, s *Store) string {
	h := sha256.New()
	if err := s.View(func(sn *Snapshot) error {
		return sn.Scan(nil, nil, false, func(k, v []byte) (bool, error) {
			fmt.Fprintf(h, "%q %q\n", k, v)
			return true, nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// The same updates in the same order give the same state, however they fall into commits.
func TestGroupingDoesNotShow(t *testing.T) {
	t.Parallel()
	update := func(i int) func(*Tx) error {
		return func(tx *Tx) error {
			tx.Set(key("last"), fmt.Append(nil, i))
			tx.Set(key(i%17), fmt.Append(nil, i))
			tx.Delete(key(i % 13))
			tx.SetTimer(feedback.Time(i%11), "k", "", fmt.Append(nil, i))
			return nil
		}
	}
	one, many := setup(t), setup(t)
	for i := range 300 {
		if err := one.Update(t.Context(), update(i)); err != nil {
			t.Fatal(err)
		}
	}
	var pending []*Pending
	for i := range 300 {
		p, err := many.Begin(t.Context(), nil, update(i))
		if err != nil {
			t.Fatal(err)
		}
		pending = append(pending, p)
	}
	for _, p := range pending {
		if err := p.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := digest(t, one), digest(t, many); a != b {
		t.Errorf("states differ: %s and %s", a, b)
	}
	if a, b := one.Stats(), many.Stats(); a.Commits != 300 || b.Commits >= 300 || b.Updates != 300 {
		t.Errorf("stats %+v and %+v", a, b)
	}
}

// Money that is moved between accounts stays the same in every view.
func TestViewsAreConsistent(t *testing.T) {
	t.Parallel()
	s := setup(t)
	const accounts = 10
	must(t, s, func(tx *Tx) {
		for i := range accounts {
			tx.Set(key("account", i), []byte("100"))
		}
	})
	balance := func(r Reader, i int) (n int) {
		v, err := r.Get(key("account", i))
		if err == nil {
			_, err = fmt.Sscan(string(v), &n)
		}
		if err != nil {
			t.Error(err)
		}
		return n
	}
	var writers, readers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 150 {
				a, b := (w+i)%accounts, (w*3+i*7)%accounts
				if a == b {
					continue
				}
				must(t, s, func(tx *Tx) {
					tx.Set(key("account", a), fmt.Append(nil, balance(tx, a)-1))
					tx.Set(key("account", b), fmt.Append(nil, balance(tx, b)+1))
				})
			}
		})
	}
	stop := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			last := uint64(0)
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := s.View(func(sn *Snapshot) error {
					sum := 0
					for i := range accounts {
						sum += balance(sn, i)
					}
					if sum != accounts*100 || sn.Commit() < last {
						t.Errorf("sum %d at commit %d after %d", sum, sn.Commit(), last)
					}
					last = sn.Commit()
					return nil
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
}

func TestScanStart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ prefix, want string }{{"a", "b"}, {"a\xff", "b"}, {"\xff", ""}, {"", ""}, {"ab", "ac"}} {
		if got := successor([]byte(c.prefix)); string(got) != c.want {
			t.Errorf("successor of %q is %q, want %q", c.prefix, got, c.want)
		}
	}
}
