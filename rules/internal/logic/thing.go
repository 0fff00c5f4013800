package logic

import (
	"bytes"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// thing is a value of events that atoms look at, in one way or several.
type thing struct {
	source *lang.Source
	kind   thingKind
	atoms  []int
	nums   []numbers // by place in atoms: for which a NumberTest is true
	texts  []words   // likewise of a StringTest
	closed *words    // the only texts that there are, or nil
}

type thingKind uint8

const (
	other thingKind = iota
	number
	text
	theme
)

// known is what is known of a thing: whether it may be given or missing, and its value where it is given. Of themes, given
// is that all of them are looked at.
type known struct {
	given, missing bool
	nums           numbers
	texts          words
}

func (t *thing) anything() known {
	k := known{given: true, missing: true, nums: allNumbers, texts: allWords}
	if t.source.Bool {
		k.nums = truths
	}
	if t.closed != nil {
		k.texts = *t.closed
	}
	if t.source.Field == "word_count" {
		k.missing = false
	}
	return k
}

// closedTexts are the texts that fields can have at all.
var closedTexts = map[string]words{
	"nps_class": wordsOf([]string{string(feedback.Detractor), string(feedback.Passive), string(feedback.Promoter)}, false),
}

// neverEmpty reports whether a field is missing when it is empty.
func neverEmpty(field string) bool {
	return field != "" && field != lang.Theme && !strings.HasPrefix(field, "attributes.") && !strings.HasPrefix(field, "customer.attributes.")
}

// prepare collects the things that the atoms look at.
func (x *search) prepare() {
	byKey := map[string]int{}
	x.byField = map[string]int{}
	x.tests = make([]*lang.Test, len(x.atoms))
	for i, atom := range x.atoms {
		t := x.Solver.tests[atom]
		if t.Instant != nil {
			t = t.Instant
		}
		x.tests[i] = t
		if t.Kind <= lang.ConstantTest {
			continue
		}
		src := x.sources[t.Source]
		at, ok := byKey[src.Key]
		if !ok {
			at = len(x.things)
			byKey[src.Key] = at
			x.things = append(x.things, newThing(src))
			if src.Field != "" {
				x.byField[src.Field] = at
				x.scored = x.scored || src.Field == "nps_class" || slices.Contains(surveys[:], src.Field)
			}
		}
		x.things[at].add(i, t)
	}
}

func newThing(src *lang.Source) thing {
	t := thing{source: src}
	switch src.Kind {
	case lang.NumberSource:
		t.kind = number
	case lang.StringSource, lang.FoldedSource:
		t.kind = text
	case lang.ThemeSource:
		t.kind = theme
	}
	if w, ok := closedTexts[src.Field]; ok {
		t.closed = &w
	} else if t.kind == text && neverEmpty(src.Field) {
		t.closed = &words{list: []string{""}, not: true}
	}
	return t
}

func (t *thing) add(atom int, test *lang.Test) {
	t.atoms = append(t.atoms, atom)
	var in numbers
	var is words
	switch test.Kind {
	case lang.NumberTest:
		in = numbersOf(test.Spans)
	case lang.StringTest:
		is = wordsOf(test.Strings, test.Not)
	}
	t.nums, t.texts = append(t.nums, in), append(t.texts, is)
}

// infer draws the conclusions from what atoms say of one value, and from what values say of each other.
func (x *search) infer(s *state) (changed, ok bool) {
	for i := range x.things {
		x.left -= len(x.things[i].atoms)
		c, ok := x.inferThing(s, i)
		if changed = changed || c; !ok {
			return changed, false
		}
	}
	c, ok := x.inferScores(s)
	changed = changed || c
	if !ok {
		return changed, false
	}
	c, ok = x.inferGaps(s)
	return changed || c, ok
}

// restrict has an atom be one of the truth values.
func restrict(s *state, atom int, to Accept) (changed, ok bool) {
	was := s.truth[atom]
	s.truth[atom] &= to
	return s.truth[atom] != was, s.truth[atom] != 0
}

func (x *search) inferThing(s *state, at int) (changed, ok bool) {
	t, k := &x.things[at], &s.known[at]
	for i, atom := range t.atoms {
		t.learn(k, s.truth[atom], x.tests[atom], i)
	}
	if len(k.nums) == 0 || k.texts.empty() {
		k.given = false
	}
	if t.kind == text && !k.texts.not {
		k.texts = k.texts.only(func(v string) bool { return x.fits(s, t, v) })
		k.given = k.given && !k.texts.empty()
	}
	if !k.given && !k.missing {
		return changed, false
	}
	for i, atom := range t.atoms {
		c, ok := restrict(s, atom, t.allows(k, x.tests[atom], i))
		if changed = changed || c; !ok {
			return changed, false
		}
	}
	c, ok := x.inferLiterals(s, t)
	return changed || c, ok
}

// learn takes what the truth of an atom says of the value.
func (t *thing) learn(k *known, a Accept, test *lang.Test, i int) {
	given := a&(IsTrue|IsFalse) != 0
	switch test.Kind {
	case lang.GivenTest:
		k.given = k.given && a&IsTrue != 0
		k.missing = k.missing && a&IsFalse != 0
		return
	case lang.NumberTest:
		switch a & (IsTrue | IsFalse) {
		case IsTrue:
			k.nums = k.nums.and(t.nums[i])
		case IsFalse:
			k.nums = k.nums.and(t.nums[i].not())
		}
	case lang.StringTest:
		switch a & (IsTrue | IsFalse) {
		case IsTrue:
			k.texts = k.texts.and(t.texts[i])
		case IsFalse:
			k.texts = k.texts.and(t.texts[i].opposite())
		}
	case lang.LiteralTest:
		if t.kind == theme {
			if !test.Exact {
				return
			}
			given = a != IsUnknown
			k.missing = k.missing && a != IsFalse
			k.given = k.given && given
			return
		}
	}
	k.given = k.given && given
	k.missing = k.missing && a&IsUnknown != 0
}

// allows returns the truth values that an atom may have.
func (t *thing) allows(k *known, test *lang.Test, i int) (out Accept) {
	yes, no := true, true
	switch test.Kind {
	case lang.GivenTest:
		if k.given {
			out |= IsTrue
		}
		if k.missing {
			out |= IsFalse
		}
		return out
	case lang.NumberTest:
		yes, no = k.nums.meets(t.nums[i]), k.nums.meets(t.nums[i].not())
	case lang.StringTest:
		yes, no = k.texts.meets(t.texts[i]), k.texts.meets(t.texts[i].opposite())
	case lang.LiteralTest:
		switch {
		case t.kind == theme && !test.Exact:
			return anything
		case t.kind == theme:
			out = IsTrue
			if k.given {
				out |= IsFalse
			}
			if k.missing {
				out |= IsUnknown
			}
			return out
		}
	}
	if k.given && yes {
		out |= IsTrue
	}
	if k.given && no {
		out |= IsFalse
	}
	if k.missing {
		out |= IsUnknown
	}
	return out
}

// implied reports whether one literal is there wherever the other is.
func (t *thing) implied(there, literal string) bool {
	if t.kind == theme {
		return feedback.ThemePath(there).Within(feedback.ThemePath(literal))
	}
	return strings.Contains(there, literal)
}

// inferLiterals draws the conclusions from which literals are there, and which are not.
func (x *search) inferLiterals(s *state, t *thing) (changed, ok bool) {
	for _, a := range t.atoms {
		test := x.tests[a]
		if test.Kind != lang.LiteralTest || s.truth[a].single() && s.truth[a] != IsTrue {
			continue
		}
		left, sure := 0, false
		for _, literal := range test.Literals {
			there, gone := x.literal(s, t, a, literal)
			if !gone {
				left++
			}
			sure = sure || there
		}
		to := anything
		if left == 0 {
			to = NotTrue
		} else if sure && test.Exact {
			to = IsTrue
		}
		c, ok := restrict(s, a, to)
		if changed = changed || c; !ok {
			return changed, false
		}
	}
	return changed, true
}

// literal reports whether other atoms say that a literal is there, or that it is not.
func (x *search) literal(s *state, t *thing, but int, literal string) (there, gone bool) {
	x.left--
	for _, b := range t.atoms {
		test := x.tests[b]
		if b == but || test.Kind != lang.LiteralTest || test.Raw != x.tests[but].Raw {
			continue
		}
		switch {
		case s.truth[b] == IsTrue && len(test.Literals) == 1:
			there = there || t.implied(test.Literals[0], literal)
		case s.truth[b]&IsTrue == 0 && test.Exact:
			for _, missing := range test.Literals {
				gone = gone || t.implied(literal, missing)
			}
		}
	}
	return there, gone
}

// fits reports whether a text is what atoms that look for literals in it say.
func (x *search) fits(s *state, t *thing, v string) bool {
	for _, a := range t.atoms {
		test := x.tests[a]
		if test.Kind != lang.LiteralTest || s.truth[a]&IsUnknown != 0 {
			continue
		}
		folded := lang.Fold(v)
		if test.Raw {
			folded = lang.AppendFolded(nil, v)
		}
		found := false
		for _, l := range test.Literals {
			found = found || bytes.Contains(folded, []byte(l))
		}
		if s.truth[a] == IsTrue && !found || s.truth[a] == IsFalse && found && test.Exact {
			return false
		}
	}
	return true
}
