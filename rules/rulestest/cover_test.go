package rulestest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/rules"
)

// coverageOf runs tests, written in one line each as events, on a rule with the condition.
func coverageOf(t *testing.T, when, more string, events ...string) Coverage {
	t.Helper()
	text := "version: 1\ngroups:\n  - name: g\n    rules:\n      - {id: r, when: '" + when + "', do: [{tag: x}]" + more + "}\n"
	set, err := rules.Compile([]rules.File{{Name: "rules.yaml", Data: []byte(text)}}, rules.Env{})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("version: 1\ntests:\n")
	for i, e := range events {
		fmt.Fprintf(&b, "  - {name: t%d, event: %s, expect: {}}\n", i, e)
	}
	file, err := Load("r_test.yaml", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	report := Run(set, []*File{file})
	if !report.OK() {
		t.Fatalf("%+v", report)
	}
	return report.Coverage
}

// A comparison is covered when it was seen to decide while true and while false.
func TestConditionsDecideBothWays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		when, more string
		events     []string
		missing    string
	}{
		{"nps <= 6", "", []string{"{nps: 3}"}, "nps <= 6 true"},
		{"nps <= 6", "", []string{"{nps: 3}", "{nps: 9}"}, ""},
		{"nps <= 6", "", []string{"{nps: 3}", "{}"}, "nps <= 6 true"},
		{"score <= 6 && contactable", "", []string{"{score: 3, contactable: true}", "{score: 9, contactable: false}"}, "score <= 6 true, contactable true"},
		{"score <= 6 && contactable", "", []string{"{score: 3, contactable: true}", "{score: 9, contactable: true}", "{score: 3, contactable: false}"}, ""},
		{"score <= 6 || contactable", "", []string{"{score: 3, contactable: true}", "{score: 9, contactable: false}"}, "score <= 6 false, contactable false"},
		{"score <= 6 || contactable", "", []string{"{score: 3, contactable: false}", "{score: 9, contactable: true}", "{score: 9, contactable: false}"}, ""},
		// Beside something unknown a comparison decides only what is known.
		{"score <= 6 && contactable", "", []string{"{score: 3}", "{score: 9}"}, "score <= 6 , contactable "},
		{"score <= 6 && contactable", ", on_error: match", []string{"{score: 3}", "{score: 9}"}, "contactable "},
		{"!(score <= 6) && (contactable ?? true)", "", []string{"{score: 7}", "{score: 3}", "{score: 7, contactable: true}", "{score: 7, contactable: false}"}, ""},
		// What stands twice is one comparison.
		{"score <= 6 && contactable || score <= 6 && !contactable", "", []string{"{score: 3, contactable: true}", "{score: 9, contactable: true}"}, "contactable "},
		{"true", "", []string{"{}"}, ""},
	} {
		got := coverageOf(t, c.when, c.more, c.events...)
		var missing []string
		for _, m := range got.Missing {
			for _, u := range m.Conditions {
				seen := ""
				if u.True {
					seen = "true"
				}
				if u.False {
					seen += "false"
				}
				missing = append(missing, u.Text+" "+seen)
			}
		}
		if strings.Join(missing, ", ") != c.missing {
			t.Errorf("%s with %v: missing %v, want %s", c.when, c.events, missing, c.missing)
		}
	}
}

// A rule that is not reached shows nothing, and one that is off is not asked for.
func TestWhatIsNotReachedIsNotCovered(t *testing.T) {
	t.Parallel()
	const text = `
version: 1
groups:
  - name: g
    match: first
    rules:
      - {id: first, when: nps <= 8, do: [{tag: x}]}
      - {id: second, when: nps <= 6, do: [{tag: y}]}
      - {id: third, mode: off, when: nps <= 6, do: [{tag: z}]}
`
	const tests = `
version: 1
tests:
  - {name: low, event: {nps: 3}, expect: {g: {first: {tag: x}}}}
  - {name: high, event: {nps: 9}, expect: {g: {}}}
`
	set, err := rules.Compile([]rules.File{{Name: "rules.yaml", Data: []byte(text)}}, rules.Env{})
	if err != nil {
		t.Fatal(err)
	}
	file, err := Load("r_test.yaml", []byte(tests))
	if err != nil || file.Tests != 2 {
		t.Fatal(err, file)
	}
	report := Run(set, []*File{file, file})
	c := report.Coverage
	if c.Rules != 2 || c.Fired != 1 || c.Conditions != 2 || c.Decided != 1 || len(c.Missing) != 1 || c.Missing[0].Rule != "second" ||
		!c.Missing[0].NeverFired || c.Missing[0].Conditions[0].True || !c.Missing[0].Conditions[0].False {
		t.Errorf("%+v", c)
	}
	if len(report.Tests) != 4 || len(report.Files) != 2 || c.RuleShare() != 50 {
		t.Errorf("%+v", report)
	}
	a, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if b, err := json.Marshal(Run(set, []*File{file, file})); err != nil || string(b) != string(a) {
			t.Fatalf("the same tests report differently: %v\n%s\n%s", err, a, b)
		}
	}
	if !strings.HasPrefix(string(a), `{"ruleset":"sha256:`) || !strings.Contains(string(a), `"passed":true`) {
		t.Error(string(a))
	}
}
