package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/engine/docs"
	"github.com/closedloop/closedloop/rules/schema"
	"github.com/closedloop/closedloop/rules/source"
)

// TestProgramSchemaHasEveryKey holds that the schema of program.yaml has every row of its page, and the keys of the
// examples.
func TestProgramSchemaHasEveryKey(t *testing.T) {
	t.Parallel()
	f := programSchema()
	rows := 0
	for _, row := range keyRow.FindAllStringSubmatch(docs.Program(), -1) {
		path := strings.ReplaceAll(row[1], "PLUGIN.", "categorizers.ID.")
		if find(&f.Root, strings.Split(path, ".")) == nil {
			t.Errorf("the schema lacks %s", path)
		}
		rows++
	}
	if rows < 50 {
		t.Errorf("the page has %d rows", rows)
	}
	examples, err := filepath.Glob("../../../examples/*/program.yaml")
	if err != nil || len(examples) == 0 {
		t.Fatal("no examples", err)
	}
	for _, file := range examples {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		root, problems := source.Parse(file, data)
		if root == nil {
			t.Fatal(problems)
		}
		check(t, file, &f.Root, root)
	}
}

func find(t *schema.Type, path []string) *schema.Type {
	for _, name := range path {
		if t.Kind == schema.Map {
			t = t.Elem
			continue
		}
		i := slices.IndexFunc(t.Keys, func(k schema.Key) bool { return k.Name == name })
		if i < 0 {
			return nil
		}
		t = &t.Keys[i].Type
	}
	return t
}

// check looks for keys of a file that a type does not have, and for what a type needs.
func check(t *testing.T, path string, of *schema.Type, n *source.Node) {
	t.Helper()
	switch {
	case of.Kind == schema.Choice && !slices.Contains(of.Options, n.String()):
		t.Errorf("%s: %s is none of %v", path, n.Found(), of.Options)
	case of.Kind == schema.Map:
		for _, e := range n.Entries() {
			check(t, path+"."+e.Name, of.Elem, e.Value)
		}
	case of.Kind == schema.Object && n.IsMap():
		for _, e := range n.Entries() {
			if k := find(of, []string{e.Name}); k != nil {
				check(t, path+"."+e.Name, k, e.Value)
			} else {
				t.Errorf("the schema lacks %s.%s", path, e.Name)
			}
		}
		for _, k := range of.Keys {
			if k.Required && n.Get(k.Name) == nil {
				t.Errorf("%s: the schema needs %s", path, k.Name)
			}
		}
	}
}
