package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/engine/internal/program"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/source"
)

func (a *app) rulesCommand() *cobra.Command {
	return group("rules", "Check, test, rehearse and activate rules, and go back",
		`rules works on what a program does with feedback. What is activated is kept for ever under the hash of its content, with
who did it and why. Rule files that change are activated by themselves when the program starts, or while it runs, as
soon as the gate lets them: they compile, no finding of lint blocks, and their tests pass. Until then the rules before
them go on.`,
		"  closedloop rules check examples/retail\n  closedloop rules activate examples/retail --why 'late parcels go to logistics'",
		a.rulesCheck(), a.rulesLint(), a.rulesTest(), a.rulesBacktest(), a.rulesDiff(), a.rulesActivate(), a.rulesHistory(), a.rulesRollback(), a.rulesList(), a.rulesPacks(),
	)
}

// ruleFiles are the rules that a command is about: a program's, or those of single files.
type ruleFiles struct {
	files    []rules.File
	tests    []rules.File
	set      *rules.Set      // nil when there are problems
	problems source.Problems // that keep the files from being read and compiled
	told     func(source.Problems) source.Problems
}

// rulesFlags adds the flag that says which program files belong to.
func (a *app) rulesFlags(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVarP(&a.dir, "program", "C", ".", "the program's `folder`")
	return cmd
}

// ruleFilesOf reads what the arguments name: a program's folder, or rule files and tests of rules. Of files alone, queues
// and destinations are not checked; with --program they and the attributes are those of the program.
func (a *app) ruleFilesOf(cmd *cobra.Command, args []string) (*ruleFiles, error) {
	if len(args) == 0 || len(args) == 1 && isFolder(args[0]) {
		if err := a.programArgument(cmd, args); err != nil {
			return nil, err
		}
		p, err := a.findProgram(cmd.Context())
		if err != nil {
			return nil, err
		}
		return asProgram(p), nil
	}
	var env rules.Env
	if cmd.Flags().Changed("program") {
		p, err := a.findProgram(cmd.Context())
		if err != nil {
			return nil, err
		}
		env = p.RuleEnv
	}
	return readRuleFiles(args, env)
}

func isFolder(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// holdsTests reports whether a file holds tests of rules.
func holdsTests(name string) bool {
	return strings.HasSuffix(strings.TrimSuffix(name, filepath.Ext(name)), "_test")
}

// readRuleFiles reads rule files and tests of rules. With tests alone, the rule files beside them are meant.
func readRuleFiles(names []string, env rules.Env) (*ruleFiles, error) {
	if !slices.ContainsFunc(names, func(name string) bool { return !holdsTests(name) }) {
		names = append(besides(names), names...)
	}
	out := &ruleFiles{told: source.Problems.Sorted}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, usage("give the folder of a program, or rule files", "there is no file or folder %s", name)
		}
		if err != nil {
			return nil, err
		}
		if f := (rules.File{Name: filepath.ToSlash(name), Data: data}); holdsTests(name) {
			out.tests = append(out.tests, f)
		} else {
			out.files = append(out.files, f)
		}
	}
	set, err := rules.Compile(out.files, env)
	if err != nil && !errors.As(err, &out.problems) {
		return nil, err
	}
	if err == nil {
		out.set = set
	}
	return out, nil
}

// besides returns the rule files in the folders of tests.
func besides(tests []string) []string {
	var out []string
	for _, test := range tests {
		found, _ := filepath.Glob(filepath.Join(filepath.Dir(test), "*.yaml")) // nothing matches where a name holds a [
		for _, name := range found {
			if !holdsTests(name) && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// err returns the problems as an error, or nil.
func (r *ruleFiles) err() error { return r.told(r.problems).Err() }

// snippets gives problems without one the line of the file that they are about.
func (r *ruleFiles) snippets(problems source.Problems) source.Problems {
	for i := range problems {
		p := &problems[i]
		if p.Snippet != "" || p.Line == 0 {
			continue
		}
		for _, list := range [...][]rules.File{r.files, r.tests} {
			for _, f := range list {
				if f.Name == p.File {
					p.Snippet = lineOf(f.Data, p.Line)
				}
			}
		}
	}
	return problems
}

// lineOf returns the n-th line of a text, from 1.
func lineOf(data []byte, n int) string {
	i := 0
	for line := range strings.Lines(string(data)) {
		if i++; i == n {
			return strings.TrimRight(line, "\r\n")
		}
	}
	return ""
}

// activator changes which rules decide: a State for the next start, or the Client of an engine that runs.
type activator interface {
	Activate(context.Context, engine.ActivateOptions) (*engine.Activation, error)
	Rollback(context.Context, engine.RollbackOptions) (*engine.Activation, error)
	Activations(ctx context.Context, limit int) ([]engine.Activation, error)
}

var (
	_ activator = (*engine.Engine)(nil)
	_ activator = (*engine.State)(nil)
	_ activator = (*engine.Client)(nil)
)

// asProgram returns the rule files of a program that was read for them.
func asProgram(p *program.Program) *ruleFiles {
	return &ruleFiles{files: p.RuleFiles, tests: p.RuleTests, set: p.Rules, problems: p.RuleProblems, told: p.Told}
}
