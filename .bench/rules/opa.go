package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown/cache"
)

// opa asks one prepared query for the set of all rules that match, so that its index of rules is used. Partial
// evaluation happens while loading. Inputs are parsed beforehand, and regular expressions are kept once compiled.
func opa(partial bool) func(*workload) (loader, error) {
	var options []rego.PrepareOption
	if partial {
		options = append(options, rego.WithPartialEval())
	}
	return func(w *workload) (loader, error) {
		var b bytes.Buffer
		b.WriteString("package bench\n\nimport rego.v1\nimport future.keywords.or\n\n")
		l := inRego()
		for i, r := range w.rules {
			fmt.Fprintf(&b, "match contains %d if { %s }\n", i, l.rule(r))
		}
		policy := b.String()
		inputs := make([]ast.Value, len(w.events))
		for i := range w.events {
			var err error
			if inputs[i], err = w.events[i].input(); err != nil {
				return nil, err
			}
		}
		return func(ctx context.Context) (matcher, error) {
			kept := cache.Config{InterQueryBuiltinValueCache: cache.InterQueryBuiltinValueCacheConfig{MaxNumEntries: new(100_000)}}
			query, err := rego.New(rego.Query("data.bench.match"), rego.Module("bench.rego", policy),
				rego.InterQueryBuiltinValueCache(cache.NewInterQueryValueCache(ctx, &kept))).PrepareForEval(ctx, options...)
			return asking(query, inputs), err
		}, nil
	}
}

func asking(query rego.PreparedEvalQuery, inputs []ast.Value) matcher {
	ctx := context.Background()
	return func(event int, out []int32) ([]int32, error) {
		results, err := query.Eval(ctx, rego.EvalParsedInput(inputs[event]))
		if err != nil || len(results) == 0 {
			return out, err
		}
		matches, ok := results[0].Expressions[0].Value.([]any)
		if !ok {
			return out, fmt.Errorf("found %T, expected a set", results[0].Expressions[0].Value)
		}
		for _, m := range matches {
			number, _ := m.(json.Number)
			n, err := number.Int64()
			if err != nil {
				return out, err
			}
			out = append(out, int32(n))
		}
		return out, nil
	}
}

// input returns the event as JSON has it, parsed.
func (e *event) input() (ast.Value, error) {
	root := map[string]any{}
	for _, f := range e.fields() {
		in, name := root, f.name
		if outer, inner, ok := strings.Cut(name, "."); ok {
			if root[outer] == nil {
				root[outer] = map[string]any{}
			}
			in, name = root[outer].(map[string]any), inner
		}
		if themes, ok := f.value.([]theme); ok {
			list := make([]any, len(themes))
			for i, t := range themes {
				list[i] = map[string]any{"name": t.Name, "confidence": t.Confidence, "sentiment": t.Sentiment}
			}
			f.value = list
		}
		in[name] = f.value
	}
	return ast.InterfaceToValue(root)
}
