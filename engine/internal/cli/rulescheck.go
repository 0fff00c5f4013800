package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/rulestest"
	"github.com/closedloop/closedloop/rules/source"
)

// rulesChecked is the result of rules check.
type rulesChecked struct {
	OK       bool            `json:"ok"`
	Ruleset  string          `json:"ruleset,omitempty"` // the hash of the files; missing when they do not compile
	Files    int             `json:"files"`
	Rules    int             `json:"rules"`
	Problems source.Problems `json:"problems"`
}

func (a *app) rulesCheck() *cobra.Command {
	return a.rulesFlags(&cobra.Command{
		Use:   "check [PROGRAM | FILE ...]",
		Short: "Check rule files",
		Long: `check tells everything that is wrong with the rule files of a program at once, each thing with its file, line and column.
It can be given single rule files instead: then queues and destinations are not checked, unless --program says which
program they belong to.

It exits with 0 when the files are right and with 2 when they are not.`,
		Example: "  closedloop rules check examples/retail\n  closedloop rules check rules/route.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := a.ruleFilesOf(cmd, args)
			if err != nil {
				return err
			}
			out := rulesChecked{OK: r.set != nil, Files: len(r.files), Problems: append(source.Problems{}, r.told(r.problems)...)}
			if r.set != nil {
				out.Ruleset, out.Rules = r.set.Hash(), len(r.set.Rules())
			}
			if a.json {
				return errors.Join(a.printJSON(out), r.err())
			}
			if err := r.err(); err != nil {
				return err
			}
			fmt.Fprintf(a.std.Out, "the rules are right: %s in %s, ruleset %s\n", count(out.Rules, "rule"), count(out.Files, "file"), short(out.Ruleset))
			return nil
		},
	})
}

// rulesLinted is the result of rules lint.
type rulesLinted struct {
	OK       bool            `json:"ok"` // nothing blocks
	Ruleset  string          `json:"ruleset"`
	Findings []rules.Finding `json:"findings"`
}

func (a *app) rulesLint() *cobra.Command {
	return a.rulesFlags(&cobra.Command{
		Use:   "lint [PROGRAM | FILE ...]",
		Short: "Tell what is odd about rules that are right",
		Long: `lint tells what rules can hardly be meant to do, such as a rule that never fires or that another one repeats, and which
rules no test has seen fire. A finding marked with "blocks" keeps the rules from being activated.

It exits with 0, with 1 when a finding blocks, and with 2 when the files are not right.`,
		Example: "  closedloop rules lint examples/retail\n  closedloop rules lint --json rules/route.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := a.ruleFilesOf(cmd, args)
			if err == nil {
				err = r.err()
			}
			if err != nil {
				return err
			}
			gate := engine.Gate(r.set, r.tests)
			return a.linted(r, gate)
		},
	})
}

func (a *app) linted(r *ruleFiles, gate *engine.GateReport) error {
	out := rulesLinted{OK: true, Ruleset: gate.Ruleset, Findings: append([]rules.Finding{}, gate.Findings...)}
	blocking := 0
	var problems source.Problems
	for _, f := range out.Findings {
		p := f.Problem()
		if f.Blocks {
			blocking++
			p.Message += " [blocks]"
		}
		problems = append(problems, p)
	}
	var err error
	if blocking > 0 {
		out.OK = false
		err = &failure{code: exitFailed, message: "found " + count(blocking, "finding") + " that blocks the rules",
			hint: "closedloop rules activate --force takes them all the same"}
	}
	if a.json {
		return errors.Join(a.printJSON(out), err)
	}
	if len(problems) == 0 {
		fmt.Fprintln(a.std.Out, "nothing is odd about the rules")
	}
	return errors.Join(r.told(r.snippets(problems)).Render(a.std.Out), err)
}

func (a *app) rulesTest() *cobra.Command {
	var verbose bool
	cmd := a.rulesFlags(&cobra.Command{
		Use:   "test [PROGRAM | FILE ...]",
		Short: "Run the tests of rules",
		Long: `test runs the tests of a program's rules: the files that end in _test.yaml beside the rule files. What did not come true
is told with what was expected, what was found, and why the rules concerned fired or did not. It can be given rule files
and tests instead; tests alone are about the rule files beside them.

It exits with 0 when all tests pass, with 1 when one fails, and with 2 when the files are not right.`,
		Example: "  closedloop rules test examples/retail\n  closedloop rules test --verbose rules/route_test.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := a.ruleFilesOf(cmd, args)
			if err == nil {
				err = r.err()
			}
			if err != nil {
				return err
			}
			return a.rulesTested(r, verbose)
		},
	})
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "tell of every test, and of all that is not covered")
	return cmd
}

func (a *app) rulesTested(r *ruleFiles, verbose bool) error {
	var files []*rulestest.File
	var problems source.Problems
	for _, f := range r.tests {
		file, err := rulestest.Load(f.Name, f.Data)
		if ps := source.Problems(nil); errors.As(err, &ps) {
			problems = append(problems, ps...)
		} else if err != nil {
			return err
		}
		files = append(files, file)
	}
	if err := r.told(problems).Err(); err != nil {
		return err
	}
	report := rulestest.Run(r.set, files)
	var err error
	if !report.OK() {
		err = &failure{code: exitFailed, message: "the rules do not pass their tests"}
	}
	render := report.Render
	if verbose {
		render = report.RenderAll
	}
	switch {
	case a.json:
		return errors.Join(a.printJSON(report), err)
	case len(files) == 0:
		fmt.Fprintln(a.std.Out, "there are no tests: put them beside the rule files, into files that end in _test.yaml")
		return nil
	}
	return errors.Join(render(a.cleaned()), err)
}
