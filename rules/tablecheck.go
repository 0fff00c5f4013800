package rules

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// What is tried on one table.
const (
	maxCombinations = 100_000     // of values
	maxSamples      = 4096        // of one input
	maxSampleSteps  = 200_000_000 // of the expressions of one input, in the unit of MaxCost
	// sampleLength is how much shorter samples are than the longest text, for which costs are.
	sampleLength = 32
)

// sample is a value that an input may have, with the rows that fit it.
type sample struct {
	value any // string, float64, bool, or nil for one that is missing
	text  string
	rows  rowSet
}

// otherText stands for a text that no row names.
const otherText = "\u2042"

// textDomains are the fields that have no other values than these.
var textDomains = map[string][]string{
	"nps_class":         {string(feedback.Detractor), string(feedback.Passive), string(feedback.Promoter)},
	"customer.key_kind": {string(feedback.KeyEmail), string(feedback.KeyAccount), string(feedback.KeyHashed)},
}

// numberDomains are the bounds of fields.
var numberDomains = map[string][2]float64{
	"nps": {0, 10}, "csat": {1, 5}, "ces": {1, 7}, "stars": {1, 5}, "sentiment": {-1, 1},
	"score": {0, math.Inf(1)}, "word_count": {0, math.Inf(1)}, "customer.tenure_days": {0, math.Inf(1)}, "customer.arr": {0, math.Inf(1)},
}

// samples returns values that stand for all that the input may have, one for each set of rows that fit, and whether
// they are not too many. What an author would think of first comes first.
func (c *column) samples(f *lang.Frame) (out []sample, all bool) {
	var values []any
	switch c.input.Kind() {
	case feedback.String:
		values = c.textSamples()
	case feedback.Number:
		values = c.numberSamples()
	default:
		values = []any{true, false}
	}
	steps := int64(1)
	for i := range c.tests {
		steps = min(steps+1+c.tests[i].cell.Cost()/sampleLength, maxSampleSteps)
	}
	most := maxSampleSteps / int(steps)
	all = len(values) <= most
	seen := map[rowSet]bool{}
	for _, v := range append(values[:min(most, len(values))], nil) {
		if len(out) == maxSamples {
			return out, false
		}
		f.Suppose(v)
		s := sample{v, inWords(v), c.fits(f)}
		if v == otherText {
			s.text = "anything else"
		}
		if !seen[s.rows] {
			seen[s.rows] = true
			out = append(out, s)
		}
	}
	return out, all
}

// textSamples returns the texts that cells name, two of those in expressions one behind the other, and one that none
// names.
func (c *column) textSamples() []any {
	named := sortedKeys(c.texts)
	var parts []string
	for _, t := range c.tests {
		for _, v := range t.cell.Constants() {
			if s, ok := v.(string); ok && !slices.Contains(parts, s) {
				parts = append(parts, s)
			}
		}
	}
	named = append(named, parts...)
	const few = 16
	for _, a := range parts[:min(len(parts), few)] {
		for _, b := range parts[:min(len(parts), few)] {
			named = append(named, a+b)
		}
	}
	domain, closed := textDomains[c.input.Field()]
	if closed {
		named = domain
	}
	var out []any
	for _, s := range named {
		out = append(out, s)
	}
	if !closed {
		out = append(out, otherText)
	}
	return out
}

// numberSamples returns the numbers that cells name with their neighbours: the next whole numbers where all of them are
// whole, else what lies between them.
func (c *column) numberSamples() []any {
	var named []float64
	for v := range c.numbers {
		named = append(named, v)
	}
	for _, s := range c.spans {
		named = append(named, s.lo, s.hi)
	}
	for _, t := range c.tests {
		for _, v := range t.cell.Constants() {
			if number, ok := v.(float64); ok {
				named = append(named, number)
			}
		}
	}
	named = slices.DeleteFunc(named, func(v float64) bool { return math.IsInf(v, 0) })
	if len(named) == 0 {
		named = append(named, 0)
	}
	slices.Sort(named)
	named = slices.Compact(named)
	whole := !slices.ContainsFunc(named, func(v float64) bool { return v != math.Trunc(v) })
	all := slices.Clone(named)
	for i, v := range named {
		all = append(all, v-1, v+1)
		if !whole && i > 0 {
			all = append(all, (named[i-1]+v)/2)
		}
	}
	domain, bounded := numberDomains[c.input.Field()]
	var out []any
	for _, v := range all {
		if !bounded || domain[0] <= v && v <= domain[1] {
			out = append(out, v)
		}
	}
	return out
}

