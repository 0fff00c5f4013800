package lang

import (
	"strings"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// AtomNumbers returns the numbers in the program of the condition's atoms, each once.
func (c *Condition) AtomNumbers() []int32 {
	out := make([]int32, len(c.atoms))
	for i := range c.atoms {
		out[i] = c.atoms[i].atom
	}
	return out
}

// Conjunct is a part of a condition that must be true for the condition to be.
type Conjunct struct {
	Node *Node
	Text string // as an author would write it
}

// Conjuncts returns the parts that a condition joins by and, in the order of its source; none if another operator joins
// them.
func (p *Program) Conjuncts(c *Condition) []Conjunct {
	var out []Conjunct
	var walk func(n *Node)
	walk = func(n *Node) {
		if n.op != opAnd {
			out = append(out, Conjunct{n, p.textOf(n)})
			return
		}
		for place := range n.kids {
			for i := range n.kids {
				if int(n.kids[i].place) == place {
					walk(&n.kids[i])
				}
			}
		}
	}
	walk(&c.root)
	return out
}

// textOf writes a part, in short where it is long.
func (p *Program) textOf(n *Node) string {
	note := p.notes[n.note]
	switch {
	case note.macro != "":
		return note.macro
	case n.op == opAtom:
		return note.text
	case n.op == opNot:
		return "not (" + p.textOf(&n.kids[0]) + ")"
	}
	word := map[op]string{opAnd: " and ", opOr: " or ", opElse: " ?? "}[n.op]
	parts := make([]string, len(n.kids))
	for i := range n.kids {
		parts[n.kids[i].place] = p.textOf(&n.kids[i])
	}
	const many = 4
	if len(parts) > many {
		parts = append(parts[:many-1], "...")
	}
	return "(" + strings.Join(parts, word) + ")"
}

// Kind returns the kind of a field or variable.
func (p *Program) Kind(name string) (feedback.Kind, bool) {
	f, ok := p.fields[name]
	if !ok {
		return feedback.Absent, false
	}
	return f.Kind, true
}
