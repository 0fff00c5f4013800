package rules

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

const paramFile = `version: 1
params:
  queue: {type: queue, default: care, description: who takes care}
  to: {type: destination, default: ""}
  limit: {type: number, default: 6}
  sla: {type: duration, default: 48h}
  tiers: {type: list, default: [gold]}
  words: {type: string, default: Box|packag}
  open: {type: boolean, default: true}
  owner: {type: string, default: ""}
  tags: {type: list, default: [late, "${queue}"]}
macros:
  limited: score <= params.limit
groups:
  - name: g
    rules:
      - id: r
        when: limited and customer.tier in params.tiers and text matches params.words and params.open
        do:
          - assign: {queue: "${queue}", owner: "${owner}"}
          - case: {sla: "${sla}"}
          - tag: ${tags}
          - notify: {destination: "${to}", message: "${limit} in ${queue}"}
`

func TestParams(t *testing.T) {
	t.Parallel()
	file := func(params map[string]any) File { return File{Name: "p.yaml", Data: []byte(paramFile), Params: params} }
	run := func(f File) (string, *Decision) {
		t.Helper()
		set, err := Compile([]File{f}, env())
		if err != nil {
			t.Fatal(err)
		}
		d, effects := evaluate(set, detractor(), now, nil)
		var out []string
		for _, x := range effects {
			out = append(out, x.Key()+" "+x.Owner+" "+x.SLA.String())
		}
		return strings.Join(out, "; "), d
	}
	got, d := run(file(nil))
	if want := "r|assign|care  0s; r|case|  48h0m0s; r|tag|${queue},late  0s"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if text := d.Groups[0].Fired[0].Atoms[0].Text; text != "score <= 6" {
		t.Errorf("the explanation says %q", text)
	}
	given := map[string]any{"queue": "vip", "to": "exec", "limit": 3.0, "sla": "7d", "tiers": []any{"gold", "x"}, "words": "impossible", "owner": "anna", "tags": []any{"t"}}
	got, d = run(file(given))
	if want := "r|assign|vip anna 0s; r|case| anna 168h0m0s; r|tag|t  0s; r|notify|exec  0s"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if m := d.Groups[0].Fired[0].Actions[3].Message; m != "3 in vip" {
		t.Errorf("got the message %q", m)
	}
	if got, _ := run(file(map[string]any{"open": false})); got != "" {
		t.Errorf("got %s", got)
	}
	b, err := json.Marshal(file(map[string]any{"limit": 3, "tiers": []any{"gold"}}))
	if err != nil {
		t.Fatal(err)
	}
	var back File
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if HashOf([]File{back}, env()) != HashOf([]File{file(map[string]any{"limit": 3, "tiers": []any{"gold"}})}, env()) {
		t.Error("a file that was stored has another hash")
	}
	if HashOf([]File{back}, env()) == HashOf([]File{file(nil)}, env()) {
		t.Error("the hash does not cover parameters")
	}
}

func TestParamProblems(t *testing.T) {
	t.Parallel()
	const text = "version: 1\nparams:\n  queue: {type: queue}\n  sla: {type: duration, default: 1h}\nmacros: {m: params.queue == \"a\"}\n"
	for params, want := range map[string]string{
		`{}`:                            `p.yaml:3:3: the parameter queue has no value, and no default (or declare a default)`,
		`{"queue": "carr"}`:             `p.yaml:3:3: the value given to the parameter queue: the program declares no queue "carr" (did you mean "care"?)`,
		`{"queue": "x"}`:                `p.yaml:3:3: the value given to the parameter queue: the program declares no queue "x" (declare it in the program: queues: {x: {...}})`,
		`{"queue": "care", "sal": 5}`:   `p.yaml:2:1: the file declares no parameter "sal", which is given to it (did you mean "sla"?)`,
		`{"queue": "care", "sla": 5}`:   `p.yaml:4:3: the value given to the parameter sla: found the number 5, expected a duration such as 30s, 5m, 48h or 7d`,
		`{"queue": {}, "sla": [1]}`:     "p.yaml:3:3: the value given to the parameter queue: found a map, expected a string\np.yaml:4:3: the value given to the parameter sla: found a list, expected a duration such as 30s, 5m, 48h or 7d",
		`{"queue": "care", "sla":"2h"}`: ``,
	} {
		f := File{Name: "p.yaml", Data: []byte(text)}
		if err := json.Unmarshal([]byte(params), &f.Params); err != nil {
			t.Fatal(err)
		}
		if got := problemsOf(t, f); got.Error() != want {
			t.Errorf("%s: got\n%s\nwant\n%s", params, got.Error(), want)
		}
	}
	none := File{Name: "n.yaml", Data: []byte("version: 1\nmacros: {m: params.x == 1}\n"), Params: map[string]any{"y": 1}}
	if got, want := problemsOf(t, none).Error(), "n.yaml:1:1: the file declares no parameter \"y\", which is given to it\nn.yaml:2:13: unknown parameter \"x\" (declare it in this file: params: {x: {type: string}})"; got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestParamsOf(t *testing.T) {
	t.Parallel()
	params, problems := ParamsOf(File{Name: "p.yaml", Data: []byte(paramFile)})
	if len(problems) > 0 || len(params) != 9 || params[0].Name != "queue" || params[0].Type != ParamQueue || params[0].Default != "care" ||
		params[0].Description != "who takes care" || params[0].Pos.Line != 3 || params[3].Default != "48h" {
		t.Errorf("got %+v, %v", params, problems)
	}
	// The parameters of one file are not those of another.
	other := File{Name: "o.yaml", Data: []byte("version: 1\nparams: {limit: {type: number, default: 2}}\nmacros: {other: score <= params.limit}\n" +
		"groups: [{name: h, rules: [{id: s, when: other, do: [{tag: x}]}, {id: u, when: limited, do: [{tag: y}]}]}]\n")}
	set, err := Compile([]File{other, {Name: "p.yaml", Data: []byte(paramFile)}}, env())
	if err != nil {
		t.Fatal(err)
	}
	if _, effects := evaluate(set, detractor(), now, nil); effects[0].Key() != "u|tag|y" || set.Due(0, time.Hour, "") != 3_600_000 {
		t.Errorf("got %s", keys(effects))
	}
}
