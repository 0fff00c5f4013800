package rules

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/rules/internal/campaign"
	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/rules/window"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// choices returns the source of a test's choices.
func choices(tb testing.TB) careless { return careless{Rand: campaign.Rand(tb)} }

// careless writes rules that repeat, deny and nearly copy each other, and events about few values, so that what lint says
// of them is soon put to the test.
type careless struct {
	*rand.Rand
}

func (c careless) of(options ...string) string { return options[c.IntN(len(options))] }

func (c careless) chance(percent int) bool { return c.IntN(100) < percent }

func (c careless) bound() string {
	return c.of("0", "1", "3", "5", "6", "6.5", "7", "8", "9", "10", "-1", "4.0")
}

func (c careless) order() string { return c.of("<", "<=", ">", ">=", "==", "!=") }

var (
	lintWords  = []string{"box", "the box", "Box ", "BOX", "ox", "late", "late box", "größe", "GRÖSSE", "é", "e\u0301", "ſhip", "ship", "K", "k"}
	lintThemes = []string{"price", "price/high", "price/high/very", "pricey", "staff", "a//b", "a", "a/"}
	lintNames  = []string{"gold", "silver", "Gold", "kettle", "the box", "nps", "csat", "late box"}
)

func (c careless) atom(themed bool) string {
	q := strconv.Quote
	word, theme, name := q(c.of(lintWords...)), q(c.of(lintThemes...)), q(c.of(lintNames...))
	text := c.of("text", "text", "title", "product")
	if themed && c.chance(30) {
		return c.of("theme == "+theme, "theme != "+theme, "theme contains "+word, "within(theme, "+theme+")", "theme in ["+theme+", "+theme+"]", "win.themed.n "+c.order()+" "+c.bound())
	}
	switch c.IntN(22) {
	case 0, 1, 2:
		return "score " + c.order() + " " + c.bound()
	case 3, 4:
		return c.of("nps", "csat", "stars") + " " + c.order() + " " + c.bound()
	case 5:
		return "survey " + c.of("==", "!=") + " " + c.of(`"nps"`, `"csat"`, `"x"`)
	case 6:
		return "nps_class " + c.of("==", "!=") + " " + c.of(`"detractor"`, `"passive"`, `"promoter"`, `"other"`)
	case 7:
		return "score " + c.of("in", "not in") + " " + c.of("0..6", "7..8", "6..7", "[1, 3, 5]", "[6]", "lists.odd")
	case 8:
		return c.of("product", "customer.tier", "attributes.coupon") + " " + c.of("==", "!=") + " " + c.of(name, name, `""`)
	case 9:
		return c.of("product", "customer.tier") + " " + c.of("in", "not in") + " " + c.of("["+name+", "+q(c.of(lintNames...))+"]", "lists.tiers")
	case 10, 11:
		return theme + " " + c.of("in", "in", "not in") + " themes"
	case 12, 13:
		return text + " " + c.of("contains", "contains", "not contains", "startsWith", "endsWith") + " " + word
	case 14:
		return text + " " + c.of("matches", "not matches") + " " + c.of(`"(?i)box|late"`, `"box"`, `"(?i)box"`, `"^the"`, `"b.x"`, `"(?i)gr(ö|o)(ß|ss)e"`, `"late|ship"`)
	case 15:
		return c.of("contactable", "contactable == false", "not contactable", "contactable != true", "customer.attributes.newsletter")
	case 16:
		return "has(" + c.of("score", "nps", "nps_class", "product", "contactable", "sentiment", "survey", "text", "attributes.coupon", "themes", "word_count", "occurred_at") + ")"
	case 17:
		return c.of("(customer.arr ?? 0)", "customer.arr", "customer.arr + 1", "abs(sentiment)", "sentiment", "word_count", "len(text)", "attributes.order_value", "len(themes)", "max(score, 3)") + " " + c.order() + " " + c.bound()
	case 18:
		return c.of("any", "any", "all", "none", "one") + "(theme_scores, " + c.of(`.name == `+theme, `within(.name, `+theme+`)`, ".confidence > 0.5", ".sentiment < 0", ".name == "+theme+" and .confidence > 0.5") + ")"
	case 19:
		return c.of("win.nps7.value", "win.nps7.n", "win.nps7.lo") + " " + c.order() + " " + c.bound()
	case 20:
		return "occurred_at " + c.of("<", ">=", "==") + " " + c.of(`date("2026-03-01")`, `date("2026-03-02")`)
	}
	return c.of("true", "false", "1 == 1", "low", "vip", "(contactable ?? true)", "((score > 3) ?? contactable)", "product == customer.tier", `lower(product) == "kettle"`)
}

