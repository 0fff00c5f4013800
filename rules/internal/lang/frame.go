package lang

import (
	"cmp"
	"math"
	"slices"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// Program evaluates the conditions of one compiler. It never changes, and is safe for concurrent use.
type Program struct {
	fields   map[string]*field
	atoms    []func(*Frame) Truth
	labels   []int32 // the atoms that read labels
	volatile []int32 // the atoms that read variables
	folds    int
	cost     int64
}

// Program returns the program of all conditions compiled so far. The compiler must not be used afterwards.
func (c *Compiler) Program() *Program {
	p := &Program{fields: c.fields, folds: len(c.folds), cost: int64(c.nodes)}
	if c.nodes > maxNodes {
		p.cost = math.MaxInt64 / 2
	}
	for i, a := range c.atoms {
		p.atoms = append(p.atoms, a.truth)
		p.cost += a.cost
		if a.readsLabels() {
			p.labels = append(p.labels, int32(i))
		}
		if a.readsVariables() {
			p.volatile = append(p.volatile, int32(i))
		}
	}
	return p
}

// Cost is the number of steps that evaluating everything once may take, in the unit of MaxCost. It is beyond all measure
// for conditions of too many parts, which must not be evaluated.
func (p *Program) Cost() int64 { return p.cost }

// node is a condition's structure over the program's atoms. The parts of and and or stand in the order of their cost.
type node struct {
	op   op
	atom int32
	kids []node
}

// node builds the structure of a term and adds its atoms to the program and to the condition, each only once.
func (c *Compiler) node(t *term, of *Condition, seen map[int32]bool) node {
	if c.nodes++; c.nodes > maxNodes {
		return node{} // the program is refused by its cost
	}
	if t.op == opAtom {
		id, ok := c.atomIDs[t.key]
		if !ok {
			id = int32(len(c.atoms))
			c.atomIDs[t.key] = id
			c.atoms = append(c.atoms, t)
		}
		if !seen[id] {
			seen[id] = true
			of.atoms = append(of.atoms, atom{t, id})
		}
		return node{atom: id}
	}
	type part struct {
		node
		cost int64
	}
	var parts []part
	for _, k := range t.kids {
		parts = append(parts, part{c.node(k, of, seen), k.cost})
	}
	if t.op == opAnd || t.op == opOr {
		slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(a.cost, b.cost) })
	}
	n := node{op: t.op}
	for _, p := range parts {
		n.kids = append(n.kids, p.node)
	}
	return n
}

// Frame holds what is known of one event while conditions are evaluated on it. It is used again and again, by one
// goroutine at a time.
type Frame struct {
	program    *Program
	event      feedback.Event
	none       feedback.Labels
	unlabelled bool
	theme      *feedback.Theme // the element of an iteration
	memo       []memo          // by atom
	folds      []folded
	scratch    folded
	part       folded
	serial     uint64
	words      float64
	counted    bool
	figures    Figures
	each       each
	it         it
}

// memo is the truth of an atom plus one, or zero when it is not known yet.
type memo uint8

// NewFrame returns a frame for the program's conditions.
func (p *Program) NewFrame() *Frame {
	return &Frame{program: p, memo: make([]memo, len(p.atoms)), folds: make([]folded, p.folds)}
}

// Reset turns to an event. It keeps no reference to the event before.
func (f *Frame) Reset(ev *feedback.Event) {
	f.event = *ev
	f.unlabelled = ev.Labels == nil
	if f.unlabelled {
		f.event.Labels = &f.none
	}
	f.counted = false
	f.figures, f.each = nil, each{}
	f.serial++
	clear(f.memo)
}

// Release drops the references to the event.
func (f *Frame) Release() {
	f.event = feedback.Event{Labels: &f.none}
	for i := range f.folds {
		f.folds[i].raw = ""
	}
	f.scratch.raw, f.part.raw = "", ""
	f.figures, f.each, f.it = nil, each{}, it{}
}

// Relabel replaces the event's labels. An item that has not been categorized may still have more themes.
func (f *Frame) Relabel(l *feedback.Labels) {
	f.event.Labels = l
	for _, id := range f.program.labels {
		f.memo[id] = 0
	}
}

// Eval returns the condition's truth for the event.
func (f *Frame) Eval(c *Condition) Truth { return f.eval(&c.node) }

func (f *Frame) eval(n *node) Truth {
	switch n.op {
	case opAtom:
		if m := f.memo[n.atom]; m != 0 {
			return Truth(m - 1)
		}
		t := f.program.atoms[n.atom](f)
		f.memo[n.atom] = memo(t + 1)
		return t
	case opNot:
		return f.eval(&n.kids[0]).Not()
	case opElse:
		if t := f.eval(&n.kids[0]); t != Unknown {
			return t
		}
		return f.eval(&n.kids[1])
	case opAnd:
		out := True
		for i := range n.kids {
			if out = min(out, f.eval(&n.kids[i])); out == False {
				break
			}
		}
		return out
	}
	out := False
	for i := range n.kids {
		if out = max(out, f.eval(&n.kids[i])); out == True {
			break
		}
	}
	return out
}

// hasTheme reports whether the item has a theme or one below it.
func (f *Frame) hasTheme(path feedback.ThemePath) Truth {
	themes := f.event.Labels.Themes
	for i := range themes[:min(len(themes), MaxThemes)] {
		if themes[i].Path.Within(path) {
			return True
		}
	}
	if f.unlabelled || len(themes) > MaxThemes {
		return Unknown
	}
	return False
}

// Labels returns the event's labels, never nil.
func (f *Frame) Labels() *feedback.Labels { return f.event.Labels }

func (f *Frame) wordCount() float64 {
	if !f.counted {
		f.words, f.counted = float64(f.event.Item.WordCount()), true
	}
	return f.words
}
