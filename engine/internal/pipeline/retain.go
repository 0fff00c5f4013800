package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// TimerRetain is the kind of the timer of retention. Retain does what is due.
const TimerRetain = "retain"

// Retention says how long what there is is kept. Zero members keep it for ever.
type Retention struct {
	Items       time.Duration            // counted from when the feedback was given
	Sources     map[string]time.Duration // items of a source, in place of Items
	Cases       time.Duration            // counted from when they were resolved or closed
	Decisions   time.Duration            // all but the latest of each item, counted from when they were taken
	DeadLetters time.Duration            // counted from when they died
}

// IsZero reports whether everything is kept.
func (r *Retention) IsZero() bool {
	return r.Items == 0 && len(r.Sources) == 0 && r.Cases == 0 && r.Decisions == 0 && r.DeadLetters == 0
}

// itemsOf returns how long the items of a source are kept; 0 means for ever.
func (r *Retention) itemsOf(source string) time.Duration {
	if d, ok := r.Sources[source]; ok {
		return d
	}
	return r.Items
}

// shortest returns the shortest time for which any items are kept, or 0 when all are for ever.
func (r *Retention) shortest() time.Duration {
	least := r.Items
	for _, d := range r.Sources {
		if d > 0 && (least == 0 || d < least) {
			least = d
		}
	}
	return least
}

// tooOld reports whether an item is older than items of its source are kept, so that retention would take it at once.
func (p *Pipeline) tooOld(it *feedback.Item, at feedback.Time) bool {
	keep := p.cfg.Retention.itemsOf(it.Source)
	return keep > 0 && !it.OccurredAssumed && it.OccurredAt.Add(keep) < at
}

// Swept counts what retention took out, or would.
type Swept struct {
	Items       int
	Cases       int
	Decisions   int
	DeadLetters int
	// Held and Open are items that stay although they are old: because of a hold, or because their case is open.
	Held int
	Open int
	More bool // there is more, which was not looked at
}

// Retain takes out what is older than it is kept, the oldest first, at most so many of each kind, in many small updates.
// What is held stays, and so does an item while its case is open. Sums stay. It is safe to call it again at any time.
// With rehearse nothing is changed.
func (p *Pipeline) Retain(ctx context.Context, at feedback.Time, most int, rehearse bool) (Swept, error) {
	r := &retaining{p: p, at: at, most: most, rehearse: rehearse}
	for _, step := range []func(context.Context) error{r.items, r.cases, r.decisions, r.letters} {
		if err := step(ctx); err != nil {
			return r.swept, fmt.Errorf("retention: %w", err)
		}
	}
	return r.swept, nil
}

// retaining is one round of retention.
type retaining struct {
	p        *Pipeline
	at       feedback.Time
	most     int
	rehearse bool
	swept    Swept
}

// before returns the instant before which what is kept so long is too old.
func (r *retaining) before(keep time.Duration) feedback.Time { return r.at.Add(-keep) }

// items takes out old items. Their cases, which have an age of their own, stay.
func (r *retaining) items(ctx context.Context) error {
	ids, err := r.oldItems(ctx)
	if err != nil {
		return err
	}
	if r.rehearse {
		r.swept.Items = len(ids)
		return nil
	}
	return r.takeItems(ctx, ids)
}

// oldItems returns the items that are to go.
func (r *retaining) oldItems(ctx context.Context) (ids []feedback.ItemID, err error) {
	keep := r.p.cfg.Retention.shortest()
	if keep == 0 {
		return nil, nil
	}
	end := records.ItemKey(feedback.NewItemID(r.before(keep).Add(time.Millisecond), "", "")[:len("f_")+10]) // the time in an id
	err = r.p.cfg.Store.View(func(s *store.Snapshot) error {
		return s.Scan(records.ItemsPrefix(), nil, false, func(key, payload []byte) (bool, error) {
			if bytes.Compare(key, end) >= 0 {
				return false, nil
			}
			if r.swept.More = len(ids) >= r.most; r.swept.More {
				return false, nil
			}
			var rec records.Item
			if err := json.Unmarshal(payload, &rec); err != nil {
				return false, fmt.Errorf("record %q: %w", key, err)
			}
			goes, err := r.goes(s, &rec)
			if goes {
				ids = append(ids, rec.Feedback.ID)
			}
			return err == nil && ctx.Err() == nil, errors.Join(err, ctx.Err())
		})
	})
	return ids, err
}

