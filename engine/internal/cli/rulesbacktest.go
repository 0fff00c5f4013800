package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/engine/internal/program"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/backtest"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// historyFlags are the flags that say which feedback of the past is meant.
type historyFlags struct {
	since, until, close string
}

func (h *historyFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&h.since, "since", "30d", "from when on: a `time` such as 30d, 2026-03-01, or all")
	cmd.Flags().StringVar(&h.until, "until", "now", "the end, exclusive: a `time` such as 7d, 2026-04-01, or now")
	cmd.Flags().StringVar(&h.close, "close", string(backtest.WhenDue), "when cases are taken to be closed: due or never")
}

// history reads the flags. A duration is counted back: until from now, and since from until.
func (h *historyFlags) history(now time.Time, zone *time.Location) (out engine.History, err error) {
	if out.Until, err = pointInTime("until", h.until, feedback.TimeOf(now), zone); err != nil {
		return out, err
	}
	if h.until == "now" {
		out.Until++ // what comes in now is meant as well
	}
	switch {
	case h.since == "all" && h.until == "now":
		out.Until = 0
	case h.since != "all":
		if out.Since, err = pointInTime("since", h.since, out.Until, zone); err != nil {
			return out, err
		}
		if out.Since >= out.Until {
			return out, usage("", "--since %s is not before --until %s", h.since, h.until)
		}
	}
	switch out.Close = backtest.Closing(h.close); out.Close {
	case backtest.WhenDue, backtest.Never:
		return out, nil
	}
	return out, usage("one of due, never", "found --close %s", h.close)
}

// pointInTime reads a day, an instant, or a duration before another instant.
func pointInTime(flag, text string, before feedback.Time, zone *time.Location) (feedback.Time, error) {
	if text == "now" {
		return before, nil
	}
	if d, err := feedback.ParseDuration(text); err == nil {
		return before.Add(-d), nil
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02T15:04", "2006-01-02 15:04", time.RFC3339} {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return feedback.TimeOf(t), nil
		}
	}
	return 0, usage("a duration such as 30d, or a day such as 2026-03-01", "--%s: found %q, expected a time", flag, text)
}

const refHelp = `A set of rules is named by a rule file, by a folder of rule files, by the folder of a program, by the beginning of the
hash of a set that decided before, or by one of the words files, for those of the program, and active, for the set that
decides now.`

func (a *app) rulesBacktest() *cobra.Command {
	var h historyFlags
	var page string
	cmd := &cobra.Command{
		Use:   "backtest [RULES]",
		Short: "Say what rules would have done with the feedback of the past",
		Long: `backtest has rules decide in memory on the stored feedback, each item at the time at which it was given, and says what
they would have done: what fires, where items go, the cases and who has them open, alerts from when to when, messages.
Nothing is acted on and nothing is written. A running engine does it beside its work.

` + refHelp + ` The default is files.

Items are taken as they are known today, with their labels and corrections. What came before --since fills the windows.
Nobody closed the cases that rules would have opened: they are taken to be closed when they are due, and after 48 hours
when the rule promises nothing; --close never leaves them open.`,
		Example: "  closedloop rules backtest -C examples/retail --since 2026-03-01 --until 2026-04-01\n  closedloop rules backtest new-rules.yaml --since 30d --html backtest.html",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.rehearsed(cmd.Context(), &h, func(ctx context.Context, s *session, p *program.Program, of engine.History, tell func(done, total int)) (func() error, error) {
				ref, err := rulesRef(ctx, a, p, first(args, "files"))
				if err != nil {
					return nil, err
				}
				b, err := s.Backtest(ctx, engine.BacktestOptions{Rules: ref, History: of}, tell)
				if err != nil {
					return nil, err
				}
				if page != "" {
					if err := a.writePage(page, p.Name, b); err != nil {
						return nil, err
					}
				}
				return func() error { return a.tellBacktest(s, b) }, nil
			})
		},
	}
	h.add(cmd)
	cmd.Flags().StringVar(&page, "html", "", "write a page with pictures to a `file` as well")
	return a.programFlags(cmd)
}

func (a *app) rulesDiff() *cobra.Command {
	var h historyFlags
	var exitCode bool
	cmd := &cobra.Command{
		Use:   "diff [[OLD] NEW]",
		Short: "Say which items two sets of rules treat differently, and why",
		Long: `diff has two sets of rules decide on the stored feedback as backtest does, and says which items go elsewhere and why,
which alerts only one of them has, and what the rule files say otherwise. Nothing is acted on and nothing is written.

` + refHelp + ` OLD is active when it is left out, and NEW is files: what would change if NEW were activated.`,
		Example: "  closedloop rules diff -C examples/retail --since all\n  closedloop rules diff draft.yaml\n  closedloop rules diff 3f2a90 files --since 7d",
		Args:    cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var found *engine.Diff
			err := a.rehearsed(cmd.Context(), &h, func(ctx context.Context, s *session, p *program.Program, of engine.History, tell func(done, total int)) (func() error, error) {
				o := engine.DiffOptions{History: of}
				var err, err2 error
				older, newer := "active", "files"
				switch len(args) {
				case 1:
					newer = args[0]
				case 2:
					older, newer = args[0], args[1]
				}
				o.Old, err = rulesRef(ctx, a, p, older)
				o.New, err2 = rulesRef(ctx, a, p, newer)
				if err := errors.Join(err, err2); err != nil {
					return nil, err
				}
				d, err := s.Diff(ctx, o, tell)
				if err != nil {
					return nil, err
				}
				found = d
				return func() error { return a.tellDiff(s, d) }, nil
			})
			if err == nil && exitCode && (found.Changed > 0 || len(found.Alerts) > 0) {
				err = &failure{code: exitFailed, message: "the sets differ: " + changedLine(found)}
			}
			return err
		},
	}
	h.add(cmd)
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 1 when an item or an alert differs")
	return a.programFlags(cmd)
}

