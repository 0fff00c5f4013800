package rehearsal

import (
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/rules"
)

// An alert that items raise with different values of group_by is told in one group, and when it is over nobody goes on
// being told that it fires.
func TestAlertStaysInItsGroup(t *testing.T) {
	t.Parallel()
	const text = `
version: 1
groups:
  - name: watch
    rules:
      - id: danger
        when: text contains "fire"
        do: [{alert: {summary: danger, group_by: touchpoint, keep_firing: 2h, notify: desk, wait: 1m, repeat: 24h}}]
`
	set, err := rules.Compile([]rules.File{{Name: "test.yaml", Data: []byte(text)}}, rules.Env{})
	if err != nil {
		t.Fatal(err)
	}
	w := New(set, Options{})
	now := at(t, "2026-03-02 09:00")
	for i, touchpoint := range []string{"checkout", "delivery"} {
		ev := answer(string(rune('a'+i)), 3, "fire", now)
		ev.Item.Touchpoint = touchpoint
		w.Decide(ev, now)
		now = now.Add(10 * time.Minute)
	}
	w.Advance(now.Add(10 * 24 * time.Hour))
	want := `02 09:01 danger firing 1 resolved 0
02 11:11 danger firing 0 resolved 1`
	if got := strings.TrimSpace(told(w)); got != want {
		t.Errorf("found\n%s\nexpected\n%s", got, want)
	}
}
