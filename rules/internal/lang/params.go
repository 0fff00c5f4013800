package lang

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/closedloop/closedloop/sdk/suggest"
)

// paramRoot is the word that parameters stand behind.
const paramRoot = "params"

// UseParams has the expressions that are given from now on read params.NAME as a constant: a string, an int, a float64,
// a bool, or a []any of strings or numbers. A parameter with another value is known, and refused in expressions.
func (c *Compiler) UseParams(values map[string]any) { c.params = values }

// paramVisitor puts constants in the place of parameters.
type paramVisitor struct{ values map[string]any }

// Visit looks at one part of an expression.
func (p *paramVisitor) Visit(n *ast.Node) {
	m, ok := (*n).(*ast.MemberNode)
	if !ok {
		return
	}
	name, ok := strings.CutPrefix(path(m), paramRoot+".")
	if !ok {
		return
	}
	if c := constantNode(p.values[name]); c != nil {
		ast.Patch(n, c)
	}
}

// constantNode returns a constant, or nil for a value that no expression can hold.
func constantNode(v any) ast.Node {
	switch v := v.(type) {
	case string:
		return &ast.StringNode{Value: v}
	case bool:
		return &ast.BoolNode{Value: v}
	case int:
		return &ast.IntegerNode{Value: v}
	case float64:
		if i := int(v); float64(i) == v {
			return &ast.IntegerNode{Value: i}
		}
		return &ast.FloatNode{Value: v}
	case []any:
		list := &ast.ArrayNode{}
		for _, e := range v {
			c := constantNode(e)
			if c == nil {
				return nil
			}
			list.Nodes = append(list.Nodes, c)
		}
		return list
	}
	return nil
}

// param reports why a parameter is none that an expression can read.
func (x *expression) param(n ast.Node, name string) *term {
	values := x.compiler.params
	switch v, ok := values[name]; {
	case ok:
		return x.problem(n, "wrong_type", fmt.Sprintf("elsewhere in the file it is written ${%s}", name), "the parameter %s is %v, which has no place in an expression", name, v)
	case len(values) == 0:
		return x.problem(n, "unknown_name", "declare it in this file: params: {"+name+": {type: string}}", "unknown parameter %q", name)
	}
	return x.problem(n, "unknown_name", suggest.DidYouMean(name, slices.Sorted(maps.Keys(values))), "unknown parameter %q", name)
}
