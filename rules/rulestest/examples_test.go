package rulestest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// TestRulesOfTheExamples runs the tests that the programs under examples bring along.
func TestRulesOfTheExamples(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"retail", "embed/program"} {
		dir := filepath.Join("..", "..", "examples", filepath.FromSlash(program))
		names, err := filepath.Glob(filepath.Join(dir, "rules", "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var ruleFiles []rules.File
		var tests []*File
		for _, file := range names {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name := "rules/" + filepath.Base(file)
			if !strings.HasSuffix(name, "_test.yaml") {
				ruleFiles = append(ruleFiles, rules.File{Name: name, Data: data})
				continue
			}
			loaded, err := Load(name, data)
			if err != nil {
				t.Fatal(err)
			}
			tests = append(tests, loaded)
		}
		attributes := map[string]feedback.Kind{"order_value": feedback.Number, "coupon": feedback.String, "device": feedback.String}
		set, err := rules.Compile(ruleFiles, rules.Env{Attributes: attributes})
		if err != nil {
			t.Fatal(err)
		}
		report := Run(set, tests)
		c := &report.Coverage
		if !report.OK() || len(report.Tests) == 0 || c.RuleShare() != 100 || c.ConditionShare() < 90 {
			var b strings.Builder
			if err := report.RenderAll(&b); err != nil {
				t.Fatal(err)
			}
			t.Errorf("%s:\n%s", program, b.String())
		}
	}
}

// TestReadme runs the tests that the reference shows on the rules that stand before them.
func TestReadme(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	snippets := regexp.MustCompile("(?s)```(yaml|yaml test)\n(.*?)```").FindAllStringSubmatch(string(data), -1)
	shown := 0
	var before string
	for _, s := range snippets {
		if s[1] == "yaml" {
			before = s[2]
			continue
		}
		shown++
		set, err := rules.Compile([]rules.File{{Name: "rules.yaml", Data: []byte(before)}}, rules.Env{})
		if err != nil {
			t.Fatal(err)
		}
		file, err := Load("rules_test.yaml", []byte(s[2]))
		if err != nil {
			t.Fatal(err)
		}
		if report := Run(set, []*File{file}); !report.OK() {
			var b strings.Builder
			if err := report.Render(&b); err != nil {
				t.Fatal(err)
			}
			t.Errorf("%s\nin\n%s", b.String(), s[2])
		}
	}
	if shown == 0 {
		t.Error("the reference shows no tests")
	}
	for _, known := range [][]fieldShape{outputFields, noticeFields} {
		for _, f := range known {
			if !strings.Contains(string(data), "`"+f.name+"`") {
				t.Errorf("the reference does not tell of %s", f.name)
			}
		}
	}
	for _, name := range reserved {
		if !strings.Contains(string(data), "| `"+name+"`") {
			t.Errorf("the reference does not tell of %s in expect", name)
		}
	}
}
