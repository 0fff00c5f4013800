package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/engine/internal/program"
	"github.com/closedloop/closedloop/rules/source"
)

// checked is the result of a check.
type checked struct {
	OK           bool            `json:"ok"`
	Program      string          `json:"program,omitempty"` // its name
	Sources      int             `json:"sources"`
	Categorizers int             `json:"categorizers"`
	Destinations int             `json:"destinations"`
	Queues       int             `json:"queues"`
	Rules        int             `json:"rules"`
	Ruleset      string          `json:"ruleset,omitempty"`
	Problems     source.Problems `json:"problems"`
	Warnings     source.Problems `json:"warnings"`
}

func (a *app) checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check [PROGRAM]",
		Short: "Check a program without running any of it",
		Long: `check reads program.yaml, the rule files, and the manifests and settings of the plugins, and tells everything that
is wrong at once, each thing with its file, line and column. It runs no code of a plugin and needs no network.

It exits with 0 when the program is right, 2 when it is not, and 3 when it could not be read.`,
		Example: "  closedloop check examples/retail\n  closedloop check --json",
		Args:    a.programArgument,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := a.loadProgram(cmd.Context())
			if a.json {
				return a.checkedJSON(p, err)
			}
			if err != nil {
				return err
			}
			return a.checkedText(checkedProgram(p))
		},
	}
	cmd.Flags().StringVarP(&a.dir, "program", "C", ".", "the program's `folder`")
	return cmd
}

func checkedProgram(p *program.Program) checked {
	return checked{
		OK: true, Program: p.Name, Sources: len(p.Sources), Categorizers: len(p.Categorizers),
		Destinations: len(p.Destinations), Queues: len(p.Queues), Rules: len(p.Rules.Rules()), Ruleset: p.Rules.Hash(),
		Problems: source.Problems{}, Warnings: append(source.Problems{}, p.Warnings...),
	}
}

func (a *app) checkedJSON(p *program.Program, err error) error {
	problems := source.Problems(nil)
	switch {
	case err == nil:
		return a.printJSON(checkedProgram(p))
	case errors.As(err, &problems):
		return errors.Join(a.printJSON(checked{Problems: problems, Warnings: source.Problems{}}), err)
	}
	return err
}

func (a *app) checkedText(c checked) error {
	fmt.Fprintf(a.std.Out, "the program %s is right: %s, %s, %s, %s, %s\n", c.Program, count(c.Sources, "source"),
		count(c.Categorizers, "categorizer"), count(c.Destinations, "destination"), count(c.Queues, "queue"), count(c.Rules, "rule"))
	if len(c.Warnings) > 0 {
		fmt.Fprintf(a.std.Out, "\n%s\n", count(len(c.Warnings), "warning"))
	}
	return c.Warnings.Render(a.std.Out)
}
