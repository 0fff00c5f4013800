package rulestest

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk/feedback"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func env() rules.Env {
	return rules.Env{
		Attributes:         map[string]feedback.Kind{"order_value": feedback.Number, "coupon": feedback.String, "paid_at": feedback.Instant},
		CustomerAttributes: map[string]feedback.Kind{"newsletter": feedback.Bool},
		Queues:             []string{"care", "checkout", "vip", "general"},
	}
}

// TestReportsGolden runs the tests of each archive in testdata on its rules: what Load finds wrong, else the report.
func TestReportsGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			was := string(txtar.Format(archive))
			archive.Files = runArchive(t, archive)
			if got := txtar.Format(archive); *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			} else if string(got) != was {
				t.Errorf("%s differs; run with -update and look at the difference. Got\n%s", file, got)
			}
		})
	}
}

// runArchive returns the inputs of an archive with what became of them.
func runArchive(t *testing.T, archive *txtar.Archive) []txtar.File {
	var inputs []txtar.File
	var ruleFiles []rules.File
	var tests []*File
	var problems source.Problems
	for _, f := range archive.Files {
		switch {
		case strings.HasSuffix(f.Name, "_test.yaml"):
			inputs = append(inputs, f)
			loaded, err := Load(f.Name, f.Data)
			if found := source.Problems(nil); errors.As(err, &found) {
				problems = append(problems, found...)
			} else if err != nil {
				t.Fatal(err)
			}
			tests = append(tests, loaded)
		case strings.HasSuffix(f.Name, ".yaml"):
			inputs = append(inputs, f)
			ruleFiles = append(ruleFiles, rules.File{Name: f.Name, Data: f.Data})
		}
	}
	var b strings.Builder
	if problems != nil {
		if err := problems.Render(&b); err != nil {
			t.Fatal(err)
		}
		return append(inputs, txtar.File{Name: "problems", Data: []byte(b.String())})
	}
	set, err := rules.Compile(ruleFiles, env())
	if err != nil {
		t.Fatal(err)
	}
	report := Run(set, tests)
	if err := report.Render(&b); err != nil {
		t.Fatal(err)
	}
	out := append(inputs, txtar.File{Name: "report", Data: []byte(b.String())})
	b.Reset()
	if err := report.RenderAll(&b); err != nil {
		t.Fatal(err)
	}
	return append(out, txtar.File{Name: "report of everything", Data: []byte(b.String())})
}
