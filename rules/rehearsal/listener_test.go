package rehearsal

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// TestListener has two worlds live through the same: one keeps what happens, the other tells it and forgets what does
// not matter any more. Both decide alike, and what is told is what is kept.
func TestListener(t *testing.T) {
	t.Parallel()
	set := compile(t)
	for seed := range uint64(5) {
		o := Options{Once: true, TickEvery: time.Hour, CloseWhenDue: true, CloseAfter: 48 * time.Hour}
		keeps := New(set, o)
		var cases []*Case
		var messages []Message
		var notices []Notice
		var changes []Change
		closed := 0
		o.Listener = &Listener{
			Opened: func(c *Case) { cases = append(cases, c) },
			Closed: func(*Case) { closed++ },
			Sent:   func(m *Message) { messages = append(messages, *m) },
			Told:   func(n *Notice) { notices = append(notices, *n) },
			Changed: func(c *Change) {
				changes = append(changes, *c)
			},
		}
		tells := New(set, o)
		r := rand.New(rand.NewPCG(seed, 1))
		now := at(t, "2026-03-02 08:00")
		for i := range 300 {
			now = now.Add(time.Duration(r.IntN(600)) * time.Minute)
			text := []string{"fine", "fire", "a box", ""}[r.IntN(4)]
			ev := answer(fmt.Sprint(i), float64(r.IntN(11)), text, now)
			ev.Item.Customer.ID = fmt.Sprint(r.IntN(10))
			ev.Labels = &feedback.Labels{Themes: []feedback.Theme{{Path: "shipping"}}}
			a, b := keeps.Decide(ev, now), tells.Decide(ev, now)
			if !reflect.DeepEqual(a.Decision, b.Decision) {
				t.Fatalf("seed %d, item %d: one decides\n%+v\nthe other\n%+v", seed, i, a.Decision, b.Decision)
			}
			if x, y := keeps.Explain(ev, &a), tells.Explain(ev, &b); !reflect.DeepEqual(x, y) {
				t.Fatalf("seed %d, item %d: one explains\n%s\nthe other\n%s", seed, i, x, y)
			}
		}
		end := now.Add(60 * 24 * time.Hour)
		keeps.Advance(end)
		tells.Advance(end)
		var opened []Case
		for _, c := range cases {
			opened = append(opened, *c)
			if c.DueAt != c.ClosedAt {
				t.Errorf("a case due at %s was closed at %s", c.DueAt, c.ClosedAt)
			}
		}
		if !reflect.DeepEqual(keeps.Cases(), opened) || !reflect.DeepEqual(keeps.Messages(), messages) || !reflect.DeepEqual(keeps.Notices(), notices) {
			t.Errorf("seed %d: what is told is not what is kept", seed)
		}
		if len(keeps.Changes()) != len(changes) || closed != len(opened) || len(opened) == 0 || len(notices) == 0 {
			t.Errorf("seed %d: %d and %d changes, %d of %d cases closed", seed, len(keeps.Changes()), len(changes), closed, len(opened))
		}
		if tells.Kept() >= keeps.Kept() || len(tells.Cases()) != 0 {
			t.Errorf("seed %d: %d things are kept, and %d where nothing is forgotten", seed, tells.Kept(), keeps.Kept())
		}
	}
}
