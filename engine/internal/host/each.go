package host

import (
	"context"
	"errors"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// CategorizeEach categorizes items and tells each of them to each, in their order: its result, or the error that this
// item alone causes. A batch that fails is halved until the poisonous items stand alone; after a call that ran into
// its deadline the items are tried one by one, so that each costs one deadline at most.
//
// It returns an error when no item is to blame: ctx ended, the plugin asks for a retry, it does not come up, or it
// fails on an empty item as well. The items that each was not called for are then as they were.
//
// The result is valid until each returns. Its Err is nil: an item's own error is each's err.
func CategorizeEach(ctx context.Context, p Plugin, items []feedback.Item, each func(i int, r *sdk.Result, err error)) error {
	s := search{plugin: p, items: items, each: each}
	return s.run(ctx, 0, len(items))
}

// search looks for the poisonous items of a batch.
type search struct {
	plugin Plugin
	items  []feedback.Item
	each   func(i int, r *sdk.Result, err error)
}

// run categorizes items[lo:hi].
func (s *search) run(ctx context.Context, lo, hi int) error {
	if lo == hi {
		return nil
	}
	b, err := s.plugin.Categorize(ctx, s.items[lo:hi])
	if err == nil {
		s.tell(lo, b)
		return nil
	}
	e := (*Error)(nil)
	if ctx.Err() != nil || !errors.As(err, &e) || !e.ofInput() {
		return err
	}
	switch {
	case hi-lo == 1:
		if down := s.canary(ctx); down != nil {
			return down
		}
		s.each(lo, nil, err)
		return nil
	case e.Code == CodeDeadline:
		return s.singly(ctx, lo, hi)
	}
	mid := lo + (hi-lo)/2
	if err := s.run(ctx, lo, mid); err != nil {
		return err
	}
	return s.run(ctx, mid, hi)
}

func (s *search) singly(ctx context.Context, lo, hi int) error {
	for i := lo; i < hi; i++ {
		if err := s.run(ctx, i, i+1); err != nil {
			return err
		}
	}
	return nil
}

// canary finds out whether the plugin can categorize anything at all. It is asked for each poisonous item, so that no
// number of them looks like a plugin that keeps failing.
func (s *search) canary(ctx context.Context) error {
	b, err := s.plugin.Categorize(ctx, make([]feedback.Item, 1))
	if err != nil {
		return err
	}
	b.Release()
	return nil
}

func (s *search) tell(lo int, b *Batch) {
	defer b.Release()
	for i := range b.Results {
		r := &b.Results[i]
		err := r.Err
		r.Err = nil
		if err != nil {
			r = nil
		}
		s.each(lo+i, r, err)
	}
}
