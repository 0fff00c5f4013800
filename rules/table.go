package rules

import "github.com/closedloop/closedloop/rules/internal/lang"

// table is a decision table.
type table struct {
	name string
}

// pick returns the row that fits the frame's event, or -1.
func (t *table) pick(*lang.Frame) int { return -1 }

// fill sets what a row says, and returns the pool that it names, if any.
func (t *table) fill(int, *Effect) *Pool { return nil }
