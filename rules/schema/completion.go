package schema

import (
	"slices"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/rules/window"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Word is something that may be written, with what it means.
type Word struct {
	Name  string `json:"name"`
	Type  string `json:"type,omitempty"`  // of a field or a key
	Usage string `json:"usage,omitempty"` // how it is written
	Doc   string `json:"doc"`
	Keys  []Word `json:"keys,omitempty"` // of an action
}

// Completion is what a console or an editor offers in expressions and rules.
type Completion struct {
	Fields    []Word `json:"fields"`
	Functions []Word `json:"functions"`
	Operators []Word `json:"operators"`
	Actions   []Word `json:"actions"`
	Metrics   []Word `json:"metrics"` // of windows
	Figures   []Word `json:"figures"` // of windows, as win.NAME.FIGURE
}

// Complete returns what may be written in the rules of a program that declares env.
func Complete(env rules.Env) Completion {
	c := Completion{Functions: []Word{}, Operators: Operators(), Metrics: Metrics()}
	fields := append(feedback.Fields(), feedback.AttributeFields(env.Attributes, env.CustomerAttributes)...)
	slices.SortStableFunc(fields[len(feedback.Fields()):], func(a, b feedback.Field) int { return compare(a.Name, b.Name) })
	for _, f := range fields {
		c.Fields = append(c.Fields, Word{Name: f.Name, Type: f.Kind.String(), Doc: f.Doc})
	}
	c.Fields = append(c.Fields, Word{Name: lang.Theme, Type: feedback.String.String(), Doc: "the theme, in a rule that is decided for each theme"})
	for _, f := range lang.FunctionList() {
		c.Functions = append(c.Functions, Word{Name: f.Name, Usage: f.Usage, Doc: f.Doc})
	}
	actions := Action()
	for i := range actions.Keys {
		c.Actions = append(c.Actions, actions.Keys[i].word())
	}
	for _, f := range lang.WindowFigures() {
		c.Figures = append(c.Figures, Word{Name: f[0], Type: feedback.Number.String(), Doc: f[1]})
	}
	return c
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (k *Key) word() Word {
	w := Word{Name: k.Name, Type: k.Type.String(), Doc: plain(k.Doc)}
	for i := range k.Type.Keys {
		w.Keys = append(w.Keys, k.Type.Keys[i].word())
	}
	return w
}

var kindNames = [...]string{"string", "number", "whole number", "true or false", "duration", "expression", "choice", "list", "map", "object", "", "object", "any value", "nothing"}

// String names the type of a value.
func (t *Type) String() string {
	if t.Kind == Either {
		return t.Types[0].String()
	}
	return kindNames[t.Kind]
}

// Operators returns the operators of expressions.
func Operators() []Word {
	return []Word{
		{Name: "and", Usage: "a and b", Type: "conditions", Doc: "also written `&&`; binds stronger than `or`"},
		{Name: "or", Usage: "a or b", Type: "conditions", Doc: "also written `||`"},
		{Name: "not", Usage: "not a", Type: "a condition", Doc: "also written `!`; put what it denies into parentheses"},
		{Name: "==", Usage: "score == 5", Type: "two values of one type", Doc: "strings are compared exactly, with their case"},
		{Name: "!=", Usage: "score != 5", Type: "two values of one type", Doc: "the opposite of `==`; unknown when a value is missing"},
		{Name: "<", Usage: "score < 5", Type: "numbers, times", Doc: "`1 < score < 7` works"},
		{Name: "<=", Usage: "score <= 5", Type: "numbers, times", Doc: "less or equal"},
		{Name: ">", Usage: "score > 5", Type: "numbers, times", Doc: "greater"},
		{Name: ">=", Usage: "score >= 5", Type: "numbers, times", Doc: "greater or equal"},
		{Name: "+", Usage: "score + 1", Type: "numbers", Doc: "the sum"},
		{Name: "-", Usage: "score - 1", Type: "numbers", Doc: "the difference"},
		{Name: "*", Usage: "score * 2", Type: "numbers", Doc: "the product"},
		{Name: "/", Usage: "score / 2", Type: "numbers", Doc: "dividing by zero gives nothing: the comparison is unknown"},
		{Name: "in", Usage: "score in 0..6", Type: "a value and a list, a range `0..6`, or `themes`", Doc: "also `not in`. Both bounds of a range belong to it; " +
			"with `themes` a path also finds what lies below it: `\"packaging\" in themes` finds `packaging/opening`"},
		{Name: "contains", Usage: `text contains "refund"`, Type: "strings", Doc: "also `not contains`. Case does not count, nor how an accented letter is encoded (Unicode NFC and simple case folding)"},
		{Name: "startsWith", Usage: `touchpoint startsWith "checkout/"`, Type: "strings", Doc: "also with `not`, and as little particular as `contains`"},
		{Name: "endsWith", Usage: `customer.email endsWith "@example.com"`, Type: "strings", Doc: "also with `not`, and as little particular as `contains`"},
		{Name: "matches", Usage: `text matches "(?i)box|packag"`, Type: "a string and a constant regular expression", Doc: "also `not matches`. RE2 syntax, on the text as it was received; begin it with `(?i)` when case should not count"},
		{Name: "??", Usage: "(customer.arr ?? 0) > 1000", Type: "a value and its default, both in parentheses", Doc: "the default where the value is missing"},
	}
}

// Metrics returns what windows may tell.
func Metrics() []Word {
	return []Word{
		{Name: string(window.NPS), Doc: "Net Promoter Score of the nps answers, -100 to 100, with its score interval"},
		{Name: string(window.CSAT), Doc: "percent of the csat answers that are among the upper two of the scale, with Wilson's interval"},
		{Name: string(window.CES), Doc: "mean of the ces answers, with Student's interval"},
		{Name: string(window.Rate), Doc: "share of the items in `of` that are in `where`, or carry the theme: 0 to 1, with Wilson's interval"},
		{Name: string(window.Count), Doc: "number of items, with the interval of the number that was to be expected"},
		{Name: string(window.Mean), Doc: "mean of the field `of`, with Student's interval"},
	}
}
