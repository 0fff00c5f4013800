package rules

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// TestDecisionsGolden evaluates and explains the events of each archive in testdata/decisions.
func TestDecisionsGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/decisions/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data", err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		set := compile(t, string(archive.Files[0].Data))
		out := &txtar.Archive{Comment: archive.Comment, Files: archive.Files[:1:1]}
		for _, f := range archive.Files[1:] {
			if !strings.HasSuffix(f.Name, ".json") {
				continue
			}
			out.Files = append(out.Files, f, txtar.File{Name: strings.TrimSuffix(f.Name, ".json") + ".out", Data: []byte(outcomeOf(t, set, f.Data))})
		}
		got := txtar.Format(out)
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		} else if string(got) != string(txtar.Format(archive)) {
			t.Errorf("%s differs; run with -update and look at the difference. Got\n%s", file, got)
		}
	}
}

func outcomeOf(t *testing.T, set *Set, data []byte) string {
	var ev feedback.Event
	if err := json.Unmarshal(data, &ev); err != nil {
		t.Fatal(err)
	}
	d, effects := evaluate(set, &ev, now, nil)
	var b strings.Builder
	b.WriteString(set.Explain(&ev, now, nil).String())
	for _, e := range effects {
		fmt.Fprintf(&b, "effect %s %s\n", e.Key(), without(t, e, "rule", "kind", "target"))
	}
	fmt.Fprintf(&b, "outputs %s\n", toJSON(t, d.Outputs))
	if len(d.Unknown) > 0 {
		fmt.Fprintf(&b, "unknown %v\n", d.Unknown)
	}
	for _, g := range d.Groups {
		for _, f := range g.Fired {
			for _, a := range f.Actions {
				if a.Note != "" {
					fmt.Fprintf(&b, "note %s %s: %s\n", f.Rule, a.Kind, a.Note)
				}
			}
		}
	}
	for _, c := range d.Relabels {
		c.By.Version = "(hash)"
		fmt.Fprintf(&b, "relabel %s\n", toJSON(t, c))
	}
	return b.String()
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func without(t *testing.T, v any, members ...string) string {
	m := map[string]any{}
	if err := json.Unmarshal([]byte(toJSON(t, v)), &m); err != nil {
		t.Fatal(err)
	}
	for _, k := range members {
		delete(m, k)
	}
	return toJSON(t, m)
}

func keys(effects []Effect) string {
	var out []string
	for _, e := range effects {
		out = append(out, e.Key())
	}
	return strings.Join(out, " ")
}

func TestFirstMatchEndsItsGroup(t *testing.T) {
	t.Parallel()
	set := compile(t, `
version: 1
groups:
  - name: first
    match: first
    rules:
      - {id: never, when: score > 8, do: [{tag: a}]}
      - {id: missing, when: customer.arr > 3, do: [{tag: b}]}
      - {id: shadowed, mode: shadow, when: score < 8, do: [{tag: c}]}
      - {id: switched-off, mode: off, when: score < 8, do: [{tag: d}]}
      - {id: hit, when: score < 8, do: [{tag: e}]}
      - {id: late, when: score < 8, do: [{tag: f}]}
      - {id: late-missing, when: customer.arr > 3, do: [{tag: g}]}
  - name: all
    rules:
      - {id: one, when: score < 8, do: [{tag: h}]}
      - {id: two, when: score < 8, do: [{tag: i}]}
`)
	d, effects := evaluate(set, detractor(), now, nil)
	if got := keys(effects); got != "hit|tag|e one|tag|h two|tag|i" {
		t.Error(got)
	}
	if got := fmt.Sprint(d.Unknown); got != "[missing]" {
		t.Error(got)
	}
	if got := d.Groups[0].Fired[0]; got.Rule != "shadowed" || got.Mode != Shadow || len(got.Actions) != 1 {
		t.Errorf("%+v", got)
	}
	if got := fmt.Sprint(d.Outputs.Tags); got != "[e h i]" {
		t.Error(got)
	}
	outcomes := ""
	for _, r := range set.Explain(detractor(), now, nil).Groups[0].Rules {
		outcomes += string(r.Outcome) + " "
	}
	if outcomes != "false unknown shadow off fired skipped skipped " {
		t.Error(outcomes)
	}
}

// Within a group no rule sees what another does; the next group does.
func TestGroupsAreFrozen(t *testing.T) {
	t.Parallel()
	set := compile(t, `
version: 1
groups:
  - name: one
    rules:
      - {id: a, when: '"shipping" in themes', do: [{relabel: {remove: [shipping], add: [packaging]}}]}
      - {id: b, when: '"shipping" in themes', do: [{relabel: {add: [damage], sentiment: -1}}]}
      - {id: c, when: '"packaging" in themes', do: [{tag: seen-too-early}]}
      - {id: d, mode: shadow, when: score < 8, do: [{relabel: {add: [shadowed]}}]}
  - name: two
    rules:
      - {id: e, when: '"packaging" in themes and "damage" in themes and "shipping" not in themes and sentiment == -1', do: [{tag: seen}]}
      - {id: f, when: '"shadowed" in themes', do: [{tag: shadow-acted}]}
      - {id: g, when: 'any(theme_scores, .name == "packaging" and .confidence == 1)', do: [{tag: sure}]}
`)
	ev := detractor()
	d, effects := evaluate(set, ev, now, nil)
	if got := keys(effects); got != "e|tag|seen g|tag|sure" {
		t.Error(got)
	}
	if len(d.Relabels) != 2 || d.Relabels[0].By != (feedback.Author{Layer: feedback.LayerRule, Name: "a", Version: set.Hash()}) || d.Relabels[0].At != now {
		t.Errorf("%+v", d.Relabels)
	}
	if len(ev.Labels.Themes) != 1 || ev.Labels.Themes[0].Path != "shipping/damage" || *ev.Labels.Sentiment != -0.6 {
		t.Errorf("the event was changed: %+v", ev.Labels)
	}
}

type corrected struct {
	NoView
	changes []feedback.Change
}

func (c corrected) Corrections() []feedback.Change { return c.changes }

func TestNoRuleOverridesAPerson(t *testing.T) {
	t.Parallel()
	set := compile(t, `
version: 1
groups:
  - name: one
    rules:
      - {id: a, when: score < 8, do: [{relabel: {add: [packaging], remove: [price], sentiment: -1}}]}
  - name: two
    rules:
      - {id: b, when: '"packaging" in themes', do: [{tag: overrode-removal}]}
      - {id: c, when: '"price" not in themes', do: [{tag: overrode-addition}]}
      - {id: d, when: 'sentiment < 0', do: [{tag: overrode-sentiment}]}
`)
	human := feedback.Change{By: feedback.Author{Layer: feedback.LayerHuman, Name: "eva"}, Remove: []feedback.ThemePath{"packaging"},
		Add: []feedback.Theme{{Path: "price"}}, Sentiment: new(0.5)}
	ev := detractor()
	ev.Labels = new(feedback.Fold([]feedback.Change{human}))
	if _, effects := evaluate(set, ev, now, corrected{changes: []feedback.Change{human}}); len(effects) != 0 {
		t.Error(keys(effects))
	}
	if _, effects := evaluate(set, ev, now, nil); len(effects) != 3 {
		t.Error("without corrections the rule layer counts", keys(effects))
	}
}

// An item that was not categorized stays so when a rule labels it: what is not known to be there is unknown.
func TestRelabelOfAnUncategorizedItem(t *testing.T) {
	t.Parallel()
	set := compile(t, `
version: 1
groups:
  - name: one
    rules: [{id: a, when: text contains "box", do: [{relabel: {add: [packaging]}}]}]
  - name: two
    rules:
      - {id: b, when: '"packaging" in themes', do: [{tag: x}]}
      - {id: c, when: '"price" not in themes', do: [{tag: y}]}
`)
	ev := detractor()
	ev.Labels = nil
	d, effects := evaluate(set, ev, now, nil)
	if keys(effects) != "b|tag|x" || fmt.Sprint(d.Unknown) != "[c]" {
		t.Error(keys(effects), d.Unknown)
	}
}

func TestOutputPolicies(t *testing.T) {
	t.Parallel()
	const groups = `
groups:
  - name: g
    rules:
      - {id: a, severity: info, when: score < 8, do: [{assign: {queue: care, priority: normal}}, {tag: [x, b]}]}
      - {id: b, severity: critical, when: score < 9, do: [{assign: {queue: product, owner: eva, priority: urgent}}, {tag: [a, x]}]}
      - {id: c, severity: warning, when: score < 7, do: [{assign: {queue: care, owner: eva, priority: low}}, {alert: {severity: info, summary: s}}]}
`
	for _, c := range []struct{ outputs, want, effects, errors string }{
		{"{}", `{"queue":"care","owner":"eva","priority":"urgent","severity":"critical","tags":["a","b","x"]}`,
			"a|assign|care a|tag|b,x b|assign| b|tag|a,x c|alert|", ""},
		{"{priority: first, severity: first, tags: first}", `{"queue":"care","owner":"eva","priority":"normal","severity":"info","tags":["b","x"]}`,
			"a|assign|care a|tag|b,x b|assign| b|tag|a,x c|alert|", ""},
		{"{queue: error, owner: error, priority: error, severity: error}", `{"queue":"care","owner":"eva","priority":"normal","severity":"info","tags":["a","b","x"]}`,
			"a|assign|care a|tag|b,x b|assign| b|tag|a,x c|alert|", "queue[a b] priority[a b c] severity[a b c]"},
	} {
		d, effects := evaluate(compile(t, "version: 1\noutputs: "+c.outputs+groups), detractor(), now, nil)
		var errs []string
		for _, e := range d.Errors {
			errs = append(errs, fmt.Sprint(e.Field, e.Rules))
		}
		if got := toJSON(t, d.Outputs); got != c.want {
			t.Errorf("%s: got %s, want %s", c.outputs, got, c.want)
		}
		if got := keys(effects); got != c.effects {
			t.Errorf("%s: got %s, want %s", c.outputs, got, c.effects)
		}
		if got := strings.Join(errs, " "); got != c.errors {
			t.Errorf("%s: got %s, want %s", c.outputs, got, c.errors)
		}
	}
}

func TestOneCaseToADecision(t *testing.T) {
	t.Parallel()
	set := compile(t, `
version: 1
groups:
  - name: g
    rules:
      - {id: a, when: score < 8, do: [{case: {sla: 4h}}]}
      - {id: b, when: score < 8, do: [{case: {sla: 8h, queue: care, owner: eva}}]}
`)
	d, effects := evaluate(set, detractor(), now, nil)
	if len(effects) != 1 || effects[0].Key() != "a|case|" || effects[0].Queue != "care" || effects[0].Owner != "eva" || effects[0].SLA.Hours() != 4 {
		t.Errorf("%+v", effects)
	}
	if a := d.Groups[0].Fired[1].Actions[0]; !a.Dropped || a.Note != "the case is opened by a" || a.Queue != "care" {
		t.Errorf("%+v", a)
	}
}

type after struct {
	NoView
	d *Decision
}

func (a after) Previous() *Decision { return a.d }

func TestGoneEffects(t *testing.T) {
	t.Parallel()
	set := compile(t, `
version: 1
groups:
  - name: g
    rules:
      - {id: a, when: score < 8, do: [{case: {sla: 4h}}, {assign: {queue: care}}, {relabel: {add: [x]}}]}
      - {id: b, when: score < 9, do: [{case: {}}, {tag: x}, {assign: {queue: product, owner: eva}}]}
      - {id: c, mode: shadow, when: score < 8, do: [{tag: y}]}
`)
	d, _ := evaluate(set, detractor(), now, nil)
	if d.Gone != nil {
		t.Error(d.Gone)
	}
	var stored Decision // as it comes back from the store
	if err := json.Unmarshal([]byte(toJSON(t, d)), &stored); err != nil {
		t.Fatal(err)
	}
	ev := detractor()
	ev.Item.Score = new(8.0)
	d, _ = evaluate(set, ev, now, after{d: &stored})
	if got := fmt.Sprint(d.Gone); got != "[a|case| a|assign|care b|assign|]" {
		t.Error(got)
	}
	if d, _ = evaluate(set, ev, now, after{}); d.Gone != nil {
		t.Error(d.Gone)
	}
}

func TestOnError(t *testing.T) {
	t.Parallel()
	set := compile(t, `
version: 1
groups:
  - name: g
    rules:
      - {id: a, on_error: match, when: customer.arr > 3, do: [{tag: x}]}
      - {id: b, on_error: skip, when: customer.arr > 3, do: [{tag: y}]}
      - {id: c, on_error: match, when: score > 9, do: [{tag: z}]}
`)
	d, effects := evaluate(set, detractor(), now, nil)
	if keys(effects) != "a|tag|x" || fmt.Sprint(d.Unknown) != "[b]" || !d.Groups[0].Fired[0].Assumed || d.Groups[0].Fired[0].Atoms[0].Truth != Unknown {
		t.Errorf("%s %+v", keys(effects), d)
	}
}
