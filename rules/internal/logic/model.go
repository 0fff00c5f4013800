package logic

import (
	"slices"

	"github.com/closedloop/closedloop/rules/internal/lang"
)

// Model is what an event must have for the goals to be met, as far as it is known.
type Model struct {
	// Values are what fields and variables are to be, in the order in which the conditions ask for them.
	Values []Value
	// Themes are paths that the event must have, and Without those that it must not.
	Themes, Without []string
	// Unlabelled says that the event's themes must not be known, and Labelled that they must.
	Unlabelled, Labelled bool
}

// Value is a value of one field or variable.
type Value struct {
	// Field is the field. If Computed is set, the value is that of something that is computed from it.
	Field    string
	Computed bool
	Value    any // string, float64, or bool; nil for one that is missing
	// Parts are texts that must stand in the value, and for which it may be anything else; then Value is nil.
	Parts []string
}

// model reads what an event is to have.
func (x *search) model(s *state) *Model {
	m := &Model{}
	for i := range x.things {
		t, k := &x.things[i], &s.known[i]
		switch t.kind {
		case number, text:
			if v, ok := x.value(s, t, k); ok {
				m.Values = append(m.Values, v)
			}
		case theme:
			x.themes(s, t, k, m)
		}
	}
	for i, t := range x.tests {
		if t.Kind == lang.OpaqueTest && s.truth[i] == IsUnknown && x.readsThemes(t) {
			m.Unlabelled = true
		}
	}
	return m
}

func (x *search) readsThemes(t *lang.Test) bool {
	return slices.ContainsFunc(t.Gaps, func(g int32) bool { return x.sources[g].Kind == lang.ThemeSource })
}

// value returns what a thing is to be, and false where it does not matter.
func (x *search) value(s *state, t *thing, k *known) (Value, bool) {
	v := Value{Field: t.source.Field}
	if v.Field == "" {
		reads := t.source.Reads()
		if len(reads) != 1 {
			return v, false
		}
		v.Field, v.Computed = reads[0], true
	}
	if k.missing {
		return v, !k.given
	}
	if t.kind == number {
		n, ok := k.nums.some()
		if v.Value = n; t.source.Bool {
			v.Value = n == 1
		}
		return v, ok
	}
	for _, a := range t.atoms {
		if test := x.tests[a]; test.Kind == lang.LiteralTest && s.truth[a] == IsTrue {
			l := test.Literals[slices.IndexFunc(test.Literals, func(l string) bool {
				_, gone := x.literal(s, t, a, l)
				return !gone
			})]
			if !slices.Contains(v.Parts, l) {
				v.Parts = append(v.Parts, l)
			}
		}
	}
	if len(v.Parts) > 0 && k.texts.not {
		return v, true
	}
	w, ok := k.texts.some()
	v.Value, v.Parts = w, nil
	return v, ok
}

// themes reads which themes an event is to have.
func (x *search) themes(s *state, t *thing, k *known, m *Model) {
	m.Unlabelled, m.Labelled = m.Unlabelled || !k.given, m.Labelled || !k.missing
	for _, a := range t.atoms {
		test := x.tests[a]
		switch {
		case test.Kind != lang.LiteralTest:
		case s.truth[a] == IsTrue:
			for _, l := range test.Literals {
				if _, gone := x.literal(s, t, a, l); !gone {
					m.Themes = append(m.Themes, l)
					break
				}
			}
		case s.truth[a]&IsTrue == 0 && test.Exact:
			m.Without = append(m.Without, test.Literals...)
		}
	}
}
