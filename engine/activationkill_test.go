package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/engine"
)

// ingestWhileRulesChange is a victim that changes its rules all the time, while it ingests.
func ingestWhileRulesChange(v *victim) error { return ingestBeside(v, changeRules) }

// changeRules activates one version of the rules after the other, and goes back every third time.
func changeRules(ctx context.Context, e *engine.Engine) error {
	path := filepath.Join(e.Dir(), "rules", "route.yaml")
	text, err := os.ReadFile(path)
	body, _, _ := strings.Cut(string(text), "# version")
	for n := 0; err == nil; n++ {
		version := []byte(fmt.Sprintf("%s# version %d\n", body, n%5))
		err = errors.Join(os.WriteFile(path+".new", version, 0o600), os.Rename(path+".new", path))
		if err == nil && n%3 == 2 {
			_, err = e.Rollback(ctx, engine.RollbackOptions{By: "ben"})
		} else if err == nil {
			_, err = e.Activate(ctx, engine.ActivateOptions{By: "anna"})
		}
		if errors.Is(err, engine.ErrNotFound) {
			err = nil // it went back to the first already
		}
	}
	return err
}

// TestKilledWhileRulesChange kills a running engine whose rules change all the time. After each kill the rules that
// decide are those of the last entry of the history, which has no gap, and every item can be explained by rules of it.
func TestKilledWhileRulesChange(t *testing.T) {
	t.Parallel()
	dir := writeProgram(t, killRules)
	random := seeded(t)
	acked := map[string]bool{}
	for round := range max(kills(t)/5, 3) {
		for _, id := range killOne(t, "change rules", dir, round, random) {
			acked[id] = true
		}
		examineRules(t, dir)
	}
	examine(t, dir, acked)
	if len(acked) == 0 {
		t.Error("nothing was acknowledged: the test shows nothing")
	}
}

func examineRules(t *testing.T, dir string) {
	t.Helper()
	e, err := engine.Open(t.Context(), dir, engine.Options{Native: (&parts{}).native(), Profile: engine.Small})
	if err != nil {
		t.Fatal(err)
	}
	list, err := e.Activations(t.Context(), 0)
	if err != nil || len(list) == 0 || list[0].Ruleset != e.Rules().Hash() {
		t.Fatalf("%d activations, %v; the last is not what decides", len(list), err)
	}
	known := map[string]bool{}
	for i, a := range list {
		known[a.Ruleset] = true
		if a.Number != len(list)-i || i > 0 && list[i-1].Was != a.Ruleset {
			t.Errorf("activation %d has the number %d, and the one after it followed %s", len(list)-i, a.Number, list[max(i-1, 0)].Was)
		}
	}
	items, err := e.Items(t.Context(), engine.ItemQuery{Limit: 50})
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range items {
		if x, err := e.Explain(t.Context(), it.ID); err != nil || !known[x.Decision.Ruleset] {
			t.Errorf("item %s was decided on by rules of which the history knows nothing: %v", it.ID, err)
		}
	}
	state := e.StateDir()
	closeEngine(t, e)
	if n := verifyAudit(t, state); n != len(list) {
		t.Errorf("the audit log has %d entries about rules, and the history %d", n, len(list))
	}
}
