package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/engine"
)

func (a *app) backupCommand() *cobra.Command {
	var since string
	var full bool
	cmd := &cobra.Command{
		Use:   "backup FILE|FOLDER",
		Short: "Back up what a program remembers, while it runs or not",
		Long: `backup writes what the program remembers at this moment into a file, compressed and with checksums over all of it. An
engine that runs goes on. With --since the file holds what has changed since another backup, and needs that one when it is
restored.

Given a folder, backup names the file itself: the first one is full, and each one after it goes on from the latest in the
folder. --full begins anew. closedloop restore takes the folder as it is.`,
		Example: "  closedloop backup -C examples/retail /backups\n  closedloop backup --since monday.clbackup tuesday.clbackup",
		Args:    exact(1, "the file to write, or a folder to write it in"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if full && since != "" {
				return usage("leave one of them out", "found both --full and --since")
			}
			return a.backup(cmd.Context(), args[0], since, full)
		},
	}
	cmd.Flags().StringVar(&since, "since", "", "write what has changed since the backup in this `file`")
	cmd.Flags().BoolVar(&full, "full", false, "in a folder, write a full backup and begin anew")
	cmd.AddCommand(a.backupVerify())
	return a.programFlags(cmd)
}

func (a *app) backup(ctx context.Context, target, since string, full bool) error {
	o := engine.BackupFileOptions{}
	var err error
	if o.Path, err = filepath.Abs(target); err != nil {
		return err
	}
	if since != "" {
		if o.Since, err = filepath.Abs(since); err != nil {
			return err
		}
		if _, err := engine.LookAtBackup(o.Since); err != nil {
			return err
		}
	}
	fi, err := os.Stat(o.Path)
	folder := err == nil && fi.IsDir()
	switch {
	case full && !folder:
		return usage("leave it out: a file without --since is full", "--full is for a folder, and %s is none", target)
	case err == nil && !folder:
		return usage("name another file: no backup is written over", "there is a file %s already", target)
	case err != nil:
		if _, err := os.Stat(filepath.Dir(o.Path)); err != nil {
			return err
		}
	}
	return a.kept(ctx, "read", func(k engine.Keeper, progress func(done, total int)) (func() error, error) {
		b, err := a.writeBackup(ctx, k, o, folder, full, progress)
		if err != nil {
			return nil, err
		}
		return func() error { return a.tellBackup("wrote", b) }, nil
	})
}

// writeBackup writes the backup, in a folder under a name of its own.
func (a *app) writeBackup(ctx context.Context, k engine.Keeper, o engine.BackupFileOptions, folder, full bool, progress func(done, total int)) (*engine.Backup, error) {
	if !folder {
		return k.BackupFile(ctx, o, progress)
	}
	dir := o.Path
	if o.Since == "" && !full {
		latest, err := latestBackup(dir)
		if err != nil {
			return nil, err
		}
		if latest != nil {
			o.Since = latest.Path
		}
	}
	kind := "full"
	if o.Since != "" {
		kind = "since"
	}
	name := a.std.Now().UTC().Format("20060102T150405.000Z") + "-" + kind + engine.BackupExtension
	o.Path = filepath.Join(dir, name)
	b, err := k.BackupFile(ctx, o, progress)
	if errors.Is(err, engine.ErrNoBase) {
		f := diagnose(err)
		return nil, &failure{code: exitFailed, message: f.message, hint: "closedloop backup --full begins anew", err: err}
	}
	return b, err
}

// backupsIn returns the backup files of a folder, the latest last.
func backupsIn(dir string) ([]*engine.Backup, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*"+engine.BackupExtension))
	if err != nil {
		return nil, err
	}
	var out []*engine.Backup
	for _, name := range names {
		b, err := engine.LookAtBackup(name)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	slices.SortStableFunc(out, func(x, y *engine.Backup) int { return cmp.Or(cmp.Compare(x.At, y.At), cmp.Compare(x.To, y.To)) })
	return out, nil
}

func latestBackup(dir string) (*engine.Backup, error) {
	all, err := backupsIn(dir)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return all[len(all)-1], nil
}

// latestChain returns the files of a folder that the latest backup in it needs, the full one first.
// backupsNamed returns the files themselves, and of a folder the latest backup with what that one needs, or all of them.
func backupsNamed(files []string, chain bool) ([]string, error) {
	if fi, err := os.Stat(files[0]); err != nil || !fi.IsDir() || len(files) > 1 {
		return files, nil
	}
	if chain {
		return latestChain(files[0])
	}
	all, err := filepath.Glob(filepath.Join(files[0], "*"+engine.BackupExtension))
	if err == nil && len(all) == 0 {
		err = noBackup(files[0])
	}
	return all, err
}

func noBackup(dir string) error {
	return usage("name a backup, or the folder that closedloop backup wrote into", "there is no backup in %s", dir)
}

func latestChain(dir string) ([]string, error) {
	all, err := backupsIn(dir)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, noBackup(dir)
	}
	last := all[len(all)-1]
	files := []string{last.Path}
	for !last.Full() {
		i := slices.IndexFunc(all, func(b *engine.Backup) bool { return b.ID == last.Base })
		if i < 0 || len(files) > len(all) {
			return nil, usage("bring the file back, or name the files of an earlier chain",
				"%s goes on from backup %s, which is not in %s", last.Path, short(last.Base), dir)
		}
		last = all[i]
		files = append(files, last.Path)
	}
	slices.Reverse(files)
	return files, nil
}

