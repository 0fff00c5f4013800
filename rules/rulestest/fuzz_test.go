package rulestest

import (
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/source"
)

// FuzzLoad reads any text as a file of tests, and runs what can be read.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatal("no test data", err)
	}
	var set *rules.Set
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range archive.Files {
			if strings.HasSuffix(part.Name, "_test.yaml") {
				f.Add(string(part.Data))
			} else if part.Name == "rules/care.yaml" {
				if set, err = rules.Compile([]rules.File{{Name: part.Name, Data: part.Data}}, env()); err != nil {
					f.Fatal(err)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Load("rules/fuzz_test.yaml", []byte(text))
		if err != nil {
			if problems := source.Problems(nil); !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("the error is %T %v", err, err)
			}
			return
		}
		report := Run(set, []*File{file})
		for i := range report.Tests {
			for _, failure := range report.Tests[i].Failures {
				if failure.Line < 1 || failure.Step < 1 || failure.Expected == failure.Found {
					t.Errorf("%+v", failure)
				}
			}
		}
		if err := report.RenderAll(io.Discard); err != nil {
			t.Error(err)
		}
	})
}
