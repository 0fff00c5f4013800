package lang

import (
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser/lexer"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// cellKey is the name of the value that the cells of a decision table look at.
const cellKey = "it"

// it is the value that the cells of a decision table look at.
type it struct {
	text   string
	number float64
	truth  Truth
	known  bool
}

// Input is an expression whose value the cells of a column of a decision table look at.
type Input struct {
	term *term
	it   *term
}

// Input compiles the expression of a column. It returns nil when anything is wrong, which has then been reported.
func (c *Compiler) Input(source string, report Report) *Input {
	x := &expression{compiler: c, source: source, report: report}
	t := x.compile()
	if t == nil {
		return nil
	}
	value := &term{kind: t.kind, key: cellKey, text: cellKey, varies: true, cost: 1}
	switch t.kind {
	case kindString:
		value.str = func(f *Frame) (string, bool) { return f.it.text, f.it.known }
	case kindNumber:
		value.num = func(f *Frame) (float64, bool) { return f.it.number, f.it.known }
	case kindBool:
		value.truth = func(f *Frame) Truth { return f.it.truth }
	default:
		x.problemAt(0, "wrong_type", "", "found %s, expected a string, a number or a truth value", t.describe())
		return nil
	}
	return &Input{t, value}
}

// Kind returns the kind of the input's value: String, Number or Bool.
func (in *Input) Kind() feedback.Kind {
	switch in.term.kind {
	case kindString:
		return feedback.String
	case kindNumber:
		return feedback.Number
	}
	return feedback.Bool
}

// Windows returns the numbers of the windows that the input reads.
func (in *Input) Windows() []int { return windowsOf(in.term.reads) }

// Reads returns the names of the fields and variables that the input reads.
func (in *Input) Reads() []string { return names(in.term.reads) }

// Field returns the name of the field that the input is, or "" when it is computed.
func (in *Input) Field() string {
	if in.term.field == nil {
		return ""
	}
	return in.term.field.Name
}

// Cost returns the steps that the input may take on the longest item, in the unit of MaxCost.
func (in *Input) Cost() int64 { return in.term.cost }

// Cell is a test of an input's value.
type Cell struct {
	truth     func(*Frame) Truth
	cost      int64
	constants []any
}

// Cell compiles an expression in which `it` stands for the input's value. It reads nothing else of the event.
func (c *Compiler) Cell(in *Input, source string, report Report) *Cell {
	x := &expression{compiler: c, source: source, report: report, it: in.it}
	t := x.compile()
	switch {
	case t == nil:
		return nil
	case t.kind != kindBool:
		x.problemAt(0, "wrong_type", "compare it with something, as in it >= 5", "found %s, expected a condition on it", t.describe())
		return nil
	case len(t.reads) > 0:
		x.problemAt(0, "not_allowed", "add an input for it", "a cell looks at the value of its column alone, and this one reads %s", t.reads[0].Name)
		return nil
	}
	v := &constants{compiler: c}
	if n := x.parse(); n != nil {
		ast.Walk(&n, v)
	}
	return &Cell{t.truth, t.cost, v.found}
}

// Cost returns the steps that the cell may take on the longest value, in the unit of MaxCost.
func (c *Cell) Cost() int64 { return c.cost }

// Constants returns the strings and numbers that stand in the cell: string and float64.
func (c *Cell) Constants() []any { return c.constants }

// constants collects the constants of an expression, with those of the lists that it names.
type constants struct {
	compiler *Compiler
	found    []any
}

// Visit looks at one part of the expression.
func (v *constants) Visit(n *ast.Node) {
	switch n := (*n).(type) {
	case *ast.StringNode:
		v.found = append(v.found, n.Value)
	case *ast.IntegerNode:
		v.found = append(v.found, float64(n.Value))
	case *ast.FloatNode:
		v.found = append(v.found, n.Value)
	case *ast.UnaryNode:
		if c, ok := n.Node.(*ast.IntegerNode); ok && n.Operator == "-" {
			v.found = append(v.found, -float64(c.Value))
		}
		if c, ok := n.Node.(*ast.FloatNode); ok && n.Operator == "-" {
			v.found = append(v.found, -c.Value)
		}
	case *ast.MemberNode:
		name, _ := strings.CutPrefix(path(n), "lists.")
		if list, ok := v.compiler.lists[name]; ok {
			for _, s := range list.list {
				v.found = append(v.found, s)
			}
			for _, f := range list.numbers {
				v.found = append(v.found, f)
			}
		}
	}
}

// AboutIt reports whether a text is an expression on `it`. Where texts may be words too, it must hold a comparison or a
// bracket besides.
func AboutIt(text string, words bool) bool {
	tokens, err := lexer.Lex(file.NewSource(text))
	if err != nil {
		return false
	}
	named := slices.ContainsFunc(tokens, func(t lexer.Token) bool { return t.Is(lexer.Identifier, cellKey) })
	return named && (!words || slices.ContainsFunc(tokens, func(t lexer.Token) bool {
		return t.Is(lexer.Bracket, "(") || t.Is(lexer.Operator, comparisons...)
	}))
}

// comparisons are the operators that a condition on a text has.
var comparisons = append([]string{"==", "!=", "in", "not", "and", "&&", "or", "||", "!"}, between...)

// Take computes the input for the frame's event, for the cells to look at.
func (f *Frame) Take(in *Input) {
	f.it = it{truth: Unknown}
	switch in.term.kind {
	case kindString:
		f.it.text, f.it.known = in.term.str(f)
	case kindNumber:
		f.it.number, f.it.known = in.term.num(f)
	default:
		f.it.truth = in.term.truth(f)
	}
}

// Suppose sets the value that cells look at: a string, a float64, a bool, or nil for one that is missing.
func (f *Frame) Suppose(v any) {
	f.it = it{truth: Unknown}
	switch v := v.(type) {
	case string:
		f.it.text, f.it.known = v, true
	case float64:
		f.it.number, f.it.known = v, true
	case bool:
		f.it.truth = truthOf(v)
	}
}

// ItsText returns the string that was taken or supposed, and whether there is one.
func (f *Frame) ItsText() (string, bool) { return f.it.text, f.it.known }

// ItsNumber returns the number that was taken or supposed, and whether there is one.
func (f *Frame) ItsNumber() (float64, bool) { return f.it.number, f.it.known }

// ItsTruth returns the truth value that was taken or supposed.
func (f *Frame) ItsTruth() Truth { return f.it.truth }

// Holds returns the truth of the cell for the value that was taken or supposed.
func (f *Frame) Holds(c *Cell) Truth { return c.truth(f) }
