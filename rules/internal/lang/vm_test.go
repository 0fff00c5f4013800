package lang

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// environment is an event as expr's virtual machine takes it.
func environment(c *Compiler, ev *feedback.Event) map[string]any {
	env := map[string]any{}
	for name, f := range c.fields {
		var v any
		switch {
		case f.Str != nil:
			v, _ = f.Str(ev)
		case f.Num != nil:
			v, _ = f.Num(ev)
		case f.Truth != nil:
			v, _ = f.Truth(ev)
		case f.Instant != nil:
			at, _ := f.Instant(ev)
			v = at.Std()
		case f.kind == kindThemes:
			paths := []string{}
			for _, t := range ev.Labels.Themes {
				paths = append(paths, string(t.Path))
			}
			v = paths
		case f.kind == kindThemeList:
			themes := []map[string]any{}
			for _, t := range ev.Labels.Themes {
				themes = append(themes, map[string]any{"name": string(t.Path), "confidence": t.Confidence, "sentiment": *t.Sentiment})
			}
			v = themes
		}
		at := env
		parts := strings.Split(name, ".")
		for _, p := range parts[:len(parts)-1] {
			if at[p] == nil {
				at[p] = map[string]any{}
			}
			at = at[p].(map[string]any)
		}
		at[parts[len(parts)-1]] = v
	}
	return env
}

// author writes random expressions whose meaning is the same here and in expr: every field is given, text is in lower
// case, theme paths have one segment, ranges hold whole numbers.
type author struct{ *rand.Rand }

func (a author) pick(options ...string) string { return options[a.IntN(len(options))] }

func (a author) number(depth int) string {
	if depth <= 0 {
		return a.pick("score", "sentiment", "word_count", "customer.arr", "customer.tenure_days", "attributes.order_value", "nps", "3", "0.5", "-2", "6", "400")
	}
	n := func() string { return a.number(depth - 1 - a.IntN(2)) }
	switch a.IntN(8) {
	case 0:
		return "(" + n() + a.pick(" + ", " - ", " * ") + n() + ")"
	case 1:
		return "(" + n() + " / " + a.pick("2", "7", "-0.5") + ")"
	case 2:
		return a.pick("abs", "ceil", "floor", "round") + "(" + n() + ")"
	case 3:
		return a.pick("min", "max") + "(" + n() + ", " + n() + ")"
	case 4:
		return "-" + a.pick("score", "sentiment", "nps")
	case 5:
		return "count(theme_scores, " + a.element() + ")"
	case 6:
		return "len(" + a.pick("themes", "theme_scores", "text", "title") + ")"
	}
	return n()
}

func (a author) text(depth int) string {
	if depth > 0 && a.IntN(3) == 0 {
		return a.pick("lower", "upper", "trim") + "(" + a.text(depth-1) + ")"
	}
	return a.pick("survey", "channel", "text", "title", "touchpoint", "product", "customer.tier", "customer.segment", `"box"`, `"late"`, `"gold"`, `"nps"`, `"shipping"`)
}

func (a author) needle() string {
	return a.pick(`"box"`, `"late"`, `"o"`, `"refund"`, `"check"`, `"ship"`, `"nps"`, "title")
}

func (a author) element() string {
	return a.pick(`.confidence > 0.5`, `.sentiment < 0`, `.name == "shipping"`, `.confidence > 0.3 && .sentiment > -0.5`, `.name startsWith "pr"`, `.confidence > -.sentiment`,
		`not (.name in ["price"])`, `#.name contains "i"`, `true`, `score > 3`)
}

func (a author) truth(depth int) string {
	if depth > 0 && a.IntN(2) == 0 {
		left, right := a.truth(depth-1), a.truth(depth-1)
		switch a.IntN(5) {
		case 0:
			return "not (" + left + ")"
		case 1:
			return "(" + left + ") == (" + right + ")"
		default:
			return "(" + left + a.pick(" && ", " || ", " and ", " or ") + right + ")"
		}
	}
	switch a.IntN(11) {
	case 0, 1:
		return a.number(depth) + a.pick(" == ", " != ", " < ", " <= ", " > ", " >= ") + a.number(depth)
	case 2:
		return a.text(1) + a.pick(" == ", " != ") + a.text(1)
	case 3:
		return a.text(0) + a.pick(" in ", " not in ") + a.pick(`["nps", "csat"]`, `["gold", "silver", "box"]`, `["a","b","c","d","e","f","g","h","i","email"]`)
	case 4:
		return a.pick("survey", "text", "title", "touchpoint") + a.pick(" contains ", " startsWith ", " endsWith ", " not contains ") + a.needle()
	case 5:
		return a.pick("text", "title", "touchpoint") + " matches " + a.pick(`"box|late"`, `"(?i)BOX"`, `"^[a-z ]+$"`, `"ref+und"`, `"(?i)(too|very) late"`, `"check.*pay"`)
	case 6:
		return a.pick("contactable", "attributes.gift", "true", "false")
	case 7:
		return a.pick(`"shipping"`, `"price"`, `"nothing"`, "product") + a.pick(" in ", " not in ") + "themes"
	case 8:
		return a.pick("any", "all", "none", "one") + "(theme_scores, " + a.element() + ")"
	case 9:
		return a.pick("score", "nps", "word_count") + " in " + a.pick("0..6", "7..10", "[1, 3, 6]")
	}
	return a.pick("occurred_at", "received_at") + a.pick(" < ", " >= ", " == ") + a.pick(`date("2026-03-01")`, `date("2026-02-01")`, "received_at")
}

