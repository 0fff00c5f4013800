package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/closedloop/closedloop/engine/bench/internal/page"
)

// report is all that was measured.
type report struct {
	before, after        page.Machine
	notes                []string
	items, themes, spans int // of the answers at the largest batch
	peers                []row
	metering             []metering
	aims                 page.Aims
}

func (r *report) peer(name string) *row {
	for i := range r.peers {
		if r.peers[i].name == name {
			return &r.peers[i]
		}
	}
	return &row{figures: make([]figure, len(batches))}
}

// ratio returns the time of a contender over that of native Go, at the batch of that index.
func (r *report) ratio(name string, i int) float64 {
	return r.peer(name).figures[i].least / r.peer(nativeName).figures[i].least
}

func (r *report) print(w io.Writer, markdown bool) error {
	var b bytes.Buffer
	fmt.Fprintln(&b, page.Line(r.before, r.after))
	for _, note := range r.notes {
		fmt.Fprintln(&b, note)
	}
	fmt.Fprintf(&b, "All answers are equal: %d themes with %d places in %d items.\n", r.themes, r.spans, r.items)
	fmt.Fprintf(&b, "The median round of native Go took %s of the least at batch %s.\n\n", r.spread(), "1, 16 and 256")
	for _, t := range []page.Table{r.comparison(), r.meteringTable(), r.aims.Table()} {
		t.Write(&b, markdown)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// spread returns the median over the least of native Go at each batch.
func (r *report) spread() string {
	var all []string
	for _, f := range r.peer(nativeName).figures {
		all = append(all, fmt.Sprintf("%.2f", f.median/f.least))
	}
	return strings.Join(all, ", ") + " times"
}

func (r *report) comparison() page.Table {
	head := []string{"ns an item (times native)"}
	for _, size := range batches {
		head = append(head, fmt.Sprintf("batch %d", size))
	}
	table := page.Table{append(head, "allocations a call")}
	for _, p := range r.peers {
		line := []string{p.name}
		var allocs []string
		for i, f := range p.figures {
			line = append(line, fmt.Sprintf("%.0f (%.2f)", f.least, r.ratio(p.name, i)))
			allocs = append(allocs, fmt.Sprintf("%.0f", f.allocs))
		}
		table = append(table, append(line, strings.Join(allocs, ", ")))
	}
	return table
}

func (r *report) meteringTable() page.Table {
	head := []string{"metered over unmetered (control), ns unmetered"}
	for _, size := range batches {
		head = append(head, fmt.Sprintf("batch %d", size))
	}
	table := page.Table{head}
	for _, m := range r.metering {
		line := []string{m.name}
		for i := range batches {
			line = append(line, fmt.Sprintf("%.2f (%.2f), %.0f", m.metered(i)/m.plain(i), m.control(i), m.plain(i)))
		}
		table = append(table, line)
	}
	return table
}
