package rules

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk/feedback"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// env is what a program of the tests declares.
func env() Env {
	return Env{
		Attributes:         map[string]feedback.Kind{"order_value": feedback.Number, "coupon": feedback.String},
		CustomerAttributes: map[string]feedback.Kind{"newsletter": feedback.Bool},
		Queues:             []string{"care", "product", "vip"},
		Destinations:       []string{"care-team", "exec"},
	}
}

func compile(tb testing.TB, text string) *Set {
	tb.Helper()
	set, err := Compile([]File{{Name: "test.yaml", Data: []byte(text)}}, env())
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

// one returns a rule file with one rule in one group.
func one(when, do string) string {
	return "version: 1\ngroups:\n  - name: g\n    rules:\n      - id: r\n        when: |\n          " +
		strings.ReplaceAll(when, "\n", "\n          ") + "\n        do: [" + do + "]\n"
}

// golden compares with a file, or rewrites it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; run with -update and look at the difference. Got\n%s", file, got)
	}
}

func detractor() *feedback.Event {
	return &feedback.Event{
		Item: &feedback.Item{
			ID: "f_1", Source: "shop", Version: 7, Survey: feedback.NPS, Score: new(3.0), Text: "The Box was impossible to open", Touchpoint: "checkout/end",
			Contactable: new(true), Customer: feedback.Customer{ID: "c1", Name: "Ann", Tier: "gold", Segment: "smb"},
			Attributes: feedback.Attributes{"order_value": feedback.NumberValue(250)},
		},
		Labels: &feedback.Labels{Sentiment: new(-0.6), Themes: []feedback.Theme{{Path: "shipping/damage", Confidence: 0.8, By: feedback.Author{Layer: feedback.LayerModel}}}},
	}
}

const now = feedback.Time(1772366400000) // 2026-03-01T12:00Z

func problemsOf(t *testing.T, files ...File) source.Problems {
	t.Helper()
	_, err := Compile(files, env())
	if err == nil {
		return nil
	}
	var problems source.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("the error is a %T", err)
	}
	return problems
}

func TestProblemsGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/problems/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := problemsOf(t, File{Name: filepath.Base(file), Data: data}).Render(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, strings.TrimSuffix(file, ".yaml")+".txt", b.String())
	}
}

// evaluate returns the decision and the effects of an evaluation.
func evaluate(s *Set, ev *feedback.Event, now feedback.Time, v View) (*Decision, []Effect) {
	r := s.Evaluate(ev, now, v)
	return &r.Decision, r.Effects
}
