package rules

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// anything is a cell that every value fits, or a column that a row does not put out.
const anything = "-"

// tables reads the section of that name. The inputs may use macros and windows of all files.
func (b *builder) tables(root *source.Node) {
	for _, e := range root.Get("tables").Entries() {
		if !b.unique("table", e.Name, e.Key) || !e.Value.Object("description", "hit", "in", "out", "rows") {
			continue
		}
		_ = e.Value.Get("description").String()
		t := &table{name: e.Name, hit: hitFirst, pos: e.Key.Pos()}
		if h := e.Value.Get("hit"); h != nil {
			t.hit = h.OneOf(hitFirst, hitUnique, hitCollect)
		}
		rows := e.Value.Need("rows")
		inputs := b.tableInputs(t, e.Value.Need("in"))
		b.tableOutputs(t, e.Value.Need("out"))
		if inputs && len(t.outputs) > 0 {
			b.tableRows(t, rows)
		}
		b.set.tables = append(b.set.tables, t)
	}
}

// tableInputs reads the columns that rows look at. It reports whether all of them are in order.
func (b *builder) tableInputs(t *table, n *source.Node) bool {
	entries := n.Entries()
	if n.IsMap() && (len(entries) == 0 || len(entries) > maxInputs) {
		n.Problem("wrong_value", "found %d inputs, expected 1 to %d", len(entries), maxInputs)
		return false
	}
	ok := n.IsMap()
	for _, e := range entries {
		c := &column{name: e.Name, texts: map[string]*rowSet{}, numbers: map[float64]*rowSet{}}
		if text, is := expressionOf(e.Value); is {
			c.input = b.lang.Input(text, reportAt(e.Value))
		}
		ok = ok && c.input != nil
		if c.input != nil {
			t.inputs = append(t.inputs, c)
		}
	}
	return ok
}

// tableOutputs reads what rows put out: a list of names, or a map of names to their types.
func (b *builder) tableOutputs(t *table, n *source.Node) {
	nodes := map[string]*source.Node{}
	switch {
	case n.IsMap():
		for _, e := range n.Entries() {
			t.outputs = append(t.outputs, e.Name)
			nodes[e.Name] = e.Key
			if e.Name == "tags" {
				e.Value.OneOf("list", "string")
			} else {
				e.Value.OneOf("string")
			}
		}
	default:
		for _, o := range n.List() {
			if name := o.OneOf(outputNames...); slices.Contains(t.outputs, name) {
				o.Problem("duplicate", "found the output %s again", name)
			} else if name != "" {
				t.outputs = append(t.outputs, name)
				nodes[name] = o
			}
		}
	}
	if n.IsMap() {
		n.Object(outputNames...)
	}
	if n.IsMap() && len(n.Entries()) == 0 || n.IsList() && len(n.List()) == 0 {
		n.Problem("wrong_value", "found no output, expected some of %s", strings.Join(outputNames, ", "))
	}
	for _, name := range t.outputs {
		if t.hit == hitCollect && name != "tags" {
			nodes[name].ProblemHint("wrong_value", "hit: first takes all from one row", "found the output %s of a table that collects rows, which puts out tags only", name)
		}
	}
}

// tableRows reads the rows.
func (b *builder) tableRows(t *table, n *source.Node) {
	rows := n.List()
	if n.IsList() && (len(rows) == 0 || len(rows) > maxRows) {
		n.Problem("wrong_value", "found %d rows, expected 1 to %d", len(rows), maxRows)
		return
	}
	b.tableRowNodes[t.name] = rows
	want := len(t.inputs) + len(t.outputs)
	for i, r := range rows {
		cells := r.List()
		t.rows = append(t.rows, tableRow{})
		if len(cells) != want {
			if r.IsList() {
				r.Problem("wrong_value", "found %d cells, expected %d: %s", len(cells), want, strings.Join(t.header(), ", "))
			}
			continue
		}
		for j, c := range t.inputs {
			b.tableCell(c, i, cells[j])
		}
		for j, name := range t.outputs {
			b.tableOutput(&t.rows[i], name, cells[len(t.inputs)+j])
		}
		if row := &t.rows[i]; row.owner != "" && row.pool != nil {
			r.Problem("duplicate", "found an owner beside a pool, which chooses one")
		}
	}
}

// header returns the names of all columns.
func (t *table) header() []string {
	var out []string
	for _, c := range t.inputs {
		out = append(out, c.name)
	}
	return append(out, t.outputs...)
}

