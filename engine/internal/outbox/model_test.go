package outbox

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// answerKind is what a destination of the model does with an attempt.
type answerKind int

const (
	takes answerKind = iota
	fails
	takesSilently // it has the message, and its answer is lost
	refuses
	mostAnswers
)

// thing is a message of the model.
type thing struct {
	key, destination, subject string
	place                     int // in the line
	plan                      []answerKind
	attempts                  int // since it was put into the line
	since                     feedback.Time
	arrived                   int
	state                     string // waiting, dead, sent or dropped
	code                      string
}

// modelled is an outbox beside a model of it.
type modelled struct {
	*world
	rt     *rapid.T
	policy Policy

	mu       sync.Mutex
	things   map[string]*thing
	places   int
	flying   map[string]bool // subjects of messages on their way
	here     []string        // destinations of the program
	counts   map[string]Status
	problems []string
}

var destinationsOfModel = []string{"team", "side"}

// Deliver is both destinations: it checks the order, and does what the message's plan says.
func (m *modelled) deliver(_ context.Context, msg sdk.Message) error {
	m.mu.Lock()
	th := m.things[msg.Key]
	line := th.destination
	if m.policy.Concurrency > 1 {
		line += "/" + th.subject
	}
	m.check(th, line, &msg)
	m.flying[line] = true
	failure := m.decide(th)
	m.mu.Unlock()
	runtime.Gosched()
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.flying, line)
	return failure
}

func (m *modelled) check(th *thing, line string, msg *sdk.Message) {
	complain := func(format string, args ...any) { m.problems = append(m.problems, fmt.Sprintf(format, args...)) }
	if th.state != "waiting" {
		complain("%s was tried, and is %s", th.key, th.state)
	}
	if string(msg.Body) != bodyOf(th.key) {
		complain("%s has the body %s", th.key, msg.Body)
	}
	if msg.Attempt != th.attempts+1 {
		complain("%s: attempt %d, want %d", th.key, msg.Attempt, th.attempts+1)
	}
	if m.flying[line] {
		complain("%s was tried while another one of %s is on its way", th.key, line)
	}
	for _, o := range m.things {
		related := o.destination == th.destination && (m.policy.Concurrency == 1 || o.subject == th.subject)
		if related && o.state == "waiting" && o.place < th.place {
			complain("%s was tried before %s", th.key, o.key)
		}
	}
}

// decide takes the next answer of the plan, and keeps the model.
func (m *modelled) decide(th *thing) error {
	kind := takes
	if len(th.plan) > 0 {
		kind, th.plan = th.plan[0], th.plan[1:]
	}
	count := m.counts[th.destination]
	defer func() { m.counts[th.destination] = count }()
	if kind == takes || kind == takesSilently {
		th.arrived++
	}
	if kind == takes {
		th.state = "sent"
		count.Sent++
		return nil
	}
	th.attempts++
	switch {
	case kind == refuses:
		th.code = "refused"
	case th.attempts >= m.policy.Attempts:
		th.code = "attempts"
	case m.now.Std().Sub(th.since.Std()) >= m.policy.MaxAge:
		th.code = "too_old"
	default:
		count.Failed++
		return errDown
	}
	th.state = "dead"
	count.Dead++
	if kind == refuses {
		return sdk.Fatal("refused")
	}
	return errDown
}

func (m *modelled) renewAll() {
	var all []Destination
	for _, id := range m.here {
		all = append(all, Destination{ID: id, Plugin: m.world.plugin, Policy: m.policy})
	}
	m.world.renew(all...)
	m.counts = map[string]Status{}
}

func (m *modelled) in(state string) (out []*thing) {
	for _, key := range slices.Sorted(maps.Keys(m.things)) {
		if m.things[key].state == state {
			out = append(out, m.things[key])
		}
	}
	return out
}

