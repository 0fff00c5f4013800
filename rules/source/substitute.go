package source

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/closedloop/closedloop/sdk/suggest"
)

var (
	placeholder  = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)
	onlyReplaced = regexp.MustCompile(`^` + placeholder.String() + `$`)
)

// Substitute puts values in the place of ${NAME} in all strings below the node. A string that is nothing but ${NAME}
// becomes the value itself, with its type: a string, a number, a bool or a list of them; within a longer text stands
// what the value looks like, where a list is left as it is. A key of a map whose value becomes the empty string is
// taken out, as if it were not given: see Omitted. A string that is nothing but an unknown ${NAME} is noted; within a
// text it is left, since a text may hold braces of its own.
func (n *Node) Substitute(values map[string]any) {
	switch {
	case n.IsMap():
		n.entries = slices.DeleteFunc(n.entries, func(e Entry) bool {
			e.Value.Substitute(values)
			if e.Value.replaced && e.Value.IsString() && e.Value.y.Value == "" {
				n.omitted = append(n.omitted, e.Name)
				return true
			}
			return false
		})
	case n.IsList():
		for _, e := range n.list {
			e.Substitute(values)
		}
	case n.IsString():
		n.substitute(values)
	}
}

func (n *Node) substitute(values map[string]any) {
	if m := onlyReplaced.FindStringSubmatch(n.y.Value); m != nil {
		v, ok := values[m[1]]
		if !ok {
			var names []string
			for name := range values {
				names = append(names, name)
			}
			slices.Sort(names)
			n.ProblemHint("unknown_name", suggest.DidYouMean(m[1], names), "unknown parameter %q", m[1])
			return
		}
		n.become(v)
		return
	}
	text := placeholder.ReplaceAllStringFunc(n.y.Value, func(s string) string {
		switch v := values[s[2:len(s)-1]].(type) {
		case nil, []any:
			return s
		case float64:
			return strconv.FormatFloat(v, 'f', -1, 64)
		default:
			return fmt.Sprint(v)
		}
	})
	if text != n.y.Value {
		y := *n.y
		y.Value = text
		n.y, n.replaced = &y, true
	}
}

// become turns the node into a value. It stands where it stood.
func (n *Node) become(v any) {
	y := yaml.Node{Kind: yaml.ScalarNode, Line: n.y.Line, Column: n.y.Column}
	switch v := v.(type) {
	case string:
		y.Tag, y.Value = "!!str", v
	case bool:
		y.Tag, y.Value = "!!bool", strconv.FormatBool(v)
	case int:
		y.Tag, y.Value = "!!int", strconv.Itoa(v)
	case float64:
		y.Tag, y.Value = "!!float", strconv.FormatFloat(v, 'f', -1, 64)
		if v == math.Trunc(v) {
			y.Tag = "!!int"
		}
	case []any:
		y.Kind = yaml.SequenceNode
		for _, e := range v {
			element := &Node{doc: n.doc, y: n.y}
			element.become(e)
			n.list = append(n.list, element)
		}
	default:
		y.Tag = "!!null"
	}
	n.y, n.replaced = &y, true
}

// Replaced reports whether the value, or a part of it, was put there by Substitute.
func (n *Node) Replaced() bool { return n != nil && n.replaced }

// Omitted reports whether Substitute took the key out of the map, because its value is empty.
func (n *Node) Omitted(key string) bool { return n != nil && slices.Contains(n.omitted, key) }
