package schema_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/schema"
)

var update = flag.Bool("update", false, "rewrite the tables of the reference")

// TestReferenceHasAllTables holds that the tables of rules/README.md say what the descriptions do; -update writes them.
func TestReferenceHasAllTables(t *testing.T) {
	t.Parallel()
	const file = "../README.md"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for name, rows := range tables() {
		begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->"
		before, rest, ok := strings.Cut(text, begin)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Errorf("the reference has no place for the table of %s", name)
			continue
		}
		head := heads[name]
		if head == "" {
			head = "key | meaning"
		}
		columns := strings.Repeat("---|", 1+strings.Count(head, "|"))
		text = before + begin + "| " + head + " |\n|" + columns + "\n" + rows + end + after
	}
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if text != string(data) {
		t.Error("rules/README.md differs from the descriptions; run with -update and look at the difference")
	}
}

// heads are the heads of tables that are not of keys.
var heads = map[string]string{
	"functions": "function | meaning", "operators": "operator | on | meaning", "actions": "action | meaning",
	"metrics": "metric | meaning", "figures": "figure | meaning",
}

func tables() map[string]string {
	f := schema.Rules()
	condition := schema.Condition()
	c := schema.Complete(rules.Env{})
	out := map[string]string{
		"file": keys(f.Root), "group": keys(schema.Group()), "rule": keys(schema.Rule()), "throttle": keys(schema.Throttle()),
		"pool": keys(schema.Pool()), "calendar": keys(schema.Calendar()), "table": keys(schema.Table()), "window": keys(schema.Window()),
		"condition": keys(condition), "params": keys(schema.Param()), "escalation": keys(schema.Escalation()),
		"functions": words(c.Functions), "metrics": words(c.Metrics), "figures": words(c.Figures), "actions": words(c.Actions),
	}
	for _, k := range condition.Keys {
		if k.Name == "alert" {
			out["telling"] = keys(k.Type)
		}
	}
	var operators, actions strings.Builder
	for _, w := range c.Operators {
		name := w.Name
		if w.Usage != name {
			name = w.Usage
		}
		fmt.Fprintf(&operators, "| `%s` | %s | %s |\n", strings.ReplaceAll(name, "|", `\|`), w.Type, strings.ReplaceAll(w.Doc, "|", `\|`))
	}
	for _, a := range c.Actions {
		if a.Name == "route" {
			continue
		}
		for _, k := range a.Keys {
			fmt.Fprintf(&actions, "| `%s`: `%s` | %s |\n", a.Name, k.Name, k.Doc)
		}
	}
	out["operators"], out["action keys"] = operators.String(), actions.String()
	return out
}

func keys(t schema.Type) string {
	var b strings.Builder
	for _, k := range t.Keys {
		needed := ""
		if k.Required {
			needed = " (required)"
		}
		fmt.Fprintf(&b, "| `%s` | %s%s |\n", k.Name, k.Doc, needed)
	}
	return b.String()
}

func words(list []schema.Word) string {
	var b strings.Builder
	for _, w := range list {
		name := w.Usage
		if name == "" {
			name = w.Name
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, w.Doc)
	}
	return b.String()
}
