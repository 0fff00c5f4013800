package csv

import (
	"bytes"
	"fmt"
	"slices"
)

// row is one row of a file. Its cells are valid until the next one is read.
type row struct {
	line  int // of its first character, from 1
	cells [][]byte
	bad   string // why it is no row, else empty
	code  string // of bad
	raw   []byte // the beginning of what stands there
}

// rows divides a text into rows.
type rows struct {
	text  *text
	delim byte
	line  int // of the next row
	cells [][]byte
	quote []byte // cells with quotes taken out
}

const rawExcerpt = 200

// next returns the next row that is not blank, or nil at the end of the file. The error is that of reading.
func (r *rows) next() (*row, error) {
	for {
		n, complete, err := r.scan()
		if err != nil || len(r.text.buf) == r.text.pos {
			return nil, err
		}
		b := r.text.buf[r.text.pos : r.text.pos+n]
		if !complete {
			return r.broken()
		}
		out := &row{line: r.line, cells: r.cells, raw: b[:min(len(b), rawExcerpt)]}
		blank := len(r.cells) == 1 && len(bytes.TrimSpace(r.cells[0])) == 0
		r.line += bytes.Count(b, []byte{'\n'})
		r.text.skip(n)
		if !blank {
			return out, nil
		}
	}
}

// scan divides the row at the front into cells. It returns the row's length with its line end, and false when it has
// no end within MaxRow or its quotes are never closed.
func (r *rows) scan() (n int, complete bool, err error) {
	for {
		b := r.text.buf[r.text.pos:]
		n, complete = r.split(b[:min(len(b), MaxRow)])
		if complete || len(b) >= MaxRow {
			return n, complete, nil
		}
		more, err := r.text.more()
		if err != nil {
			return 0, false, err
		}
		if more {
			continue
		}
		b = r.text.buf[r.text.pos:]
		if len(b) == 0 {
			return 0, false, nil
		}
		n, complete = r.split(append(slices.Clip(b), '\n')) // the last line need not end
		return min(n, len(b)), complete, nil
	}
}

// broken gives up the line at the front, and only that: what looks like an endless cell is mostly a stray quote.
func (r *rows) broken() (*row, error) {
	b := r.text.buf[r.text.pos:]
	out := &row{line: r.line, code: "unclosed_quote", raw: bytes.Clone(b[:min(len(b), rawExcerpt)]),
		bad: "found a quote that is never closed, expected a second one"}
	if i := bytes.IndexByte(b[:min(len(b), MaxRow)], '\n'); i >= 0 {
		r.text.skip(i + 1)
		r.line++
		return out, nil
	}
	if len(b) < MaxRow { // the file ends on this line
		r.text.skip(len(b))
		return out, nil
	}
	out.code, out.bad = "too_long", fmt.Sprintf("found a line of more than %d bytes, expected at most that", MaxRow)
	return out, r.skipLine()
}

// skipLine goes behind the next line end.
func (r *rows) skipLine() error {
	for {
		b := r.text.buf[r.text.pos:]
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			r.text.skip(i + 1)
			r.line++
			return nil
		}
		r.text.skip(len(b))
		if more, err := r.text.more(); err != nil || !more {
			return err
		}
	}
}

// split divides the first row of b into r.cells and returns its length, or false when b holds no whole row. A quote
// opens a cell only at its beginning; two quotes in a quoted cell are one; what follows a closing quote up to the
// delimiter belongs to the cell.
func (r *rows) split(b []byte) (n int, complete bool) {
	r.cells, r.quote = r.cells[:0], r.quote[:0]
	for i := 0; i < len(b); {
		var cell []byte
		if b[i] == '"' {
			end, ok := r.unquote(b[i:])
			if !ok {
				return 0, false
			}
			cell, i = end.cell, i+end.length
		} else {
			from := i
			for i < len(b) && b[i] != r.delim && b[i] != '\n' {
				i++
			}
			cell = b[from:i]
		}
		if i == len(b) {
			return 0, false
		}
		end := b[i] == '\n'
		if end {
			cell = bytes.TrimSuffix(cell, []byte{'\r'})
		}
		r.cells = append(r.cells, cell)
		i++
		if end {
			return i, true
		}
		if i < len(b) && b[i] == '\n' || i+1 < len(b) && b[i] == '\r' && b[i+1] == '\n' {
			continue // an empty last cell
		}
	}
	return 0, false
}

type quoted struct {
	cell   []byte
	length int
}

// unquote reads the quoted cell that b begins with, up to the delimiter or line end.
func (r *rows) unquote(b []byte) (quoted, bool) {
	from := len(r.quote)
	i := 1
	for {
		j := bytes.IndexByte(b[i:], '"')
		if j < 0 {
			return quoted{}, false
		}
		r.quote = append(r.quote, b[i:i+j]...)
		i += j + 1
		if i < len(b) && b[i] == '"' {
			r.quote = append(r.quote, '"')
			i++
			continue
		}
		break
	}
	for i < len(b) && b[i] != r.delim && b[i] != '\n' {
		if b[i] != '\r' {
			r.quote = append(r.quote, b[i])
		}
		i++
	}
	return quoted{r.quote[from:len(r.quote):len(r.quote)], i}, true
}

// delimiters are what auto chooses from, the likeliest first.
var delimiters = map[string]byte{"comma": ',', "semicolon": ';', "tab": '\t', "pipe": '|'}

// sniffDelimiter returns the delimiter that divides the first rows into the same number of cells, the largest number
// winning; without any it is a comma. It consumes nothing.
func sniffDelimiter(t *text) (byte, error) {
	if len(t.buf) == t.pos {
		if _, err := t.more(); err != nil {
			return 0, err
		}
	}
	b := t.buf[t.pos:]
	best, most := byte(','), 1
	for _, d := range []byte{',', ';', '\t', '|'} {
		if n := width(b, d); n > most {
			best, most = d, n
		}
	}
	return best, nil
}

// width returns how many cells the first row has, if most of the first rows have as many, and otherwise 1.
func width(b []byte, delim byte) int {
	r := rows{delim: delim}
	first, same, all := 0, 0, 0
	for range 10 {
		n, ok := r.split(b)
		if !ok {
			break
		}
		if first == 0 {
			first = len(r.cells)
		}
		if all++; len(r.cells) == first {
			same++
		}
		b = b[n:]
	}
	if all == 0 { // a header without a line end
		if n, ok := r.split(append(slices.Clip(b), '\n')); ok && n > 0 {
			return len(r.cells)
		}
		return 1
	}
	if 2*same <= all {
		return 1
	}
	return first
}
