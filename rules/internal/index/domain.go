package index

import (
	"math"
	"slices"

	"github.com/closedloop/closedloop/rules/internal/lang"
)

// missing is the class of what an event does not have.
const missing = 0

// domain divides the values of a source into classes such that each test of the source is the same for all values of a
// class. Texts that are searched and themes have keys instead, of which an event has any number.
type domain struct {
	*lang.Source
	used    bool
	cuts    []float64 // of numbers: below, at and above each of them are classes
	texts   *table    // of strings: a class for each text and one for all others; of themes: the keys
	longest int       // of texts
	classes int32     // missing and all others

	words *automaton // of searched texts
	// keys is the number of keys. Of searched texts, the keys below words are texts looked for in NFC, and the others are
	// the same looked for in the text as it was received.
	keys   int32
	nwords int32
	wanted []bool // by key: whether any test asks for it
	asked  int    // the number of keys that are
}

// sparseFrom is the number of values or keys above which a domain is sparse: conditions that ask for few of them are found by
// the value that the event has.
const sparseFrom = 128

func (d *domain) keyed() bool { return d.Kind == lang.FoldedSource || d.Kind == lang.ThemeSource }

func (d *domain) sparse() bool {
	if d.keyed() {
		return d.asked > sparseFrom
	}
	return d.classes > sparseFrom
}

// class returns the class of the event's value.
func (d *domain) class(f *lang.Frame) int32 {
	switch d.Kind {
	case lang.NumberSource:
		if v, ok := d.Number(f); ok {
			return d.classOf(v)
		}
	case lang.StringSource:
		if s, ok := d.Text(f); ok {
			if id := d.texts.find(s); id >= 0 {
				return id + 1
			}
			return d.classes - 1
		}
	}
	return missing
}

// classOf returns the class of a number: odd between two cuts, even at one.
func (d *domain) classOf(v float64) int32 {
	lo, n := 0, len(d.cuts)
	for n > 0 {
		half := (n + 1) / 2
		if d.cuts[lo+half-1] <= v {
			lo += half
			n -= half
		} else {
			n = half - 1
		}
	}
	if lo > 0 && d.cuts[lo-1] == v {
		return int32(2 * lo)
	}
	return int32(2*lo + 1)
}

// given reports whether the event has the value, and has all of it.
func (d *domain) given(f *lang.Frame) bool {
	switch d.Kind {
	case lang.NumberSource:
		_, ok := d.Number(f)
		return ok
	case lang.StringSource:
		_, ok := d.Text(f)
		return ok
	case lang.FoldedSource:
		_, ok := d.Folded(f)
		return ok
	}
	return d.Given(f)
}

// view is what the index knows of an atom.
type view struct {
	kind  viewKind
	dom   int32
	true  set     // of a classView: the classes for which the atom is true
	keys  []int32 // of a keyView: the atom is true only if the event has one of them
	exact bool    // and then is
}

type viewKind uint8

const (
	opaqueView viewKind = iota
	trueView            // always
	falseView
	givenView // true when the domain's value is given, else false
	classView // unknown when missing
	keyView
)

// cheap is the cost below which a source is looked at for any number of tests.
const cheap = 64

// fewTests is the number of tests from which a source that is not cheap is looked at for every event.
const fewTests = 4

// domainsOf builds the domains of a program's sources, and the views of its atoms. Sources that cost more than they are
// worth for an event are left out unless all are asked for.
func domainsOf(p *lang.Program, all bool) ([]domain, []view) {
	sources, tests := p.Sources(), p.Tests()
	doms := make([]domain, len(sources))
	asked := make([]int, len(sources))
	for _, t := range tests {
		if t.Kind > lang.ConstantTest {
			asked[t.Source]++
		}
	}
	for i, s := range sources {
		doms[i] = domain{Source: s, used: asked[i] > 0 && (all || s.Cost < cheap || asked[i] >= fewTests)}
	}
	collect(doms, tests)
	views := make([]view, len(tests))
	for i, t := range tests {
		views[i] = viewOf(doms, t)
	}
	for i := range doms {
		for _, w := range doms[i].wanted {
			if w {
				doms[i].asked++
			}
		}
	}
	return doms, views
}

// collect gathers what the tests compare with.
func collect(doms []domain, tests []*lang.Test) {
	texts := make([][]string, len(doms))
	for _, t := range tests {
		if t.Kind <= lang.ConstantTest || !doms[t.Source].used {
			continue
		}
		d := &doms[t.Source]
		for _, s := range t.Spans {
			for _, v := range [...]float64{s.Low, s.High} {
				if !math.IsInf(v, 0) {
					d.cuts = append(d.cuts, v)
				}
			}
		}
		texts[t.Source] = append(append(texts[t.Source], t.Strings...), t.Literals...)
	}
	for i := range doms {
		d := &doms[i]
		slices.Sort(d.cuts)
		d.cuts = slices.Clip(slices.Compact(d.cuts))
		slices.Sort(texts[i])
		d.finish(slices.Clip(slices.Compact(texts[i])))
	}
}

func (d *domain) finish(texts []string) {
	switch d.Kind {
	case lang.NumberSource:
		d.classes = int32(2*len(d.cuts) + 2)
	case lang.StringSource:
		d.texts, d.classes = newTable(texts, hashText), int32(len(texts)+2)
	case lang.ThemeSource:
		d.texts, d.longest, d.keys = newTable(texts, hashPath), longestOf(texts), int32(len(texts))
	case lang.FoldedSource:
		d.texts, d.nwords, d.keys = newTable(texts, hashText), int32(len(texts)), int32(2*len(texts))
		if len(texts) > 0 {
			d.words = newAutomaton(texts, maxDense)
		}
	}
	d.wanted = make([]bool, d.keys)
}

func viewOf(doms []domain, t *lang.Test) view {
	if t.Kind == lang.ConstantTest {
		if t.Not {
			return view{kind: falseView}
		}
		return view{kind: trueView}
	}
	if t.Kind == lang.OpaqueTest || !doms[t.Source].used {
		return view{kind: opaqueView}
	}
	d := &doms[t.Source]
	v := view{kind: classView, dom: t.Source}
	switch t.Kind {
	case lang.GivenTest:
		v.kind, v.true = givenView, set{{1, d.classes - 1}}
	case lang.NumberTest:
		for _, s := range t.Spans {
			v.true = append(v.true, d.spanOf(s))
		}
		v.true = joined(v.true)
	case lang.StringTest:
		for _, s := range t.Strings {
			v.true = append(v.true, span{d.texts.find(s) + 1, d.texts.find(s) + 1})
		}
		slices.SortFunc(v.true, func(a, b span) int { return int(a.lo) - int(b.lo) })
		v.true = joined(v.true)
		if t.Not {
			v.true = v.true.not(1, d.classes-1)
		}
	case lang.LiteralTest:
		v.kind, v.exact = keyView, t.Exact
		for _, s := range t.Literals {
			k := d.texts.find(s)
			if t.Raw {
				k += d.nwords
			}
			d.wanted[k] = true
			v.keys = append(v.keys, k)
		}
	}
	return v
}

// spanOf returns the classes of a range of numbers.
func (d *domain) spanOf(s lang.Span) span {
	out := span{1, d.classes - 1}
	if !math.IsInf(s.Low, 0) {
		if out.lo = d.classOf(s.Low); s.OpenLow {
			out.lo++
		}
	}
	if !math.IsInf(s.High, 0) {
		if out.hi = d.classOf(s.High); s.OpenHigh {
			out.hi--
		}
	}
	return out
}
