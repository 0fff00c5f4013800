package rules

import "github.com/closedloop/closedloop/rules/source"

// Finding is something odd about a set that compiles: it means what it says, which is hardly what its author meant.
type Finding struct {
	Code  string `json:"code"` // stable and short, such as "duplicate"
	Rule  string `json:"rule,omitempty"`
	Other string `json:"other,omitempty"` // the rule that it is about besides
	// Pos is where it is to be mended, and OtherPos where the other rule stands.
	Pos      source.Pos `json:"pos"`
	OtherPos source.Pos `json:"other_pos,omitzero"`
	Message  string     `json:"message"`
	Hint     string     `json:"hint,omitempty"` // how to mend it
	// Blocks says that the set is not taken as it is, unless somebody insists. What does not block is advice.
	Blocks bool `json:"blocks,omitempty"`
}

// Problem returns the finding as a problem of its file, to be rendered with others.
func (f Finding) Problem() source.Problem {
	return source.Problem{
		Code: f.Code, File: f.Pos.File, Line: f.Pos.Line, Column: f.Pos.Column, Message: f.Message, Hint: f.Hint,
	}
}
