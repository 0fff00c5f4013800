package house

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"testing"
)

// Words of unfinished work. They are put together here so that this file does not hold them.
var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)

// What stands beside a checkout is nothing that a user has. Tests may look for it.
var beside = regexp.MustCompile(`\.\.` + `/shared`)

// checkWords finds words that must not stand in any source.
func checkWords(s *source) []finding {
	if s.generated {
		return nil
	}
	var found []finding
	for i, line := range bytes.Split(s.text, []byte("\n")) {
		if w := unfinished.Find(line); w != nil {
			found = append(found, finding{s.path, i + 1, fmt.Sprintf("the word %s marks unfinished work", w)})
		}
		if s.product() && beside.Match(line) {
			found = append(found, finding{s.path, i + 1, "names a folder that a user does not have"})
		}
	}
	return found
}

// topLevel are the names at the top of the module, and the patterns of .gitignore that a working copy may hold.
var topLevel = []string{
	"engine", "plugins", "sdk", "rules", "examples", "testdata", "go.mod", "go.sum", "README.md", "LICENSE",
	".ci", ".github", ".golangci.yml", ".gitignore", ".gitattributes", ".bench", ".git",
	".closedloop", "closedloop", "*.test", "*.out", "*.prof",
}

func checkTopLevel(names []string) []finding {
	var found []finding
	for _, n := range names {
		if !slices.ContainsFunc(topLevel, func(pattern string) bool { ok, _ := path.Match(pattern, n); return ok }) {
			found = append(found, finding{n, 1, "is outside of the agreed layout"})
		}
	}
	return found
}

func TestWords(t *testing.T) {
	t.Parallel()
	report(t, every(load(t), checkWords))
}

func TestTopLevel(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	report(t, checkTopLevel(names))
	for _, must := range []string{"LICENSE", "README.md", "go.mod", "go.sum"} {
		if !slices.Contains(names, must) {
			t.Errorf("%s is missing", must)
		}
	}
}
