package lang

import (
	"github.com/expr-lang/expr/ast"

	"github.com/closedloop/closedloop/sdk/suggest"
)

func suggestMember(name string) string {
	if near := suggest.Nearest(name, []string{"name", "confidence", "sentiment"}); near != "" {
		return "did you mean ." + near + "?"
	}
	return ""
}

// iteration compiles any, all, none, one and count over an item's themes.
func (x *expression) iteration(n ast.Node, name string, nodes []ast.Node) *term {
	if len(nodes) != 2 {
		return x.problem(n, "wrong_type", "", "expected %s(theme_scores, condition)", name)
	}
	if x.element != kindNone {
		return x.problem(n, "not_allowed", "", "%s within another iteration is not part of the rule language", name)
	}
	list := x.term(nodes[0])
	if list == nil {
		return nil
	}
	switch list.kind {
	case kindThemeList:
		x.element = kindTheme
	case kindThemes:
		x.element = kindString
	default:
		return x.problem(nodes[0], "wrong_type", "", "%s looks through theme_scores or themes, found %s", name, list.describe())
	}
	body := x.term(nodes[1])
	x.element = kindNone
	if body == nil {
		return nil
	}
	if body.kind != kindBool {
		return x.problem(nodes[1], "wrong_type", "", "%s takes a condition, found %s", name, body.describe())
	}
	t := &term{kind: kindBool, key: keyOf(name, list, body), text: n.String()}
	t.from(list, body)
	t.local = false
	t.cost = MaxThemes * (body.cost + 1) // far from overflowing
	if name == "count" {
		t.kind, t.num = kindNumber, counting(body.truth)
		return t
	}
	t.truth = deciding(name, body.truth)
	if name == "any" {
		t.test = anyTest(list, body)
	}
	return t
}

// tally counts the themes for which the body is true and those for which it is unknown; enough stops early.
func (f *Frame) tally(body func(*Frame) Truth, enough func(yes, unknown, no int) bool) (yes, unknown, no int) {
	themes := f.event.Labels.Themes
	if len(themes) > MaxThemes {
		themes, unknown = themes[:MaxThemes], len(themes)-MaxThemes
	}
	if f.unlabelled {
		unknown++
	}
	for i := range themes {
		f.theme = &themes[i]
		switch body(f) {
		case True:
			yes++
		case Unknown:
			unknown++
		case False:
			no++
		}
		if enough != nil && enough(yes, unknown, no) {
			break
		}
	}
	f.theme = nil
	return yes, unknown, no
}

func counting(body func(*Frame) Truth) func(*Frame) (float64, bool) {
	return func(f *Frame) (float64, bool) {
		yes, unknown, _ := f.tally(body, nil)
		return float64(yes), unknown == 0
	}
}

func deciding(name string, body func(*Frame) Truth) func(*Frame) Truth {
	someYes := func(yes, _, _ int) bool { return yes > 0 }
	someNo := func(_, _, no int) bool { return no > 0 }
	several := func(yes, _, _ int) bool { return yes > 1 }
	anyOf := func(f *Frame) Truth {
		switch yes, unknown, _ := f.tally(body, someYes); {
		case yes > 0:
			return True
		case unknown > 0:
			return Unknown
		}
		return False
	}
	switch name {
	case "any":
		return anyOf
	case "none":
		return func(f *Frame) Truth { return anyOf(f).Not() }
	case "all":
		return func(f *Frame) Truth {
			switch _, unknown, no := f.tally(body, someNo); {
			case no > 0:
				return False
			case unknown > 0:
				return Unknown
			}
			return True
		}
	}
	return func(f *Frame) Truth { // one
		switch yes, unknown, _ := f.tally(body, several); {
		case yes > 1:
			return False
		case unknown > 0:
			return Unknown
		default:
			return truthOf(yes == 1)
		}
	}
}
