package index

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/rules/internal/campaign"
	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// choices returns the source of a test's choices.
func choices(tb testing.TB) author { return author{Rand: campaign.Rand(tb)} }

// author writes random conditions, and the events for them.
type author struct {
	*rand.Rand
	world *world
}

// world is what the conditions and events of one trial are about.
type world struct {
	fields  []feedback.Field
	strings []string // names of fields by their kind
	numbers []string
	truths  []string
	times   []string
	values  []string
	themes  []string
	words   []string
	shops   int // values of the field location
	limits  int // different numbers
	item    map[string]feedback.Kind
	owner   map[string]feedback.Kind
}

func (a author) pick(options ...string) string { return options[a.IntN(len(options))] }

func (a author) chance(percent int) bool { return a.IntN(100) < percent }

// newWorld makes up a schema with attributes of every kind, and a vocabulary.
func (a author) newWorld() *world {
	w := &world{item: map[string]feedback.Kind{}, owner: map[string]feedback.Kind{}}
	kinds := []feedback.Kind{feedback.String, feedback.Number, feedback.Bool, feedback.Instant}
	for i := range 2 + a.IntN(10) {
		into := w.item
		if a.chance(30) {
			into = w.owner
		}
		into[fmt.Sprint("a", i)] = kinds[i%4]
	}
	attributes := feedback.AttributeFields(w.item, w.owner)
	slices.SortFunc(attributes, func(a, b feedback.Field) int { return strings.Compare(a.Name, b.Name) })
	w.fields = append(feedback.Fields(), attributes...)
	for _, f := range w.fields {
		switch {
		case f.Str != nil:
			w.strings = append(w.strings, f.Name)
		case f.Num != nil:
			w.numbers = append(w.numbers, f.Name)
		case f.Truth != nil:
			w.truths = append(w.truths, f.Name)
		case f.Instant != nil:
			w.times = append(w.times, f.Name)
		}
	}
	w.values = []string{"nps", "csat", "gold", "silver", "web", "EU", "v1", "v2", "Box", "größe"}
	w.themes = []string{"price", "packaging", "packaging/opening", "packaging/opening/hard", "shipping", "shipping/late", "pack", "a//b", "a/", "/x"}
	w.words = []string{"box", "Box", "cancel", "refund", "late", "a", "é", "e\u0301", "größe", "GRÖSSE", "ſhip", "Kelvin", "elvin", "ce", "ancel", "nd", "the box", "café", "cafe", "ß", "日本"}
	w.shops, w.limits = 5+a.IntN(400), 3+a.IntN(200)
	for i := range a.IntN(300) {
		w.themes = append(w.themes, fmt.Sprintf("t%d/s%d", i%40, i))
	}
	for i := range a.IntN(300) {
		w.words = append(w.words, fmt.Sprintf("w%03d", i))
	}
	return w
}

func (w *world) compiler() *lang.Compiler {
	c := lang.NewCompiler(w.fields, time.UTC)
	c.DefineStrings("tiers", []string{"gold", "platinum", "v1"})
	c.DefineNumbers("odd", []float64{1, 3, 5})
	c.DefineWindow("recent", 0)
	c.DefineTheme()
	report := func(lang.Problem) {}
	c.DefineMacro("low", "score <= 3 or nps < 2", report)
	c.DefineMacro("vip", `customer.tier in lists.tiers and not low`, report)
	return c
}

func (a author) number() string {
	switch a.IntN(4) {
	case 0:
		return strconv.Itoa(a.IntN(12) - 1)
	case 1:
		return strconv.FormatFloat(float64(a.IntN(a.world.limits))/4-5, 'f', -1, 64)
	case 2:
		return strconv.Itoa(1000 * a.IntN(a.world.limits))
	}
	return a.pick("0", "0.5", "6", "-2", "3")
}

