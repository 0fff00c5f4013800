package cli

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

func (a *app) alertsCommand() *cobra.Command {
	list := a.showAlerts()
	list.Use, list.Example = "list", "  closedloop alerts list -C examples/retail --since 24h"
	return group("alerts", "See alerts, and keep them quiet for a time",
		`alerts are what rules say people should look at. A silence keeps those quiet of which somebody knows: they go on, and
nobody is told of them until the silence ends.`,
		"  closedloop alerts list\n  closedloop alerts silence --rule 'theme-*' --key packaging --for 4h --why 'the new box'",
		list, a.silenceCommand(), a.silencesCommand(), a.unsilenceCommand())
}

func (a *app) silenceCommand() *cobra.Command {
	var q engine.Silence
	var duration string
	cmd := &cobra.Command{
		Use:   "silence",
		Short: "Keep alerts quiet for a time",
		Long: `silence keeps the alerts of a rule, or of one key of it, from being told. In --rule and --key * stands for any text and
? for one character.`,
		Example: "  closedloop alerts silence --rule nps-drop --key checkout --for 2h --why 'the outage is known'",
		Args:    exact(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := feedback.ParseDuration(duration)
			if err != nil {
				return usage("such as --for 4h", "--for: %v", err)
			}
			q.Ends = feedback.TimeOf(a.std.Now().Add(d))
			return a.asked(cmd.Context(), func(s *session) error {
				made, err := s.Silence(cmd.Context(), q)
				if errors.Is(err, engine.ErrDenied) {
					return err
				}
				if err != nil {
					return &failure{code: exitInput, message: err.Error(), hint: "closedloop alerts silence --help tells what is needed"}
				}
				covered, err := covers(cmd.Context(), s, &made)
				if err != nil {
					return err
				}
				return a.silenced(s, made, fmt.Sprintf("until %s, of %s now", instant(made.Ends, s.zone), count(covered, "alert")))
			})
		},
	}
	a.programFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&q.Rule, "rule", "", "the `id` of the rule, or a pattern")
	f.StringVar(&q.Key, "key", "", "the `key` of the alert, or a pattern")
	f.StringVar(&duration, "for", "", "how long, such as 4h or 2d")
	f.StringVar(&q.Why, "why", "", "the `reason`")
	f.StringVar(&q.By, "by", whoAmI(), "`who` is silent about it")
	return cmd
}

// covers returns how many of the alerts that there are now a silence is about.
func covers(ctx context.Context, s *session, q *engine.Silence) (n int, err error) {
	alerts, err := s.Alerts(ctx)
	for i := range alerts {
		if q.Covers(alerts[i].Rule, alerts[i].Key) {
			n++
		}
	}
	return n, err
}

// whoAmI returns the name of the person at the keyboard.
func whoAmI() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

func (a *app) silenced(s *session, q engine.Silence, what string) error {
	if a.json {
		return a.printJSON(q)
	}
	_, err := fmt.Fprintf(a.std.Out, "silence %s %s\n", q.ID, what)
	return err
}

func (a *app) silencesCommand() *cobra.Command {
	return listed(a, &cobra.Command{
		Use:     "silences",
		Short:   "List silences, also those that have ended within a week",
		Example: "  closedloop alerts silences -C examples/retail",
	}, func(ctx context.Context, s *session) ([]engine.Silence, error) { return s.Silences(ctx) }, a.silencesTable)
}

func (a *app) silencesTable(s *session, list []engine.Silence) {
	if len(list) == 0 {
		a.none("silences")
		return
	}
	now := feedback.TimeOf(a.std.Now())
	t := newTable(ident("id"), text("state"), text("rule"), text("key"), text("from"), text("until"), text("by"), elastic("why"))
	for _, q := range list {
		state := "holds"
		switch {
		case q.Ends <= now:
			state = "ended"
		case q.Starts > now:
			state = "waits"
		}
		t.add(q.ID, state, q.Rule, q.Key, instant(q.Starts, s.zone), instant(q.Ends, s.zone), q.By, q.Why)
	}
	t.write(a.std.Out, a.std.Width)
}

func (a *app) unsilenceCommand() *cobra.Command {
	var by engine.Actor
	var why string
	cmd := &cobra.Command{
		Use:     "unsilence ID",
		Short:   "End a silence now",
		Example: "  closedloop alerts unsilence s_2c26b46b68ffc68f",
		Args:    exact(1, "the id of a silence, which closedloop alerts silences lists"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.asked(cmd.Context(), func(s *session) error {
				ended, err := s.Unsilence(cmd.Context(), by, args[0], why)
				if err != nil {
					return err
				}
				return a.silenced(s, ended, "has ended after "+ended.Ends.Std().Sub(ended.Starts.Std()).Round(time.Second).String())
			})
		},
	}
	a.programFlags(cmd)
	whoAndWhy(cmd, &by.Name, &why)
	return cmd
}

func (a *app) showWindows() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:     "windows",
		Short:   "Show what the windows of the rules tell now",
		Example: "  closedloop show windows -C examples/retail --name nps_7d",
	}
	cmd.Flags().StringVar(&name, "name", "", "only the window with this `name`")
	return listed(a, cmd, func(ctx context.Context, s *session) ([]rules.WindowFigure, error) {
		return s.Windows(ctx, name)
	}, a.windowsTable)
}

func (a *app) windowsTable(_ *session, figures []rules.WindowFigure) {
	if len(figures) == 0 {
		a.none("observations in windows")
		return
	}
	number := func(v *float64) string {
		if v == nil {
			return "unknown"
		}
		return strconv.FormatFloat(*v, 'g', 4, 64)
	}
	t := newTable(text("window"), elastic("key"), digits("n"), digits("value"), digits("low"), digits("high"))
	for _, f := range figures {
		t.add(f.Window, strings.Join(f.Key, ", "), grouped(int(f.N)), number(f.Value), number(f.Lo), number(f.Hi))
	}
	t.write(a.std.Out, a.std.Width)
}
