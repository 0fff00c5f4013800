package engine_test

import (
	"reflect"
	"testing"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// TestWhatEachRuleDidIsCounted takes in a detractor twice, a promoter and an answer without a score.
func TestWhatEachRuleDidIsCounted(t *testing.T) {
	t.Parallel()
	e := open(t, writeProgram(t, programFiles+`
-- rules/counted.yaml --
version: 1
outputs: {queue: error}
groups:
  - name: counted
    rules:
      - {id: low, when: nps <= 6, throttle: {every: 24h}, do: [{tag: low}]}
      - {id: tried, when: nps > 6, mode: shadow, do: [{tag: tried}]}
      - {id: assumed, when: score > 9, on_error: match, do: [{tag: assumed}]}
      - {id: never, when: customer.arr > 5, do: [{tag: never}]}
      - {id: other-queue, when: nps < 3, do: [{assign: {queue: product}}]}
`), &parts{})
	unscored := feedback.Item{ExternalID: "4", Text: "no score"}
	for _, it := range []feedback.Item{answer("1", 2, "late"), answer("2", 5, "late"), answer("3", 10, "fine"), unscored} {
		if _, err := e.Ingest(t.Context(), "app", it); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]engine.RuleMetrics{
		"detractor":   {Fired: 2, Unknown: 1, Conflicts: 1},
		"low":         {Fired: 1, Suppressed: 1, Unknown: 1},
		"tried":       {Shadow: 1, Unknown: 1},
		"assumed":     {Fired: 2, Unknown: 1},
		"never":       {Unknown: 4},
		"other-queue": {Fired: 1, Unknown: 1, Conflicts: 1},
	}
	got := e.Metrics().Rules
	for id := range want {
		if !reflect.DeepEqual(got[id], want[id]) {
			t.Errorf("%s: %+v, want %+v", id, got[id], want[id])
		}
	}
}