func (a author) numeric(depth int) string {
	if depth <= 0 || a.chance(60) {
		if a.chance(50) {
			return "score"
		}
		return a.pick(a.world.numbers...)
	}
	n := func() string { return a.numeric(depth - 1) }
	return a.pick("("+n()+" + "+n()+")", "("+n()+" / "+n()+")", "("+n()+" * 2)", "("+n()+" ?? "+a.number()+")", "abs("+n()+")", "-"+n(), "len(themes)",
		"count(theme_scores, "+a.element()+")", "win.recent.value", "max("+n()+", "+n()+")", "len(text)")
}

func (a author) value() string {
	if a.chance(40) {
		return fmt.Sprintf("shop-%d", a.IntN(a.world.shops))
	}
	return a.pick(a.world.values...)
}

func (a author) text() string {
	if a.chance(30) {
		return "location"
	}
	return a.pick(a.world.strings...)
}

func (a author) list(n int, each func() string) string {
	out := make([]string, 1+a.IntN(n))
	for i := range out {
		out[i] = each()
	}
	return "[" + strings.Join(out, ", ") + "]"
}

func (a author) quoted(of func() string) func() string {
	return func() string { return strconv.Quote(of()) }
}

func (a author) word() string { return a.pick(a.world.words...) }

func (a author) theme() string { return a.pick(a.world.themes...) }

// element writes a condition on one theme.
func (a author) element() string {
	leaf := func() string {
		return a.pick(`.name == `+strconv.Quote(a.theme()), `.confidence > 0.5`, `.sentiment < 0`, `within(.name, `+strconv.Quote(a.theme())+`)`, `.name startsWith "pa"`,
			`.name in [`+strconv.Quote(a.theme())+`, `+strconv.Quote(a.theme())+`]`, `lower(.name) == "price"`, `score > 3`, `has(.sentiment)`, strconv.Quote(a.theme())+` in themes`, `(.sentiment ?? 0) > -0.5`)
	}
	switch a.IntN(4) {
	case 0:
		return leaf() + " or " + leaf()
	case 1:
		return "not (" + leaf() + ")"
	case 2:
		return leaf()
	}
	return leaf() + " and " + leaf()
}

func (a author) pattern() string {
	w := func() string { return strings.ReplaceAll(a.word(), `"`, "") }
	return a.pick(w(), "(?i)"+w(), "(?i)"+w()+"|"+w(), w()+"|"+w(), "(?i)(very |too )"+w(), "^"+w(), w()+".*"+w(), "(?i)"+w()+`\s+`+w(), "x*", "a{3}", `\b`+w()+`\b`, "(?i)["+"kK"+"]elvin", "(?s).", "[^a-z]")
}

