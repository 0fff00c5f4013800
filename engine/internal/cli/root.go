package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/closedloop/closedloop/sdk/suggest"
)

const intro = `closedloop runs a feedback program: a folder with program.yaml, rules and plugins.

  closedloop check PROGRAM        is the program right?
  closedloop run --once PROGRAM   read what the sources have, decide, and say what happened
  closedloop run PROGRAM          go on until stopped
  closedloop show items           what came in, where it went
  closedloop explain ITEM         why it went there`

// root returns the command line with all its commands.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:     "closedloop",
		Short:   "Run a customer-feedback program",
		Long:    intro,
		Version: thisBuild().Version,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			fmt.Fprintf(a.std.Out, "%s\n\nAll commands: closedloop help\n", intro)
			return nil
		},
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(flagError)
	root.SetVersionTemplate("closedloop {{.Version}}\n")
	root.PersistentFlags().BoolVar(&a.json, "json", false, "write the result as JSON to standard output, and nothing else")
	root.AddCommand(
		a.runCommand(), a.checkCommand(), a.showCommand(), a.metricCommand(), a.explainCommand(), a.rulesCommand(), a.alertsCommand(), a.importCommand(), a.casesCommand(), a.labelCommand(), a.customerCommand(), a.holdCommand(), a.retentionCommand(), a.deliveriesCommand(), a.auditCommand(), a.replayCommand(), a.reloadCommand(), a.pluginCommand(), a.schemaCommand(),
		a.storeCommand(), a.backupCommand(), a.restoreCommand(),
		a.versionCommand(),
	)
	return root
}

// group returns a command that only holds others.
func group(use, short, long, example string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && args[0] == "help" {
				return cmd.Help()
			}
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return usage("one of "+strings.Join(names(cmd), ", "), "%s needs to know what", cmd.CommandPath())
		},
	}
	cmd.AddCommand(commands...)
	return cmd
}

func names(cmd *cobra.Command) []string {
	var out []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			out = append(out, c.Name())
		}
	}
	return out
}

func unknownCommand(cmd *cobra.Command, name string) error {
	known := append(names(cmd), "help")
	hint := "one of " + strings.Join(names(cmd), ", ")
	if near := suggest.Nearest(name, known); near != "" {
		hint = fmt.Sprintf("did you mean %s %s?", cmd.CommandPath(), near)
	}
	if cmd.HasParent() {
		return usage(hint, "unknown command %q of %s", name, cmd.CommandPath())
	}
	return usage(hint, "unknown command %q", name)
}

// flagError says what is wrong with a flag, and which one was probably meant.
func flagError(cmd *cobra.Command, err error) error {
	hint := "try: " + cmd.CommandPath() + " --help"
	if unknown := (*pflag.NotExistError)(nil); errors.As(err, &unknown) {
		var known []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
		if near := suggest.Nearest(unknown.GetSpecifiedName(), known); near != "" {
			hint = "did you mean --" + near + "?"
		}
	}
	return usage(hint, "%s, of %s", err, cmd.CommandPath())
}

// programFlags adds the flags of a command that works on a program.
func (a *app) programFlags(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVarP(&a.dir, "program", "C", ".", "the program's `folder`")
	cmd.Flags().StringVar(&a.state, "state", "", "the state `folder` (default the one that the program names)")
	return cmd
}

// programArgument takes the program's folder as the only argument of a command.
func (a *app) programArgument(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usage("try: "+cmd.CommandPath()+" --help", "%s: unexpected argument %q", cmd.CommandPath(), args[1])
	}
	if len(args) == 0 {
		return nil
	}
	if cmd.Flags().Changed("program") {
		return usage("give it once", "%s: found the program twice, as %s and as %s", cmd.CommandPath(), args[0], a.dir)
	}
	a.dir = args[0]
	return nil
}