// takeItems takes out those items that nothing keeps by now.
func (r *retaining) takeItems(ctx context.Context, ids []feedback.ItemID) error {
	stays := func(rd records.Reader, rec *records.Item) (bool, error) {
		goes, err := r.goes(rd, rec)
		return !goes, err
	}
	how := removal{by: acting{who: "engine", why: "retention"}, counted: true, lone: true, stays: stays}
	for batch := range slices.Chunk(ids, eraseBatch) {
		err := store.InParts(batch, func(part []feedback.ItemID) error {
			var taken int
			err := r.p.removeItems(ctx, r.at, part, how, func(_ *writer, out *removed) error {
				taken = len(out.items)
				return nil
			})
			r.swept.Items += taken
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// goes reports whether an item is too old and nothing keeps it.
func (r *retaining) goes(s records.Reader, rec *records.Item) (bool, error) {
	it := &rec.Feedback
	keep := r.p.cfg.Retention.itemsOf(it.Source)
	if keep == 0 || it.OccurredAt.Add(keep) >= r.at {
		return false, nil
	}
	held, err := records.HeldItem(s, it)
	if held != nil || err != nil {
		r.swept.Held++
		return false, err
	}
	for _, id := range [...]string{rec.Case, rec.Linked} {
		if id == "" {
			continue
		}
		c, err := records.LoadCase(s, feedback.CaseID(id))
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return false, err
		case c.Status.Open():
			r.swept.Open++
			return false, nil
		}
	}
	return true, nil
}

// cases takes out cases that ended long ago.
func (r *retaining) cases(ctx context.Context) error {
	if r.p.cfg.Retention.Cases == 0 {
		return nil
	}
	before := r.before(r.p.cfg.Retention.Cases)
	var ids []feedback.CaseID
	old := func(rd records.Reader, c *feedback.Case) (bool, error) {
		if c.Status.Open() || max(c.ResolvedAt, c.ClosedAt) >= before {
			return false, nil
		}
		held, err := heldCase(rd, c)
		return held == nil, err
	}
	err := r.p.cfg.Store.View(func(s *store.Snapshot) error {
		return records.EachCase(s, func(c *feedback.Case) (bool, error) {
			if c.OpenedAt >= before { // they come in this order
				return false, nil
			}
			if len(ids) >= r.most {
				r.swept.More = true
				return false, nil
			}
			goes, err := old(s, c)
			if goes {
				ids = append(ids, c.ID)
			}
			return err == nil, err
		})
	})
	r.swept.Cases = len(ids)
	if err != nil || r.rehearse {
		return err
	}
	for batch := range slices.Chunk(ids, eraseBatch) {
		err := store.InParts(batch, func(part []feedback.CaseID) error {
			return r.p.overTime(ctx, r.at, func(w *writer) error { return r.dropCases(w, part, old) })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// heldCase returns the hold on a case's customer, or on the item that opened it, or nil.
func heldCase(r records.Reader, c *feedback.Case) (*records.Hold, error) {
	rec, err := store.Load[records.Item](r, records.ItemKey(c.Item))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return records.HeldBy(r, c.Customer, "")
	case err != nil:
		return nil, err
	}
	if held, err := records.HeldItem(r, &rec.Feedback); held != nil || err != nil {
		return held, err
	}
	return records.HeldBy(r, c.Customer, "")
}

// dropCases takes out those cases that are still old.
func (r *retaining) dropCases(w *writer, ids []feedback.CaseID, old func(records.Reader, *feedback.Case) (bool, error)) error {
	for _, id := range ids {
		c, err := w.known(id)
		if err != nil {
			return err
		}
		if c == nil {
			continue
		}
		goes, err := old(w.tx, c) // somebody may have reopened it
		if err == nil && goes {
			err = w.removeCase(c, acting{who: "engine", why: "retention"})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// decisions takes out explanations of decisions that others have followed.
func (r *retaining) decisions(ctx context.Context) error {
	if r.p.cfg.Retention.Decisions == 0 {
		return nil
	}
	before := r.before(r.p.cfg.Retention.Decisions)
	var of feedback.ItemID
	var rec *records.Item
	n, err := r.drop(ctx, store.KeyDecision, func(s *store.Snapshot, key, payload []byte) (bool, error) {
		k := store.ReadKey(key)
		id, number := feedback.ItemID(k.Str()), k.Uint64()
		var d struct {
			At feedback.Time `json:"at"`
		}
		if err := errors.Join(k.Err(), json.Unmarshal(payload, &d)); err != nil || d.At >= before {
			return false, err
		}
		if id != of {
			var err error
			if rec, err = store.Load[records.Item](s, records.ItemKey(id)); errors.Is(err, store.ErrNotFound) {
				return false, nil
			} else if err != nil {
				return false, err
			}
			of = id
		}
		if int(number) >= rec.Decisions {
			return false, nil
		}
		held, err := records.HeldItem(s, &rec.Feedback)
		return held == nil, err
	})
	r.swept.Decisions = n
	return err
}

// letters takes out old dead letters.
func (r *retaining) letters(ctx context.Context) error {
	if r.p.cfg.Retention.DeadLetters == 0 {
		return nil
	}
	before := r.before(r.p.cfg.Retention.DeadLetters)
	n, err := r.drop(ctx, store.KeyDead, func(s *store.Snapshot, key, payload []byte) (bool, error) {
		var l feedback.DeadLetter
		if err := json.Unmarshal(payload, &l); err != nil {
			return false, fmt.Errorf("record %q: %w", key, err)
		}
		if l.At >= before {
			return false, nil
		}
		if d := l.Delivery; d != nil && d.Item != "" {
			if rec, err := store.Load[records.Item](s, records.ItemKey(d.Item)); err == nil {
				held, err := records.HeldItem(s, &rec.Feedback)
				return held == nil, err
			}
		}
		held, err := records.HeldBy(s, l.Customer, l.Source)
		return held == nil, err
	})
	r.swept.DeadLetters = n
	return err
}

// drop deletes the chosen records of a keyspace, and returns how many.
func (r *retaining) drop(ctx context.Context, space byte, chosen func(s *store.Snapshot, key, payload []byte) (bool, error)) (int, error) {
	var keys [][]byte
	err := r.p.cfg.Store.View(func(s *store.Snapshot) error {
		return s.Scan([]byte{space}, nil, false, func(key, payload []byte) (bool, error) {
			if len(keys) >= r.most {
				r.swept.More = true
				return false, nil
			}
			goes, err := chosen(s, key, payload)
			if goes {
				keys = append(keys, bytes.Clone(key))
			}
			return err == nil && ctx.Err() == nil, errors.Join(err, ctx.Err())
		})
	})
	if r.rehearse {
		return len(keys), err
	}
	for batch := range slices.Chunk(keys, unsayBatch) {
		if err != nil {
			return 0, err
		}
		err = r.p.cfg.Store.Update(ctx, func(tx *store.Tx) error {
			for _, key := range batch {
				tx.Delete(key)
			}
			return nil
		})
	}
	return len(keys), err
}
