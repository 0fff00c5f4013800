package packs_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/packs"
	"github.com/closedloop/closedloop/rules/rulestest"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// needed are values for the parameters that have no default.
var needed = map[string]map[string]any{"digest": {"destination": "team"}}

func compiled(t *testing.T, name string, params map[string]any) *rules.Set {
	t.Helper()
	pack, ok := packs.Get(name)
	if !ok {
		t.Fatalf("there is no pack %s", name)
	}
	file := pack.File()
	file.Params = map[string]any{}
	for _, given := range []map[string]any{needed[name], params} {
		for k, v := range given {
			file.Params[k] = v
		}
	}
	set, err := rules.Compile([]rules.File{file}, rules.Env{Queues: []string{"care"}, Destinations: []string{"team"}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestPacksCompileInAnyProgram(t *testing.T) {
	t.Parallel()
	doc := packageComment(t)
	var all []rules.File
	for _, name := range packs.Names() {
		set := compiled(t, name, nil)
		for _, r := range set.Rules() {
			if !strings.HasPrefix(r.ID, name) || r.Group != name {
				t.Errorf("%s: the rule %s in the group %s does not begin with the name of its pack", name, r.ID, r.Group)
			}
		}
		prefix := strings.ReplaceAll(name, "-", "_") + "_"
		for _, w := range set.Windows() {
			if !strings.HasPrefix(w.Name, prefix) {
				t.Errorf("%s: the window %s does not begin with %s", name, w.Name, prefix)
			}
		}
		pack, _ := packs.Get(name)
		if !strings.HasSuffix(pack.Description, ".") || !strings.Contains(doc, "//   - "+name+": ") {
			t.Errorf("%s is not described", name)
		}
		for _, p := range pack.Params {
			if p.Description == "" {
				t.Errorf("%s: the parameter %s is not described", name, p.Name)
			}
		}
		file := pack.File()
		file.Params = needed[name]
		all = append(all, file)
	}
	if len(all) != 7 {
		t.Errorf("found %d packs", len(all))
	}
	if _, err := rules.Compile(all, rules.Env{Queues: []string{}, Destinations: []string{"team"}}); err != nil {
		t.Errorf("they do not fit beside each other: %v", err)
	}
	for _, name := range []string{"", "closed", "closed-loop_test", "../packs/closed-loop", "closed-loop.yaml"} {
		if _, ok := packs.Get(name); ok {
			t.Errorf("found a pack %q", name)
		}
	}
}

func TestPacksWithEverythingGiven(t *testing.T) {
	t.Parallel()
	ev := &feedback.Event{Item: &feedback.Item{ID: "f_1", Survey: feedback.NPS, Score: new(1.0), Text: "no"}}
	fired := func(name string, params map[string]any) []string {
		r := compiled(t, name, params).Evaluate(ev, 0, nil)
		var out []string
		for _, x := range r.Effects {
			out = append(out, x.Key()+" "+x.Owner)
		}
		return out
	}
	got := fired("closed-loop", map[string]any{"queue": "care", "owner": "anna", "destination": "team", "sla": "24h", "priority": "high"})
	want := []string{"closed-loop-detractor|assign|care anna", "closed-loop-detractor|case| anna", "closed-loop-detractor|tag|detractor ", "closed-loop-detractor|notify|team "}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := fired("vip-escalation", map[string]any{"if_unknown": "match"}); len(got) != 3 {
		t.Errorf("got %q", got)
	}
	if got := fired("vip-escalation", nil); got != nil {
		t.Errorf("got %q", got)
	}
}

func packageComment(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("packs.go")
	if err != nil {
		t.Fatal(err)
	}
	doc, _, _ := strings.Cut(string(data), "\npackage ")
	return doc
}

// TestPacks runs the tests of all packs, each with its defaults.
func TestPacks(t *testing.T) {
	t.Parallel()
	for _, name := range packs.Names() {
		pack, _ := packs.Get(name)
		file, err := rulestest.Load(name+"_test.yaml", pack.Tests())
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		report := rulestest.Run(compiled(t, name, nil), []*rulestest.File{file})
		if !report.OK() {
			var b strings.Builder
			report.Render(&b)
			t.Errorf("%s\n%s", name, b.String())
		}
	}
}
