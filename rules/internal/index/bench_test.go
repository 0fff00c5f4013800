package index

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// What the rules and events of the benchmarks are about.
var (
	shops       = numbered("shop-", 5000)
	campaigns   = numbered("campaign-", 2000)
	owners      = numbered("owner-", 500)
	countries   = numbered("C", 60)
	products    = numbered("product-", 25)
	surveys     = strings.Fields("nps csat ces review ticket")
	channels    = strings.Fields("email sms web app social ticket call kiosk")
	segments    = strings.Fields("enterprise midmarket smb consumer")
	tiers       = strings.Fields("platinum gold silver bronze none")
	regions     = strings.Fields("EU NA LATAM APAC MEA UK")
	languages   = strings.Fields("en de fr es pt it nl pl ja ko zh ar")
	journey     = strings.Fields("onboarding active renewal at_risk churned won_back")
	touchpoints = crossed(strings.Fields("checkout support delivery onboarding app store billing returns"), strings.Fields("start form confirm chat end"))
	codebook    = crossed(strings.Fields("shipping packaging price quality staff billing login crash speed refund returns checkout search delivery docs support waiting cleanliness stock size"),
		strings.Fields("cost delay"))
	literals   = strings.Fields("refund cancel lawyer escalate unacceptable competitor crash damaged broken twice complaint urgent switch expensive queue wrong failed password confusing slow")
	vocabulary = append(strings.Fields(`the a my order was late arrived and i want subscription please help support agent never called back great service love product price
		too shipping box packaging delivery app login checkout payment invoice billing charge friendly staff store long wait return policy exchange size color quality
		poor excellent recommend friends family manager disappointed happy thanks quick easy website search filter`), literals...)
)

func numbered(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s%04d", prefix, i)
	}
	return out
}

// crossed returns the first ones, and each of them with each of the second ones below it.
func crossed(first, second []string) []string {
	var out []string
	for _, a := range first {
		out = append(out, a)
		for _, b := range second {
			out = append(out, a+"/"+b)
		}
	}
	return out
}

// clerk writes the rules and events of benchmarks, in which low numbers are frequent.
type clerk struct{ *rand.Rand }

func (c clerk) of(list []string) string { return list[c.IntN(len(list))] }

func (c clerk) likely(list []string) string {
	x := c.Float64()
	return list[int(x*x*float64(len(list)))]
}

func (c clerk) quoted(list []string) string { return strconv.Quote(c.of(list)) }

// coarse writes a comparison with one of few values.
func (c clerk) coarse() string {
	switch c.IntN(22) {
	case 0, 1, 2:
		return fmt.Sprintf("score <= %d", c.IntN(7))
	case 3:
		return fmt.Sprintf("score >= %d", 7+c.IntN(4))
	case 4, 5:
		return "customer.segment == " + c.quoted(segments)
	case 6:
		return fmt.Sprintf("customer.tier in [%s, %s]", c.quoted(tiers), c.quoted(tiers))
	case 7:
		return "customer.region == " + c.quoted(regions)
	case 8:
		return "customer.country == " + c.quoted(countries)
	case 9:
		return "survey == " + c.quoted(surveys)
	case 10:
		return fmt.Sprintf("channel in [%s, %s, %s]", c.quoted(channels), c.quoted(channels), c.quoted(channels))
	case 11:
		return "touchpoint == " + c.quoted(touchpoints)
	case 12:
		return "product == " + c.quoted(products)
	case 13:
		return fmt.Sprintf("customer.arr > %d", 50000*(1+c.IntN(9)))
	case 14:
		return fmt.Sprintf("sentiment < -0.%d", 1+c.IntN(9))
	case 15, 16, 17:
		return c.quoted(codebook) + " in themes"
	case 18:
		return "text contains " + c.quoted(literals)
	case 19:
		return "stage == " + c.quoted(journey)
	case 20:
		return "customer.language == " + c.quoted(languages)
	}
	return c.of([]string{"attributes.verified", "contactable", "not attributes.again", "attributes.again"})
}

// rare writes a comparison of which an index knows little.
func (c clerk) rare() string {
	switch c.IntN(4) {
	case 0:
		return fmt.Sprintf("any(theme_scores, .name == %s && .confidence > 0.%d)", c.quoted(codebook), 1+c.IntN(9))
	case 1:
		return fmt.Sprintf(`text matches "(?i)%s|%s"`, c.of(literals), c.of(literals))
	case 2:
		return fmt.Sprintf("customer.tenure_days * 2 + word_count > %d", c.IntN(6000))
	}
	return "attributes.plan == " + c.quoted([]string{"trial", "basic", "pro", "team"})
}

// scope writes a comparison with one of many values.
func (c clerk) scope() string {
	switch c.IntN(4) {
	case 0:
		return "attributes.campaign == " + c.quoted(campaigns)
	case 1:
		return "customer.owner == " + c.quoted(owners)
	}
	return "location == " + c.quoted(shops)
}

