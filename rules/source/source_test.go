package source

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// read reads one file with every typed method that a program file needs.
func read(root *Node) {
	root.Object("version", "name", "timezone", "every", "score", "on", "tags", "sources", "mode")
	root.Need("version").Int()
	_ = root.Need("name").String()
	_ = root.Get("timezone").String()
	root.Get("every").Duration()
	root.Get("score").Number()
	root.Get("on").Bool()
	root.Get("tags").Strings()
	root.Get("mode").OneOf("shadow", "live")
	for _, e := range root.Get("sources").Entries() {
		e.Value.Object("plugin", "settings")
		_ = e.Value.Need("plugin").String()
	}
}

func problemsOf(name string, data []byte) Problems {
	root, problems := Parse(name, data)
	if root == nil {
		return problems
	}
	read(root)
	return root.Problems()
}

func TestRenderGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		problems := problemsOf(filepath.Base(file), data)
		var b bytes.Buffer
		if err := problems.Render(&b); err != nil {
			t.Fatal(err)
		}
		golden := strings.TrimSuffix(file, ".yaml") + ".txt"
		if *update {
			if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if b.String() != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", file, &b, want)
		}
	}
}

func TestTypedReading(t *testing.T) {
	t.Parallel()
	root, problems := Parse("x.yaml", []byte("\ufeffversion: 1\nname: retail\nevery: 7d\nscore: 1e2\non: true\nmode: live\n"+
		"tags: [a, b]\nsources:\n  s: {plugin: p, settings: {n: 3, f: 0.5, b: false, l: [x, null], d: 2026-01-02, big: 9223372036854775808}}\n"))
	if problems != nil {
		t.Fatal(problems)
	}
	read(root)
	if p := root.Problems(); p.Err() != nil {
		t.Fatal(p)
	}
	if got := root.Get("every").Duration(); got != 7*24*time.Hour {
		t.Error(got)
	}
	if got := root.Get("score").Number(); got != 100 {
		t.Error(got)
	}
	got := root.At("sources.s.settings").Any()
	want := map[string]any{"n": 3, "f": 0.5, "b": false, "l": []any{"x", nil}, "d": "2026-01-02", "big": 9223372036854775808.0}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, want %#v", got, want)
	}
	if !reflect.DeepEqual(root.Keys(), []string{"version", "name", "every", "score", "on", "mode", "tags", "sources"}) {
		t.Error(root.Keys())
	}
}

func TestNilNodeIsAbsent(t *testing.T) {
	t.Parallel()
	var n *Node
	if n.Object("a") || n.Get("x") != nil || n.Need("x") != nil || n.List() != nil || n.Entries() != nil || n.String() != "" ||
		n.Int() != 0 || n.Number() != 0 || n.Bool() || n.Duration() != 0 || n.Any() != nil || n.At("x") != nil || n.Key() != nil ||
		n.OneOf("a") != "" || n.Strings() != nil || n.Pos() != (Pos{}) || n.Problems() != nil || n.IsMap() || n.IsList() || n.IsNull() {
		t.Error("a nil node is not absent")
	}
	n.Problem("x", "x")
	n.ProblemAt(3, "x", "", "x")
}

func TestEmptyFile(t *testing.T) {
	t.Parallel()
	for _, data := range []string{"", "\n", "# nothing\n", "---\n"} {
		root, problems := Parse("x.yaml", []byte(data))
		if problems != nil {
			t.Fatalf("%q: %v", data, problems)
		}
		root.Object("name")
		if got := root.Problems().Error(); got != "x.yaml:1:1: found nothing, expected a map with name" && data != "---\n" {
			t.Errorf("%q: %s", data, got)
		}
	}
}

func TestAt(t *testing.T) {
	t.Parallel()
	root, _ := Parse("x.yaml", []byte("columns:\n  score: 1\n  a.b: 2\nphrases:\n  - x\n  - {y: z}\n"))
	for path, want := range map[string]string{
		"": "x.yaml:1:1", "columns": "x.yaml:2:3", "columns.score": "x.yaml:2:10", "columns.a.b": "x.yaml:3:8", "columns.none": "x.yaml:2:3",
		"phrases[1].y": "x.yaml:6:9", "phrases[0]": "x.yaml:5:5", "phrases[9]": "x.yaml:5:3", "phrases[x": "x.yaml:5:3", "none": "x.yaml:1:1",
	} {
		if got := root.At(path).Pos().String(); got != want {
			t.Errorf("%q: got %s, want %s", path, got, want)
		}
	}
	if got := root.At("columns.score").Key().Pos().String(); got != "x.yaml:2:3" {
		t.Error(got)
	}
}

