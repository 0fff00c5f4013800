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
	reads    [][]*field // by atom
	tests    []*Test
	sources  []*Source
	notes    []note
	labels   []int32 // the atoms that read labels
	volatile []int32 // the atoms that read variables
	folds    int
	cost     int64
}

// note is what the source of a condition says of one of its parts.
type note struct {
	macro string // that the part expands
	text  string // of an atom
}

// Program returns the program of all conditions compiled so far. The compiler must not be used afterwards.
func (c *Compiler) Program() *Program {
	p := &Program{fields: c.fields, notes: c.notes, tests: c.tests, sources: c.sources, folds: len(c.folds), cost: int64(c.nodes)}
	if c.tooMany() {
		p.cost = math.MaxInt64 / 2
	}
	for i, a := range c.atoms {
		p.atoms = append(p.atoms, a.truth)
		p.reads = append(p.reads, a.reads)
		p.cost += a.cost
		if a.readsLabels() {
			p.labels = append(p.labels, int32(i))
		}
		if a.varies {
			p.volatile = append(p.volatile, int32(i))
		}
	}
	return p
}

// Cost is the number of steps that evaluating everything once may take, in the unit of MaxCost. It is beyond all measure
// for conditions of too many parts, which must not be evaluated.
func (p *Program) Cost() int64 { return p.cost }

// Node is a part of a condition's structure over the program's atoms. The parts of and and or stand in the order of their
// cost.
type Node struct {
	op    op
	place uint16 // among its siblings in the source
	atom  int32
	note  int32 // of Program.notes
	kids  []Node
}

// tooMany reports whether the conditions have so many parts that their program is refused.
func (c *Compiler) tooMany() bool { return c.nodes > maxNodes+nodesEach*c.conditions }

// node builds the structure of a term and adds its atoms to the program and to the condition, each only once.
func (c *Compiler) node(t *term, of *Condition, seen map[int32]bool) Node {
	c.nodes++
	if c.tooMany() {
		return Node{} // the program is refused by its cost
	}
	if t.op == opAtom {
		id, ok := c.atomIDs[t.key]
		if !ok {
			id = int32(len(c.atoms))
			c.atomIDs[t.key] = id
			c.atoms = append(c.atoms, t)
			c.tests = append(c.tests, c.testOf(t))
		}
		n := Node{atom: id, note: c.note(t.macro, t.text)}
		if !seen[id] {
			seen[id] = true
			of.atoms = append(of.atoms, n)
		}
		return n
	}
	n := Node{op: t.op, note: c.note(t.macro, ""), kids: make([]Node, len(t.kids))}
	for i, k := range t.kids {
		n.kids[i] = c.node(k, of, seen)
		n.kids[i].place = uint16(i)
	}
	if t.op == opAnd || t.op == opOr {
		slices.SortStableFunc(n.kids, func(a, b Node) int { return cmp.Compare(t.kids[a.place].cost, t.kids[b.place].cost) })
	}
	return n
}

// note returns the number of a note, which many parts share.
func (c *Compiler) note(macro, text string) int32 {
	n := note{macro, text}
	id, ok := c.noteIDs[n]
	if !ok {
		id = int32(len(c.notes))
		c.noteIDs[n] = id
		c.notes = append(c.notes, n)
	}
	return id
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
	epoch      memo            // of what stands in memo for the event, 1 to maxEpoch
	folds      []folded
	scratch    folded
	part       folded
	serial     uint64
	labelled   uint64 // changes with the labels
	words      float64
	counted    bool
	figures    Figures
	each       each
	it         it
}

// memo is an epoch and the truth of an atom in it.
type memo uint8

const maxEpoch = 1<<6 - 1

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
	f.labelled++
	if f.epoch++; f.epoch > maxEpoch {
		clear(f.memo)
		f.epoch = 1
	}
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
	f.labelled++
	for _, id := range f.program.labels {
		f.memo[id] = 0
	}
}

// Eval returns the condition's truth for the event.
func (f *Frame) Eval(c *Condition) Truth { return f.eval(&c.root) }

func (f *Frame) eval(n *Node) Truth {
	switch n.op {
	case opAtom:
		return f.Truth(n.atom)
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
