// Package page writes what was measured: the machine, tables, and aims with what was found.
package page

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unicode/utf8"
)

// Machine is what the machine was like.
type Machine struct {
	processor string
	cores     int
	load      string // of the last minute; empty where it is not known
}

// Now returns what the machine is like.
func Now() Machine {
	m := Machine{processor: runtime.GOARCH, cores: runtime.NumCPU()}
	if f, err := os.Open("/proc/cpuinfo"); err == nil {
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
				m.processor = strings.TrimSpace(value)
				break
			}
		}
	}
	if data, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.load, _, _ = strings.Cut(string(data), " ")
	}
	return m
}

// Line describes the machine before and after something was measured.
func Line(before, after Machine) string {
	return fmt.Sprintf("%s, %d cores; load %s before and %s after; %s",
		before.processor, before.cores, before.load, after.load, runtime.Version())
}

// Table is lines of cells, of which the first is the head.
type Table [][]string

// Write appends the table in Markdown or as plain text.
func (t Table) Write(b *bytes.Buffer, markdown bool) {
	if markdown {
		t.markdown(b)
	} else {
		t.plain(b)
	}
	b.WriteByte('\n')
}

func (t Table) markdown(b *bytes.Buffer) {
	for i, line := range t {
		fmt.Fprintf(b, "| %s |\n", strings.Join(line, " | "))
		if i == 0 {
			b.WriteString("|" + strings.Repeat("---|", len(line)) + "\n")
		}
	}
}

func (t Table) plain(b *bytes.Buffer) {
	width := make([]int, len(t[0]))
	for _, line := range t {
		for i, cell := range line {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, line := range t {
		for i, cell := range line {
			if i < len(line)-1 {
				cell += strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)+2)
			}
			b.WriteString(cell)
		}
		b.WriteByte('\n')
	}
}

// Aims is what is to hold, with what was found.
type Aims []aim

type aim struct {
	what, found string
	reached     bool
}

// Add notes an aim, and what was found as fmt.Sprintf writes it.
func (a *Aims) Add(reached bool, what, format string, args ...any) {
	*a = append(*a, aim{what, fmt.Sprintf(format, args...), reached})
}

// Table returns a table of all aims.
func (a Aims) Table() Table {
	table := Table{{"aim", "found", "reached"}}
	for _, one := range a {
		reached := "yes"
		if !one.reached {
			reached = "no"
		}
		table = append(table, []string{one.what, one.found, reached})
	}
	return table
}
