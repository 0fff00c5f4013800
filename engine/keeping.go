package engine

import (
	"context"
	"fmt"

	"github.com/closedloop/closedloop/engine/internal/store"
)

// Keeper looks after a program's state: a State that this process opened, an Engine, or a Client of an engine in another
// process.
type Keeper interface {
	CompactStore(ctx context.Context, progress func(done, total int)) (*Compaction, error)
}

var (
	_ Keeper = (*Engine)(nil)
	_ Keeper = (*State)(nil)
	_ Keeper = (*Client)(nil)
)

// OpenStore opens the state directory alone, without the program, for what a Keeper does; nothing else can be asked of
// the State that it returns. Of the options Now and Profile count. It fails with ErrNotFound when there is no store in the
// directory, and with ErrLocked when an engine works on it.
func OpenStore(state string, o Options) (*State, error) {
	o = o.withDefaults()
	if !store.Exists(state) {
		return nil, fmt.Errorf("open state %s: %w", state, ErrNotFound)
	}
	st, err := store.Open(state, store.Options{Profile: store.Profile(o.Profile)})
	if err != nil {
		return nil, fmt.Errorf("open state %s: %w", state, err)
	}
	return &State{store: st, dir: state, Clock: o.Now}, nil
}

// Compaction says what CompactStore did.
type Compaction struct {
	Before  int64 `json:"before"`  // bytes of the store's files
	After   int64 `json:"after"`   // likewise
	Records int64 `json:"records"` // written anew
}

// CompactStore writes all records anew into files of their own and removes the old ones: what was deleted or overwritten
// before is in no file of the state directory afterwards, and the space that it took is free. The engine goes on
// meanwhile. There must be room for the records twice: ErrFull otherwise. Progress, which may be nil, is told in bytes.
func (s *State) CompactStore(ctx context.Context, progress func(done, total int)) (*Compaction, error) {
	c, err := s.store.Compact(ctx, inBytes(progress))
	if err != nil {
		return nil, err
	}
	return &Compaction{c.Before.Total(), c.After.Total(), int64(c.Records)}, nil
}

func inBytes(progress func(done, total int)) func(done, total int64) {
	if progress == nil {
		return nil
	}
	return func(done, total int64) { progress(int(done), int(total)) }
}

// CompactStore asks as State.CompactStore does.
func (c *Client) CompactStore(ctx context.Context, progress func(done, total int)) (*Compaction, error) {
	return callTold[Compaction](ctx, c, "store_compact", struct{}{}, progress)
}