func (a *app) tellBackup(did string, b *engine.Backup) error {
	if a.json {
		return a.printJSON(b)
	}
	fmt.Fprintf(a.std.Out, "%s %s\n", did, backupLine(b))
	return nil
}

func backupLine(b *engine.Backup) string {
	what := "full"
	if !b.Full() {
		what = fmt.Sprintf("since commit %d, %s", b.From, count(int(b.Deleted), "deletion"))
	}
	line := fmt.Sprintf("%s, %s up to commit %d", what, count(int(b.Records), "record"), b.To)
	if b.Path != "" {
		line = fmt.Sprintf("%s: %s; %s, %s uncompressed", b.Path, line, size(b.Size), size(b.Bytes))
	}
	return line
}

func (a *app) backupVerify() *cobra.Command {
	var chain bool
	cmd := &cobra.Command{
		Use:   "verify FILE ...|FOLDER",
		Short: "Read backups to their end and check every byte",
		Long: `verify reads each file to its end: the checksums of all blocks and records, the counts and the digest of the whole file.
Of a folder it reads each backup that closedloop backup wrote into it. With --chain the files must besides be one full backup and all that go on from it, so that they can be restored together.`,
		Example: "  closedloop backup verify /backups/*.clbackup",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("closedloop backup verify /backups/*.clbackup", "closedloop backup verify needs files")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, files []string) error { return a.verifyBackups(cmd.Context(), files, chain) },
	}
	cmd.Flags().BoolVar(&chain, "chain", false, "the files must be restorable together")
	return cmd
}

func (a *app) verifyBackups(ctx context.Context, files []string, chain bool) error {
	files, err := backupsNamed(files, chain)
	if err != nil {
		return err
	}
	line := &progress{w: a.std.Err, on: a.std.TTY}
	whole, errs := []*engine.Backup{}, []error{}
	for _, file := range files {
		b, err := engine.VerifyBackup(ctx, file, func(done, total int) { line.say("%s: read %s of %s ...", file, size(int64(done)), size(int64(total))) })
		if err != nil {
			errs = append(errs, err)
			continue
		}
		whole = append(whole, b)
	}
	line.clear()
	if chain && len(errs) == 0 {
		errs = append(errs, engine.VerifyChain(files))
	}
	if a.json {
		errs = append(errs, a.printJSON(whole))
	} else {
		for _, b := range whole {
			errs = append(errs, a.tellBackup("whole:", b))
		}
	}
	return errors.Join(errs...)
}

func (a *app) restoreCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "restore STATE FILE ...|FOLDER",
		Short: "Make a state directory of backups",
		Long: `restore makes the state directory STATE, which must be empty or not be there, of a full backup and those that go on from
it, in any order; of a folder it takes the latest backup and what that one needs. Every byte of the files is verified, and
what was written is read back, before anything is in STATE. Nothing is ever overwritten: move the old directory aside.

The restored state goes on from the moment of the backup. Messages that were sent after it are sent again, under the same
idempotency keys. Persons who were erased after it are there again: erase them again before the engine runs.`,
		Example: "  closedloop restore examples/retail/.closedloop /backups\n  closedloop restore state monday.clbackup tuesday.clbackup",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usage("try: closedloop restore --help", "%s needs the directory to make, and backups", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.restore(cmd.Context(), args[0], args[1:]) },
	}
}

func (a *app) restore(ctx context.Context, dir string, files []string) error {
	files, err := backupsNamed(files, true)
	if err != nil {
		return err
	}
	line := &progress{w: a.std.Err, on: a.std.TTY}
	r, err := engine.Restore(ctx, dir, files, engine.RestoreOptions{
		Profile: engine.Small, Progress: func(done, total int) { line.say("restored %s of about %s ...", size(int64(done)), size(int64(total))) },
	})
	line.clear()
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(r)
	}
	for i := range r.Chain {
		fmt.Fprintln(a.std.Out, backupLine(&r.Chain[i]))
	}
	fmt.Fprintf(a.std.Out, "restored %s, %s, to %s\n", count(int(r.Records), "record"), size(r.Bytes), r.Dir)
	return nil
}
