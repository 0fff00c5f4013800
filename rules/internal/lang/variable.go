package lang

import (
	"math"
	"strconv"

	"github.com/expr-lang/expr/ast"

	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/suggest"
)

// Part is one figure of a window.
type Part uint8

// The figures of a window.
const (
	WindowN     Part = iota // the number of observations
	WindowValue             // the metric
	WindowLo                // the bounds of its confidence interval
	WindowHi
)

var windowParts = [...]struct {
	name, doc string
	cost      int64
}{
	{"n", "number of observations", 10},
	{"value", "the metric", 20},
	{"lo", "lower bound of the metric's confidence interval", 1000},
	{"hi", "upper bound of the metric's confidence interval", 1000},
}

// String returns the figure's name in expressions.
func (p Part) String() string { return windowParts[p].name }

// costSpike is the cost of the test for a spike, in steps.
const costSpike = 100

// Figures gives the figures of windows for the event and theme that a frame is at. They report false for what is
// not known.
type Figures interface {
	Figure(window int, part Part) (float64, bool)
	// Spike is the probability of as many hits in the first window if it were like the second.
	Spike(window, baseline int) (float64, bool)
}

// Theme is the name of the variable that holds the theme of a rule that is decided for each theme.
const Theme = "theme"

// each is the theme that a rule is being decided for.
type each struct {
	theme string
	set   bool
}

// IsName reports whether a name can be a part of an expression: letters, digits and underscores, no digit first.
func IsName(s string) bool { return isName(s) }

// DefineWindow declares win.NAME.n, win.NAME.value, win.NAME.lo and win.NAME.hi as figures of the window of that number.
func (c *Compiler) DefineWindow(name string, number int) {
	c.windows[name] = number
	for p, part := range windowParts {
		c.define(&field{
			Field: feedback.Field{Name: "win." + name + "." + part.name, Kind: feedback.Number, Doc: part.doc},
			kind:  kindNumber, volatile: true, window: number + 1, cost: part.cost,
			number: func(f *Frame) (float64, bool) {
				if f.figures == nil {
					return 0, false
				}
				return f.figures.Figure(number, Part(p))
			},
		})
	}
}

// DefineTheme declares the variable theme.
func (c *Compiler) DefineTheme() {
	c.define(&field{
		Field: feedback.Field{Name: Theme, Kind: feedback.String, Doc: "the theme, in a rule that is decided for each theme"},
		kind:  kindString, volatile: true,
		text: func(f *Frame) (string, bool) { return f.each.theme, f.each.set },
	})
}

func (c *Compiler) define(f *field) {
	c.fields[f.Name] = f
	c.names = append(c.names, f.Name)
}

// Use has the frame read windows from figures from now on. Nil figures know nothing.
func (f *Frame) Use(figures Figures) {
	f.figures = figures
	f.forget()
}

// SetTheme turns to one theme of the event.
func (f *Frame) SetTheme(theme string) {
	f.each = each{theme, true}
	f.forget()
}

// ClearTheme turns to the event as a whole.
func (f *Frame) ClearTheme() {
	if f.each.set {
		f.each = each{}
		f.forget()
	}
}

// forget drops what was found with other values of the variables.
func (f *Frame) forget() {
	for _, id := range f.program.volatile {
		f.memo[id] = 0
	}
}

// Text returns the value of a string field, and whether the event has it.
func (f *Frame) Text(name string) (string, bool) {
	fd, ok := f.program.fields[name]
	switch {
	case !ok:
		return "", false
	case fd.text != nil:
		return fd.text(f)
	case fd.Str != nil:
		return fd.Str(&f.event)
	}
	return "", false
}

// Number returns the value of a number field, and whether the event has it.
func (f *Frame) Number(name string) (float64, bool) {
	fd, ok := f.program.fields[name]
	if !ok || fd.Num == nil {
		return 0, false
	}
	return fd.Num(&f.event)
}

// Windows returns the numbers of the windows that the condition reads.
func (c *Condition) Windows() []int { return windowsOf(c.reads) }

// Windows returns the numbers of the windows that the template reads.
func (t *Template) Windows() []int {
	var out []int
	t.reads(func(f *field) {
		if f.window > 0 {
			out = append(out, f.window-1)
		}
	})
	return out
}

func windowsOf(reads []*field) []int {
	var out []int
	for _, f := range reads {
		if f.window > 0 {
			out = append(out, f.window-1)
		}
	}
	return out
}

// Reads returns the names of the fields and variables that the condition reads.
func (c *Condition) Reads() []string { return names(c.reads) }

func names(fields []*field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.Name
	}
	return out
}

// Reads returns the names of the fields and variables that the template reads.
func (t *Template) Reads() []string {
	var out []string
	t.reads(func(f *field) { out = append(out, f.Name) })
	return out
}

func (t *Template) reads(yield func(*field)) {
	if t == nil {
		return
	}
	for _, p := range t.parts {
		if p.field != nil {
			yield(p.field)
		}
		if p.value != nil {
			for _, f := range p.value.reads {
				yield(f)
			}
		}
	}
}

// spike compiles the comparison of two windows.
func (x *expression) spike(n ast.Node, nodes []ast.Node) *term {
	if len(nodes) != 2 {
		return x.problem(n, "wrong_type", "", "found %d arguments, expected spike(win.NAME, win.BASELINE)", len(nodes))
	}
	c := x.compiler
	var windows [2]int
	var reads []*field
	for i, a := range nodes {
		name, ok := windowName(a)
		number, known := c.windows[name]
		if !ok || !known {
			return x.problem(a, "unknown_name", suggest.DidYouMean(name, sortedKeys(c.windows)), "found %s, expected a window such as win.NAME", a)
		}
		windows[i] = number
		reads = append(reads, c.fields["win."+name+".n"])
	}
	return &term{
		kind: kindNumber, key: keyOf("spike", reads[0].term(), reads[1].term()), text: n.String(), cost: costSpike, reads: reads, varies: true,
		num: func(f *Frame) (float64, bool) {
			if f.figures == nil {
				return 0, false
			}
			return f.figures.Spike(windows[0], windows[1])
		},
	}
}

func windowName(n ast.Node) (string, bool) {
	m, ok := n.(*ast.MemberNode)
	if !ok {
		return "", false
	}
	root, ok := m.Node.(*ast.IdentifierNode)
	name, isString := m.Property.(*ast.StringNode)
	if !ok || !isString || root.Value != "win" {
		return "", false
	}
	return name.Value, true
}

// valueOf returns the value of a number or string, or nil when it is unknown.
func (f *Frame) valueOf(t *term, limit int) any {
	switch t.kind {
	case kindNumber:
		if v, ok := t.num(f); ok {
			return brief(v)
		}
	case kindString:
		if v, ok := t.str(f); ok {
			return cut(v, limit)
		}
	}
	return nil
}

// brief rounds a computed number to four significant digits, as people read it.
func brief(v float64) float64 {
	if math.Abs(v) >= 1000 {
		return math.Round(v)
	}
	r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64)
	if err != nil {
		return v
	}
	return r
}
