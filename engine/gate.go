package engine

import (
	"fmt"
	"strings"

	"github.com/rs/zerolog"

	"github.com/closedloop/closedloop/engine/internal/program"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/source"
)

// GateReport is what the gate says of a program's rule files: whether they may decide. They may when they compile, when
// no finding blocks, and when their tests pass. Files are named relative to the program's folder.
type GateReport struct {
	OK bool `json:"ok"`
	// Ruleset is the hash of the files, also of those that do not compile.
	Ruleset string `json:"ruleset"`
	Rules   int    `json:"rules"` // how many rules there are; 0 when they do not compile
	// Problems keep the files from compiling. There are findings and tests only without them.
	Problems source.Problems `json:"problems,omitempty"`
	Findings []rules.Finding `json:"findings,omitempty"`
}

// mostRecorded bounds how many findings of each kind the history keeps.
const mostRecorded = 50

// recorded returns what the history keeps of the report.
func (g GateReport) recorded() *GateReport {
	g.Findings = g.Findings[:min(len(g.Findings), mostRecorded)]
	return &g
}

// GateError says that rules are not taken, because the gate refuses them. What decided before goes on.
type GateError struct{ Report GateReport }

// Error tells all that is wrong, one thing on a line.
func (e *GateError) Error() string {
	return strings.Join(append([]string{"the rules are not taken: " + e.Report.Summary()}, e.Report.lines()...), "\n")
}

// Summary says in a few words what keeps the rules from being taken, or that nothing does.
func (g *GateReport) Summary() string {
	var parts []string
	add := func(n int, what string) {
		switch {
		case n == 1:
			parts = append(parts, "1 "+what)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %ss", n, what))
		}
	}
	add(len(g.Problems), "problem")
	blocking := 0
	for _, f := range g.Findings {
		if f.Blocks {
			blocking++
		}
	}
	add(blocking, "finding")
	if len(parts) == 0 {
		return "nothing is wrong"
	}
	return strings.Join(parts, ", ")
}

// All returns the problems, then the findings as problems; those that block come first.
func (g *GateReport) All() source.Problems {
	out := append(source.Problems{}, g.Problems...)
	for _, blocks := range []bool{true, false} {
		for _, f := range g.Findings {
			if f.Blocks == blocks {
				out = append(out, f.Problem())
			}
		}
	}
	return out
}

func (g *GateReport) lines() []string {
	var out []string
	for _, p := range g.All() {
		out = append(out, p.Error())
	}
	return out
}

// log writes each thing that is wrong.
func (g *GateReport) log(log *zerolog.Logger, level zerolog.Level) {
	for _, p := range g.All() {
		ev := log.WithLevel(level).Str("code", p.Code)
		if p.File != "" {
			ev.Str("file", p.File).Int("line", p.Line)
		}
		if p.Hint != "" {
			ev.Str("hint", p.Hint)
		}
		ev.Msg(p.Message)
	}
}

// examine has the gate look at a program's rules.
func examine(prog *program.Program) *GateReport {
	g := &GateReport{Ruleset: prog.RulesHash(), Problems: prog.RuleProblems}
	set := prog.Rules
	if set == nil {
		return g
	}
	g.OK, g.Rules, g.Findings = true, len(set.Rules()), set.Lint()
	for _, f := range g.Findings {
		g.OK = g.OK && !f.Blocks
	}
	return g
}
