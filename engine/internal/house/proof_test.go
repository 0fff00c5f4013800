package house

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// named are the words of a page that name a package, and those that name a test, fuzz target or benchmark.
var named = regexp.MustCompile("`([a-z]\\w*(?:/\\w+)*)`|\\b((?:Test|Fuzz|Benchmark)[A-Z]\\w+)")

// TestProofNamesTestsThatExist looks for everything that PROOF.md and GUARANTEES.md name as proof: in the package that is
// named before it in the same line, if there is one.
func TestProofNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "..")
	there := testsOf(t, root)
	for doc, least := range map[string]int{"PROOF.md": 50, "GUARANTEES.md": 20} {
		text, err := os.ReadFile(filepath.Join(root, "engine", "docs", doc))
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for i, line := range strings.Split(string(text), "\n") {
			in := ""
			for _, m := range named.FindAllStringSubmatch(line, -1) {
				if m[1] != "" {
					in = m[1]
					continue
				}
				found++
				if !slices.ContainsFunc(there[m[2]], func(dir string) bool { return strings.HasSuffix("/"+dir, "/"+in) || in == "" }) {
					t.Errorf("engine/docs/%s:%d names %s of %q, expected one of %q", doc, i+1, m[2], in, there[m[2]])
				}
			}
		}
		if found < least {
			t.Errorf("%s names %d: the test shows nothing", doc, found)
		}
	}
}

// testsOf returns the folders in which tests, fuzz targets and benchmarks are declared, by their names.
func testsOf(t *testing.T, root string) map[string][]string {
	t.Helper()
	there := map[string][]string{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		for _, m := range declared.FindAllSubmatch(source, -1) {
			there[string(m[1])] = append(there[string(m[1])], filepath.ToSlash(dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return there
}
