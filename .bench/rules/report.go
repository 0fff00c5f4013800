package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/closedloop/closedloop/engine/bench/internal/page"
)

// report is all that was measured.
type report struct {
	before, after page.Machine
	cells         []*cell
	notes         []string
	aims          page.Aims
}

func (r *report) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// of returns the cells of a kind, those of fewer rules first.
func (r *report) of(k kind) []*cell {
	var out []*cell
	for _, c := range r.cells {
		if c.kind == k {
			out = append(out, c)
		}
	}
	return out
}

// largest returns the last cell of a kind that a contender takes part in, or nil.
func (r *report) largest(k kind, name string) *cell {
	var last *cell
	for _, c := range r.of(k) {
		if c.figures[name] != nil {
			last = c
		}
	}
	return last
}

// faster returns how many times as fast as another a contender is, or zero when that is not known.
func (c *cell) faster(name, other string) float64 {
	a, b := c.figures[name], c.figures[other]
	if a == nil || b == nil || a.time == 0 {
		return 0
	}
	return b.time / a.time
}

// judge judges what was measured.
func (r *report) judge() {
	for _, k := range []kind{coarse, scoped} {
		least := map[kind]float64{coarse: 300, scoped: 1000}[k]
		for _, c := range r.of(k) {
			if f := c.faster(oursName, naiveName); c.rules == 10_000 && f > 0 {
				r.aims.Add(f >= least, fmt.Sprintf("at least %s times as fast as the naive loop at 10,000 %s rules", thousands(int(least)), k), "%s times", significant(f))
			}
		}
	}
	r.judgeGrowth()
	for _, k := range []kind{scoped, coarse} {
		r.judgePeers(k)
		r.judgeAllocations(k)
		r.judgeSize(k)
	}
}

// ours returns the figure of this engine, or nil where it was not measured.
func (r *report) ours(k kind, rules int) *figure {
	for _, c := range r.of(k) {
		if f := c.figures[oursName]; c.rules == rules && f.time > 0 {
			return f
		}
	}
	return nil
}

func (r *report) judgeGrowth() {
	small, large := r.ours(scoped, 10), r.ours(scoped, 10_000)
	if small != nil && large != nil {
		grown := large.time / small.time
		r.aims.Add(grown <= 10, "from 10 to 10,000 scoped rules an event costs at most 10 times as much", "%.1f times", grown)
	}
}

// judgePeers judges whether any peer is faster.
func (r *report) judgePeers(k kind) {
	least, where := math.Inf(1), ""
	for _, c := range r.of(k) {
		for name := range c.figures {
			f := c.faster(oursName, name)
			if c.rules >= 100 && name != oursName && !isControl(name) && f > 0 && f < least {
				least, where = f, fmt.Sprintf("%s at %s", name, thousands(c.rules))
			}
		}
	}
	r.aims.Add(least > 1, fmt.Sprintf("ahead of every peer from 100 %s rules up", k), "%.1f times as fast as the nearest, %s", least, where)
}

func (r *report) judgeAllocations(k kind) {
	allocs := 0.0
	for _, c := range r.of(k) {
		allocs = max(allocs, c.figures[oursName].allocs)
	}
	r.aims.Add(allocs == 0, fmt.Sprintf("no allocation an event with %s rules, whether they match or not", k), "at most %.2f", allocs)
}

// judgeSize judges what it takes to load many rules, and to hold them.
func (r *report) judgeSize(k kind) {
	if f := r.ours(k, 100_000); f != nil {
		r.aims.Add(f.load < 5*time.Second, fmt.Sprintf("100,000 %s rules load in under 5 s", k), "%.1f s", f.load.Seconds())
		r.aims.Add(f.heap <= 2500, fmt.Sprintf("100,000 %s rules take at most 2.5 KB each", k), "%.2f KB", f.heap/1000)
	}
}

func (r *report) print(w io.Writer, markdown bool) error {
	var b bytes.Buffer
	fmt.Fprintln(&b, page.Line(r.before, r.after))
	for _, note := range r.notes {
		fmt.Fprintln(&b, note)
	}
	fmt.Fprintf(&b, "All answers are equal. Rules that match an event: %s\n\n", r.matches())
	for _, k := range []kind{scoped, coarse} {
		r.times(k).Write(&b, markdown)
	}
	for _, k := range []kind{scoped, coarse} {
		r.loads(k).Write(&b, markdown)
	}
	r.aims.Table().Write(&b, markdown)
	_, err := w.Write(b.Bytes())
	return err
}

func (r *report) matches() string {
	var all []string
	for _, c := range r.cells {
		all = append(all, fmt.Sprintf("%.2f of %s %s", c.matches, thousands(c.rules), c.kind))
	}
	return strings.Join(all, ", ") + "."
}

// table makes a line for every contender that has a cell with one.
func (r *report) table(k kind, head string, names []string, cellOf func(*cell, *figure) string) page.Table {
	first := []string{head}
	for _, c := range r.of(k) {
		first = append(first, thousands(c.rules))
	}
	table := page.Table{first}
	for _, name := range names {
		line := []string{name}
		for _, c := range r.of(k) {
			switch f := c.figures[name]; {
			case f == nil:
				line = append(line, "")
			case f.cut:
				line = append(line, "left out")
			default:
				line = append(line, cellOf(c, f))
			}
		}
		table = append(table, line)
	}
	return table
}

func (r *report) times(k kind) page.Table {
	var names []string
	for _, one := range contenders() {
		names = append(names, one.name)
		if control := controls()[one.name]; control != "" {
			names = append(names, control)
		}
	}
	head := fmt.Sprintf("%s rules: ns an event (times as fast as the naive loop), allocations", k)
	return r.table(k, head, names, func(c *cell, f *figure) string {
		out := nanoseconds(f.time)
		for name, of := range c.figures {
			if times := c.faster(name, naiveName); of == f && times > 0 {
				out += fmt.Sprintf(" (%s)", significant(times))
			}
		}
		return out + fmt.Sprintf(", %.0f", f.allocs)
	})
}

func (r *report) loads(k kind) page.Table {
	var names []string
	for _, one := range contenders() {
		names = append(names, one.name)
	}
	head := fmt.Sprintf("%s rules: ms to load, KB held a rule", k)
	return r.table(k, head, names, func(_ *cell, f *figure) string {
		return fmt.Sprintf("%s, %.1f", significant(1e3*f.load.Seconds()), f.heap/1000)
	})
}

// thousands writes a whole number with commas.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func nanoseconds(t float64) string { return thousands(int(math.Round(t))) }

// significant writes a number with at least two digits that say something.
func significant(x float64) string {
	switch {
	case x < 0.995:
		return fmt.Sprintf("%.2g", x)
	case x < 9.95:
		return fmt.Sprintf("%.1f", x)
	}
	return thousands(int(math.Round(x)))
}
