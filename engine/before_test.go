package engine_test

import (
	"testing"

	"github.com/closedloop/closedloop/engine"
)

// TestGoingBackGoesToWhatWasNotGoneBackFrom is about the rules that a second and third step back lead to.
func TestGoingBackGoesToWhatWasNotGoneBackFrom(t *testing.T) {
	t.Parallel()
	history := func(steps ...engine.Activation) (latestFirst []engine.Activation) {
		for i := range steps {
			steps[i].Number = i + 1
			latestFirst = append([]engine.Activation{steps[i]}, latestFirst...)
		}
		return latestFirst
	}
	one, two, three, four := engine.Activation{Ruleset: "1"}, engine.Activation{Ruleset: "2"}, engine.Activation{Ruleset: "3"}, engine.Activation{Ruleset: "4"}
	back := func(to int, set string) engine.Activation { return engine.Activation{Ruleset: set, Back: to} }
	for name, tt := range map[string]struct {
		history []engine.Activation
		want    int // number; 0 is nowhere
	}{
		"the first":                        {history(one), 0},
		"one back":                         {history(one, two), 1},
		"two back":                         {history(one, two, three, back(2, "2")), 1},
		"what was bad is not gone back to": {history(one, two, three, back(2, "2"), four), 2},
		"from the beginning":               {history(one, two, back(1, "1")), 0},
		"the same again":                   {history(one, two, two), 1},
	} {
		got, err := engine.Before(tt.history)
		if tt.want == 0 != (err != nil) || err == nil && got.Number != tt.want {
			t.Errorf("%s: %+v, %v, want %d", name, got, err, tt.want)
		}
	}
}
