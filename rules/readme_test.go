package rules

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/sdk/feedback"
)

var fenced = regexp.MustCompile("(?s)```(yaml|expr)\n(.*?)```")

// TestReadme compiles every snippet of the reference, and writes its table of fields with -update.
func TestReadme(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	macros := "macros: {vip: customer.tier in lists.vip_tiers, detractor: score <= 6}\nlists: {vip_tiers: [gold]}\n"
	snippets := 0
	var used strings.Builder
	for _, m := range fenced.FindAllStringSubmatch(text, -1) {
		files := []string{m[2]}
		if m[1] == "expr" {
			files = nil
			for line := range strings.Lines(m[2]) {
				files = append(files, one(strings.TrimSpace(line), "{tag: x}")+macros)
			}
		}
		for _, f := range files {
			snippets++
			used.WriteString(f)
			if _, err := Compile([]File{{Name: "README.md", Data: []byte(f)}}, env()); err != nil {
				t.Errorf("%v\nin\n%s", err, f)
			}
		}
	}
	if snippets < 20 {
		t.Errorf("found %d snippets only", snippets)
	}
	for _, word := range append(lang.Functions(), actionNames...) {
		if !strings.Contains(text, "`"+word) || !strings.Contains(used.String(), word) {
			t.Errorf("the reference does not tell of %s, or has no example of it", word)
		}
	}
	golden(t, "README.md", withFields(text))
}

// withFields returns the text with the table of fields as it is.
func withFields(text string) string {
	const begin, end = "<!-- fields -->\n", "<!-- end of fields -->"
	before, rest, _ := strings.Cut(text, begin)
	_, after, _ := strings.Cut(rest, end)
	var b strings.Builder
	b.WriteString("| field | type | |\n|---|---|---|\n")
	for _, f := range feedback.Fields() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Name, f.Kind, f.Doc)
	}
	b.WriteString("| `attributes.NAME` | as declared | an item's own field, declared in the program under `attributes: {item: {NAME: number}}` |\n")
	b.WriteString("| `customer.attributes.NAME` | as declared | a customer's own field, declared under `attributes: {customer: {NAME: bool}}` |\n")
	return before + begin + b.String() + end + after
}
