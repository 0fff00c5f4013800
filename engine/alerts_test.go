package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

const alertRules = programFiles + `
-- rules/alerts.yaml --
version: 1
calendars:
  office: {days: mon-fri, hours: "08:00-18:00"}
windows:
  theme_1d: {metric: rate, over: 24h, step: 15m, by: [theme]}
  feed_1h: {metric: count, over: 1h, step: 5m, by: [source]}
  feed_1d: {metric: count, over: 24h, step: 5m, by: [source]}
groups:
  - name: over-time
    rules:
      - id: theme-spike
        each: theme
        when: win.theme_1d.n >= 5 and win.theme_1d.value > 0.5
        for: 1h
        keep_firing: 2h
        alert: {severity: warning, notify: team, wait: 5m, interval: 10m, repeat: 24h, summary: "{theme} is in {win.theme_1d.value} of all"}
      - id: silent-source
        each: source
        when: win.feed_1h.n == 0 and win.feed_1d.n >= 3
        alert: {severity: critical, notify: team, wait: 1m, summary: "{source} brings nothing"}
        mute: {outside: office}
  - name: praise
    rules:
      - id: promoters
        when: nps >= 9
        do: [{notify: {destination: team, message: "{text}", digest: 6h}}]
`

// ticking is a virtual time that a test moves on, and that survives the engine.
type ticking struct{ now time.Time }

func (c *ticking) at(o *engine.Options) { o.Now = func() time.Time { return c.now } }

