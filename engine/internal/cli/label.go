package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/suggest"
)

// worker is what can change a program's state: an engine of this process or a client of one of another.
type worker interface {
	engine.Queries
	Correct(context.Context, engine.Correction) (*engine.Item, error)
	Import(context.Context, engine.ImportOptions, func(done, total int)) (*engine.Imported, error)
	UndoImport(context.Context, engine.Undo, func(done, total int)) (*engine.Undone, error)
}

// either asks the engine that is running, or else opens the program with its plugins. done is to be called at the end.
func (a *app) either(ctx context.Context) (s *session, by worker, done func() error, err error) {
	p, err := a.findProgram(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	dir, err := a.stateDir(p)
	if err != nil {
		return nil, nil, nil, err
	}
	client, eng, err := eitherWay(ctx, dir, a.patience, func() (*engine.Engine, error) {
		return a.openEngine(ctx, &progress{w: a.std.Err, on: a.std.TTY}, zerolog.Nop(), engine.Options{Profile: engine.Small})
	})
	if err != nil {
		return nil, nil, nil, err
	}
	by, done = client, client.Close
	if client == nil {
		by, done = eng, func() error { return closeEngine(ctx, eng) }
	}
	return &session{Queries: by, zone: p.Timezone, name: p.Name, dir: dir}, by, done, nil
}

func (a *app) labelCommand() *cobra.Command {
	var c engine.Correction
	var add, remove []string
	var sentiment float64
	cmd := &cobra.Command{
		Use:   "label ITEM",
		Short: "Correct what an item was taken to mean",
		Long: `label puts a person's word above what categorizers and rules say. The rules decide again: every metric counts the item
anew, and its case moves to the queue that follows from them. What was said before stays in the history.`,
		Example: "  closedloop label f_01KJQ38XW0 --remove shipping --add packaging/opening --why 'difficult to open, not damaged'",
		Args:    exact(1, "the id of an item, which closedloop show items lists"),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, path := range add {
				c.Add = append(c.Add, feedback.ThemePath(path))
			}
			for _, path := range remove {
				c.Remove = append(c.Remove, feedback.ThemePath(path))
			}
			if cmd.Flags().Changed("sentiment") {
				if sentiment < -1 || sentiment > 1 {
					return usage("", "--sentiment: found %v, expected a number from -1 to 1", sentiment)
				}
				c.Sentiment = &sentiment
			}
			return a.correct(cmd.Context(), args[0], c)
		},
	}
	a.programFlags(cmd)
	f := cmd.Flags()
	f.StringSliceVar(&add, "add", nil, "a `theme` that it has, such as packaging/opening")
	f.StringSliceVar(&remove, "remove", nil, "a `theme` that it does not have, with all that lies below")
	f.Float64Var(&sentiment, "sentiment", 0, "from -1 to 1")
	f.StringVar(&c.Why, "why", "", "the `reason`")
	f.StringVar(&c.By.Name, "by", whoAmI(), "`who` corrects")
	f.StringSliceVar(&c.By.Roles, "role", nil, "a `role` of who corrects, for the host to judge")
	return cmd
}

