package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// refused makes an engine of which n messages were refused by their destination, besides others that wait.
func refused(t *testing.T, n int, change ...func(*engine.Options)) (*engine.Engine, *parts) {
	t.Helper()
	p := &parts{}
	p.sink.set(sdk.Fatal("the account is closed"))
	e := open(t, writeProgram(t, programFiles), p, change...)
	ingest(t, e, 0, n)
	if _, err := e.RunOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e, p
}

func ingest(t *testing.T, e *engine.Engine, from, to int) {
	t.Helper()
	var items []feedback.Item
	for i := from; i < to; i++ {
		items = append(items, answer(fmt.Sprintf("%03d", i), 2, fmt.Sprintf("late %03d", i)))
	}
	if _, err := e.Ingest(t.Context(), "app", items...); err != nil {
		t.Fatal(err)
	}
}

var lea = engine.Actor{Name: "lea", Roles: []string{"ops"}}

// listed returns the chosen deliveries, page by page.
func listed(t *testing.T, e *engine.Engine, q engine.DeliveryQuery) (out []engine.Delivery) {
	t.Helper()
	for {
		page, err := e.Deliveries(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, page.Deliveries...)
		if q.After = page.Next; q.After == "" {
			return out
		}
		if len(page.Deliveries) != q.Limit {
			t.Fatalf("a page of %d", len(page.Deliveries))
		}
	}
}

// TestManyDeadDeliveries reads more of them than are held at once.
func TestManyDeadDeliveries(t *testing.T) {
	t.Parallel()
	e, _ := refused(t, 200)
	whole, paged := listed(t, e, engine.DeliveryQuery{Limit: 1000}), listed(t, e, engine.DeliveryQuery{Limit: 7})
	if len(whole) != 200 || asJSON(t, whole) != asJSON(t, paged) {
		t.Errorf("%d at once, %d by pages", len(whole), len(paged))
	}
}

func TestDeliveriesAreFound(t *testing.T) {
	t.Parallel()
	e, p := refused(t, 5)
	p.sink.set(sdk.Retry(0, "busy"))
	ingest(t, e, 5, 12)
	if _, err := e.RunOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	list := func(q engine.DeliveryQuery) []engine.Delivery {
		t.Helper()
		return listed(t, e, q)
	}
	whole := list(engine.DeliveryQuery{Limit: 100})
	paged := list(engine.DeliveryQuery{Limit: 2})
	if len(whole) != 12 || asJSON(t, whole) != asJSON(t, paged) {
		t.Errorf("%d at once, %d by pages", len(whole), len(paged))
	}
	for i, d := range whole {
		want := engine.DeliveryWaiting
		switch {
		case i == 0:
			want = engine.DeliveryRetrying // it holds those behind it
		case i >= 7:
			want = engine.DeliveryDead
		}
		if d.State != want || (d.State == engine.DeliveryDead) != (d.Code == "refused" && d.Letter != "") || len(d.Body) == 0 || d.Case == "" {
			t.Errorf("%d is %+v, want it %s", i, d, want)
		}
		for _, key := range []string{d.Key, d.Letter} {
			if found, err := e.Delivery(t.Context(), key); key != "" && (err != nil || found.Key != d.Key) {
				t.Errorf("%s: %+v, %v", key, found, err)
			}
		}
	}
	for _, tt := range []struct {
		q    engine.DeliveryQuery
		want int
	}{
		{engine.DeliveryQuery{State: engine.DeliveryDead}, 5}, {engine.DeliveryQuery{State: engine.DeliveryRetrying}, 1},
		{engine.DeliveryQuery{State: engine.DeliveryWaiting}, 6}, {engine.DeliveryQuery{Code: "refused"}, 5}, {engine.DeliveryQuery{Code: "too_old"}, 0},
		{engine.DeliveryQuery{Destination: "team"}, 12}, {engine.DeliveryQuery{Destination: "tea"}, 0}, {engine.DeliveryQuery{Kind: "alert"}, 0},
		{engine.DeliveryQuery{Kind: "notify"}, 12}, {engine.DeliveryQuery{Key: whole[3].Key[:20]}, 1}, {engine.DeliveryQuery{Key: "msg_"}, 12},
		{engine.DeliveryQuery{Before: whole[0].CreatedAt}, 5}, {engine.DeliveryQuery{Since: whole[0].CreatedAt}, 7},
	} {
		if got := list(tt.q); len(got) != tt.want {
			t.Errorf("%+v: %d, want %d", tt.q, len(got), tt.want)
		}
	}
	if _, err := e.Delivery(t.Context(), whole[0].Key[:20]); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("half a key: %v", err)
	}
	if _, err := e.Deliveries(t.Context(), engine.DeliveryQuery{After: "nonsense"}); err == nil {
		t.Error("a cursor that is none is taken")
	}
}

