package house

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestProofNamesTestsThatExist reads PROOF.md and looks for every test, fuzz target and benchmark that it names.
func TestProofNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "..")
	proof, err := os.ReadFile(filepath.Join(root, "engine", "docs", "PROOF.md"))
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	err = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(source, -1) {
			there[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w+`).FindAllString(string(proof), -1)
	if len(named) < 50 {
		t.Errorf("found %d names: the test shows nothing", len(named))
	}
	for _, name := range named {
		if !there[name] {
			t.Errorf("engine/docs/PROOF.md names %s, which no test file declares", name)
		}
	}
}
