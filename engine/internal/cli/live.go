package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/engine"
)

// running runs a command that only a running engine can answer.
func (a *app) running(ctx context.Context, f func(*engine.Client) error) error {
	return a.asked(ctx, func(s *session) error {
		client, ok := s.Queries.(*engine.Client)
		if !ok {
			return &failure{code: exitFailed, message: "no engine is running on " + s.dir, hint: "start one with closedloop run"}
		}
		return f(client)
	})
}

func (a *app) pluginList() *cobra.Command {
	return a.programFlags(&cobra.Command{
		Use:   "list",
		Short: "Show how the plugins of the running engine are",
		Long: `list shows which version of each plugin serves in the running engine, and which are paused because they kept
failing: until when and why.`,
		Example: "  closedloop plugin list -C examples/retail",
		Args:    exact(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.running(cmd.Context(), func(c *engine.Client) error {
				states, err := c.Plugins(cmd.Context())
				if err != nil {
					return err
				}
				return a.tellPlugins(states)
			})
		},
	})
}

func (a *app) tellPlugins(states []engine.PluginState) error {
	if a.json {
		return a.printJSON(states)
	}
	t := newTable(text("id"), text("name"), narrow("version"), text("state"), elastic("reason"))
	for _, s := range states {
		state := "serves"
		if s.Paused {
			state = "paused until " + s.Until.Local().Format(time.TimeOnly)
		}
		t.add(s.ID, s.Name, s.Version, state, s.Reason)
	}
	t.write(a.std.Out, a.std.Width)
	return nil
}

func (a *app) pluginResume() *cobra.Command {
	return a.programFlags(&cobra.Command{
		Use:   "resume ID",
		Short: "Have a paused plugin tried again at once",
		Long: `resume ends the pause of a plugin that kept failing: it is called again at once. A pause ends by itself too, when its
time is over and the plugin works. The id is the one in program.yaml.`,
		Example: "  closedloop plugin resume -C examples/retail themes",
		Args:    exact(1, "the id of a plugin"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.running(cmd.Context(), func(c *engine.Client) error {
				state, err := c.ResumePlugin(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return a.tellPlugins([]engine.PluginState{state})
			})
		},
	})
}

func (a *app) reloadCommand() *cobra.Command {
	return a.programFlags(&cobra.Command{
		Use:   "reload [PROGRAM]",
		Short: "Have the running engine read its program again",
		Long: `reload has the running engine read its program again. Plugins whose code, settings, grants or limits changed are
loaded and tried beside those that serve, and take their places between two calls. Rule files that changed decide from
then on when they compile, nothing that blocks is found in them and their tests pass. What is not taken changes nothing.
A running engine notices changed files by itself; this is for where it cannot, and to see what came of it.`,
		Example: "  closedloop reload examples/retail",
		Args:    a.programArgument,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.running(cmd.Context(), func(c *engine.Client) error {
				done, err := c.Reload(cmd.Context())
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(done)
				}
				if len(done.Swapped)+len(done.Restart) == 0 && done.Rules == nil {
					fmt.Fprintln(a.std.Out, "nothing changed")
				}
				if len(done.Swapped) > 0 {
					if err := a.tellPlugins(done.Swapped); err != nil {
						return err
					}
				}
				if r := done.Rules; r != nil {
					fmt.Fprintf(a.std.Out, "rules: ruleset %s with %s decides from now on (activation %d)\n", short(r.Ruleset), count(r.Rules, "rule"), r.Number)
				}
				for _, what := range done.Restart {
					fmt.Fprintf(a.std.Out, "changed, and taken with the next start: %s\n", what)
				}
				return nil
			})
		},
	})
}
