package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/suggest"
)

func (a *app) customerErase() *cobra.Command {
	var e engine.Erasure
	var yes bool
	cmd := &cobra.Command{
		Use:   "erase CUSTOMER",
		Short: "Erase a person everywhere, and keep a receipt",
		Long: `erase takes a person out of the program's state: feedback, labels, decisions, cases, messages that wait, dead letters,
alerts, windows, what plugins keep under the person's name, and what the audit log says of them. Reading the sources again
brings nothing back. Sums stay: they are of no person. The receipt tells what went and what is left; it does not name the
person, and neither must the reason. Without --yes it tells only what would go.

CUSTOMER is the id, or the e-mail address of a customer without one. Afterwards, closedloop store compact removes the freed
bytes from the files.`,
		Example: "  closedloop customer erase C-21264 --why 'request 1207'\n  closedloop customer erase C-21264 --why 'request 1207' --yes",
		Args:    exact(1, "the id of a customer"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.asked(cmd.Context(), func(s *session) error {
				act := e
				act.Customer, act.Rehearse = args[0], act.Rehearse || !yes
				r, err := s.EraseCustomer(cmd.Context(), act)
				if errors.Is(err, engine.ErrNotFound) {
					return usage("closedloop customer list NAME finds the ids of customers", "there is nothing of a customer %q", args[0])
				}
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(r)
				}
				a.receiptText(s, r)
				if act.Rehearse && !e.Rehearse {
					fmt.Fprintln(a.std.Out, "\nnothing was erased: add --yes to do it, which cannot be undone")
				}
				return nil
			})
		},
	}
	f := a.programFlags(cmd).Flags()
	f.StringVar(&e.Why, "why", "", "the `reason`, such as the number of the request")
	f.StringVar(&e.By.Name, "by", whoAmI(), "`who` does it")
	f.StringSliceVar(&e.By.Roles, "role", nil, "a `role` of who does it, for the host to judge")
	f.BoolVar(&e.Rehearse, "dry-run", false, "tell what would go, and do nothing")
	f.BoolVar(&yes, "yes", false, "erase")
	return cmd
}

func (a *app) customerErasures() *cobra.Command {
	return listed(a, &cobra.Command{
		Use:     "erasures",
		Short:   "Show the receipts of erasures",
		Example: "  closedloop customer erasures\n  closedloop customer erasures --json",
	}, func(ctx context.Context, s *session) ([]engine.ErasureReceipt, error) { return s.Erasures(ctx) }, func(s *session, all []engine.ErasureReceipt) {
		if len(all) == 0 {
			a.none("erasures")
		}
		for i := range all {
			if i > 0 {
				fmt.Fprintln(a.std.Out)
			}
			a.receiptText(s, &all[i])
		}
	})
}

func (a *app) receiptText(s *session, r *engine.ErasureReceipt) {
	var f facts
	if r.N > 0 {
		f.add("erasure", fmt.Sprint(r.N))
		f.add("begun", instant(r.At, s.zone)+" by "+r.Who)
		f.add("why", r.Why)
		f.add("whole", instant(r.DoneAt, s.zone))
	}
	f.add("gone", goneLine(&r.Gone))
	f.add("kept", "sums and distributions, which are of no person")
	var sent []string
	for _, m := range r.Left.Sent {
		sent = append(sent, fmt.Sprintf("%s to %s, the last made %s", count(m.Messages, "message"), m.Destination, instant(m.LastAt, s.zone)))
	}
	f.add("has left", strings.Join(sent, "; "))
	if r.Left.Pairs > 0 {
		f.add("with plugins", fmt.Sprintf("%s that %s the person, which only the plugin can read", count(r.Left.Pairs, "value"), mention(r.Left.Pairs)))
	}
	f.add("not searched", "checkpoints of sources, rule files, logs")
	switch until := r.Left.BackupsUntil; {
	case r.Left.Backups == 0:
	case until != 0:
		f.add("in backups", fmt.Sprintf("%s, until %s; after restoring one, erase again", count(r.Left.Backups, "backup"), instant(until, s.zone)))
	default:
		f.add("in backups", fmt.Sprintf("%s, the last of %s; retention.backups does not say how long they are kept; after restoring one, erase again",
			count(r.Left.Backups, "backup"), instant(r.Left.LastBackup, s.zone)))
	}
	f.add("in files", "the freed bytes, until closedloop store compact")
	f.write(a.std.Out, a.std.Width)
}

func mention(n int) string {
	if n == 1 {
		return "mentions"
	}
	return "mention"
}

