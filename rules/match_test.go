package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/rules/internal/campaign"
	"github.com/closedloop/closedloop/rules/internal/index"
	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// loop has a set ask every rule instead of looking for those that match.
func loop(s *Set) *Set {
	s.places = nil
	s.index = index.New(s.program, make([][]*lang.Condition, len(s.groups))...)
	for i := range s.groups {
		g := &s.groups[i]
		g.stage, g.begins, g.direct = i, true, nil
		for j := range g.rules {
			if g.rules[j].info.Mode != Off {
				g.direct = append(g.direct, int32(j))
			}
		}
	}
	return s
}

// TestFindingRulesDecidesLikeAskingThem compares the decisions of random sets in which rules are found with those of the
// same sets in which every rule is asked: over groups of both kinds, relabels, suppression, each, modes and on_error.
func TestFindingRulesDecidesLikeAskingThem(t *testing.T) {
	t.Parallel()
	r := campaign.Rand(t)
	fired, unknown := 0, 0
	for range 12 {
		text := mixedSet(r)
		indexed, asked := compile(t, text), loop(compile(t, text))
		for range 40 {
			ev := mixedEvent(r)
			got, want := indexed.Evaluate(ev, now, nil), asked.Evaluate(ev, now, nil)
			for _, d := range [...]*Decision{&got.Decision, &want.Decision} { // what is looked at in vain is not part of a decision
				d.Readings = slices.DeleteFunc(d.Readings, func(r Reading) bool { return r.Early })
			}
			if toJSON(t, got) != toJSON(t, want) {
				t.Fatalf("found\n%s\nasked\n%s\nfor %s in\n%s", toJSON(t, got), toJSON(t, want), toJSON(t, ev), text)
			}
			for _, g := range got.Decision.Groups {
				fired += len(g.Fired)
			}
			unknown += len(got.Decision.Unknown)
		}
	}
	if fired < 1000 || unknown < 1000 {
		t.Errorf("%d rules fired and %d were unknown: the test shows little", fired, unknown)
	}
}

func pick(r *rand.Rand, list ...string) string { return list[r.IntN(len(list))] }

func mixedSet(r *rand.Rand) string {
	var b strings.Builder
	b.WriteString("version: 1\nwindows:\n  w: {metric: count, over: 1h, step: 1m}\ngroups:\n")
	for g := range 1 + r.IntN(5) {
		fmt.Fprintf(&b, "  - name: g%d\n    match: %s\n    rules:\n", g, pick(r, "all", "first", "all"))
		for i := range 1 + r.IntN(80) {
			fmt.Fprintf(&b, "      - {id: r%d-%d, when: '%s', mode: %s, on_error: %s, do: [%s]%s}\n", g, i,
				mixedCondition(r), pick(r, "on", "on", "on", "shadow", "off"), pick(r, "skip", "skip", "skip", "match"),
				pick(r, "{tag: t}", "{tag: t}", "{tag: t}", "{relabel: {add: [price], remove: [shipping]}}", "{relabel: {sentiment: -1}}"),
				pick(r, "", "", "", "", ", each: theme", ", each: product", fmt.Sprintf(", priority: %d", r.IntN(3))))
		}
	}
	return b.String()
}

func mixedCondition(r *rand.Rand) string {
	one := func() string {
		return pick(r,
			fmt.Sprintf("score <= %d", r.IntN(11)), fmt.Sprintf("customer.arr > %d", 1000*r.IntN(9)), fmt.Sprintf("product == \"p%d\"", r.IntN(40)),
			fmt.Sprintf("customer.tier in [\"t%d\", \"gold\"]", r.IntN(4)), `"shipping" in themes`, `"price" in themes`, "contactable",
			`text contains "box"`, `text matches "(?i)late|crushed"`, "sentiment < 0", "win.w.n > 0", "has(product)", "(contactable ?? true)",
			fmt.Sprintf("(customer.arr ?? 0) > %d", 1000*r.IntN(9)), `any(theme_scores, .confidence > 0.5)`)
	}
	c := one()
	for range r.IntN(3) {
		c += pick(r, " and ", " and ", " or ") + pick(r, "", "", "not ") + "(" + one() + ")"
	}
	return c
}

func mixedEvent(r *rand.Rand) *feedback.Event {
	it := &feedback.Item{ID: "f_1", Text: pick(r, "", "the Box was late", "crushed", "fine", "Die Schachtel war zerdrückt"), Survey: feedback.NPS}
	if r.IntN(3) > 0 {
		it.Score = new(float64(r.IntN(11)))
	}
	if r.IntN(2) > 0 {
		it.Product = fmt.Sprintf("p%d", r.IntN(40))
		it.Customer.ARR = new(float64(1000 * r.IntN(10)))
	}
	it.Customer.Tier = pick(r, "", "gold", "t1", "t2")
	if r.IntN(2) > 0 {
		it.Contactable = new(r.IntN(2) > 0)
	}
	ev := &feedback.Event{Item: it}
	if r.IntN(5) > 0 {
		ev.Labels = &feedback.Labels{}
		for range r.IntN(3) {
			ev.Labels.Themes = append(ev.Labels.Themes, feedback.Theme{Path: feedback.ThemePath(pick(r, "shipping", "price/high", "staff")), Confidence: r.Float64()})
		}
	}
	return ev
}