// TestPeopleActOnDeliveries has people replay and drop, one and many, on an engine and through its socket. What they did,
// and why, is in the audit log; what they may not do, the host says.
func TestPeopleActOnDeliveries(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	sent := make(chan string, 16)
	e, p := refused(t, 6, func(o *engine.Options) {
		o.Events.DeliverySent = func(d feedback.Delivery) { sent <- d.Key }
		o.Authorize = func(_ context.Context, by engine.Actor, what engine.Action, c feedback.Case) error {
			if what != engine.ActionReplay && what != engine.ActionDrop || c.ID == "" || c.Queue != "care" {
				t.Errorf("asked for %s of %+v", what, c)
			}
			if asked.Add(1); by.Name == "mallory" {
				return errors.New("not of operations")
			}
			return nil
		}
	})
	ctx := t.Context()
	page, err := e.Deliveries(ctx, engine.DeliveryQuery{})
	if err != nil || len(page.Deliveries) != 6 {
		t.Fatalf("%d, %v", len(page.Deliveries), err)
	}
	keys := make([]string, 6)
	for _, d := range page.Deliveries {
		keys[d.Sequence-1] = d.Key
	}
	if err := e.ReplayDelivery(ctx, engine.Actor{Name: "mallory"}, keys[0], ""); !errors.Is(err, engine.ErrDenied) {
		t.Errorf("what the host does not allow: %v", err)
	}
	for _, err := range []error{e.ReplayDelivery(ctx, engine.Actor{}, keys[0], ""), e.DropDelivery(ctx, lea, keys[0], " "), e.DropDelivery(ctx, lea, "", "x")} {
		if !errors.Is(err, engine.ErrMissing) {
			t.Errorf("what is missing: %v", err)
		}
	}
	if err := e.ReplayDelivery(ctx, lea, "msg_0", ""); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("no such delivery: %v", err)
	}
	if err := e.DropDelivery(ctx, lea, keys[2], "was told by phone"); err != nil {
		t.Fatal(err)
	}
	p.sink.set(nil)
	run(t, e)
	c, err := engine.Dial(e.StateDir())
	for errors.Is(err, engine.ErrNotRunning) { // it has yet to begin
		c, err = engine.Dial(e.StateDir())
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	all := engine.DeliveryAction{Action: engine.ActionReplay, By: lea, Why: "paid", All: &engine.DeliveryQuery{Destination: "team", State: engine.DeliveryDead}, Rehearse: true}
	if r, err := c.ActOnDeliveries(ctx, all); err != nil || r.Done != 5 || r.Destinations["team"] != 5 || len(p.sink.messages()) != 0 {
		t.Errorf("rehearsed %+v, %v", r, err)
	}
	all.Rehearse = false
	if r, err := c.ActOnDeliveries(ctx, all); err != nil || r.Done != 5 {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := c.ActOnDeliveries(ctx, engine.DeliveryAction{Action: engine.ActionDrop, By: lea, Why: "x", Key: "msg_0"}); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("over the socket: %v", err)
	}
	for range 5 {
		<-sent
	}
	for i, m := range p.sink.messages() {
		if want := append(append([]string{}, keys[:2]...), keys[3:]...)[i]; m.Key != want || m.Attempt != 1 {
			t.Errorf("message %d is %s, want %s", i, m.Key, want)
		}
	}
	entries, err := e.Audit(ctx, engine.AuditQuery{Who: "lea"})
	if err != nil || len(entries) != 6 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	if last := entries[5]; last.Kind != "delivery.drop" || last.What != keys[2] || last.Why != "was told by phone" || !strings.Contains(string(last.Data), `"code":"refused"`) {
		t.Errorf("the drop: %+v", last)
	}
	if first := entries[4]; first.Kind != "delivery.replay" || first.What != keys[0] || first.Why != "paid" {
		t.Errorf("the replay: %+v", first)
	}
	if _, err := e.AuditVerify(ctx); err != nil {
		t.Error(err)
	}
	if asked.Load() == 0 {
		t.Error("the host was not asked")
	}
}

