package rules

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/rules/internal/campaign"
	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// claims are what lint says of a set, to be held against events.
type claims struct {
	never  map[string]string // rules that never fire, with the code that says so
	always map[string]bool
	pairs  [][2]*rule // rules whose conditions are the same
	byID   map[string]*rule
}

func claimsOf(s *Set, findings []Finding) *claims {
	c := &claims{never: map[string]string{}, always: map[string]bool{}, byID: map[string]*rule{}}
	for i := range s.groups {
		for j := range s.groups[i].rules {
			c.byID[s.groups[i].rules[j].info.ID] = &s.groups[i].rules[j]
		}
	}
	for _, f := range findings {
		switch f.Code {
		case "contradiction", "shadowed":
			c.never[f.Rule] = f.Code
		case "always":
			c.always[f.Rule] = true
		case "duplicate":
			c.pairs = append(c.pairs, [2]*rule{c.byID[f.Rule], c.byID[f.Other]})
		}
	}
	return c
}

// hold holds the claims against what is decided on one event.
func (c *claims) hold(tb testing.TB, s *Set, ev *feedback.Event, v stating) (fired int) {
	r := s.Evaluate(ev, now, v)
	d := &r.Decision
	for _, g := range d.Groups {
		for _, f := range g.Fired {
			fired++
			if code, ok := c.never[f.Rule]; ok {
				tb.Fatalf("%s: the rule %s fires for %s", code, f.Rule, told(ev))
			}
		}
	}
	for _, f := range d.Suppressed {
		if code, ok := c.never[f.Rule]; ok {
			tb.Fatalf("%s: the rule %s matches %s", code, f.Rule, told(ev))
		}
	}
	e := s.evaluation(ev, now, v)
	defer s.release(e)
	for theme := -1; theme < min(len(e.frame.Labels().Themes), 3); theme++ {
		if theme >= 0 {
			e.turnTo(string(e.frame.Labels().Themes[theme].Path))
		}
		for _, p := range c.pairs {
			if a, b := p[0].fires(e.frame.Eval(p[0].when)), p[1].fires(e.frame.Eval(p[1].when)); a != b {
				tb.Fatalf("duplicate: %s is %v and %s is %v for %s", p[0].info.ID, a, p[1].info.ID, b, told(ev))
			}
		}
		for id := range c.always {
			if r := c.byID[id]; !r.fires(e.frame.Eval(r.when)) && (r.info.Each == "" || theme >= 0) {
				tb.Fatalf("always: %s is %v for %s", id, e.frame.Eval(r.when), told(ev))
			}
		}
		for id, code := range c.never {
			if r := c.byID[id]; code == "contradiction" && r.fires(e.frame.Eval(r.when)) && (r.info.Each != lang.Theme || theme >= 0) {
				tb.Fatalf("contradiction: %s is %v for %s", id, e.frame.Eval(r.when), told(ev))
			}
		}
	}
	return fired
}

// TestLintIsRightOnRandomEvents holds what lint says of random sets against 3,000 random events each: what it calls
// contradictory or shadowed never fires, what it calls a duplicate never differs, and what it says always holds does.
func TestLintIsRightOnRandomEvents(t *testing.T) {
	t.Parallel()
	c := choices(t)
	codes := map[string]int{}
	fired := 0
	shows := func() bool {
		return codes["contradiction"] > 0 && codes["shadowed"] > 0 && codes["duplicate"] > 0 && codes["always"] > 0
	}
	for n := 0; n < campaign.Rounds(t, 6, 4000) || !shows() && n < 200; n++ {
		text := c.set()
		set, err := Compile([]File{{Name: "test.yaml", Data: []byte(text)}}, env())
		if err != nil && strings.Contains(err.Error(), "have the same condition") {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		findings := set.Lint()
		for _, f := range findings {
			codes[f.Code]++
		}
		claims := claimsOf(set, findings)
		for range 3000 {
			ev, v := c.event()
			c.tell(set, v)
			func() {
				defer func() {
					if t.Failed() {
						t.Log(text)
					}
				}()
				fired += claims.hold(t, set, ev, v)
			}()
		}
	}
	t.Logf("%v, %d rules fired", codes, fired)
	if !shows() {
		t.Error("some kind of finding is missing: the test shows little")
	}
}

// FuzzLint holds what lint says of a random set, with two rules more on a condition of any kind, against events.
func FuzzLint(f *testing.F) {
	for i, when := range []string{
		`score <= 3 and not (score <= 6)`, `"price/high" in themes and "price" not in themes`, `nps <= 6 or survey != "nps"`,
		`text matches "(?i)box" and text not contains "box"`, `(contactable ?? false) == has(contactable)`, `win.nps7.value < 0`,
	} {
		f.Add(uint64(i), when)
	}
	f.Fuzz(func(t *testing.T, seed uint64, when string) {
		c := careless{Rand: rand.New(rand.NewPCG(seed, 1))}
		text := c.set() + "  - name: more\n    match: " + c.of("all", "first") + "\n    rules:\n"
		for i, w := range []string{when, c.variation(when, false)} {
			text += fmt.Sprintf("      - {id: more-%d, when: %q, on_error: %s, do: [{tag: c}]}\n", i, w, c.of("skip", "match"))
		}
		set, err := Compile([]File{{Name: "test.yaml", Data: []byte(text)}}, env())
		if err != nil {
			t.Skip()
		}
		claims := claimsOf(set, set.Lint())
		for range 100 {
			ev, v := c.event()
			c.tell(set, v)
			claims.hold(t, set, ev, v)
		}
	})
}
