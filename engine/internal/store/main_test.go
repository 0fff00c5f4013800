package store

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"go.uber.org/goleak"
)

// A test that needs a process of its own to kill or to lose runs this binary again with CLOSEDLOOP_CHILD set.
func TestMain(m *testing.M) {
	if child := os.Getenv("CLOSEDLOOP_CHILD"); child != "" {
		os.Exit(runChild(child, os.Args[1:]))
	}
	// A failing case is repeated by its seed; files of them would become part of the sources.
	if err := flag.Set("rapid.nofailfile", "true"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// rounds returns how often a campaign repeats: quick times, or the given share of full when CLOSEDLOOP_DEEP says so.
func rounds(t testing.TB, quick, full int) int {
	s := os.Getenv("CLOSEDLOOP_DEEP")
	if s == "" {
		return quick
	}
	share, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatalf("CLOSEDLOOP_DEEP=%s: expected a number such as 0.1", s)
	}
	return max(quick, int(share*float64(full)))
}

// random returns the source of a campaign's choices. CLOSEDLOOP_SEED repeats a run.
func random(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	if s := os.Getenv("CLOSEDLOOP_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("CLOSEDLOOP_SEED=%s: %v", s, err)
		}
	}
	t.Logf("CLOSEDLOOP_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// small are options without reserve, so that tests pass on a nearly full disk.
func small() Options { return Options{Profile: Small, Reserve: -1, Ballast: -1} }

// setup opens an empty small store that is closed with the test.
func setup(t testing.TB) *Store {
	t.Helper()
	return reopen(t, t.TempDir(), small())
}

func reopen(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error("close:", err)
		}
	})
	return s
}

func key(parts ...any) []byte {
	k := NewKey(KeyMeta)
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			k = k.Str(p)
		case int:
			k = k.Uint64(uint64(p))
		default:
			panic(fmt.Sprintf("key part %T", p))
		}
	}
	return k.Bytes()
}

// must runs an update that is expected to succeed.
func must(t testing.TB, s *Store, fn func(tx *Tx)) {
	t.Helper()
	if err := s.Update(t.Context(), func(tx *Tx) error { fn(tx); return nil }); err != nil {
		t.Fatal(err)
	}
}

// read returns the payload of a key in the last commit, and "" for none.
func read(t testing.TB, s *Store, key []byte) string {
	t.Helper()
	var v []byte
	if err := s.View(func(sn *Snapshot) (err error) {
		v, err = sn.Get(key)
		return err
	}); err != nil && err != ErrNotFound {
		t.Fatal(err)
	}
	return string(v)
}
