package outbox

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// real makes a world that posts to a receiver with the webhook plugin.
func real(t *testing.T, how string, policy Policy, script func(key string, attempt int) behaviour) (*world, *receiver) {
	t.Helper()
	r := receive(t, script)
	w := newWorld(t, nil, policy)
	w.plugin = hook(t, r, how, func() feedback.Time { return w.clock() }, host.Limits{})
	w.renew(Destination{ID: "team", Plugin: w.plugin, Policy: policy})
	return w, r
}

// TestInOrderWithTheSameKeyUntilItWorks has a receiver fail in every way that there is. Each message arrives, in order,
// and a repeat has the key and the body of the one before.
func TestInOrderWithTheSameKeyUntilItWorks(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"native", "wasm"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			troubles := map[string][]behaviour{
				"status": {answer(503), answer(500), answer(408), answer(425), answer(429, "Retry-After", "5400"), answer(503, "Retry-After", at(start.Std().Add(7*24*time.Hour)))},
				"stalls": {stall, stall},
				"cuts":   {cut, half, cut},
				"lost":   {lost},
				"twice":  {twice},
			}
			w, r := real(t, how, Policy{Timeout: 500 * time.Millisecond, MaxAge: 1000 * time.Hour, Breaker: BreakerPolicy{Failures: 100}}, func(key string, attempt int) behaviour {
				if list := troubles[key]; attempt <= len(list) {
					return list[attempt-1]
				}
				return ok
			})
			w.put("a", "status", "stalls", "cuts", "lost", "twice", "z")
			for i := 0; len(w.waiting()) > 0 && i < 50; i++ {
				w.drain()
				w.now = w.now.Add(25 * time.Hour)
			}
			w.want("sent", w.sent, "a", "status", "stalls", "cuts", "lost", "twice", "z")
			want := "a " + strings.Repeat("status ", 7) + strings.Repeat("stalls ", 3) + strings.Repeat("cuts ", 4) + "lost lost twice z"
			if got := r.keys(); got != want {
				t.Errorf("the receiver saw %q, want %q", got, want)
			}
			r.consistent(t)
			if len(w.dead) != 0 || !strings.HasPrefix(w.failed[4], "status 1h30m0") || !strings.HasPrefix(w.failed[5], "status 24h0m0") {
				t.Errorf("dead %v, failed %v", w.codes(), w.failed)
			}
		})
	}
}

