package cli

import (
	"fmt"
	"io"
	"strings"
)

// column is one column of a table.
type column struct {
	title string
	right bool // numbers
	// elastic columns are cut when the table is wider than the terminal, down to least columns.
	elastic bool
	least   int
}

func text(title string) column { return column{title: title} }

func digits(title string) column { return column{title: title, right: true} }

func elastic(title string) column {
	return column{title: title, elastic: true, least: max(12, len(title))}
}

// narrow is an elastic column that can be cut further.
func narrow(title string) column {
	return column{title: title, elastic: true, least: max(6, len(title))}
}

// ident is a column of ids. Their beginning is enough for people and commands; see session.item.
func ident(title string) column { return column{title: title, elastic: true, least: 18} }

// table is rows under titles, aligned.
type table struct {
	indent  int
	columns []column
	rows    [][]string
}

func newTable(columns ...column) *table { return &table{columns: columns} }

// add appends a row. Cells are written on one line each.
func (t *table) add(cells ...string) {
	row := make([]string, len(t.columns))
	for i := range row {
		if i < len(cells) {
			row[i] = clean(cells[i], oneLine)
		}
	}
	t.rows = append(t.rows, row)
}

const gap = "  "

// write writes the table, at most width columns wide: what the elastic columns cannot give is cut from the ends of the
// lines. A width of 0 cuts nothing.
func (t *table) write(w io.Writer, width int) {
	widths := t.widths()
	if width > 0 {
		t.shrink(widths, width)
	}
	titles := make([]string, len(t.columns))
	titled := false
	for i, c := range t.columns {
		titles[i] = strings.ToUpper(c.title)
		titled = titled || c.title != ""
	}
	if titled {
		t.line(w, titles, widths, width)
	}
	for _, row := range t.rows {
		t.line(w, row, widths, width)
	}
}

func (t *table) widths() []int {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		widths[i] = widthOf(c.title)
		for _, row := range t.rows {
			widths[i] = max(widths[i], widthOf(row[i]))
		}
	}
	return widths
}

// shrink takes from the widest elastic column until the table fits or no column can give more.
func (t *table) shrink(widths []int, width int) {
	total := t.indent + len(gap)*(len(widths)-1)
	for _, w := range widths {
		total += w
	}
	for ; total > width; total-- {
		widest := -1
		for i, c := range t.columns {
			if c.elastic && widths[i] > c.least && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		widths[widest]--
	}
}

func (t *table) line(w io.Writer, cells []string, widths []int, width int) {
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", t.indent))
	for i, cell := range cells {
		if i > 0 {
			b.WriteString(gap)
		}
		if t.columns[i].elastic {
			cell = cut(cell, widths[i])
		}
		pad := strings.Repeat(" ", max(0, widths[i]-widthOf(cell)))
		if t.columns[i].right {
			b.WriteString(pad + cell)
		} else {
			b.WriteString(cell + pad)
		}
	}
	line := strings.TrimRight(b.String(), " ")
	if width > 0 {
		line = cut(line, width)
	}
	fmt.Fprintln(w, line)
}

// facts is a list of names with what is to be said of each; names without are left out.
type facts struct{ rows [][2]string }

func (f *facts) add(name, value string) {
	if value != "" {
		f.rows = append(f.rows, [2]string{name, value})
	}
}

// write writes the facts, their values wrapped to width columns when that is positive.
func (f *facts) write(w io.Writer, width int) {
	names := 0
	for _, r := range f.rows {
		names = max(names, widthOf(r[0]))
	}
	for _, r := range f.rows {
		values := strings.Split(clean(r[1], keepLines), "\n")
		if width > 0 {
			values = wrap(clean(r[1], keepLines), max(20, width-names-len(gap)))
		}
		for i, v := range values {
			name := ""
			if i == 0 {
				name = r[0]
			}
			fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%-*s%s%s", names, name, gap, v), " "))
		}
	}
}
