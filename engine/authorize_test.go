package engine_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// The host is asked who may activate rules, go back, and silence alerts. What is done is in the audit log; what is refused
// changes nothing.
func TestRulesAndSilencesAskTheHost(t *testing.T) {
	t.Parallel()
	var asked []string
	dir, no := activationProgram(t, "care"), errors.New("ask lea")
	e := open(t, dir, &parts{}, func(o *engine.Options) {
		o.Authorize = func(_ context.Context, by engine.Actor, what engine.Action, c feedback.Case) error {
			asked = append(asked, fmt.Sprint(by.Name, " ", what, c.ID))
			if by.Name != "lea" {
				return no
			}
			return nil
		}
	})
	var silence string
	replaceFile(t, dir, "rules/route.yaml", tagged("product"))
	for _, by := range []string{"", "ben", "lea"} {
		who := cmp.Or(by, "unknown")
		_, forced := e.Activate(t.Context(), engine.ActivateOptions{By: by, Force: true})
		_, activated := e.Activate(t.Context(), engine.ActivateOptions{By: by, Why: "now"})
		_, back := e.Rollback(t.Context(), engine.RollbackOptions{By: by, Why: "no"})
		made, silent := e.Silence(t.Context(), engine.Silence{Rule: "all", Ends: feedback.TimeOf(time.Now().Add(time.Hour)), By: who, Why: "known"})
		_, ended := e.Unsilence(t.Context(), engine.Actor{Name: who}, cmp.Or(made.ID, silence), "over")
		for what, err := range map[string]error{"force": forced, "activate": activated, "roll back": back, "silence": silent, "unsilence": ended} {
			if refused := errors.Is(err, engine.ErrDenied) && errors.Is(err, no); refused == (by == "lea") || !refused && err != nil {
				t.Errorf("%s: %s: %v", who, what, err)
			}
		}
		silence = made.ID
		entries, err := e.Audit(t.Context(), engine.AuditQuery{Who: who})
		var log []string
		for _, entry := range entries {
			log = append(log, strings.TrimSpace(entry.Kind+" "+entry.Why))
		}
		if want := "silence.remove over, silence.add known, rules.rollback no, rules.activate"; err != nil || by == "lea" && strings.Join(log, ", ") != want || by != "lea" && len(log) > 0 {
			t.Errorf("the audit log of %s is %q, %v", who, log, err)
		}
	}
	want := "unknown force, unknown activate, unknown roll back, unknown silence, unknown unsilence, " +
		"ben force, ben activate, ben roll back, ben silence, ben unsilence, lea force, lea activate, lea roll back, lea silence, lea unsilence"
	if got := strings.Join(asked, ", "); got != want {
		t.Errorf("asked %s", got)
	}
	if _, err := e.Unsilence(t.Context(), engine.Actor{}, silence, ""); !errors.Is(err, engine.ErrMissing) {
		t.Errorf("nobody ends a silence: %v", err)
	}
}
