package lang

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// kind is the type of a term.
type kind uint8

const (
	kindNone kind = iota
	kindBool
	kindNumber
	kindString
	kindInstant
	kindThemes    // the themes' paths
	kindThemeList // the themes themselves
	kindTheme     // one theme, within any and its like
	kindStrings   // constant list
	kindNumbers   // constant list
	kindRange     // constant low..high
)

var kindNames = [...]string{
	"nothing", "truth value", "number", "string", "time", "list of theme paths", "list of themes", "theme", "list of strings", "list of numbers", "range of numbers",
}

// String returns the type's name in problems.
func (k kind) String() string { return kindNames[k] }

func kindOf(k feedback.Kind) kind {
	switch k {
	case feedback.String:
		return kindString
	case feedback.Number:
		return kindNumber
	case feedback.Bool:
		return kindBool
	case feedback.Instant:
		return kindInstant
	case feedback.Themes:
		return kindThemes
	case feedback.ThemeList:
		return kindThemeList
	}
	return kindNone
}

// op is how a truth-valued term is made of others.
type op uint8

const (
	opAtom op = iota // not of others that are told apart
	opAnd
	opOr
	opNot
	opElse // the first unless it is unknown, then the second: ??
)

var opNames = [...]string{"atom", "and", "or", "not", "else"}

// term is a checked part of an expression, compiled to the closure of its kind. Terms never change and are shared.
type term struct {
	kind     kind
	key      string // equal for terms of equal meaning
	text     string // as an author would write it
	constant bool
	field    *field // when the term is nothing but a field
	local    bool   // reads the element of an iteration
	varies   bool   // may change while one event is looked at
	parts    uint8  // see partName
	test     *Test  // of a truth value, if something is known of it
	cost     int64
	reads    []*field

	truth  func(*Frame) Truth
	num    func(*Frame) (float64, bool) // false is unknown
	str    func(*Frame) (string, bool)
	time   func(*Frame) (feedback.Time, bool)
	number float64  // value of a constant
	string string   // value of a constant
	list   []string // values of a constant list

	numbers  []float64 // values of a constant list
	low, top float64   // bounds of a range

	op    op
	kids  []*term
	macro string // the macro that the term expands
}

func (t *term) describe() string {
	switch {
	case t.constant && t.kind == kindString:
		return fmt.Sprintf("the text %s", t.text)
	case t.constant:
		return fmt.Sprintf("the %s %s", t.kind, t.text)
	}
	return fmt.Sprintf("%s, which is a %s", t.text, t.kind)
}

// maxTermCost keeps sums of costs from overflowing.
const maxTermCost = 1 << 40

// from notes in t what its parts read and cost, and returns t.
func (t *term) from(parts ...*term) *term {
	for _, p := range parts {
		t.cost = min(t.cost+p.cost, maxTermCost)
		t.local = t.local || p.local
		t.varies = t.varies || p.varies
		t.parts |= p.parts
		for _, f := range p.reads {
			if !slices.Contains(t.reads, f) {
				t.reads = append(t.reads, f)
			}
		}
	}
	return t
}

func (t *term) readsLabels() bool {
	return slices.ContainsFunc(t.reads, func(f *field) bool { return f.labels })
}

// field is a field of events as terms read it, or a variable of the frame.
type field struct {
	feedback.Field
	kind   kind
	labels bool // changes when the item is labelled anew
	// volatile says that it is a variable: it may change while one event is looked at.
	volatile bool
	window   int // of a variable: the window that it reads plus one, or 0
	cost     int64
	text     func(*Frame) (string, bool)  // of a variable that is a string
	number   func(*Frame) (float64, bool) // of a variable that is a number
	alone    *term                        // the term that is nothing but the field, once it was asked for
}

// labelFields are the fields that come from an event's labels.
var labelFields = []string{"sentiment", "themes", "theme_scores"}

func newField(f feedback.Field) *field {
	out := &field{Field: f, kind: kindOf(f.Kind), labels: slices.Contains(labelFields, f.Name)}
	if get := f.Num; get != nil {
		out.Num = func(e *feedback.Event) (float64, bool) {
			v, ok := get(e)
			return v, ok && v-v == 0 // neither NaN nor infinite
		}
	}
	return out
}

// term returns the term that is nothing but the field.
func (f *field) term() *term {
	if f.alone == nil {
		f.alone = f.newTerm()
	}
	return f.alone
}

func (f *field) newTerm() *term {
	t := &term{kind: f.kind, key: f.Name, text: f.Name, field: f, cost: 1, reads: []*field{f}, varies: f.volatile}
	t.cost += f.cost
	switch {
	case f.text != nil:
		t.str = f.text
	case f.number != nil:
		t.num = f.number
	case f.Name == "word_count":
		t.num = func(fr *Frame) (float64, bool) { return fr.wordCount(), true }
	case f.Str != nil:
		t.str = func(fr *Frame) (string, bool) { return f.Str(&fr.event) }
	case f.Num != nil:
		t.num = func(fr *Frame) (float64, bool) { return f.Num(&fr.event) }
	case f.Instant != nil:
		t.time = func(fr *Frame) (feedback.Time, bool) { return f.Instant(&fr.event) }
	case f.Truth != nil:
		t.truth = func(fr *Frame) Truth {
			v, ok := f.Truth(&fr.event)
			if !ok {
				return Unknown
			}
			return truthOf(v)
		}
	}
	return t
}

func numberTerm(v float64, text string) *term {
	return &term{kind: kindNumber, constant: true, cost: 1, number: v, key: keyOfNumber(v), text: text,
		num: func(*Frame) (float64, bool) { return v, true }}
}

func stringTerm(v, text string) *term {
	return &term{kind: kindString, constant: true, cost: 1, string: v, key: strconv.Quote(v), text: text,
		str: func(*Frame) (string, bool) { return v, true }}
}

func boolTerm(v bool) *term {
	return &term{kind: kindBool, constant: true, cost: 1, key: strconv.FormatBool(v), text: strconv.FormatBool(v), test: &Test{Kind: ConstantTest, Not: !v},
		truth: func(*Frame) Truth { return truthOf(v) }}
}

func timeTerm(v feedback.Time, text string) *term {
	return &term{kind: kindInstant, constant: true, cost: 1, key: "@" + strconv.FormatInt(int64(v), 10), text: text, number: float64(v),
		time: func(*Frame) (feedback.Time, bool) { return v, true }}
}

func keyOfNumber(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func keyOfStrings(values []string) string {
	var b strings.Builder
	b.WriteByte('[')
	for _, v := range values {
		b.WriteString(strconv.Quote(v) + " ")
	}
	b.WriteByte(']')
	return bounded(b.String())
}

func keyOfNumbers(values []float64) string {
	var b strings.Builder
	b.WriteByte('[')
	for _, v := range values {
		b.WriteString(keyOfNumber(v) + " ")
	}
	b.WriteByte(']')
	return bounded(b.String())
}

// keyOf makes the key of an operation on terms.
func keyOf(operator string, parts ...*term) string {
	var b strings.Builder
	b.WriteString("(" + operator)
	for _, p := range parts {
		b.WriteString(" " + p.key)
	}
	b.WriteByte(')')
	return bounded(b.String())
}

// maxKey bounds keys, which would else double with every macro that uses another twice.
const maxKey = 512

func bounded(key string) string {
	if len(key) <= maxKey {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "#" + hex.EncodeToString(sum[:])
}
