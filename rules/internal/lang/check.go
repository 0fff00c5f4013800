package lang

import (
	"fmt"
	"math"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/closedloop/closedloop/sdk/suggest"
)

// term checks and compiles a node. It is the allow-list: what it does not know is refused. It returns nil when
// something is wrong, and goes on with the other parts so that everything wrong is reported.
func (x *expression) term(n ast.Node) *term {
	switch n := n.(type) {
	case *ast.BoolNode:
		return boolTerm(n.Value)
	case *ast.IntegerNode:
		if n.Value > 1<<53 || n.Value < -1<<53 {
			return x.problem(n, "out_of_range", "", "found the number %d, expected at most 2^53 in amount", n.Value)
		}
		return numberTerm(float64(n.Value), n.String())
	case *ast.FloatNode:
		if math.IsInf(n.Value, 0) || math.IsNaN(n.Value) {
			return x.problem(n, "out_of_range", "", "found a number that is not finite")
		}
		return numberTerm(n.Value, n.String())
	case *ast.StringNode:
		return stringTerm(n.Value, n.String())
	case *ast.IdentifierNode:
		return x.identifier(n)
	case *ast.MemberNode:
		return x.member(n)
	case *ast.PointerNode:
		return x.pointer(n, "")
	case *ast.UnaryNode:
		return x.unary(n)
	case *ast.BinaryNode:
		return x.binary(n)
	case *ast.BuiltinNode:
		return x.call(n, n.Name, n.Arguments)
	case *ast.CallNode:
		if callee, ok := n.Callee.(*ast.IdentifierNode); ok {
			return x.call(n, callee.Value, n.Arguments)
		}
		return x.problem(n, "not_allowed", "", "found the call of a method, which values in rules do not have")
	}
	return x.refuse(n)
}

// refuse tells why a construct is not in the language.
func (x *expression) refuse(n ast.Node) *term {
	what, hint := "this construct", ""
	switch n := n.(type) {
	case *ast.NilNode:
		what, hint = "nil", "test whether something is given with has(x), or give a default with (x ?? default)"
	case *ast.ChainNode:
		what, hint = "?.", "write a dot; any field may be missing, see has(x) and (x ?? default)"
	case *ast.SliceNode:
		what, hint = "a slice", "use startsWith, endsWith or contains"
	case *ast.ConditionalNode:
		what, hint = "a conditional", "write (a and b) or (not a and c)"
	case *ast.VariableDeclaratorNode:
		what, hint = "let", "declare it under macros"
	case *ast.SequenceNode:
		what, hint = "a semicolon", "join conditions with and"
	case *ast.MapNode:
		what = "a map"
	case *ast.ArrayNode:
		what, hint = "a list", "lists stand to the right of in"
	case *ast.BytesNode:
		what, hint = "bytes", "write the text without b"
	case *ast.PredicateNode:
		return x.term(n.Node)
	}
	return x.problem(n, "not_allowed", hint, "%s is not part of the rule language", what)
}

func (x *expression) identifier(n *ast.IdentifierNode) *term {
	name := n.Value
	if name == "it" && x.it != nil {
		return x.it
	}
	if _, ok := x.compiler.macros[name]; ok {
		return x.macro(n)
	}
	if f, ok := x.compiler.fields[name]; ok {
		return f.term()
	}
	if name == "$env" {
		return x.problem(n, "not_allowed", "name the field", "$env is not part of the rule language")
	}
	return x.unknown(n, name)
}

func (x *expression) macro(n *ast.IdentifierNode) *term {
	c := x.compiler
	if c.macros[n.Value].state == open {
		return x.problem(n, "macro_cycle", "", "the macro %s is defined by itself", n.Value)
	}
	t := c.expand(n.Value)
	if t == nil {
		x.failed = true // reported at the macro
		return nil
	}
	named := *t
	named.macro = n.Value
	return &named
}

// unknown reports a name that is no field, with the nearest one.
func (x *expression) unknown(n ast.Node, name string) *term {
	c := x.compiler
	if _, ok := c.lists[name]; ok {
		return x.problem(n, "unknown_name", "lists."+name, "unknown field %q, which is a list", name)
	}
	var members []string
	for _, f := range c.names {
		if strings.HasPrefix(f, name+".") {
			members = append(members, f)
		}
	}
	if len(members) > 0 {
		return x.problem(n, "unknown_name", "", "%s is no value, expected one of %s", name, strings.Join(members, ", "))
	}
	if prefix, attribute, ok := attributeName(name); ok {
		return x.unknownAttribute(n, prefix, attribute)
	}
	hint := suggest.DidYouMean(name, append(sortedKeys(c.macros), c.names...))
	for _, prefix := range [...]string{"attributes.", "customer.", "customer.attributes.", "params."} {
		if _, ok := c.fields[prefix+name]; ok {
			hint = fmt.Sprintf("did you mean %q?", prefix+name)
			break
		}
	}
	if hint == "" {
		hint = "text stands in quotes; fields of the program's own are attributes.NAME"
	}
	return x.problem(n, "unknown_name", hint, "unknown field %q", name)
}

func attributeName(path string) (prefix, name string, ok bool) {
	for _, prefix := range []string{"customer.attributes.", "attributes."} {
		if name, ok := strings.CutPrefix(path, prefix); ok && name != "" {
			return prefix, name, true
		}
	}
	return "", "", false
}

