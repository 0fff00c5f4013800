// Package lang is the language of conditions in rules: it checks an expression and compiles it to closures.
//
// The grammar is that of expr; the text is parsed by expr's parser. Everything after that is this package's own. Only
// what an allow-list knows is compiled: comparisons, arithmetic, and/or/not, a few pure functions, and any, all, none,
// one and count over an item's themes. Whatever else expr offers is refused with a reason, so that no expression can
// take more than a bounded number of steps or allocate without bound. Types are checked against the table of fields,
// and evaluation is three-valued: a comparison with a missing value is unknown. The expr virtual machine is never used.
//
// A Compiler collects lists, macros and expressions; its Program evaluates them. Parts that several expressions share
// are compiled once and evaluated at most once per event.
//
//	c := lang.NewCompiler(feedback.Fields(), time.UTC)
//	cond := c.Condition(`score <= 6 && "packaging" in themes`, report)
//	p := c.Program()
//	f := p.NewFrame()
//	f.Reset(event)
//	f.Eval(cond) // lang.True, lang.False or lang.Unknown
package lang

import (
	"fmt"
	"slices"
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// The limits of one expression.
const (
	MaxSource  = 4 << 10 // bytes
	MaxNesting = 64      // brackets and signs within each other
	// MaxCost bounds the steps of one evaluation on the longest item, a step being some nanoseconds.
	MaxCost = int64(200_000_000)
	// MaxThemes is the number of themes of an item that are looked at. What they leave undecided is unknown.
	MaxThemes = 256
	// MaxPath is the length of a theme's path in bytes beyond which it is unknown.
	MaxPath = 256
)

const (
	maxRegexp = 1000 // instructions of one regular expression
	// All conditions together have at most maxNodes parts, with what macros repeat, and nodesEach more for each of them.
	maxNodes  = 1_000_000
	nodesEach = 20
)

// The steps of what goes through the longest text, which is 256 KiB. Values and operators take one step.
const (
	costSearch      = 4_000
	costChange      = 50_000
	costInstruction = 100_000 // of a regular expression
)

// through returns the steps of going through the term's text, which is short when it is the path of a theme.
func (t *term) through(steps int64) int64 {
	if t.local {
		return steps / 1000
	}
	return steps
}

// Truth is a truth value of three-valued logic. They are ordered so that and is the least and or the greatest.
type Truth uint8

// The truth values.
const (
	False Truth = iota
	Unknown
	True
)

func truthOf(b bool) Truth {
	if b {
		return True
	}
	return False
}

// Not returns the opposite; that of Unknown is Unknown.
func (t Truth) Not() Truth { return True - t }

// Problem is something wrong at a byte of an expression's text.
type Problem struct {
	Offset  int
	Code    string
	Message string
	Hint    string
}

// Report receives the problems of one expression.
type Report func(Problem)

// Compiler compiles the expressions of one set of rules. It is not safe for concurrent use.
type Compiler struct {
	zone    *time.Location
	fields  map[string]*field
	names   []string // of the fields, in the order of their table
	lists   map[string]*term
	macros  map[string]*macro
	windows map[string]int
	params  map[string]any  // of the file that is being compiled
	named   map[string]bool // the lists that expressions name

	conditions int
	nodes      int // of all conditions
	atoms      []*term
	tests      []*Test // by atom
	atomIDs    map[string]int32
	notes      []note
	noteIDs    map[note]int32
	sources    []*Source
	sourceIDs  map[string]int32
	folds      map[string]int32
}

type macro struct {
	source string
	report Report
	params map[string]any
	state  int // unseen, open or done
	term   *term
}

const (
	unseen = iota
	open
	done
)

// NewCompiler returns a compiler for the fields. Dates without a time are days of the zone.
func NewCompiler(fields []feedback.Field, zone *time.Location) *Compiler {
	c := &Compiler{
		zone: zone, fields: map[string]*field{}, lists: map[string]*term{}, macros: map[string]*macro{}, windows: map[string]int{}, named: map[string]bool{},
		atomIDs: map[string]int32{}, noteIDs: map[note]int32{}, sourceIDs: map[string]int32{}, folds: map[string]int32{},
	}
	if c.zone == nil {
		c.zone = time.UTC
	}
	for i := range fields {
		c.fields[fields[i].Name] = newField(fields[i])
		c.names = append(c.names, fields[i].Name)
	}
	return c
}

// Field returns the kind of a field.
func (c *Compiler) Field(name string) (feedback.Kind, bool) {
	f, ok := c.fields[name]
	if !ok {
		return feedback.Absent, false
	}
	return f.Kind, true
}

// FieldNames returns the names of all fields, for hints.
func (c *Compiler) FieldNames() []string { return slices.Clone(c.names) }

// CheckName returns why a name cannot stand for a macro or list, or "".
func (c *Compiler) CheckName(name string) string {
	if !isName(name) {
		return fmt.Sprintf("found the name %q, expected letters, digits and underscores, not beginning with a digit", name)
	}
	_, function := functions[name]
	_, refused := refusedFunctions[name]
	if slices.Contains(words, name) || function || refused {
		return fmt.Sprintf("the name %q is a word of the language", name)
	}
	for _, f := range c.names {
		if root(f) == name {
			return fmt.Sprintf("the name %q is a field", name)
		}
	}
	return ""
}

var words = []string{"and", "or", "not", "in", "contains", "startsWith", "endsWith", "matches", "let", "if", "else", "true", "false", "nil", "lists", "win", "it", Theme, paramRoot}

func isName(s string) bool {
	for i, r := range s {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// DefineStrings declares lists.NAME as a list of strings.
func (c *Compiler) DefineStrings(name string, values []string) {
	c.lists[name] = &term{kind: kindStrings, constant: true, list: slices.Clone(values), key: keyOfStrings(values), text: "lists." + name}
}

// DefineNumbers declares lists.NAME as a list of numbers.
func (c *Compiler) DefineNumbers(name string, values []float64) {
	c.lists[name] = &term{kind: kindNumbers, constant: true, numbers: slices.Clone(values), key: keyOfNumbers(values), text: "lists." + name}
}

// DefineMacro declares a name for an expression. It is compiled when it is used, or by CheckMacros; its problems are
// reported once, to its own report.
func (c *Compiler) DefineMacro(name, source string, report Report) {
	c.macros[name] = &macro{source: source, report: report, params: c.params}
}

// Unused are the names of macros and lists that no expression uses, but for macros that are not used themselves.
type Unused struct{ Macros, Lists []string }

// CheckMacros compiles the macros that are not used, after everything else has been compiled. It returns what is not.
func (c *Compiler) CheckMacros() Unused {
	var out Unused
	for _, name := range sortedKeys(c.lists) {
		if !c.named[name] {
			out.Lists = append(out.Lists, name)
		}
	}
	for _, name := range sortedKeys(c.macros) {
		if c.macros[name].state == unseen {
			out.Macros = append(out.Macros, name)
		}
	}
	for _, name := range sortedKeys(c.macros) {
		c.expand(name)
	}
	return out
}

// expand compiles a macro on its own, and returns nil when something is wrong with it.
func (c *Compiler) expand(name string) *term {
	m := c.macros[name]
	if m.state == unseen {
		m.state = open
		defer c.UseParams(c.params)
		c.UseParams(m.params)
		x := &expression{compiler: c, source: m.source, report: m.report}
		m.term = x.compile()
		m.state = done
	}
	return m.term
}

// Condition is a compiled truth-valued expression.
type Condition struct {
	root  Node
	key   string
	cost  int64
	reads []*field
	atoms []Node // each once, in the order of the source
}

// Condition compiles an expression whose value is a truth value. It returns nil when anything is wrong with it, which
// has then been reported, here or at the macro that it uses.
func (c *Compiler) Condition(source string, report Report) *Condition {
	x := &expression{compiler: c, source: source, report: report}
	t := x.compile()
	if t == nil {
		return nil
	}
	if t.kind != kindBool {
		x.problemAt(0, "wrong_type", "compare it with something", "found %s, expected a condition that is true or false", t.describe())
		return nil
	}
	c.conditions++
	out := &Condition{key: t.key, cost: t.cost, reads: t.reads}
	out.root = c.node(t, out, map[int32]bool{})
	return out
}

// Key is equal for conditions that are the same but for their spelling.
func (c *Condition) Key() string { return c.key }

// Cost is the number of steps that evaluating the condition may take, in the unit of MaxCost.
func (c *Condition) Cost() int64 { return c.cost }

// IsTrue reports whether the condition is the constant true.
func (c *Condition) IsTrue() bool { return c.key == "true" }