func randomEvent(r *rand.Rand) *feedback.Event {
	a := author{r}
	ev := full()
	it := ev.Item
	it.Score, it.Text, it.Title = new(float64(r.IntN(11))), a.pick("the box was late", "too late", "refund please", "all is fine", "i want a refund for the box"), a.pick("late", "box", "bad")
	it.Channel, it.Touchpoint, it.Product = a.pick("email", "web"), a.pick("checkout/pay", "store"), a.pick("kettle", "shipping", "price")
	it.Customer.Tier, it.Customer.ARR, it.Contactable = a.pick("gold", "silver"), new(float64(r.IntN(9))*1000), new(r.IntN(2) == 0)
	it.OccurredAt = feedback.Time(1772323200000 + r.Int64N(3)*86400000)
	ev.Labels = &feedback.Labels{Sentiment: new(float64(r.IntN(21)-10) / 10)}
	for _, path := range []feedback.ThemePath{"shipping", "price", "quality"} {
		if r.IntN(2) == 0 {
			ev.Labels.Themes = append(ev.Labels.Themes, feedback.Theme{Path: path, Confidence: float64(r.IntN(10)) / 10, Sentiment: new(float64(r.IntN(21)-10) / 10)})
		}
	}
	return ev
}

// Where every value is given, conditions mean what they mean in expr.
func TestAgreesWithTheVirtualMachine(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 8))
	c := setup(t)
	schema := environment(c, randomEvent(r))
	yes := 0
	for range 3000 {
		source := author{r}.truth(3)
		program, err := expr.Compile(source, expr.Env(schema), expr.AsBool(), expr.Timezone("UTC"))
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		c := setup(t)
		cond := c.Condition(source, func(p Problem) { t.Fatalf("%s: %d %s (%s)", source, p.Offset, p.Message, p.Hint) })
		f := c.Program().NewFrame()
		for range 4 {
			ev := randomEvent(r)
			want, err := expr.Run(program, environment(c, ev))
			if err != nil {
				t.Fatalf("%s: %v", source, err)
			}
			f.Reset(ev)
			got := f.Eval(cond)
			if got != truthOf(want.(bool)) {
				t.Fatalf("%s: got %d, expr says %v\n%+v\n%+v", source, got, want, ev.Item, ev.Labels)
			}
			if got == True {
				yes++
			}
		}
	}
	if yes < 3000 || yes > 9000 {
		t.Errorf("%d of 12000 conditions are true: the expressions decide nothing", yes)
	}
}

// Evaluating a part of a condition once for all conditions changes no answer.
func TestSharedPartsChangeNothing(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(9, 10))
	shared := setup(t)
	var conds, alone []*Condition
	var frames []*Frame
	for range 200 {
		source := author{r}.truth(2)
		conds = append(conds, shared.Condition(source, nil))
		c := setup(t)
		alone = append(alone, c.Condition(source, nil))
		frames = append(frames, c.Program().NewFrame())
	}
	f := shared.Program().NewFrame()
	for range 100 {
		ev := randomEvent(r)
		if r.IntN(3) == 0 {
			ev.Item.Score, ev.Labels.Sentiment, ev.Item.Text = nil, nil, ""
		}
		f.Reset(ev)
		for i := range conds {
			frames[i].Reset(ev)
			if got, want := f.Eval(conds[i]), frames[i].Eval(alone[i]); got != want {
				t.Fatalf("%s: got %d, want %d", conds[i].key, got, want)
			}
		}
	}
}

// typical are ten conditions as authors write them.
var typical = []string{
	`score <= 6 && customer.segment == "enterprise"`,
	`"shipping" in themes`,
	`any(theme_scores, .name == "shipping" && .confidence > 0.8)`,
	`text matches "(?i)refund|cancel"`,
	`text contains "cancel"`,
	`customer.tier in ["gold", "platinum"] && customer.arr > 100000 && survey == "nps"`,
	`channel == "trial"`,
	`sentiment < -0.5 && word_count > 12`,
	`touchpoint startsWith "checkout/" && channel in ["web", "app"]`,
	`(score <= 6 && customer.region == "EU") || (sentiment < -0.8 && contactable)`,
}

