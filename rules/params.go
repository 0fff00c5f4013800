package rules

import (
	"encoding/json"
	"fmt"
	"hash"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/suggest"
)

// Param is a parameter that a rule file declares: a value that a program may give without changing the file.
type Param struct {
	Name        string     `json:"name"`
	Type        ParamType  `json:"type"`
	Default     any        `json:"default,omitempty"` // nil when the program must give a value
	Description string     `json:"description,omitempty"`
	Pos         source.Pos `json:"-"`
}

// ParamType is the type of a parameter.
type ParamType string

// The types of parameters.
const (
	ParamString      ParamType = "string"
	ParamNumber      ParamType = "number"
	ParamDuration    ParamType = "duration"
	ParamBoolean     ParamType = "boolean"
	ParamList        ParamType = "list"        // of strings or of numbers
	ParamQueue       ParamType = "queue"       // a queue that the program declares, or "" for none
	ParamDestination ParamType = "destination" // a destination that the program declares, or "" for none
)

var paramTypes = []string{
	string(ParamString), string(ParamNumber), string(ParamDuration), string(ParamBoolean), string(ParamList), string(ParamQueue), string(ParamDestination),
}

// The limits of a parameter's value.
const (
	maxParamText = 4 << 10 // bytes
	maxParamList = 1000    // elements
)

// Check returns what is wrong with a value for the parameter, as a part of a sentence, and how to mend it; or "". The
// values are string, int, float64, bool, and []any of strings or of numbers.
func (p *Param) Check(v any, env Env) (wrong, hint string) {
	found := func(expected string) string { return fmt.Sprintf("found %s, expected %s", foundValue(v), expected) }
	text, isText := v.(string)
	if len(text) > maxParamText {
		return fmt.Sprintf("found a text of %d bytes, expected at most %d", len(text), maxParamText), ""
	}
	switch p.Type {
	case ParamNumber:
		if _, ok := numberOf(v); !ok {
			return found("a number"), ""
		}
	case ParamBoolean:
		if _, ok := v.(bool); !ok {
			return found("true or false"), ""
		}
	case ParamDuration:
		if _, err := feedback.ParseDuration(text); err != nil {
			return found("a duration such as 30s, 5m, 48h or 7d"), ""
		}
	case ParamList:
		if !isHomogeneous(v) {
			return found(fmt.Sprintf("a list of strings or of numbers, at most %d", maxParamList)), ""
		}
	default:
		if !isText {
			return found("a string"), ""
		}
		if p.Type == ParamQueue {
			return undeclared("queue", text, env.Queues)
		}
		if p.Type == ParamDestination {
			return undeclared("destination", text, env.Destinations)
		}
	}
	return "", ""
}

func undeclared(what, id string, known []string) (wrong, hint string) {
	if id == "" || known == nil || slices.Contains(known, id) {
		return "", ""
	}
	if hint = suggest.DidYouMean(id, known); hint == "" {
		hint = "declare it in the program: " + what + "s: {" + id + ": {...}}"
	}
	return fmt.Sprintf("the program declares no %s %q", what, id), hint
}

func isHomogeneous(v any) bool {
	list, ok := v.([]any)
	texts := 0
	for _, e := range list {
		if s, is := e.(string); is && len(s) <= maxParamText {
			texts++
		} else if _, is := numberOf(e); !is {
			return false
		}
	}
	return ok && len(list) <= maxParamList && (texts == 0 || texts == len(list))
}

func foundValue(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case string:
		return fmt.Sprintf("the string %q", v)
	case map[string]any:
		return "a map"
	case []any:
		return "a list"
	case bool:
		return fmt.Sprint(v)
	}
	if n, ok := numberOf(v); ok {
		return fmt.Sprintf("the number %v", n)
	}
	return fmt.Sprintf("a %T", v)
}

// ParamsOf returns the parameters that a rule file declares, in their order. The problems are those of the
// declarations.
func ParamsOf(f File) ([]Param, source.Problems) {
	root, problems := source.Parse(f.Name, f.Data)
	if root == nil {
		return nil, problems
	}
	params := readParams(root)
	return params, root.Problems()
}

var paramKeys = []string{"type", "default", "description"}

func readParams(root *source.Node) []Param {
	var out []Param
	for _, e := range root.Get("params").Entries() {
		if !e.Value.Object(paramKeys...) {
			continue
		}
		p := Param{Name: e.Name, Pos: e.Key.Pos(), Description: e.Value.Get("description").String()}
		if !isParamName(e.Name) {
			e.Key.Problem("bad_name", "found the name %q, expected letters, digits and underscores, not beginning with a digit", e.Name)
			continue
		}
		p.Type = ParamType(e.Value.Need("type").OneOf(paramTypes...))
		if d := e.Value.Get("default"); d != nil {
			p.Default = d.Any()
			if wrong, hint := p.Check(p.Default, Env{}); wrong != "" && p.Type != "" {
				d.ProblemHint("wrong_value", hint, "%s", wrong)
				p.Default = p.zero()
			}
		}
		out = append(out, p)
	}
	return out
}

// zero returns a value to go on with where there is none that is right.
func (p *Param) zero() any {
	switch p.Type {
	case ParamNumber:
		return 1
	case ParamBoolean:
		return true
	case ParamDuration:
		return "1h"
	case ParamList:
		return []any{"x"}
	}
	return ""
}

func isParamName(s string) bool {
	return validID(s) && !strings.ContainsAny(s, "-.") && (s[0] < '0' || s[0] > '9')
}

// params reads the parameters of a file, completes the values that were given, and puts them in the place of ${NAME}.
// It returns what expressions read.
func (b *builder) params(f *File, root *source.Node) map[string]any {
	declared := root.Get("params")
	values, constants := map[string]any{}, map[string]any{}
	for _, p := range readParams(root) {
		v, given := f.Params[p.Name]
		switch {
		case given:
			if wrong, hint := p.Check(v, b.env); wrong != "" {
				declared.Get(p.Name).Key().ProblemHint("wrong_param", hint, "the value given to the parameter %s: %s", p.Name, wrong)
				v = p.zero()
			}
		case p.Default == nil:
			v = p.zero()
			declared.Get(p.Name).Key().ProblemHint("missing_param", "or declare a default", "the parameter %s has no value, and no default", p.Name)
		default:
			v = p.Default
		}
		values[p.Name], constants[p.Name] = v, v
		if d, err := feedback.ParseDuration(fmt.Sprint(v)); err == nil && p.Type == ParamDuration {
			constants[p.Name] = d
		}
	}
	for _, name := range sortedKeys(f.Params) {
		if _, ok := values[name]; !ok && (declared == nil || declared.Get(name) == nil) {
			at := declared.Key()
			if at == nil {
				at = root
			}
			at.ProblemHint("unknown_param", suggest.DidYouMean(name, slices.Sorted(maps.Keys(values))), "the file declares no parameter %q, which is given to it", name)
		}
	}
	if len(values) > 0 && root.IsMap() {
		for _, e := range root.Entries() {
			if e.Name != "params" {
				e.Value.Substitute(values)
			}
		}
	}
	return constants
}

// writeParams writes the values given to a file into a hash. Whole numbers are alike as int and as float64.
func writeParams(h hash.Hash, values map[string]any) {
	for _, name := range sortedKeys(values) {
		v := values[name]
		if f, ok := v.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
			v = fmt.Sprint(f)
		}
		b, err := json.Marshal(v)
		if err != nil {
			b = fmt.Append(nil, v)
		}
		write(h, "param")
		write(h, name)
		write(h, string(b))
	}
}
