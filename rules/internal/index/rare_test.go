package index

import (
	"fmt"
	"testing"

	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/sdk/feedback"
)

func themes(paths ...string) *feedback.Labels {
	l := &feedback.Labels{Sentiment: new(0.5)}
	for _, p := range paths {
		l.Themes = append(l.Themes, feedback.Theme{Path: feedback.ThemePath(p), Confidence: 0.5, Sentiment: new(0.1)})
	}
	return l
}

// many returns the paths of so many themes, the last of them t.
func many(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint("other", i)
	}
	out[n-1] = "t"
	return out
}

// What random events seldom bring about.
func TestRareCases(t *testing.T) {
	t.Parallel()
	a := choices(t)
	a.world = a.newWorld()
	full := func() *feedback.Item { return &feedback.Item{Text: "the box", Score: new(3.0), Location: "x"} }
	for name, c := range map[string]struct {
		sources []string
		item    *feedback.Item
		labels  *feedback.Labels
		want    lang.Truth // of the first
	}{
		"nothing is missing, and yet a number is none": {[]string{`score / (score - 3) > 1`, `score > 1`, `score - 3 > 0`}, full(), themes(), lang.Unknown},
		"and is found by a value":                      {[]string{`location == "x" and score / (score - 3) > 1`}, full(), themes(), lang.Unknown},
		"a comparison of two numbers":                  {[]string{`location == "x" and score / (score - 3) > score`, `score / (score - 3) > score`}, full(), themes(), lang.Unknown},
		"a comparison of two numbers alone":            {[]string{`score / (score - 3) > score`}, full(), themes(), lang.Unknown},
		"a variable is not set":                        {[]string{`win.recent.value > 1 and score == 3`}, full(), themes(), lang.Unknown},
		"a theme behind all that are looked at":        {[]string{`"t" in themes`, `any(theme_scores, .name == "t")`, `"t" not in themes`}, full(), themes(many(lang.MaxThemes + 1)...), lang.Unknown},
		"the last that is looked at":                   {[]string{`"t" in themes`, `any(theme_scores, .name == "t")`}, full(), themes(many(lang.MaxThemes)...), lang.True},
		"a path in upper case":                         {[]string{`any(theme_scores, lower(.name) == "t")`, `any(themes, lower(#) == "t")`}, full(), themes("T"), lang.True},
		"not labelled":                                 {[]string{`"t" in themes`, `any(theme_scores, .name == "t" and .confidence > 0.1)`, `sentiment > 0`}, full(), nil, lang.Unknown},
		"two parts of a text":                          {[]string{`text contains "the" and text contains "cat"`, `text contains "the" and text contains "BOX"`}, full(), themes(), lang.False},
		"a sign that folds to a letter":                {[]string{`text matches "(?i)kelvin"`, `text contains "kelvin"`, `text matches "kelvin"`}, &feedback.Item{Text: "\u212aelvin"}, themes(), lang.True},
		"a mark that follows":                          {[]string{`text matches "cafe"`, `text contains "cafe"`, `text contains "café"`}, &feedback.Item{Text: "cafe\u0301"}, themes(), lang.True},
		"not UTF-8":                                    {[]string{`text matches "(?i)BOX"`, `text contains "box"`}, &feedback.Item{Text: "\xffbox\xff"}, themes(), lang.True},
	} {
		for _, more := range []int{0, 200} {
			sources := c.sources
			for i := range more { // so that domains are sparse
				sources = append(sources, fmt.Sprintf(`location == "y%d"`, i), fmt.Sprintf(`"u%d" in themes`, i), fmt.Sprintf(`text contains "u%d"`, i), fmt.Sprintf(`text matches "(?i)u%d"`, i))
			}
			tr := compiled(t, a, sources, 1)
			tr.index = build(tr.program, 0, tr.stages)
			f, plain, s := tr.program.NewFrame(), tr.program.NewFrame(), tr.index.NewScratch()
			ev := &feedback.Event{Item: c.item, Labels: c.labels}
			f.Reset(ev)
			plain.Reset(ev)
			for range 4 {
				tr.compare(t, s, f, plain, 0)
			}
			if got := plain.Eval(tr.conds[0]); got != c.want {
				t.Errorf("%s: %s is %d, want %d", name, sources[0], got, c.want)
			}
		}
	}
}
