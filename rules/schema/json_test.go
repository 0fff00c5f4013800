package schema_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/rules/packs"
	"github.com/closedloop/closedloop/rules/schema"
	"github.com/closedloop/closedloop/rules/source"
)

// checker checks values by a JSON Schema, as far as the schemas of this package use it.
type checker struct {
	t    *testing.T
	root map[string]any
}

func newChecker(t *testing.T, f schema.File) *checker {
	t.Helper()
	data, err := json.Marshal(f.JSON())
	if err != nil {
		t.Fatal(err)
	}
	c := &checker{t: t}
	if err := json.Unmarshal(data, &c.root); err != nil {
		t.Fatal(err)
	}
	if c.root["$schema"] != schema.Dialect {
		t.Errorf("the schema is of %v", c.root["$schema"])
	}
	return c
}

// file returns what is wrong with a YAML file.
func (c *checker) file(name string, data []byte) string {
	c.t.Helper()
	root, problems := source.Parse(name, data)
	if root == nil {
		c.t.Fatal(problems)
	}
	data, err := json.Marshal(root.Any())
	if err != nil {
		c.t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		c.t.Fatal(err)
	}
	return c.check(c.root, v, "")
}

func (c *checker) check(s map[string]any, v any, at string) string {
	for _, word := range slices.Sorted(keysOf(s)) {
		if wrong := c.word(s, word, v, at); wrong != "" {
			return wrong
		}
	}
	return ""
}

func keysOf(m map[string]any) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func (c *checker) word(s map[string]any, word string, v any, at string) string {
	object, isObject := v.(map[string]any)
	text, isText := v.(string)
	switch rule := s[word]; word {
	case "$ref":
		def := c.root["$defs"].(map[string]any)[strings.TrimPrefix(rule.(string), "#/$defs/")]
		return c.check(def.(map[string]any), v, at)
	case "type":
		types, ok := rule.([]any)
		if !ok {
			types = []any{rule}
		}
		if !slices.ContainsFunc(types, func(t any) bool { return hasType(v, t.(string)) }) {
			return fmt.Sprintf("%s: %v is no %v", at, v, rule)
		}
	case "enum":
		if !slices.ContainsFunc(rule.([]any), func(e any) bool { return reflect.DeepEqual(e, v) }) {
			return fmt.Sprintf("%s: %v is none of %v", at, v, rule)
		}
	case "pattern":
		if isText && !regexp.MustCompile(rule.(string)).MatchString(text) {
			return fmt.Sprintf("%s: %v does not match %v", at, v, rule)
		}
	case "properties":
		for name, p := range rule.(map[string]any) {
			if e, ok := object[name]; ok {
				if wrong := c.check(p.(map[string]any), e, at+"."+name); wrong != "" {
					return wrong
				}
			}
		}
	case "additionalProperties":
		properties, _ := s["properties"].(map[string]any)
		for name, e := range object {
			more, isSchema := rule.(map[string]any)
			if _, known := properties[name]; known || rule == true {
				continue
			}
			if !isSchema {
				return fmt.Sprintf("%s: unknown key %s", at, name)
			}
			if wrong := c.check(more, e, at+"."+name); wrong != "" {
				return wrong
			}
		}
	case "required":
		for _, name := range rule.([]any) {
			if _, ok := object[name.(string)]; isObject && !ok {
				return fmt.Sprintf("%s: missing key %s", at, name)
			}
		}
	case "items":
		list, _ := v.([]any)
		for i, e := range list {
			if wrong := c.check(rule.(map[string]any), e, fmt.Sprintf("%s[%d]", at, i)); wrong != "" {
				return wrong
			}
		}
	case "anyOf":
		wrong := ""
		for i, one := range rule.([]any) {
			found := c.check(one.(map[string]any), v, at)
			if found == "" {
				return ""
			}
			if i == 0 {
				wrong = found
			}
		}
		return wrong
	case "if":
		branch := "then"
		if c.check(rule.(map[string]any), v, at) != "" {
			branch = "else"
		}
		return c.check(s[branch].(map[string]any), v, at)
	case "minProperties", "maxProperties":
		if float64(len(object)) != rule.(float64) {
			return fmt.Sprintf("%s: %d keys", at, len(object))
		}
	case "$schema", "$defs", "title", "description", "then", "else":
	default:
		c.t.Fatalf("the checker does not know %s", word)
	}
	return ""
}

func hasType(v any, name string) bool {
	switch v := v.(type) {
	case nil:
		return name == "null"
	case bool:
		return name == "boolean"
	case string:
		return name == "string"
	case float64:
		return name == "number" || name == "integer" && v == math.Trunc(v)
	case []any:
		return name == "array"
	}
	return name == "object"
}

