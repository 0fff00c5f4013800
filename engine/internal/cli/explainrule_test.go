package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/rules"
)

// TestOfManyRulesTheNearestAreShown has 3,000 rules that did not fire.
func TestOfManyRulesTheNearestAreShown(t *testing.T) {
	t.Parallel()
	var all []*rules.RuleExplanation
	add := func(n int, outcome rules.Outcome, needs ...string) {
		for i := range n {
			all = append(all, &rules.RuleExplanation{Rule: fmt.Sprintf("%s-%d-%d", outcome, len(needs), i), Outcome: outcome, Needs: needs, Why: "for a reason"})
		}
	}
	add(2900, rules.OutcomeFalse, "a == 1, now a = 2", "b")
	add(80, rules.OutcomeSkipped)
	add(5, rules.OutcomeUnknown, "c", "d")
	add(10, rules.OutcomeFalse, "score <= 6, now score = 7")
	add(2, rules.OutcomeUnknown, "score <= 6, now score is missing")
	add(3, rules.OutcomeSuppressed)
	var out bytes.Buffer
	(&app{std: IO{Out: &out}}).notFired(all)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 22 || lines[0] != "3,000 rules did not fire" {
		t.Fatalf("%d lines:\n%s", len(lines), out.String())
	}
	for i, want := range map[int]string{
		1: "suppressed-0-0  suppressed  for a reason", 4: "unknown-1-0     unknown     needs score <= 6, now score is missing",
		6: "false-1-0       false       needs score <= 6, now score = 7", 16: "unknown-2-0     unknown     needs c; and d",
		21: "and 2,980 more (2,900 false, 80 skipped): --rule ID shows one",
	} {
		if got := strings.TrimSpace(lines[i]); got != want {
			t.Errorf("line %d is %q, want %q", i, got, want)
		}
	}
}
