package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/suggest"
)

func (a *app) casesCommand() *cobra.Command {
	list := a.showCases()
	list.Use, list.Example = "list", "  closedloop cases list -C examples/retail --status open --queue product\n  closedloop cases list --breached"
	return group("cases", "Work on cases, and report on them",
		`a case is the promise that somebody takes care of a piece of feedback. What is done to it stands in its history and in
the audit log, with who and why. The beginning of an id is enough when only one case has it.`,
		`  closedloop cases list --status open
  closedloop cases assign k_01KJQ6PSG0 --owner anna
  closedloop cases attempt k_01KJQ6PSG0 --channel phone --result reached
  closedloop cases resolve k_01KJQ6PSG0 --outcome refunded`,
		list, a.caseShow(), a.caseAssign(), a.caseBegin(), a.caseAttempt(), a.caseHold(), a.caseResume(), a.caseResolve(), a.caseClose(),
		a.caseReopen(), a.caseNote(), a.caseReport())
}

func (a *app) caseShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show CASE",
		Short:   "Show a case with its attempts and its history",
		Example: "  closedloop cases show k_01KJQ6PSG0",
		Args:    exact(1, "the id of a case"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.asked(cmd.Context(), func(s *session) error {
				id, err := s.kase(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				c, err := s.Case(cmd.Context(), id)
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(c)
				}
				a.caseText(s, c)
				return nil
			})
		},
	}
	return a.programFlags(cmd)
}

// kase returns the id of the case that a person means by a whole id or the beginning of one.
func (s *session) kase(ctx context.Context, typed string) (feedback.CaseID, error) {
	prefix := "k_" + strings.ToUpper(strings.TrimPrefix(strings.ToLower(strings.TrimSuffix(typed, "…")), "k_"))
	if prefix == "k_" {
		return "", noID("case", typed, "closedloop cases list")
	}
	found, err := s.Cases(ctx, engine.CaseQuery{Prefix: prefix, Limit: 2})
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", usage("closedloop cases list lists what there is", "there is no case %q", typed)
	case len(found) > 1:
		return "", usage("add more of the id: closedloop cases list lists them", "more than one case has an id that begins with %s", typed)
	}
	return found[0].ID, nil
}

// noID refuses what a script hands over when it has no id: it would mean the only one that there is.
func noID(what, typed, lists string) error {
	return usage(lists+" lists what there is", "found %q, expected at least the beginning of the id of a %s", typed, what)
}

// acting makes a command that does something to a case. flags adds what it needs to what it does, which is act.
func (a *app) acting(action engine.Action, short, example string, flags func(*pflag.FlagSet, *engine.CaseAction)) *cobra.Command {
	act := engine.CaseAction{Action: action}
	var roles []string
	cmd := &cobra.Command{
		Use:     string(action) + " CASE",
		Short:   short,
		Example: "  closedloop cases " + string(action) + " k_01KJQ6PSG0" + example,
		Args:    exact(1, "the id of a case, which closedloop cases list lists"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.asked(cmd.Context(), func(s *session) (err error) {
				if act.Case, err = s.kase(cmd.Context(), args[0]); err != nil {
					return err
				}
				act.By.Roles = roles
				a.oddQueue(s, act.To.Queue)
				c, err := s.ActOnCase(cmd.Context(), act)
				if err != nil {
					return lacking(err, cmd.CommandPath()+" "+args[0]+example)
				}
				return a.caseStands(s, &c)
			})
		},
	}
	a.programFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&act.Why, "why", "", "the `reason`")
	f.StringVar(&act.By.Name, "by", whoAmI(), "`who` does it")
	f.StringSliceVar(&roles, "role", nil, "a `role` of who does it, for the host to judge")
	if flags != nil {
		flags(f, &act)
	}
	return cmd
}

