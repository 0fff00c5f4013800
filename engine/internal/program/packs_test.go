package program

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/closedloop/closedloop/rules/packs"
)

func TestProgramIncludesPacks(t *testing.T) {
	t.Parallel()
	files := func(text string) []txtar.File {
		return []txtar.File{
			{Name: FileName, Data: []byte("version: 1\nname: shop\nqueues: {care: {}}\n" + text)},
			{Name: "rules/own.yaml", Data: []byte("version: 1\npools: {team: {owners: [anna]}}\ngroups: [{name: own, rules: [{id: r, when: true, do: [{tag: x}]}]}]\n")},
		}
	}
	p := load(t, unpack(t, files("packs:\n  vip-escalation: {queue: care, sla: 2h, tiers: [gold]}\n  closed-loop: {pool: team}\n  nps-drop:\n")))
	var names []string
	for _, f := range p.RuleFiles {
		names = append(names, f.Name)
	}
	if want := []string{"pack:vip-escalation", "pack:closed-loop", "pack:nps-drop", "rules/own.yaml"}; !slices.Equal(names, want) {
		t.Errorf("got the files %v", names)
	}
	if got := fmt.Sprint(p.RuleFiles[0].Params); got != "map[queue:care sla:2h tiers:[gold]]" {
		t.Errorf("got the parameters %s", got)
	}
	if rules := p.Rules.Rules(); len(rules) != 4 || rules[0].ID != "vip-escalation-detractor" || rules[3].ID != "r" {
		t.Errorf("got %+v", rules)
	}
	for text, want := range map[string]string{
		"packs: {closed-lop: {}}":                                  `program.yaml:4:9: there is no pack "closed-lop" of rules (did you mean "closed-loop"?)`,
		"packs: {closed-loop: {queue: crae}}":                      `program.yaml:4:30: the program declares no queue "crae" (did you mean "care"?)`,
		"packs: {closed-loop: {que: care}}":                        `program.yaml:4:23: the pack closed-loop has no parameter "que" (did you mean "queue"?)`,
		"packs: {closed-loop: {sla: 3}}":                           `program.yaml:4:28: found the number 3, expected a duration such as 30s, 5m, 48h or 7d`,
		"packs: {closed-loop: [care]}":                             `program.yaml:4:22: found a list, expected a map`,
		"packs: {digest: {}}":                                      `program.yaml:4:9: the pack digest needs a value for its parameter destination (whom to tell)`,
		"packs: {closed-loop: {pool: taem}}":                       `pack:closed-loop:19:66: unknown pool "taem" (did you mean "team"?)`,
		"packs: {closed-loop: {}, closed-loop: {}}":                `program.yaml:4:26: found the key "closed-loop" again, it stands on line 4 already`,
		"packs: [closed-loop]":                                     `program.yaml:4:8: found a list, expected a map`,
		"packs: {source-silence: {severity: grave, min_items: 5}}": `pack:source-silence:20:21: found the string "grave", expected one of info, warning, critical`,
	} {
		dir := unpack(t, files(text))
		_, err := Load(t.Context(), dir, options(t))
		if got := strings.ReplaceAll(fmt.Sprint(err), dir+"/", ""); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", text, got, want)
		}
	}
}

// TestPageHasEveryPack holds that engine/docs/PROGRAM.md tells of every pack and parameter, and that its example loads.
func TestPageHasEveryPack(t *testing.T) {
	t.Parallel()
	const file, begin, end = "../../docs/PROGRAM.md", "<!-- packs -->\n", "<!-- end of packs -->"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(data), begin)
	_, after, _ := strings.Cut(rest, end)
	var b strings.Builder
	for _, name := range packs.Names() {
		pack, _ := packs.Get(name)
		fmt.Fprintf(&b, "- **%s**: %s\n", name, pack.Description)
		for _, p := range pack.Params {
			value := "required"
			if p.Default != nil {
				value = fmt.Sprintf("`%v`", p.Default)
			}
			if p.Default == "" {
				value = "none"
			}
			fmt.Fprintf(&b, "  - `%s`, a %s, default %s: %s\n", p.Name, p.Type, value, p.Description)
		}
	}
	want := before + begin + strings.ReplaceAll(b.String(), "default required", "required") + end + after
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(data) != want {
		t.Error("the page does not tell of the packs as they are; run with -update")
	}
	_, section, _ := strings.Cut(before, "## Packs")
	_, example, _ := strings.Cut(section, "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	load(t, unpack(t, []txtar.File{{Name: FileName, Data: []byte(example)}}))
}
