package lang

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/sdk/feedback"
)

func TestMeaning(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]Truth{
		// numbers
		`score == 6`: True, `score == 6.0`: True, `score != 6`: False, `score < 6`: False, `6 >= score`: True, `7 > score`: True, `5 > score`: False,
		`score in 0..6`: True, `score not in 0..6`: False, `score in 7..10`: False, `score in -2..6`: True, `sentiment in -1..0`: True,
		`score in [1, 6]`: True, `score in [0, 6.5]`: False, `score in lists.odd`: False, `1 < score < 7`: True, `0.1 + 0.2 > 0.3`: True,
		`score + 1 == 7 && score - 1 == 5 && score * 2 == 12 && score / 4 == 1.5 && -score == 0 - 6 && +score == 6`: True,
		`doubled == 12`: True, `score / 0 > 1`: Unknown, `0 / 0 == 0`: Unknown, `1e308 * 10 > 1`: Unknown, `attributes.order_value > 99`: True,
		`abs(-3) == 3 and ceil(1.2) == 2 and floor(1.8) == 1 and round(1.5) == 2 and min(3, score) == 3 and max(3, score, 9) == 9`: True,
		`nps == 6`: True, `csat > 0`: Unknown, `not (csat > 0)`: Unknown, `word_count == 6`: True, `0x10 == 16`: True, `1_000 == 1000`: True,
		// strings
		`survey == "nps"`: True, `survey != "nps"`: False, `survey == "NPS"`: False, `survey == source`: False, `nps_class == "detractor"`: True,
		`survey in ["nps", "csat"]`: True, `survey not in ["csat"]`: True, `customer.tier in lists.tiers`: True,
		`language in ["a","b","c","d","e","f","g","h","i","de"]`: True, `'single' == "single"`: True, "`raw` == \"raw\"": True,
		`customer["tier"] == "gold"`: True, `lower(title) == "bad" and upper(title) == "BAD" and trim(" x ") == "x"`: True,
		`len(title) == 3`: True, `len("héé") == 3`: True, `title | lower() == "bad"`: True,
		// text
		`text contains "box"`: True, `text contains "BOX"`: True, `text contains "impossible TO"`: True, `text not contains "bag"`: True,
		`text startsWith "the"`: True, `text endsWith "OPEN"`: True, `text startsWith "box"`: False, `touchpoint startsWith "checkout/"`: True,
		`lower(text) contains "box"`: True, `text contains title`: False, `text contains lower("Box")`: True,
		`text matches "Box"`: True, `text matches "box"`: False, `text matches "(?i)box|bag"`: True, `text matches "(?i)bag|sack"`: False,
		`text matches "^The .* open$"`: True, `text matches "(?i)impossible\\s+to"`: True, `text not matches "x{3}"`: True,
		// truth values and logic
		`contactable`: True, `not contactable`: False, `!contactable`: False, `contactable == true`: True, `contactable != true`: False,
		`attributes.gift and true`: True, `false or contactable`: True, `contactable == (score > 3)`: True, `true`: True, `not false`: True,
		`vip && detractor`: True, `not vip`: False, `not (score in 0..6)`: False,
		// themes
		`"packaging" in themes`: True, `"packaging/opening" in themes`: True, `"pack" in themes`: False, `"opening" in themes`: False,
		`"price" not in themes`: False, `product in themes`: False, `len(themes) == 2`: True, `len(theme_scores) == 2`: True,
		`any(theme_scores, .name == "price")`: True, `any(theme_scores, within(.name, "packaging") && .confidence > 0.8)`: True,
		`any(theme_scores, #.confidence > 0.95)`: False, `all(theme_scores, .confidence > 0.3)`: True, `none(theme_scores, .confidence > 0.95)`: True,
		`one(theme_scores, .confidence > 0.5)`: True, `one(theme_scores, .confidence > 0.1)`: False, `count(theme_scores, .confidence > 0.1) == 2`: True,
		`any(themes, # startsWith "Pack")`: True, `any(theme_scores, .name contains "OPEN")`: True, `any(themes, # matches "^pack")`: True,
		`any(theme_scores, {.confidence > 0.8})`: True, `any(theme_scores, .name in ["price"])`: True,
		// the second theme has no sentiment
		`any(theme_scores, .sentiment < 0)`: True, `all(theme_scores, .sentiment < 0)`: Unknown, `none(theme_scores, .sentiment > 0)`: Unknown,
		`all(theme_scores, .sentiment > 0)`: False, `one(theme_scores, .sentiment < 0)`: Unknown, `count(theme_scores, .sentiment < 0) == 1`: Unknown,
		`count(theme_scores, has(.sentiment)) == 1`: True, `all(theme_scores, (.sentiment ?? 0) <= 0)`: True,
		// times
		`occurred_at >= date("2026-03-01")`: True, `occurred_at < date("2026-03-01T13:30:00+01:00")`: True, `occurred_at == received_at`: False,
		`occurred_at < received_at`: True, `customer.attributes.since == date("2026-03-01T12:00:00Z")`: True, `date("2026-03-02") > occurred_at`: True,
		// absence
		`has(score)`: True, `has(csat)`: False, `has(themes)`: True, `has(contactable)`: True, `has(occurred_at)`: True, `has(text)`: True, `has(theme_scores)`: True,
		`(csat ?? 3) == 3`: True, `(score ?? 3) == 6`: True, `(csat > 3) ?? true`: True, `(score > 3) ?? false`: True,
		`(occurred_at ?? date("2020-01-01")) > date("2021-01-01")`: True, `(contactable ?? false)`: True, `(title ?? "none") == "Bad"`: True,
	} {
		if got := truth(t, source, full()); got != want {
			t.Errorf("%s: got %d, want %d", source, got, want)
		}
	}
}