// Every way of writing text: the mark ^ is looked for in the text and must be found where it stands in the file.
func TestOffset(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		"a: plain ^text",
		"a: plain\n  folded ^text",
		"a: plain\n\n\n  folded ^text",
		"a: ^",
		"a: '^single'",
		"a: 'it''s ^single'",
		"a: 'it''s\n   folded ^single'",
		`a: "double ^text"`,
		`a: "two\nlines ^here"`,
		`a: "esc \"\\ \u00e4 \x41 \t ^here"`,
		"a: \"folded\n   away ^here\"",
		"a: \"joined\\\n   ^here\"",
		"a: |\n  literal ^text",
		"a: |\n  literal\n    deeper\n\n  again ^text\n",
		"a: |2-\n    indented ^text",
		"a: | # a remark\n  literal ^text",
		"a: >\n  folded\n  ^text",
		"a: >-\n  folded\n\n    deeper ^text\n",
		"a: ünïcode ^text",
		"a: |\n  ünïcode\n  ünï ^text",
		"a: &x 'anchored ^text'",
		"a: !!str 'tagged ^text'",
		"a: |\r\n  literal\r\n  crlf ^text\r\n",
		`a: "cr \r lf ^here"`,
		"- {a: [x, \"flow ^text\"]}",
		"a:\n  - |\n    list ^text\n",
	} {
		root, problems := Parse("x.yaml", []byte(data))
		if problems != nil {
			t.Fatalf("%q: %v", data, problems)
		}
		n := scalarWith(root, "^")
		got := n.Offset(strings.Index(n.String(), "^"))
		before, _, _ := strings.Cut(data, "^")
		line := strings.Count(before, "\n") + 1
		column := len([]rune(before[strings.LastIndex(before, "\n")+1:])) + 1
		if want := (Pos{"x.yaml", line, column}); got != want {
			t.Errorf("%q: got %v, want %v", data, got, want)
		}
	}
}

func scalarWith(n *Node, text string) *Node {
	if n.IsScalar() && strings.Contains(n.y.Value, text) {
		return n
	}
	for _, e := range n.entries {
		if found := scalarWith(e.Value, text); found != nil {
			return found
		}
	}
	for _, e := range n.list {
		if found := scalarWith(e, text); found != nil {
			return found
		}
	}
	return nil
}

func TestLimits(t *testing.T) {
	t.Parallel()
	laughs := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 10; i++ {
		ref := strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10)
		laughs += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, ref[:len(ref)-2])
	}
	for name, c := range map[string]struct{ data, code string }{
		"size":             {strings.Repeat("x", MaxBytes+1), "too_large"},
		"flow depth":       {strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "too_deep"},
		"block depth":      {strings.Repeat("- ", 5000) + "x", "too_deep"},
		"flow depth max":   {strings.Repeat("[", 1<<20), "yaml"},
		"billion laughs":   {laughs, "too_large"},
		"own alias":        {"a: &a [*a]", "yaml_alias"},
		"own alias in map": {"a: &a {b: {c: *a}}", "yaml_alias"},
		"merge":            {"a: &a {b: 1}\nc:\n  <<: *a\n", "yaml_merge"},
		"key":              {"[1]: 2", "yaml_key"},
		"documents":        {"a: 1\n---\nb: 2\n", "yaml_documents"},
		"binary":           {"a: \x00\xff", "not_utf8"},
		"unknown alias":    {"a: *b", "yaml"},
	} {
		root, problems := Parse("x.yaml", []byte(c.data))
		if root != nil || len(problems) != 1 || problems[0].Code != c.code {
			t.Errorf("%s: got %.300v, want code %s", name, problems, c.code)
		}
	}
}

func TestTooManyProblems(t *testing.T) {
	t.Parallel()
	root, _ := Parse("x.yaml", []byte(strings.Repeat("- 1\n", 2000)))
	root.Strings()
	if got := len(root.Problems()); got != maxProblems+1 {
		t.Error(got)
	}
}

func TestAliasesAreExpanded(t *testing.T) {
	t.Parallel()
	root, problems := Parse("x.yaml", []byte("a: &a {b: 1}\nc: *a\n*x : 1\n"))
	if problems == nil || root != nil {
		t.Error("an unknown alias as a key passed")
	}
	root, _ = Parse("x.yaml", []byte("a: &a {b: 1}\nc: *a\n"))
	if got := root.At("c.b").Int(); got != 1 {
		t.Error(got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"a: 1", "a: |\n  x y\n", "a: 'x''y'", `a: "\u00e4 \n x"`, "- >\n  a\n   b\n", "{a: [b, *c]}", "? [x]\n: y", "a: &a [*a]", "a: !x y", "---\n---"} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, data []byte, offset int) {
		root, problems := Parse("f.yaml", data)
		if (root == nil) == (problems == nil) {
			t.Fatal("neither a node nor a problem, or both")
		}
		if root != nil {
			read(root)
			visit(t, root, offset)
			problems = root.Problems()
		}
		if err := problems.Render(&bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
		lines := len(splitLines(string(data)))
		for _, p := range problems {
			if p.Line < 0 || p.Line > lines || p.Column < 0 {
				t.Fatalf("%v lies outside of the file", p)
			}
		}
	})
}

func visit(t *testing.T, n *Node, offset int) {
	_ = n.String()
	n.Any()
	n.Strings()
	if p := n.Offset(offset); p.Line < 1 || p.Column < 1 {
		t.Fatalf("offset %d at %v", offset, p)
	}
	for _, e := range n.entries {
		visit(t, e.Value, offset)
	}
	for _, e := range n.list {
		visit(t, e, offset)
	}
}
