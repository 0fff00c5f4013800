package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/engine"
)

func (a *app) storeCommand() *cobra.Command {
	return group("store", "Look after the state directory",
		`store looks after the files in which a program's state is kept. Each command works beside a running engine too.`,
		"  closedloop store compact",
		a.storeCompact())
}

// kept runs a command that looks after a program's state, with progress; what it returns then tells the result. With
// --state no program is needed.
func (a *app) kept(ctx context.Context, f func(k engine.Keeper, progress func(done, total int)) (tell func() error, err error), doing string) (err error) {
	dir, err := a.keptDir(ctx)
	if err != nil {
		return err
	}
	client, state, err := eitherWay(ctx, dir, a.patience, func() (*engine.State, error) {
		return engine.OpenStore(dir, engine.Options{Profile: engine.Small, Now: a.std.Now})
	})
	if errors.Is(err, engine.ErrNotFound) {
		return usage("name the program with -C, or its state directory with --state", "there is no state in %s", dir)
	}
	if err != nil {
		return err
	}
	var k engine.Keeper = state
	var open io.Closer = state
	if client != nil {
		k, open = client, client
	}
	defer func() { err = errors.Join(err, open.Close()) }()
	line := &progress{w: a.std.Err, on: a.std.TTY}
	tell, err := f(k, func(done, total int) {
		line.say("%s %s of about %s ...", doing, size(int64(done)), size(int64(total)))
	})
	line.clear()
	if tell == nil {
		return err
	}
	return errors.Join(err, tell())
}

// keptDir returns the state directory that a command looks after.
func (a *app) keptDir(ctx context.Context) (string, error) {
	if a.state != "" {
		return filepath.Abs(a.state)
	}
	p, err := a.findProgram(ctx)
	if err != nil {
		return "", err
	}
	return p.StateDir, nil
}

func (a *app) storeCompact() *cobra.Command {
	return a.programFlags(&cobra.Command{
		Use:   "compact",
		Short: "Write the store anew, so that nothing of what was deleted is left in its files",
		Long: `compact writes all records anew into files of their own, and removes the old ones. What was deleted or overwritten
before is in no file of the state directory afterwards, and the space that it took is free. It needs room for the records
twice while it works. An engine that runs goes on.`,
		Example: "  closedloop store compact -C examples/retail",
		Args:    exact(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.kept(cmd.Context(), func(k engine.Keeper, progress func(done, total int)) (func() error, error) {
				c, err := k.CompactStore(cmd.Context(), progress)
				if err != nil {
					return nil, err
				}
				return func() error {
					if a.json {
						return a.printJSON(c)
					}
					fmt.Fprintf(a.std.Out, "wrote %s anew: %s before, %s after\n", count(int(c.Records), "record"), size(c.Before), size(c.After))
					return nil
				}, nil
			}, "written")
		},
	})
}
