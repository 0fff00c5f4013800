package outbox

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/nativehost"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const start = feedback.Time(1_772_445_600_000)

// poster is a destination that posts to a real server.
type poster struct {
	url    string
	client *http.Client
}

func (p *poster) Deliver(ctx context.Context, m sdk.Message) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, strings.NewReader(string(m.Body)))
	if err != nil {
		return sdk.Fatal("%w", err)
	}
	req.Header.Set("Key", m.Key)
	res, err := p.client.Do(req)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	switch {
	case res.StatusCode < 300:
		return nil
	case res.StatusCode == http.StatusGone:
		return sdk.Fatal("the destination is gone")
	}
	return sdk.Retry(0, "status %d", res.StatusCode)
}

// server answers as told and remembers the keys that it took.
type server struct {
	mu     sync.Mutex
	status func(key string, attempt int) int
	seen   map[string]int
	took   []string
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := r.Header.Get("Key")
	s.seen[key]++
	status := s.status(key, s.seen[key])
	if status == http.StatusOK {
		s.took = append(s.took, key)
	}
	w.WriteHeader(status)
}

type world struct {
	*Outbox
	store  *store.Store
	server *server
	now    feedback.Time
	dead   []feedback.DeadLetter
	failed []time.Duration
}

func setup(t *testing.T, policy Policy, status func(key string, attempt int) int) *world {
	t.Helper()
	st, err := store.Open(t.TempDir(), store.Options{Profile: store.Small, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{store: st, now: start, server: &server{status: status, seen: map[string]int{}}}
	web := httptest.NewServer(w.server)
	plugin, err := nativehost.New(t.Context(), sdk.Plugin{
		New: func(context.Context, sdk.Host, []byte) (any, error) { return &poster{web.URL, web.Client()}, nil },
	}, host.Spec{
		ID: "team", Log: zerolog.Nop(),
		Manifest: sdk.Manifest{Name: "poster", Version: "1.0.0", Contract: "1.0", Abilities: []sdk.Ability{sdk.AbilityDeliver}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		web.Close()
		if err := errors.Join(plugin.Close(context.Background()), st.Close()); err != nil {
			t.Error(err)
		}
	})
	w.Outbox = New(st, []Destination{{ID: "team", Plugin: plugin, Policy: policy}}, func() feedback.Time { return w.now }, Hooks{
		Dead:   func(l feedback.DeadLetter) { w.dead = append(w.dead, l) },
		Failed: func(d feedback.Delivery, _ error) { w.failed = append(w.failed, d.NextAt.Std().Sub(w.now.Std())) },
	})
	return w
}

func (w *world) put(t *testing.T, keys ...string) {
	t.Helper()
	err := w.store.Update(t.Context(), func(tx *store.Tx) error {
		for i, key := range keys {
			d := feedback.Delivery{Key: key, Destination: "team", Sequence: uint64(i + 1), Kind: "notify", Body: []byte("{}"), CreatedAt: start}
			if err := store.Put(tx, records.DeliveryKey("team", d.Sequence), &d); err != nil {
				return err
			}
		}
		tx.Set(records.SequenceKey("team"), fmt.Append(nil, len(keys)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) drain(t *testing.T) int {
	t.Helper()
	n, err := w.Drain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestInOrderWithTheSameKeyUntilItWorks(t *testing.T) {
	t.Parallel()
	w := setup(t, Policy{}, func(key string, attempt int) int {
		if key == "b" && attempt < 3 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	w.put(t, "a", "b", "c")
	if n := w.drain(t); n != 1 {
		t.Errorf("sent %d before b failed", n)
	}
	if n := w.drain(t); n != 0 {
		t.Errorf("sent %d before b was due", n)
	}
	for range 2 {
		w.now = w.now.Add(2 * time.Hour)
		w.drain(t)
	}
	if want := []string{"a", "b", "c"}; !slices.Equal(w.server.took, want) || w.server.seen["b"] != 3 {
		t.Errorf("took %v with %d attempts at b", w.server.took, w.server.seen["b"])
	}
	due, err := w.store.Due(w.now, 10)
	if err != nil || len(due) == 0 || due[0].Kind != TimerRetry || due[0].Ref != "team" {
		t.Errorf("timers %+v, %v", due, err)
	}
}

func TestGivenUpAndReplayed(t *testing.T) {
	t.Parallel()
	open := false
	w := setup(t, Policy{Attempts: 3, MaxAge: 24 * time.Hour}, func(key string, _ int) int {
		switch {
		case open:
			return http.StatusOK
		case key == "gone":
			return http.StatusGone
		}
		return http.StatusInternalServerError
	})
	w.put(t, "gone", "often", "old")
	for range 3 {
		w.drain(t)
		w.now = w.now.Add(time.Hour)
	}
	w.now = w.now.Add(24 * time.Hour)
	w.drain(t)
	var codes []string
	for _, l := range w.dead {
		codes = append(codes, l.Delivery.Key+" "+l.Code)
	}
	if want := []string{"gone refused", "often attempts", "old too_old"}; !slices.Equal(codes, want) {
		t.Fatalf("dead %v, want %v", codes, want)
	}
	open = true
	for _, l := range w.dead {
		if err := w.Replay(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	w.drain(t)
	if want := []string{"gone", "often", "old"}; !slices.Equal(w.server.took, want) {
		t.Errorf("took %v, want %v", w.server.took, want)
	}
}

func TestReplayNeedsItsDestination(t *testing.T) {
	t.Parallel()
	w := setup(t, Policy{}, nil)
	err := w.Replay(t.Context(), feedback.DeadLetter{Delivery: &feedback.Delivery{Destination: "elsewhere"}})
	if err == nil || !strings.Contains(err.Error(), "elsewhere") {
		t.Errorf("replay to an unknown destination: %v", err)
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	p := Policy{Base: time.Second, Cap: time.Minute}
	for _, tt := range []struct {
		attempts int
		asked    time.Duration
		u        float64
		want     time.Duration
	}{
		{1, 0, 0.5, 500 * time.Millisecond},
		{3, 0, 0.5, 2 * time.Second},
		{7, 0, 0.999, time.Duration(0.999 * float64(time.Minute))},
		{1000, 0, 0.5, 30 * time.Second},
		{1, 10 * time.Second, 0.5, 10 * time.Second},
		{1, 0, 0, time.Millisecond},
	} {
		if got := p.Backoff(tt.attempts, tt.asked, tt.u); got != tt.want {
			t.Errorf("Backoff(%d, %v, %v) = %v, want %v", tt.attempts, tt.asked, tt.u, got, tt.want)
		}
	}
}

func TestALongErrorIsCut(t *testing.T) {
	t.Parallel()
	if got := clip(strings.Repeat("é", 1<<20)); len(got) > 1100 {
		t.Errorf("kept %d bytes", len(got))
	}
}

func TestAClockThatStepsBackWakesUpUnasked(t *testing.T) {
	t.Parallel()
	fail := true
	w := setup(t, Policy{}, func(string, int) int {
		if fail {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	w.put(t, "a")
	w.drain(t)
	fail = false
	_, next, err := w.Outbox.drain(t.Context(), w.lanes["team"])
	if err != nil || next <= 0 || next > time.Hour {
		t.Errorf("the next look is in %v, %v", next, err)
	}
	w.now = w.now.Add(-time.Hour)
	if _, later, _ := w.Outbox.drain(t.Context(), w.lanes["team"]); later < next {
		t.Errorf("after a step back the next look is in %v, before it was in %v", later, next)
	}
}