func (x *expression) unknownAttribute(n ast.Node, prefix, name string) *term {
	var declared []string
	for _, f := range x.compiler.names {
		if d, ok := strings.CutPrefix(f, prefix); ok {
			declared = append(declared, d)
		}
	}
	hint := suggest.DidYouMean(name, declared)
	if hint == "" {
		owner := "item"
		if prefix != "attributes." {
			owner = "customer"
		}
		hint = fmt.Sprintf("declare it in the program: attributes: {%s: {%s: string}}", owner, name)
	}
	return x.problem(n, "unknown_name", hint, "unknown attribute %q", name)
}

// path returns the dotted name that a chain of members spells, or "".
func path(n ast.Node) string {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return n.Value
	case *ast.MemberNode:
		p := path(n.Node)
		if s, ok := n.Property.(*ast.StringNode); ok && p != "" && !n.Optional {
			return p + "." + s.Value
		}
	}
	return ""
}

func root(path string) string {
	first, _, _ := strings.Cut(path, ".")
	return first
}

func (x *expression) member(n *ast.MemberNode) *term {
	if p, ok := n.Node.(*ast.PointerNode); ok {
		if s, ok := n.Property.(*ast.StringNode); ok && !n.Optional {
			return x.pointer(p, s.Value)
		}
	}
	name := path(n)
	if name == "" {
		return x.problem(n, "not_allowed", "look through themes with any, all, none, one or count", "taking an element of a list is not part of the rule language")
	}
	c := x.compiler
	if param, ok := strings.CutPrefix(name, paramRoot+"."); ok {
		return x.param(n, param)
	}
	if list, ok := strings.CutPrefix(name, "lists."); ok {
		if t, ok := c.lists[list]; ok {
			c.named[list] = true
			return t
		}
		return x.problem(n, "unknown_name", suggest.DidYouMean(list, sortedKeys(c.lists)), "unknown list %q", list)
	}
	if f, ok := c.fields[name]; ok {
		return f.term()
	}
	if f, ok := c.fields[root(name)]; ok {
		return x.problem(n, "unknown_name", "", "%s is a %s and has no parts", f.Name, f.kind)
	}
	return x.unknown(n, name)
}

func (x *expression) unary(n *ast.UnaryNode) *term {
	t := x.term(n.Node)
	if t == nil {
		return nil
	}
	switch n.Operator {
	case "!", "not":
		if t.kind != kindBool {
			return x.problem(n, "wrong_type", "put what is denied into parentheses: not (score in 0..6)", "not takes a condition, found %s", t.describe())
		}
		return not(t, n.String())
	case "-", "+":
		if t.kind != kindNumber {
			return x.problem(n, "wrong_type", "", "the sign %s takes a number, found %s", n.Operator, t.describe())
		}
		return signed(n.Operator, t, n.String())
	}
	return x.problem(n, "not_allowed", "", "the operator %s is not part of the rule language", n.Operator)
}

func not(t *term, text string) *term {
	if t.constant {
		return boolTerm(t.key == "false")
	}
	inner := t.truth
	return (&term{kind: kindBool, op: opNot, cost: 1, kids: []*term{t}, key: keyOf("not", t), text: text,
		truth: func(f *Frame) Truth { return inner(f).Not() }}).from(t)
}

func signed(sign string, t *term, text string) *term {
	if sign == "+" {
		return t
	}
	if t.constant {
		return numberTerm(-t.number, text)
	}
	inner := t.num
	return (&term{kind: kindNumber, cost: 1, key: keyOf("-", t), text: text, num: func(f *Frame) (float64, bool) {
		v, ok := inner(f)
		return -v, ok
	}}).from(t)
}

func (x *expression) binary(n *ast.BinaryNode) *term {
	switch n.Operator {
	case "and", "&&", "or", "||":
		return x.junction(n)
	case "==", "!=", "<", "<=", ">", ">=":
		return x.comparison(n)
	case "in":
		return x.in(n)
	case "contains", "startsWith", "endsWith":
		return x.search(n)
	case "matches":
		return x.matches(n)
	case "+", "-", "*", "/":
		return x.arithmetic(n)
	case "??":
		return x.otherwise(n)
	case "..":
		return x.problem(n, "not_allowed", "", "a range stands to the right of in only")
	}
	return x.problem(n, "not_allowed", "", "the operator %s is not part of the rule language", n.Operator)
}

// junction flattens and/or of the same kind into one term.
func (x *expression) junction(n *ast.BinaryNode) *term {
	a, b := x.term(n.Left), x.term(n.Right)
	for i, t := range [...]*term{a, b} {
		if t != nil && t.kind != kindBool {
			x.problem([...]ast.Node{n.Left, n.Right}[i], "wrong_type", "compare it with something", "%s joins conditions, found %s", n.Operator, t.describe())
			return nil
		}
	}
	if a == nil || b == nil {
		return nil
	}
	o, name := opAnd, "and"
	if n.Operator == "or" || n.Operator == "||" {
		o, name = opOr, "or"
	}
	var kids []*term
	for _, t := range [...]*term{a, b} {
		if t.op == o && t.macro == "" {
			kids = append(kids, t.kids...)
		} else {
			kids = append(kids, t)
		}
	}
	return (&term{kind: kindBool, op: o, cost: 1, kids: kids, key: keyOf(name, kids...), text: "(... " + name + " ...)", truth: junctionOf(o, kids)}).from(kids...)
}

func junctionOf(o op, kids []*term) func(*Frame) Truth {
	if o == opAnd {
		return func(f *Frame) Truth {
			t := True
			for _, k := range kids {
				if t = min(t, k.truth(f)); t == False {
					break
				}
			}
			return t
		}
	}
	return func(f *Frame) Truth {
		t := False
		for _, k := range kids {
			if t = max(t, k.truth(f)); t == True {
				break
			}
		}
		return t
	}
}