func goneLine(g *engine.ErasureCounts) string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{
		{g.Items, "item"}, {g.Cases, "case"}, {g.Messages, "waiting message"}, {g.DeadLetters, "dead letter"}, {g.Alerts, "record of alerts"},
		{g.Windows, "window"}, {g.Throttles, "throttle"}, {g.Timers, "timer"}, {g.Pairs, "pair of plugins"}, {g.Entries, "content of the audit log"},
		{g.Notices, "notice of imports"},
	} {
		if p.n > 0 {
			noun, rest, _ := strings.Cut(p.what, " of ")
			text := count(p.n, noun)
			if rest != "" {
				text += " of " + rest
			}
			parts = append(parts, text)
		}
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

func (a *app) holdCommand() *cobra.Command {
	list := listed(a, &cobra.Command{
		Use:     "list",
		Short:   "List what is held",
		Example: "  closedloop hold list",
	}, func(ctx context.Context, s *session) ([]engine.Hold, error) { return s.Holds(ctx) }, func(s *session, all []engine.Hold) {
		if len(all) == 0 {
			a.none("holds")
			return
		}
		t := newTable(text("customer"), text("source"), text("since"), text("by"), elastic("why"))
		for _, h := range all {
			t.add(h.Customer, h.Source, instant(h.At, s.zone), h.By, h.Why)
		}
		t.write(a.std.Out, a.std.Width)
	})
	return group("hold", "Keep what there is of a customer or a source",
		"a hold keeps what there is of a customer, or of a source, from being erased and from retention, until it is removed.",
		"  closedloop hold add --customer C-21264 --why 'claim 88'\n  closedloop hold list\n  closedloop hold remove --customer C-21264 --why 'settled'",
		a.holdChange("add", "Put a hold on a customer or a source", false), list, a.holdChange("remove", "Take a hold away", true))
}

func (a *app) holdChange(use, short string, release bool) *cobra.Command {
	c := engine.HoldChange{Release: release}
	cmd := &cobra.Command{
		Use:     use,
		Short:   short,
		Example: "  closedloop hold " + use + " --customer C-21264 --why 'claim 88'",
		Args:    exact(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.asked(cmd.Context(), func(s *session) error {
				h, err := s.ChangeHold(cmd.Context(), c)
				if errors.Is(err, engine.ErrNotFound) {
					return usage("closedloop hold list tells what is held", "there is no hold on %s%s", c.Customer, c.Source)
				}
				if err != nil {
					return err
				}
				if !release {
					a.oddHold(cmd.Context(), s, c)
				}
				if a.json {
					return a.printJSON(h)
				}
				state := "held"
				if release {
					state = "released"
				}
				_, err = fmt.Fprintf(a.cleaned(), "%s%s is %s\n", h.Customer, h.Source, state)
				return err
			})
		},
	}
	f := a.programFlags(cmd).Flags()
	f.StringVar(&c.Customer, "customer", "", "the `id` of a customer, or the e-mail address of one without")
	f.StringVar(&c.Source, "source", "", "the `id` of a source")
	f.StringVar(&c.Why, "why", "", "the `reason`")
	f.StringVar(&c.By.Name, "by", whoAmI(), "`who` does it")
	f.StringSliceVar(&c.By.Roles, "role", nil, "a `role` of who does it, for the host to judge")
	return cmd
}

// oddHold warns of a hold on what there is nothing of: it was probably misspelt, and something else is not held.
func (a *app) oddHold(ctx context.Context, s *session, c engine.HoldChange) {
	if c.Source != "" && !slices.Contains(s.sources, c.Source) {
		a.warn("the program has no source "+strconv.Quote(c.Source), suggest.DidYouMean(c.Source, s.sources))
	}
	if c.Customer == "" {
		return
	}
	if _, err := s.Customer(ctx, c.Customer); !errors.Is(err, engine.ErrNotFound) {
		return
	}
	if found, err := s.Customers(ctx, engine.CustomerQuery{Text: c.Customer, Limit: 1}); err == nil && len(found) == 0 {
		a.warn("there is no feedback of a customer "+strconv.Quote(c.Customer), "closedloop customer list NAME finds the ids of customers")
	}
}

func (a *app) retentionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "retention",
		Short: "Show what is older than the program keeps it",
		Long: `retention shows what the engine would take out now because it is older than program.yaml keeps it, under retention.
The engine does so by itself once a day while it runs, the oldest first. What is held stays, and so does an item while its
case is open. The command changes nothing.`,
		Example: "  closedloop retention --dry-run",
	}
	listed(a, cmd, func(ctx context.Context, s *session) (*engine.RetentionReport, error) { return s.Retention(ctx) }, func(s *session, r *engine.RetentionReport) {
		var f facts
		f.add("items", grouped(int(r.Items)))
		f.add("cases", grouped(int(r.Cases)))
		f.add("decisions", grouped(int(r.Decisions)))
		f.add("dead letters", grouped(int(r.DeadLetters)))
		if r.Held > 0 {
			f.add("held", count(int(r.Held), "item")+", see closedloop hold list")
		}
		if r.Open > 0 {
			f.add("open", count(int(r.Open), "item")+" with an open case")
		}
		f.add("next", instant(r.NextAt, s.zone))
		f.write(a.std.Out, a.std.Width)
	})
	cmd.Flags().Bool("dry-run", true, "change nothing, which it never does")
	return cmd
}
