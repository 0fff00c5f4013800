// Package source reads YAML files so that everything wrong with them can be told at once, each thing with its file,
// line and column, what was found, what was expected and, where one is near, what was probably meant.
//
// Parse reads one document and bounds its size, depth and expansion, so that no file can exhaust its reader. The
// Node that it returns is read with typed methods. None of them fails: each notes what it finds wrong, returns the
// zero value, and lets the reading go on; Problems returns all that was noted. A nil Node stands for a key that is
// not given, and every method of it returns the zero value without a word.
//
//	root, problems := source.Parse("program.yaml", data)
//	if problems != nil {
//		return problems.Err() // broken YAML
//	}
//	root.Object("name", "timezone")
//	name := root.Need("name").String()
//	zone := root.Get("timezone").String() // "" when not given
//	return root.Problems().Err()
package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// The limits of one file.
const (
	MaxBytes = 4 << 20 // size of the file
	MaxDepth = 64      // lists and maps within each other
	MaxNodes = 400_000 // keys and values, counted again wherever an alias repeats them
)

// maxProblems bounds what is noted of one file.
const maxProblems = 500

// document is one file with what was found wrong in it.
type document struct {
	file     string
	lines    []string
	problems Problems
}

// Parse reads one YAML document. The file's name is used in problems only. Broken YAML and exceeded limits are returned
// with a nil Node; what the typed methods of the Node find later is collected in its Problems.
func Parse(file string, data []byte) (*Node, Problems) {
	d := &document{file: file}
	if len(data) > MaxBytes {
		d.add(0, 0, "too_large", fmt.Sprintf("found a file of %d bytes, expected at most %d", len(data), MaxBytes), "")
		return nil, d.problems
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	d.lines = splitLines(string(data))
	if bad := firstInvalid(data); bad >= 0 {
		line := bytes.Count(data[:bad], []byte("\n")) + 1
		column := utf8.RuneCount(data[bytes.LastIndexByte(data[:bad], '\n')+1:bad]) + 1
		d.add(line, column, "not_utf8", fmt.Sprintf("found the byte 0x%02x, expected UTF-8 text", data[bad]), "save the file as UTF-8")
		return nil, d.problems
	}
	y, err := decode(data)
	if err != nil {
		d.broken(data, err)
		return nil, d.problems
	}
	if y == nil {
		return &Node{doc: d, y: &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: 1, Column: 1}}, nil
	}
	w := wrapper{doc: d, open: map[*yaml.Node]bool{}}
	root := w.wrap(y, 0)
	if w.failed {
		return nil, d.problems
	}
	return root, nil
}

// splitLines divides a file where YAML does. The lines keep what ends them only when that is a carriage return before
// a line feed.
func splitLines(s string) []string {
	var lines []string
	from := 0
	for i, r := range s {
		switch r {
		case '\r':
			if strings.HasPrefix(s[i+1:], "\n") {
				continue
			}
		case '\n', '\u0085', '\u2028', '\u2029':
		default:
			continue
		}
		lines = append(lines, s[from:i])
		from = i + utf8.RuneLen(r)
	}
	return append(lines, s[from:])
}

func firstInvalid(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

var errDocuments = errors.New("found a second document, expected one to a file")

// decode parses one document and returns its content, or nil when there is none.
func decode(data []byte) (content *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: %v", r)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err == io.EOF {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := dec.Decode(&more); err == nil {
		return nil, errDocuments
	} else if err != io.EOF {
		return nil, err
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	return doc.Content[0], nil
}

func (d *document) add(line, column int, code, message, hint string) {
	if len(d.problems) > maxProblems {
		return
	}
	line, column = d.within(line, column)
	p := Problem{Code: code, File: d.file, Line: line, Column: column, Message: clip(message, maxMessage), Hint: hint, Snippet: d.line(line)}
	if len(d.problems) == maxProblems {
		p = Problem{Code: "too_many_problems", File: d.file, Line: line, Message: fmt.Sprintf("more than %d problems, the rest is not told", maxProblems)}
	}
	d.problems = append(d.problems, p)
}

// within moves a place past the last line, where YAML puts a value that the file breaks off before, to the end of that line.
func (d *document) within(line, column int) (int, int) {
	if last := len(d.lines); line > last && last > 0 {
		return last, utf8.RuneCountInString(d.lines[last-1]) + 1
	}
	return line, column
}

// What a problem carries of the file's own text, in bytes.
const (
	maxSnippet = 2048
	maxMessage = 1000
)

func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit-3], "") + "..."
}

// line returns the text of a line, or "" when the file has no such line.
func (d *document) line(n int) string {
	if n < 1 || n > len(d.lines) {
		return ""
	}
	return clip(strings.TrimSuffix(d.lines[n-1], "\r"), maxSnippet)
}

var lineOfError = regexp.MustCompile(`^(?:line (\d+): )?(.*)$`)

// broken notes the error of the YAML parser. The parser names a line near the start of what it was reading; the line
// where it gave up is the last of the shortest beginning of the file that fails in the same way.
func (d *document) broken(data []byte, err error) {
	if errors.Is(err, errDocuments) {
		line := d.separator()
		d.add(line, 1, "yaml_documents", err.Error(), "remove what follows the line ---, or put it into a file of its own")
		return
	}
	m := lineOfError.FindStringSubmatch(strings.TrimPrefix(err.Error(), "yaml: "))
	named, message := 1, m[2]
	if m[1] != "" {
		named, _ = strconv.Atoi(m[1])
	}
	line := min(max(named, 1), len(d.lines))
	if len(data) <= 256<<10 {
		line = d.lastLine(message, line)
	}
	text := d.line(line)
	column := utf8.RuneCountInString(text) - utf8.RuneCountInString(strings.TrimLeft(text, " \t")) + 1
	d.add(line, column, "yaml", "this is not YAML: "+message, hintOf(message, text))
}

func (d *document) lastLine(message string, otherwise int) int {
	fails := func(n int) bool {
		_, err := decode([]byte(strings.Join(d.lines[:n], "\n")))
		return err != nil && strings.HasSuffix(err.Error(), message)
	}
	n := 1 + sort.Search(len(d.lines)-1, func(i int) bool { return fails(i + 1) })
	if !fails(n) {
		return otherwise
	}
	return n
}

// separator finds the line that begins the second document.
func (d *document) separator() int {
	content := false
	for i, l := range d.lines {
		if strings.HasPrefix(l, "---") && content {
			return i + 1
		}
		l = strings.TrimSpace(l)
		content = content || l != "" && l[0] != '#' && l[0] != '%'
	}
	return 0
}

var quotedThenMore = regexp.MustCompile(`:\s+(?:"[^"]*"|'[^']*')\s*[^\s#,}\]]`)

// hintOf explains the mistakes that people make most, from the parser's message and the line.
func hintOf(message, line string) string {
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	switch {
	case strings.Contains(indent, "\t"):
		return "indent with blanks, not tabs"
	case strings.Contains(message, "mapping values are not allowed"):
		return "put a value that holds a colon and a blank into quotes, or on lines of its own after |; else check the indentation"
	case quotedThenMore.MatchString(line):
		return "a value that begins with a quote ends at the next one: put the whole value on lines of its own after |"
	case strings.Contains(message, "cannot start any token"):
		return "put a value that begins with @, `, % or a tab into quotes"
	case strings.Contains(message, "did not find expected key"), strings.Contains(message, "did not find expected '-'"):
		return "check the indentation of this line and those above it"
	}
	return ""
}
