package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
)

func TestFilesShareListsMacrosAndNames(t *testing.T) {
	t.Parallel()
	files := []File{
		{Name: "a.yaml", Data: []byte("version: 1\nlists: {tiers: [gold]}\nmacros: {low: score <= 6}\n")},
		{Name: "b.yaml", Data: []byte("version: 1\nmacros: {vip: customer.tier in lists.tiers}\ngroups: [{name: g, rules: [{id: r, when: low and vip, do: [{tag: x}]}]}]\n")},
		{Name: "c.yaml", Data: []byte("version: 1\ngroups: [{name: h, match: first, rules: [{id: s, description: all, severity: info, mode: shadow, when: true, do: [{tag: y}, {case: {}}]}]}]\n")},
	}
	set, err := Compile(files, env())
	if err != nil {
		t.Fatal(err)
	}
	if _, effects := evaluate(set, detractor(), now, nil); keys(effects) != "r|tag|x" {
		t.Error(keys(effects))
	}
	want := []RuleInfo{
		{ID: "r", Group: "g", File: "b.yaml", Line: 3, Mode: On, When: "low and vip", Actions: []EffectKind{Tag}},
		{ID: "s", Group: "h", File: "c.yaml", Line: 2, Description: "all", Severity: Info, Mode: Shadow, When: "true", Actions: []EffectKind{Tag, Case}},
	}
	if got := set.Rules(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	files[2] = File{Name: "c.yaml", Data: []byte("version: 1\nmacros: {low: score < 3}\noutputs: {queue: first}\ngroups: [{name: g, rules: [{id: r, when: scroe > 3, do: [{tag: y}]}]}]\n")}
	files[0].Data = append(files[0].Data, []byte("outputs: {queue: error}\n")...)
	got := problemsOf(t, files...).Error()
	want2 := `c.yaml:2:10: found the macro low again, it stands at a.yaml:3:10 already
c.yaml:3:11: found the policy of queue again, it stands at a.yaml:4:11 already
c.yaml:4:17: found the group g again, it stands at b.yaml:3:17 already
c.yaml:4:33: found the rule r again, it stands at b.yaml:3:33 already
c.yaml:4:42: unknown field "scroe" (did you mean "score"?)`
	if got != want2 {
		t.Errorf("got\n%s", got)
	}
}

func TestEmptySet(t *testing.T) {
	t.Parallel()
	for _, files := range [][]File{nil, {{Name: "a.yaml", Data: []byte("version: 1\n")}}} {
		set, err := Compile(files, Env{})
		if err != nil {
			t.Fatal(err)
		}
		d, effects := evaluate(set, detractor(), now, nil)
		if effects != nil || !reflect.DeepEqual(d, &Decision{Ruleset: set.Hash(), At: now, ItemVersion: 7}) {
			t.Errorf("%+v", d)
		}
		if x := set.Explain(detractor(), now, nil); x.String() != "" || toJSON(t, x.Groups) != "[]" {
			t.Errorf("%+v", x)
		}
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	text := one("score <= 6", "{tag: x}")
	hash := func(name, text string, change func(*Env)) string {
		e := env()
		if change != nil {
			change(&e)
		}
		set, err := Compile([]File{{Name: name, Data: []byte(text)}}, e)
		if err != nil {
			t.Fatal(err)
		}
		return set.Hash()
	}
	first := hash("a", text, nil)
	if len(first) != len("sha256:")+64 || first != hash("a", text, nil) {
		t.Error(first)
	}
	if first != "sha256:8544dcf50835e5a5e401489db983affefc02a9c12dfb87ab0cba61c04b084034" {
		t.Errorf("the hash of an unchanged set is now %s: decisions of the past would not find their rules", first)
	}
	for what, other := range map[string]string{
		"name": hash("b", text, nil), "text": hash("a", text+"\n", nil),
		"attribute": hash("a", text, func(e *Env) { e.Attributes["coupon"] = feedback.Bool }),
		"customer":  hash("a", text, func(e *Env) { e.CustomerAttributes["coupon"] = feedback.String }),
		"zone":      hash("a", text, func(e *Env) { e.Timezone = time.FixedZone("x", 3600) }),
	} {
		if other == first {
			t.Errorf("the hash does not depend on the %s", what)
		}
	}
	same := func(e *Env) { e.Queues, e.Destinations, e.Timezone = nil, nil, time.UTC }
	if hash("a", text, same) != first {
		t.Error("the hash depends on what changes no decision")
	}
}

func TestDatesAreDaysOfTheProgramsZone(t *testing.T) {
	t.Parallel()
	for offset, want := range map[int]bool{0: true, 14: true, -12: true, -13: false} {
		e := env()
		e.Timezone = time.FixedZone("x", offset*3600)
		set, err := Compile([]File{{Name: "a", Data: []byte(one(`occurred_at >= date("2026-03-01")`, "{tag: x}"))}}, e)
		if err != nil {
			t.Fatal(err)
		}
		ev := detractor()
		ev.Item.OccurredAt = now // noon of that day in UTC
		if _, effects := evaluate(set, ev, now, nil); (len(effects) > 0) != want {
			t.Errorf("%d hours: got %s", offset, keys(effects))
		}
	}
}

// randomSet writes a random rule file that is free of problems.
func randomSet(r *rand.Rand) string {
	conditions := []string{
		"score <= 6", "score > 6", "nps <= 6", "csat < 3", "customer.arr > 100", `customer.tier == "gold"`, `text contains "box"`, `text matches "(?i)box|late"`,
		`"packaging" in themes`, `"shipping" in themes`, `any(theme_scores, .confidence > 0.5)`, `all(theme_scores, .sentiment < 0)`, "sentiment < 0", "contactable", "true",
		"not (score in 0..6)", "has(customer.arr)", "(customer.arr ?? 5) > 3", "low", "vip", "attributes.order_value > 100",
	}
	actions := []string{
		"{assign: {queue: care, priority: high}}", "{assign: {queue: product, owner: eva}}", "{case: {sla: 48h}}", "{case: {queue: vip}}", "{tag: [a, b]}", "{tag: [b, c]}",
		`{alert: {severity: critical, summary: "{text} {score}", key: [touchpoint]}}`, `{notify: {destination: exec, message: "{customer.arr}"}}`,
		"{relabel: {add: [packaging], remove: [shipping]}}", "{relabel: {remove: [packaging]}}", "{relabel: {add: [shipping/late], sentiment: -1}}",
	}
	var b strings.Builder
	b.WriteString("version: 1\nmacros: {low: score <= 5, vip: customer.tier == \"gold\" or customer.arr > 3}\ngroups:\n")
	id := 0
	for g := range 1 + r.IntN(4) {
		fmt.Fprintf(&b, "  - name: g%d\n    match: %s\n    rules:\n", g, []string{"all", "first"}[r.IntN(2)])
		for range 1 + r.IntN(5) {
			when := conditions[r.IntN(len(conditions))]
			for range r.IntN(3) {
				when = "(" + when + []string{") and (", ") or (", ") and not ("}[r.IntN(3)] + conditions[r.IntN(len(conditions))] + ")"
			}
			fmt.Fprintf(&b, "      - id: r%d\n        mode: %s\n        on_error: %s\n        when: |\n          %s\n        do: [%s]\n", id,
				[]string{"on", "on", "on", "shadow", "off"}[r.IntN(5)], []string{"skip", "skip", "match"}[r.IntN(3)], when, actions[r.IntN(len(actions))])
			id++
		}
	}
	return b.String()
}

func randomEvent(r *rand.Rand) *feedback.Event {
	ev := detractor()
	ev.Item.Score = new(float64(r.IntN(11)))
	if r.IntN(3) == 0 {
		ev.Item.Customer.ARR = new(float64(r.IntN(200)))
	}
	if r.IntN(4) == 0 {
		ev.Item.Score, ev.Item.Contactable = nil, nil
	}
	ev.Item.Text = []string{"The BOX", "late", "", "größe box"}[r.IntN(4)]
	switch r.IntN(4) {
	case 0:
		ev.Labels = nil
	case 1:
		ev.Labels.Themes = append(ev.Labels.Themes, feedback.Theme{Path: "packaging/opening", Confidence: 0.3, Sentiment: new(-1.0)})
	case 2:
		ev.Labels = &feedback.Labels{}
	}
	return ev
}

// Evaluation is pure: the same arguments give the same JSON, the event stays as it was, and many goroutines may do it
// at once. Explain agrees with it.
func TestEvaluationIsPure(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(11, 12))
	fired := 0
	for range 150 {
		text := randomSet(r)
		set, again := compile(t, text), compile(t, text)
		events := make([]*feedback.Event, 12)
		want := make([]string, len(events))
		for i := range events {
			events[i] = randomEvent(r)
			before := toJSON(t, events[i])
			d, effects := evaluate(set, events[i], now, nil)
			want[i] = toJSON(t, d) + toJSON(t, effects)
			if toJSON(t, events[i]) != before {
				t.Fatalf("the event was changed by\n%s", text)
			}
			fired += len(effects)
			agrees(t, text, d, set.Explain(events[i], now, nil))
		}
		var wg sync.WaitGroup
		for _, s := range []*Set{set, set, again} {
			wg.Go(func() {
				for i := range events {
					d, effects := evaluate(s, events[i], now, nil)
					if got := toJSON(t, d) + toJSON(t, effects); got != want[i] {
						t.Errorf("got\n%s\nwant\n%s\nwith\n%s", got, want[i], text)
					}
				}
			})
		}
		wg.Wait()
	}
	if fired < 500 {
		t.Errorf("only %d effects: the rules decide nothing", fired)
	}
}

func agrees(t *testing.T, text string, d *Decision, x *Explanation) {
	t.Helper()
	got, want := map[string]Outcome{}, map[string]Outcome{}
	for _, g := range x.Groups {
		for _, r := range g.Rules {
			if r.Outcome == OutcomeFired || r.Outcome == OutcomeShadow || r.Outcome == OutcomeUnknown {
				got[r.Rule] = r.Outcome
			}
		}
	}
	for _, g := range d.Groups {
		for _, f := range g.Fired {
			want[f.Rule] = OutcomeFired
			if f.Mode == Shadow {
				want[f.Rule] = OutcomeShadow
			}
		}
	}
	for _, id := range d.Unknown {
		want[id] = OutcomeUnknown
	}
	if !maps.Equal(got, want) {
		t.Fatalf("explained %v, decided %v\n%s", got, want, text)
	}
}

// What a decision holds belongs to its reader: changing it changes no later one.
func TestDecisionsShareNothingWithTheSet(t *testing.T) {
	t.Parallel()
	set := compile(t, one("score < 8", "{tag: [a, b]}, {relabel: {add: [x], remove: [y], sentiment: 0.5}}, {case: {}}"))
	first, effects := evaluate(set, detractor(), now, nil)
	want := toJSON(t, first)
	for i := range effects {
		for j := range effects[i].Tags {
			effects[i].Tags[j] = "changed"
		}
	}
	for i := range first.Relabels {
		first.Relabels[i].Add[0].Path, first.Relabels[i].Remove[0] = "changed", "changed"
		*first.Relabels[i].Sentiment = -1
	}
	second, _ := evaluate(set, detractor(), now, nil)
	if got := toJSON(t, second); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDecisionSurvivesJSON(t *testing.T) {
	t.Parallel()
	set := compile(t, one("score < 8 and has(themes) and contactable and (customer.arr ?? 3) < 5", "{tag: a}"))
	d, _ := evaluate(set, detractor(), now, nil)
	first := toJSON(t, d)
	var back Decision
	if err := json.Unmarshal([]byte(first), &back); err != nil {
		t.Fatal(err)
	}
	if got := toJSON(t, back); got != first {
		t.Errorf("got %s, want %s", got, first)
	}
}

func TestNothingMatchesAllocatesNothing(t *testing.T) {
	if raced {
		t.Skip("allocations are not counted under the race detector")
	}
	set := compile(t, benchmarkSet(100, false))
	ev := detractor()
	set.Evaluate(ev, now, nil)
	if n := testing.AllocsPerRun(200, func() { set.Evaluate(ev, now, nil) }); n > 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func TestManyRules(t *testing.T) {
	t.Parallel()
	set := compile(t, benchmarkSet(1000, true))
	d, _ := evaluate(set, detractor(), now, nil)
	if len(set.Rules()) != 1000 || len(d.Groups) != 1 {
		t.Error(len(set.Rules()), len(d.Groups))
	}
}

func TestCostOfASetIsBounded(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("version: 1\ngroups:\n  - name: g\n    rules:\n")
	for i := range 400 {
		fmt.Fprintf(&b, "      - {id: r%d, when: 'text matches \"(x%d){120}\"', do: [{tag: x}]}\n", i, i)
	}
	if got := problemsOf(t, File{Name: "a.yaml", Data: []byte(b.String())}); len(got) != 1 || got[0].Code != "too_costly" {
		t.Errorf("%v", got)
	}
}

// A macro that repeats much in many rules is refused before the rules take all memory.
func TestLargeMacrosInManyRules(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("version: 1\nmacros:\n  m0: score > 3 or sentiment > 0.5\n")
	for i := range 13 {
		fmt.Fprintf(&b, "  m%d: m%d and not m%d\n", i+1, i, i)
	}
	b.WriteString("groups:\n  - name: g\n    rules:\n")
	for i := range 200 {
		fmt.Fprintf(&b, "      - {id: r%d, when: 'm13 or score > %d', do: [{tag: x}]}\n", i, i)
	}
	if got := problemsOf(t, File{Name: "a.yaml", Data: []byte(b.String())}); len(got) != 1 || got[0].Code != "too_costly" {
		t.Errorf("%v", got)
	}
}

// benchmarkSet writes n different rules. With hits every tenth fires on a detractor.
func benchmarkSet(n int, hits bool) string {
	conditions := []string{
		`score <= 6 && customer.segment == "segment-%d"`, `"theme-%d" in themes`, `any(theme_scores, .name == "theme-%d" && .confidence > 0.8)`,
		`text matches "(?i)refund%d|cancel"`, `text contains "cancel%[1]d"`, `customer.tier in ["t%d", "platinum"] && attributes.order_value > 100`,
		`channel == "channel-%d" && score > 8`, `sentiment < -0.9 && word_count > %d`, `touchpoint startsWith "app-%d/"`, `(score > 8 && product == "p%d") || sentiment > 0.5`,
	}
	var b strings.Builder
	b.WriteString("version: 1\ngroups:\n  - name: g\n    rules:\n")
	for i := range n {
		when := fmt.Sprintf(conditions[i%len(conditions)], i)
		if hits && i%10 == 0 {
			when = fmt.Sprintf("score <= 6 && word_count < %d", 1000+i)
		}
		fmt.Fprintf(&b, "      - id: r%d\n        when: |\n          %s\n        do: [{tag: t%d}]\n", i, when, i)
	}
	return b.String()
}

// BenchmarkEvaluate decides on one event with 100 rules of which none or ten fire. Run it with
//
//	go test -run '^$' -bench . ./rules
func BenchmarkEvaluate(b *testing.B) {
	for _, hits := range []bool{false, true} {
		b.Run(map[bool]string{false: "none", true: "ten"}[hits], func(b *testing.B) {
			set := compile(b, benchmarkSet(100, hits))
			ev := detractor()
			ev.Item.Text = "the parcel arrived three days late and nobody at the support desk knew where it had been in the meantime"
			ev.Item.Channel = "email"
			b.ReportAllocs()
			for b.Loop() {
				set.Evaluate(ev, now, nil)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/rule")
		})
	}
}

// BenchmarkCompile compiles 1,000 rules.
func BenchmarkCompile(b *testing.B) {
	text := benchmarkSet(1000, true)
	for b.Loop() {
		compile(b, text)
	}
}

func FuzzCompile(f *testing.F) {
	r := rand.New(rand.NewPCG(13, 14))
	for range 4 {
		f.Add([]byte(randomSet(r)), 3.0, "the BOX was late", "packaging/opening", 0.5)
	}
	f.Add([]byte(tableFile), 3.0, "the box", "shipping/late", 0.5)
	f.Add([]byte(strings.Replace(tableFile, "in: {product", "hit: unique\n    in: {product", 1)), 3.0, "kettle", "iron", 0.5)
	f.Add([]byte(paramFile), 3.0, "the Box", "packaging", 0.5)
	f.Add([]byte(one("not (a.b ?? [1])", "{assign: {queue: x}}")), 0.0, "", "", 0.0)
	f.Fuzz(func(t *testing.T, data []byte, score float64, text, theme string, sentiment float64) {
		set, err := Compile([]File{{Name: "f.yaml", Data: data}}, env())
		if err != nil {
			if set != nil {
				t.Fatal("a set beside an error")
			}
			return
		}
		set.tableFindings()
		for _, labels := range []*feedback.Labels{nil, {}, {Sentiment: &sentiment, Themes: []feedback.Theme{{Path: feedback.ThemePath(theme), Confidence: score, Sentiment: &sentiment}}}} {
			ev := &feedback.Event{Item: &feedback.Item{Survey: "nps", Score: &score, Text: text, Title: theme}, Labels: labels}
			d, effects := evaluate(set, ev, now, after{d: &Decision{}})
			x := set.Explain(ev, now, nil)
			agrees(t, string(data), d, x)
			again, _ := evaluate(set, ev, now, after{d: &Decision{}})
			first, err := json.Marshal(d)
			second, err2 := json.Marshal(again)
			if err != nil || err2 != nil || !bytes.Equal(first, second) {
				t.Fatalf("%s %v, then %s %v", first, err, second, err2)
			}
			if x.String() == "" && len(set.Rules()) > 0 || slices.ContainsFunc(effects, func(e Effect) bool { return e.Kind == Relabel }) {
				t.Fatal("no explanation, or a relabel among the effects")
			}
		}
	})
}
