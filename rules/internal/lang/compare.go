package lang

import (
	"slices"

	"github.com/expr-lang/expr/ast"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// What a comparison holds for, as a set of outcomes.
const (
	less uint8 = 1 << iota
	equal
	greater
)

var outcomes = map[string]uint8{"==": equal, "!=": less | greater, "<": less, "<=": less | equal, ">": greater, ">=": greater | equal}

// mirrored are the operators with their sides exchanged.
var mirrored = map[string]string{"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

func (x *expression) comparison(n *ast.BinaryNode) *term {
	for _, side := range [...]ast.Node{n.Left, n.Right} {
		if _, ok := side.(*ast.NilNode); ok {
			return x.problem(side, "not_allowed", "has(x) tells whether x is given", "nil is not part of the rule language")
		}
	}
	a, b := x.term(n.Left), x.term(n.Right)
	if a == nil || b == nil {
		return nil
	}
	operator := n.Operator
	if a.constant && !b.constant {
		a, b, operator = b, a, mirrored[operator]
	}
	if a.kind != b.kind {
		return x.mismatch(n, a, b)
	}
	t := &term{kind: kindBool, key: keyOf(operator, a, b), text: n.String(), cost: 1}
	want := outcomes[operator]
	switch a.kind {
	case kindNumber:
		t.truth, t.test = compareNumbers(want, a, b), numberTest(want, a, b)
	case kindInstant:
		t.truth, t.test = compareTimes(want, a.time, b.time), numberTest(want, a, b)
	case kindString:
		if want != equal && want != less|greater {
			return x.problem(n, "wrong_type", "compare with ==, !=, in, startsWith or matches", "strings have no order, found %s %s %s", a.text, operator, b.text)
		}
		t.truth = compareStrings(want == equal, a, b)
		if b.constant {
			t.test = stringTest(want != equal, a, b.string)
		}
	case kindBool:
		if want != equal && want != less|greater {
			return x.problem(n, "wrong_type", "", "truth values have no order, found %s %s %s", a.text, operator, b.text)
		}
		t.truth = compareTruths(want == equal, a.truth, b.truth)
		if b.constant {
			t.test = truthTest((b.key == "true") == (want == equal), a)
		}
	default:
		return x.problem(n, "wrong_type", `"path" in themes tells whether a theme is there`, "a %s cannot be compared with %s", a.kind, operator)
	}
	return t.from(a, b)
}

func (x *expression) mismatch(n ast.Node, a, b *term) *term {
	hint := ""
	switch {
	case b.constant && a.kind == kindNumber && b.kind == kindString:
		hint = "write numbers without quotes"
	case b.constant && a.kind == kindString && b.kind == kindNumber:
		hint = "put it into quotes"
	case a.kind == kindString && b.field != nil && b.field.Name == b.text:
		hint = "put it into quotes if it is meant as text: \"" + b.text + "\""
	case a.kind == kindInstant && b.kind == kindString:
		hint = `write a time as date("2026-03-01")`
	case a.kind == kindThemes || b.kind == kindThemes:
		hint = `"path" in themes tells whether a theme is there`
	}
	return x.problem(n, "wrong_type", hint, "%s (%s) cannot be compared with %s (%s)", a.text, a.kind, b.text, b.kind)
}

func compareNumbers(want uint8, a, b *term) func(*Frame) Truth {
	order := func(v, w float64) Truth {
		switch {
		case v < w:
			return truthOf(want&less != 0)
		case v > w:
			return truthOf(want&greater != 0)
		default:
			return truthOf(want&equal != 0)
		}
	}
	if a.field != nil && a.field.Num != nil && a.field.Name != "word_count" && b.constant {
		get, w := a.field.Num, b.number
		return func(f *Frame) Truth {
			if v, ok := get(&f.event); ok {
				return order(v, w)
			}
			return Unknown
		}
	}
	left, right := a.num, b.num
	return func(f *Frame) Truth {
		v, ok := left(f)
		w, ok2 := right(f)
		if !ok || !ok2 {
			return Unknown
		}
		return order(v, w)
	}
}

func compareTimes(want uint8, a, b func(*Frame) (feedback.Time, bool)) func(*Frame) Truth {
	return func(f *Frame) Truth {
		v, ok := a(f)
		w, ok2 := b(f)
		switch {
		case !ok || !ok2:
			return Unknown
		case v < w:
			return truthOf(want&less != 0)
		case v > w:
			return truthOf(want&greater != 0)
		default:
			return truthOf(want&equal != 0)
		}
	}
}

func compareStrings(want bool, a, b *term) func(*Frame) Truth {
	if a.field != nil && a.field.Str != nil && b.constant {
		get, w := a.field.Str, b.string
		return func(f *Frame) Truth {
			if v, ok := get(&f.event); ok {
				return truthOf((v == w) == want)
			}
			return Unknown
		}
	}
	left, right := a.str, b.str
	return func(f *Frame) Truth {
		v, ok := left(f)
		w, ok2 := right(f)
		if !ok || !ok2 {
			return Unknown
		}
		return truthOf((v == w) == want)
	}
}

func compareTruths(want bool, a, b func(*Frame) Truth) func(*Frame) Truth {
	return func(f *Frame) Truth {
		v, w := a(f), b(f)
		if v == Unknown || w == Unknown {
			return Unknown
		}
		return truthOf((v == w) == want)
	}
}

// in compiles membership: in a list, a range, or an item's themes.
func (x *expression) in(n *ast.BinaryNode) *term {
	a, b := x.term(n.Left), x.collection(n.Right)
	if a == nil || b == nil {
		return nil
	}
	t := &term{kind: kindBool, key: keyOf("in", a, b), text: n.String(), cost: 1}
	switch {
	case b.kind == kindThemes && a.kind == kindString:
		t.truth = inThemes(a)
		if a.constant {
			t.test = themeTest(a.string, b)
		}
	case b.kind == kindStrings && a.kind == kindString:
		t.truth, t.test = inStrings(a.str, b.list), stringTest(false, a, b.list...)
	case b.kind == kindNumbers && a.kind == kindNumber:
		sorted := slices.Sorted(slices.Values(b.numbers))
		t.truth, t.test = inNumbers(a.num, sorted), listTest(a, sorted)
	case b.kind == kindRange && a.kind == kindNumber:
		t.truth, t.test = inRange(a.num, b.low, b.top), spanTest(a, b.low, b.top)
	case b.kind == kindThemeList:
		return x.problem(n.Right, "wrong_type", `"path" in themes`, "in looks through themes, found theme_scores")
	case b.kind == kindThemes || b.kind == kindStrings || b.kind == kindNumbers || b.kind == kindRange:
		return x.problem(n, "wrong_type", "", "%s (%s) cannot be in a %s", a.text, a.kind, b.kind)
	default:
		hint := ""
		if a.kind == kindString && b.kind == kindString {
			hint = "parts of a text are found with contains"
		}
		return x.problem(n.Right, "wrong_type", hint, "in takes a list, a range or themes on its right, found %s", b.describe())
	}
	return t.from(a, b)
}

// collection compiles what stands to the right of in, where lists and ranges are allowed.
func (x *expression) collection(n ast.Node) *term {
	switch n := n.(type) {
	case *ast.ArrayNode:
		return x.list(n)
	case *ast.BinaryNode:
		if n.Operator == ".." {
			return x.span(n)
		}
	}
	return x.term(n)
}

func (x *expression) list(n *ast.ArrayNode) *term {
	out := &term{constant: true, text: n.String(), kind: kindStrings}
	for i, e := range n.Nodes {
		t := x.term(e)
		if t == nil {
			return nil
		}
		if !t.constant || t.kind != kindString && t.kind != kindNumber {
			return x.problem(e, "wrong_type", "", "a list holds constant strings or numbers, found %s", t.describe())
		}
		k := kindStrings
		if t.kind == kindNumber {
			k = kindNumbers
		}
		if i > 0 && k != out.kind {
			return x.problem(e, "wrong_type", "", "a list holds either strings or numbers, found %s", t.describe())
		}
		out.kind = k
		if k == kindNumbers {
			out.numbers = append(out.numbers, t.number)
		} else {
			out.list = append(out.list, t.string)
		}
	}
	if len(n.Nodes) == 0 {
		return x.problem(n, "wrong_value", "", "found an empty list, which nothing is in")
	}
	out.key = keyOfStrings(out.list)
	if out.kind == kindNumbers {
		out.key = keyOfNumbers(out.numbers)
	}
	return out
}

func (x *expression) span(n *ast.BinaryNode) *term {
	a, b := x.term(n.Left), x.term(n.Right)
	if a == nil || b == nil {
		return nil
	}
	if !a.constant || !b.constant || a.kind != kindNumber || b.kind != kindNumber {
		return x.problem(n, "wrong_type", "compare with <= and >= instead", "a range has constant numbers as bounds, found %s", n)
	}
	if a.number > b.number {
		return x.problem(n, "wrong_value", "write the lower bound first", "found the range %s, which nothing is in", n)
	}
	return &term{kind: kindRange, constant: true, low: a.number, top: b.number, key: keyOf("..", a, b), text: n.String()}
}

// shortList is the length up to which a list is searched one by one.
const shortList = 8

func inStrings(get func(*Frame) (string, bool), list []string) func(*Frame) Truth {
	if len(list) <= shortList {
		return func(f *Frame) Truth {
			v, ok := get(f)
			if !ok {
				return Unknown
			}
			return truthOf(slices.Contains(list, v))
		}
	}
	set := make(map[string]struct{}, len(list))
	for _, v := range list {
		set[v] = struct{}{}
	}
	return func(f *Frame) Truth {
		v, ok := get(f)
		if !ok {
			return Unknown
		}
		_, in := set[v]
		return truthOf(in)
	}
}

func inNumbers(get func(*Frame) (float64, bool), sorted []float64) func(*Frame) Truth {
	return func(f *Frame) Truth {
		v, ok := get(f)
		if !ok {
			return Unknown
		}
		_, in := slices.BinarySearch(sorted, v)
		return truthOf(in)
	}
}

func inRange(get func(*Frame) (float64, bool), low, top float64) func(*Frame) Truth {
	return func(f *Frame) Truth {
		v, ok := get(f)
		if !ok {
			return Unknown
		}
		return truthOf(low <= v && v <= top)
	}
}

func inThemes(a *term) func(*Frame) Truth {
	get := a.str
	return func(f *Frame) Truth {
		v, ok := get(f)
		if !ok {
			return Unknown
		}
		return f.hasTheme(feedback.ThemePath(v))
	}
}
