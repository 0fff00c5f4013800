package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// ErrEdit says that a file is written in a way that an edit does not follow, such as with an alias in the place to
// change. A person must change it.
var ErrEdit = errors.New("the file cannot be edited here without a person")

// Member is a key with a string.
type Member struct{ Key, Value string }

// SetString returns a YAML file with the string that stands at a path of keys set to a value, and with every other byte
// as it was: comments, order and layout stay. When the last key of the path is not given yet, it is put behind the key
// named after, which must hold text, in the same map and in its style. The error is ErrEdit, or the Problems of a file
// that is no YAML.
func SetString(data []byte, value, after string, path ...string) ([]byte, error) {
	return edited(data, func(e *editor) (change, bool) { return e.setString(value, after, path) },
		func(root map[string]any) {
			m := root
			for _, key := range path[:len(path)-1] {
				m, _ = m[key].(map[string]any)
			}
			if m != nil {
				m[path[len(path)-1]] = value
			}
		})
}

// AddMap returns a YAML file with a map of strings added under a key as the last of a section, a map at the top of the
// file, which is made when it is missing. Every other byte stays as it was. The errors are those of SetString.
func AddMap(data []byte, section, key string, members ...Member) ([]byte, error) {
	return edited(data, func(e *editor) (change, bool) { return e.addMap(section, key, members) },
		func(root map[string]any) {
			s, _ := root[section].(map[string]any)
			s = maps.Clone(s)
			if s == nil {
				s = map[string]any{}
			}
			m := map[string]any{}
			for _, member := range members {
				m[member.Key] = member.Value
			}
			s[key], root[section] = m, s
		})
}

// change replaces the bytes from at to end with text.
type change struct {
	at, end int
	text    string
}

// edited makes a change and expects that the file then says what it said, but for what expect does to it.
func edited(data []byte, find func(*editor) (change, bool), expect func(root map[string]any)) ([]byte, error) {
	body := bytes.TrimPrefix(data, []byte("\ufeff"))
	root, problems := Parse("", body)
	if root == nil {
		return nil, problems
	}
	want, ok := root.Any().(map[string]any)
	if !ok || len(root.Problems()) > 0 || root.y.Style&yaml.FlowStyle != 0 {
		return nil, ErrEdit
	}
	e := &editor{root: root, text: string(body), end: "\n"}
	if strings.Contains(e.text, "\r\n") {
		e.end = "\r\n"
	}
	c, ok := find(e)
	if !ok {
		return nil, ErrEdit
	}
	expect(want)
	text := e.text[:c.at] + c.text + e.text[c.end:]
	if again, _ := Parse("", []byte(text)); again == nil || !reflect.DeepEqual(again.Any(), any(want)) {
		return nil, ErrEdit
	}
	return append(data[:len(data)-len(body):len(data)-len(body)], text...), nil
}

// editor finds the places of changes in one file.
type editor struct {
	root *Node
	text string
	end  string // of lines
}

// start returns where a line begins, counted from 1; a line behind the last begins at the end.
func (e *editor) start(line int) int {
	at := 0
	for _, l := range e.root.doc.lines[:min(max(line-1, 0), len(e.root.doc.lines))] {
		at += len(l)
		_, size := utf8.DecodeRuneInString(e.text[at:])
		at += size
	}
	return at
}

// place returns the byte at a place.
func (e *editor) place(p Pos) (int, bool) {
	if p.Line < 1 || p.Line > len(e.root.doc.lines) {
		return 0, false
	}
	return e.start(p.Line) + byteOfColumn(e.root.doc.lines[p.Line-1], p.Column), true
}

// scalar returns where the writing of a text begins and ends.
func (e *editor) scalar(n *Node) (at, end int, ok bool) {
	if !n.IsScalar() || n.IsNull() || n.y.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 || n.y.Anchor != "" {
		return 0, 0, false
	}
	at, first := e.place(n.Pos())
	end, last := e.place(n.Offset(len(n.y.Value)))
	if n.y.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		end++
	}
	return at, end, first && last && at < end && end <= len(e.text)
}

