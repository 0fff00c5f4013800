package index

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"

	"github.com/closedloop/closedloop/rules/internal/campaign"
	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// plainAuthor writes conditions that mean the same to expr: every field is given, text is in lower case and ASCII, theme
// paths have one segment, ranges hold whole numbers.
type plainAuthor struct{ author }

func (a plainAuthor) shop() string { return fmt.Sprintf("shop-%d", a.IntN(200)) }

func (a plainAuthor) atom() string {
	order := a.pick(" < ", " <= ", " > ", " >= ", " == ", " != ")
	quote := strconv.Quote
	switch a.IntN(14) {
	case 0, 1:
		return a.pick("score", "sentiment", "customer.arr", "attributes.order_value", "word_count") + order + a.pick("3", "0.5", "-0.2", "5000", "6")
	case 2:
		return fmt.Sprintf("%d%sscore", a.IntN(11), order)
	case 3:
		return a.pick("score", "nps") + a.pick(" in 0..6", " not in 3..8", " in [1, 3, 7]", " not in [2, 5]")
	case 4, 5:
		return "location" + a.pick(" == ", " == ", " != ") + quote(a.shop())
	case 6:
		return fmt.Sprintf("location in [%q, %q, %q]", a.shop(), a.shop(), a.shop())
	case 7:
		return a.pick("channel", "customer.tier") + a.pick(` == "web"`, ` != "gold"`, ` in ["web", "gold", "x"]`, ` not in ["gold"]`)
	case 8:
		return a.pick("contactable", "attributes.gift", "not attributes.gift", "true", "false", "contactable == false")
	case 9:
		return a.pick("text", "title") + a.pick(" contains ", " not contains ", " startsWith ", " endsWith ") + a.pick(`"box"`, `"late"`, `"ref"`, `"nd"`)
	case 10:
		return a.pick("text", "title") + " matches " + a.pick(`"box|late"`, `"(?i)BOX"`, `"^[a-z ]+$"`, `"ref+und"`, `"(?i)(too|very) late"`, `"late.*box"`)
	case 11:
		return a.pick(`"shipping"`, `"price"`, `"nothing"`) + a.pick(" in ", " not in ") + "themes"
	case 12:
		return a.pick("any", "all", "none", "one") + "(theme_scores, " + a.pick(`.confidence > 0.5`, `.name == "shipping"`, `.name == "price" && .confidence > 0.3`, `.sentiment < 0`) + ")"
	}
	return a.pick("occurred_at", "received_at") + a.pick(" < ", " >= ", " == ") + a.pick(`date("2026-03-01")`, `date("2026-03-02")`)
}

func (a plainAuthor) condition(depth int) string {
	if depth == 0 || a.chance(30) {
		return a.atom()
	}
	c := func() string { return a.condition(depth - 1) }
	return a.pick("not ("+c()+")", "("+c()+" && "+c()+")", "("+c()+" and "+c()+")", "("+c()+" || "+c()+")")
}

func (a plainAuthor) event() *feedback.Event {
	words := make([]string, 1+a.IntN(8))
	for i := range words {
		words[i] = a.pick("the", "box", "was", "late", "too", "very", "refund", "boxes")
	}
	ev := &feedback.Event{
		Item: &feedback.Item{
			Survey: "nps", Score: new(float64(a.IntN(11))), Channel: a.pick("web", "app"), Location: a.shop(), Title: a.pick("late", "box", "bad"), Text: strings.Join(words, " "),
			Contactable: new(a.chance(50)), OccurredAt: feedback.Time(1772323200000 + a.Int64N(3)*86400000), ReceivedAt: feedback.Time(1772323200000 + a.Int64N(3)*86400000),
			Customer:   feedback.Customer{Tier: a.pick("gold", "silver"), ARR: new(float64(a.IntN(9)) * 1000)},
			Attributes: feedback.Attributes{"order_value": feedback.NumberValue(float64(a.IntN(9))), "gift": feedback.BoolValue(a.chance(50))},
		},
		Labels: &feedback.Labels{Sentiment: new(float64(a.IntN(21)-10) / 10)},
	}
	for _, path := range []feedback.ThemePath{"shipping", "price", "quality"} {
		if a.chance(50) {
			ev.Labels.Themes = append(ev.Labels.Themes, feedback.Theme{Path: path, Confidence: float64(a.IntN(10)) / 10, Sentiment: new(float64(a.IntN(21)-10) / 10)})
		}
	}
	return ev
}

