package lang

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/closedloop/closedloop/sdk/suggest"
)

// Template is a text with {field} in it, for the values of an event.
type Template struct {
	parts []part
}

// part is a text, and a field or an expression behind it.
type part struct {
	text  string
	field *field
	value *term
}

// maxTemplateValue bounds the bytes of one value in a rendered template.
const maxTemplateValue = 1000

// Template checks a text with fields, or expressions whose value is a number or a string, in braces. Two braces stand
// for one. It returns nil when anything is wrong, which has then been reported.
func (c *Compiler) Template(text string, report Report) *Template {
	t, ok := &Template{}, true
	var plain strings.Builder
	problem := func(at int, code, hint, format string, args ...any) {
		ok = false
		report(Problem{Offset: at, Code: code, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	for i := 0; i < len(text); i++ {
		double := i+1 < len(text) && text[i+1] == text[i]
		switch {
		case (text[i] == '{' || text[i] == '}') && double:
			plain.WriteByte(text[i])
			i++
		case text[i] == '}':
			problem(i, "syntax", "a brace as such is written twice: }}", "found } without {")
		case text[i] == '{':
			name, _, closed := strings.Cut(text[i+1:], "}")
			if !closed {
				problem(i, "syntax", "a brace as such is written twice: {{", "found { without }")
				return nil
			}
			t.parts = append(t.parts, c.templatePart(plain.String(), name, i+1, problem))
			plain.Reset()
			i += len(name) + 1
		default:
			plain.WriteByte(text[i])
		}
	}
	if !ok {
		return nil
	}
	if plain.Len() > 0 {
		t.parts = append(t.parts, part{text: plain.String()})
	}
	return t
}

// templatePart compiles what stands in braces: a field, or an expression.
func (c *Compiler) templatePart(before, inner string, at int, problem func(at int, code, hint, format string, args ...any)) part {
	name := strings.TrimSpace(inner)
	if f, ok := c.fields[name]; ok {
		return part{text: before, field: f}
	}
	if name == "" || isPath(name) {
		hint := suggest.DidYouMean(name, c.names)
		if hint == "" {
			hint = "braces hold a field, such as {customer.name}, or an expression"
		}
		problem(at, "unknown_name", hint, "unknown field %q", name)
		return part{}
	}
	x := &expression{compiler: c, source: inner, report: func(p Problem) { problem(at+p.Offset, p.Code, p.Hint, "%s", p.Message) }}
	t := x.compile()
	if t != nil && t.kind != kindNumber && t.kind != kindString {
		problem(at, "wrong_type", "", "found %s, expected a number or a string", t.describe())
	}
	return part{text: before, value: t}
}

func isPath(name string) bool {
	for segment := range strings.SplitSeq(name, ".") {
		if !isName(segment) {
			return false
		}
	}
	return true
}

// Render fills in the values of the frame's event. What is missing is called unknown.
func (t *Template) Render(f *Frame) string {
	if t == nil {
		return ""
	}
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.text)
		if p.field != nil {
			b.WriteString(show(f.value(p.field, maxTemplateValue)))
		}
		if p.value != nil {
			b.WriteString(show(f.valueOf(p.value, maxTemplateValue)))
		}
	}
	return b.String()
}

// show writes a value as people read it.
func show(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	case []string:
		if len(v) > 0 {
			return strings.Join(v, ", ")
		}
		return "none"
	}
	return "unknown"
}
