package lang

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// Trace is a condition, or a part of one, with its truth for one event.
type Trace struct {
	Op    string // atom, and, or, not, else
	Macro string // the macro that stands here in the source
	Truth Truth
	Text  string // of an atom
	Seen  []Seen // by an atom
	Kids  []*Trace
}

// Seen is a field with its value: string, float64, bool, []string, or nil when it is missing.
type Seen struct {
	Field string
	Value any
}

// Trace evaluates every part of the condition.
func (f *Frame) Trace(c *Condition) *Trace { return f.trace(&c.root) }

func (f *Frame) trace(n *Node) *Trace {
	note := &f.program.notes[n.note]
	out := &Trace{Op: opNames[n.op], Macro: note.macro, Truth: f.eval(n)}
	if n.op == opAtom {
		out.Text, out.Seen = note.text, f.seen(n.atom)
		return out
	}
	out.Kids = make([]*Trace, len(n.kids))
	for i := range n.kids {
		out.Kids[n.kids[i].place] = f.trace(&n.kids[i])
	}
	return out
}

// Atoms returns the number of comparisons of the condition, each counted once.
func (c *Condition) Atoms() int { return len(c.atoms) }

// Atom returns one comparison of the condition, in the order of its source, with its truth and the values it saw.
func (f *Frame) Atom(c *Condition, i int) (text string, truth Truth, seen []Seen) {
	a := &c.atoms[i]
	return f.program.notes[a.note].text, f.Truth(a.atom), f.seen(a.atom)
}

// Text returns an atom of the program as the condition writes it.
func (p *Program) Text(c *Condition, atom int32) string {
	for i := range c.atoms {
		if c.atoms[i].atom == atom {
			return p.notes[c.atoms[i].note].text
		}
	}
	return ""
}

func (f *Frame) seen(atom int32) []Seen {
	reads := f.program.reads[atom]
	if len(reads) == 0 {
		return nil
	}
	out := make([]Seen, 0, len(reads))
	for _, r := range reads {
		out = append(out, Seen{r.Name, f.value(r, maxSeen)})
	}
	return out
}

// What a trace shows of a value.
const (
	maxSeen       = 80 // bytes of a text
	maxSeenThemes = 12
)

// value returns a field's value as Seen has it.
func (f *Frame) value(r *field, limit int) any {
	e := &f.event
	switch {
	case r.text != nil:
		if v, ok := r.text(f); ok {
			return cut(v, limit)
		}
	case r.number != nil:
		if v, ok := r.number(f); ok {
			return brief(v)
		}
	case r.Str != nil:
		if v, ok := r.Str(e); ok {
			return cut(v, limit)
		}
	case r.Num != nil:
		if v, ok := r.Num(e); ok {
			return v
		}
	case r.Truth != nil:
		if v, ok := r.Truth(e); ok {
			return v
		}
	case r.Instant != nil:
		if v, ok := r.Instant(e); ok {
			return v.String()
		}
	case f.unlabelled && len(e.Labels.Themes) == 0:
	case r.Kind == feedback.Themes || r.Kind == feedback.ThemeList:
		return themesSeen(e.Labels.Themes, r.Kind == feedback.ThemeList)
	}
	return nil
}

func themesSeen(themes []feedback.Theme, full bool) []string {
	out := []string{}
	for i := range themes {
		if i == maxSeenThemes {
			return append(out, fmt.Sprintf("and %d more", len(themes)-i))
		}
		s := cut(string(themes[i].Path), maxSeen)
		if full {
			s += " confidence " + strconv.FormatFloat(themes[i].Confidence, 'g', 4, 64)
			if m := themes[i].Sentiment; m != nil {
				s += " sentiment " + strconv.FormatFloat(*m, 'g', 4, 64)
			}
		}
		out = append(out, s)
	}
	return out
}

// cut shortens a text at a character, and says so by three dots.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return strings.TrimRight(s[:limit], " ") + "..."
}