func TestJSONSchemaTakesWhatTheCompilerTakes(t *testing.T) {
	t.Parallel()
	rules, tests := newChecker(t, schema.Rules()), newChecker(t, schema.Tests())
	seen := 0
	for _, name := range packs.Names() {
		pack, _ := packs.Get(name)
		if wrong := rules.file(name, pack.File().Data); wrong != "" {
			t.Errorf("%s: %s", name, wrong)
		}
		if wrong := tests.file(name, pack.Tests()); wrong != "" {
			t.Errorf("tests of %s: %s", name, wrong)
		}
	}
	data, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)```yaml( test)?\n(.*?)```").FindAllStringSubmatch(string(data), -1) {
		c := rules
		if m[1] != "" {
			c = tests
		}
		if wrong := c.file("README.md", []byte(m[2])); wrong != "" {
			t.Errorf("%s\nin\n%s", wrong, m[2])
		}
		seen++
	}
	examples, err := filepath.Glob("../../examples/*/rules/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range examples {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c := rules
		if strings.HasSuffix(file, "_test.yaml") {
			c = tests
		}
		if wrong := c.file(file, data); wrong != "" {
			t.Errorf("%s: %s", file, wrong)
		}
		seen++
	}
	if seen < 12 {
		t.Errorf("looked at %d files", seen)
	}
}

func TestJSONSchemaRefuses(t *testing.T) {
	t.Parallel()
	rules, tests := newChecker(t, schema.Rules()), newChecker(t, schema.Tests())
	const rule = "version: 1\ngroups: [{name: g, rules: [{id: r, when: true, %s}]}]\n"
	for text, want := range map[string]string{
		"groups: []\n":                                                          ": missing key version",
		"version: 1\nrules: []\n":                                               ": unknown key rules",
		"version: 1\nlists: [a]\n":                                              ".lists: [a] is no object",
		fmt.Sprintf(rule, "mode: on"):                                           ".groups[0].rules[0]: missing key do",
		fmt.Sprintf(rule, "do: [{tag: x}], for: 1h"):                            ".groups[0].rules[0]: unknown key for",
		fmt.Sprintf(rule, "alert: {}, do: [{tag: x}]"):                          ".groups[0].rules[0]: unknown key do",
		fmt.Sprintf(rule, "do: [{tag: x, case: {}}]"):                           ".groups[0].rules[0].do[0]: 2 keys",
		fmt.Sprintf(rule, "do: [{case: {sla: soon}}]"):                          ".groups[0].rules[0].do[0].case.sla: soon does not match",
		fmt.Sprintf(rule, "do: [{assign: {priority: highest}}]"):                ".groups[0].rules[0].do[0].assign.priority: highest",
		fmt.Sprintf(rule, "do: [{notify: {message: x}}]"):                       ".groups[0].rules[0].do[0].notify: missing key",
		fmt.Sprintf(rule, "do: [{case: {sla: '${sla}', priority: '${high}'}}]"): "",
	} {
		if got := rules.file("a.yaml", []byte(text)); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"version: 1\ntests: [{name: a}]\n":                                        ".tests[0]: missing key",
		"version: 1\ntests: [{name: a, event: {scor: 1}, expect: {}}]\n":          ".tests[0].event: unknown key scor",
		"version: 1\ntests: [{name: a, expect: {alerts: {r: burning}, g: {}}}]\n": ".tests[0].expect.alerts.r: burning",
	} {
		if got := tests.file("a_test.yaml", []byte(text)); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	f := schema.Window()
	var metrics []string
	for _, w := range schema.Metrics() {
		metrics = append(metrics, w.Name)
	}
	if !slices.Equal(metrics, f.Keys[0].Type.Options) {
		t.Errorf("the metrics are %v", metrics)
	}
	c := schema.Complete(env())
	for _, w := range c.Operators {
		if problems := compileCondition(w.Usage); problems != nil && problems.Error() != "" && !strings.Contains(problems.Error(), "expected a condition") &&
			!strings.Contains(w.Usage, "a ") && !strings.HasSuffix(w.Usage, " a") {
			t.Errorf("%s: %v", w.Usage, problems)
		}
	}
	for _, list := range [][]schema.Word{c.Fields, c.Functions, c.Operators, c.Actions, c.Metrics, c.Figures} {
		if len(list) < 4 {
			t.Errorf("got %v", list)
		}
		for _, w := range list {
			if w.Name == "" || w.Doc == "" && !strings.Contains(w.Name, "attributes.") {
				t.Errorf("got %+v", w)
			}
		}
	}
	if !slices.ContainsFunc(c.Fields, func(w schema.Word) bool { return w.Name == "customer.attributes.newsletter" && w.Type == "bool" }) {
		t.Error("attributes are missing")
	}
}