// oddQueue warns of a queue that the program does not declare, which may be one that rules of before still name.
func (a *app) oddQueue(s *session, queue string) {
	if queue != "" && !slices.Contains(s.queues, queue) {
		a.warn("the program has no queue "+strconv.Quote(queue), suggest.DidYouMean(queue, s.queues))
	}
}

// lacking adds to an error of what has to be said how that is said.
func lacking(err error, example string) error {
	if !errors.Is(err, engine.ErrMissing) {
		return err
	}
	f := diagnose(err)
	f.hint = "such as: " + example
	return f
}

// caseStands tells how a case stands after somebody has done something to it.
func (a *app) caseStands(s *session, c *feedback.Case) error {
	if a.json {
		return a.printJSON(c)
	}
	line := string(c.ID) + " is " + string(c.Status)
	if where := strings.Trim(c.Queue+"/"+c.Owner, "/"); where != "" {
		line += " at " + where
	}
	switch {
	case c.DueAt != 0:
		line += ", first response due " + instant(c.DueAt, s.zone)
	case c.ResolveBy != 0:
		line += ", to be resolved by " + instant(c.ResolveBy, s.zone)
	}
	_, err := fmt.Fprintln(a.cleaned(), line)
	return err
}

func (a *app) caseAssign() *cobra.Command {
	return a.acting(engine.ActionAssign, "Move a case to a queue or an owner, or change its priority", " --queue product --owner ben",
		func(f *pflag.FlagSet, act *engine.CaseAction) {
			f.StringVar(&act.To.Queue, "queue", "", "the `queue`; one of its own takes the case from its owner")
			f.StringVar(&act.To.Owner, "owner", "", "the `person` who takes care")
			f.StringVar(&act.To.Priority, "priority", "", "low, normal, high or urgent")
		})
}

func (a *app) caseBegin() *cobra.Command {
	return a.acting(engine.ActionBegin, "Note that work on a case has begun", "", nil)
}

func (a *app) caseAttempt() *cobra.Command {
	return a.acting(engine.ActionAttempt, "Note an attempt to reach the customer", " --channel phone --result voicemail",
		func(f *pflag.FlagSet, act *engine.CaseAction) {
			f.StringVar(&act.Attempt.Channel, "channel", "", "such as phone or email")
			f.StringVar(&act.Attempt.Result, "result", "", "such as reached, voicemail or no_answer; the report counts each word apart")
			f.StringVar(&act.Attempt.Note, "note", "", "what was said")
		})
}

func (a *app) caseHold() *cobra.Command {
	return a.acting(engine.ActionHold, "Stop the clocks of a case", " --why 'asks the supplier'",
		func(f *pflag.FlagSet, act *engine.CaseAction) {
			f.BoolVar(&act.ForCustomer, "customer", false, "it waits for the customer")
		})
}

func (a *app) caseResume() *cobra.Command {
	return a.acting(engine.ActionResume, "Start the clocks of a case again", "", nil)
}

func resolutionFlags(f *pflag.FlagSet, act *engine.CaseAction) {
	f.StringVar(&act.Resolution.Outcome, "outcome", "", "how it ended, such as refunded")
	f.StringVar(&act.Resolution.RootCause, "cause", "", "the root `cause`, such as packaging")
	f.StringVar(&act.Resolution.Action, "action", "", "what was `done` about it")
}

func (a *app) caseResolve() *cobra.Command {
	return a.acting(engine.ActionResolve, "End the work on a case; it is reopened when the customer is unhappy again", " --outcome refunded", resolutionFlags)
}

func (a *app) caseClose() *cobra.Command {
	return a.acting(engine.ActionClose, "End a case; only a person reopens it", " --outcome refunded --cause packaging --action 'a new box'", resolutionFlags)
}

func (a *app) caseReopen() *cobra.Command {
	return a.acting(engine.ActionReopen, "Take a case up again", " --why 'the refund did not arrive'", nil)
}

func (a *app) caseNote() *cobra.Command {
	return a.acting(engine.ActionNote, "Add a note to a case: the text of --why", " --why 'prefers mail'", nil)
}