// Every field of an event that knows nothing is unknown to every operator, and has() says so.
func TestMissingIsUnknown(t *testing.T) {
	t.Parallel()
	for _, source := range []string{
		`score <= 6`, `score != 6`, `not (score == 6)`, `score in 0..6`, `score not in 0..6`, `score + 1 > 0`, `-score < 0`, `abs(score) > 0`, `max(score, 3) > 0`,
		`survey == "nps"`, `survey != "nps"`, `survey in ["nps"]`, `survey not in ["nps"]`, `text contains "x"`, `text not contains "x"`, `"x" contains text`,
		`text matches "x"`, `text matches "(?i)x"`, `text matches "[xy]{40}"`, `text not matches "x"`, `lower(text) == "x"`, `len(text) > 0`, `text startsWith "x"`,
		`contactable`, `not contactable`, `contactable == false`, `occurred_at > date("2026-01-01")`, `customer.arr > 0`, `nps <= 6`, `nps_class == "promoter"`,
		`sentiment < 0`, `attributes.gift`, `attributes.order_value == 0`, `product in themes`, `score / 2 == 3`, `round(score) == 3`, `within(product, "x")`,
	} {
		if got := truth(t, source, empty()); got != Unknown {
			t.Errorf("%s: got %d, want unknown", source, got)
		}
	}
	for source, want := range map[string]Truth{
		`word_count == 0`: True, `"x" in themes`: False, `any(theme_scores, true)`: False, `all(theme_scores, false)`: True, `none(themes, true)`: True,
		`one(themes, true)`: False, `count(themes, true) == 0`: True, `len(themes) == 0`: True, `has(score) or has(text) or has(themes) or has(customer.id)`: False,
	} {
		if got := truth(t, source, empty()); got != want {
			t.Errorf("%s: got %d, want %d", source, got, want)
		}
	}
}

func TestUnlabelledIsUnknown(t *testing.T) {
	t.Parallel()
	for _, source := range []string{
		`"x" in themes`, `"x" not in themes`, `any(theme_scores, true)`, `all(theme_scores, true)`, `none(theme_scores, true)`, `one(themes, true)`,
		`count(themes, true) >= 0`, `len(themes) == 0`, `sentiment > 0`,
	} {
		if got := truth(t, source, unlabelled()); got != Unknown {
			t.Errorf("%s: got %d, want unknown", source, got)
		}
	}
	if got := truth(t, `has(themes)`, unlabelled()); got != False {
		t.Error(got)
	}
}

