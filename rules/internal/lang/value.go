package lang

import (
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/closedloop/closedloop/sdk/feedback"
)

func (x *expression) arithmetic(n *ast.BinaryNode) *term {
	a, b := x.term(n.Left), x.term(n.Right)
	if a == nil || b == nil {
		return nil
	}
	if a.kind != kindNumber || b.kind != kindNumber {
		hint := ""
		switch {
		case a.kind == kindString && b.kind == kindString:
			hint = "text cannot be joined; compare its parts one by one"
		case a.kind == kindInstant || b.kind == kindInstant:
			hint = `compare times with date("2026-03-01")`
		}
		return x.problem(n, "wrong_type", hint, "%s takes numbers, found %s (%s) and %s (%s)", n.Operator, a.text, a.kind, b.text, b.kind)
	}
	operation := map[string]func(v, w float64) float64{
		"+": func(v, w float64) float64 { return v + w },
		"-": func(v, w float64) float64 { return v - w },
		"*": func(v, w float64) float64 { return v * w },
		"/": func(v, w float64) float64 { return v / w },
	}[n.Operator]
	left, right := a.num, b.num
	t := &term{kind: kindNumber, key: keyOf(n.Operator, a, b), text: n.String(), cost: 1, parts: partComputed, num: func(f *Frame) (float64, bool) {
		v, ok := left(f)
		w, ok2 := right(f)
		if !ok || !ok2 {
			return 0, false
		}
		r := operation(v, w)
		return r, r-r == 0 // dividing by zero and overflow give no number
	}}
	return t.from(a, b)
}

// otherwise compiles ??, the left side unless it is unknown, then the right.
func (x *expression) otherwise(n *ast.BinaryNode) *term {
	a, b := x.term(n.Left), x.term(n.Right)
	if a == nil || b == nil {
		return nil
	}
	if a.kind != b.kind {
		return x.problem(n, "wrong_type", "", "both sides of ?? are of one type, found %s (%s) and %s (%s)", a.text, a.kind, b.text, b.kind)
	}
	t := &term{kind: a.kind, key: keyOf("??", a, b), text: n.String(), cost: 1}
	switch a.kind {
	case kindNumber:
		t.num = otherwiseOf(a.num, b.num)
	case kindString:
		t.str = otherwiseOf(a.str, b.str)
	case kindInstant:
		t.time = otherwiseOf(a.time, b.time)
	case kindBool:
		t.op, t.kids = opElse, []*term{a, b}
		left, right := a.truth, b.truth
		t.truth = func(f *Frame) Truth {
			if v := left(f); v != Unknown {
				return v
			}
			return right(f)
		}
	default:
		return x.problem(n, "wrong_type", "has(themes) tells whether there are any", "?? takes single values, found a %s", a.kind)
	}
	return t.from(a, b)
}

func otherwiseOf[T any](a, b func(*Frame) (T, bool)) func(*Frame) (T, bool) {
	return func(f *Frame) (T, bool) {
		if v, ok := a(f); ok {
			return v, true
		}
		return b(f)
	}
}

// pointer compiles # and its members within any, all, none, one and count.
func (x *expression) pointer(n *ast.PointerNode, member string) *term {
	if n.Name != "" {
		return x.problem(n, "not_allowed", "", "#%s is not part of the rule language", n.Name)
	}
	if x.element == kindNone {
		return x.problem(n, "not_allowed", "", "found # outside of any, all, none, one and count")
	}
	t := &term{kind: kindString, local: true, cost: 1, key: "#." + member, text: "." + member, parts: partName}
	switch {
	case x.element == kindString && member == "":
		t.key, t.text = "#", "#"
		t.str = themePath
		return t
	case x.element == kindString:
		return x.problem(n, "unknown_name", "look through theme_scores for .name, .confidence and .sentiment", "an element of themes is a path and has no parts")
	}
	switch member {
	case "name":
		t.str = themePath
	case "confidence":
		t.kind, t.parts = kindNumber, partConfidence
		t.num = func(f *Frame) (float64, bool) { return f.theme.Confidence, f.theme.Confidence-f.theme.Confidence == 0 }
	case "sentiment":
		t.kind, t.parts = kindNumber, partSentiment
		t.num = func(f *Frame) (float64, bool) {
			if s := f.theme.Sentiment; s != nil {
				return *s, *s-*s == 0
			}
			return 0, false
		}
	case "":
		t.kind, t.key, t.text = kindTheme, "#", "#"
	default:
		return x.problem(n, "unknown_name", suggestMember(member), "a theme has no part %q, expected one of .name, .confidence, .sentiment", member)
	}
	return t
}

func themePath(f *Frame) (string, bool) {
	p := string(f.theme.Path)
	return p, len(p) <= MaxPath
}

// has compiles the test whether a field is given, which is never unknown.
func (x *expression) has(n ast.Node, args []*term) *term {
	a := args[0]
	t := &term{kind: kindBool, key: keyOf("has", a), text: n.String(), cost: 1}
	if a.field == nil && !a.local && a.key != cellKey || a.kind == kindTheme {
		return x.problem(n, "wrong_type", "", "has takes a field, found %s", a.describe())
	}
	if a.field != nil && a.kind != kindThemes && a.kind != kindThemeList {
		t.test = &Test{Kind: GivenTest, on: a}
	}
	switch a.kind {
	case kindNumber:
		t.truth = given(a.num)
	case kindString:
		t.truth = given(a.str)
	case kindInstant:
		t.truth = given(a.time)
	case kindBool:
		inner := a.truth
		t.truth = func(f *Frame) Truth { return truthOf(inner(f) != Unknown) }
	default:
		t.truth = func(f *Frame) Truth { return truthOf(len(f.event.Labels.Themes) > 0) }
	}
	return t.from(a)
}

func given[T any](get func(*Frame) (T, bool)) func(*Frame) Truth {
	return func(f *Frame) Truth {
		_, ok := get(f)
		return truthOf(ok)
	}
}

// within compiles the test whether one theme path is another or lies below it.
func (x *expression) within(n ast.Node, args []*term) *term {
	a, b := args[0], args[1]
	left, right := a.str, b.str
	t := &term{kind: kindBool, key: keyOf("within", a, b), text: n.String(), cost: 1, truth: func(f *Frame) Truth {
		v, ok := left(f)
		w, ok2 := right(f)
		if !ok || !ok2 {
			return Unknown
		}
		return truthOf(feedback.ThemePath(v).Within(feedback.ThemePath(w)))
	}}
	if a.isPath() && b.constant {
		t.test = &Test{Kind: LiteralTest, Literals: []string{b.string}}
	}
	return t.from(a, b)
}

// changed compiles lower, upper and trim.
func changed(n ast.Node, name string, a *term) *term {
	change := map[string]func(string) string{"lower": strings.ToLower, "upper": strings.ToUpper, "trim": strings.TrimSpace}[name]
	get := a.str
	t := &term{kind: kindString, key: keyOf(name, a), text: n.String(), cost: a.through(costChange), str: func(f *Frame) (string, bool) {
		v, ok := get(f)
		return change(v), ok
	}}
	return t.from(a)
}