func (m *modelled) enqueue(rt *rapid.T) {
	err := m.store.Update(context.Background(), func(tx *store.Tx) error {
		for range rapid.IntRange(1, 6).Draw(rt, "messages") {
			m.places++
			th := &thing{
				key: fmt.Sprintf("m%d", m.places), destination: rapid.SampledFrom(destinationsOfModel).Draw(rt, "destination"),
				subject: rapid.SampledFrom([]string{"x", "y", "z"}).Draw(rt, "subject"), place: m.places, state: "waiting", since: m.now,
			}
			for range rapid.IntRange(0, 4).Draw(rt, "troubles") {
				th.plan = append(th.plan, answerKind(rapid.IntRange(0, int(mostAnswers)-1).Draw(rt, "answer")))
			}
			m.things[th.key] = th
			if err := putOne(tx, th.destination, th.key, th.subject, m.now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		rt.Fatal(err)
	}
}

// drainAll drains; what waits for a destination that is gone dies.
func (m *modelled) drainAll(rt *rapid.T) {
	for _, th := range m.in("waiting") {
		if !slices.Contains(m.here, th.destination) {
			th.state, th.code = "dead", "no_destination"
		}
	}
	if _, err := m.Drain(context.Background()); err != nil {
		rt.Fatal(err)
	}
	if len(m.problems) > 0 {
		rt.Fatal(m.problems)
	}
}

func (m *modelled) replayOne(rt *rapid.T) {
	dead := m.in("dead")
	if len(dead) == 0 {
		rt.Skip()
	}
	th := rapid.SampledFrom(dead).Draw(rt, "letter")
	m.replayed(rt, th)
}

func (m *modelled) replayed(rt *rapid.T, th *thing) {
	if err := m.revive(LetterID(&feedback.Delivery{Destination: th.destination, Key: th.key})); err != nil {
		rt.Fatalf("%s: %v", th.key, err)
	}
	m.places++
	th.state, th.place, th.attempts, th.since, th.code = "waiting", m.places, 0, m.now, ""
}

func (m *modelled) dropOne(rt *rapid.T) {
	there := append(m.in("dead"), m.in("waiting")...)
	if len(there) == 0 {
		rt.Skip()
	}
	th := rapid.SampledFrom(there).Draw(rt, "message")
	key := records.DeadLetterKey(LetterID(&feedback.Delivery{Destination: th.destination, Key: th.key}))
	if th.state == "waiting" {
		key = records.DeliveryKey(th.destination, seqOf(m.world, th.key))
	}
	if err := m.store.Update(context.Background(), func(tx *store.Tx) error { tx.Delete(key); return nil }); err != nil {
		rt.Fatal(err)
	}
	th.state = "dropped"
}

// agree compares what the store holds with the model.
func (m *modelled) agree(rt *rapid.T) {
	found := map[string]string{}
	err := m.store.View(func(s *store.Snapshot) error {
		err := records.Each(s, records.DeliveriesPrefix(), nil, false, func(d *feedback.Delivery) (bool, error) {
			found[d.Key] = fmt.Sprintf("waiting %d", d.Attempts)
			return true, nil
		})
		if err != nil {
			return err
		}
		return records.Each(s, records.DeadLetterPrefix(), nil, false, func(l *feedback.DeadLetter) (bool, error) {
			if found[l.Delivery.Key] != "" {
				rt.Fatalf("%s waits and is dead", l.Delivery.Key)
			}
			found[l.Delivery.Key] = "dead " + l.Code
			return true, nil
		})
	})
	if err != nil {
		rt.Fatal(err)
	}
	want := map[string]string{}
	for key, th := range m.things {
		switch th.state {
		case "waiting":
			want[key] = fmt.Sprintf("waiting %d", th.attempts)
		case "dead":
			want[key] = "dead " + th.code
		case "sent":
			if th.arrived == 0 {
				rt.Fatalf("%s is gone and did not arrive", key)
			}
		}
	}
	if !maps.Equal(found, want) {
		rt.Fatalf("found %v, want %v", found, want)
	}
	for id, st := range m.Status() {
		if c := m.counts[id]; st.Sent != c.Sent || st.Failed != c.Failed || st.Dead != c.Dead || st.InFlight != 0 {
			rt.Fatalf("%s counts %+v, want %+v", id, st, c)
		}
	}
}

// TestModel does at random what can happen to messages, and compares the outbox with a model that knows of each message
// where it stands. In the end, what is not dropped arrives.
func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		m := &modelled{rt: rt, things: map[string]*thing{}, flying: map[string]bool{}, here: destinationsOfModel, counts: map[string]Status{}}
		m.policy = Policy{
			Concurrency: rapid.SampledFrom([]int{1, 1, 3}).Draw(rt, "concurrency"),
			Attempts:    rapid.IntRange(1, 5).Draw(rt, "attempts"), MaxAge: 10 * time.Hour,
			Breaker: BreakerPolicy{Failures: rapid.SampledFrom([]int{1, 2, 100}).Draw(rt, "failures")},
		}
		m.world = newWorld(t, inPlace(t, many, m.deliver), m.policy)
		defer func() { _ = m.store.Close() }() // the test closes it again and tells
		m.renewAll()
		rt.Repeat(map[string]func(*rapid.T){
			"enqueue": m.enqueue,
			"drain":   m.drainAll,
			"later": func(rt *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.IntRange(-60, 240).Draw(rt, "minutes")) * time.Minute)
			},
			"restart": func(*rapid.T) {
				m.world.restart()
				m.renewAll()
			},
			"replay": m.replayOne,
			"drop":   m.dropOne,
			"program": func(rt *rapid.T) {
				m.here = destinationsOfModel[:rapid.IntRange(1, 2).Draw(rt, "destinations")]
				m.renewAll()
			},
			"": m.agree,
		})
		m.here = destinationsOfModel
		m.renewAll()
		for range 100 {
			for _, th := range m.in("dead") {
				th.plan = nil
				m.replayed(rt, th)
			}
			m.drainAll(rt)
			m.now = m.now.Add(time.Hour)
		}
		m.agree(rt)
		for key, th := range m.things {
			if th.state != "sent" && th.state != "dropped" {
				rt.Errorf("%s is %s in the end", key, th.state)
			}
		}
	})
}
