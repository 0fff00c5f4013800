package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// killRules are rules that remember: a window, an alert on it, a throttled message and a digest.
const killRules = programFiles + `
-- rules/memory.yaml --
version: 1
windows:
  all_1d: {metric: count, over: 24h, step: 10m}
groups:
  - name: over-time
    rules:
      - id: busy
        when: win.all_1d.n >= 10
        alert: {severity: info, notify: team, wait: 1ms, summary: "{win.all_1d.n} items"}
  - name: throttled
    rules:
      - id: first-ones
        when: has(score)
        throttle: {every: 24h, max: 5}
        do: [{alert: {severity: info, summary: an item, key: external_id}}]
      - id: collected
        when: nps >= 9
        do: [{notify: {destination: team, message: "{text}", digest: 24h}}]
`

// ingestForEver is a victim that acknowledges the external id of every item. Three callers push, each in its own order,
// while the engine delivers to a destination that is down.
func ingestForEver(v *victim) error {
	return ingestBeside(v, func(context.Context, *engine.Engine) error { return nil })
}

// ingestBeside ingests while beside runs too, and returns when something failed.
func ingestBeside(v *victim, beside func(context.Context, *engine.Engine) error) error {
	ctx := context.Background()
	p := &parts{}
	p.sink.set(sdk.Retry(0, "down"))
	e, err := engine.Open(ctx, v.dir, engine.Options{Native: p.native(), Profile: engine.Small})
	if err != nil {
		return err
	}
	failed := make(chan error)
	try := func(do func() error) {
		go func() {
			if err := do(); err != nil {
				failed <- err
			}
		}()
	}
	try(func() error { return e.Run(ctx) })
	try(func() error { return beside(ctx, e) })
	for caller := range 3 {
		try(func() error { return push(ctx, v, e, caller) })
	}
	return <-failed
}

// push ingests the items of one caller.
func push(ctx context.Context, v *victim, e *engine.Engine, caller int) error {
	for n := 0; ; n += caller + 1 {
		var items []feedback.Item
		var ids []string
		for i := range caller + 1 {
			it := answer(fmt.Sprintf("%d-%d-%d", v.round, caller, n+i), float64(n%11), "late #shipping")
			it.OccurredAt = feedback.TimeOf(time.Now())
			items, ids = append(items, it), append(ids, it.ExternalID)
		}
		if _, err := e.Ingest(ctx, "app", items...); err != nil {
			return err
		}
		v.ack(ids...)
	}
}

// TestKilledAtAnyMoment kills a running engine with SIGKILL again and again on the same state. After each kill every
// item that was acknowledged must be there once, with its decision, its case and its message, and every other item
// with all of them or not at all.
func TestKilledAtAnyMoment(t *testing.T) {
	dir := writeProgram(t, killRules)
	random := seeded(t)
	acked := map[string]bool{}
	for round := range kills(t) {
		for _, id := range killOne(t, "ingest", dir, round, random) {
			acked[id] = true
		}
		if round%10 == 9 || round == kills(t)-1 {
			examine(t, dir, acked)
		}
	}
	t.Logf("%d kills, %d items acknowledged", kills(t), len(acked))
	if len(acked) == 0 {
		t.Error("nothing was acknowledged: the test shows nothing")
	}
}

// examine opens the state and looks at every item.
func examine(t *testing.T, dir string, acked map[string]bool) {
	t.Helper()
	ctx := t.Context()
	p := &parts{}
	e, err := engine.Open(ctx, dir, engine.Options{Native: p.native(), Profile: engine.Small})
	if err != nil {
		t.Fatal(err)
	}
	defer closeEngine(t, e)
	const every = 1 << 30
	items, err := e.Items(ctx, engine.ItemQuery{Limit: every})
	if err != nil {
		t.Fatal(err)
	}
	cases, err := e.Cases(ctx, engine.CaseQuery{Limit: every})
	if err != nil {
		t.Fatal(err)
	}
	messages := map[feedback.ItemID]int{}
	page, err := e.Deliveries(ctx, engine.DeliveryQuery{Limit: every})
	if err != nil {
		t.Fatal(err)
	}
	var deliveries []feedback.Delivery
	for _, d := range page.Deliveries {
		if d.Kind == "notify" {
			messages[d.Item]++
		}
		deliveries = append(deliveries, d.Delivery)
	}
	examineMemory(t, e, len(items), deliveries)
	caseOf := map[feedback.ItemID]int{}
	for _, c := range cases {
		caseOf[c.Item]++
	}
	seen := map[string]bool{}
	for _, it := range items {
		if seen[it.ExternalID] {
			t.Errorf("item %s is there twice", it.ExternalID)
		}
		seen[it.ExternalID] = true
		want := 0
		if *it.Score <= 6 {
			want = 1
		}
		decisions, err := e.Decisions(ctx, it.ID)
		if err != nil || len(decisions) != 1 || caseOf[it.ID] != want || messages[it.ID] != want || !it.Labels.Has("shipping") {
			t.Errorf("item %s: %d decisions, %d cases, %d messages, want 1, %d, %d (%v)",
				it.ExternalID, len(decisions), caseOf[it.ID], messages[it.ID], want, want, err)
		}
	}
	for id := range acked {
		if !seen[id] {
			t.Errorf("item %s was acknowledged and is gone", id)
		}
	}
}

// examineMemory compares what the rules remember with the items: each counts once in the window, the alert that began
// with the tenth was told once, and the throttle let five pass.
func examineMemory(t *testing.T, e *engine.Engine, items int, deliveries []feedback.Delivery) {
	t.Helper()
	windows, err := e.Windows(t.Context(), "all_1d")
	if err != nil || len(windows) != 1 || windows[0].N != int64(items) {
		t.Errorf("the window tells %+v, want %d items (%v)", windows, items, err)
	}
	told := 0
	keys := map[string]bool{}
	for _, d := range deliveries {
		if keys[d.Key] {
			t.Errorf("the message %s is there twice", d.Key)
		}
		keys[d.Key] = true
		if d.Kind == "alert" {
			told++
		}
	}
	alerts, err := e.Alerts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	raised := 0
	for _, a := range alerts {
		if a.Rule == "first-ones" {
			raised++
		}
		if a.Rule == "busy" && a.Status != "firing" {
			t.Errorf("the alert is %s", a.Status)
		}
	}
	if told != 1 || raised != 5 {
		t.Errorf("the alert was told %d times and %d items passed the throttle, want 1 and 5", told, raised)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
