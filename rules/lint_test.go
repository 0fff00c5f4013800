package rules

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// TestLintGolden lints the rules of each archive in testdata/lint.
func TestLintGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/lint/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data", err)
	}
	defects := 0
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out := &txtar.Archive{Comment: archive.Comment}
		for _, f := range archive.Files {
			if strings.HasSuffix(f.Name, ".out") {
				continue
			}
			found := lintOf(t, f)
			if fine := strings.HasPrefix(f.Name, "fine"); fine != (found == "") {
				t.Errorf("%s: %s: found\n%s", file, f.Name, found)
			} else if !fine {
				defects++
			}
			out.Files = append(out.Files, f)
			if found != "" {
				name, _, _ := strings.Cut(f.Name, ".")
				out.Files = append(out.Files, txtar.File{Name: name + ".out", Data: []byte(found)})
			}
		}
		got := txtar.Format(out)
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		} else if string(got) != string(txtar.Format(archive)) {
			t.Errorf("%s differs; run with -update and look at the difference. Got\n%s", file, got)
		}
	}
	if defects < 60 {
		t.Errorf("found %d defects only", defects)
	}
}

// lintOf lints a whole file, or the rules of a group, and writes what is found.
func lintOf(t *testing.T, f txtar.File) string {
	t.Helper()
	text, e := string(f.Data), env()
	switch match := filepath.Ext(f.Name)[1:]; match {
	case "all", "first":
		text = "version: 1\ngroups:\n- name: g\n  match: " + match + "\n  rules:\n  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") + "\n"
	case "lone":
		e.Queues, e.Destinations = nil, nil
	}
	set, err := Compile([]File{{Name: "rules.yaml", Data: []byte(text)}}, e)
	if err != nil {
		t.Errorf("%s: %v", f.Name, err)
		return ""
	}
	return findingsText(set.Lint())
}

func findingsText(findings []Finding) string {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%s %s", f.Code, f.Pos)
		for _, id := range [...]string{f.Rule, f.Other} {
			if id != "" {
				b.WriteString(" " + id)
			}
		}
		if f.OtherPos.Line > 0 {
			fmt.Fprintf(&b, " at %s", f.OtherPos)
		}
		if f.Blocks {
			b.WriteString(" blocks")
		}
		fmt.Fprintf(&b, "\n  %s\n", f.Message)
		if f.Hint != "" {
			fmt.Fprintf(&b, "  hint: %s\n", f.Hint)
		}
	}
	return b.String()
}

func TestLintFindsDuplicates(t *testing.T) {
	t.Parallel()
	set := compile(t, `version: 1
macros: {detractor: nps <= 6}
groups:
  - name: one
    rules:
      - {id: first, when: "nps <= 6 && contactable", do: [{assign: {queue: care}}]}
      - {id: second, description: again, when: "detractor && contactable", do: [{assign: {queue: care}}]}
      - {id: other-action, when: "nps <= 6 && contactable", do: [{tag: unhappy}]}
      - {id: other-condition, when: "nps <= 7 && contactable", do: [{assign: {queue: care}}]}
      - {id: quiet, mode: shadow, when: "nps <= 6 && contactable", do: [{assign: {queue: care}}]}
  - name: two
    rules:
      - {id: other-group, when: "nps <= 6 && contactable", do: [{assign: {queue: care}}]}
`)
	found := set.Lint()
	if len(found) != 1 || found[0].Code != "duplicate" || found[0].Rule != "second" || found[0].Other != "first" || !found[0].Blocks {
		t.Fatalf("found %+v, want that second is first again", found)
	}
	if p := found[0].Problem(); p.File != "test.yaml" || p.Line != 7 || p.Column == 0 {
		t.Errorf("told at %s:%d:%d", p.File, p.Line, p.Column)
	}
}

func TestHashOfFilesIsThatOfTheSet(t *testing.T) {
	t.Parallel()
	files := []File{{Name: "a.yaml", Data: []byte("version: 1\ngroups: []\n")}}
	set, err := Compile(files, Env{})
	if err != nil {
		t.Fatal(err)
	}
	if got := HashOf(files, Env{}); got != set.Hash() {
		t.Errorf("got %s, want %s", got, set.Hash())
	}
	other := slices.Clone(files)
	other[0].Data = []byte("not: [yaml")
	if HashOf(other, Env{}) == set.Hash() {
		t.Error("other files have the same hash")
	}
}

// TestReadmeOfLint lints the snippets of the reference's section on it, which say what is found.
func TestReadmeOfLint(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(data), "\n## Lint\n")
	section, _, _ = strings.Cut(section, "\n## ")
	seen := map[string]bool{"untested": true, "unchecked_table": true, "not_looked_into": true} // which take more than a file
	for _, m := range fenced.FindAllStringSubmatch(section, -1) {
		says, _, _ := strings.Cut(m[2], "\n")
		says, ok := strings.CutPrefix(says, "# finds")
		if !ok {
			t.Errorf("it is not said what is found in\n%s", m[2])
		}
		e := env()
		if _, after, lone := strings.Cut(says, "without a program,"); lone {
			says, e.Queues, e.Destinations = after, nil, nil
		}
		set, err := Compile([]File{{Name: "README.md", Data: []byte(m[2])}}, e)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		for _, f := range set.Lint() {
			found[f.Code] = true
		}
		for code := range strings.SplitSeq(says, ",") {
			code = strings.TrimSpace(code)
			if !found[code] {
				t.Errorf("%s is not found in\n%s", code, m[2])
			}
			delete(found, code)
			seen[code] = true
		}
		if len(found) > 0 {
			t.Errorf("found %v besides in\n%s", found, m[2])
		}
	}
	for _, code := range lintCodes(t) {
		if !strings.Contains(section, "`"+code+"`") || !seen[code] {
			t.Errorf("the reference does not tell of %s, or has no example", code)
		}
	}
}

// lintCodes returns all codes of findings, as they stand in the source.
func lintCodes(t *testing.T) []string {
	t.Helper()
	out := []string{"untested", "undeclared_queue", "undeclared_destination", "incomplete_table", "unchecked_table"}
	files, err := filepath.Glob("lint*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`Code: "([a-z_]+)"[,}]`).FindAllStringSubmatch(string(data), -1) {
			out = append(out, m[1])
		}
	}
	if len(out) < 15 {
		t.Errorf("found the codes %v only", out)
	}
	return out
}
