package window

import (
	"encoding/hex"
	"encoding/json"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
)

const day = 24 * time.Hour

// noon is 2026-03-02T12:00:00Z.
const noon feedback.Time = 1772452800000

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		span Span
		want string // "" for none
	}{
		{Span{7 * day, time.Hour, 0}, ""},
		{Span{28 * day, day, day}, ""},
		{Span{4096 * time.Millisecond, time.Millisecond, 0}, ""},
		{Span{4095 * time.Hour, time.Hour, time.Minute}, ""},
		{Span{4096 * time.Hour, time.Hour, time.Minute}, "4097 steps of 1h0m0s, expected at most 4096"},
		{Span{math.MaxInt64, 1, 0}, "whole milliseconds"},
		{Span{math.MaxInt64 / 1_000_000 * 1_000_000, time.Millisecond, math.MaxInt64 / 1_000_000 * 1_000_000}, "at most 4096"},
		{Span{90 * time.Minute, time.Hour, 0}, "over is 1h30m0s, expected a multiple of step, which is 1h0m0s"},
		{Span{time.Hour, 0, 0}, "step is 0s"},
		{Span{0, time.Hour, 0}, "over is 0s"},
		{Span{time.Hour, time.Hour, -1}, "offset is -1ns"},
		{Span{time.Hour, time.Hour, 1}, "offset is 1ns, expected whole milliseconds"},
	} {
		err := c.span.Validate()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: got %v, want %q", c.span, err, c.want)
		}
		r := NewRing(c.span)
		if r.Add(noon, noon, Observation{}) != (err == nil) {
			t.Errorf("%+v: a ring counts exactly when its span is right", c.span)
		}
		if err == nil && r.Span() != c.span {
			t.Errorf("%+v: the ring has %+v", c.span, r.Span())
		}
	}
}

// A window of 7 days in hours covers 168 buckets: the one of now is the last of them.
func TestReach(t *testing.T) {
	t.Parallel()
	span := Span{7 * day, time.Hour, 0}
	for _, c := range []struct {
		at   feedback.Time
		want bool
	}{
		{noon.Add(-167 * time.Hour), true},
		{noon.Add(-167*time.Hour) - 1, false},
		{noon, true},
		{noon.Add(169*time.Hour) - 1, true},
		{noon.Add(169 * time.Hour), false},
		{math.MaxInt64, false},
		{math.MinInt64, false},
	} {
		r := NewRing(span)
		if got := r.Add(c.at, noon, Observation{}); got != c.want {
			t.Errorf("%v: got %v", c.at, got)
		}
	}
	r := NewRing(span)
	r.Add(noon.Add(time.Hour), noon, Observation{})
	if s := r.Read(noon); s.N != 0 {
		t.Error("an event of the next hour is counted now")
	}
	if s := r.Read(noon.Add(time.Hour)); s.N != 1 {
		t.Error("an event of this hour is not counted")
	}
	if r.Add(noon, math.MaxInt64, Observation{}) || r.Read(math.MinInt64) != (Sums{}) {
		t.Error("a time beyond all calendars counts")
	}
}

func TestRefusesWhatIsNoNumber(t *testing.T) {
	t.Parallel()
	r := NewRing(Span{day, time.Hour, 0})
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1.1e12, -1.1e12} {
		o := Observation{Pos: true, Value: v}
		if o.Valid() || r.Add(noon, noon, o) {
			t.Errorf("%v is counted", v)
		}
		r.Remove(noon, noon, o)
		var s Sums
		if s.Add(o) {
			t.Errorf("%v is summed", v)
		}
		s.Remove(o)
		if s != (Sums{}) || r.Read(noon) != (Sums{}) {
			t.Errorf("%v leaves a trace", v)
		}
	}
}