// environment is an event as expr's virtual machine takes it.
func environment(ev *feedback.Event) map[string]any {
	it := ev.Item
	paths, scores := []string{}, []map[string]any{}
	for _, t := range ev.Labels.Themes {
		paths = append(paths, string(t.Path))
		scores = append(scores, map[string]any{"name": string(t.Path), "confidence": t.Confidence, "sentiment": *t.Sentiment})
	}
	value, _ := it.Attributes["order_value"].Num()
	gift, _ := it.Attributes["gift"].Truth()
	return map[string]any{
		"score": *it.Score, "nps": *it.Score, "sentiment": *ev.Labels.Sentiment, "word_count": float64(it.WordCount()), "location": it.Location, "channel": it.Channel,
		"title": it.Title, "text": it.Text, "contactable": *it.Contactable, "occurred_at": it.OccurredAt.Std(), "received_at": it.ReceivedAt.Std(), "themes": paths, "theme_scores": scores,
		"customer": map[string]any{"tier": it.Customer.Tier, "arr": *it.Customer.ARR}, "attributes": map[string]any{"order_value": value, "gift": gift},
	}
}

// Where every value is given, the index, the loop over compiled conditions, and expr's own virtual machine agree.
func TestIndexAgreesWithExpr(t *testing.T) {
	t.Parallel()
	a := plainAuthor{choices(t)}
	a.world = &world{item: map[string]feedback.Kind{"order_value": feedback.Number, "gift": feedback.Bool}}
	a.world.fields = append(feedback.Fields(), feedback.AttributeFields(a.world.item, nil)...)
	schema := environment(a.event())
	yes, all := 0, 0
	for all < campaign.Rounds(t, 20_000, 5_000_000) {
		sources := make([]string, 250)
		programs := make([]*vm.Program, len(sources))
		for i := range sources {
			sources[i] = a.condition(1 + a.IntN(3))
			var err error
			if programs[i], err = expr.Compile(sources[i], expr.Env(schema), expr.AsBool(), expr.Timezone("UTC")); err != nil {
				t.Fatalf("%s: %v", sources[i], err)
			}
		}
		tr := compiled(t, a.author, sources, 1)
		if len(tr.conds) != len(sources) {
			t.Fatal("a condition of expr is refused")
		}
		yes += agree(t, tr, programs, a)
		all += 20 * len(sources)
	}
	t.Logf("%d evaluations, %d true", all, yes)
	if yes < all/20 {
		t.Error("the conditions decide nothing")
	}
}

func agree(t *testing.T, tr *trial, programs []*vm.Program, a plainAuthor) (yes int) {
	t.Helper()
	f, s := tr.program.NewFrame(), tr.index.NewScratch()
	for range 20 {
		ev := a.event()
		env := environment(ev)
		var want []int32
		for i, p := range programs {
			v, err := expr.Run(p, env)
			if err != nil {
				t.Fatalf("%s: %v", tr.sources[i], err)
			}
			if v == true {
				want = append(want, int32(i))
			}
		}
		f.Reset(ev)
		if got := tr.loop(f, 0, lang.True); !slices.Equal(got, want) {
			tr.differ(t, "loop and expr", got, want)
		}
		if got := tr.index.Match(s, f, 0, nil); !slices.Equal(got, want) {
			tr.differ(t, "index and expr", got, want)
		}
		if got := tr.index.Unknown(s, f, 0, 9, nil); len(got) > 0 {
			t.Fatalf("unknown though everything is given: %s", tr.sources[got[0]])
		}
		yes += len(want)
	}
	return yes
}
