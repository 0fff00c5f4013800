package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/schema"
	"github.com/closedloop/closedloop/sdk/suggest"
)

// schemas are what the command schema writes.
var schemas = []string{"rules", "tests", "program", "completion"}

func (a *app) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema [rules|tests|program|completion [PROGRAM]]",
		Short: "Write a JSON Schema for editors, or what a console completes",
		Long: `schema writes a JSON Schema (draft 2020-12) of rule files, of files with tests of rules, or of program.yaml. An editor that
is told of it completes keys, says what they mean, and marks what is wrong while it is written. A file names its schema
in its first line:

  # yaml-language-server: $schema=../rules.schema.json

schema completion writes the fields, functions, operators, actions, metrics and figures of rules with what they mean, as
JSON for a console; of a program with the attributes that it declares.`,
		Example: "  closedloop schema rules > rules.schema.json\n  closedloop schema program > program.schema.json\n  closedloop schema completion examples/retail",
		Args:    schemaArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch what := append(args, "rules")[0]; {
			case what == "tests":
				return a.printJSON(schema.Tests().JSON())
			case what == "program":
				return a.printJSON(programSchema().JSON())
			case what == "completion":
				return a.printCompletion(cmd, args[1:])
			}
			return a.printJSON(schema.Rules().JSON())
		},
	}
}

func schemaArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !slices.Contains(schemas, args[0]) {
		hint := suggest.DidYouMean(args[0], schemas)
		if hint == "" {
			hint = "one of " + strings.Join(schemas, ", ")
		}
		return usage(hint, "there is no schema %q", args[0])
	}
	most := 1
	if args[0] == "completion" {
		most = 2
	}
	if len(args) > most {
		return usage("try: "+cmd.CommandPath()+" --help", "%s: unexpected argument %q", cmd.CommandPath(), args[most])
	}
	return nil
}

// printCompletion writes what may stand in the rules of a program, or of any.
func (a *app) printCompletion(cmd *cobra.Command, dirs []string) error {
	var env rules.Env
	if len(dirs) > 0 {
		a.dir = dirs[0]
		p, err := a.loadProgram(cmd.Context())
		if err != nil {
			return err
		}
		env = p.RuleEnv
	}
	return a.printJSON(schema.Complete(env))
}
