package store

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/closedloop/closedloop/sdk/feedback"
)

func TestKeyFields(t *testing.T) {
	t.Parallel()
	k := NewKey(KeySeen).Str("a\x00b").Str("").Uint64(7).Time(-1)
	r := ReadKey(k.Bytes())
	if a, b, n, at := r.Str(), r.Str(), r.Uint64(), r.Time(); a != "a\x00b" || b != "" || n != 7 || at != -1 || !r.Done() || r.Err() != nil {
		t.Errorf("%q %q %d %d, done %v, %v", a, b, n, at, r.Done(), r.Err())
	}
	if r.Str(); r.Err() == nil {
		t.Error("read a field that is not there")
	}
	// Two keys built on the same beginning do not share memory.
	base := NewKey(KeyItem).Str("x")
	one, two := base.Str("one"), base.Str("two")
	if bytes.Equal(one.Bytes(), two.Bytes()) || !bytes.HasPrefix(one.Bytes(), base.Bytes()) {
		t.Errorf("%q and %q", one.Bytes(), two.Bytes())
	}
}

func TestBrokenKeys(t *testing.T) {
	t.Parallel()
	for _, k := range []string{"", "f", "fabc", "fabc\x00", "fabc\x00\x02", "fa\x00\xff"} {
		r := ReadKey([]byte(k))
		if s := r.Str(); s != "" || r.Err() == nil {
			t.Errorf("%q read as %q", k, s)
		}
	}
	if r := ReadKey([]byte("f1234567")); r.Time() != 0 || r.Err() == nil {
		t.Error("7 bytes read as an instant")
	}
}

type tuple struct {
	s  string
	n  uint64
	at feedback.Time
	s2 string
}

func (x tuple) key() []byte {
	return NewKey(KeyIndex).Str(x.s).Uint64(x.n).Time(x.at).Str(x.s2).Bytes()
}

func (x tuple) compare(y tuple) int {
	return cmp.Or(strings.Compare(x.s, y.s), cmp.Compare(x.n, y.n), cmp.Compare(x.at, y.at), strings.Compare(x.s2, y.s2))
}

// Keys sort as the tuples of their fields do, and read back.
func TestKeyOrder(t *testing.T) {
	t.Parallel()
	str := rapid.OneOf(rapid.StringOf(rapid.SampledFrom([]rune{0, 1, 2, 'a', 0xFF})), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		draw := func() tuple {
			return tuple{str.Draw(t, "s"), rapid.Uint64().Draw(t, "n"), feedback.Time(rapid.Int64().Draw(t, "at")), str.Draw(t, "s2")}
		}
		x, y := draw(), draw()
		if rapid.Bool().Draw(t, "same") {
			y.s = x.s
		}
		if got, want := bytes.Compare(x.key(), y.key()), x.compare(y); got != want {
			t.Fatalf("%+v and %+v: keys compare %d, tuples %d", x, y, got, want)
		}
		r := ReadKey(x.key())
		if back := (tuple{r.Str(), r.Uint64(), r.Time(), r.Str()}); back != x || !r.Done() || r.Err() != nil {
			t.Fatalf("%+v read back as %+v: %v", x, back, r.Err())
		}
	})
}

func FuzzKey(f *testing.F) {
	f.Add("a", "b", "a\x00", "")
	f.Add("", "\x00\x01", "\x00\xff", "\xff")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		x, y := []string{a, b}, []string{c, d}
		kx, ky := NewKey(KeyIndex).Str(a).Str(b).Bytes(), NewKey(KeyIndex).Str(c).Str(d).Bytes()
		if got, want := bytes.Compare(kx, ky), slices.Compare(x, y); got != want {
			t.Errorf("%q and %q: keys compare %d, tuples %d", x, y, got, want)
		}
		r := ReadKey(kx)
		if back := []string{r.Str(), r.Str()}; !slices.Equal(back, x) || !r.Done() || r.Err() != nil {
			t.Errorf("%q read back as %q: %v", x, back, r.Err())
		}
	})
}

// Any bytes are read without a panic, and what is read builds the same key again.
func FuzzReadKey(f *testing.F) {
	f.Add([]byte("fabc\x00\x01"))
	f.Add([]byte("f\x00\xff\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := ReadKey(b)
		s := r.Str()
		n := r.Uint64()
		if r.Err() == nil && r.Done() && !bytes.Equal(NewKey(b[0]).Str(s).Uint64(n).Bytes(), b) {
			t.Errorf("%q reads as %q, %d", b, s, n)
		}
	})
}
