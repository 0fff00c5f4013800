package index

import (
	"fmt"
	"testing"

	"github.com/closedloop/closedloop/rules/internal/lang"
)

func TestContradictions(t *testing.T) {
	t.Parallel()
	a := choices(t)
	a.world = a.newWorld()
	for source, want := range map[string]string{
		`score < 3 and score > 5`:                    "no value of score satisfies all that is asked of it",
		`score in 1..3 and score not in 0..4`:        "no value of score satisfies all that is asked of it",
		`score < 3 and (score > 5 or score == 4)`:    "no value of score satisfies all that is asked of it",
		`score == 3 and not has(score)`:              "no value of score satisfies all that is asked of it",
		`location == "a" and location in ["b", "c"]`: "no value of location satisfies all that is asked of it",
		`false`: "it is false by its constants",
		`false or (contactable and not contactable)`:                        "no value of contactable satisfies all that is asked of it",
		`location == title and location != "x" and not (location == title)`: "it asks for location == title and for its opposite",
		`"a/b" in themes and "a" not in themes`:                             `it asks for "a" in themes and for its opposite`,
		`text contains "cancelled" and text not contains "CAN"`:             `it asks for text contains "CAN" and for its opposite`,
		`len(text) < 3 and len(text) > 4`:                                   "no value of len(text) satisfies all that is asked of it",
		`(score ?? 9) < 3 and (score ?? 9) > 3`:                             "no value of score ?? 9 satisfies all that is asked of it",
		`score < 3 and score > 2`:                                           "",
		`not has(score)`:                                                    "",
		`((score > 3) ?? true) and not has(score)`:                          "",
		`"a" in themes and "a/b" not in themes`:                             "",
		`text matches "a" and not (text contains "a")`:                      "",
		`any(theme_scores, .name == "a") and "b" not in themes`:             "",
	} {
		tr := compiled(t, a, []string{source}, 1)
		if why, ok := Relate(tr.program, tr.conds).Contradiction(0); why != want || ok != (want != "") {
			t.Errorf("%s: %q, want %q", source, why, want)
		}
	}
}

func TestImplications(t *testing.T) {
	t.Parallel()
	a := choices(t)
	a.world = a.newWorld()
	for _, c := range []struct {
		narrow, wide string
		back         bool // the other way too
	}{
		{`score <= 3`, `score <= 6`, false},
		{`score <= 3`, `score < 4 or score > 7`, false},
		{`score <= 6 and contactable`, `contactable`, false},
		{`score in [1, 2]`, `score == 1 or score == 2`, true},
		{`not (score > 6)`, `score <= 6`, true},
		{`score > 3`, `has(score)`, false},
		{`score > 3`, `(score > 2) ?? true`, false},
		{`"packaging/opening" in themes`, `"packaging" in themes`, false},
		{`any(theme_scores, .name == "a/b" and .confidence > 0.5)`, `"a" in themes`, false},
		{`text contains "cancelled order"`, `text contains "Cancel"`, false},
		{`text matches "(?i)refunds"`, `text matches "(?i)refund|cancel"`, false},
		{`location == "a"`, `location != "b"`, false},
		{`location == title and score > 3`, `location == title`, false},
		{`(score > 3 and contactable) or (score > 5 and location == "x")`, `score > 3`, false},
		{`score < 3 and score > 4`, `location == "x"`, false},
		{`low`, `score <= 3 or nps < 2`, true},
		{`len(text) > 20`, `len(text) > 10`, false},
	} {
		tr := compiled(t, a, []string{c.narrow, c.wide}, 1)
		r := Relate(tr.program, tr.conds)
		if !r.Implies(0, 1) || r.Implies(1, 0) != c.back {
			t.Errorf("%s: implies %s %v, the other way %v", c.narrow, c.wide, r.Implies(0, 1), r.Implies(1, 0))
		}
	}
	tr := compiled(t, a, []string{`text contains "a"`, `text matches "a"`, `score != 3`, `(not (score == 3)) ?? true`}, 1)
	r := Relate(tr.program, tr.conds)
	if r.Implies(0, 1) || r.Implies(1, 0) || r.Implies(3, 2) {
		t.Error("what does not hold is said to")
	}
}

// What is said of conditions holds for random events.
func TestRelationsHold(t *testing.T) {
	t.Parallel()
	a := choices(t)
	related, never, all := 0, 0, 0
	for all < rounds(t, 60_000, 3_000_000) {
		a.world = a.newWorld()
		a.world.limits, a.world.themes, a.world.words, a.world.shops = 4, a.world.themes[:4], a.world.words[:4], 3
		sources := make([]string, 100)
		for i := range sources {
			sources[i] = a.condition(a.IntN(3))
			switch i % 10 {
			case 0:
				sources[i] = fmt.Sprintf("score in 3..%d and not (score < %d)", 3+a.IntN(6), a.IntN(12))
			case 1:
				sources[i] = fmt.Sprintf("%q in themes and not (%q in themes)", a.theme(), a.theme())
			case 2:
				sources[i] = fmt.Sprintf("text contains %q and not (text contains %q)", a.word(), a.word())
			}
		}
		tr := compiled(t, a, sources, 1)
		r := Relate(tr.program, tr.conds)
		implied := make([][]int, len(tr.conds))
		impossible := make([]bool, len(tr.conds))
		for i := range tr.conds {
			if _, impossible[i] = r.Contradiction(i); impossible[i] {
				never++
			}
			for j := range tr.conds {
				if i != j && r.Implies(i, j) {
					implied[i] = append(implied[i], j)
					related++
				}
			}
		}
		f := tr.program.NewFrame()
		for range 60 {
			f.Reset(a.event())
			f.SetTheme(a.theme())
			for i, c := range tr.conds {
				if f.Eval(c) != lang.True {
					continue
				}
				if impossible[i] {
					t.Fatalf("true: %s", tr.sources[i])
				}
				for _, j := range implied[i] {
					if f.Eval(tr.conds[j]) != lang.True {
						t.Fatalf("%s does not imply %s", tr.sources[i], tr.sources[j])
					}
				}
			}
			all += len(tr.conds)
		}
	}
	t.Logf("%d implications, %d contradictions", related, never)
	if related < 100 || never < 5 {
		t.Error("the conditions are not related")
	}
}
