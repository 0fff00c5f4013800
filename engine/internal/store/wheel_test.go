package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// clockwork is a wheel and what it should be: a sorted list. Its clock goes wherever it is set.
type clockwork struct {
	*model
	want []Timer
	now  feedback.Time
	old  []Timer // that have fired or were cleared
}

// TestWheelIsAList sets, clears and fires timers of several kinds under a clock that steps both ways, with effects that
// fail or set timers themselves, over restarts.
func TestWheelIsAList(t *testing.T) {
	t.Parallel()
	c := &clockwork{model: &model{dir: t.TempDir()}}
	t.Cleanup(func() {
		if err := c.s.Close(); err != nil {
			t.Error(err)
		}
	})
	c.open(t)
	rapid.Check(t, func(t *rapid.T) {
		c.empty(t)
		c.want, c.old, c.now = nil, nil, 0
		defer func() { c.look(t) }()
		t.Repeat(map[string]func(*rapid.T){
			"set":    c.set,
			"clear":  c.clear,
			"step":   func(t *rapid.T) { c.now = instant(t, "now") },
			"fire":   c.fire,
			"again":  c.again,
			"reopen": c.reopen,
			"look":   c.look,
		})
	})
}

func instant(t *rapid.T, what string) feedback.Time {
	return feedback.Time(rapid.Int64Range(-4, 12).Draw(t, what))
}

func someTimer(t *rapid.T) Timer {
	return Timer{
		Due: instant(t, "due"), Kind: rapid.SampledFrom([]string{"sla", "wake"}).Draw(t, "kind"),
		Ref: rapid.SampledFrom([]string{"", "a", "a\x00", "b"}).Draw(t, "ref"), Payload: rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "payload"),
	}
}

func byDue(a, b Timer) int {
	return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Ref, b.Ref))
}

// put is SetTimer of the list.
func (c *clockwork) put(tm Timer) {
	at, there := slices.BinarySearchFunc(c.want, tm, byDue)
	if there {
		c.want[at] = tm
		return
	}
	c.want = slices.Insert(c.want, at, tm)
}

// take is ClearTimer and TakeTimer of the list.
func (c *clockwork) take(tm Timer) bool {
	at, there := slices.BinarySearchFunc(c.want, tm, byDue)
	if there {
		c.old = append(c.old, c.want[at])
		c.want = slices.Delete(c.want, at, at+1)
	}
	return there
}

func (c *clockwork) do(t *rapid.T, fn func(*Tx) error) error {
	return c.s.Update(t.Context(), fn)
}

func (c *clockwork) set(t *rapid.T) {
	timers := rapid.SliceOfN(rapid.Custom(someTimer), 1, 4).Draw(t, "timers")
	if err := c.do(t, func(tx *Tx) error {
		for _, tm := range timers {
			tx.SetTimer(tm.Due, tm.Kind, tm.Ref, tm.Payload)
			c.put(tm)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func (c *clockwork) clear(t *rapid.T) {
	tm := someTimer(t)
	if len(c.want) > 0 && rapid.Bool().Draw(t, "one that is there") {
		tm = rapid.SampledFrom(c.want).Draw(t, "which")
	}
	c.take(tm)
	if err := c.do(t, func(tx *Tx) error { tx.ClearTimer(tm.Due, tm.Kind, tm.Ref); return nil }); err != nil {
		t.Fatal(err)
	}
}

// fire takes what is due, each in its turn. An effect may fail, and then its timer stays; it may set the timer again.
func (c *clockwork) fire(t *rapid.T) {
	limit := rapid.IntRange(1, 4).Draw(t, "limit")
	due, err := c.s.Due(c.now, limit)
	if err != nil {
		t.Fatal(err)
	}
	want := c.want[:min(limit, len(c.want))]
	if later := slices.IndexFunc(want, func(tm Timer) bool { return tm.Due > c.now }); later >= 0 {
		want = want[:later]
	}
	same(t, "due", due, want)
	refused := errors.New("the effect failed")
	for _, tm := range due {
		fails, next := rapid.IntRange(0, 3).Draw(t, "fails") == 0, feedback.Time(0)
		if rapid.Bool().Draw(t, "again") {
			next = tm.Due + feedback.Time(rapid.IntRange(1, 5).Draw(t, "after"))
		}
		err := c.do(t, func(tx *Tx) error {
			if there, err := tx.TakeTimer(tm); !there || err != nil {
				t.Fatalf("the timer %v is not there, %v", tm, err)
			}
			if next != 0 {
				tx.SetTimer(next, tm.Kind, tm.Ref, tm.Payload)
			}
			if fails {
				return refused
			}
			return nil
		})
		if fails != errors.Is(err, refused) || !fails && err != nil {
			t.Fatal(err)
		}
		if fails {
			continue
		}
		c.take(tm)
		if next != 0 {
			c.put(Timer{Due: next, Kind: tm.Kind, Ref: tm.Ref, Payload: tm.Payload})
		}
	}
}

// again has a timer that was due fire late, when somebody else has fired or cleared it.
func (c *clockwork) again(t *rapid.T) {
	if len(c.old) == 0 {
		t.Skip("nothing has fired")
	}
	tm := rapid.SampledFrom(c.old).Draw(t, "which")
	want := c.take(tm)
	if err := c.do(t, func(tx *Tx) error {
		if there, err := tx.TakeTimer(tm); there != want || err != nil {
			t.Fatalf("the timer %v is there: %v, %v; want %v", tm, there, err, want)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func (c *clockwork) look(t *rapid.T) {
	at, ok, err := c.s.NextDue()
	if err != nil || ok != (len(c.want) > 0) || ok && at != c.want[0].Due {
		t.Fatalf("next due %d, %v, %v; want %v", at, ok, err, c.want)
	}
	due, err := c.s.Due(1<<60, 1000)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "all", due, c.want)
}

func same(t *rapid.T, what string, got, want []Timer) {
	if a, b := fmt.Sprintf("%q", got), fmt.Sprintf("%q", want); a != b {
		t.Fatalf("%s:\n got %s\nwant %s", what, a, b)
	}
}
