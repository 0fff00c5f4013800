package logic

import (
	"slices"

	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// surveys are the fields that are the score of one kind of survey.
var surveys = [...]string{string(feedback.NPS), string(feedback.CSAT), string(feedback.CES), string(feedback.Stars)}

// classes are the scores of the classes of nps.
var classes = [...]struct {
	name   string
	scores numbers
}{
	{string(feedback.Detractor), numbers{{lowest, edge{6, 0}}}},
	{string(feedback.Passive), numbers{{edge{6, 1}, edge{8, 0}}}},
	{string(feedback.Promoter), numbers{{edge{8, 1}, highest}}},
}

// scores are the things that belong together: what is not asked for stands for itself, with nothing known of it.
type scores struct{ survey, score, class *known }

// inferScores draws the conclusions from what survey, score and the fields made of them say of each other: the field of a
// survey is the score of an item of that survey.
func (x *search) inferScores(s *state) (changed, ok bool) {
	if !x.scored {
		return false, true
	}
	before := slices.Clone(s.known)
	get := func(name string) (*known, bool) {
		if at, ok := x.byField[name]; ok {
			return &s.known[at], true
		}
		return &known{given: true, missing: true, nums: allNumbers, texts: allWords}, false
	}
	var z scores
	z.survey, _ = get("survey")
	z.score, _ = get("score")
	if k, ok := get("nps_class"); ok {
		if z.class = k; !z.ofClass() {
			return false, false
		}
	}
	for _, name := range surveys {
		if k, ok := get(name); ok && !z.ofSurvey(k, name) {
			return false, false
		}
	}
	if z.class != nil && !z.ofClass() {
		return false, false
	}
	return !slices.EqualFunc(before, s.known, func(a, b known) bool { return a.same(&b) }), true
}

// same reports whether nothing more is known in one than in the other.
func (k *known) same(o *known) bool {
	return k.given == o.given && k.missing == o.missing && slices.Equal(k.nums, o.nums) && k.texts.not == o.texts.not && slices.Equal(k.texts.list, o.texts.list)
}

// ofSurvey joins what is known of the score of one survey with the others. It reports whether they agree.
func (z *scores) ofSurvey(k *known, name string) bool {
	is := wordsOf([]string{name}, false)
	switch {
	case !k.missing: // given
		z.survey.missing, z.score.missing = false, false
		z.survey.texts = z.survey.texts.and(is)
		z.score.nums = z.score.nums.and(k.nums)
	case !k.given: // either is missing, or it is another survey
		if !z.score.missing {
			z.survey.texts = z.survey.texts.and(is.opposite())
		}
		if !z.survey.missing && !z.survey.texts.meets(is.opposite()) {
			z.score.given = false
		}
	}
	if !z.survey.missing && !z.survey.texts.meets(is.opposite()) && !z.score.missing {
		k.missing = false
		k.nums = k.nums.and(z.score.nums)
		z.score.nums = z.score.nums.and(k.nums)
	}
	if !z.survey.given || !z.survey.texts.has(name) || !z.score.given {
		k.given = false
	}
	return z.agree(k)
}

// ofClass joins what is known of the class of an nps score with survey and score.
func (z *scores) ofClass() bool {
	k := z.class
	is := wordsOf([]string{string(feedback.NPS)}, false)
	if !k.missing {
		z.survey.missing = false
		z.survey.texts = z.survey.texts.and(is)
		var can numbers
		for _, c := range classes {
			if k.texts.has(c.name) {
				can = append(can, c.scores...)
			}
		}
		z.score.nums = z.score.nums.and(can)
	}
	if !z.survey.missing && !z.survey.texts.meets(is.opposite()) && !z.score.missing {
		k.missing = false
		for _, c := range classes {
			if !c.scores.meets(z.score.nums) {
				k.texts = k.texts.and(wordsOf([]string{c.name}, true))
			}
		}
	}
	if !z.survey.given || !z.survey.texts.has(string(feedback.NPS)) {
		k.given = false
	}
	return z.agree(k)
}

func (z *scores) agree(k *known) bool {
	for _, k := range [...]*known{k, z.survey, z.score} {
		if len(k.nums) == 0 || k.texts.empty() {
			k.given = false
		}
		if !k.given && !k.missing {
			return false
		}
	}
	return true
}

// inferGaps draws the conclusion that an atom is known when nothing is missing of what it reads.
func (x *search) inferGaps(s *state) (changed, ok bool) {
	for i, t := range x.tests {
		if s.truth[i]&IsUnknown == 0 || t.Always || t.Kind != lang.OpaqueTest {
			continue
		}
		given := true
		for _, g := range t.Gaps {
			at, ok := x.byField[x.sources[g].Field]
			given = given && ok && x.things[at].kind != theme && !s.known[at].missing
		}
		if given {
			c, ok := restrict(s, i, anything&^IsUnknown)
			if changed = changed || c; !ok {
				return changed, false
			}
		}
	}
	return changed, true
}
