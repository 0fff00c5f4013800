package engine

import (
	"errors"
	"fmt"
	"strings"

	"github.com/rs/zerolog"

	"github.com/closedloop/closedloop/engine/internal/program"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/packs"
	"github.com/closedloop/closedloop/rules/rulestest"
	"github.com/closedloop/closedloop/rules/source"
)

// GateReport is what the gate says of rule files: whether they may decide. They may when they compile, when no finding
// blocks, and when their tests pass. Of a program, files are named relative to its folder.
type GateReport struct {
	OK bool `json:"ok"`
	// Ruleset is the hash of the files, also of those that do not compile.
	Ruleset string `json:"ruleset"`
	Rules   int    `json:"rules"` // how many rules there are; 0 when they do not compile
	// Problems keep the files from compiling. There are findings and tests only without them.
	Problems source.Problems `json:"problems,omitempty"`
	// Findings are those of rules.Set.Lint, and one with the code "untested" for each rule that no test has seen fire;
	// the rules of packs are tested with the packs.
	Findings []rules.Finding `json:"findings,omitempty"`
	Tests    int             `json:"tests"`  // that were run
	Failed   int             `json:"failed"` // tests that failed, and files with tests that could not be run
	// Failures are what went wrong in tests.
	Failures source.Problems `json:"failures,omitempty"`
}

// Gate has the gate look at a set with the files of its tests. It refuses a nil set.
func Gate(set *rules.Set, tests []rules.File) *GateReport {
	if set == nil {
		return &GateReport{Problems: source.Problems{{Code: "missing", Message: "there are no rules, expected a set that compiles"}}}
	}
	g := &GateReport{Ruleset: set.Hash(), Rules: len(set.Rules()), Findings: set.Lint()}
	g.test(set, tests)
	g.OK = g.Failed == 0 && g.blocking() == 0
	return g
}

// test runs the tests.
func (g *GateReport) test(set *rules.Set, tests []rules.File) {
	var files []*rulestest.File
	for _, f := range tests {
		file, err := rulestest.Load(f.Name, f.Data)
		if err != nil {
			g.Failed++
			g.Failures = append(g.Failures, problemsOf(f.Name, err)...)
			continue
		}
		files = append(files, file)
	}
	report := rulestest.Run(set, files)
	g.Tests = len(report.Tests)
	for i := range report.Files {
		g.file(&report.Files[i])
	}
	for i := range report.Tests {
		g.Failures = append(g.Failures, failuresOf(&report.Tests[i])...)
	}
	for i := range report.Coverage.Missing {
		if m := &report.Coverage.Missing[i]; m.NeverFired && !strings.HasPrefix(m.File, packs.FilePrefix) {
			g.Findings = append(g.Findings, rules.Finding{
				Code: "untested", Rule: m.Rule, Pos: source.Pos{File: m.File, Line: m.Line},
				Message: fmt.Sprintf("no test has seen the rule %s fire", m.Rule),
			})
		}
	}
}

// file counts what became of one file of tests.
func (g *GateReport) file(f *rulestest.FileReport) {
	g.Failed += f.Failed
	if len(f.Problems)+len(f.Short) > 0 {
		g.Failed++
	}
	g.Failures = append(g.Failures, f.Problems...)
	for _, short := range f.Short {
		g.Failures = append(g.Failures, source.Problem{Code: "cover", File: f.Name, Message: "the tests cover too little: " + short})
	}
}

func problemsOf(file string, err error) source.Problems {
	if problems := source.Problems(nil); errors.As(err, &problems) {
		return problems
	}
	return source.Problems{{Code: "unreadable", File: file, Message: err.Error()}}
}

func failuresOf(t *rulestest.Test) source.Problems {
	var out source.Problems
	for i := range t.Failures {
		f := &t.Failures[i]
		out = append(out, source.Problem{
			Code: "test_failed", File: t.File, Line: f.Line,
			Message: fmt.Sprintf("the test %q, step %d: %s: expected %s, found %s", t.Name, f.Step, f.What, f.Expected, f.Found),
		})
	}
	return out
}

// examine has the gate look at a program's rules.
func examine(prog *program.Program) *GateReport {
	if prog.Rules == nil {
		return &GateReport{Ruleset: prog.RulesHash(), Problems: prog.RuleProblems}
	}
	return Gate(prog.Rules, prog.RuleTests)
}

func (g *GateReport) blocking() (n int) {
	for _, f := range g.Findings {
		if f.Blocks {
			n++
		}
	}
	return n
}

// mostRecorded bounds how many things of each kind the history keeps.
const mostRecorded = 50

// recorded returns what the history keeps of the report.
func (g GateReport) recorded() *GateReport {
	g.Findings = g.Findings[:min(len(g.Findings), mostRecorded)]
	g.Failures = g.Failures[:min(len(g.Failures), mostRecorded)]
	return &g
}

// Summary says in a few words what keeps the rules from being taken, or that nothing does.
func (g *GateReport) Summary() string {
	var parts []string
	add := func(n int, one, more string) {
		switch {
		case n == 1:
			parts = append(parts, "1 "+one)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %s", n, more))
		}
	}
	add(len(g.Problems), "problem", "problems")
	add(g.blocking(), "finding that blocks", "findings that block")
	add(g.Failed, "failed test", "failed tests")
	if len(parts) == 0 {
		return "nothing is wrong"
	}
	return strings.Join(parts, ", ")
}

// Reasons returns what keeps the rules from being taken: the problems, the findings that block and the failures of tests.
func (g *GateReport) Reasons() source.Problems {
	out := append(source.Problems{}, g.Problems...)
	for _, f := range g.Findings {
		if f.Blocks {
			out = append(out, f.Problem())
		}
	}
	return append(out, g.Failures...)
}

// log writes each reason, and how many findings there are besides.
func (g *GateReport) log(log *zerolog.Logger, level zerolog.Level) {
	for _, p := range g.Reasons() {
		ev := log.WithLevel(level).Str("code", p.Code)
		if p.File != "" {
			ev.Str("file", p.File).Int("line", p.Line)
		}
		if p.Hint != "" {
			ev.Str("hint", p.Hint)
		}
		ev.Msg(p.Message)
	}
	if n := len(g.Findings) - g.blocking(); n > 0 {
		log.Info().Int("findings", n).Msg("closedloop rules lint tells what is odd about the rules")
	}
}

// GateError says that rules are not taken, because the gate refuses them. What decided before goes on.
type GateError struct{ Report GateReport }

// Error tells all that is wrong, one thing on a line.
func (e *GateError) Error() string {
	lines := []string{"the rules are not taken: " + e.Report.Summary()}
	for _, p := range e.Report.Reasons() {
		lines = append(lines, p.Error())
	}
	return strings.Join(lines, "\n")
}
