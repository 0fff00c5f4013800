package engine

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

const (
	// moved is how far a revision may have moved an item in time for it to be found where it is now.
	moved = 7 * 24 * time.Hour
	// pastBatch is how many items are decoded together.
	pastBatch = 128
	// toldEvery is after how many items progress is told.
	toldEvery = 1000
)

// past is an item of the past.
type past struct {
	event       *feedback.Event
	corrections []feedback.Change
}

// batch is items on their way from the store.
type batch struct {
	raw  []records.Past
	past []past
	err  error
	done chan struct{}
}

// history calls yield with the items that occurred at from or later and before until, in the order in which they did.
// One that a revision moved back in time comes where its id says, so a little late. Items are decoded beside yield.
func history(ctx context.Context, snap *store.Snapshot, from, until feedback.Time, yield func(*past) error) error {
	ctx, stop := context.WithCancel(ctx)
	workers := max(runtime.GOMAXPROCS(0)-1, 1)
	ordered, work := make(chan *batch, 2*workers), make(chan *batch, 2*workers)
	var group sync.WaitGroup
	var failed error // of the reader, after ordered is closed
	group.Go(func() {
		defer close(ordered)
		defer close(work)
		failed = readBatches(ctx, snap, from, until, func(b *batch) error {
			for _, to := range []chan *batch{ordered, work} {
				select {
				case to <- b:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	})
	for range workers {
		group.Go(func() {
			for b := range work {
				b.decode()
			}
		})
	}
	defer group.Wait()
	defer stop()
	o := order{from: from, until: until, yield: yield}
	for b := range ordered {
		select {
		case <-b.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if b.err != nil {
			return b.err
		}
		for i := range b.past {
			if err := o.add(&b.past[i]); err != nil {
				return err
			}
		}
	}
	if err := cmp.Or(failed, ctx.Err()); err != nil {
		return err
	}
	return o.finish()
}

func readBatches(ctx context.Context, snap *store.Snapshot, from, until feedback.Time, send func(*batch) error) error {
	b := &batch{done: make(chan struct{})}
	err := records.History(snap, max(from.Add(-moved), 0), until.Add(moved), func(p records.Past) (bool, error) {
		b.raw = append(b.raw, p)
		if len(b.raw) < pastBatch {
			return true, ctx.Err()
		}
		full := b
		b = &batch{done: make(chan struct{})}
		return true, send(full)
	})
	if err != nil || len(b.raw) == 0 {
		return err
	}
	return send(b)
}

func (b *batch) decode() {
	defer close(b.done)
	b.past = make([]past, len(b.raw))
	for i, raw := range b.raw {
		p := &b.past[i]
		var err error
		p.event, p.corrections, err = raw.Decode()
		b.err = errors.Join(b.err, err)
	}
	b.raw = nil
}

// order holds items back that occurred later than their ids say, until it is their turn.
type order struct {
	from, until feedback.Time
	yield       func(*past) error
	later       laterFirst
}

func (o *order) add(p *past) error {
	at := p.event.Item.OccurredAt
	if at < o.from || at >= o.until {
		return nil
	}
	id := p.event.Item.ID
	if expected := feedback.NewItemID(at, "", ""); id[:min(len(id), idTime)] < expected[:idTime] {
		heap.Push(&o.later, p)
		return nil
	}
	for len(o.later) > 0 && o.later[0].event.Item.OccurredAt <= at {
		if err := o.next(); err != nil {
			return err
		}
	}
	return o.yield(p)
}

// idTime is how much of an item's id tells of the time.
const idTime = 12

func (o *order) next() error {
	p, _ := heap.Pop(&o.later).(*past)
	return o.yield(p)
}

func (o *order) finish() error {
	for len(o.later) > 0 {
		if err := o.next(); err != nil {
			return err
		}
	}
	return nil
}

// laterFirst is a heap of items by time and id.
type laterFirst []*past

// Len returns the number of items.
func (h laterFirst) Len() int { return len(h) }

// Less orders by time, then by id.
func (h laterFirst) Less(i, j int) bool {
	a, b := h[i].event.Item, h[j].event.Item
	return cmp.Or(cmp.Compare(a.OccurredAt, b.OccurredAt), cmp.Compare(a.ID, b.ID)) < 0
}

// Swap exchanges two items.
func (h laterFirst) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push is for package heap.
func (h *laterFirst) Push(x any) {
	if p, ok := x.(*past); ok {
		*h = append(*h, p)
	}
}

// Pop is for package heap.
func (h *laterFirst) Pop() any {
	last := len(*h) - 1
	p := (*h)[last]
	*h = (*h)[:last]
	return p
}