func (a *app) correct(ctx context.Context, typed string, c engine.Correction) (err error) {
	s, by, done, err := a.either(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if c.Item, err = s.item(ctx, typed); err != nil {
		return err
	}
	before, err := s.Item(ctx, c.Item)
	if err != nil {
		return err
	}
	known, err := s.Themes(ctx, engine.MetricQuery{})
	if err != nil {
		return err
	}
	it, err := by.Correct(ctx, c)
	if err != nil {
		return lacking(err, "closedloop label "+typed+" --remove shipping --add packaging/opening --why 'difficult to open, not damaged'")
	}
	a.oddThemes(&c, before, known)
	if a.json {
		return a.printJSON(it)
	}
	var themes []string
	for i := range it.Labels.Themes {
		themes = append(themes, string(it.Labels.Themes[i].Path))
	}
	line := string(it.ID) + " has " + cmp.Or(strings.Join(themes, ", "), "no theme")
	if it.Queue != "" {
		line += ", and is routed to " + it.Queue
		if before.Queue != "" && before.Queue != it.Queue {
			line += ", no longer to " + before.Queue
		}
	}
	_, err = fmt.Fprintln(a.cleaned(), line)
	return err
}

// oddThemes warns of themes that were probably misspelt: what the item gets and no other feedback has, and what is taken
// from it and it did not have.
func (a *app) oddThemes(c *engine.Correction, before *engine.Item, known []engine.Theme) {
	warn := func(path feedback.ThemePath, what string, candidates []string) {
		if near := suggest.DidYouMean(string(path), candidates); near != "" {
			what += "; " + near
		}
		fmt.Fprintf(a.std.Err, "closedloop: warning: %s\n", clean(fmt.Sprintf("the theme %q: %s", path, what), oneLine))
	}
	var all, had []string
	for i := range known {
		all = append(all, string(known[i].Theme))
	}
	for i := range before.Labels.Themes {
		had = append(had, string(before.Labels.Themes[i].Path))
	}
	for _, path := range c.Add {
		if !slices.Contains(all, string(path)) {
			warn(path, "no other feedback has it (label ... --remove takes it back)", all)
		}
	}
	for _, path := range c.Remove {
		below := func(theme string) bool { return theme == string(path) || strings.HasPrefix(theme, string(path)+"/") }
		if !slices.ContainsFunc(had, below) {
			warn(path, "the item did not have it", had)
		}
	}
}

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
					return usage("closedloop show items --json tells the ids of customers, and closedloop cases list those who have a case", "there is no feedback of a customer %q", args[0])
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
	return group("customer", "See what there is of one customer, or erase it", "customer shows the feedback, the cases and the attempts to reach one customer, and erases a person.",
		"  closedloop customer show C-21264\n  closedloop customer erase C-21264 --why 'request 1207'\n  closedloop customer erasures",
		a.programFlags(show), a.customerErase(), a.customerErasures())
}

func (a *app) customerText(s *session, story *engine.CustomerStory) {
	var f facts
	c := &story.Customer
	f.add("customer", c.ID)
	f.add("name", c.Name)
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

func (a *app) auditCommand() *cobra.Command {
	var q engine.AuditQuery
	var f filters
	list := &cobra.Command{
		Use:     "list",
		Short:   "List what people and the engine did, the latest first",
		Example: "  closedloop audit list --what k_01KJQ6PSG02N59PTAZ44SB39P9\n  closedloop audit list --who anna --since 7d",
	}
	list.Flags().StringVar(&q.What, "what", "", "only about the case, item or ruleset with this `id`")
	list.Flags().StringVar(&q.Who, "who", "", "only by this `person`")
	f.addSince(list)
	f.addLimit(list)
	listed(a, limited(list, &f), func(ctx context.Context, s *session) (_ []engine.AuditEntry, err error) {
		if q.Since, err = f.from(a.std.Now(), s.zone); err != nil {
			return nil, err
		}
		q.Limit = f.limit
		return s.Audit(ctx, q)
	}, a.auditTable)
	verify := listed(a, &cobra.Command{
		Use:   "verify",
		Short: "Check that nothing in the audit log was changed, removed or put in between",
		Long: `verify goes through the whole audit log. Each entry carries the digest of the one before it, so that a change shows.
Note the number and the digest elsewhere: they prove later that the log up to there is the same.`,
		Example: "  closedloop audit verify",
	}, func(ctx context.Context, s *session) (engine.AuditHead, error) { return s.AuditVerify(ctx) }, func(_ *session, h engine.AuditHead) {
		fmt.Fprintf(a.std.Out, "%s, each as it was written\n", count(int(h.N), "entry"))
		if h.Erased > 0 {
			fmt.Fprintf(a.std.Out, "the content of %s was erased, and the log says so\n", grouped(h.Erased))
		}
		fmt.Fprintf(a.std.Out, "head %d %s\n", h.N, h.Digest)
	})
	return group("audit", "See who did what, and prove it", "the audit log holds every change of a case, every correction and every activation of rules.",
		"  closedloop audit list\n  closedloop audit verify", list, verify)
}

func (a *app) auditTable(s *session, entries []engine.AuditEntry) {
	if len(entries) == 0 {
		a.none("entries")
		return
	}
	t := newTable(digits("n"), text("at"), text("who"), text("kind"), ident("what"), elastic("why"))
	for i := range entries {
		e := &entries[i]
		why := e.Why
		if e.Erased {
			why = "(erased)"
		}
		t.add(grouped(int(e.N)), instant(e.At, s.zone), e.Who, e.Kind, e.What, why)
	}
	t.write(a.std.Out, a.std.Width)
}
