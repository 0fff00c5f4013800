package outbox

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
	"github.com/closedloop/closedloop/engine/internal/host/nativehost"
	"github.com/closedloop/closedloop/engine/internal/host/wasmhost"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/plugins/webhook"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

func TestMain(m *testing.M) {
	checks := "12"
	if os.Getenv("CLOSEDLOOP_DEEP") != "" {
		checks = "1000"
	}
	for name, value := range map[string]string{"rapid.nofailfile": "true", "rapid.checks": checks} { // a seed repeats a failing case
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(int) { hosttest.Clean() }))
}

const start = feedback.Time(1_772_445_600_000)

// world is an outbox with one destination, team, and a clock that a test sets.
type world struct {
	*Outbox
	t       testing.TB
	dir     string
	profile store.Profile
	store   *store.Store
	clock   func() feedback.Time
	plugin  host.Plugin
	policy  Policy

	now    feedback.Time // of the clock, unless the test has another one
	mu     sync.Mutex    // guards what follows
	sent   []string      // keys
	dead   []feedback.DeadLetter
	failed []string // keys and waits
}

// newWorld opens an outbox whose destination is the plugin.
func newWorld(t testing.TB, plugin host.Plugin, policy Policy) *world {
	t.Helper()
	return newWorldOf(t, store.Still, plugin, policy)
}

func newWorldOf(t testing.TB, profile store.Profile, plugin host.Plugin, policy Policy) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), profile: profile, now: start, plugin: plugin, policy: policy}
	w.clock = func() feedback.Time { return w.now }
	w.open()
	t.Cleanup(func() {
		if err := w.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) open() {
	w.t.Helper()
	st, err := store.Open(w.dir, store.Options{Profile: w.profile, Reserve: -1})
	if err != nil {
		w.t.Fatal(err)
	}
	w.store = st
	w.renew(Destination{ID: "team", Plugin: w.plugin, Policy: w.policy})
}

// renew makes the outbox anew, as a new process does.
func (w *world) renew(destinations ...Destination) {
	w.Outbox = New(w.store, destinations, func() feedback.Time { return w.clock() }, Hooks{
		Sent: func(d feedback.Delivery) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.sent = append(w.sent, d.Key)
		},
		Dead: func(l feedback.DeadLetter) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.dead = append(w.dead, l)
		},
		Failed: func(d feedback.Delivery, _ error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.failed = append(w.failed, fmt.Sprintf("%s %s", d.Key, d.NextAt.Std().Sub(w.clock().Std())))
		},
	})
}

// restart closes the store and opens it again.
func (w *world) restart() {
	w.t.Helper()
	if err := w.store.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.open()
}

// put puts messages into the outbox: KEY, or KEY/SUBJECT.
func (w *world) put(keys ...string) {
	w.t.Helper()
	err := w.store.Update(context.Background(), func(tx *store.Tx) error {
		for _, text := range keys {
			key, subject, _ := strings.Cut(text, "/")
			if err := putOne(tx, "team", key, subject, w.clock()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.Wake("team")
}

func putOne(tx *store.Tx, destination, key, subject string, now feedback.Time) error {
	n, err := records.NextSequence(tx, destination)
	if err != nil {
		return err
	}
	tx.Set(records.SequenceKey(destination), fmt.Append(nil, n))
	return store.PutNew(tx, records.DeliveryKey(destination, n), &feedback.Delivery{
		Key: key, Destination: destination, Sequence: n, Kind: "notify", Item: feedback.ItemID(subject), Body: []byte(bodyOf(key)), CreatedAt: now,
	})
}

func (w *world) drain() int {
	w.t.Helper()
	n, err := w.Drain(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// run serves the outbox until the returned function is called.
func (w *world) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	o := w.Outbox
	go func() {
		defer close(done)
		o.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// waiting returns the keys of what waits, in the order of the line.
func (w *world) waiting() (keys []string) {
	w.t.Helper()
	err := w.store.View(func(s *store.Snapshot) error {
		return records.Each(s, records.DeliveriesPrefix(), nil, false, func(d *feedback.Delivery) (bool, error) {
			keys = append(keys, d.Key)
			return true, nil
		})
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return keys
}

// replay takes messages out of the dead letters.
func (w *world) replay(letters ...feedback.DeadLetter) {
	w.t.Helper()
	for _, l := range letters {
		if err := w.revive(l.ID); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) revive(letter string) error {
	var d *feedback.Delivery
	err := w.store.Update(context.Background(), func(tx *store.Tx) (err error) {
		d, err = Replay(tx, letter, w.clock())
		return err
	})
	if err == nil {
		w.Expedited(d.Destination, d.Sequence)
	}
	return err
}

func (w *world) want(what string, got []string, want ...string) {
	w.t.Helper()
	if !slices.Equal(got, want) {
		w.t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// codes returns what died of what.
func (w *world) codes() (out []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.dead {
		out = append(out, l.Delivery.Key+" "+l.Code)
	}
	return out
}

// hook returns the webhook plugin in front of a receiver, in this process or in a sandbox.
func hook(t testing.TB, r *receiver, how string, now func() feedback.Time, limits host.Limits) host.Plugin {
	t.Helper()
	const dir = "plugins/webhook/cmd"
	spec := host.Spec{
		ID: "team", Manifest: hosttest.Manifest(t, dir), Settings: fmt.Appendf(nil, `{"url": %q}`, r.URL+"/hook"),
		Grants: host.Grants{HTTP: []string{r.host()}}, Log: zerolog.Nop(), Now: now, Limits: limits,
	}
	var p host.Plugin
	var err error
	if how == "wasm" {
		rt, failed := wasmhost.New("")
		if failed != nil {
			t.Fatal(failed)
		}
		t.Cleanup(func() { _ = rt.Close(context.Background()) })
		p, err = rt.Load(context.Background(), hosttest.Module(t, dir), spec)
	} else {
		p, err = nativehost.New(context.Background(), webhook.Plugin, spec)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p
}

// deliver is a destination in this process, made of a function.
type deliver func(ctx context.Context, m sdk.Message) error

func (d deliver) Deliver(ctx context.Context, m sdk.Message) error { return d(ctx, m) }

// inPlace loads a destination that is a function.
func inPlace(t testing.TB, limits host.Limits, d deliver) host.Plugin {
	t.Helper()
	p, err := nativehost.New(context.Background(), sdk.Plugin{
		New: func(context.Context, sdk.Host, []byte) (any, error) { return d, nil },
	}, host.Spec{
		ID: "team", Log: zerolog.Nop(), Limits: limits,
		Manifest: sdk.Manifest{Name: "sink", Version: "1.0.0", Contract: "1.0", Abilities: []sdk.Ability{sdk.AbilityDeliver}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p
}

// keys returns what was sent, also while the outbox is served.
func (w *world) keys() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.sent)
}

var errDown = errors.New("down")

// mood is what a destination answers, which a test changes.
type mood struct {
	mu  sync.Mutex
	err error
}

func (m *mood) set(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

func (m *mood) get() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// many are the limits of a plugin that serves many calls at once.
var many = host.Limits{Instances: 64, Deadline: time.Hour}