// atom writes one comparison.
func (a author) atom() string {
	order := func() string { return a.pick("<", "<=", ">", ">=", "==", "!=") }
	switch a.IntN(24) {
	case 0, 1:
		return a.numeric(0) + " " + order() + " " + a.number()
	case 2:
		return a.number() + " " + order() + " " + a.numeric(2)
	case 3:
		lo := a.IntN(8)
		return fmt.Sprintf("%s %s %d..%d", a.numeric(1), a.pick("in", "not in"), lo, lo+a.IntN(5))
	case 4:
		return a.numeric(0) + a.pick(" in ", " not in ") + a.pick(a.list(12, a.number), "lists.odd")
	case 5, 6:
		return a.text() + a.pick(" == ", " == ", " != ") + strconv.Quote(a.value())
	case 7:
		return a.text() + a.pick(" in ", " in ", " not in ") + a.pick(a.list(3, a.quoted(a.value)), a.list(30, a.quoted(a.value)), "lists.tiers")
	case 8:
		return "location == " + strconv.Quote(a.value())
	case 9, 10:
		return strconv.Quote(a.theme()) + a.pick(" in ", " in ", " not in ") + "themes"
	case 11, 12:
		return a.pick("text", "text", "text", "title", a.text(), "lower(text)") + a.pick(" contains ", " contains ", " startsWith ", " endsWith ", " not contains ") + strconv.Quote(a.word())
	case 13, 14:
		return a.pick("text", "text", "title", a.text()) + a.pick(" matches ", " not matches ") + strconv.Quote(a.pattern())
	case 15:
		return a.pick(a.world.truths...) + a.pick("", " == true", " != true", " == false")
	case 16:
		return a.pick(a.world.times...) + " " + a.pick("<", ">=", "==", "!=") + " " + a.pick(`date("2026-03-01")`, `date("2026-03-01T12:00:00Z")`, "received_at")
	case 17:
		return a.pick("any", "any", "all", "none", "one") + "(" + a.pick("theme_scores", "theme_scores", "themes") + ", " + a.pick(a.element(), "true") + ")"
	case 18:
		return "has(" + a.pick(a.text(), a.numeric(0), a.pick(a.world.truths...), a.pick(a.world.times...), "themes") + ")"
	case 19:
		return a.pick("true", "false", "low", "vip", "1 == 1", `product in themes`, "customer.language == language", "score == nps", `within(product, "pack")`)
	case 20:
		return a.pick(`theme == "price"`, `theme contains "pack"`, "win.recent.n > 3", "win.recent.value < "+a.number(), `theme matches "(?i)PACK"`)
	case 21:
		return "(" + a.text() + " ?? " + strconv.Quote(a.value()) + ") == " + strconv.Quote(a.value())
	case 22:
		return "(customer.arr ?? 5) " + order() + " " + a.number()
	}
	return "score " + order() + " " + strconv.Itoa(a.IntN(12)-1)
}

// family writes a few comparisons of one value, most of which are true together.
func (a author) family() string {
	list, word := a.list(2, a.quoted(a.value)), a.word()
	var member func() string
	switch a.IntN(5) {
	case 0:
		member = func() string {
			return strconv.Quote(a.pick("price", "packaging", "shipping", "pack")) + a.pick(" in ", " in ", " not in ") + "themes"
		}
	case 1:
		member = func() string {
			return "text " + a.pick("contains", "contains", "not contains", "endsWith") + " " + strconv.Quote(a.pick("a", "e", "b", word))
		}
	case 2:
		member = func() string { return "text matches " + strconv.Quote(a.pick("(?i)a|x", "e", "(?i)"+word, "b|c")) }
	case 3:
		member = func() string {
			return "location" + a.pick(" not in "+list, ` != "gold"`, " == "+strconv.Quote(a.value()))
		}
	case 4:
		member = func() string { return "score " + a.pick("> ", "< ", "!= ", ">= ") + a.pick("1", "3", "5", "8") }
	}
	out := member()
	for range 1 + a.IntN(3) {
		out += a.pick(" and ", " and ", " or ") + member()
	}
	return "(" + out + ")"
}

func (a author) condition(depth int) string {
	if depth == 0 || a.chance(25) {
		return a.atom()
	}
	c := func() string { return a.condition(depth - 1) }
	switch a.IntN(9) {
	case 5:
		return a.family()
	case 0:
		return "not (" + c() + ")"
	case 1:
		return "((" + c() + ") ?? (" + c() + "))"
	case 2, 3:
		return "(" + c() + " || " + c() + ")"
	case 4:
		out := a.atom()
		for range a.IntN(14) {
			out += " or " + a.atom()
		}
		return "(" + out + ")"
	}
	return "(" + c() + " && " + c() + ")"
}

