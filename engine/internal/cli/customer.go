package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/engine"
)

func (a *app) customerCommand() *cobra.Command {
	show := &cobra.Command{
		Use:     "show CUSTOMER",
		Short:   "Show what a customer has said, and the cases",
		Example: "  closedloop customer show C-21264",
		Args:    exact(1, "the id of a customer"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.asked(cmd.Context(), func(s *session) error {
				story, err := s.Customer(cmd.Context(), args[0])
				if errors.Is(err, engine.ErrNotFound) {
					return usage("closedloop customer list NAME finds the ids of customers", "there is no feedback of a customer %q", args[0])
				}
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(story)
				}
				a.customerText(s, story)
				return nil
			})
		},
	}
	return group("customer", "Find customers, see what there is of one, or erase it", "customer finds customers, shows the feedback, the cases and the attempts to reach one, and erases a person.",
		"  closedloop customer list anna\n  closedloop customer show C-21264\n  closedloop customer erase C-21264 --why 'request 1207'\n  closedloop customer erasures",
		a.customerList(), a.programFlags(show), a.customerErase(), a.customerErasures())
}

func (a *app) customerList() *cobra.Command {
	var q engine.CustomerQuery
	var f filters
	list := &cobra.Command{
		Use:   "list [TEXT]",
		Short: "Find customers by a part of the id, the name, the e-mail address or the account",
		Long: `list finds customers by a part of the id, the name, the e-mail address or the account, in whatever case; those with the
latest feedback first. It reads all feedback.`,
		Example: "  closedloop customer list -C examples/retail C-2126\n  closedloop customer list anna@example.com",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage("put what has spaces in it between quotes", "found %d arguments, expected at most one: a part of the id, the name, the e-mail address or the account", len(args))
			}
			q.Text = strings.Join(args, "")
			return nil
		},
	}
	f.addLimit(list)
	return listed(a, limited(list, &f), func(ctx context.Context, s *session) ([]engine.CustomerFound, error) {
		q.Limit = f.limit
		return s.Customers(ctx, q)
	}, a.customersTable)
}

func (a *app) customersTable(s *session, found []engine.CustomerFound) {
	if len(found) == 0 {
		a.none("customers")
		return
	}
	t := newTable(text("id"), elastic("name"), elastic("e-mail"), narrow("account"), narrow("tier"), narrow("segment"), digits("items"), text("latest"))
	for i := range found {
		c := &found[i].Customer
		t.add(c.ID, c.Name, c.Email, c.Account, c.Tier, c.Segment, grouped(found[i].Items), instant(found[i].Latest, s.zone))
	}
	t.write(a.std.Out, a.std.Width)
}

func (a *app) customerText(s *session, story *engine.CustomerStory) {
	var f facts
	c := &story.Customer
	f.add("customer", c.ID)
	f.add("name", c.Name)
	f.add("e-mail", c.Email)
	f.add("account", c.Account)
	f.add("tier", c.Tier)
	f.add("segment", c.Segment)
	if c.ARR != nil {
		f.add("value", number(*c.ARR))
	}
	f.write(a.std.Out, a.std.Width)
	fmt.Fprintf(a.std.Out, "\n%s\n", count(len(story.Items), "item"))
	a.itemsTable(s, story.Items)
	fmt.Fprintf(a.std.Out, "\n%s\n", count(len(story.Cases), "case"))
	if len(story.Cases) == 0 {
		return
	}
	a.casesTable(s, story.Cases)
	t := newTable(text("attempt"), text("by"), text("channel"), text("result"), ident("case"), elastic("note"))
	for i := range story.Cases {
		for _, at := range story.Cases[i].Attempts {
			t.add(instant(at.At, s.zone), at.By, at.Channel, at.Result, string(story.Cases[i].ID), at.Note)
		}
	}
	if len(t.rows) > 0 {
		fmt.Fprintln(a.std.Out)
		t.write(a.std.Out, a.std.Width)
	}
}
