package engine_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// TestExplanationsOfThePastAreThePasts explains items when they were decided on, and again after the windows have moved
// on: what the decisions saw stays.
func TestExplanationsOfThePastAreThePasts(t *testing.T) {
	t.Parallel()
	c := &watch{}
	at := feedback.TimeOf(hour0)
	c.set(at)
	e := open(t, writeProgram(t, historyProgram), &parts{}, func(o *engine.Options) { o.Now = c.now })
	r := rand.New(rand.NewPCG(1, 1))
	then := map[feedback.ItemID]string{}
	explain := func(id feedback.ItemID) (string, *engine.Explanation) {
		t.Helper()
		x, err := e.Explain(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return figures(x), x
	}
	saw := 0
	for i := range 120 {
		at = at.Add(20 * time.Minute)
		c.set(at)
		report, err := e.Ingest(t.Context(), "app", story(r, i, at))
		if err != nil {
			t.Fatal(err)
		}
		id := report.Rows[0].ID
		text, x := explain(id)
		then[id] = text
		if strings.Contains(text, "bad-touchpoint fired") {
			saw++
		}
		for _, g := range x.Rules.Groups {
			for _, r := range g.Rules {
				if r.Outcome == rules.OutcomeFalse && len(r.Needs) == 0 {
					t.Errorf("%s did not fire, and nothing is said of what it needs", r.Rule)
				}
			}
		}
	}
	if saw == 0 {
		t.Error("no decision depended on a window")
	}
	c.set(at.Add(90 * 24 * time.Hour)) // by now every window is empty
	if _, err := e.Ingest(t.Context(), "app", story(r, 1000, at.Add(90*24*time.Hour))); err != nil {
		t.Fatal(err)
	}
	for id, was := range then {
		if is, _ := explain(id); is != was {
			t.Fatalf("%s was explained as\n%s\nand is by now\n%s", id, was, is)
		}
	}
}

// figures writes down of every rule its outcome, and what it saw of windows where a decision asked for them.
func figures(x *engine.Explanation) string {
	var b strings.Builder
	read := map[string]bool{}
	for _, r := range x.Decision.Readings {
		read[r.Name+r.Each] = true
	}
	var walk func(each string, t *rules.Term)
	walk = func(each string, t *rules.Term) {
		for _, s := range t.Seen {
			if strings.HasPrefix(s.Field, "win.") && read[s.Field+each] {
				b.WriteString(" " + s.String() + " is " + string(t.Truth))
			}
		}
		for _, k := range t.Terms {
			walk(each, k)
		}
	}
	for _, g := range x.Rules.Groups {
		for _, r := range g.Rules {
			b.WriteString(r.Rule + " " + r.Each + string(r.Outcome))
			if r.Outcome == rules.OutcomeFired {
				b.WriteString(": " + r.Why)
			}
			walk(r.Each, r.When)
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// TestExplanationAsksWindowsNow has the windows tell what no decision had asked them.
func TestExplanationAsksWindowsNow(t *testing.T) {
	t.Parallel()
	e, _ := remembered(t, 2, 60)
	items, err := e.Items(t.Context(), engine.ItemQuery{Limit: 60})
	if err != nil {
		t.Fatal(err)
	}
	known := 0
	for _, it := range items {
		x, err := e.Explain(t.Context(), it.ID)
		if err != nil || x.Active != e.Rules().Hash() {
			t.Fatalf("%v, active %s", err, x.Active)
		}
		for _, g := range x.Rules.Groups {
			for _, r := range g.Rules {
				if r.Rule == "spiking" && len(r.When.Terms) > 0 && r.When.Terms[0].Truth != rules.Unknown {
					known++
				}
			}
		}
	}
	if known == 0 {
		t.Error("an alert over time was never shown with what its windows tell")
	}
}

func TestExplanationSaysThatOthersDecideByNow(t *testing.T) {
	t.Parallel()
	dir := writeProgram(t, programFiles)
	e := open(t, dir, &parts{})
	report, err := e.Ingest(t.Context(), "app", answer("1", 3, "late"))
	if err != nil {
		t.Fatal(err)
	}
	before, err := e.Explain(t.Context(), report.Rows[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	closeEngine(t, e)
	path := filepath.Join(dir, "rules", "route.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), "nps <= 6", "nps <= 5", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	e = open(t, dir, &parts{})
	after, err := e.Explain(t.Context(), report.Rows[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	if after.Active == before.Active || after.Decision.Ruleset != before.Active || !reflect.DeepEqual(after.Rules, before.Rules) {
		t.Errorf("before: active %s; after: active %s, decided by %s", before.Active, after.Active, after.Decision.Ruleset)
	}
	// Which items that would have changed, by hash and against the set that decides.
	d, err := e.Diff(t.Context(), engine.DiffOptions{Old: engine.RulesRef{Hash: before.Active}}, nil)
	if err != nil || d.New.Name != "active" || d.New.Ruleset != after.Active || len(d.Files) != 1 {
		t.Errorf("%+v, %v", d, err)
	}
}
