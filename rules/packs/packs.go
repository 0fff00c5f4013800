// Package packs holds ready-made rule files, each with its tests. A program includes one by its name and gives values to
// its parameters, without copying it:
//
//	packs:
//	  closed-loop: {queue: care, sla: 24h}
//	  theme-spike: {destination: cx-team}
//
// The packs:
//
//   - closed-loop: every detractor gets an answer in time: a case for each, 48 hours by default.
//   - vip-escalation: the detractor whom one must not lose goes to somebody by name, within hours. Include it before
//     closed-loop, so that its queue, owner and case count.
//   - theme-spike: an alert when a theme is suddenly more frequent than in the four weeks before.
//   - nps-drop: an alert when the NPS of a touchpoint falls below that of the four weeks before, beyond chance.
//   - packaging-not-shipping: feedback about the box is taken out of shipping, for the team that can act on it.
//   - source-silence: an alert when a source that usually brings feedback brings none.
//   - digest: what promoters say, once a day, to people who read too little of it.
//
// Four things hold of a pack. The names of what it declares begin with its own name, so that it fits beside others. Its
// defaults name no queue, owner or destination, so that it compiles in any program: where none is given nobody is told,
// and a case waits in no queue. Its tests run with the defaults, and fire each of its rules. Its comparisons are
// covered.
package packs

import (
	"embed"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/source"
)

// FilePrefix begins the names of the rule files of packs, as they stand in problems and decisions.
const FilePrefix = "pack:"

const (
	ruleEnding = ".yaml"
	testEnding = "_test.yaml"
)

//go:embed *.yaml
var files embed.FS

// Pack is a ready-made rule file.
type Pack struct {
	Name        string        `json:"name"`
	Description string        `json:"description"` // one sentence
	Params      []rules.Param `json:"params"`

	rules, tests []byte
}

// File returns the pack's rule file. Its parameters have no values yet.
func (p *Pack) File() rules.File {
	return rules.File{Name: FilePrefix + p.Name, Data: slices.Clone(p.rules)}
}

// Tests returns the pack's tests, in the format of package rulestest.
func (p *Pack) Tests() []byte { return slices.Clone(p.tests) }

// Names returns the names of all packs, sorted.
func Names() []string {
	names, _ := fs.Glob(files, "*"+ruleEnding)
	names = slices.DeleteFunc(names, func(name string) bool { return strings.HasSuffix(name, testEnding) })
	for i := range names {
		names[i] = strings.TrimSuffix(names[i], ruleEnding)
	}
	return names
}

// Get returns the pack of that name.
func Get(name string) (Pack, bool) {
	data, err := files.ReadFile(path.Clean(name) + ruleEnding)
	if err != nil || strings.HasSuffix(name+ruleEnding, testEnding) {
		return Pack{}, false
	}
	tests, err := files.ReadFile(name + testEnding)
	if err != nil {
		return Pack{}, false
	}
	p := Pack{Name: name, rules: data, tests: tests}
	p.Params, _ = rules.ParamsOf(p.File())
	if root, _ := source.Parse(name, data); root != nil {
		p.Description = strings.TrimSpace(root.Get("description").String())
	}
	return p, true
}
