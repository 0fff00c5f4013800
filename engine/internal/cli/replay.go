package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// replayer tries dead letters again: an Engine, or the Client of one.
type replayer interface {
	DeadLetters(context.Context, feedback.DeadLetterKind, int) ([]feedback.DeadLetter, error)
	Replay(ctx context.Context, id string) (engine.Row, error)
}

var (
	_ replayer = (*engine.Engine)(nil)
	_ replayer = (*engine.Client)(nil)
)

// replayed is what became of one dead letter.
type replayed struct {
	ID     string                  `json:"id"`
	Kind   feedback.DeadLetterKind `json:"kind,omitempty"`
	Result string                  `json:"result"` // of an item its outcome, of a delivery "queued", or "failed"
	Item   feedback.ItemID         `json:"item,omitempty"`
	Reason string                  `json:"reason,omitempty"`
}

func (a *app) replayCommand() *cobra.Command {
	var items, deliveries bool
	cmd := &cobra.Command{
		Use:   "replay [ID ...]",
		Short: "Try dead letters again",
		Long: `replay tries dead letters again: an item is taken in anew, a delivery goes to the end of its destination's line under
the key that it had. A row that was rejected is mended at its source instead. closedloop show dead lists them all.`,
		Example: "  closedloop replay -C examples/retail --all-items\n  closedloop replay --all-deliveries",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && !items && !deliveries {
				return usage("closedloop show dead lists the dead letters", "replay needs ids, --all-items or --all-deliveries")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, ids []string) error {
			var kinds []feedback.DeadLetterKind
			if items {
				kinds = append(kinds, feedback.DeadItem)
			}
			if deliveries {
				kinds = append(kinds, feedback.DeadDelivery)
			}
			return a.replay(cmd.Context(), ids, kinds)
		},
	}
	a.programFlags(cmd)
	cmd.Flags().BoolVar(&items, "all-items", false, "all items that a plugin could not survive")
	cmd.Flags().BoolVar(&deliveries, "all-deliveries", false, "all deliveries that were given up")
	return cmd
}

func (a *app) replay(ctx context.Context, ids []string, kinds []feedback.DeadLetterKind) (err error) {
	p, err := a.findProgram(ctx)
	if err != nil {
		return err
	}
	dir, err := a.stateDir(p)
	if err != nil {
		return err
	}
	client, eng, err := eitherWay(ctx, dir, a.patience, func() (*engine.Engine, error) {
		return a.openEngine(ctx, &progress{w: a.std.Err, on: a.std.TTY}, zerolog.Nop(), engine.Options{Profile: engine.Small})
	})
	if err != nil {
		return err
	}
	if client != nil {
		defer func() { err = errors.Join(err, client.Close()) }()
		return a.replayBy(ctx, client, ids, kinds)
	}
	defer func() { err = errors.Join(err, closeEngine(ctx, eng)) }()
	return a.replayBy(ctx, eng, ids, kinds)
}

// allLetters is more dead letters than a program keeps in practice.
const allLetters = 1 << 20

func (a *app) replayBy(ctx context.Context, r replayer, ids []string, kinds []feedback.DeadLetterKind) error {
	for _, kind := range kinds {
		letters, err := r.DeadLetters(ctx, kind, allLetters)
		if err != nil {
			return err
		}
		for _, l := range letters {
			ids = append(ids, l.ID)
		}
	}
	results, errs := []replayed{}, []error{}
	for _, id := range ids {
		row, err := r.Replay(ctx, id)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		results = append(results, replayedOf(id, row, err))
		if err != nil {
			errs = append(errs, replayError(id, err))
		}
	}
	return errors.Join(append(errs, a.tellReplayed(results))...)
}

func replayedOf(id string, row engine.Row, err error) replayed {
	switch {
	case err != nil:
		return replayed{ID: id, Result: "failed", Reason: err.Error()}
	case row.Outcome == "":
		return replayed{ID: id, Kind: feedback.DeadDelivery, Result: "queued"}
	}
	return replayed{ID: id, Kind: feedback.DeadItem, Result: string(row.Outcome), Item: row.ID, Reason: row.Reason}
}

func replayError(id string, err error) error {
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return usage("closedloop show dead lists the dead letters", "there is no dead letter %q", id)
	case errors.Is(err, engine.ErrNoReplay):
		return usage("mend it where it came from; a changed row is read again", "the dead letter %s is a row that is no item", id)
	}
	return err
}

func (a *app) tellReplayed(results []replayed) error {
	if a.json {
		return a.printJSON(results)
	}
	if len(results) == 0 {
		fmt.Fprintln(a.std.Out, "there is nothing to replay")
		return nil
	}
	t := newTable(text("id"), text("kind"), text("result"), text("item"), elastic("reason"))
	for _, r := range results {
		t.add(r.ID, string(r.Kind), r.Result, string(r.Item), r.Reason)
	}
	t.write(a.std.Out, a.std.Width)
	return nil
}
