package main

import (
	"context"
	"fmt"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"
)

// naive runs one program a rule in one virtual machine that is used again and again. The environment is a struct, so
// that no map is made for an event.
func naive(w *workload) (loader, error) {
	l := inExpr()
	texts := l.rules(w.rules)
	return func(ctx context.Context) (matcher, error) {
		programs := make([]*vm.Program, len(texts))
		for i, text := range texts {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			var err error
			if programs[i], err = expr.Compile(text, expr.Env(event{}), expr.AsBool()); err != nil {
				return nil, fmt.Errorf("%s: %w", text, err)
			}
		}
		machine := new(vm.VM)
		return func(event int, out []int32) ([]int32, error) {
			var env any = &w.events[event]
			for i, p := range programs {
				held, err := machine.Run(p, env)
				if err != nil {
					return out, err
				}
				if held == true {
					out = append(out, int32(i))
				}
			}
			return out, nil
		}, nil
	}, nil
}
