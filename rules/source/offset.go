package source

import (
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Offset returns where in the file a byte of a scalar's text stands, in whatever style the text is written. A place
// that cannot be found is the beginning of the value.
func (n *Node) Offset(offset int) Pos {
	pos := n.Pos()
	if n == nil || !n.IsScalar() || pos.Line < 1 || pos.Line > len(n.doc.lines) {
		return pos
	}
	a := aligner{lines: n.doc.lines, line: pos.Line - 1, value: n.y.Value}
	a.at = byteOfColumn(a.lines[a.line], pos.Column)
	line, at, ok := a.find(n.y.Style, min(max(offset, 0), len(n.y.Value)))
	if !ok {
		return pos
	}
	return Pos{pos.File, line + 1, utf8.RuneCountInString(a.lines[line][:at]) + 1}
}

func byteOfColumn(line string, column int) int {
	at := 0
	for range column - 1 {
		_, size := utf8.DecodeRuneInString(line[at:])
		at += size
	}
	return at
}

// aligner walks through the text of a scalar and through the file side by side. Blanks and line ends of the text
// correspond to blanks and line ends of the file, whatever their number, since each style folds and indents them in its
// own way; all other characters correspond one to one.
type aligner struct {
	lines    []string
	line, at int // the next byte of the file
	value    string
}

func (a *aligner) find(style yaml.Style, offset int) (line, at int, ok bool) {
	quote := byte(0)
	a.skipProperties()
	switch {
	case style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		a.line, a.at = a.line+1, 0
	case style&yaml.DoubleQuotedStyle != 0:
		quote = '"'
		a.at++
	case style&yaml.SingleQuotedStyle != 0:
		quote = '\''
		a.at++
	}
	for i := 0; i < len(a.value); {
		if isBlank(a.value[i]) {
			end := i + len(a.value[i:]) - len(strings.TrimLeft(a.value[i:], " \t\r\n"))
			if offset < end {
				return a.blanks(quote, offset-i)
			}
			a.blanks(quote, -1)
			i = end
			continue
		}
		a.blanks(quote, -1) // a line may be folded away before a character
		if offset <= i {
			return a.line, a.at, a.line < len(a.lines)
		}
		size, ok := a.step(quote, a.value[i:])
		if !ok {
			return 0, 0, false
		}
		i += size
	}
	return a.line, min(a.at, len(a.current())), a.line < len(a.lines)
}

func (a *aligner) current() string {
	if a.line < len(a.lines) {
		return a.lines[a.line]
	}
	return ""
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// skipProperties passes the anchor and the tag that stand before a value.
func (a *aligner) skipProperties() {
	for s := a.current(); a.at < len(s) && (s[a.at] == '&' || s[a.at] == '!'); {
		for a.at < len(s) && !isBlank(s[a.at]) {
			a.at++
		}
		for a.at < len(s) && isBlank(s[a.at]) {
			a.at++
		}
	}
}

// blanks passes blanks and line ends of the file, or stops after `stop` of them on one line.
func (a *aligner) blanks(quote byte, stop int) (line, at int, ok bool) {
	for ; stop != 0 && a.line < len(a.lines); stop-- {
		s := a.lines[a.line]
		rest := s[min(a.at, len(s)):]
		switch {
		case rest == "" || quote == '"' && rest == `\`:
			if a.line+1 >= len(a.lines) {
				return a.line, a.at, true
			}
			a.line, a.at = a.line+1, 0
		case isBlank(rest[0]):
			a.at++
		case quote == '"' && len(rest) > 1 && rest[0] == '\\' && strings.IndexByte("nrt \t", rest[1]) >= 0:
			a.at += 2
		default:
			return a.line, a.at, true
		}
	}
	return a.line, a.at, a.line < len(a.lines)
}

// step passes one character of the file that stands for the first of the text, and returns the length of the latter.
func (a *aligner) step(quote byte, value string) (size int, ok bool) {
	_, size = utf8.DecodeRuneInString(value)
	rest := a.current()
	rest = rest[min(a.at, len(rest)):]
	switch {
	case quote == '\'' && value[0] == '\'':
		a.at += 2
		return size, strings.HasPrefix(rest, "''")
	case quote == '"' && strings.HasPrefix(rest, `\`):
		length := 2
		if len(rest) > 1 {
			length += map[byte]int{'x': 2, 'u': 4, 'U': 8}[rest[1]]
		}
		a.at += length
		return size, length <= len(rest)
	}
	a.at += size
	return size, strings.HasPrefix(rest, value[:size])
}