// rules writes conditions of 3 to 6 comparisons with few values, a tenth of them with an alternative, and a tenth with one
// that is rare. If they are scoped, all but a twentieth are about one shop, campaign or owner, and have 1 to 3 others.
func (c clerk) rules(scoped bool, n int) []string {
	out := make([]string, n)
	for i := range out {
		var all []string
		k := 3 + c.IntN(4)
		if scoped && c.IntN(20) > 0 {
			k = 1 + c.IntN(3)
			all = append(all, c.scope())
		}
		for range k {
			if c.IntN(10) == 0 {
				all = append(all, "("+c.coarse()+" || "+c.coarse()+")")
			} else {
				all = append(all, c.coarse())
			}
		}
		if c.IntN(10) == 0 {
			all = append(all, c.rare())
		}
		c.Shuffle(len(all), func(a, b int) { all[a], all[b] = all[b], all[a] })
		out[i] = strings.Join(all, " && ")
	}
	return out
}

func (c clerk) event() *feedback.Event {
	words := make([]string, 8+c.IntN(40))
	for i := range words {
		words[i] = c.of(vocabulary)
	}
	sentiment := float64(c.IntN(2001)-1000) / 1000
	ev := &feedback.Event{
		Item: &feedback.Item{
			ID: "f", Survey: feedback.Survey(c.likely(surveys)), Score: new(float64(c.IntN(11))), Channel: c.likely(channels), Touchpoint: c.of(touchpoints), Stage: c.likely(journey),
			Product: c.likely(products), Location: c.of(shops), Text: strings.Join(words, " "), Contactable: new(c.IntN(4) > 0), OccurredAt: 1772366400000,
			Customer: feedback.Customer{Segment: c.likely(segments), Tier: c.likely(tiers), ARR: new(float64(c.IntN(500) * 1000)), TenureDays: new(float64(c.IntN(3000))),
				Region: c.likely(regions), Country: c.likely(countries), Language: c.likely(languages), Owner: c.of(owners)},
			Attributes: feedback.Attributes{"verified": feedback.BoolValue(c.IntN(3) > 0), "again": feedback.BoolValue(c.IntN(5) == 0), "campaign": feedback.StringValue(c.of(campaigns)),
				"plan": feedback.StringValue("basic")},
		},
		Labels: &feedback.Labels{Sentiment: &sentiment},
	}
	for range 1 + c.IntN(4) {
		path := feedback.ThemePath(c.likely(codebook))
		if !slices.ContainsFunc(ev.Labels.Themes, func(t feedback.Theme) bool { return t.Path == path }) {
			ev.Labels.Themes = append(ev.Labels.Themes, feedback.Theme{Path: path, Confidence: float64(c.IntN(100)) / 100, Sentiment: &sentiment})
		}
	}
	return ev
}

// bench are the conditions of a benchmark, with events.
type bench struct {
	conds   []*lang.Condition
	program *lang.Program
	events  []*feedback.Event
}

func newBench(tb testing.TB, scoped bool, n int) *bench {
	tb.Helper()
	b := &bench{}
	kinds := map[string]feedback.Kind{"verified": feedback.Bool, "again": feedback.Bool, "campaign": feedback.String, "plan": feedback.String}
	c := lang.NewCompiler(append(feedback.Fields(), feedback.AttributeFields(kinds, nil)...), time.UTC)
	for _, source := range (clerk{rand.New(rand.NewPCG(1, 2))}).rules(scoped, n) {
		b.conds = append(b.conds, c.Condition(source, func(p lang.Problem) { tb.Fatal(source, p) }))
	}
	b.program = c.Program()
	author := clerk{rand.New(rand.NewPCG(3, 4))}
	for range 512 {
		b.events = append(b.events, author.event())
	}
	return b
}

var (
	benchSizes = []int{10, 100, 1000, 10_000}
	benchKinds = map[bool]string{true: "scoped", false: "coarse"}
)

// BenchmarkIndex matches events against rules, and asks each rule on some of the same events. Run it with
//
//	go test -run '^$' -bench Index ./rules/internal/index
func BenchmarkIndex(b *testing.B) {
	for _, scoped := range []bool{true, false} {
		for _, n := range benchSizes {
			b.Run(fmt.Sprint(benchKinds[scoped], "/", n), func(b *testing.B) { newBench(b, scoped, n).run(b) })
		}
	}
}

// run times rounds of all events, so that the index finds the caches as it leaves them, and as many of asking all rules.
// Of each it tells the least.
func (t *bench) run(b *testing.B) {
	x := New(t.program, t.conds)
	s, f, plain := x.NewScratch(), t.program.NewFrame(), t.program.NewFrame()
	var out []int32
	index, loop := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
	matches, rounds := 0, 0
	few := t.events[:max(4, min(len(t.events), 100_000/len(t.conds)))]
	b.ReportAllocs()
	for b.Loop() {
		from := time.Now()
		for _, ev := range t.events {
			f.Reset(ev)
			out = x.Match(s, f, 0, out[:0])
			matches += len(out)
		}
		middle := time.Now()
		for _, ev := range few {
			plain.Reset(ev)
			for _, c := range t.conds {
				plain.Eval(c)
			}
		}
		index, loop = min(index, middle.Sub(from)), min(loop, time.Since(middle))
		rounds++
	}
	perEvent := float64(index.Nanoseconds()) / float64(len(t.events))
	b.ReportMetric(perEvent, "ns/event")
	b.ReportMetric(float64(loop.Nanoseconds())/float64(len(few))/perEvent, "loop/index")
	b.ReportMetric(float64(matches)/float64(rounds*len(t.events)), "matches/event")
}