// Steady traffic over many times the length of a window reuses the memory of the buckets that have left.
func TestMemoryIsReused(t *testing.T) {
	r := NewRing(Span{100 * time.Second, time.Second, 0})
	now := noon
	step := func() {
		now = now.Add(time.Second)
		r.Add(now, now, Observation{Value: 7.3})
		if s := r.Read(now); s.N > 100 {
			t.Fatal(s)
		}
	}
	for range 1000 {
		step()
	}
	if n := testing.AllocsPerRun(5000, step); n > 0 {
		t.Errorf("%v allocations an event", n)
	}
	if cap(r.buckets) > 300 {
		t.Errorf("room for %d buckets", cap(r.buckets))
	}
}

// The moments are those of exact rational arithmetic, rounded once or twice.
func TestMoments(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, scale := range []float64{1, 10, 1e9, MaxValue} {
		for range 200 {
			var s Sums
			sum, squares := new(big.Int), new(big.Int)
			n := 2 + rnd.IntN(50)
			base := (rnd.Float64() - .5) * scale
			for range n {
				v := math.Round((base+rnd.Float64())*1e3) / 1e3
				s.Add(Observation{Value: v})
				m := big.NewInt(int64(math.Round(v * 1e6)))
				sum.Add(sum, m)
				squares.Add(squares, new(big.Int).Mul(m, m))
			}
			mean, _ := new(big.Rat).SetFrac(sum, big.NewInt(int64(n)*1e6)).Float64()
			spread := new(big.Int).Mul(squares, big.NewInt(int64(n)))
			spread.Sub(spread, new(big.Int).Mul(sum, sum))
			over := new(big.Int).Mul(big.NewInt(int64(n)*int64(n-1)), big.NewInt(1e12))
			variance, _ := new(big.Rat).SetFrac(spread, over).Float64()
			if !alike(s.Mean(), mean) || !alike(s.Variance(), variance) || !alike(s.Sum(), mean*float64(n)) {
				t.Fatalf("scale %v: mean %v %v, variance %v %v", scale, s.Mean(), mean, s.Variance(), variance)
			}
		}
	}
	var same Sums
	for range 1000 {
		same.Add(Observation{Value: 7.3})
	}
	if same.Mean() != 7.3 || same.Variance() != 0 {
		t.Error(same.Mean(), same.Variance())
	}
}

func alike(a, b float64) bool { return math.Abs(a-b) <= 1e-14*max(math.Abs(a), math.Abs(b)) }

func TestMomentsOfNothing(t *testing.T) {
	t.Parallel()
	one := Sums{}
	one.Add(Observation{Value: 5})
	less := Sums{}
	less.Remove(Observation{Value: 5})
	for _, s := range []Sums{{}, one, less, {N: 3, squares: [3]uint64{1}, sum: [2]uint64{9}}} {
		for _, v := range []float64{s.Mean(), s.Variance(), s.Sum()} {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Errorf("%+v: %v", s, v)
			}
		}
	}
}

func TestObservationIsSmall(t *testing.T) {
	t.Parallel()
	for o, want := range map[Observation]string{{}: `{}`, {Neg: true}: `{"n":true}`, {Pos: true, Value: 7.3}: `{"p":true,"v":7.3}`} {
		b, err := json.Marshal(o)
		if err != nil || string(b) != want {
			t.Errorf("got %s, %v", b, err)
		}
	}
}

func goldenRing() *Ring {
	r := NewRing(Span{7 * day, time.Hour, 30 * time.Minute})
	r.Add(noon.Add(-time.Hour), noon, Observation{})
	r.Add(noon, noon, Observation{Pos: true, Value: 7.3})
	r.Add(noon, noon, Observation{Neg: true, Value: -2})
	r.Add(noon.Add(3*time.Hour), noon, Observation{Value: MaxValue})
	for range 20 {
		r.Add(noon.Add(5*time.Hour), noon, Observation{Value: -MaxValue})
	}
	r.Add(noon.Add(-2*time.Hour), noon, Observation{})
	r.Remove(noon.Add(-2*time.Hour), noon, Observation{})
	return r
}

