package lang

import (
	"math"
	"slices"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// SourceKind says how the value of a Source is read.
type SourceKind uint8

// The kinds of sources.
const (
	NumberSource SourceKind = iota // Source.Number: a number; an instant in milliseconds, a truth value as 0 or 1
	StringSource                   // Source.Text
	FoldedSource                   // Source.Folded
	ThemeSource                    // Frame.Labels
	GivenSource                    // nothing but Source.Given
)

// Source is a value of events that atoms look at.
type Source struct {
	Kind   SourceKind
	Name   string // what it is called in problems
	Labels bool   // changes when the item is labelled anew
	Cost   int64  // of reading it, in steps
	Key    string // equal for sources that read one value in different ways
	Field  string // the field or variable that it is, or "" when it is computed
	Bool   bool   // the number is that of a truth value, 0 or 1
	reads  []*field

	number func(*Frame) (float64, bool)
	text   func(*Frame) (string, bool)
	field  func(*feedback.Event) (string, bool) // of a field that is a text, instead of text
	folded func(*Frame) *folded
	given  func(*Frame) bool
}

// Number returns the value of a NumberSource, which is finite, and whether the event has it.
func (s *Source) Number(f *Frame) (float64, bool) { return s.number(f) }

// Reads returns the names of the fields and variables that the source is computed from.
func (s *Source) Reads() []string { return names(s.reads) }

// Text returns the value of a StringSource, and whether the event has it.
func (s *Source) Text(f *Frame) (string, bool) {
	if s.field != nil {
		return s.field(&f.event)
	}
	return s.text(f)
}

// Given reports whether nothing is missing from what a ThemeSource or GivenSource stands for.
func (s *Source) Given(f *Frame) bool { return s.given(f) }

// Folded is a text as searches see it, in NFC with simple case folding, and as it was received. The bytes are valid
// until the frame turns to another event.
type Folded struct {
	Text  []byte
	Raw   string
	Plain bool // Raw is in NFC, so that Text is also AppendFolded of Raw
}

// Folded returns the value of a FoldedSource, and whether the event has it.
func (s *Source) Folded(f *Frame) (Folded, bool) {
	d := s.folded(f)
	return Folded{d.text, d.raw, d.plain}, d.known
}

// AppendFolded appends a text with simple case folding but not brought to NFC.
func AppendFolded(dst []byte, s string) []byte { return appendFolded(dst, s) }

// TestKind says what a Test is.
type TestKind uint8

// The kinds of tests.
const (
	OpaqueTest   TestKind = iota // nothing is known of it
	ConstantTest                 // always true, or with Not always false
	GivenTest                    // true when the source has a value, else false
	NumberTest                   // true within Spans, unknown without a value
	StringTest                   // true for Strings, or with Not for all others; unknown without a value
	LiteralTest                  // see Test.Literals
)

// Test describes what an atom tests.
type Test struct {
	Kind    TestKind
	Source  int32 // of Program.Sources
	Spans   []Span
	Strings []string
	Not     bool
	// Literals of a LiteralTest: the test is true only if one of them is there: a part of the text of a FoldedSource, or
	// a theme of a ThemeSource or one below it.
	Literals []string
	Exact    bool // one of Literals is also enough; else, while nothing is missing, it is false
	Raw      bool // Literals are looked for in AppendFolded of the text as received, not in NFC
	// Volatile says that the atom reads what may change while one event is looked at.
	Volatile bool
	// Instant is what a volatile atom tests while nothing changes, or nil if nothing is known of it.
	Instant *Test
	// Gaps are the sources of which one must be missing for the atom to be unknown; if Always is set, none needs to be.
	Gaps   []int32
	Always bool

	on *term // what becomes the Source
}

// Span is a range of numbers. An infinite bound is none.
type Span struct {
	Low, High         float64
	OpenLow, OpenHigh bool // the bound itself is left out
}

// parts of what terms read that fields do not tell.
const (
	partName       uint8 = 1 << iota // path of the element of an iteration
	partConfidence                   // and its confidence
	partSentiment                    // and its sentiment
	partComputed                     // what may have no value though everything is given
)

// numberTest describes a comparison of a number or instant with a constant.
func numberTest(want uint8, a, b *term) *Test {
	if a.constant || !b.constant {
		return nil
	}
	w := b.number
	t := &Test{Kind: NumberTest, on: a}
	below, above := Span{Low: math.Inf(-1), High: w, OpenHigh: want&equal == 0}, Span{Low: w, High: math.Inf(1), OpenLow: want&equal == 0}
	switch want {
	case equal:
		t.Spans = []Span{{Low: w, High: w}}
	case less | greater:
		t.Spans = []Span{below, above}
	default:
		if want&less != 0 {
			t.Spans = []Span{below}
		} else {
			t.Spans = []Span{above}
		}
	}
	return t
}

func stringTest(not bool, a *term, values ...string) *Test {
	switch {
	case a.constant:
		return nil
	case a.isPath() && !not:
		return &Test{Kind: LiteralTest, Literals: values}
	}
	return &Test{Kind: StringTest, Strings: values, Not: not, on: a}
}

// truthTest describes a field that is a truth value, or its comparison with a constant.
func truthTest(want bool, a *term) *Test {
	if a.field == nil {
		return nil
	}
	v := 0.0
	if want {
		v = 1
	}
	return &Test{Kind: NumberTest, Spans: []Span{{Low: v, High: v}}, on: a}
}

// listTest describes membership in a list of numbers, which is sorted.
func listTest(a *term, sorted []float64) *Test {
	if a.constant {
		return nil
	}
	t := &Test{Kind: NumberTest, on: a}
	for i, v := range sorted {
		if i == 0 || v != sorted[i-1] {
			t.Spans = append(t.Spans, Span{Low: v, High: v})
		}
	}
	return t
}

func spanTest(a *term, low, high float64) *Test {
	if a.constant {
		return nil
	}
	return &Test{Kind: NumberTest, Spans: []Span{{Low: low, High: high}}, on: a}
}

// isPath reports whether the term is the path of the element of an iteration.
func (t *term) isPath() bool { return t.local && (t.key == "#" || t.key == "#.name") }

// themeTest describes `"path" in themes`.
func themeTest(path string, themes *term) *Test {
	return &Test{Kind: LiteralTest, Literals: []string{path}, Exact: true, on: themes}
}

// anyTest describes any(themes, body) if it holds only for items with a theme that the body names.
func anyTest(list, body *term) *Test {
	paths := themesOf(body)
	if paths == nil || len(paths) > maxTexts {
		return nil
	}
	return &Test{Kind: LiteralTest, Literals: paths, on: list}
}

// themesOf returns the paths of themes of which an item has one if the body of an iteration is true for any, or nil.
func themesOf(body *term) []string {
	switch body.op {
	case opAtom:
		if t := body.test; t != nil && t.Kind == LiteralTest && (t.on == nil || t.on.kind == kindThemes) {
			return t.Literals
		}
	case opAnd:
		for _, k := range body.kids {
			if paths := themesOf(k); paths != nil {
				return paths
			}
		}
	case opOr:
		var out []string
		for _, k := range body.kids {
			paths := themesOf(k)
			if paths == nil {
				return nil
			}
			out = append(out, paths...)
		}
		return out
	}
	return nil
}

// containsTest describes contains, startsWith and endsWith with a folded constant.
func containsTest(exact bool, a *term, part []byte) *Test {
	if a.constant {
		return nil
	}
	return &Test{Kind: LiteralTest, Literals: []string{string(part)}, Exact: exact, on: a}
}

// matchTest describes a regular expression with a plan.
func matchTest(p *plan, a *term) *Test {
	if p == nil || a.constant {
		return nil
	}
	t := &Test{Kind: LiteralTest, Raw: true, Exact: p.whole && p.anyCase, on: a}
	for _, s := range p.texts {
		t.Literals = append(t.Literals, string(appendFolded(nil, s)))
	}
	slices.Sort(t.Literals)
	t.Literals = slices.Compact(t.Literals)
	return t
}

// testOf completes the description of an atom of the program.
func (c *Compiler) testOf(t *term) *Test {
	out := &Test{Volatile: t.varies}
	switch {
	case t.varies && t.test != nil && !t.local:
		out.Instant = c.placed(t.test)
	case t.test != nil && !t.local:
		out = c.placed(t.test)
	case t.field != nil && !t.varies:
		out = c.placed(truthTest(true, t))
	}
	switch out.Kind {
	case NumberTest, StringTest:
		out.Gaps = []int32{out.Source}
	case OpaqueTest, LiteralTest:
		c.gaps(t, out)
	}
	return out
}

// placed returns the test with its source.
func (c *Compiler) placed(t *Test) *Test {
	out := *t
	if on := out.on; on != nil {
		out.Source, out.on = c.source(sourceKind(on, out.Kind), on), nil
	}
	return &out
}

func sourceKind(on *term, k TestKind) SourceKind {
	switch {
	case on.kind == kindThemes || on.kind == kindThemeList:
		return ThemeSource
	case k == LiteralTest:
		return FoldedSource
	case on.kind == kindString:
		return StringSource
	}
	return NumberSource
}

// gaps notes what must be missing for an atom to be unknown.
func (c *Compiler) gaps(t *term, out *Test) {
	out.Always = t.varies || t.parts&partComputed != 0
	for _, r := range t.reads {
		if !r.volatile {
			on := r.term()
			out.Gaps = append(out.Gaps, c.source(sourceKind(on, OpaqueTest), on))
		}
	}
	for _, p := range [...]uint8{partName, partConfidence, partSentiment} {
		if t.parts&p != 0 {
			out.Gaps = append(out.Gaps, c.partSource(p))
		}
	}
}

// source returns the number of a source in the program.
func (c *Compiler) source(kind SourceKind, on *term) int32 {
	s := &Source{Kind: kind, Name: on.text, Labels: on.readsLabels(), Cost: on.cost, Key: on.key, Bool: on.kind == kindBool, reads: on.reads}
	if on.field != nil {
		s.Field = on.field.Name
	}
	switch kind {
	case ThemeSource:
		s.Name, s.Key, s.given = "themes", "themes", themesGiven
		return c.addSource(s, "themes")
	case FoldedSource:
		s.folded = c.foldedText(on)
	case StringSource:
		s.text = on.str
		if on.field != nil {
			s.field = on.field.Str
		}
	default:
		s.number = numberOf(on)
	}
	return c.addSource(s, on.key)
}

// themesGiven reports whether all themes of the item are known and looked at, with their paths.
func themesGiven(f *Frame) bool {
	themes := f.event.Labels.Themes
	if f.unlabelled || len(themes) > MaxThemes {
		return false
	}
	for i := range themes {
		if len(themes[i].Path) > MaxPath {
			return false
		}
	}
	return true
}

func (c *Compiler) addSource(s *Source, key string) int32 {
	key = string('0'+rune(s.Kind)) + key
	id, ok := c.sourceIDs[key]
	if !ok {
		id = int32(len(c.sources))
		c.sourceIDs[key] = id
		c.sources = append(c.sources, s)
	}
	return id
}

func numberOf(t *term) func(*Frame) (float64, bool) {
	switch t.kind {
	case kindInstant:
		at := t.time
		return func(f *Frame) (float64, bool) {
			v, ok := at(f)
			return float64(v), ok // exact where constants are; beyond them the order is kept
		}
	case kindBool:
		truth := t.truth
		return func(f *Frame) (float64, bool) {
			v := truth(f)
			return float64(v) / 2, v != Unknown
		}
	}
	return t.num
}

// partSource returns the source of which nothing is missing when every theme that is looked at has the part.
func (c *Compiler) partSource(part uint8) int32 {
	has := func(t *feedback.Theme) bool { return len(t.Path) <= MaxPath }
	name := "theme_scores.name"
	switch part {
	case partConfidence:
		name, has = "theme_scores.confidence", func(t *feedback.Theme) bool { return t.Confidence-t.Confidence == 0 }
	case partSentiment:
		name, has = "theme_scores.sentiment", func(t *feedback.Theme) bool { return t.Sentiment != nil && *t.Sentiment-*t.Sentiment == 0 }
	}
	s := &Source{Kind: GivenSource, Name: name, Key: name, Labels: true, given: func(f *Frame) bool {
		themes := f.event.Labels.Themes
		for i := range themes[:min(len(themes), MaxThemes)] {
			if !has(&themes[i]) {
				return false
			}
		}
		return true
	}}
	return c.addSource(s, name)
}

// Op is how a part of a condition is made of others.
type Op = op

// The parts of conditions.
const (
	Atom = opAtom
	And  = opAnd
	Or   = opOr
	Not  = opNot
	Else = opElse // the first unless it is unknown, then the second
)

// Op returns how the part is made of others.
func (n *Node) Op() Op { return n.op }

// Atom returns the number in the program of a part that is an Atom.
func (n *Node) Atom() int32 { return n.atom }

// Kids returns the parts of the part, in the order in which they are evaluated. They must not be changed.
func (n *Node) Kids() []Node { return n.kids }

// Root returns the whole condition as a part.
func (c *Condition) Root() *Node { return &c.root }

// Tests returns what each atom of the program tests. They must not be changed.
func (p *Program) Tests() []*Test { return p.tests }

// Sources returns the values of events that the program's atoms look at. They must not be changed.
func (p *Program) Sources() []*Source { return p.sources }

// Truth returns the truth of an atom of the program for the frame's event.
func (f *Frame) Truth(atom int32) Truth {
	if m := f.memo[atom]; m>>2 == f.epoch {
		return Truth(m & 3)
	}
	return f.learn(atom)
}

func (f *Frame) learn(atom int32) Truth {
	t := f.program.atoms[atom](f)
	f.memo[atom] = f.epoch<<2 | memo(t)
	return t
}

// Serial is different for each event that the frame turns to.
func (f *Frame) Serial() uint64 { return f.serial }

// LabelSerial is different for each event that the frame turns to, and whenever the event is labelled anew.
func (f *Frame) LabelSerial() uint64 { return f.labelled }
