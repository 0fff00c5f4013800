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
	s = sessionOf(p)
	s.Queries, s.dir = by, dir
	return s, by, done, nil
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
		Args:    exact(1, itemIDs),
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
		a.warn(fmt.Sprintf("the theme %q: %s", path, what), suggest.DidYouMean(string(path), candidates))
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
