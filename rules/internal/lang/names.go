package lang

import "github.com/closedloop/closedloop/sdk/feedback"

// Field returns the kind of a field.
func (p *Program) Field(name string) (feedback.Kind, bool) {
	f, ok := p.fields[name]
	if !ok {
		return feedback.Absent, false
	}
	return f.Kind, true
}

// FieldNames returns the names of all fields and variables in alphabetical order.
func (p *Program) FieldNames() []string { return sortedKeys(p.fields) }
