package rules

import (
	"testing"
	"time"
)

func TestReachIsTheLongestThatMatters(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, c := range []struct {
		name, text string
		reach      time.Duration
		tick       time.Duration
	}{
		{"nothing", one("score > 1", "tag: [a]"), 0, 0},
		{"a case", one("score > 1", "case: {sla: 48h}"), 2 * day, 0},
		{"a case in business time", "calendars: {office: {days: mon-fri, hours: \"09:00-17:00\"}}\n" + one("score > 1", "case: {sla: 8h, calendar: office}"), 40 * time.Hour, 0},
		{"a throttle", `
version: 1
groups:
  - name: g
    rules: [{id: r, when: score > 1, throttle: {key: customer.id, every: 9d}, do: [{tag: [a]}]}]
`, 9 * day, 0},
		{"windows and an alert over time", `
version: 1
windows:
  now: {metric: count, over: 1d, step: 1h}
  before: {metric: count, over: 7d, step: 6h, offset: 1d}
groups:
  - name: g
    rules: [{id: r, when: win.before.n > 1, for: 1h, alert: {summary: x}}]
`, 8*day + 6*time.Hour, 6 * time.Hour},
	} {
		set := compile(t, c.text)
		if got := set.Reach(); got != c.reach {
			t.Errorf("%s: reach %s, want %s", c.name, got, c.reach)
		}
		if got := set.TickEvery(); got != c.tick {
			t.Errorf("%s: tick every %s, want %s", c.name, got, c.tick)
		}
	}
}