// caseText writes a case for people.
func (a *app) caseText(s *session, c *feedback.Case) {
	var f facts
	f.add("case", string(c.ID))
	f.add("status", string(c.Status))
	f.add("queue", c.Queue)
	f.add("owner", c.Owner)
	f.add("priority", c.Priority)
	a.caseCustomer(s, c, &f)
	if c.Value != nil {
		f.add("value", number(*c.Value))
	}
	f.add("item", string(c.Item))
	for _, id := range c.Items {
		f.add("later item", string(id))
	}
	f.add("rule", c.Rule)
	f.add("opened", instant(c.OpenedAt, s.zone))
	f.add("reopened", instant(c.ReopenedAt, s.zone))
	f.add("response due", lateness(instant(c.DueAt, s.zone), c.BreachedAt))
	f.add("responded", lateness(instant(c.RespondedAt, s.zone), c.BreachedAt))
	f.add("to be resolved by", lateness(instant(c.ResolveBy, s.zone), c.OverdueAt))
	f.add("resolved", lateness(instant(c.ResolvedAt, s.zone), c.OverdueAt))
	f.add("closed", instant(c.ClosedAt, s.zone))
	f.add("held since", instant(c.HeldAt, s.zone))
	f.add("outcome", c.Outcome)
	f.add("root cause", c.RootCause)
	f.add("action", c.Action)
	if r := c.Recovery; r != nil {
		f.add("recovery", fmt.Sprintf("%s was %s and is %s", r.Survey, number(r.Before), number(r.After)))
	}
	f.write(a.std.Out, a.std.Width)
	if len(c.Attempts) > 0 {
		fmt.Fprintf(a.std.Out, "\n%s\n", count(len(c.Attempts), "attempt"))
		t := indented(text(""), text(""), text(""), text(""), elastic(""))
		for _, at := range c.Attempts {
			t.add(instant(at.At, s.zone), at.By, at.Channel, at.Result, at.Note)
		}
		t.write(a.std.Out, a.std.Width)
	}
	fmt.Fprintln(a.std.Out, "\nhistory")
	if c.HistoryBefore > 0 {
		fmt.Fprintf(a.std.Out, "  %s before these, in the audit log\n", count(c.HistoryBefore, "line"))
	}
	t := indented(text(""), text(""), text(""), elastic(""))
	for _, h := range c.History {
		t.add(instant(h.At, s.zone), h.Kind, h.By, localized(h.Note, s.zone))
	}
	t.write(a.std.Out, a.std.Width)
}

// caseCustomer adds who the customer is, what was said, and whether an answer is welcome. A case may outlive its feedback.
func (a *app) caseCustomer(s *session, c *feedback.Case, f *facts) {
	it, err := s.Item(context.Background(), c.Item)
	if err != nil {
		f.add("customer", c.Customer)
		return
	}
	customer := it.Customer
	customer.ID, customer.Email = "", ""
	f.add("customer", joined(", ", c.Customer, customerLine(&customer)))
	if it.Contactable != nil && !*it.Contactable {
		f.add("contact", "not allowed")
	}
	f.add("gave", scoreLine(it))
	f.add("said", cut(clean(joined(": ", it.Title, it.Text), oneLine), saidColumns))
}

// saidColumns is how much of what a customer said stands in a case; closedloop show item has it all.
const saidColumns = 400

var stamps = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)

// localized writes the times in a text of the engine in the program's time zone, as the times beside it are.
func localized(text string, zone *time.Location) string {
	return stamps.ReplaceAllStringFunc(text, func(stamp string) string {
		at, err := time.Parse(time.RFC3339, stamp)
		if err != nil {
			return stamp
		}
		return instant(feedback.TimeOf(at), zone)
	})
}

func lateness(at string, late feedback.Time) string {
	if at != "" && late != 0 {
		return at + " late"
	}
	return at
}
