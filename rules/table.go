package rules

import (
	"math/bits"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/suggest"
)

// The limits of a decision table.
const (
	maxRows   = 1024
	maxInputs = 16
)

// The ways in which a table chooses among the rows that fit.
const (
	hitFirst   = "first"   // the first of them
	hitUnique  = "unique"  // there is never more than one
	hitCollect = "collect" // all of them, for their tags
)

// outputNames are the columns that a table may put out, with their types.
var outputNames = []string{"queue", "owner", "pool", "priority", "tags"}

// table is a decision table: rows of tests of its inputs, each with what it puts out.
type table struct {
	name    string
	hit     string
	pos     source.Pos
	inputs  []*column
	outputs []string
	rows    []tableRow
}

// tableRow is what a row puts out.
type tableRow struct {
	queue    string
	owner    string
	pool     *Pool
	priority Priority
	tags     []string
}

// rowSet is a set of rows.
type rowSet [maxRows / 64]uint64

func (s *rowSet) add(row int) { s[row/64] |= 1 << (row % 64) }

func (s *rowSet) has(row int) bool { return s[row/64]&(1<<(row%64)) != 0 }

func (s *rowSet) unite(with *rowSet) {
	for i := range s {
		s[i] |= with[i]
	}
}

func (s *rowSet) intersect(with *rowSet) {
	for i := range s {
		s[i] &= with[i]
	}
}

// first returns the least row of the set, or -1.
func (s *rowSet) first() int {
	for i, w := range s {
		if w != 0 {
			return i*64 + bits.TrailingZeros64(w)
		}
	}
	return -1
}

// column is one input with the rows that its values fit.
type column struct {
	name    string
	input   *lang.Input
	any     rowSet // the rows that do not look at it
	missing rowSet // the rows for which it must be missing
	texts   map[string]*rowSet
	numbers map[float64]*rowSet
	truths  [2]rowSet // false, true
	spans   []span
	tests   []cellTest
}

// span is a row with a range of numbers, both bounds of which belong to it.
type span struct {
	row    int
	lo, hi float64
}

// cellTest is a row with an expression on the input.
type cellTest struct {
	row  int
	text string
	cell *lang.Cell
}

// fits returns the rows that fit the value that the frame has taken or supposes.
func (c *column) fits(f *lang.Frame) rowSet {
	out, known := c.any, true
	switch c.input.Kind() {
	case feedback.String:
		var v string
		if v, known = f.ItsText(); known {
			if rows := c.texts[v]; rows != nil {
				out.unite(rows)
			}
		}
	case feedback.Number:
		var v float64
		if v, known = f.ItsNumber(); known {
			if rows := c.numbers[v]; rows != nil {
				out.unite(rows)
			}
			for _, s := range c.spans {
				if s.lo <= v && v <= s.hi {
					out.add(s.row)
				}
			}
		}
	default:
		switch f.ItsTruth() {
		case lang.True:
			out.unite(&c.truths[1])
		case lang.False:
			out.unite(&c.truths[0])
		default:
			known = false
		}
	}
	if !known {
		out.unite(&c.missing)
	}
	for i := range c.tests {
		if t := &c.tests[i]; f.Holds(t.cell) == lang.True {
			out.add(t.row)
		}
	}
	return out
}

// fits returns the rows that fit the frame's event.
func (t *table) fits(f *lang.Frame) rowSet {
	var out rowSet
	for i, c := range t.inputs {
		f.Take(c.input)
		rows := c.fits(f)
		if i == 0 {
			out = rows
			continue
		}
		out.intersect(&rows)
	}
	return out
}

// choose sets what the first row that fits puts out, over what stands beside the table, and returns the pool.
func (t *table) choose(f *lang.Frame, out *Effect, pool *Pool) *Pool {
	out.Table = t.name
	rows := t.fits(f)
	i := rows.first()
	if i < 0 {
		out.Note = "no row of the table " + t.name + " fits"
		return pool
	}
	out.Row = i + 1
	r := &t.rows[i]
	if r.queue != "" {
		out.Queue = r.queue
	}
	if r.priority != "" {
		out.Priority = r.priority
	}
	if r.owner != "" {
		out.Owner, pool = r.owner, nil
	}
	if r.pool != nil {
		pool = r.pool
	}
	return pool
}

// tag sets the tags of the row that fits, or of all of them, besides those that the action has.
func (t *table) tag(f *lang.Frame, out *Effect) {
	out.Table = t.name
	rows := t.fits(f)
	out.Row = rows.first() + 1
	for i := range t.rows {
		if rows.has(i) {
			out.Tags = append(out.Tags, t.rows[i].tags...)
			if t.hit != hitCollect {
				break
			}
		}
	}
	slices.Sort(out.Tags)
	out.Tags = slices.Compact(out.Tags)
	out.Target = strings.Join(out.Tags, ",")
	switch {
	case out.Row == 0:
		out.Note = "no row of the table " + t.name + " fits"
	case len(out.Tags) == 0:
		out.Note = "the row gives no tag"
	}
}

// table reads the name of a table that an action of the rule uses.
func (b *builder) table(each string, n *source.Node, gives ...string) *table {
	name := n.String()
	i := slices.IndexFunc(b.set.tables, func(t *table) bool { return t.name == name })
	if i < 0 {
		if name != "" {
			var names []string
			for _, t := range b.set.tables {
				names = append(names, t.name)
			}
			hint := suggest.DidYouMean(name, names)
			if hint == "" {
				hint = "declare it in the rule file: tables: {" + name + ": {in: {...}, out: [...], rows: [...]}}"
			}
			n.ProblemHint("unknown_name", hint, "unknown table %q", name)
		}
		return nil
	}
	t := b.set.tables[i]
	b.used["table "+name] = true
	if len(t.outputs) > 0 && !slices.ContainsFunc(t.outputs, func(o string) bool { return slices.Contains(gives, o) }) {
		n.Problem("wrong_value", "the table %s puts out %s, expected one with %s", name, strings.Join(t.outputs, ", "), strings.Join(gives, " or "))
	}
	for _, c := range t.inputs {
		b.checkReads(n, each, c.input.Windows(), c.input.Reads())
		b.tableCost = min(b.tableCost+c.input.Cost(), 2*MaxCost)
		for i := range c.tests {
			b.tableCost = min(b.tableCost+c.tests[i].cell.Cost(), 2*MaxCost)
		}
	}
	return t
}
