package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/engine"
)

func (a *app) storeCommand() *cobra.Command {
	return group("store", "Look after the state directory",
		`store looks after the files in which a program's state is kept. Each command works beside a running engine too.`,
		"  closedloop store check\n  closedloop store stats --json\n  closedloop store compact",
		a.storeCheck(), a.storeStats(), a.storeCompact())
}

// kept runs a command that looks after a program's state, with progress; what it returns then tells the result. With
// --state no program is needed.
func (a *app) kept(ctx context.Context, doing string, f func(k engine.Keeper, progress func(done, total int)) (tell func() error, err error)) (err error) {
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
			return a.kept(cmd.Context(), "written", func(k engine.Keeper, progress func(done, total int)) (func() error, error) {
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
			})
		},
	})
}

func (a *app) storeStats() *cobra.Command {
	return a.programFlags(&cobra.Command{
		Use:   "stats",
		Short: "Show what the store holds and what it takes",
		Long: `stats counts the records of every kind, and shows the levels of the tree that they are kept in, from when to when
feedback is there, and the backups that were made. It reads all keys, which takes a while on a large store.`,
		Example: "  closedloop store stats -C examples/retail",
		Args:    exact(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.kept(cmd.Context(), "read", func(k engine.Keeper, progress func(done, total int)) (func() error, error) {
				st, err := k.StoreStats(cmd.Context(), progress)
				if err != nil {
					return nil, err
				}
				return func() error { return a.tellStoreStats(st) }, nil
			})
		},
	})
}

func (a *app) tellStoreStats(st *engine.StoreStats) error {
	if a.json {
		return a.printJSON(st)
	}
	f := facts{}
	f.add("store", fmt.Sprintf("%s, format %d", st.ID, st.Format))
	f.add("last commit", grouped(int(st.Commit)))
	f.add("on disk", fmt.Sprintf("%s in tables, of which %s are stale; %s in logs", size(st.Tables), size(st.Stale), size(st.Logs)))
	if st.Oldest != 0 {
		f.add("feedback", instant(st.Oldest, time.UTC)+" to "+instant(st.Newest, time.UTC))
	}
	if n := len(st.Backups); n > 0 {
		b := &st.Backups[n-1]
		f.add("last backup", fmt.Sprintf("%s, %s", instant(b.At, time.UTC), backupLine(b)))
	}
	f.write(a.std.Out, a.std.Width)
	t := newTable(text("kind"), digits("records"), digits("bytes"))
	for _, s := range st.Keyspaces {
		t.add(s.Name, grouped(int(s.Records)), size(s.Bytes))
	}
	fmt.Fprintln(a.std.Out)
	t.write(a.std.Out, a.std.Width)
	if len(st.Levels) == 0 {
		return nil
	}
	t = newTable(digits("level"), digits("tables"), digits("bytes"))
	for _, l := range st.Levels {
		t.add(fmt.Sprint(l.Level), grouped(l.Tables), size(l.Bytes))
	}
	fmt.Fprintln(a.std.Out)
	t.write(a.std.Out, a.std.Width)
	return nil
}

func (a *app) storeCheck() *cobra.Command {
	return a.programFlags(&cobra.Command{
		Use:   "check",
		Short: "Read everything in the store and compare what records say of each other",
		Long: `check reads every record with its checksum, decodes it, and compares what records say of each other: indexes with what
they name, rollups with the sum of what the items add to them, timers with the cases that they are for, deliveries with
the numbers given out, the loads of owners, and the audit log with itself. It changes nothing. It exits with 1 when
something is wrong, and lists the first 1,000 findings.`,
		Example: "  closedloop store check -C examples/retail",
		Args:    exact(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.kept(cmd.Context(), "looked at", func(k engine.Keeper, progress func(done, total int)) (func() error, error) {
				r, err := k.CheckStore(cmd.Context(), progress)
				if err != nil {
					return nil, err
				}
				return func() error { return a.tellStoreCheck(r) }, nil
			})
		},
	})
}

func (a *app) tellStoreCheck(r *engine.StoreCheck) error {
	var err error
	if r.Wrong > 0 {
		err = &failure{
			code: exitFailed, message: "found " + count(r.Wrong, "fault") + " in " + count(int(r.Records), "record"),
			hint: "restore a backup from before; closedloop backup verify tells whether it is whole",
		}
	}
	if a.json {
		return errors.Join(a.printJSON(r), err)
	}
	if r.Wrong == 0 {
		fmt.Fprintf(a.std.Out, "%s, %s: nothing is wrong as of commit %d\n", count(int(r.Records), "record"), size(r.Bytes), r.Commit)
		return nil
	}
	t := newTable(text("what"), ident("key"), elastic("finding"))
	for _, f := range r.Findings {
		t.add(f.What, f.Key, f.Text)
	}
	t.write(a.std.Out, a.std.Width)
	return err
}
