package engine_test

import (
	"testing"

	"github.com/closedloop/closedloop/engine"
)

// What is of no engine says so.
func TestZeroValuesSayThatTheyAreOfNoEngine(t *testing.T) {
	t.Parallel()
	if _, err := (engine.CaseDesk{}).BeginCase(t.Context(), anna, "k_1", ""); err == nil {
		t.Error("a case was begun nowhere")
	}
	if g := engine.Gate(nil, nil); g.OK || g.Summary() != "1 problem" || len(g.Reasons()) != 1 {
		t.Errorf("got %+v", g)
	}
}
