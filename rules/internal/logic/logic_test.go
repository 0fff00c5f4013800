package logic

import (
	"fmt"
	"testing"
	"time"

	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// implications are pairs of conditions, and whether the first being true implies the second being true.
var implications = []struct {
	a, b    string
	implies bool
}{
	{`score <= 3`, `score <= 6`, true},
	{`score <= 6`, `score <= 3`, false},
	{`score < 6`, `score <= 6`, true},
	{`score <= 6`, `score < 6`, false},
	{`score == 6`, `score in 0..6`, true},
	{`score in [1, 3]`, `score in 0..6 and score != 2`, true},
	{`score in [1, 2, 3]`, `score in [3, 1]`, false},
	{`score > 3 and score < 5`, `score != 3`, true},
	{`score != 3`, `score < 3 or score > 3`, true},
	{`score < 3 or score > 3`, `not (score == 3)`, true},
	{`not (score <= 3)`, `score > 3`, true},
	{`not (score <= 3)`, `has(score)`, true},
	{`has(score)`, `score <= 3 or score > 3`, true},
	{`true`, `score <= 3 or score > 3`, false},
	{`contactable`, `not (contactable == false)`, true},
	{`not contactable`, `contactable == false and has(contactable)`, true},
	{`contactable != true`, `not contactable`, true},
	{`(contactable ?? false)`, `contactable`, true},
	{`contactable`, `(contactable ?? false)`, true},
	{`(contactable ?? true)`, `contactable`, false},
	{`product == "a"`, `product in ["b", "a"]`, true},
	{`product in ["b", "a"]`, `product == "a" or product == "b"`, true},
	{`product != "a"`, `product not in ["a", "b"]`, false},
	{`product not in ["a", "b"]`, `product != "a"`, true},
	{`product == "a"`, `product != "A"`, true},
	{`has(product)`, `product != ""`, true},
	{`has(customer.attributes.vat)`, `customer.attributes.vat != ""`, false},
	{`text contains "Refund please"`, `text contains "refund"`, true},
	{`text contains "refund"`, `text contains "refunds"`, false},
	{`text startsWith "refund"`, `text contains "fun"`, true},
	{`text contains "refund"`, `text startsWith "refund"`, false},
	{`text matches "box"`, `text contains "box"`, false}, // a mark behind the x may make it another letter
	{`text matches "(?i)box"`, `text matches "(?i)box|crate"`, true},
	{`text matches "box"`, `text matches "(?i)box"`, true},
	{`text matches "(?i)box"`, `text matches "box"`, false},
	{`product == "The Box"`, `product contains "box"`, true},
	{`product == "The Box"`, `product startsWith "box"`, false},
	{`"price/high" in themes`, `"price" in themes`, true},
	{`"price" in themes`, `"price/high" in themes`, false},
	{`"pricey" in themes`, `"price" in themes`, false},
	{`any(theme_scores, .name == "price/high")`, `"price" in themes`, true},
	{`"price" in themes`, `any(theme_scores, .name == "price")`, false},
	{`nps <= 6`, `survey == "nps" and score <= 6`, true},
	{`survey == "nps" and score <= 6`, `nps <= 6`, true},
	{`score <= 6`, `nps <= 6`, false},
	{`nps <= 6`, `not has(csat) and score < 7`, true},
	{`nps <= 6`, `not (survey == "csat")`, true},
	{`nps_class == "detractor" and has(score)`, `nps <= 6`, true},
	{`nps <= 6`, `nps_class == "detractor"`, true},
	{`nps <= 7`, `nps_class == "detractor"`, false},
	{`has(nps_class)`, `survey == "nps"`, true},
	{`win.w.value < 0`, `win.w.value < 5 and not (win.w.value > 10)`, true},
	{`win.w.value < 5`, `win.w.lo < 5`, false},
	{`theme == "price"`, `theme in ["price", "staff"]`, true},
	{`occurred_at >= date("2026-03-02")`, `occurred_at > date("2026-03-01")`, true},
	{`word_count < 3`, `has(word_count)`, true},
	{`score + 1 > 3`, `score > 2`, false}, // what is computed is a value of its own
	{`score + 1 > 3`, `score + 1 > 2`, true},
	{`"staff" not in themes and ((any(theme_scores, .name == "price" and .sentiment < 0)) ?? true)`, `any(theme_scores, .name == "price" and .sentiment < 0)`, false},
	{`any(theme_scores, .name == "price") and (("staff" in themes) ?? true)`, `"staff" in themes`, false}, // of more than are looked at
	{`survey == "nps" and not has(nps)`, `has(product)`, false},
	{`survey == "nps"`, `has(nps)`, false},
	{`has(score) and has(customer.arr)`, `score / customer.arr > score or not (score / customer.arr > score)`, false},
	{`has(score) and has(customer.arr)`, `score < customer.arr or not (score < customer.arr)`, true},
	{`(score <= 3 or contactable) and not contactable`, `score <= 4`, true},
	{`score <= 3 and product == "a" or score <= 3 and product == "b"`, `score <= 3 and product in ["a", "b", "c"]`, true},
}

func compiler() *lang.Compiler {
	fields := append(feedback.Fields(), feedback.AttributeFields(nil, map[string]feedback.Kind{"vat": feedback.String})...)
	c := lang.NewCompiler(fields, time.UTC)
	c.DefineWindow("w", 0)
	c.DefineTheme()
	return c
}

func TestImplies(t *testing.T) {
	t.Parallel()
	for _, p := range implications {
		c := compiler()
		report := func(problem lang.Problem) { t.Fatalf("%s, %s: %s", p.a, p.b, problem.Message) }
		a, b := c.Condition(p.a, report), c.Condition(p.b, report)
		s := New(c.Program())
		if got := s.Implies(a, IsTrue, b, IsTrue); got != p.implies {
			t.Errorf("%s implies %s: got %v, want %v", p.a, p.b, got, p.implies)
		}
		if p.implies && s.Solve([]Goal{{a, IsTrue}, {b, IsTrue}}, nil) != Possible {
			t.Errorf("%s and %s cannot both be true", p.a, p.b)
		}
		if !s.Implies(a, IsTrue, a, IsTrue) || !s.Implies(a, NotTrue, a, NotTrue) || s.Solve([]Goal{{a, IsTrue}}, nil) != Possible {
			t.Errorf("%s does not imply itself", p.a)
		}
	}
}

// A search that is too long says that nothing is known.
func TestSearchIsBounded(t *testing.T) {
	t.Parallel()
	c := compiler()
	report := func(problem lang.Problem) { t.Fatal(problem.Message) }
	var conds []*lang.Condition
	for _, s := range [...]string{"score", "customer.arr", "customer.tenure_days", "sentiment"} {
		for _, o := range [...]string{"text", "title", "product", "location", "channel", "stage"} {
			for _, w := range [...]string{"a", "b", "c", "d", "e", "f"} {
				conds = append(conds, c.Condition(s+` + `+s+` > len(`+o+`) or `+o+` matches "`+w+`.*`+w+`" or `+s+` * 2 < len(`+o+`)`, report))
			}
		}
	}
	goals := make([]Goal, len(conds))
	for i, cond := range conds {
		goals[i] = Goal{cond, IsTrue}
	}
	s := New(c.Program())
	if got := s.Solve(goals, func(*Model) bool { return false }); got != Open {
		t.Errorf("got %v, want that nothing is known", got)
	}
	if s.Steps() > 4*maxSteps {
		t.Errorf("took %d steps", s.Steps())
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	spans := []lang.Span{{Low: 1, High: 3, OpenHigh: true}, {Low: 2, High: 5}, {Low: 7, High: 7}}
	in := numbersOf(spans)
	for _, v := range []float64{0, 1, 1.5, 2, 3, 4.5, 5, 5.5, 6, 7, 8} {
		want := v >= 1 && v <= 5 || v == 7
		if in.has(v) != want || in.not().has(v) == want || in.not().not().has(v) != want {
			t.Errorf("%v: in %v, in the others %v", v, in.has(v), in.not().has(v))
		}
		if in.and(in.not()) != nil || in.meets(in.not()) {
			t.Error("a set meets its opposite")
		}
	}
	for _, c := range []struct {
		spans []lang.Span
		want  float64
	}{
		{[]lang.Span{{Low: 0, High: 6}}, 0},
		{[]lang.Span{{Low: 6, High: 10, OpenLow: true}}, 7},
		{[]lang.Span{{Low: 6, High: 7, OpenLow: true, OpenHigh: true}}, 6.5},
	} {
		if got, ok := numbersOf(c.spans).some(); !ok || got != c.want {
			t.Errorf("%v: got %v, want %v", c.spans, got, c.want)
		}
	}
}

// A search that ran out of steps has refuted nothing: so many things do not fit into one place less, but that takes long
// to see.
func TestNothingIsRefutedByALimit(t *testing.T) {
	t.Parallel()
	c := compiler()
	report := func(problem lang.Problem) { t.Fatal(problem.Message) }
	var goals []Goal
	const places = 8
	at := func(i, j int) string { return fmt.Sprintf(`text contains "w%d%d"`, i, j) }
	for i := range places + 1 {
		some := at(i, 0)
		for j := 1; j < places; j++ {
			some += " or " + at(i, j)
		}
		goals = append(goals, Goal{c.Condition(some, report), IsTrue})
		for k := range i {
			for j := range places {
				goals = append(goals, Goal{c.Condition(at(i, j)+" and "+at(k, j), report), IsFalse})
			}
		}
	}
	if got := New(c.Program()).Solve(goals, nil); got != Open {
		t.Errorf("got %v, want that nothing is known", got)
	}
}