func (e *editor) setString(value, after string, path []string) (change, bool) {
	m := e.root
	for _, key := range path[:len(path)-1] {
		m = m.Get(key)
	}
	last := path[len(path)-1]
	if given := m.Get(last); given != nil {
		at, end, ok := e.scalar(given)
		return change{at, end, quoted(value)}, ok
	}
	n := m.Get(after)
	_, end, ok := e.scalar(n)
	if !ok {
		return change{}, false
	}
	if m.y.Style&yaml.FlowStyle != 0 {
		return change{end, end, ", " + last + ": " + quoted(value)}, true
	}
	line := strings.Count(e.text[:end], "\n") + 1
	return e.lines(line+1, strings.Repeat(" ", n.Key().y.Column-1)+last+": "+quoted(value)), true
}

// lines puts whole lines before a line.
func (e *editor) lines(before int, text ...string) change {
	at := e.start(before)
	joined := strings.Join(text, e.end)
	if at > 0 && e.text[at-1] != '\n' {
		return change{at, at, e.end + joined + e.end}
	}
	return change{at, at, joined + e.end}
}

func (e *editor) addMap(section, key string, members []Member) (change, bool) {
	s := e.root.Get(section)
	switch {
	case s == nil:
		text := append([]string{section + ":"}, block(key, members, 2, 2)...)
		if len(e.root.entries) > 0 {
			text = append([]string{""}, text...)
		}
		return e.lines(len(e.root.doc.lines)+1, text...), true
	case s.IsNull():
		return e.lines(s.Key().Pos().Line+1, block(key, members, 2, 2)...), true
	case !s.IsMap() || s.y.Anchor != "":
		return change{}, false
	case s.y.Style&yaml.FlowStyle != 0:
		at, ok := e.place(s.Pos())
		text := key + ": {" + flow(members) + "}"
		if len(s.entries) > 0 {
			text += ", "
		}
		return change{at + 1, at + 1, text}, ok
	}
	first := s.entries[0]
	indent, step := first.Key.y.Column-1, 2
	if v := first.Value; v.IsMap() && v.y.Style&yaml.FlowStyle == 0 && len(v.entries) > 0 {
		step = max(1, v.entries[0].Key.y.Column-1-indent)
	}
	return e.lines(e.behind(section), block(key, members, indent, step)...), true
}

// behind returns the line behind the last one of a section: comments that begin a line belong to what follows.
func (e *editor) behind(section string) int {
	lines := e.root.doc.lines
	next, found := len(lines)+1, false
	for _, entry := range e.root.entries {
		if found {
			next = entry.Key.y.Line
			break
		}
		found = entry.Name == section
	}
	for next > 1 {
		l := lines[next-2]
		if strings.TrimSpace(l) != "" && !strings.HasPrefix(l, "#") {
			break
		}
		next--
	}
	return next
}

func block(key string, members []Member, indent, step int) []string {
	lines := []string{strings.Repeat(" ", indent) + key + ":"}
	for _, m := range members {
		lines = append(lines, strings.Repeat(" ", indent+step)+m.Key+": "+written(m.Value))
	}
	return lines
}

func flow(members []Member) string {
	parts := make([]string, len(members))
	for i, m := range members {
		parts[i] = m.Key + ": " + written(m.Value)
	}
	return strings.Join(parts, ", ")
}

// plain is text that YAML takes for a string without quotes.
var plain = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*[./][A-Za-z0-9._/-]*$|^process$`)

func written(value string) string {
	if plain.MatchString(value) {
		return value
	}
	return quoted(value)
}

// quoted writes text in double quotes. What JSON escapes, YAML reads the same.
func quoted(value string) string {
	b, err := json.Marshal(value)
	if err != nil { // cannot happen: every string has a JSON form
		return `""`
	}
	return string(b)
}
