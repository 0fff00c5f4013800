package source

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/suggest"
)

// Node is a value in a file, or nil for one that is not given. It is not safe for concurrent use.
type Node struct {
	doc     *document
	y       *yaml.Node
	key     *Node
	list    []*Node
	entries []Entry

	replaced bool     // by Substitute
	omitted  []string // by Substitute
}

// Entry is one key of a map with its value.
type Entry struct {
	Name  string
	Key   *Node // stands where the key stands
	Value *Node
}

// Pos is a place in a file.
type Pos struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`   // from 1; 0 is unknown
	Column int    `json:"column,omitempty"` // likewise
}

// String writes file:line:column.
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// wrapper turns YAML nodes into Nodes: it resolves aliases, checks the limits and notes doubled keys.
type wrapper struct {
	doc    *document
	nodes  int
	open   map[*yaml.Node]bool // collections being wrapped, to find one that holds itself
	failed bool
}

func (w *wrapper) fail(y *yaml.Node, code, message, hint string) *Node {
	if !w.failed {
		w.doc.add(y.Line, y.Column, code, message, hint)
		w.failed = true
	}
	return nil
}

func (w *wrapper) wrap(y *yaml.Node, depth int) *Node {
	for y.Kind == yaml.AliasNode {
		if w.open[y.Alias] {
			return w.fail(y, "yaml_alias", fmt.Sprintf("the alias *%s stands within its own anchor", y.Value), "")
		}
		y = y.Alias
	}
	if w.nodes++; w.nodes > MaxNodes {
		return w.fail(y, "too_large", fmt.Sprintf("found more than %d values, counting each repetition by an alias", MaxNodes), "divide the file, or use fewer aliases")
	}
	n := &Node{doc: w.doc, y: y}
	if y.Kind == yaml.ScalarNode {
		return n
	}
	if depth++; depth > MaxDepth {
		return w.fail(y, "too_deep", fmt.Sprintf("found more than %d lists and maps within each other", MaxDepth), "")
	}
	w.open[y] = true
	defer delete(w.open, y)
	if y.Kind == yaml.SequenceNode {
		for _, c := range y.Content {
			if w.failed {
				return nil
			}
			n.list = append(n.list, w.wrap(c, depth))
		}
		return n
	}
	return w.mapping(n, y, depth)
}

func (w *wrapper) mapping(n *Node, y *yaml.Node, depth int) *Node {
	seen := make(map[string]int, len(y.Content)/2)
	for i := 0; i+1 < len(y.Content) && !w.failed; i += 2 {
		k := y.Content[i]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		key := &Node{doc: w.doc, y: k}
		if k.Kind != yaml.ScalarNode {
			return w.fail(y.Content[i], "yaml_key", "found a list or map as a key, expected text", "")
		}
		if k.Tag == "!!merge" {
			return w.fail(k, "yaml_merge", "found the merge key <<, which is not supported", "repeat the keys")
		}
		value := w.wrap(y.Content[i+1], depth)
		if value == nil {
			return nil
		}
		if line, ok := seen[k.Value]; ok {
			key.Problem("duplicate_key", "found the key %q again, it stands on line %d already", k.Value, line)
			continue
		}
		seen[k.Value] = k.Line
		value.key = key
		n.entries = append(n.entries, Entry{Name: k.Value, Key: key, Value: value})
	}
	return n
}

// Problems returns what was noted of the node's file so far, sorted by place.
func (n *Node) Problems() Problems {
	if n == nil {
		return nil
	}
	return n.doc.problems.Sorted()
}

// Pos returns where the value begins.
func (n *Node) Pos() Pos {
	if n == nil {
		return Pos{}
	}
	line, column := n.doc.within(n.y.Line, n.y.Column)
	return Pos{n.doc.file, line, column}
}

// Problem notes something wrong with the value.
func (n *Node) Problem(code, format string, args ...any) {
	n.ProblemHint(code, "", format, args...)
}

// ProblemHint notes something wrong with the value, and how to mend it.
func (n *Node) ProblemHint(code, hint, format string, args ...any) {
	if n != nil {
		n.doc.add(n.y.Line, n.y.Column, code, fmt.Sprintf(format, args...), hint)
	}
}

// ProblemAt notes something wrong at a byte of a scalar's text, as String returns it; see Offset.
func (n *Node) ProblemAt(offset int, code, hint, format string, args ...any) {
	if n != nil {
		p := n.Offset(offset)
		n.doc.add(p.Line, p.Column, code, fmt.Sprintf(format, args...), hint)
	}
}

// Key returns the key under which the value stands in its map, or nil for the root and the elements of lists.
func (n *Node) Key() *Node {
	if n == nil {
		return nil
	}
	return n.key
}

// IsMap reports whether the value is a map.
func (n *Node) IsMap() bool { return n != nil && n.y.Kind == yaml.MappingNode }

// IsList reports whether the value is a list.
func (n *Node) IsList() bool { return n != nil && n.y.Kind == yaml.SequenceNode }

// IsScalar reports whether the value is neither map nor list.
func (n *Node) IsScalar() bool { return n != nil && n.y.Kind == yaml.ScalarNode }

// IsNull reports whether the value is null, as a key without a value is.
func (n *Node) IsNull() bool { return n != nil && n.y.Kind == yaml.ScalarNode && n.y.Tag == "!!null" }

// IsString reports whether the value is a string.
func (n *Node) IsString() bool {
	return n.IsScalar() && (n.y.Tag == "!!str" || n.y.Tag == "!!timestamp")
}

// Found describes the value for a message: the string "x", the number 3, a list, a map, nothing.
func (n *Node) Found() string {
	switch {
	case n == nil || n.IsNull():
		return "nothing"
	case n.IsMap():
		return "a map"
	case n.IsList():
		return "a list"
	}
	v := clip(n.y.Value, 60)
	switch n.y.Tag {
	case "!!int", "!!float":
		return "the number " + v
	case "!!bool":
		return v
	case "!!str", "!!timestamp":
		return "the string " + strconv.Quote(v)
	}
	return "a value with the tag " + n.y.Tag
}

func (n *Node) expected(what string) {
	n.Problem("wrong_type", "found %s, expected %s", n.Found(), what)
}

// Object notes a value that is no map, and every key that is not among the known ones. It reports whether the value is a map.
func (n *Node) Object(known ...string) bool { return n.ObjectBut(nil, known...) }

// ObjectBut is Object with keys that belong elsewhere, each with a hint.
func (n *Node) ObjectBut(elsewhere map[string]string, known ...string) bool {
	if n == nil {
		return false
	}
	if !n.IsMap() {
		n.expected("a map with " + strings.Join(known, ", "))
		return false
	}
	for _, e := range n.entries {
		if hint, ok := elsewhere[e.Name]; ok {
			e.Key.ProblemHint("misplaced_key", hint, "the key %q does not belong here", e.Name)
		} else if !slices.Contains(known, e.Name) {
			e.Key.ProblemHint("unknown_key", suggest.DidYouMean(e.Name, known), "unknown key %q, expected %s", e.Name, oneOf(known))
		}
	}
	return true
}

func oneOf(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return "one of " + strings.Join(names, ", ")
}

// Get returns the value of a key, or nil when it is not given.
func (n *Node) Get(key string) *Node {
	if n == nil {
		return nil
	}
	for i := range n.entries {
		if n.entries[i].Name == key {
			return n.entries[i].Value
		}
	}
	return nil
}

// Need returns the value of a key and notes its absence from a map.
func (n *Node) Need(key string) *Node {
	v := n.Get(key)
	if v == nil && n.IsMap() {
		n.Problem("missing_key", "missing key %q", key)
	}
	return v
}

// Entries returns the keys of a map with their values in the order of the file, and notes a value that is no map.
func (n *Node) Entries() []Entry {
	if n != nil && !n.IsMap() {
		n.expected("a map")
	}
	if n == nil {
		return nil
	}
	return n.entries
}

// Keys returns the names of the keys of a map in the order of the file, and notes a value that is no map.
func (n *Node) Keys() []string {
	var keys []string
	for _, e := range n.Entries() {
		keys = append(keys, e.Name)
	}
	return keys
}

// List returns the elements of a list, and notes a value that is no list.
func (n *Node) List() []*Node {
	if n == nil {
		return nil
	}
	if !n.IsList() {
		n.expected("a list")
	}
	return n.list
}

// Strings returns the elements of a list of strings; a single string counts as a list of one.
func (n *Node) Strings() []string {
	if n == nil {
		return nil
	}
	if n.IsString() {
		return []string{n.y.Value}
	}
	var out []string
	for _, e := range n.List() {
		out = append(out, e.String())
	}
	return out
}

// String returns a string. Numbers and truth values must be put into quotes.
func (n *Node) String() string {
	switch {
	case n == nil:
		return ""
	case n.IsString():
		return n.y.Value
	case n.IsScalar() && strings.HasPrefix(n.y.Tag, "!!") && !n.IsNull():
		n.ProblemHint("wrong_type", "put it into quotes", "found %s, expected a string", n.Found())
	case n.IsScalar() && !n.IsNull():
		n.ProblemHint("wrong_type", "put a value that begins with ! into quotes", "found %s, expected a string", n.Found())
	default:
		n.expected("a string")
	}
	return ""
}

// OneOf returns a string and notes one that is not among the allowed.
func (n *Node) OneOf(allowed ...string) string {
	if n == nil {
		return ""
	}
	if !n.IsString() {
		n.expected(oneOf(allowed))
		return ""
	}
	if !slices.Contains(allowed, n.y.Value) {
		n.ProblemHint("wrong_value", suggest.DidYouMean(n.y.Value, allowed), "found %s, expected %s", n.Found(), oneOf(allowed))
		return ""
	}
	return n.y.Value
}

// Int returns a whole number.
func (n *Node) Int() int {
	if n == nil {
		return 0
	}
	if v, ok := n.scalar().(int); ok {
		return v
	}
	n.expected("a whole number")
	return 0
}

// Number returns a number. Infinities and NaN are noted.
func (n *Node) Number() float64 {
	if n == nil {
		return 0
	}
	switch v := n.scalar().(type) {
	case int:
		return float64(v)
	case float64:
		if !math.IsInf(v, 0) && !math.IsNaN(v) {
			return v
		}
	}
	n.expected("a number")
	return 0
}

// Bool returns a truth value.
func (n *Node) Bool() bool {
	if n == nil {
		return false
	}
	v, ok := n.scalar().(bool)
	if !ok {
		n.expected("true or false")
	}
	return v
}

// Duration returns a positive duration in the form of feedback.ParseDuration.
func (n *Node) Duration() time.Duration {
	if n == nil {
		return 0
	}
	if !n.IsString() {
		n.expected("a duration such as 30s, 5m, 48h or 7d")
		return 0
	}
	d, err := feedback.ParseDuration(n.y.Value)
	if err != nil {
		n.Problem("wrong_value", "%s", err)
	}
	return d
}

// scalar returns a scalar as nil, bool, int, float64 or string.
func (n *Node) scalar() any {
	if !n.IsScalar() {
		return nil
	}
	switch n.y.Tag {
	case "!!bool", "!!int", "!!float":
		var v any
		if err := n.y.Decode(&v); err != nil {
			return n.y.Value
		}
		switch v := v.(type) {
		case bool, int, float64:
			return v
		case int64:
			return float64(v)
		case uint64:
			return float64(v)
		}
		return n.y.Value
	case "!!null":
		return nil
	}
	return n.y.Value
}

// Any returns the value as map[string]any, []any, string, int, float64, bool or nil.
func (n *Node) Any() any {
	switch {
	case n == nil:
		return nil
	case n.IsMap():
		m := make(map[string]any, len(n.entries))
		for _, e := range n.entries {
			m[e.Name] = e.Value.Any()
		}
		return m
	case n.IsList():
		l := make([]any, len(n.list))
		for i, e := range n.list {
			l[i] = e.Any()
		}
		return l
	}
	return n.scalar()
}

// At returns the value at a path such as "columns.score" or "phrases[3]" below the node, or the nearest value above it
// that is given. Keys may hold dots.
func (n *Node) At(path string) *Node {
	if n == nil || path == "" {
		return n
	}
	path = strings.TrimPrefix(path, ".")
	if rest, ok := strings.CutPrefix(path, "["); ok {
		digits, rest, _ := strings.Cut(rest, "]")
		if i, err := strconv.Atoi(digits); err == nil && i >= 0 && i < len(n.list) {
			return n.list[i].At(rest)
		}
		return n
	}
	best := n
	longest := -1
	for _, e := range n.entries {
		rest, ok := strings.CutPrefix(path, e.Name)
		if ok && len(e.Name) > longest && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			best, longest = e.Value.At(rest), len(e.Name)
		}
	}
	return best
}
