package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/engine"
)

// activationResult is what rules activate and rules rollback write as JSON.
type activationResult struct {
	OK bool `json:"ok"`
	// Changed says that other rules decide than before the command.
	Changed bool `json:"changed"`
	// Running says that an engine took them at once; otherwise the next start does.
	Running    bool               `json:"running"`
	Activation *engine.Activation `json:"activation,omitempty"` // that holds now
	Refused    *engine.GateReport `json:"refused,omitempty"`    // why the rules are not taken
}

func (a *app) rulesActivate() *cobra.Command {
	var o engine.ActivateOptions
	cmd := a.programFlags(&cobra.Command{
		Use:   "activate [PROGRAM]",
		Short: "Have the rule files decide from now on",
		Long: `activate makes the program's rule files, as they are on the disk, the rules that decide: of a running engine at once,
else with the next start. They must compile, no finding of lint may block, and their tests must pass; --force takes
what compiles all the same. Who did it, why, and whether it was forced is kept in the history for ever.

It exits with 0, with 1 when the rules are not taken, and with 2 when it was used wrongly.`,
		Example: "  closedloop rules activate examples/retail --why 'late parcels go to logistics'",
		Args:    a.programArgument,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Force && o.Why == "" {
				return usage("such as --why 'the test is wrong, it is mended on Monday'", "--force needs --why: the history keeps who took what the gate refused, and why")
			}
			return a.changingRules(cmd.Context(), func(act activator) (*engine.Activation, error) {
				return act.Activate(cmd.Context(), o)
			})
		},
	})
	cmd.Flags().BoolVar(&o.Force, "force", false, "take rules that compile though a finding blocks or a test fails")
	whoAndWhy(cmd, &o.By, &o.Why)
	return cmd
}

// whoAndWhy adds the flags of a command that is recorded.
func whoAndWhy(cmd *cobra.Command, by, why *string) {
	cmd.Flags().StringVar(by, "by", whoAmI(), "`who` does it")
	cmd.Flags().StringVar(why, "why", "", "the `reason`")
}

func (a *app) rulesRollback() *cobra.Command {
	var o engine.RollbackOptions
	cmd := a.programFlags(&cobra.Command{
		Use:   "rollback [NUMBER | HASH]",
		Short: "Go back to rules that decided before",
		Long: `rollback makes rules of the history decide again: those before the ones that decide now, or those of an activation by
its number, or a ruleset by 6 or more digits of its hash; closedloop rules history lists them. They are taken as they were,
also when the files are gone. The files of the program stay as they are, and are not taken by themselves until they
change again; closedloop rules activate takes them.`,
		Example: "  closedloop rules rollback -C examples/retail --why 'too many cases'\n  closedloop rules rollback 3",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage("try: "+cmd.CommandPath()+" --help", "%s: unexpected argument %q", cmd.CommandPath(), args[1])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.To = strings.Join(args, "")
			return a.changingRules(cmd.Context(), func(act activator) (*engine.Activation, error) {
				return act.Rollback(cmd.Context(), o)
			})
		},
	})
	whoAndWhy(cmd, &o.By, &o.Why)
	return cmd
}

// changingRules runs a command that changes which rules decide, and tells what came of it.
func (a *app) changingRules(ctx context.Context, change func(activator) (*engine.Activation, error)) error {
	return a.asked(ctx, func(s *session) error {
		act, ok := s.Queries.(activator)
		if !ok {
			return errors.New("the rules cannot be changed here")
		}
		_, running := s.Queries.(*engine.Client)
		out := activationResult{Running: running}
		before, err := act.Activations(ctx, 1)
		if err != nil {
			return err
		}
		out.Activation, err = change(act)
		if refused := (*engine.GateError)(nil); errors.As(err, &refused) {
			out.Refused = &refused.Report
			err = a.refusal(ctx, &refused.Report)
		} else if err != nil {
			return err
		}
		out.OK = err == nil
		out.Changed = out.OK && (len(before) == 0 || before[0].Number != out.Activation.Number)
		if a.json {
			return errors.Join(a.printJSON(out), err)
		}
		if err == nil {
			a.tellActivation(s, &out)
		}
		return err
	})
}

// refusal is the failure of rules that the gate refuses.
func (a *app) refusal(ctx context.Context, g *engine.GateReport) error {
	f := &failure{code: exitFailed, message: "the rules are not taken: " + g.Summary(), problems: g.Reasons()}
	if len(g.Problems) == 0 {
		f.hint = "--force takes them all the same, and is recorded"
	}
	if p, err := a.findProgram(ctx); err == nil {
		r := asProgram(p)
		f.problems = r.told(r.snippets(f.problems))
	}
	return f
}

func (a *app) tellActivation(s *session, out *activationResult) {
	act, w := out.Activation, a.std.Out
	what := fmt.Sprintf("ruleset %s with %s", short(act.Ruleset), count(act.Rules, "rule"))
	if !out.Changed {
		fmt.Fprintf(a.cleaned(), "%s is active already, since %s (activation %d by %s)\n", what, instant(act.Since, s.zone), act.Number, joined(": ", act.By, act.Why))
		return
	}
	state := "decides from now on"
	if !out.Running {
		state = "decides when the program is started"
	}
	fmt.Fprintf(w, "%s %s (activation %d)\n", what, state, act.Number)
	switch {
	case act.Forced:
		fmt.Fprintf(w, "it was forced: %s\n", act.Gate.Summary())
	case act.Instead != "":
		fmt.Fprintln(w, "the rule files are not taken until they change; closedloop rules activate takes them as they are")
	}
	if act.Gate != nil {
		if n := len(act.Gate.Findings); n > 0 && !act.Forced {
			fmt.Fprintf(w, "%s: closedloop rules lint\n", count(n, "finding"))
		}
	}
}

func (a *app) rulesHistory() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "history",
		Short: "Show which rules decided since when, and who activated them",
		Long: `history lists which rules decided since when, who activated them and why, the latest first. closedloop rules rollback
goes back to one of them by its number.`,
		Example: "  closedloop rules history -C examples/retail",
	}
	cmd.Flags().IntVar(&limit, "limit", 50, "list at most `n`")
	ask := func(ctx context.Context, s *session) ([]engine.Activation, error) {
		if limit < 1 {
			return nil, usage("", "--limit: found %d, expected at least 1", limit)
		}
		return s.Activations(ctx, limit)
	}
	return listed(a, cmd, ask, a.historyTable)
}

func (a *app) historyTable(s *session, list []engine.Activation) {
	if len(list) == 0 {
		a.none("activations")
		return
	}
	t := newTable(digits("#"), text("since"), text("ruleset"), digits("rules"), text("by"), text("how"), elastic("why"))
	for i := range list {
		x := &list[i]
		var how []string
		if x.Back > 0 {
			how = append(how, fmt.Sprintf("back to %d", x.Back))
		}
		if x.Forced {
			how = append(how, "forced")
		}
		if x.Gate != nil && !x.Gate.OK {
			how = append(how, x.Gate.Summary())
		}
		t.add(fmt.Sprint(x.Number), instant(x.Since, s.zone), short(x.Ruleset), fmt.Sprint(x.Rules), x.By, strings.Join(how, ", "), x.Why)
	}
	t.write(a.std.Out, a.std.Width)
}