// Values for the rules of benchmarks, so that no two are alike.
func variant(source string, i int) string {
	return strings.NewReplacer("enterprise", fmt.Sprint("segment-", i), "shipping", fmt.Sprint("theme-", i), "cancel", fmt.Sprint("cancel", i),
		"100000", fmt.Sprint(100000+i), "trial", fmt.Sprint("trial-", i), "12", fmt.Sprint(12+i), "checkout/", fmt.Sprint("checkout-", i), "EU", fmt.Sprint("EU", i)).Replace(source)
}

// BenchmarkConditions evaluates 100 different conditions on one event, with closures and with expr's virtual machine
// on a struct, which is its fastest way. Run it with
//
//	go test -run '^$' -bench Conditions ./rules/internal/lang
func BenchmarkConditions(b *testing.B) {
	for _, set := range []struct {
		name    string
		sources []string
	}{{"typical", nil}, {"comparisons", []string{typical[0], typical[5], typical[6], typical[9]}}} {
		if set.sources == nil {
			set.sources = typical
		}
		b.Run(set.name, func(b *testing.B) { benchmark(b, set.sources) })
	}
}

func benchmark(b *testing.B, sources []string) {
	c := setup(b)
	var conds []*Condition
	var programs []*vm.Program
	for i := range 100 {
		source := variant(sources[i%len(sources)], i)
		conds = append(conds, c.Condition(source, func(p Problem) { b.Fatal(p) }))
		p, err := expr.Compile(source, expr.Env(machineEvent{}), expr.AsBool())
		if err != nil {
			b.Fatal(err)
		}
		programs = append(programs, p)
	}
	ev := full()
	ev.Item.Text = "the parcel arrived three days late and nobody at the support desk knew where it had been in the meantime"
	me := machineEventOf(ev)
	f := c.Program().NewFrame()
	machine := vm.VM{}
	var closures, machines time.Duration
	b.ReportAllocs()
	for b.Loop() {
		at := time.Now()
		f.Reset(ev)
		for _, cond := range conds {
			f.Eval(cond)
		}
		mid := time.Now()
		for _, p := range programs {
			if _, err := machine.Run(p, me); err != nil {
				b.Fatal(err)
			}
		}
		closures += mid.Sub(at)
		machines += time.Since(mid)
	}
	n := float64(b.N) * float64(len(conds))
	b.ReportMetric(float64(closures.Nanoseconds())/n, "ns/condition")
	b.ReportMetric(float64(machines.Nanoseconds())/n, "ns/condition-vm")
	b.ReportMetric(float64(machines)/float64(closures), "vm/closures")
}

type machineTheme struct {
	Name       string  `expr:"name"`
	Confidence float64 `expr:"confidence"`
}

type machineEvent struct {
	Score       float64        `expr:"score"`
	Survey      string         `expr:"survey"`
	Channel     string         `expr:"channel"`
	Text        string         `expr:"text"`
	Touchpoint  string         `expr:"touchpoint"`
	Sentiment   float64        `expr:"sentiment"`
	WordCount   float64        `expr:"word_count"`
	Contactable bool           `expr:"contactable"`
	Themes      []string       `expr:"themes"`
	ThemeScores []machineTheme `expr:"theme_scores"`
	Customer    struct {
		Segment string  `expr:"segment"`
		Tier    string  `expr:"tier"`
		Region  string  `expr:"region"`
		ARR     float64 `expr:"arr"`
	} `expr:"customer"`
}

func machineEventOf(ev *feedback.Event) *machineEvent {
	it := ev.Item
	m := &machineEvent{Score: *it.Score, Survey: string(it.Survey), Channel: it.Channel, Text: it.Text, Touchpoint: it.Touchpoint, Sentiment: *ev.Labels.Sentiment,
		WordCount: float64(it.WordCount()), Contactable: *it.Contactable}
	m.Customer.Segment, m.Customer.Tier, m.Customer.Region, m.Customer.ARR = it.Customer.Segment, it.Customer.Tier, it.Customer.Region, *it.Customer.ARR
	for _, t := range ev.Labels.Themes {
		m.Themes = append(m.Themes, string(t.Path))
		m.ThemeScores = append(m.ThemeScores, machineTheme{string(t.Path), t.Confidence})
	}
	return m
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		c := setup(b)
		for i := range 1000 {
			if c.Condition(variant(typical[i%len(typical)], i), nil) == nil {
				b.Fatal(i)
			}
		}
		c.Program()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "us/condition")
}