func (c careless) condition(depth int, themed bool) string {
	if depth == 0 || c.chance(25) {
		return c.atom(themed)
	}
	sub := func() string { return "(" + c.condition(depth-1, themed) + ")" }
	switch c.IntN(8) {
	case 0:
		return "not " + sub()
	case 1:
		return "(" + sub() + " ?? " + sub() + ")"
	case 2, 3, 4:
		return sub() + " or " + sub()
	}
	return sub() + " and " + sub()
}

// variation writes nearly what another condition says.
func (c careless) variation(of string, themed bool) string {
	p := "(" + of + ")"
	sub := "(" + c.condition(1, themed) + ")"
	switch c.IntN(9) {
	case 0:
		return of
	case 1:
		return "not (not " + p + ")"
	case 2:
		return p + " and " + sub
	case 3:
		return sub + " and " + p
	case 4:
		return p + " or " + sub
	case 5:
		return "not " + p
	case 6:
		return strings.NewReplacer("<=", "<", ">=", ">", " and ", " or ").Replace(of)
	case 7:
		return p + " or (" + p + " and " + sub + ")"
	}
	return "(" + p + " and " + sub + ") or (" + p + " and not " + sub + ")"
}

// set writes a set of rules.
func (c careless) set() string {
	var b strings.Builder
	b.WriteString(`version: 1
lists: {tiers: [gold, silver], odd: [1, 3, 5, 7, 9]}
macros: {low: score <= 6, vip: "customer.tier in lists.tiers or customer.arr > 5"}
`)
	if c.chance(50) {
		b.WriteString("outputs: {queue: error, owner: error}\n")
	}
	b.WriteString("windows:\n  nps7: {metric: nps, over: 7d}\n  themed: {metric: count, over: 1d, by: theme}\ngroups:\n")
	for g := range 1 + c.IntN(3) {
		fmt.Fprintf(&b, "  - name: g%d\n    match: %s\n    rules:\n", g, c.of("all", "first", "first"))
		var before []string
		for i := range 4 + c.IntN(14) {
			each := c.of("", "", "", "", "", "theme", "product")
			themed := each == "theme"
			when := c.condition(1+c.IntN(3), themed)
			if len(before) > 0 && c.chance(55) {
				when = c.variation(before[c.IntN(len(before))], themed)
			}
			// What is varied may become more than twice as long.
			if len(when) < lang.MaxSource/4 && !strings.Contains(when, "theme ") && !strings.Contains(when, "(theme,") && !strings.Contains(when, "win.themed") {
				before = append(before, when)
			}
			fmt.Fprintf(&b, "      - id: r%d-%d\n        when: %s\n        mode: %s\n        on_error: %s\n        do: [%s]\n", g, i, strconv.Quote(when),
				c.of("on", "on", "on", "on", "on", "shadow", "off"), c.of("skip", "skip", "skip", "match"),
				c.of("{tag: a}", "{tag: a}", "{tag: b}", "{assign: {queue: care}}", "{assign: {queue: vip, owner: ann}}", "{relabel: {add: [price/high], remove: [staff]}}"))
			if each != "" {
				fmt.Fprintf(&b, "        each: %s\n", each)
			}
			if c.chance(10) {
				fmt.Fprintf(&b, "        priority: %d\n", c.IntN(3))
			}
			if c.chance(5) {
				b.WriteString("        throttle: {every: 1h}\n")
			}
		}
	}
	return b.String()
}

