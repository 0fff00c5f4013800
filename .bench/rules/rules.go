package main

import (
	"math/rand/v2"
	"slices"
)

// kind is what the rules of a set are like.
type kind string

const (
	// Nineteen of twenty rules are about one store, campaign or owner and have one to three more conditions.
	scoped kind = "scoped"
	// Every rule has three to six conditions on fields of few values, which many events meet.
	coarse kind = "coarse"
)

// operation is what a condition asks of a field.
type operation int

const (
	is          operation = iota // the field is the text
	oneOf                        // the field is one of the texts
	atMost                       // the field is at most the number
	atLeast                      // the field is at least the number
	above                        // the field is above the number
	below                        // the field is below the number
	has                          // the field, a list, has the text
	holds                        // the field, a text, has the text within
	mentions                     // either text is within the field, in any case
	surely                       // the field, a list of themes, has one of that name and of a confidence above the number
	outweighs                    // twice the field and the number of words make more than the number
	isTrue                       // the field holds
	isFalse                      // the field does not hold
	disjunction                  // either of the kids holds
)

// condition is a condition of a rule in no language.
type condition struct {
	op     operation
	field  string
	texts  []string
	number float64
	kids   []condition
}

// rule holds when all of its conditions hold.
type rule []condition

// rules returns n rules, the same for the same seed. Of the conditions one in ten is a choice of two, and one rule in ten
// asks for something that no index of values helps with. No rule asks for one field twice, but for themes: it
// would say the same twice or contradict itself, and who writes rules does neither.
func (w *world) rules(k kind, seed uint64, n int) []rule {
	random := rand.New(rand.NewPCG(seed, 2))
	out := make([]rule, n)
	for i := range out {
		d := draft{world: w, random: random}
		more := 3 + random.IntN(4)
		if k == scoped && random.IntN(20) > 0 {
			d.add(w.scope(random))
			more = 1 + random.IntN(3)
		}
		for range more {
			c := d.common()
			if random.IntN(10) == 0 {
				c = condition{op: disjunction, kids: []condition{c, d.common()}}
			}
			d.add(c)
		}
		if random.IntN(10) == 0 {
			d.add(w.opaque(random))
		}
		random.Shuffle(len(d.rule), func(i, j int) { d.rule[i], d.rule[j] = d.rule[j], d.rule[i] })
		out[i] = d.rule
	}
	return out
}

// draft is a rule that is being made.
type draft struct {
	rule   rule
	asked  []string // fields
	world  *world
	random *rand.Rand
}

func (d *draft) add(c condition) { d.rule = append(d.rule, c) }

// common returns a common condition on a field that the rule does not ask for yet.
func (d *draft) common() condition {
	for {
		c := d.world.common(d.random)
		if !slices.Contains(d.asked, c.field) {
			if c.op != has {
				d.asked = append(d.asked, c.field)
			}
			return c
		}
	}
}

func text(field, value string) condition {
	return condition{op: is, field: field, texts: []string{value}}
}

func number(op operation, field string, n float64) condition {
	return condition{op: op, field: field, number: n}
}

// some asks for one of n different values.
func some(random *rand.Rand, field string, from []string, n int) condition {
	c := condition{op: oneOf, field: field}
	for _, i := range random.Perm(len(from))[:n] {
		c.texts = append(c.texts, from[i])
	}
	return c
}

// scope returns a condition that few events meet.
func (w *world) scope(random *rand.Rand) condition {
	switch random.IntN(4) {
	case 0:
		return text("attributes.campaign", pick(random, w.campaigns))
	case 1:
		return text("customer.owner", pick(random, w.owners))
	default:
		return text("location", pick(random, w.locations))
	}
}

// common returns a condition that many events meet.
func (w *world) common(random *rand.Rand) condition {
	switch random.IntN(22) {
	case 0, 1, 2:
		return number(atMost, "score", float64(random.IntN(7)))
	case 3:
		return number(atLeast, "score", float64(7+random.IntN(4)))
	case 4, 5:
		return text("customer.segment", pick(random, w.segments))
	case 6:
		return some(random, "customer.tier", w.tiers, 2)
	case 7:
		return text("customer.region", pick(random, w.regions))
	case 8:
		return text("customer.country", pick(random, w.countries))
	case 9:
		return text("survey", pick(random, w.surveys))
	case 10:
		return some(random, "channel", w.channels, 3)
	case 11:
		return text("touchpoint", pick(random, w.touchpoints))
	case 12:
		return text("product", pick(random, w.products))
	case 13:
		return number(above, "customer.arr", float64(50_000*(1+random.IntN(9))))
	case 14:
		return number(below, "sentiment", -float64(1+random.IntN(9))/10)
	case 15, 16, 17:
		return condition{op: has, field: "themes", texts: []string{pick(random, w.themes)}}
	case 18:
		return condition{op: holds, field: "text", texts: []string{pick(random, w.telling)}}
	case 19:
		return text("stage", pick(random, w.stages))
	case 20:
		return text("customer.language", pick(random, w.languages))
	}
	return [...]condition{
		{op: isTrue, field: "attributes.verified"}, {op: isTrue, field: "contactable"},
		{op: isTrue, field: "attributes.repeated"}, {op: isFalse, field: "attributes.repeated"},
	}[random.IntN(4)]
}

// opaque returns a condition that is not a comparison of one field with one value.
func (w *world) opaque(random *rand.Rand) condition {
	switch random.IntN(4) {
	case 0:
		c := number(surely, "theme_scores", float64(1+random.IntN(9))/10)
		c.texts = []string{pick(random, w.themes)}
		return c
	case 1:
		c := some(random, "text", w.telling, 2)
		c.op = mentions
		return c
	case 2:
		return number(outweighs, "customer.tenure_days", float64(random.IntN(6000)))
	default:
		return text("attributes.plan", pick(random, w.plans))
	}
}
