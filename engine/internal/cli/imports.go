package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/suggest"
)

func (a *app) importCommand() *cobra.Command {
	var o engine.ImportOptions
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Import files, see first what that would do, or take an import back",
		Long: `import reads files as a source of the program does, once, and takes in what they hold. Each file is a batch that can be
taken back. With --dry-run nothing is written or sent: it tells which rows are new, revised, duplicates or no items, what
they are about, which rules would fire, which cases would open and what would be sent, as the program stands now.`,
		Example: "  closedloop import answers.csv --source post-purchase --dry-run\n  closedloop import answers.csv --source post-purchase",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("try: "+cmd.CommandPath()+" --help", "%s needs a file, or one of %s", cmd.CommandPath(), strings.Join(names(cmd), ", "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Files = args
			return a.importFiles(cmd.Context(), o)
		},
	}
	a.programFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.Source, "source", "", "the `id` of the source whose settings say how to read them")
	f.BoolVar(&o.DryRun, "dry-run", false, "change nothing, and tell what would happen")
	f.StringVar(&o.By.Name, "by", whoAmI(), "`who` imports")
	f.StringSliceVar(&o.By.Roles, "role", nil, "a `role` of who imports, for the host to judge")
	cmd.AddCommand(a.importList(), a.importShow(), a.importUndo())
	return cmd
}

func (a *app) importFiles(ctx context.Context, o engine.ImportOptions) (err error) {
	p, err := a.findProgram(ctx)
	if err != nil {
		return err
	}
	var sources []string
	for i := range p.Sources {
		sources = append(sources, p.Sources[i].ID)
	}
	if !slices.Contains(sources, o.Source) {
		hint := suggest.DidYouMean(o.Source, sources)
		if o.Source == "" {
			return usage("one of "+strings.Join(sources, ", "), "closedloop import needs --source")
		}
		return usage(hint, "--source: found %q, expected one of %s", o.Source, list(sources))
	}
	_, by, done, err := a.either(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	tell := &progress{w: a.std.Err, on: a.std.TTY}
	r, err := by.Import(ctx, o, func(n, _ int) { tell.say("%s read ...", count(n, "row")) })
	tell.clear()
	if r == nil || err != nil && r.Read == 0 {
		return err
	}
	if a.json {
		return errors.Join(a.printJSON(r), err)
	}
	a.imported(r)
	return err
}

func (a *app) importList() *cobra.Command {
	return a.programFlags(&cobra.Command{
		Use:     "list",
		Short:   "List the imports, the latest first",
		Example: "  closedloop import list -C examples/retail",
		Args:    exact(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.asked(cmd.Context(), func(s *session) error {
				all, err := s.Imports(cmd.Context())
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(all)
				}
				t := newTable(text("source"), text("batch"), text("at"), digits("read"), digits("new"), digits("revised"), digits("rejected"))
				for i := range all {
					imp := &all[i]
					batch := imp.Batch
					if imp.Undoing {
						batch += " (being taken back)"
					}
					t.add(imp.Source, batch, instant(imp.LastAt, s.zone), grouped(imp.Read), grouped(imp.New), grouped(imp.Revised), grouped(imp.Rejected))
				}
				t.write(a.std.Out, a.std.Width)
				return nil
			})
		},
	})
}

func (a *app) importShow() *cobra.Command {
	var source string
	cmd := &cobra.Command{
		Use:     "show BATCH",
		Short:   "Show what an import brought",
		Long:    "show tells what an import brought. A part of the name of the batch is enough when only one has it.",
		Example: "  closedloop import show answers.csv",
		Args:    exact(1, "the name of a batch, which closedloop import list lists"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.asked(cmd.Context(), func(s *session) error {
				imp, err := s.batch(cmd.Context(), source, args[0])
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(imp)
				}
				fmt.Fprintf(a.cleaned(), "%s of %s, from %s to %s\n\n", imp.Batch, imp.Source, instant(imp.FirstAt, s.zone), instant(imp.LastAt, s.zone))
				t := countColumns("source")
				t.add(countCells(imp.Source, &imp.Counts)...)
				t.write(a.std.Out, a.std.Width)
				a.worthKnowing(imp.Counts, imp.Notices)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&source, "source", "", "the `id` of its source")
	return a.programFlags(cmd)
}

// batch returns the import that a person means by its name or a part of it.
func (s *session) batch(ctx context.Context, source, typed string) (*engine.Import, error) {
	all, err := s.Imports(ctx)
	if err != nil {
		return nil, err
	}
	var found []*engine.Import
	for i := range all {
		imp := &all[i]
		switch {
		case source != "" && imp.Source != source:
		case imp.Batch == typed:
			return imp, nil
		case strings.Contains(imp.Batch, typed):
			found = append(found, imp)
		}
	}
	switch len(found) {
	case 0:
		return nil, usage("closedloop import list lists what there is", "there is no import %q", typed)
	case 1:
		return found[0], nil
	}
	return nil, usage("give more of its name, or --source: closedloop import list lists them", "more than one import has %q in its name", typed)
}

func (a *app) importUndo() *cobra.Command {
	var u engine.Undo
	var yes bool
	cmd := &cobra.Command{
		Use:   "undo BATCH",
		Short: "Take an import back, with its cases and its counts",
		Long: `undo takes back what an import brought: its items with their labels and decisions, their cases, the messages that wait,
and what they added to every metric and window. It tells what it leaves: cases on which people have acted are closed as
undone; messages that have left; items of other imports that this one revised; items that a later import brought too. The
priority of an older case that they raised stays as well. It goes on where it was when it is cut off. Importing the file
again then takes it in anew.`,
		Example: "  closedloop import undo answers.csv --dry-run\n  closedloop import undo answers.csv --why 'the file of last year'",
		Args:    exact(1, "the name of a batch, which closedloop import list lists"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.undo(cmd.Context(), args[0], u, yes) },
	}
	a.programFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&u.Source, "source", "", "the `id` of its source")
	f.BoolVar(&u.DryRun, "dry-run", false, "change nothing, and tell what would happen")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask")
	f.StringVar(&u.Why, "why", "", "the `reason`")
	f.StringVar(&u.By.Name, "by", whoAmI(), "`who` takes it back")
	f.StringSliceVar(&u.By.Roles, "role", nil, "a `role` of who takes it back, for the host to judge")
	return cmd
}

func (a *app) undo(ctx context.Context, typed string, u engine.Undo, yes bool) (err error) {
	if !u.DryRun && strings.TrimSpace(u.Why) == "" {
		return usage("say why with --why, or look first with --dry-run", "closedloop import undo needs a reason")
	}
	s, by, done, err := a.either(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	imp, err := s.batch(ctx, u.Source, typed)
	if err != nil {
		return err
	}
	u.Source, u.Batch = imp.Source, imp.Batch
	tell := &progress{w: a.std.Err, on: a.std.TTY}
	take := func(u engine.Undo) (*engine.Undone, error) {
		defer tell.clear()
		return by.UndoImport(ctx, u, func(n, _ int) { tell.say("%s ...", count(n, "item")) })
	}
	if !u.DryRun && !yes {
		first := u
		first.DryRun = true
		would, err := take(first)
		if err != nil {
			return err
		}
		if !a.json {
			a.undone(&u, would, true)
		}
		if err := a.agreed(false, "take it back?", "nobody can be asked whether to take it back", "look with --dry-run, then say --yes"); err != nil {
			return err
		}
	}
	r, err := take(u)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(r)
	}
	a.undone(&u, r, u.DryRun)
	return nil
}
