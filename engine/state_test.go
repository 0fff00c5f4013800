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
	"github.com/closedloop/closedloop/sdk/feedback"
)

// A state that was opened without its program answers what it can and refuses the rest.
func TestStateWithoutItsProgram(t *testing.T) {
	t.Parallel()
	e := open(t, writeProgram(t, programFiles), &parts{})
	if _, err := e.Ingest(t.Context(), "app", answer("1", 3, "#packaging")); err != nil {
		t.Fatal(err)
	}
	closeEngine(t, e)
	s, err := engine.OpenStore(e.StateDir(), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if r, err := s.Metric(t.Context(), engine.MetricQuery{Measure: "nps", Since: 1}); err != nil || r.Values[0].Total.N != 1 {
		t.Errorf("metric %+v, %v", r, err)
	}
	if r, err := s.Backtest(t.Context(), engine.BacktestOptions{}, nil); err != nil || r.Items != 1 {
		t.Errorf("backtest %+v, %v", r, err)
	}
	if _, err := s.Activate(t.Context(), engine.ActivateOptions{}); err == nil {
		t.Error("rules were activated without a program")
	}
	if _, err := s.NoteCase(t.Context(), engine.Actor{Name: "eva"}, "k_00000000000000000000000000", "x"); err == nil {
		t.Error("a case was worked on without a program")
	}
}

// Asking for a state makes none.
func TestNoStateIsMadeByAsking(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	_, err := engine.OpenState(t.Context(), writeProgram(t, programFiles), engine.Options{State: state, Native: (&parts{}).native()})
	if !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("a folder without a state gave %v", err)
	}
	if files, err := os.ReadDir(state); err != nil || len(files) > 0 {
		t.Errorf("%v, %v", files, err)
	}
}

// The state of a host that names it by a relative path is where it was, wherever the host goes.
func TestStateDirIsAbsolute(t *testing.T) {
	t.Parallel()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := writeProgram(t, programFiles)
	state, err := filepath.Rel(here, filepath.Join(dir, "state"))
	if err != nil {
		t.Skip(err) // on another volume
	}
	e := open(t, dir, &parts{}, func(o *engine.Options) { o.State = state })
	if got := e.StateDir(); got != filepath.Join(dir, "state") {
		t.Errorf("the state is in %s", got)
	}
	if e.Watches(filepath.Join(dir, "state", "mark")) {
		t.Error("its own writes are taken for changes of the program")
	}
}

// A score of what there is not is refused, and not 0.
func TestScoreOfWhatThereIsNot(t *testing.T) {
	t.Parallel()
	e := open(t, writeProgram(t, programFiles), &parts{})
	for _, q := range []engine.MetricQuery{
		{Dimension: "themes", Value: "packaging"}, {Dimension: "theme"}, {Value: "packaging"}, {Since: 2e12, Until: 1e12},
	} {
		if n, err := e.NPS(t.Context(), q); !errors.Is(err, engine.ErrQuery) {
			t.Errorf("%+v gave %+v, %v", q, n, err)
		}
	}
	if _, err := e.NPS(t.Context(), engine.MetricQuery{Dimension: "theme", Value: "packaging", Compare: true, Every: "x"}); err != nil {
		t.Error(err)
	}
}

// Queries that go through many records end with their context.
func TestQueriesEndWithTheirContext(t *testing.T) {
	t.Parallel()
	e := open(t, writeProgram(t, programFiles), &parts{})
	if _, err := e.Ingest(t.Context(), "app", answer("1", 2, "x"), answer("2", 99, "y")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, ask := range map[string]func() error{
		"items":        func() error { _, err := e.Items(ctx, engine.ItemQuery{}); return err },
		"cases":        func() error { _, err := e.Cases(ctx, engine.CaseQuery{}); return err },
		"closed cases": func() error { _, err := e.Cases(ctx, engine.CaseQuery{Status: feedback.CaseClosed}); return err },
		"report":       func() error { _, err := e.CaseReport(ctx, engine.CaseReportQuery{}); return err },
		"deliveries":   func() error { _, err := e.Deliveries(ctx, engine.DeliveryQuery{}); return err },
		"dead letters": func() error { _, err := e.DeadLetters(ctx, "", 0); return err },
		"audit":        func() error { _, err := e.Audit(ctx, engine.AuditQuery{}); return err },
		"whole audit":  func() error { _, err := e.AuditVerify(ctx); return err },
	} {
		if err := ask(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A query for what cannot be is refused with what it may have meant: an empty list would say that there is none.
func TestQueriesRefuseWhatCannotBe(t *testing.T) {
	t.Parallel()
	ctx, e := t.Context(), open(t, writeProgram(t, programFiles), &parts{})
	for hint, ask := range map[string]func(string) error{
		"closed": func(word string) error {
			_, err := e.Cases(ctx, engine.CaseQuery{Status: feedback.CaseStatus(word)})
			return err
		},
		"open": func(word string) error {
			_, err := e.Cases(ctx, engine.CaseQuery{Status: feedback.CaseStatus(word)})
			return err
		},
		"dead": func(word string) error {
			_, err := e.Deliveries(ctx, engine.DeliveryQuery{State: engine.DeliveryState(word)})
			return err
		},
		"delivery": func(word string) error { _, err := e.DeadLetters(ctx, feedback.DeadLetterKind(word), 0); return err },
		"promoter": func(word string) error {
			_, err := e.Items(ctx, engine.ItemQuery{Class: feedback.NPSClass(word)})
			return err
		},
	} {
		if err := ask(hint); err != nil {
			t.Errorf("%s: %v", hint, err)
		}
		if err := ask(hint + "x"); !errors.Is(err, engine.ErrQuery) || !strings.Contains(err.Error(), "expected one of ") || !strings.HasSuffix(err.Error(), fmt.Sprintf("did you mean %q?", hint)) {
			t.Errorf("%sx: %v", hint, err)
		}
	}
	// also those that act on what they choose
	lost := engine.DeliveryAction{Action: engine.ActionReplay, By: anna, All: &engine.DeliveryQuery{State: "lost"}}
	if _, err := e.ActOnDeliveries(ctx, lost); !errors.Is(err, engine.ErrQuery) {
		t.Errorf("got %v", err)
	}
}