// tableCell reads a cell that tests an input.
func (b *builder) tableCell(c *column, row int, n *source.Node) {
	switch v := n.Any().(type) {
	case nil:
		c.missing.add(row)
		return
	case []any:
		elements := n.List()
		if len(elements) == 0 {
			n.Problem("wrong_value", "found an empty list, which nothing is in")
		}
		for _, e := range elements {
			c.value(row, e)
		}
		return
	case map[string]any:
		n.Problem("wrong_type", "found a map, expected a value, a list, a range or an expression on it")
		return
	case string:
		if v == anything {
			c.any.add(row)
			return
		}
		if b.tableTest(c, row, v, n) {
			return
		}
	}
	c.value(row, n)
}

// signs are the operators with which an expression may begin, of a cell that leaves out `it`.
var signs = []string{"==", "!=", "<=", ">=", "<", ">"}

// tableTest reads a cell that is an expression, and reports whether it is one.
func (b *builder) tableTest(c *column, row int, text string, n *source.Node) bool {
	short := slices.ContainsFunc(signs, func(s string) bool { return strings.HasPrefix(text, s) })
	if n.Replaced() || !short && !lang.AboutIt(text, c.input.Kind() == feedback.String) {
		return false
	}
	source, shift := text, 0
	if short {
		source, shift = "it "+text, len("it ")
	}
	report := func(p lang.Problem) {
		if p.Hint == "" && c.input.Kind() == feedback.String {
			p.Hint = "words that are no expression stand in a list: [" + strconv.Quote(text) + "]"
		}
		n.ProblemAt(max(p.Offset-shift, 0), p.Code, p.Hint, "%s", p.Message)
	}
	if cell := b.lang.Cell(c.input, source, report); cell != nil {
		c.tests = append(c.tests, cellTest{row, text, cell})
	}
	return true
}

// value reads a value or a range that the input is compared with.
func (c *column) value(row int, n *source.Node) {
	v := n.Any()
	if v == nil {
		c.missing.add(row)
		return
	}
	text, isText := v.(string)
	switch c.input.Kind() {
	case feedback.String:
		if isText {
			at(c.texts, text).add(row)
			return
		}
		hint := ""
		if n.IsScalar() {
			hint = "put it into quotes"
		}
		n.ProblemHint("wrong_type", hint, "found %s, expected a string as %s is", n.Found(), c.name)
	case feedback.Number:
		if lo, hi, ok := rangeOf(text); ok {
			if lo > hi {
				n.ProblemHint("wrong_value", "write the lower bound first", "found the range %s, which nothing is in", text)
			}
			c.spans = append(c.spans, span{row, lo, hi})
			return
		}
		if number, ok := numberOf(v); ok {
			at(c.numbers, number).add(row)
			return
		}
		n.ProblemHint("wrong_type", "an expression names it, as in it >= 5", "found %s, expected a number or a range such as 0..6, as %s is a number", n.Found(), c.name)
	default:
		truth, ok := v.(bool)
		if !ok {
			n.Problem("wrong_type", "found %s, expected true, false or \"-\", as %s is a condition", n.Found(), c.name)
			return
		}
		c.truths[map[bool]int{true: 1}[truth]].add(row)
	}
}

func numberOf(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	}
	return 0, false
}

// at returns the rows of a value.
func at[K comparable](m map[K]*rowSet, v K) *rowSet {
	if m[v] == nil {
		m[v] = &rowSet{}
	}
	return m[v]
}

// rangeOf reads low..high, either of which may be left out.
func rangeOf(text string) (lo, hi float64, ok bool) {
	from, to, ok := strings.Cut(text, "..")
	from, to = strings.TrimSpace(from), strings.TrimSpace(to)
	if !ok || from == "" && to == "" {
		return 0, 0, false
	}
	lo, hi = math.Inf(-1), math.Inf(1)
	for _, side := range []struct {
		text string
		into *float64
	}{{from, &lo}, {to, &hi}} {
		if side.text == "" {
			continue
		}
		v, err := strconv.ParseFloat(side.text, 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return 0, 0, false
		}
		*side.into = v
	}
	return lo, hi, true
}

// tableOutput reads a cell that a row puts out.
func (b *builder) tableOutput(r *tableRow, name string, n *source.Node) {
	if n.Any() == anything || n.IsNull() {
		return
	}
	switch name {
	case "queue":
		r.queue = b.declared("queue", n, b.env.Queues)
	case "owner":
		r.owner = text(n)
	case "pool":
		r.pool = b.pool(n)
	case "priority":
		r.priority = Priority(n.OneOf(priorityNames...))
	case "tags":
		if n.IsList() {
			for _, e := range n.List() {
				r.tags = append(r.tags, text(e))
			}
			return
		}
		r.tags = []string{text(n)}
	}
}

// inWords writes a value that an input may have.
func inWords(v any) string {
	switch v := v.(type) {
	case nil:
		return "missing"
	case string:
		return strconv.Quote(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}
