package source

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Problem is one thing that is wrong with a file, told to its author.
type Problem struct {
	Code    string `json:"code"` // stable and short, such as "unknown_key"
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`    // from 1; 0 is unknown
	Column  int    `json:"column,omitempty"`  // from 1, in characters; 0 is unknown
	Message string `json:"message"`           // what was found and what was expected
	Hint    string `json:"hint,omitempty"`    // how to mend it
	Snippet string `json:"snippet,omitempty"` // the line of the file, for the caret
}

// Error writes the problem on one line: file:line:column: message (hint).
func (p Problem) Error() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File + ":")
	}
	if p.Line > 0 {
		fmt.Fprintf(&b, "%d:", p.Line)
		if p.Column > 0 {
			fmt.Fprintf(&b, "%d:", p.Column)
		}
	}
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	return b.String()
}

// Problems are all the problems of one or more files.
type Problems []Problem

// Error writes one problem per line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Err returns the problems as an error, or nil when there are none.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// Sorted returns the problems in the order of file, line and column, without repetitions.
func (ps Problems) Sorted() Problems {
	out := slices.Clone(ps)
	slices.SortStableFunc(out, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(out)
}

// Render writes each problem with its line of the file, a caret below the place, and the hint.
func (ps Problems) Render(w io.Writer) error {
	for _, p := range ps {
		if err := p.Render(w); err != nil {
			return err
		}
	}
	return nil
}

// Render writes the problem with its line of the file, a caret below the place, and the hint.
func (p Problem) Render(w io.Writer) error {
	var b strings.Builder
	head := p
	head.Hint = ""
	b.WriteString(head.Error() + "\n")
	if p.Snippet != "" && p.Line > 0 {
		line, column := window(p.Snippet, p.Column)
		number := fmt.Sprintf("%5d", p.Line)
		fmt.Fprintf(&b, "%s | %s\n", number, line)
		if column > 0 {
			fmt.Fprintf(&b, "%s | %s^\n", strings.Repeat(" ", len(number)), strings.Repeat(" ", column-1))
		}
	}
	if p.Hint != "" {
		b.WriteString("      hint: " + p.Hint + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// windowWidth is the number of characters of a line that Render shows.
const windowWidth = 120

// window returns the part of the line around the column, with tabs as blanks, and the column within it.
func window(line string, column int) (string, int) {
	if n := utf8.RuneCountInString(line); column > n+1 {
		column = 0
	}
	runes := []rune(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, line))
	if len(runes) <= windowWidth {
		return strings.TrimRight(string(runes), " "), column
	}
	from := 0
	if column > windowWidth*2/3 {
		from = min(column-windowWidth/2, len(runes)-windowWidth)
	}
	shown := string(runes[from : from+windowWidth])
	shift := from
	if from > 0 {
		shown, shift = "..."+shown, from-3
	}
	if from+windowWidth < len(runes) {
		shown += "..."
	}
	if column > 0 {
		column -= shift
	}
	return shown, column
}