func TestKleene(t *testing.T) {
	t.Parallel()
	atoms := map[Truth]string{False: `score == 1`, Unknown: `csat == 1`, True: `score == 6`}
	for a, left := range atoms {
		if got := truth(t, `not (`+left+`)`, full()); got != True-a {
			t.Errorf("not %d: got %d", a, got)
		}
		for b, right := range atoms {
			if got := truth(t, left+` and `+right, full()); got != min(a, b) {
				t.Errorf("%d and %d: got %d", a, b, got)
			}
			if got := truth(t, left+` or `+right, full()); got != max(a, b) {
				t.Errorf("%d or %d: got %d", a, b, got)
			}
			want := a
			if a == Unknown {
				want = b
			}
			if got := truth(t, `(`+left+`) ?? (`+right+`)`, full()); got != want {
				t.Errorf("%d ?? %d: got %d", a, b, got)
			}
			// The same within an iteration, where nothing is told apart.
			if got := truth(t, `any(themes, `+left+` and `+right+`)`, full()); got != min(a, b) {
				t.Errorf("any(%d and %d): got %d", a, b, got)
			}
			eq := Unknown
			if a != Unknown && b != Unknown {
				eq = truthOf(a == b)
			}
			if got := truth(t, `(`+left+`) == (`+right+`)`, full()); got != eq {
				t.Errorf("%d == %d: got %d", a, b, got)
			}
		}
	}
}

func TestNumbersThatAreNone(t *testing.T) {
	t.Parallel()
	for _, v := range []float64{inf(1), inf(-1), inf(1) - inf(1)} {
		ev := full()
		ev.Item.Score, ev.Labels.Themes[0].Confidence = &v, v
		for _, source := range []string{`score > 3`, `score == score`, `score != 3`, `score in 0..10`, `any(theme_scores, .confidence > 0.95)`} {
			if got := truth(t, source, ev); got != Unknown {
				t.Errorf("%v: %s: got %d", v, source, got)
			}
		}
	}
}

func inf(sign float64) float64 {
	zero := 0.0
	return sign / zero
}

func TestManyThemes(t *testing.T) {
	t.Parallel()
	ev := full()
	ev.Labels.Themes = nil
	for i := range MaxThemes + 10 {
		ev.Labels.Themes = append(ev.Labels.Themes, feedback.Theme{Path: feedback.ThemePath(fmt.Sprint("t", i)), Confidence: 0.5})
	}
	for source, want := range map[string]Truth{
		`"t3" in themes`: True, `"t260" in themes`: Unknown, `"zz" in themes`: Unknown, `any(theme_scores, .name == "t3")`: True,
		`any(theme_scores, .name == "t260")`: Unknown, `all(theme_scores, .confidence > 0.1)`: Unknown, `all(theme_scores, .confidence > 0.8)`: False,
		`len(themes) == 266`: True, `count(themes, true) > 3`: Unknown, `one(themes, # == "t1" or # == "t2")`: False,
	} {
		if got := truth(t, source, ev); got != want {
			t.Errorf("%s: got %d, want %d", source, got, want)
		}
	}
}

// The list of fields that come from labels is complete: no other field changes with them.
func TestLabelFields(t *testing.T) {
	t.Parallel()
	c := setup(t)
	f := c.Program().NewFrame()
	for name, field := range c.fields {
		f.Reset(full())
		with := f.value(field, 100)
		f.Reset(&feedback.Event{Item: full().Item, Labels: &feedback.Labels{}})
		if without := f.value(field, 100); !reflect.DeepEqual(with, without) != field.labels {
			t.Errorf("%s: labels %v, but %v with and %v without", name, field.labels, with, without)
		}
		if with == nil && !strings.Contains("csat ces stars", name) {
			t.Errorf("%s has no value in the full event", name)
		}
	}
}

func TestRelabel(t *testing.T) {
	t.Parallel()
	c := setup(t)
	cond := c.Condition(`"delivery" in themes && nps <= 6 && sentiment < 0`, nil)
	f := c.Program().NewFrame()
	f.Reset(full())
	if got := f.Eval(cond); got != False {
		t.Fatal(got)
	}
	f.Relabel(&feedback.Labels{Themes: []feedback.Theme{{Path: "delivery"}}, Sentiment: new(-1.0)})
	if got := f.Eval(cond); got != True {
		t.Fatal(got)
	}
	f.Reset(full())
	if got := f.Eval(cond); got != False {
		t.Fatal("the next event sees the labels of the one before")
	}
}

