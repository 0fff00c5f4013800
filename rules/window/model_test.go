package window

import (
	"math"
	"testing"
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
	"pgregory.net/rapid"
)

// model is a window that keeps every observation and counts them all for every question.
type model struct {
	span     Span
	greatest feedback.Time // the greatest time that Add or Remove was told
	started  bool
	kept     []entry
}

type entry struct {
	at feedback.Time
	o  Observation
}

func (m *model) index(t feedback.Time) int64 {
	return int64(math.Floor(float64(t) / float64(m.span.Step.Milliseconds())))
}

func (m *model) end(now feedback.Time) int64 { return m.index(now.Add(-m.span.Offset)) }

func (m *model) steps() int64 { return int64(m.span.Over / m.span.Step) }

func (m *model) tell(now feedback.Time) {
	if !m.started || now > m.greatest {
		m.greatest, m.started = now, true
	}
	kept := m.kept[:0:0]
	for _, e := range m.kept {
		if m.index(e.at) > m.end(m.greatest)-m.steps() {
			kept = append(kept, e)
		}
	}
	m.kept = kept
}

func (m *model) add(at, now feedback.Time, o Observation) bool {
	m.tell(now)
	i := m.index(at)
	if i <= m.end(m.greatest)-m.steps() || i > m.index(now)+m.steps() {
		return false
	}
	m.kept = append(m.kept, entry{at, o})
	return true
}

func (m *model) remove(e entry, now feedback.Time) {
	m.tell(now)
	for i, k := range m.kept {
		if k == e {
			m.kept = append(m.kept[:i:i], m.kept[i+1:]...)
			return
		}
	}
}

func (m *model) read(now feedback.Time) (s Sums) {
	for _, e := range m.kept {
		if i := m.index(e.at); i > m.end(now)-m.steps() && i <= m.end(now) {
			s.Add(e.o)
		}
	}
	return s
}

func (m *model) empty(now feedback.Time) bool {
	for _, e := range m.kept {
		if m.index(e.at) > max(m.end(now), m.end(m.greatest))-m.steps() {
			return false
		}
	}
	return true
}

func drawObservation(t *rapid.T) Observation {
	o := Observation{Value: rapid.SampledFrom([]float64{0, 0, 7, 7.3, -2.000001, 1e9, 999999999.99, -MaxValue, MaxValue}).Draw(t, "value")}
	switch rapid.IntRange(0, 2).Draw(t, "class") {
	case 0:
		o.Pos = true
	case 1:
		o.Neg = true
	}
	return o
}

// A ring tells what a list of all observations tells, whatever is added, taken back, late, early, stored and loaded, and
// wherever the clock steps.
func TestRingIsItsModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		step := time.Duration(rapid.IntRange(1, 20).Draw(t, "step")) * time.Millisecond
		span := Span{Over: step * time.Duration(rapid.IntRange(1, 12).Draw(t, "over")), Step: step,
			Offset: time.Duration(rapid.IntRange(0, 50).Draw(t, "offset")) * time.Millisecond}
		m, r := &model{span: span}, NewRing(span)
		now := feedback.Time(rapid.SampledFrom([]int64{-100, 0, 1_790_000_000_000}).Draw(t, "now"))
		var counted []entry
		for range rapid.IntRange(1, 60).Draw(t, "actions") {
			switch rapid.IntRange(0, 9).Draw(t, "action") {
			case 0, 1, 2, 3:
				e := entry{now + feedback.Time(rapid.IntRange(-300, 300).Draw(t, "late")), drawObservation(t)}
				want := m.add(e.at, now, e.o)
				if got := r.Add(e.at, now, e.o); got != want {
					t.Fatalf("add at %d, now %d: got %v", e.at, now, got)
				}
				if want {
					counted = append(counted, e)
				}
			case 4, 5:
				if len(counted) > 0 {
					i := rapid.IntRange(0, len(counted)-1).Draw(t, "which")
					m.remove(counted[i], now)
					r.Remove(counted[i].at, now, counted[i].o)
					counted = append(counted[:i], counted[i+1:]...)
				}
			case 6, 7:
				now += feedback.Time(rapid.IntRange(-60, 120).Draw(t, "elapsed"))
			case 8:
				now += feedback.Time(rapid.IntRange(-2000, 2000).Draw(t, "leap"))
			case 9:
				r = reload(t, r)
			}
			asked := now + feedback.Time(rapid.IntRange(-40, 40).Draw(t, "asked"))
			if got, want := r.Read(asked), m.read(asked); got != want {
				t.Fatalf("read at %d: got %+v, want %+v", asked, got, want)
			}
			if got, want := r.Empty(asked), m.empty(asked); got != want {
				t.Fatalf("empty at %d: got %v", asked, got)
			}
			if got, want := r.HasLeft(asked), m.started && m.index(asked) <= m.end(m.greatest)-m.steps(); got != want {
				t.Fatalf("has left at %d: got %v", asked, got)
			}
			if got, want := span.Covers(asked, now), m.index(asked) > m.end(now)-m.steps() && m.index(asked) <= m.end(now); got != want {
				t.Fatalf("covers at %d, now %d: got %v", asked, now, got)
			}
		}
	})
}

func reload(t *rapid.T, r *Ring) *Ring {
	b, err := r.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	again := NewRing(r.Span())
	if rapid.Bool().Draw(t, "unknown span") {
		again = &Ring{}
	}
	if err := again.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	return again
}

// Whatever is counted and taken back in whatever order leaves sums of nothing, and the same sums come from every order.
func TestSumsAreExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOf(rapid.Custom(drawObservation)).Draw(t, "observations")
		var s, shuffled Sums
		for _, o := range all {
			s.Add(o)
		}
		for _, o := range rapid.Permutation(all).Draw(t, "order") {
			shuffled.Add(o)
		}
		if s != shuffled {
			t.Fatalf("%+v, in another order %+v", s, shuffled)
		}
		for _, o := range rapid.Permutation(all).Draw(t, "back") {
			s.Remove(o)
		}
		if s != (Sums{}) {
			t.Fatalf("left over: %+v", s)
		}
	})
}