// combination writes values of all inputs.
func (t *table) combination(values []sample) string {
	var parts []string
	for i, c := range t.inputs {
		parts = append(parts, c.name+" is "+values[i].text)
	}
	return strings.Join(parts, ", ")
}

// checkTables reports rows of tables with hit: unique of which several may fit.
func (b *builder) checkTables() {
	f := b.set.program.NewFrame()
	for _, t := range b.set.tables {
		rows := b.tableRowNodes[t.name]
		if t.hit != hitUnique || len(rows) != len(t.rows) || len(t.inputs) == 0 {
			continue
		}
		t.overlaps(f, func(first, second int, values string) {
			rows[second].ProblemHint("overlap", "make them exclude each other, or take the first one with hit: first",
				"the rows %d and %d both fit when %s", first+1, second+1, values)
		})
	}
}

// overlaps calls yield for every row that may fit together with one before it, with values for which both do.
func (t *table) overlaps(f *lang.Frame, yield func(first, second int, values string)) {
	columns := make([][]sample, len(t.inputs))
	for i, c := range t.inputs {
		columns[i], _ = c.samples(f)
	}
	var told rowSet
	for first := range t.rows {
		both := rowSet{}
		for i, samples := range columns {
			var share rowSet
			for j := range samples {
				if samples[j].rows.has(first) {
					share.unite(&samples[j].rows)
				}
			}
			if i == 0 {
				both = share
				continue
			}
			both.intersect(&share)
		}
		for second := first + 1; second < len(t.rows); second++ {
			if !both.has(second) || told.has(second) {
				continue
			}
			told.add(second)
			values := make([]sample, len(columns))
			for i, samples := range columns {
				at := slices.IndexFunc(samples, func(s sample) bool { return s.rows.has(first) && s.rows.has(second) })
				values[i] = samples[at]
			}
			yield(first, second, t.combination(values))
		}
	}
}

// search looks for a combination of values that no row fits.
type search struct {
	columns [][]sample
	open    []rowSet // by column: the rows that look neither at it nor at those behind it
	left    int      // combinations that may still be tried
	partial bool     // whether there are too many values
	found   []sample
}

// gap returns values that no row fits, or "". It reports whether it could try all combinations.
func (t *table) gap(f *lang.Frame) (values string, all bool) {
	s := search{left: maxCombinations, open: make([]rowSet, len(t.inputs)), columns: make([][]sample, len(t.inputs))}
	for i := len(t.inputs) - 1; i >= 0; i-- {
		var every bool
		s.columns[i], every = t.inputs[i].samples(f)
		s.partial = s.partial || !every
		s.open[i] = t.inputs[i].any
		if i+1 < len(t.inputs) {
			s.open[i].intersect(&s.open[i+1])
		}
	}
	var every rowSet
	for i := range t.rows {
		every.add(i)
	}
	if s.try(0, every) {
		return t.combination(s.found), true
	}
	return "", s.left > 0 && !s.partial
}

// try looks at the columns from i on, for values of those before it that the rows fit.
func (s *search) try(i int, rows rowSet) bool {
	if s.left--; s.left <= 0 {
		return false
	}
	if i == len(s.columns) {
		return rows.first() < 0
	}
	covered := rows
	covered.intersect(&s.open[i])
	if covered.first() >= 0 {
		return false
	}
	for j := range s.columns[i] {
		next := rows
		next.intersect(&s.columns[i][j].rows)
		s.found = append(s.found[:i], s.columns[i][j])
		if s.try(i+1, next) {
			return true
		}
	}
	return false
}

// tableFinding is something odd about a table that is no error.
type tableFinding struct {
	code    string // incomplete_table, or unchecked_table where there are too many combinations
	table   string
	pos     source.Pos
	message string
	hint    string
}

// tableFindings returns the tables of which no row may fit. A table that collects rows need not be complete.
func (s *Set) tableFindings() []tableFinding {
	var out []tableFinding
	if len(s.tables) == 0 {
		return nil
	}
	f := s.program.NewFrame()
	for _, t := range s.tables {
		if t.hit == hitCollect {
			continue
		}
		values, all := t.gap(f)
		switch {
		case values != "":
			out = append(out, tableFinding{"incomplete_table", t.name, t.pos, fmt.Sprintf("no row of the table %s fits when %s", t.name, values),
				"end it with a row of \"-\", or give defaults beside table"})
		case !all:
			out = append(out, tableFinding{"unchecked_table", t.name, t.pos,
				fmt.Sprintf("the table %s has too many combinations of values to try them all: it is not known whether a row fits each", t.name),
				"end it with a row of \"-\""})
		}
	}
	return out
}
