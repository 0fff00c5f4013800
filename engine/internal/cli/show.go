package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/feedback"
)

func (a *app) showCommand() *cobra.Command {
	return group("show", "Show what a program remembers",
		"show asks a program's state: of the running engine when there is one, and else by opening it.",
		`  closedloop show items -C examples/retail --class detractor --since 7d
  closedloop show cases --status open --queue product
  closedloop show deliveries --json`,
		a.showItems(), a.showItem(), a.showDecisions(), a.showThemes(), a.showCases(), a.showAlerts(), a.showWindows(), a.showDeliveries(),
		a.showDead(), a.showStats(), a.showMetrics())
}

// listed makes a command that lists something: ask gets it, and table writes it for people.
func listed[T any](a *app, cmd *cobra.Command, ask func(context.Context, *session) (T, error), write func(*session, T)) *cobra.Command {
	if cmd.Args == nil {
		cmd.Args = exact(0, "")
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.asked(cmd.Context(), func(s *session) error {
			v, err := ask(cmd.Context(), s)
			switch {
			case err != nil:
				return err
			case a.json:
				return a.printJSON(v)
			}
			write(s, v)
			return nil
		})
	}
	return a.programFlags(cmd)
}

// filters are flags that choose what is listed.
type filters struct {
	since string
	limit int
}

func (f *filters) addLimit(cmd *cobra.Command) {
	cmd.Flags().IntVar(&f.limit, "limit", 50, "list at most `n`")
}

func (f *filters) addSince(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.since, "since", "", "only from this `time` on: 7d, 36h, 2026-03-02 or 2026-03-02T10:00:00Z")
}

// from returns the instant that --since means.
func (f *filters) from(now time.Time, zone *time.Location) (feedback.Time, error) {
	return instantOf("--since", f.since, now, zone)
}

// instantOf returns the instant that the value of a flag means, and 0 for none.
func instantOf(flag, value string, now time.Time, zone *time.Location) (feedback.Time, error) {
	if value == "" {
		return 0, nil
	}
	if d, err := feedback.ParseDuration(value); err == nil {
		return feedback.TimeOf(now.Add(-d)), nil
	}
	if t, err := time.Parse(time.RFC3339, value); err == nil {
		return feedback.TimeOf(t), nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, value, zone); err == nil {
		return feedback.TimeOf(t), nil
	}
	return 0, usage("", "%s: found %q, expected 7d, 36h, 2026-03-02 or 2026-03-02T10:00:00Z", flag, value)
}

// check notes a limit that lists nothing.
func (f *filters) check() error {
	if f.limit < 1 {
		return usage("", "--limit: found %d, expected at least 1", f.limit)
	}
	return nil
}

func (a *app) showItems() *cobra.Command {
	var q engine.ItemQuery
	var f filters
	var theme, class string
	cmd := &cobra.Command{
		Use:   "items",
		Short: "List items, the latest feedback first",
		Example: "  closedloop show items -C examples/retail --queue product --limit 20\n" +
			"  closedloop show items --class detractor --theme shipping --since 7d --json",
	}
	cmd.Flags().StringVar(&q.Source, "source", "", "only of the source with this `id`")
	cmd.Flags().StringVar(&q.Queue, "queue", "", "only those routed to this `queue`")
	cmd.Flags().StringVar(&q.Customer, "customer", "", "only of the customer with this `id`")
	cmd.Flags().StringVar(&theme, "theme", "", "only with this `theme` or one below it")
	cmd.Flags().StringVar(&class, "class", "", "only detractor, passive or promoter")
	f.addSince(cmd)
	f.addLimit(cmd)
	ask := func(ctx context.Context, s *session) (out []engine.Item, err error) {
		if class != "" {
			classes := []string{string(feedback.Detractor), string(feedback.Passive), string(feedback.Promoter)}
			if _, err := oneOf("--class", class, classes...); err != nil {
				return nil, err
			}
		}
		if q.Since, err = f.from(a.std.Now(), s.zone); err != nil {
			return nil, err
		}
		q.Theme, q.Class, q.Limit = feedback.ThemePath(theme), feedback.NPSClass(class), f.limit
		return s.Items(ctx, q)
	}
	return listed(a, limited(cmd, &f), ask, a.itemsTable)
}

// limited has the limit checked before anything is opened.
func limited(cmd *cobra.Command, f *filters) *cobra.Command {
	cmd.PreRunE = func(*cobra.Command, []string) error { return f.check() }
	return cmd
}

// about makes a command that tells of one item.
func about[T any](a *app, cmd *cobra.Command, ask func(context.Context, *session, feedback.ItemID) (T, error), write func(*session, T)) *cobra.Command {
	var typed string
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := exact(1, itemIDs)(cmd, args); err != nil {
			return err
		}
		typed = args[0]
		return nil
	}
	return listed(a, cmd, func(ctx context.Context, s *session) (T, error) {
		id, err := s.item(ctx, typed)
		if err != nil {
			var none T
			return none, err
		}
		return ask(ctx, s, id)
	}, write)
}

func (a *app) showItem() *cobra.Command {
	return about(a, &cobra.Command{
		Use:     "item ID",
		Short:   "Show one item",
		Example: "  closedloop show item -C examples/retail f_01KK6SPQ48",
	}, func(ctx context.Context, s *session, id feedback.ItemID) (*engine.Item, error) {
		return s.Item(ctx, id)
	}, a.itemText)
}

func (a *app) showDecisions() *cobra.Command {
	return about(a, &cobra.Command{
		Use:     "decisions ITEM",
		Short:   "List what was decided on an item, the first decision first",
		Example: "  closedloop show decisions -C examples/retail f_01KK6SPQ48",
	}, func(ctx context.Context, s *session, id feedback.ItemID) (decisions, error) {
		return s.Decisions(ctx, id)
	}, a.decisionsText)
}