// event makes up an event of which much may be missing.
func (a author) event() *feedback.Event {
	w := a.world
	gaps := a.pick("0", "0", "20", "60")
	percent, _ := strconv.Atoi(gaps)
	str := func(of func() string) string {
		if a.chance(percent) {
			return ""
		}
		return of()
	}
	num := func(v float64) *float64 {
		switch {
		case a.chance(percent):
			return nil
		case a.chance(2):
			v = []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e308, math.Copysign(0, -1)}[a.IntN(5)]
		}
		return &v
	}
	value := func() string { return a.value() }
	it := &feedback.Item{
		ID: "f", Source: str(value), Batch: str(value), Survey: feedback.Survey(str(func() string { return a.pick("nps", "csat", "x") })), Score: num(float64(a.IntN(11))),
		Channel: str(value), Touchpoint: str(value), Stage: str(value), Product: str(func() string { return a.pick("price", "pack", "packaging", a.value()) }), Location: str(value),
		Language: str(value), Title: str(a.sentence), Text: str(a.sentence), SurveyID: str(value),
		Customer: feedback.Customer{ID: str(value), Segment: str(value), Tier: str(value), ARR: num(float64(1000 * a.IntN(w.limits))), TenureDays: num(float64(a.IntN(w.limits)) / 4),
			Region: str(value), Language: str(value), Owner: str(value)},
	}
	if !a.chance(percent) {
		it.OccurredAt, it.ReceivedAt = feedback.Time(1772323200000+a.Int64N(3)*43200000), feedback.Time(1772323200000+a.Int64N(3)*43200000)
	}
	if !a.chance(percent) {
		v := a.chance(50)
		it.Contactable = &v
	}
	it.Attributes, it.Customer.Attributes = a.attributes(w.item, percent), a.attributes(w.owner, percent)
	return &feedback.Event{Item: it, Labels: a.labels(num)}
}

func (a author) attributes(kinds map[string]feedback.Kind, percent int) feedback.Attributes {
	out := feedback.Attributes{}
	for _, name := range slices.Sorted(maps.Keys(kinds)) { // in an order of their own, so that a seed repeats a run
		if a.chance(percent) {
			continue
		}
		switch kinds[name] {
		case feedback.String:
			out[name] = feedback.StringValue(a.value())
		case feedback.Number:
			out[name] = feedback.NumberValue(float64(a.IntN(a.world.limits))/4 - 5)
		case feedback.Bool:
			out[name] = feedback.BoolValue(a.chance(50))
		case feedback.Instant:
			out[name] = feedback.TimeValue(feedback.Time(1772323200000 + a.Int64N(3)*43200000))
		}
		if a.chance(3) {
			out[name] = feedback.StringValue("of another kind")
		}
	}
	return out
}

func (a author) labels(num func(float64) *float64) *feedback.Labels {
	if a.chance(10) {
		return nil
	}
	l := &feedback.Labels{Sentiment: num(float64(a.IntN(21)-10) / 10)}
	n := a.IntN(4)
	if a.chance(1) {
		n = lang.MaxThemes + 3
	}
	for range n {
		t := feedback.Theme{Path: feedback.ThemePath(a.theme()), Confidence: float64(a.IntN(10)) / 10, Sentiment: num(float64(a.IntN(21)-10) / 10)}
		if a.chance(3) {
			t.Confidence = math.NaN()
		}
		if a.chance(3) {
			t.Path += feedback.ThemePath("/" + strings.Repeat("long", 80))
		}
		if a.chance(10) {
			t.Path += "/below"
		}
		l.Themes = append(l.Themes, t)
	}
	return l
}

func (a author) sentence() string {
	out := make([]string, 1+a.IntN(12))
	for i := range out {
		w := a.word()
		switch a.IntN(12) {
		case 0:
			w = strings.ToUpper(w)
		case 1:
			w = "K" + w // the sign of Kelvin
		case 2:
			w += "\u0301"
		case 3:
			w += "\xff"
		case 4:
			w = strings.ReplaceAll(w, "s", "ſ")
		}
		out[i] = w
	}
	return strings.Join(out, a.pick(" ", " ", ""))
}

// figures are the values of windows.
type figures struct{ v float64 }

func (f figures) Figure(int, lang.Part) (float64, bool) { return f.v, f.v != 0 }

func (f figures) Spike(int, int) (float64, bool) { return f.v, true }