// Rings stored by this version are read by every later one.
func TestGoldenBytes(t *testing.T) {
	t.Parallel()
	const want = "0180dddb01a801c0ee6d04a68a3ca8010102012f040202c0fc860580c8e5f0ad830d0349028080a0f6f4acdbe01b00000000109f4bb31507c97b" +
		"ce97c0000000000000000000025128000030ecf6b971eafeffffffffffffff00000000406de801b28db4ab21dc0b0f0000000000000000"
	b, err := goldenRing().AppendBinary([]byte("x"))
	if err != nil || hex.EncodeToString(b[1:]) != want {
		t.Fatalf("got  %x, %v\nwant %s", b[1:], err, want)
	}
	again := NewRing(Span{7 * day, time.Hour, 30 * time.Minute})
	if err := again.UnmarshalBinary(b[1:]); err != nil {
		t.Fatal(err)
	}
	for h := -200; h < 200; h++ {
		now := noon.Add(time.Duration(h) * time.Hour)
		if again.Read(now) != goldenRing().Read(now) {
			t.Fatalf("%v: differs", now)
		}
	}
}

// What a newer version appends survives a rewrite by this one.
func TestUnknownBytesAreKept(t *testing.T) {
	t.Parallel()
	b, _ := goldenRing().AppendBinary(nil)
	b = append(b, "what comes later"...)
	r := NewRing(goldenRing().Span())
	if err := r.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	if again, _ := r.AppendBinary(nil); string(again) != string(b) {
		t.Errorf("got %x, want %x", again, b)
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	t.Parallel()
	b, _ := goldenRing().AppendBinary(nil)
	for n := range b {
		if err := NewRing(goldenRing().Span()).UnmarshalBinary(b[:n]); err == nil {
			t.Errorf("a record of %d of %d bytes is read", n, len(b))
		}
	}
	for _, c := range []struct{ hex, want string }{
		{"02", "format 1"},
		{"0100000000" + "00", ""},
		{"0100010000" + "00", "1 buckets of 0 ms"},
		{"01ffffffffffffffffff01010000" + "00", "buckets of"},
		{"0101812000" + "0000", "found 4097 buckets"},
		{"0101804001" + "0000", "found 8192 buckets"},
		{"010101000f" + "00", "cut off"},
		{"0101010001" + "00" + "000102", "found a bucket 0 after"},
		{"0101010001" + "00" + "040102", "found a bucket 4 after the one before in a record, expected 1 to 3"},
		{"0101010001" + "00" + "010100", "holds nothing"},
		{"0101010001" + "00" + "018102", "holds nothing"},
		{"0101010001" + "feffffffffffffffff01" + "010102", "found the index"},
		{"0101010001" + "00" + "010102", ""},
	} {
		raw, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(err)
		}
		err = new(Ring).UnmarshalBinary(raw)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.hex, err, c.want)
		}
	}
	other := NewRing(Span{day, time.Hour, 0})
	other.Add(noon, noon, Observation{})
	if err := other.UnmarshalBinary(b); err == nil || other.Read(noon).N != 1 {
		t.Errorf("a record of another span: %v", err)
	}
}

func FuzzRing(f *testing.F) {
	b, _ := goldenRing().AppendBinary(nil)
	f.Add(b)
	f.Add(append(b, 1, 2))
	empty, _ := NewRing(Span{day, time.Hour, 0}).AppendBinary(nil)
	f.Add(empty)
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Ring
		if r.UnmarshalBinary(b) != nil {
			return
		}
		one, _ := r.AppendBinary(nil)
		var again Ring
		if err := again.UnmarshalBinary(one); err != nil {
			t.Fatal(err)
		}
		if two, _ := again.AppendBinary(nil); string(two) != string(one) {
			t.Fatalf("%x becomes %x", one, two)
		}
		for _, now := range []feedback.Time{0, noon, -noon} {
			if r.Read(now) != again.Read(now) || r.Empty(now) != again.Empty(now) {
				t.Fatal("differs")
			}
			before := r.Read(now)
			for _, r := range []*Ring{&r, &again} {
				if r.Add(now, now, Observation{Value: 7}) {
					r.Remove(now, now, Observation{Value: 7})
				}
				if r.Read(now) != before {
					t.Fatal("adding and taking back leaves a trace")
				}
			}
		}
	})
}