// TestWhatAnAnswerMeans goes through the answers of a receiver: some are tried again, not before Retry-After says in
// either of its forms, and the others are refusals.
func TestWhatAnAnswerMeans(t *testing.T) {
	t.Parallel()
	now := start.Std()
	tests := map[string]struct {
		do    behaviour
		least time.Duration // that it waits; 0 when it is dead
	}{
		"seconds429": {answer(429, "Retry-After", "7200"), 2 * time.Hour},
		"seconds503": {answer(503, "Retry-After", "5400"), 90 * time.Minute},
		"date429":    {answer(429, "Retry-After", at(now.Add(3*time.Hour))), 3 * time.Hour},
		"date503":    {answer(503, "Retry-After", at(now.Add(4*time.Hour))), 4 * time.Hour},
		"past":       {answer(503, "Retry-After", at(now.Add(-time.Hour))), time.Millisecond},
		"year":       {answer(503, "Retry-After", at(now.Add(365*24*time.Hour))), 24 * time.Hour},
		"huge":       {answer(429, "Retry-After", "99999999999999999999"), time.Millisecond},
		"nonsense":   {answer(503, "Retry-After", "soon"), time.Millisecond},
		"502":        {answer(502), time.Millisecond},
		"400":        {answer(400), 0},
		"401":        {answer(401, "Retry-After", "60"), time.Minute},
		"422":        {answer(422), 0},
		"404":        {answer(404), time.Millisecond},
		"410":        {answer(410), time.Millisecond},
		"301":        {answer(301, "Location", "/elsewhere"), time.Millisecond},
		"302":        {wire("HTTP/1.1 302 Found\r\nLocation: " + strings.Repeat("\x80", 300) + "\r\nContent-Length: 0\r\n\r\n"), time.Millisecond},
		"page503":    {page(503, "Retry-After", "5400"), 90 * time.Minute},
		"page404":    {page(404), time.Millisecond},
		"page422":    {page(422), 0},
	}
	w, r := real(t, "native", Policy{}, func(key string, _ int) behaviour { return tests[key].do })
	for key, tt := range tests {
		w.renew(Destination{ID: "team", Plugin: w.plugin})
		w.failed, w.dead = nil, nil
		w.put(key)
		w.drain()
		switch {
		case tt.least == 0:
			w.want(key, w.codes(), key+" refused")
		case len(w.failed) != 1:
			t.Errorf("%s: failed %q, dead %q", key, w.failed, w.codes())
		default:
			_, text, _ := strings.Cut(w.failed[0], " ")
			if wait, err := time.ParseDuration(text); err != nil || wait < tt.least || wait > tt.least+5*time.Second {
				t.Errorf("%s waits %s, want %s and up to 5 s more", key, text, tt.least)
			}
		}
		if err := w.store.Update(t.Context(), func(tx *store.Tx) error { tx.Delete(records.DeliveryKey("team", seqOf(w, key))); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(strings.Fields(r.keys())); n != len(tests) {
		t.Errorf("%d requests, want %d", n, len(tests))
	}
}

// seqOf returns the sequence number of a waiting message, or 0.
func seqOf(w *world, key string) (n uint64) {
	_ = w.store.View(func(s *store.Snapshot) error {
		return records.Each(s, records.DeliveriesPrefix(), nil, false, func(d *feedback.Delivery) (bool, error) {
			if d.Key == key {
				n = d.Sequence
			}
			return n == 0, nil
		})
	})
	return n
}

func TestGivenUpAndReplayed(t *testing.T) {
	t.Parallel()
	var open atomic.Bool
	w, r := real(t, "native", Policy{Attempts: 3, MaxAge: 24 * time.Hour}, func(key string, _ int) behaviour {
		switch {
		case open.Load():
			return ok
		case key == "gone":
			return answer(http.StatusUnprocessableEntity)
		}
		return answer(http.StatusInternalServerError)
	})
	w.put("gone", "often", "old")
	for range 3 {
		w.drain()
		w.now = w.now.Add(time.Hour)
	}
	w.now = w.now.Add(24 * time.Hour)
	w.drain()
	w.want("dead", w.codes(), "gone refused", "often attempts", "old too_old")
	w.want("waiting", w.waiting())
	open.Store(true)
	w.replay(w.dead...)
	w.restart()
	w.drain()
	w.want("sent", w.sent, "gone", "often", "old")
	r.consistent(t)
}

// TestReplayedKeepsItsTime holds that a message that is replayed is the same in every byte, and that its age counts anew.
func TestReplayedKeepsItsTime(t *testing.T) {
	t.Parallel()
	var got []sdk.Message
	fail := sdk.Fatal("no")
	w := newWorld(t, inPlace(t, many, func(_ context.Context, m sdk.Message) error {
		got = append(got, m)
		return fail
	}), Policy{MaxAge: time.Hour})
	w.put("a")
	w.drain()
	w.now = w.now.Add(48 * time.Hour)
	w.replay(w.dead...)
	fail = errDown
	w.drain()
	w.now = w.now.Add(30 * time.Minute)
	fail = nil
	w.drain()
	if len(got) != 3 || len(w.dead) != 1 {
		t.Fatalf("%d attempts, dead %v", len(got), w.codes())
	}
	for i, m := range got {
		if m.Key != "a" || string(m.Body) != bodyOf("a") || m.At != start || m.Attempt != []int{1, 1, 2}[i] {
			t.Errorf("attempt %d: %+v", i, m)
		}
	}
}

// TestOthersOvertake has one subject fail: with more than one at a time its messages keep their order, and others pass.
func TestOthersOvertake(t *testing.T) {
	t.Parallel()
	w, r := real(t, "native", Policy{Concurrency: 4, Breaker: BreakerPolicy{Failures: 100}}, func(key string, attempt int) behaviour {
		if key == "x1" && attempt < 3 {
			return answer(503)
		}
		return ok
	})
	w.put("x1/x", "a1/a", "x2/x", "b1/b", "a2/a", "x3/x", "free", "b2/b")
	w.drain()
	w.want("waiting", w.waiting(), "x1", "x2", "x3")
	for range 2 {
		w.now = w.now.Add(2 * time.Hour)
		w.drain()
	}
	w.want("waiting", w.waiting())
	var x, a, b []string
	for _, key := range strings.Fields(r.keys()) {
		switch key[0] {
		case 'x':
			x = append(x, key)
		case 'a':
			a = append(a, key)
		case 'b':
			b = append(b, key)
		}
	}
	w.want("x", x, "x1", "x1", "x1", "x2", "x3")
	w.want("a", a, "a1", "a2")
	w.want("b", b, "b1", "b2")
}

// TestSoManyAtOnce holds the bound of messages on their way, and that it is reached.
func TestSoManyAtOnce(t *testing.T) {
	t.Parallel()
	const n = 5
	var now, most atomic.Int64
	full := make(chan struct{})
	w := newWorld(t, inPlace(t, many, func(ctx context.Context, _ sdk.Message) error {
		defer now.Add(-1)
		if at := now.Add(1); at > most.Load() {
			if most.Store(at); at == n {
				close(full)
			}
		}
		<-full
		return nil
	}), Policy{Concurrency: n})
	for i := range 200 {
		w.put(fmt.Sprintf("m%d/s%d", i, i))
	}
	if got := w.drain(); got != 200 || most.Load() != n {
		t.Errorf("%d sent, at most %d at once", got, most.Load())
	}
}

// TestSubjectsAreShared holds that a message about an item and a case waits for those about either.
func TestSubjectsAreShared(t *testing.T) {
	t.Parallel()
	l := line{held: map[string]bool{}}
	for i, d := range []feedback.Delivery{{Item: "1"}, {Item: "1", Case: "k"}, {Item: "2", Case: "k"}, {Item: "2"}, {Subject: "r/g"}, {Item: "3"}, {Subject: "r/g"}} {
		l.entries = append(l.entries, &entry{seq: uint64(i), subjects: subjectsOf(&d)})
	}
	var begun []uint64
	for e, _ := l.pick(start, time.Hour); e != nil; e, _ = l.pick(start, time.Hour) {
		l.begin(e)
		begun = append(begun, e.seq)
	}
	if want := []uint64{0, 4, 5}; !slices.Equal(begun, want) {
		t.Errorf("begun %v, want %v", begun, want)
	}
}

// TestALongBacklogIsReadInParts holds that a lane knows of a bounded part of what waits, and reads on behind what it has
// read, whether messages go out one after another or all of them fail.
func TestALongBacklogIsReadInParts(t *testing.T) {
	t.Parallel()
	const n = 5000
	w := newWorld(t, inPlace(t, many, func(context.Context, sdk.Message) error { return nil }), Policy{})
	fillUp(t, w, n)
	for _, tt := range []struct {
		strict, fails bool
		most, tried   int
	}{{true, false, batch, n}, {false, false, 2 * batch, n}, {false, true, longest + batch, longest + batch}} {
		l := line{strict: tt.strict, held: map[string]bool{}}
		most, tried := 0, 0
		for {
			if err := l.fill(w.store, "team", 2); err != nil {
				t.Fatal(err)
			}
			most = max(most, len(l.entries))
			e, _ := l.pick(start, time.Hour)
			if e == nil {
				break
			}
			if tried++; !tt.fails && e.seq != uint64(tried) {
				t.Fatalf("picked %d, want %d", e.seq, tried)
			}
			if l.begin(e); tt.fails {
				l.later(e, start.Add(time.Minute))
			} else {
				l.drop(e)
			}
		}
		if most > tt.most || tried > tt.tried || tried < longest {
			t.Errorf("%+v: knew of %d, tried %d", tt, most, tried)
		}
	}
}

// TestDroppedWhileItWaits deletes messages that the lane knows of already, one of them while it is on its way.
func TestDroppedWhileItWaits(t *testing.T) {
	t.Parallel()
	var w *world
	drop := func(seq uint64) {
		if err := w.store.Update(context.Background(), func(tx *store.Tx) error { tx.Delete(records.DeliveryKey("team", seq)); return nil }); err != nil {
			t.Error(err)
		}
	}
	w = newWorld(t, inPlace(t, many, func(_ context.Context, m sdk.Message) error {
		if m.Key == "a" {
			drop(1)
			drop(3)
			return errDown
		}
		return nil
	}), Policy{})
	w.put("a", "b", "c", "d")
	w.drain()
	w.now = w.now.Add(time.Hour)
	w.drain()
	w.want("sent", w.sent, "b", "d")
	w.want("waiting", w.waiting())
}

// TestDeletedHoldsNobodyBack deletes a message that waits an hour for another try: those behind it go out at once.
func TestDeletedHoldsNobodyBack(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]Policy{"strict": {Base: time.Hour}, "by subject": {Base: time.Hour, Concurrency: 2}} {
		w := newWorld(t, inPlace(t, many, func(_ context.Context, m sdk.Message) error {
			if m.Key == "bad" {
				return errDown
			}
			return nil
		}), policy)
		w.put("bad/kim", "good/kim")
		if w.drain(); len(w.failed) != 1 {
			t.Fatalf("%s: failed %v", name, w.failed)
		}
		if err := w.store.Update(t.Context(), func(tx *store.Tx) error { tx.Delete(records.DeliveryKey("team", 1)); return nil }); err != nil {
			t.Fatal(err)
		}
		w.Deleted()
		w.drain()
		w.want(name, w.sent, "good")
	}
}

// TestDestinationsThatAreGone gives up what waits for a destination that the program does not have, and sends it in its
// order once it is back.
func TestDestinationsThatAreGone(t *testing.T) {
	t.Parallel()
	plugin := inPlace(t, many, func(context.Context, sdk.Message) error { return nil })
	w := newWorld(t, plugin, Policy{})
	err := w.store.Update(t.Context(), func(tx *store.Tx) error {
		for i := range 150 {
			if err := putOne(tx, "old", fmt.Sprintf("m%03d", i), "", start); err != nil {
				return err
			}
		}
		return putOne(tx, "older", "x", "", start)
	})
	if err != nil {
		t.Fatal(err)
	}
	w.put("a")
	w.drain()
	w.want("sent", w.sent, "a")
	w.want("waiting", w.waiting())
	if len(w.dead) != 151 || w.dead[0].Code != "no_destination" || !strings.Contains(w.dead[0].Reason, "no destination old") {
		t.Fatalf("%d dead, first %+v", len(w.dead), w.dead[:1])
	}
	back := slices.DeleteFunc(slices.Clone(w.dead), func(l feedback.DeadLetter) bool { return l.Delivery.Destination != "old" })
	w.replay(back...)
	w.sent = nil
	w.renew(Destination{ID: "old", Plugin: plugin})
	w.drain()
	if len(w.sent) != 150 || !slices.IsSorted(w.sent) {
		t.Errorf("sent %q", w.sent)
	}
}

// TestStopsSoon holds that attempts under way may end when the outbox is stopped, and are cut off when they do not.
func TestStopsSoon(t *testing.T) {
	t.Parallel()
	begun := make(chan string, 2)
	finish := make(chan struct{})
	w := newWorld(t, inPlace(t, many, func(ctx context.Context, m sdk.Message) error {
		begun <- m.Key
		if m.Key == "quick" {
			<-finish
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}), Policy{Concurrency: 2})
	w.put("quick/1", "slow/2")
	stop := w.run()
	<-begun
	<-begun
	go close(finish)
	stop()
	w.want("waiting", w.waiting(), "slow")
	w.want("failed", w.failed)
}

// TestStoreThatFails keeps what came of attempts until the store takes it, and tries nothing meanwhile.
func TestStoreThatFails(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	tries := 0
	w := newWorld(t, inPlace(t, many, func(context.Context, sdk.Message) error {
		tries++
		full.Store(true)
		return nil
	}), Policy{})
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(w.dir, store.Options{Profile: store.Still, Reserve: 1 << 20, Ballast: -1, Free: func(string) (int64, error) {
		if full.Load() {
			return 0, nil
		}
		return 1 << 40, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	w.store = st
	w.renew(Destination{ID: "team", Plugin: w.plugin})
	w.put("a", "b")
	for range 2 {
		if n, err := w.Drain(t.Context()); n != 0 || !errors.Is(err, store.ErrFull) {
			t.Fatalf("%d sent, %v", n, err)
		}
	}
	if trouble := w.Status()["team"].Trouble; tries > unsaved || trouble != nil && !errors.Is(trouble, store.ErrFull) {
		t.Errorf("%d tries, trouble %v", tries, trouble)
	}
	full.Store(false)
	w.drain()
	if before := tries; len(w.waiting()) != 0 || before != 2 {
		t.Errorf("%d tries, waiting %v", before, w.waiting())
	}
}

func TestAClockThatStepsBackWakesUpUnasked(t *testing.T) {
	t.Parallel()
	fail := errDown
	w := newWorld(t, inPlace(t, many, func(context.Context, sdk.Message) error { return fail }), Policy{Breaker: BreakerPolicy{Failures: 1}})
	w.put("a")
	w.drain()
	fail = nil
	w.now = w.now.Add(-365 * 24 * time.Hour)
	if n := w.drain(); n != 1 {
		t.Errorf("after a step back of a year %d were sent, want 1", n)
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
		{1, 1000 * time.Hour, 0.5, 24 * time.Hour},
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

// TestAgeCountsFromTheReplay holds also when the clock stepped back before the message was replayed.
func TestAgeCountsFromTheReplay(t *testing.T) {
	t.Parallel()
	p := Policy{MaxAge: time.Hour}.WithDefaults()
	for replayed, want := range map[feedback.Time]string{0: "", start.Add(-2 * time.Hour): codeTooOld, start.Add(-time.Minute): ""} {
		d := &feedback.Delivery{CreatedAt: start, ReplayedAt: replayed}
		if code, _ := p.giveUp(d, sdk.FailureOf(errDown), start.Add(30*time.Minute)); code != want {
			t.Errorf("replayed at %s: %q, want %q", replayed, code, want)
		}
	}
}
