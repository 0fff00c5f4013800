package main

import (
	"context"
	"slices"
)

// workload is rules, and events to match them with.
type workload struct {
	events []event
	rules  []rule
	want   [][]int32 // the rules that each event matches, once the first contender told
}

// contender is one way to find out which rules an event matches.
type contender struct {
	name string
	// prepare writes the rules in the contender's language and the events in the form that it reads fastest. None of
	// that counts as its work.
	prepare func(w *workload) (loader, error)
}

// loader makes the rules ready from their text. It ends early when the context does, where the contender can.
type loader func(ctx context.Context) (matcher, error)

// matcher appends the numbers of the rules that an event of the workload matches, in any order.
type matcher func(event int, out []int32) ([]int32, error)

// The contenders that others are compared with, by name.
const (
	oursName         = "this engine"
	oursControlName  = "this engine, again (control)"
	naiveName        = "naive loop over expr"
	naiveControlName = "naive loop over expr, again (control)"
	celName          = "CEL"
	opaName          = "OPA"
	opaPartialName   = "OPA, partially evaluated"
)

// contenders returns all of them. The first is loaded into an empty heap, the others beside those before them.
func contenders() []contender {
	return []contender{
		{oursName, ours}, {naiveName, naive}, {celName, celPrograms}, {opaName, opa(false)}, {opaPartialName, opa(true)},
	}
}

// controls are contenders that are measured a second time, with the name of that.
func controls() map[string]string {
	return map[string]string{oursName: oursControlName, naiveName: naiveControlName}
}

func isControl(name string) bool { return name == oursControlName || name == naiveControlName }

// answers returns the rules that each of some events matches, in order.
func answers(ctx context.Context, m matcher, events []int) ([][]int32, error) {
	out := make([][]int32, len(events))
	for i, n := range events {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var err error
		if out[i], err = m(n, nil); err != nil {
			return nil, err
		}
		slices.Sort(out[i])
	}
	return out, nil
}