func (a *app) showThemes() *cobra.Command {
	var f filters
	cmd := &cobra.Command{
		Use:     "themes",
		Short:   "List the themes that were found, the most frequent first",
		Example: "  closedloop show themes -C examples/retail --since 30d",
	}
	f.addSince(cmd)
	f.addLimit(cmd)
	ask := func(ctx context.Context, s *session) ([]engine.Theme, error) {
		since, err := f.from(a.std.Now(), s.zone)
		if err != nil {
			return nil, err
		}
		found, err := s.Themes(ctx, engine.MetricQuery{Since: since})
		return found[:min(len(found), f.limit)], err
	}
	return listed(a, limited(cmd, &f), ask, a.themesTable)
}

func (a *app) showCases() *cobra.Command {
	var q engine.CaseQuery
	var f filters
	var status string
	cmd := &cobra.Command{
		Use:     "cases",
		Short:   "List cases: the open ones by what is due first, then the others",
		Example: "  closedloop show cases -C examples/retail --status open --queue product\n  closedloop show cases --breached",
	}
	states := []string{string(feedback.CaseOpen)}
	for _, st := range feedback.CaseStatuses() {
		states = append(states, string(st))
	}
	cmd.Flags().StringVar(&status, "status", "", "only "+list(states)+"; open stands for all but resolved and closed")
	cmd.Flags().StringVar(&q.Queue, "queue", "", "only of this `queue`")
	cmd.Flags().StringVar(&q.Owner, "owner", "", "only of this `person`")
	cmd.Flags().StringVar(&q.Customer, "customer", "", "only of the customer with this `id`")
	cmd.Flags().BoolVar(&q.Breached, "breached", false, "only those without a response in time")
	cmd.Flags().BoolVar(&q.Overdue, "overdue", false, "only those without a resolution in time")
	f.addLimit(cmd)
	ask := func(ctx context.Context, s *session) ([]feedback.Case, error) {
		if status != "" {
			if _, err := oneOf("--status", status, states...); err != nil {
				return nil, err
			}
		}
		q.Status, q.Limit = feedback.CaseStatus(status), f.limit
		if !a.json {
			q.Limit++ // one that is not listed tells that there are more
		}
		found, err := s.Cases(ctx, q)
		if err == nil && len(found) == 0 {
			a.oddQueue(s, q.Queue)
		}
		return found, err
	}
	return listed(a, limited(cmd, &f), ask, func(s *session, cases []feedback.Case) {
		a.casesTable(s, cases[:min(len(cases), f.limit)])
		if len(cases) > f.limit {
			fmt.Fprintf(a.std.Out, "\nand more than these %s: --limit\n", grouped(f.limit))
		}
	})
}

func (a *app) showAlerts() *cobra.Command {
	var f filters
	cmd := &cobra.Command{
		Use:     "alerts",
		Short:   "List alerts, the latest first",
		Example: "  closedloop show alerts -C examples/retail --since 24h",
	}
	f.addSince(cmd)
	f.addLimit(cmd)
	ask := func(ctx context.Context, s *session) ([]feedback.Alert, error) {
		since, err := f.from(a.std.Now(), s.zone)
		if err != nil {
			return nil, err
		}
		alerts, err := s.Alerts(ctx)
		alerts = slices.DeleteFunc(alerts, func(al feedback.Alert) bool { return al.LastAt < since })
		return alerts[:min(len(alerts), f.limit)], err
	}
	return listed(a, limited(cmd, &f), ask, a.alertsTable)
}

func (a *app) showDead() *cobra.Command {
	var f filters
	var kind string
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "List dead letters, the latest first",
		Long: `dead letters wait for a person: rows that are no items, items that a plugin could not survive, and deliveries that
were given up. Items and deliveries can be tried again with closedloop replay.`,
		Example: "  closedloop show dead -C examples/retail --kind row",
	}
	cmd.Flags().StringVar(&kind, "kind", "", "only row, item or delivery")
	f.addLimit(cmd)
	ask := func(ctx context.Context, s *session) ([]feedback.DeadLetter, error) {
		if kind != "" {
			kinds := []string{string(feedback.DeadRow), string(feedback.DeadItem), string(feedback.DeadDelivery)}
			if _, err := oneOf("--kind", kind, kinds...); err != nil {
				return nil, err
			}
		}
		return s.DeadLetters(ctx, feedback.DeadLetterKind(kind), f.limit)
	}
	return listed(a, limited(cmd, &f), ask, a.deadTable)
}

func (a *app) showStats() *cobra.Command {
	return listed(a, &cobra.Command{
		Use:     "stats",
		Short:   "Show where the program stands: themes, NPS, queues, cases, deliveries",
		Example: "  closedloop show stats -C examples/retail",
	}, func(ctx context.Context, s *session) (*engine.Stats, error) { return s.Stats(ctx) }, a.statsText)
}

func (a *app) showMetrics() *cobra.Command {
	return listed(a, &cobra.Command{
		Use:     "metrics",
		Short:   "Show what the running engine has done since it was started",
		Example: "  closedloop show metrics -C examples/retail --json",
	}, func(ctx context.Context, s *session) (*engine.Metrics, error) {
		client, ok := s.Queries.(*engine.Client)
		if !ok {
			return nil, &failure{code: exitFailed, message: "no engine is running on " + s.dir, hint: "start one with closedloop run; closedloop show stats needs none"}
		}
		m, err := client.Metrics(ctx)
		return &m, err
	}, a.metricsText)
}
