package main

import (
	"context"
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// celPrograms runs one program a rule, each compiled with the types of all fields and optimized. The values of an event
// are made once, already in the types of CEL, and every field is found at once by its whole name.
func celPrograms(w *workload) (loader, error) {
	l := inCEL()
	texts := l.rules(w.rules)
	variables := []cel.EnvOption{}
	for _, f := range new(event).fields() {
		variables = append(variables, cel.Variable(f.name, celType(f.value)))
	}
	activations := make([]cel.Activation, len(w.events))
	for i := range w.events {
		values := map[string]any{}
		for _, f := range w.events[i].fields() {
			values[f.name] = celValue(f.value)
		}
		var err error
		if activations[i], err = cel.NewActivation(values); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context) (matcher, error) {
		programs, err := compileCEL(ctx, texts, variables)
		return func(event int, out []int32) ([]int32, error) {
			activation := activations[event]
			for i, p := range programs {
				held, _, err := p.Eval(activation)
				if err != nil {
					return out, err
				}
				if held == types.True {
					out = append(out, int32(i))
				}
			}
			return out, nil
		}, err
	}, nil
}

func compileCEL(ctx context.Context, texts []string, variables []cel.EnvOption) ([]cel.Program, error) {
	env, err := cel.NewEnv(variables...)
	if err != nil {
		return nil, err
	}
	programs := make([]cel.Program, len(texts))
	for i, text := range texts {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		checked, issues := env.Compile(text)
		if err := issues.Err(); err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
		if programs[i], err = env.Program(checked, cel.EvalOptions(cel.OptOptimize)); err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
	}
	return programs, nil
}

func celType(v any) *cel.Type {
	switch v.(type) {
	case string:
		return cel.StringType
	case bool:
		return cel.BoolType
	case []string:
		return cel.ListType(cel.StringType)
	case []theme:
		return cel.ListType(cel.MapType(cel.StringType, cel.DynType))
	}
	return cel.DoubleType
}

func celValue(v any) ref.Val {
	switch v := v.(type) {
	case int:
		return types.Double(v)
	case []theme:
		themes := make([]ref.Val, len(v))
		for i, t := range v {
			themes[i] = types.NewRefValMap(types.DefaultTypeAdapter, map[ref.Val]ref.Val{
				types.String("name"): types.String(t.Name), types.String("confidence"): types.Double(t.Confidence),
				types.String("sentiment"): types.Double(t.Sentiment),
			})
		}
		return types.NewRefValList(types.DefaultTypeAdapter, themes)
	}
	return types.DefaultTypeAdapter.NativeToValue(v)
}