// event makes up an event of which much may be missing, with what windows tell meanwhile.
func (c careless) event() (*feedback.Event, stating) {
	gap := []int{0, 10, 50}[c.IntN(3)]
	str := func(options []string) string {
		if c.chance(gap) {
			return ""
		}
		return c.of(options...)
	}
	num := func(v float64) *float64 {
		switch {
		case c.chance(gap):
			return nil
		case c.chance(1):
			v = []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1)}[c.IntN(4)]
		}
		return &v
	}
	scores := []float64{-1, 0, 1, 2, 3, 4, 5, 5.5, 6, 6.25, 6.5, 6.75, 7, 7.5, 8, 8.5, 9, 10, 11}
	score := func() float64 { return scores[c.IntN(len(scores))] }
	words := func() string {
		out := str(lintWords)
		for range c.IntN(3) {
			out += c.of(" ", "", "\u0301", "\xff") + c.of(lintWords...)
		}
		return out
	}
	truth := func() *bool {
		if c.chance(gap) {
			return nil
		}
		return new(c.chance(50))
	}
	it := &feedback.Item{ID: "f", Survey: feedback.Survey(str([]string{"nps", "nps", "csat", "stars", "x"})), Score: num(score()), Product: str(lintNames), Text: words(), Title: words(),
		Contactable: truth(), Customer: feedback.Customer{Tier: str(lintNames), ARR: num(score())}, Attributes: feedback.Attributes{}}
	if c.chance(80) {
		it.OccurredAt = feedback.Time(1_772_323_200_000 + c.Int64N(4)*43_200_000)
	}
	if c.chance(70) {
		it.Attributes["coupon"] = feedback.StringValue(c.of("", "gold", "nps"))
		it.Attributes["order_value"] = feedback.NumberValue(score())
	}
	if v := truth(); v != nil {
		it.Customer.Attributes = feedback.Attributes{"newsletter": feedback.BoolValue(*v)}
	}
	ev := &feedback.Event{Item: it}
	if !c.chance(15) {
		ev.Labels = &feedback.Labels{Sentiment: num(score() / 10)}
		n := c.IntN(4)
		if c.chance(1) {
			n = 300
		}
		for range n {
			ev.Labels.Themes = append(ev.Labels.Themes, feedback.Theme{Path: feedback.ThemePath(c.of(lintThemes...) + c.of("", "", "", "/below", strings.Repeat("/long", 60))), Confidence: c.Float64(), Sentiment: num(score()/5 - 1)})
		}
	}
	return ev, stating{figures: map[string]window.Figure{}}
}

// tell has windows tell what they like.
func (c careless) tell(s *Set, v stating) {
	for _, w := range s.Windows() {
		n := func() float64 { return float64(c.IntN(12)) }
		v.figures[w.ID] = window.Figure{N: int64(n()), Value: n(), Lo: n(), Hi: n(), Known: c.chance(80), Interval: c.chance(80)}
	}
}

// told writes an event, with numbers that JSON does not have.
func told(ev *feedback.Event) string {
	var b strings.Builder
	for _, f := range feedback.Fields() {
		switch {
		case f.Str != nil:
			if v, ok := f.Str(ev); ok {
				fmt.Fprintf(&b, "%s=%q ", f.Name, v)
			}
		case f.Num != nil:
			if v, ok := f.Num(ev); ok {
				fmt.Fprintf(&b, "%s=%v ", f.Name, v)
			}
		case f.Truth != nil:
			if v, ok := f.Truth(ev); ok {
				fmt.Fprintf(&b, "%s=%v ", f.Name, v)
			}
		}
	}
	fmt.Fprintf(&b, "attributes=%v %v at=%d", ev.Item.Attributes, ev.Item.Customer.Attributes, ev.Item.OccurredAt)
	if ev.Labels != nil {
		for _, t := range ev.Labels.Themes {
			fmt.Fprintf(&b, " theme=%q %v", t.Path, t.Confidence)
		}
	}
	return b.String()
}
