package house

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// module is the path of the Go module.
const module = "github.com/closedloop/closedloop"

// root is where this package finds the module.
const root = "../../.."

// finding is one place that breaks a rule.
type finding struct {
	file string
	line int
	text string
}

func (f finding) String() string { return fmt.Sprintf("%s:%d: %s", f.file, f.line, f.text) }

// source is one file of the module.
type source struct {
	path string // from the root, with slashes
	text []byte

	// Of Go files outside of testdata:
	fset      *token.FileSet
	file      *ast.File
	generated bool
}

func (s *source) dir() string  { return path.Dir(s.path) }
func (s *source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// product says whether the file is ours to write and runs outside of tests.
func (s *source) product() bool { return s.file != nil && !s.generated && !s.isTest() }

func (s *source) at(p token.Pos, format string, args ...any) finding {
	return finding{s.path, s.fset.Position(p).Line, fmt.Sprintf(format, args...)}
}

// parse makes a source of a path and its text.
func parse(name string, text []byte) (*source, error) {
	s := &source{path: name, text: text}
	if path.Ext(name) != ".go" || strings.Contains("/"+name, "/testdata/") {
		return s, nil
	}
	s.fset = token.NewFileSet()
	f, err := parser.ParseFile(s.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	s.file, s.generated = f, ast.IsGenerated(f)
	return s, nil
}

// textual are the extensions of the files that people write.
var textual = []string{".go", ".md", ".yaml", ".yml", ".proto", ".sh", ".txtar", ".mod", ""}

// load reads the module's sources. State directories and what git keeps are no sources.
func load(t *testing.T) []*source {
	t.Helper()
	var all []*source
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if base := d.Name(); base == ".git" || base == ".closedloop" || base == ".bench" {
				return fs.SkipDir
			}
			return nil
		}
		if !slices.Contains(textual, path.Ext(rel)) || !d.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) { // another test's temporary file
			return nil
		}
		if err != nil {
			return err
		}
		s, err := parse(rel, text)
		if err != nil {
			return err
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("only %d files found below %s", len(all), root)
	}
	return all
}

// report fails the test with each finding.
func report(t *testing.T, found []finding) {
	t.Helper()
	for _, f := range found {
		t.Error(f)
	}
}

// every applies a rule to each source.
func every(all []*source, rule func(*source) []finding) []finding {
	var found []finding
	for _, s := range all {
		found = append(found, rule(s)...)
	}
	return found
}
