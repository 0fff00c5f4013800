package schema_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/rulestest"
	"github.com/closedloop/closedloop/rules/schema"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// odd is a key and a value that nothing knows.
const odd = "zz-zz-zz"

// probe is a value of a description: how a file must look to reach it.
type probe struct {
	path string
	t    *schema.Type
	file func(value any) any // the file with a value there
}

// probes returns every value that a description holds, and those of a Type with a name once.
func probes(f *schema.File) []probe {
	var out []probe
	named := map[string]bool{}
	var walk func(path string, t *schema.Type, file func(any) any)
	walk = func(path string, t *schema.Type, file func(any) any) {
		if t.Name != "" && named[t.Name] {
			return
		}
		named[t.Name] = true
		out = append(out, probe{path, t, file})
		switch t.Kind {
		case schema.List:
			walk(path+"[]", t.Elem, func(v any) any { return file([]any{v}) })
		case schema.Map:
			walk(path+".NAME", t.Elem, func(v any) any { return file(map[string]any{"name": v}) })
		case schema.Either:
			for i := range t.Types {
				walk(path, &t.Types[i], file)
			}
		case schema.Switch:
			for i := range t.Types {
				walk(path, &t.Types[i], file)
			}
		case schema.Object:
			for i := range t.Keys {
				k := &t.Keys[i]
				walk(path+"."+k.Name, &k.Type, func(v any) any {
					m := required(t)
					m[k.Name] = v
					return file(m)
				})
			}
		}
	}
	walk("", &f.Root, func(v any) any { return v })
	return out
}

// required returns an object with what it must have.
func required(t *schema.Type) map[string]any {
	m := map[string]any{}
	for i := range t.Keys {
		if k := &t.Keys[i]; k.Required {
			m[k.Name] = example(&k.Type)
		}
	}
	if len(t.Needs) > 0 {
		m[t.Needs[0]] = "score"
	}
	return m
}

func example(t *schema.Type) any {
	switch t.Kind {
	case schema.Number, schema.Whole, schema.Anything:
		return 1
	case schema.Truth:
		return true
	case schema.Duration:
		return "1h"
	case schema.Choice:
		return t.Options[0]
	case schema.List:
		return []any{}
	case schema.Map:
		return map[string]any{}
	case schema.Object:
		return required(t)
	case schema.Either, schema.Switch:
		return example(&t.Types[0])
	}
	return "score"
}

var (
	unknownKey = regexp.MustCompile(`^unknown key "` + odd + `", expected (?:a group of rules or )?(?:one of )?(.*)$`)
	wrongValue = regexp.MustCompile(`^found the string "` + odd + `", expected (?:one of )?(.*)$`)
)

// held compares a description with a reader, which reads a file and returns what is wrong with it.
func held(t *testing.T, f schema.File, read func(name string, data []byte) error) {
	t.Helper()
	problems := func(file any) source.Problems {
		data, err := json.Marshal(file) // which is YAML too
		if err != nil {
			t.Fatal(err)
		}
		var out source.Problems
		if err := read("probe.yaml", data); err != nil && !errors.As(err, &out) {
			t.Fatal(err)
		}
		return out
	}
	expected := func(file any, pattern *regexp.Regexp) []string {
		for _, p := range problems(file) {
			if m := pattern.FindStringSubmatch(p.Message); m != nil {
				return slices.Sorted(slices.Values(strings.Split(m[1], ", ")))
			}
		}
		return nil
	}
	for _, p := range probes(&f) {
		switch {
		case p.t.Kind == schema.Object:
			m := required(p.t)
			m[odd] = map[string]any{}
			var known []string
			for _, k := range p.t.Keys {
				known = append(known, k.Name)
			}
			slices.Sort(known)
			if got := expected(p.file(m), unknownKey); !slices.Equal(got, known) {
				t.Errorf("%s: the reader knows the keys\n%v\nand the schema\n%v", p.path, got, known)
			}
			for _, k := range p.t.Keys {
				without := required(p.t)
				delete(without, k.Name)
				missing := slices.ContainsFunc(problems(p.file(without)), func(p source.Problem) bool { return p.Message == fmt.Sprintf("missing key %q", k.Name) })
				if missing != k.Required && !slices.Contains(p.t.Needs, k.Name) && !isSwitch(&f, p.t, k.Name) {
					t.Errorf("%s.%s: the reader needs it: %t, the schema: %t", p.path, k.Name, missing, k.Required)
				}
			}
		case p.t.Kind == schema.Choice:
			want := slices.Sorted(slices.Values(p.t.Options))
			if got := expected(p.file(odd), wrongValue); !slices.Equal(got, want) {
				t.Errorf("%s: the reader knows the values %v, the schema %v", p.path, got, want)
			}
		}
	}
}

// isSwitch reports whether a key chooses among two kinds of objects, so that an object without it is of the other.
func isSwitch(f *schema.File, t *schema.Type, key string) bool {
	return slices.ContainsFunc(probes(f), func(p probe) bool { return p.t.Kind == schema.Switch && p.t.Key == key && &p.t.Types[1] == t })
}

func TestSchemaOfRulesIsWhatTheCompilerReads(t *testing.T) {
	t.Parallel()
	held(t, schema.Rules(), func(name string, data []byte) error {
		_, err := rules.Compile([]rules.File{{Name: name, Data: data}}, rules.Env{})
		return err
	})
}

func TestSchemaOfTestsIsWhatIsRun(t *testing.T) {
	t.Parallel()
	const file = "version: 1\nwindows: {name: {metric: nps, over: 1d}}\ngroups: [{name: name, rules: [{id: name, when: true, do: [{tag: x}]}]}]\n"
	set, err := rules.Compile([]rules.File{{Name: "rules.yaml", Data: []byte(file)}}, rules.Env{})
	if err != nil {
		t.Fatal(err)
	}
	held(t, schema.Tests(), func(name string, data []byte) error {
		f, err := rulestest.Load(name, data)
		if err != nil {
			return err
		}
		return rulestest.Run(set, []*rulestest.File{f}).Files[0].Problems.Err()
	})
}

// TestEverythingIsDescribed holds that every key tells what it means.
func TestEverythingIsDescribed(t *testing.T) {
	t.Parallel()
	for _, f := range []schema.File{schema.Rules(), schema.Tests()} {
		for _, p := range probes(&f) {
			for _, k := range p.t.Keys {
				if k.Doc == "" {
					t.Errorf("%s: %s.%s is not described", f.Title, p.path, k.Name)
				}
			}
		}
	}
}

func env() rules.Env {
	return rules.Env{CustomerAttributes: map[string]feedback.Kind{"newsletter": feedback.Bool}}
}

// compileCondition returns what is wrong with a condition.
func compileCondition(when string) error {
	data, err := json.Marshal(map[string]any{"version": 1, "macros": map[string]any{"m": when}})
	if err != nil {
		return err
	}
	_, err = rules.Compile([]rules.File{{Name: "a.yaml", Data: data}}, rules.Env{})
	return err
}
