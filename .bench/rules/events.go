package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// event is one piece of feedback with every field given, and the environment of the naive loop: its names are those that
// rules use.
type event struct {
	Survey      string     `expr:"survey"`
	Channel     string     `expr:"channel"`
	Score       int        `expr:"score"`
	Text        string     `expr:"text"`
	WordCount   int        `expr:"word_count"`
	Sentiment   float64    `expr:"sentiment"`
	Themes      []string   `expr:"themes"`
	ThemeScores []theme    `expr:"theme_scores"`
	Touchpoint  string     `expr:"touchpoint"`
	Product     string     `expr:"product"`
	Stage       string     `expr:"stage"`
	Location    string     `expr:"location"`
	Contactable bool       `expr:"contactable"`
	Customer    customer   `expr:"customer"`
	Attributes  attributes `expr:"attributes"`
}

type theme struct {
	Name       string  `expr:"name"`
	Confidence float64 `expr:"confidence"`
	Sentiment  float64 `expr:"sentiment"`
}

type customer struct {
	ID         string `expr:"id"`
	Segment    string `expr:"segment"`
	Tier       string `expr:"tier"`
	ARR        int    `expr:"arr"`
	TenureDays int    `expr:"tenure_days"`
	Region     string `expr:"region"`
	Country    string `expr:"country"`
	Language   string `expr:"language"`
	Owner      string `expr:"owner"`
}

// attributes are the fields that a program declares itself.
type attributes struct {
	Campaign string `expr:"campaign"`
	Plan     string `expr:"plan"`
	Verified bool   `expr:"verified"`
	Repeated bool   `expr:"repeated"`
}

// world is the values that events have and rules ask for.
type world struct {
	surveys, channels, segments, tiers, regions, countries, languages, stages, touchpoints, products, themes []string
	locations, campaigns, owners, plans, words, telling                                                      []string
}

func newWorld() *world {
	w := &world{
		surveys:   strings.Fields("nps csat ces stars mood"),
		channels:  strings.Fields("email sms web app social ticket call kiosk"),
		segments:  strings.Fields("enterprise midmarket smb consumer"),
		tiers:     strings.Fields("platinum gold silver bronze none"),
		regions:   strings.Fields("europe north-america latin-america asia africa oceania"),
		languages: strings.Fields("en de fr es pt it nl pl ja ko zh ar"),
		stages:    strings.Fields("onboarding active renewal at-risk churned won-back"),
		plans:     strings.Fields("trial basic pro team"),
		countries: numbered("country", 60), products: numbered("product", 25), locations: numbered("store", 5000),
		campaigns: numbered("campaign", 2000), owners: numbered("owner", 500),
		words: strings.Fields(`a about again agent always amazing and app asked back better bill bought box broken call cancel
			card change checkout colleague complaint confusing courier crash damaged days delay delivery desk easy email
			escalate excellent expensive failed family fast fee fine friendly good happy help hour i in invoice is it kind
			late lawyer like line login long love menu money month my never new nobody of on order over package paid
			password phone please price problem promised quality queue quick recommend refund return room sad search
			service shop size slow sorry staff still store support switch team thanks the they this to twice
			unacceptable urgent wait was we website week when will with wrong you`),
		telling: strings.Fields(`broken cancel complaint confusing crash damaged escalate expensive failed lawyer password
			queue refund slow switch twice unacceptable urgent wait wrong`),
	}
	for _, place := range strings.Fields("checkout support delivery onboarding app store billing returns") {
		for _, step := range strings.Fields("start form confirm chat end") {
			w.touchpoints = append(w.touchpoints, place+"/"+step)
		}
	}
	for _, topic := range strings.Fields(`shipping packaging price quality staff billing login crash speed refund returns
		checkout search delivery onboarding documents support waiting cleanliness stock`) {
		w.themes = append(w.themes, topic, topic+"-cost", topic+"-delay")
	}
	return w
}

func numbered(name string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s-%04d", name, i)
	}
	return out
}

func pick(random *rand.Rand, from []string) string { return from[random.IntN(len(from))] }

// often picks the first values more often than the last, as feedback does.
func often(random *rand.Rand, from []string) string {
	x := random.Float64()
	return from[int(x*x*float64(len(from)))]
}

// events returns n events, the same for the same seed.
func (w *world) events(seed uint64, n int) []event {
	random := rand.New(rand.NewPCG(seed, 1))
	out := make([]event, n)
	for i := range out {
		out[i] = w.event(random, i)
	}
	return out
}

func (w *world) event(random *rand.Rand, i int) event {
	e := event{
		Survey: often(random, w.surveys), Channel: often(random, w.channels), Score: random.IntN(11),
		Sentiment: float64(random.IntN(2001)-1000) / 1000, Touchpoint: pick(random, w.touchpoints),
		Product: often(random, w.products), Stage: often(random, w.stages), Location: pick(random, w.locations),
		Contactable: random.IntN(4) > 0, WordCount: 8 + random.IntN(40),
		Customer: customer{
			ID: fmt.Sprint("customer-", i), Segment: often(random, w.segments), Tier: often(random, w.tiers),
			ARR: 1000 * random.IntN(500), TenureDays: random.IntN(3000), Region: often(random, w.regions),
			Country: often(random, w.countries), Language: often(random, w.languages), Owner: pick(random, w.owners),
		},
		Attributes: attributes{
			Campaign: pick(random, w.campaigns), Plan: pick(random, w.plans),
			Verified: random.IntN(3) > 0, Repeated: random.IntN(5) == 0,
		},
	}
	words := make([]string, e.WordCount)
	for j := range words {
		words[j] = pick(random, w.words)
	}
	e.Text = strings.Join(words, " ")
	for range 1 + random.IntN(4) {
		name := often(random, w.themes)
		if !slices.Contains(e.Themes, name) {
			e.Themes = append(e.Themes, name)
			e.ThemeScores = append(e.ThemeScores, theme{name, float64(random.IntN(100)) / 100, e.Sentiment})
		}
	}
	return e
}