func first(args []string, otherwise string) string {
	if len(args) == 0 {
		return otherwise
	}
	return args[0]
}

// rehearsed runs a command that tries rules on history, with progress; what it returns then tells the result.
func (a *app) rehearsed(ctx context.Context, h *historyFlags,
	try func(context.Context, *session, *program.Program, engine.History, func(done, total int)) (func() error, error),
) error {
	p, err := a.findProgram(ctx)
	if err != nil {
		return err
	}
	of, err := h.history(a.std.Now(), p.Timezone)
	if err != nil {
		return err
	}
	return a.asked(ctx, func(s *session) error {
		line := &progress{w: a.std.Err, on: a.std.TTY}
		tell, err := try(ctx, s, p, of, func(done, total int) {
			line.say("%s of about %s ...", grouped(done), count(total, "item"))
		})
		line.clear()
		if errors.Is(err, engine.ErrNotFound) {
			return usage("closedloop rules history lists them", "%s", strings.TrimSuffix(err.Error(), ": "+engine.ErrNotFound.Error()))
		}
		if err != nil {
			return err
		}
		return tell()
	})
}

var hashPrefix = regexp.MustCompile(`^(sha256:)?[0-9a-f]{4,64}$`)

// rulesRef finds the rules that a person means, and checks files before they are handed over.
func rulesRef(ctx context.Context, a *app, p *program.Program, name string) (engine.RulesRef, error) {
	switch name {
	case "active":
		return engine.RulesRef{}, nil
	case "files":
		if len(p.RuleProblems) > 0 {
			return engine.RulesRef{}, p.Told(p.RuleProblems)
		}
		return compiled(refTo(p, "the program's files", p.RuleFiles))
	}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && hashPrefix.MatchString(name):
		return engine.RulesRef{Hash: name}, nil
	case err != nil:
		return engine.RulesRef{}, usage("a rule file, a folder, the beginning of the hash of a set, files or active", "there are no rules %q", name)
	case !info.IsDir():
		return readRules(p, name, []string{name})
	}
	if _, err := os.Stat(filepath.Join(name, program.FileName)); err == nil {
		other, err := program.Load(ctx, name, a.reading(false))
		if err != nil {
			return engine.RulesRef{}, err
		}
		return refTo(other, name, other.RuleFiles), nil
	}
	var names []string
	for _, pattern := range []string{"*.yaml", "*.yml"} {
		found, err := filepath.Glob(filepath.Join(name, pattern))
		if err != nil {
			return engine.RulesRef{}, err
		}
		names = append(names, found...)
	}
	names = slices.DeleteFunc(names, func(n string) bool {
		return strings.HasSuffix(strings.TrimSuffix(n, filepath.Ext(n)), "_test")
	})
	if len(names) == 0 {
		return engine.RulesRef{}, usage("", "there are no rule files in %s", name)
	}
	slices.Sort(names)
	return readRules(p, name, names)
}

func readRules(p *program.Program, name string, files []string) (engine.RulesRef, error) {
	ref := refTo(p, name, nil)
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			return ref, err
		}
		ref.Files = append(ref.Files, rules.File{Name: filepath.ToSlash(f), Data: data})
	}
	return compiled(ref)
}

// refTo refers to files in the surroundings of a program.
func refTo(p *program.Program, name string, files []rules.File) engine.RulesRef {
	env := p.RuleEnv
	return engine.RulesRef{Name: name, Files: files, Env: &engine.RulesEnv{
		Attributes: env.Attributes, CustomerAttributes: env.CustomerAttributes, Queues: env.Queues, Destinations: env.Destinations,
		Timezone: p.Timezone.String(),
	}}
}

// compiled compiles the files, so that what is wrong with them is told with its place.
func compiled(ref engine.RulesRef) (engine.RulesRef, error) {
	zone, err := time.LoadLocation(ref.Env.Timezone)
	if err == nil {
		_, err = rules.Compile(ref.Files, rules.Env{
			Attributes: ref.Env.Attributes, CustomerAttributes: ref.Env.CustomerAttributes, Queues: ref.Env.Queues,
			Destinations: ref.Env.Destinations, Timezone: zone,
		})
	}
	return ref, err
}

// writePage writes a backtest as a page.
func (a *app) writePage(file, program string, b *engine.Backtest) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(backtestPage(f, program, b), f.Close())
}

// setLine names a set with the beginning of its hash.
func setLine(name, hash string) string {
	if h := short(hash); h != name {
		return fmt.Sprintf("%s (ruleset %s)", name, h)
	}
	return "ruleset " + name
}