// pass moves on in steps and has the engine look at what is due.
func (c *ticking) pass(t *testing.T, e *engine.Engine, d time.Duration) {
	t.Helper()
	const step = 5 * time.Minute
	for ; d > 0; d -= step {
		c.now = c.now.Add(min(step, d))
		if _, err := e.RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func (c *ticking) push(t *testing.T, e *engine.Engine, n int, score float64, text string) {
	t.Helper()
	for i := range n {
		it := answer(fmt.Sprintf("%d-%d", c.now.Unix(), i), score, text)
		it.OccurredAt = feedback.TimeOf(c.now)
		if _, err := e.Ingest(t.Context(), "app", it); err != nil {
			t.Fatal(err)
		}
	}
}

// told returns the text of every message of a kind, after checking that none came twice.
func told(t *testing.T, p *parts, kind string) (texts []string) {
	t.Helper()
	keys := map[string]bool{}
	for _, m := range p.sink.messages() {
		var body struct {
			Kind, Text string
		}
		if err := json.Unmarshal(m.Body, &body); err != nil {
			t.Fatal(err)
		}
		if keys[m.Key] {
			t.Errorf("a message came twice under the key %s: %s", m.Key, m.Body)
		}
		keys[m.Key] = true
		if body.Kind == kind {
			texts = append(texts, body.Text)
		}
	}
	return texts
}

// about returns the texts that begin with the id of a rule.
func about(texts []string, rule string) (out []string) {
	for _, text := range texts {
		if strings.HasPrefix(text, rule+":") {
			out = append(out, text)
		}
	}
	return out
}

func statuses(t *testing.T, e *engine.Engine, rule string) string {
	t.Helper()
	alerts, err := e.Alerts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, a := range alerts {
		if a.Rule == rule {
			out = append(out, a.Key+" "+a.Status)
		}
	}
	return strings.Join(out, ", ")
}

// TestAlertOverTime follows an alert from pending to firing to resolved, over restarts, with its notifications.
func TestAlertOverTime(t *testing.T) {
	t.Parallel()
	dir := writeProgram(t, alertRules)
	p := &parts{}
	c := &ticking{time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)} // a Monday
	e := open(t, dir, p, c.at)
	c.push(t, e, 6, 8, "#price is high")
	c.pass(t, e, 5*time.Minute)
	if got := statuses(t, e, "theme-spike"); got != "price pending" {
		t.Fatalf("alerts %q", got)
	}
	c.pass(t, e, 30*time.Minute)
	closeEngine(t, e)
	e = open(t, dir, p, c.at)
	c.pass(t, e, 35*time.Minute)
	if got := statuses(t, e, "theme-spike"); got != "price firing" {
		t.Fatalf("alerts %q", got)
	}
	c.pass(t, e, 10*time.Minute)
	if got := about(told(t, p, "alert"), "theme-spike"); len(got) != 1 || got[0] != "theme-spike: 1 firing: price is in 1 of all" {
		t.Fatalf("told %q", got)
	}
	c.push(t, e, 7, 8, "nothing of note")
	c.pass(t, e, time.Hour)
	closeEngine(t, e)
	e = open(t, dir, p, c.at)
	if got := statuses(t, e, "theme-spike"); got != "price firing" {
		t.Errorf("alerts %q: it is kept firing for two hours", got)
	}
	c.pass(t, e, 2*time.Hour)
	if got := statuses(t, e, "theme-spike"); got != "price resolved" {
		t.Errorf("alerts %q", got)
	}
	got := about(told(t, p, "alert"), "theme-spike")
	if len(got) != 2 || !strings.HasPrefix(got[1], "theme-spike: 1 resolved") {
		t.Errorf("told %q", got)
	}
}

// TestSourceFallsSilent is about an alert that begins because nothing happens, and is told in office hours only.
func TestSourceFallsSilent(t *testing.T) {
	t.Parallel()
	p := &parts{}
	c := &ticking{time.Date(2026, 3, 2, 16, 30, 0, 0, time.UTC)}
	e := open(t, writeProgram(t, alertRules), p, c.at)
	c.push(t, e, 4, 8, "fine")
	c.pass(t, e, 30*time.Minute)
	if got := statuses(t, e, "silent-source"); got != "" {
		t.Fatalf("alerts %q", got)
	}
	c.pass(t, e, 90*time.Minute) // the hour without feedback ends at 17:35, the office closes at 18:00
	if got, alerts := told(t, p, "alert"), statuses(t, e, "silent-source"); len(got) != 1 || alerts != "app firing" {
		t.Errorf("told %q, alerts %q", got, alerts)
	}
}

func TestMutedUntilTheOfficeOpens(t *testing.T) {
	t.Parallel()
	p := &parts{}
	c := &ticking{time.Date(2026, 3, 2, 19, 0, 0, 0, time.UTC)}
	e := open(t, writeProgram(t, alertRules), p, c.at)
	c.push(t, e, 4, 8, "fine")
	c.pass(t, e, 2*time.Hour)
	if got, alerts := told(t, p, "alert"), statuses(t, e, "silent-source"); len(got) != 0 || alerts != "app firing" {
		t.Fatalf("told %q, alerts %q", got, alerts)
	}
	c.now = time.Date(2026, 3, 3, 7, 55, 0, 0, time.UTC)
	c.pass(t, e, 15*time.Minute)
	if got := told(t, p, "alert"); len(got) != 1 || !strings.Contains(got[0], "app brings nothing") {
		t.Errorf("told %q", got)
	}
}

func TestSilence(t *testing.T) {
	t.Parallel()
	p := &parts{}
	c := &ticking{time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	e := open(t, writeProgram(t, alertRules), p, c.at)
	if _, err := e.Silence(t.Context(), engine.Silence{Ends: feedback.TimeOf(c.now.Add(time.Hour)), By: "ann", Why: "all of them"}); err == nil {
		t.Error("a silence about everything is accepted")
	}
	q, err := e.Silence(t.Context(), engine.Silence{Rule: "theme-*", Key: "price", Ends: feedback.TimeOf(c.now.Add(24 * time.Hour)), By: "ann", Why: "the sale"})
	if err != nil {
		t.Fatal(err)
	}
	c.push(t, e, 6, 8, "#price is high")
	c.pass(t, e, 2*time.Hour)
	if got, alerts := told(t, p, "alert"), statuses(t, e, "theme-spike"); alerts != "price firing" || strings.Contains(strings.Join(got, " "), "theme-spike") {
		t.Fatalf("told %q, alerts %q", got, alerts)
	}
	if list, err := e.Silences(t.Context()); err != nil || len(list) != 1 || list[0] != q {
		t.Errorf("silences %v, %v", list, err)
	}
	if _, err := e.Unsilence(t.Context(), anna, q.ID, "it is over"); err != nil {
		t.Fatal(err)
	}
	c.pass(t, e, 5*time.Minute)
	if got := strings.Join(told(t, p, "alert"), "\n"); !strings.Contains(got, "theme-spike: 1 firing") {
		t.Errorf("told %q", got)
	}
	if _, err := e.Unsilence(t.Context(), anna, q.ID, "it is over"); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("ended twice: %v", err)
	}
}

func TestDigestInsteadOfAPingPerItem(t *testing.T) {
	t.Parallel()
	p := &parts{}
	c := &ticking{time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	dir := writeProgram(t, alertRules)
	e := open(t, dir, p, c.at)
	c.push(t, e, 3, 10, "great")
	c.pass(t, e, time.Hour)
	closeEngine(t, e)
	e = open(t, dir, p, c.at)
	c.push(t, e, 2, 9, "good")
	c.pass(t, e, 4*time.Hour)
	if got := told(t, p, "digest"); len(got) != 0 {
		t.Fatalf("told %q", got)
	}
	c.pass(t, e, 2*time.Hour)
	if got := told(t, p, "digest"); len(got) != 1 || !strings.Contains(got[0], "promoters: 5 since") {
		t.Errorf("told %q", got)
	}
	if got := told(t, p, "notify"); len(got) != 0 {
		t.Errorf("told of each: %q", got)
	}
}

// TestAlertStateOverFailedDeliveries lets the destination be down while an alert fires: the message waits in the outbox.
func TestAlertStateOverFailedDeliveries(t *testing.T) {
	t.Parallel()
	p := &parts{}
	p.sink.set(sdk.Retry(0, "down"))
	c := &ticking{time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	e := open(t, writeProgram(t, strings.Replace(alertRules, "attempts: 3", "attempts: 1000", 1)), p, c.at)
	c.push(t, e, 6, 8, "#price is high")
	c.pass(t, e, 90*time.Minute)
	waiting, err := e.Deliveries(context.WithoutCancel(t.Context()), engine.DeliveryQuery{Destination: "team"})
	if err != nil || len(waiting.Deliveries) == 0 || waiting.Deliveries[0].Kind != "alert" {
		t.Fatalf("deliveries %+v, %v", waiting, err)
	}
	p.sink.set(nil)
	c.pass(t, e, 10*time.Minute)
	if got := strings.Join(told(t, p, "alert"), "\n"); !strings.Contains(got, "theme-spike: 1 firing") {
		t.Errorf("told %q", got)
	}
}