func TestTrace(t *testing.T) {
	t.Parallel()
	c := setup(t)
	cond := c.Condition(`vip and not (csat > 3) and nps <= 6 and nps<=6`, nil)
	f := c.Program().NewFrame()
	f.Reset(full())
	var b strings.Builder
	var write func(t *Trace, indent string)
	write = func(t *Trace, indent string) {
		fmt.Fprintln(&b, indent+t.Op, t.Macro, t.Truth, t.Text, t.Seen)
		for _, k := range t.Kids {
			write(k, indent+" ")
		}
	}
	write(f.Trace(cond), "")
	want := `and  1  []
 or vip 2  []
  atom  2 customer.tier in lists.tiers [{customer.tier gold}]
  atom  0 customer.arr >= 100000 [{customer.arr 5000}]
 not  1  []
  atom  1 csat > 3 [{csat <nil>}]
 atom  2 nps <= 6 [{nps 6}]
 atom  2 nps <= 6 [{nps 6}]
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &b, want)
	}
	if cond.Atoms() != 4 {
		t.Errorf("got %d atoms, want 4", cond.Atoms())
	}
}

func TestSeenIsShort(t *testing.T) {
	t.Parallel()
	c := setup(t)
	cond := c.Condition(`text contains "x" and any(theme_scores, .confidence > 1)`, nil)
	f := c.Program().NewFrame()
	ev := full()
	ev.Item.Text = strings.Repeat("ä", 200)
	for range 30 {
		ev.Labels.Themes = append(ev.Labels.Themes, feedback.Theme{Path: "t"})
	}
	f.Reset(ev)
	_, _, seen := f.Atom(cond, 0)
	if got := seen[0].Value.(string); got != strings.Repeat("ä", 40)+"..." {
		t.Errorf("got %q", got)
	}
	_, _, seen = f.Atom(cond, 1)
	if got := seen[0].Value.([]string); len(got) != maxSeenThemes+1 || got[0] != "packaging/opening confidence 0.9 sentiment -0.8" || got[maxSeenThemes] != "and 20 more" {
		t.Errorf("got %q", got)
	}
}

func TestTemplate(t *testing.T) {
	t.Parallel()
	c := setup(t)
	var problems []string
	report := func(p Problem) { problems = append(problems, fmt.Sprint(p.Offset, " ", p.Message, " (", p.Hint, ")")) }
	tmpl := c.Template("{customer.name}: {score} {{x}} {csat} {themes} {contactable} {occurred_at} {text}", report)
	f := c.Program().NewFrame()
	f.Reset(full())
	want := "Ann: 6 {x} unknown packaging/opening, price true 2026-03-01T12:00:00.000Z The Box was IMPOSSIBLE to open"
	if got := tmpl.Render(f); got != want || len(problems) > 0 {
		t.Errorf("got %q %v", got, problems)
	}
	f.Reset(empty())
	if got := tmpl.Render(f); !strings.Contains(got, "none") {
		t.Errorf("got %q", got)
	}
	if got := (*Template)(nil).Render(f); got != "" {
		t.Errorf("got %q", got)
	}
	for _, bad := range []string{"a {scroe} b {scroe}", "x } y", "{open", "{ }"} {
		if c.Template(bad, report) != nil {
			t.Errorf("%q compiles", bad)
		}
	}
	if got := strings.Join(problems, "\n"); got != `3 unknown field "scroe" (did you mean "score"?)
13 unknown field "scroe" (did you mean "score"?)
2 found } without { (a brace as such is written twice: }})
0 found { without } (a brace as such is written twice: {{)
1 unknown field "" (braces hold a field, such as {customer.name}, or an expression)` {
		t.Error(got)
	}
}

func TestEvaluationAllocatesNothing(t *testing.T) {
	if raced {
		t.Skip("allocations are not counted under the race detector")
	}
	c := setup(t)
	var conds []*Condition
	for _, source := range []string{
		`score > 6 && customer.segment == "x"`, `text contains "REFUND"`, `text matches "(?i)refund|cancel"`, `text matches "(?i)never\\s+again"`, `"x" in themes`,
		`any(theme_scores, .name contains "zzz" && .sentiment > 0)`, `word_count > 100`, `touchpoint startsWith "app/"`, `occurred_at < date("2020-01-01")`,
		`customer.tier in ["a","b","c","d","e","f","g","h","i","j"]`, `attributes.order_value < 3`, `title contains product`, `(csat ?? 1) > 3`,
	} {
		conds = append(conds, c.Condition(source, func(p Problem) { t.Fatal(p) }))
	}
	for _, text := range []string{full().Item.Text, "Die Schachtel ließ sich NICHT öffnen, ÄRGERLICH"} {
		ev := full()
		ev.Item.Text = text
		f := c.Program().NewFrame()
		eval := func() {
			f.Reset(ev)
			for _, cond := range conds {
				if f.Eval(cond) == True {
					t.Error(cond.key)
				}
			}
		}
		if n := testing.AllocsPerRun(100, eval); n > 0 {
			t.Errorf("%q: %v allocations", text, n)
		}
	}
}
