package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"unicode/utf8"
)

// report is all that was measured.
type report struct {
	before, after        state
	notes                []string
	items, themes, spans int // of the answers at the largest batch
	peers                []row
	metering             []metering
	aims                 []aim
}

// state is what the machine was like.
type state struct {
	processor string
	cores     int
	load      string // of the last minute; empty where it is not known
}

func machine() state {
	s := state{processor: runtime.GOARCH, cores: runtime.NumCPU()}
	if f, err := os.Open("/proc/cpuinfo"); err == nil {
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
				s.processor = strings.TrimSpace(value)
				break
			}
		}
	}
	if data, err := os.ReadFile("/proc/loadavg"); err == nil {
		s.load, _, _ = strings.Cut(string(data), " ")
	}
	return s
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
	fmt.Fprintf(&b, "%s, %d cores; load %s before and %s after; %s\n", r.before.processor, r.before.cores, r.before.load, r.after.load, runtime.Version())
	for _, note := range r.notes {
		fmt.Fprintln(&b, note)
	}
	fmt.Fprintf(&b, "All answers are equal: %d themes with %d places in %d items.\n", r.themes, r.spans, r.items)
	fmt.Fprintf(&b, "The median round of native Go took %s of the least at batch %s.\n\n", r.spread(), "1, 16 and 256")
	tables := [][][]string{r.comparison(), r.meteringTable(), r.aimTable()}
	for _, t := range tables {
		if markdown {
			markdownTable(&b, t)
		} else {
			plainTable(&b, t)
		}
		b.WriteByte('\n')
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

func (r *report) comparison() [][]string {
	head := []string{"ns an item (times native)"}
	for _, size := range batches {
		head = append(head, fmt.Sprintf("batch %d", size))
	}
	table := [][]string{append(head, "allocations a call")}
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

func (r *report) meteringTable() [][]string {
	head := []string{"metered over unmetered (control), ns unmetered"}
	for _, size := range batches {
		head = append(head, fmt.Sprintf("batch %d", size))
	}
	table := [][]string{head}
	for _, m := range r.metering {
		line := []string{m.name}
		for i := range batches {
			line = append(line, fmt.Sprintf("%.2f (%.2f), %.0f", m.metered(i)/m.plain(i), m.control(i), m.plain(i)))
		}
		table = append(table, line)
	}
	return table
}

func (r *report) aimTable() [][]string {
	table := [][]string{{"aim", "found", "reached"}}
	for _, a := range r.aims {
		reached := "yes"
		if !a.reached {
			reached = "no"
		}
		table = append(table, []string{a.what, a.found, reached})
	}
	return table
}

func markdownTable(b *bytes.Buffer, table [][]string) {
	for i, line := range table {
		fmt.Fprintf(b, "| %s |\n", strings.Join(line, " | "))
		if i == 0 {
			b.WriteString("|" + strings.Repeat("---|", len(line)) + "\n")
		}
	}
}

func plainTable(b *bytes.Buffer, table [][]string) {
	width := make([]int, len(table[0]))
	for _, line := range table {
		for i, cell := range line {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, line := range table {
		for i, cell := range line {
			if i < len(line)-1 {
				cell += strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)+2)
			}
			b.WriteString(cell)
		}
		b.WriteByte('\n')
	}
}