// TestDroppedHoldsNobodyBack has a person drop the message that holds up all others until it is tried again.
func TestDroppedHoldsNobodyBack(t *testing.T) {
	t.Parallel()
	p := &parts{}
	p.sink.set(sdk.Retry(0, "busy"))
	e := open(t, writeProgram(t, strings.Replace(programFiles, "base: 10ms, cap: 50ms", "base: 1h, cap: 1h", 1)), p)
	once := func() {
		t.Helper()
		if _, err := e.RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ingest(t, e, 0, 2)
	once()
	p.sink.set(nil)
	once()
	page, err := e.Deliveries(t.Context(), engine.DeliveryQuery{})
	if err != nil || len(page.Deliveries) != 2 || len(p.sink.messages()) != 0 {
		t.Fatalf("%d wait, %d were sent, %v", len(page.Deliveries), len(p.sink.messages()), err)
	}
	if err := e.DropDelivery(t.Context(), lea, page.Deliveries[0].Key, "it cannot be told"); err != nil {
		t.Fatal(err)
	}
	once()
	if got := p.sink.messages(); len(got) != 1 || got[0].Key != page.Deliveries[1].Key {
		t.Errorf("%d messages were sent, want the second one", len(got))
	}
}

// TestDestinationsStand compares what is told of destinations with what was done for them.
func TestDestinationsStand(t *testing.T) {
	t.Parallel()
	p := &parts{}
	e := open(t, writeProgram(t, strings.Replace(programFiles, "base: 10ms, cap: 50ms", "base: 1h, cap: 1h", 1)), p)
	for _, pass := range []struct {
		answer   error
		from, to int
	}{{sdk.Fatal("the account is closed"), 0, 3}, {sdk.Retry(0, "busy"), 3, 5}} {
		p.sink.set(pass.answer)
		ingest(t, e, pass.from, pass.to)
		if _, err := e.RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	all, err := e.Destinations(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	d := all[0]
	if d.ID != "team" || d.Gone || d.Waiting != 2 || d.Dead != 3 || d.Oldest == 0 || d.NextAt == 0 || !strings.Contains(d.LastError, "busy") {
		t.Errorf("%+v", d)
	}
	m := e.Metrics().Destinations["team"]
	if d.Serving == nil || m != *d.Serving || m.Dead != 3 || m.Failed != 1 || m.Sent != 0 || m.Breaker == "" {
		t.Errorf("%+v and %+v", d.Serving, m)
	}
}

// TestMessagesOutliveTheirDestination starts a program without a destination for which messages wait: they are dead
// letters with a hint, cannot be replayed, and go out in their order under their keys once it is back.
func TestMessagesOutliveTheirDestination(t *testing.T) {
	t.Parallel()
	p := &parts{}
	p.sink.set(sdk.Retry(0, "down"))
	dir := writeProgram(t, strings.Replace(programFiles, "attempts: 3", "attempts: 1000", 1))
	e := open(t, dir, p)
	ingest(t, e, 0, 20)
	if _, err := e.RunOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, err := e.Deliveries(t.Context(), engine.DeliveryQuery{})
	if err != nil || len(before.Deliveries) != 20 {
		t.Fatalf("%d wait, %v", len(before.Deliveries), err)
	}
	closeEngine(t, e)

	without := writeProgram(t, strings.NewReplacer("destinations:\n", "", "  team: {plugin: native:sink, retry: {base: 10ms, cap: 50ms, attempts: 3}}\n", "",
		`, {notify: {destination: team, message: "{text}"}}`, "").Replace(programFiles))
	state := func(o *engine.Options) { o.State = dir + "/.closedloop" }
	e = open(t, without, p, state)
	if page, err := e.Deliveries(t.Context(), engine.DeliveryQuery{State: engine.DeliveryDead}); err != nil || len(page.Deliveries) != 0 {
		t.Errorf("opening alone killed %d, %v", len(page.Deliveries), err)
	}
	if _, err := e.RunOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	dead, err := e.Deliveries(t.Context(), engine.DeliveryQuery{Code: "no_destination"})
	if err != nil || len(dead.Deliveries) != 20 || !strings.Contains(dead.Deliveries[0].Reason, "once it is back, the message can be replayed") {
		t.Fatalf("%d dead, %v", len(dead.Deliveries), err)
	}
	if err := e.ReplayDelivery(t.Context(), lea, dead.Deliveries[0].Key, ""); !errors.Is(err, engine.ErrNoDestination) {
		t.Errorf("replay to nowhere: %v", err)
	}
	if all, err := e.Destinations(t.Context()); err != nil || len(all) != 1 || !all[0].Gone || all[0].Dead != 20 {
		t.Errorf("%+v, %v", all, err)
	}
	closeEngine(t, e)

	p.sink.set(nil)
	e = open(t, dir, p)
	r, err := e.ActOnDeliveries(t.Context(), engine.DeliveryAction{Action: engine.ActionReplay, By: lea, All: &engine.DeliveryQuery{Code: "no_destination"}})
	if err != nil || r.Done != 20 {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := e.RunOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := p.sink.messages()
	for i, d := range before.Deliveries {
		if i >= len(got) || got[i].Key != d.Key || string(got[i].Body) != string(d.Body) || got[i].At != d.CreatedAt {
			t.Fatalf("of %d messages the one at %d is not %s", len(got), i, d.Key)
		}
	}
}
