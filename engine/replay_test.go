package engine_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// moody is a categorizer that does what it is set to.
type moody struct {
	does atomic.Pointer[func([]sdk.Result) error]
}

func (m *moody) set(does func([]sdk.Result) error) { m.does.Store(&does) }

func (m *moody) Categorize(_ context.Context, _ []feedback.Item, out []sdk.Result) error {
	return (*m.does.Load())(out)
}

// A dead letter of an item that is there stays until the item is labelled: also when the replay is cut off.
func TestALetterStaysWhileItsItemIsUnlabelled(t *testing.T) {
	t.Parallel()
	p, m := &parts{}, &moody{}
	plugins := p.native()
	plugins["words"] = native(sdk.AbilityCategorize, m)
	files := strings.Replace(programFiles, "{plugin: native:words}", "{plugin: native:words, on_failure: unlabelled}", 1)
	e := open(t, writeProgram(t, files), p, func(o *engine.Options) { o.Native = plugins })
	letters := func() []feedback.DeadLetter {
		found, err := e.DeadLetters(t.Context(), feedback.DeadItem, 0)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	m.set(func([]sdk.Result) error { return sdk.Retry(0, "not now") })
	r, err := e.Ingest(t.Context(), "app", answer("1", 1, "x"))
	if err != nil || r.New != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	refuse := func(out []sdk.Result) error {
		for i := range out {
			out[i].Err = sdk.Fatal("cannot read this")
		}
		return nil
	}
	m.set(refuse)
	if _, err := e.ResumePlugin(t.Context(), "words"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.RunOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	dead := letters()
	if len(dead) != 1 {
		t.Fatalf("dead letters %+v", dead)
	}
	ctx, cancel := context.WithCancel(t.Context())
	m.set(func([]sdk.Result) error {
		cancel()
		return ctx.Err()
	})
	if _, err := e.Replay(ctx, dead[0].ID); !errors.Is(err, context.Canceled) {
		t.Errorf("a replay that was cut off gave %v", err)
	}
	if n := len(letters()); n != 1 {
		t.Errorf("%d letters after a replay that was cut off", n)
	}
	m.set(refuse)
	if row, err := e.Replay(t.Context(), dead[0].ID); err != nil || row.Outcome != engine.OutcomeRejected || len(letters()) != 1 {
		t.Errorf("still refused: %+v, %v, %d letters", row, err, len(letters()))
	}
	m.set(func(out []sdk.Result) error {
		out[0].AddTheme("packaging", 1)
		return nil
	})
	if row, err := e.Replay(t.Context(), dead[0].ID); err != nil || row.Outcome != engine.OutcomeDuplicate || len(letters()) != 0 {
		t.Errorf("mended: %+v, %v, %d letters", row, err, len(letters()))
	}
	if it, err := e.Item(t.Context(), r.Rows[0].ID); err != nil || !it.Labels.Has("packaging") {
		t.Errorf("item %+v, %v", it, err)
	}
}
