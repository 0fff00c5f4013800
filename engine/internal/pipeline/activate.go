package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// fillBatch is how many items one update counts in windows that are being filled: fewer when that would be too large.
const fillBatch = 256

// Activate has another ruleset decide, from one update on: every item is decided on by one set. Windows that the set
// has and that were not kept are filled from history first, while items go on being decided on by the set before, and
// count in the new windows already. with is called within the update in which the set changes; it may be nil, and
// progress too. Only one call may be under way.
func (p *Pipeline) Activate(ctx context.Context, set *rules.Set, at feedback.Time, with func(*store.Tx) error, progress func(items int)) error {
	if err := p.beginFilling(ctx, set, at); err != nil {
		return err
	}
	err := p.fill(ctx, set, at, progress)
	if err == nil {
		err = p.change(ctx, set, at, with)
	}
	if err == nil {
		return nil
	}
	return errors.Join(err, p.change(context.WithoutCancel(ctx), p.Rules(), at, nil)) // the windows of the set are kept no more
}

// beginFilling has new items count in the windows of the set that are not kept yet.
func (p *Pipeline) beginFilling(ctx context.Context, set *rules.Set, at feedback.Time) error {
	now := p.deciding.Load()
	err := p.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		next := &deciding{rules: now.rules, filling: set, generations: maps.Clone(now.generations)}
		if next.generations == nil {
			next.generations = map[string]int{}
		}
		for _, info := range set.Windows() {
			w, err := store.Load[records.Window](tx, records.WindowKey(info.ID))
			if errors.Is(err, store.ErrNotFound) {
				w, err = &records.Window{Generation: 1, Since: at}, nil
			}
			if err == nil {
				err = store.Put(tx, records.WindowKey(info.ID), w)
			}
			if err != nil {
				return err
			}
			next.generations[info.ID] = w.Generation
		}
		p.deciding.Store(next)
		return nil
	})
	if err != nil {
		p.deciding.Store(now)
	}
	return err
}

// change has the set decide and its windows be kept, and those of other sets no more: their next generation begins anew.
func (p *Pipeline) change(ctx context.Context, set *rules.Set, at feedback.Time, with func(*store.Tx) error) error {
	known, err := p.windows()
	if err != nil {
		return err
	}
	before := p.deciding.Load()
	after := &deciding{rules: set, generations: map[string]int{}}
	for id, w := range known {
		if set.HasWindow(id) {
			after.generations[id] = w.Generation
		}
	}
	err = p.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		for id, w := range known {
			if set.HasWindow(id) {
				continue
			}
			if err := store.Put(tx, records.WindowKey(id), &records.Window{Generation: w.Generation + 1, Since: at}); err != nil {
				return err
			}
		}
		if with != nil {
			if err := with(tx); err != nil {
				return err
			}
		}
		// Updates run one after another: the next one is decided on by the new set. Until this one is durable, items go on
		// counting in the windows of the set before, so that it can take over again.
		meanwhile := *before
		if meanwhile.rules != set {
			meanwhile.rules, meanwhile.filling = set, before.rules
		}
		p.deciding.Store(&meanwhile)
		return nil
	})
	if err != nil {
		p.deciding.Store(before)
		return err
	}
	p.deciding.Store(after)
	for id := range known {
		if !set.HasWindow(id) {
			_ = p.forget(ctx, id) // what is left is deleted when the rules change next
		}
	}
	return nil
}

// windows returns all windows that were ever kept.
func (p *Pipeline) windows() (map[string]records.Window, error) {
	out := map[string]records.Window{}
	err := p.cfg.Store.View(func(s *store.Snapshot) error {
		return s.Scan(records.WindowPrefix(), nil, false, func(key, val []byte) (bool, error) {
			var w records.Window
			id, err := records.WindowOf(key)
			if err == nil {
				err = json.Unmarshal(val, &w)
			}
			out[id] = w
			return err == nil, err
		})
	})
	return out, err
}

// fill counts the items that are there in the windows of the set that are not filled. An item that has counted is left
// alone, so that it can be begun again after a crash.
func (p *Pipeline) fill(ctx context.Context, set *rules.Set, now feedback.Time, progress func(items int)) error {
	todo, since, err := p.unfilled(set, now)
	if err != nil || len(todo) == 0 {
		return err
	}
	for at, done := feedback.ItemID(""), 0; ; {
		var batch []feedback.ItemID
		err := p.cfg.Store.View(func(s *store.Snapshot) (err error) {
			batch, at, err = records.ItemsSince(s, at, since, fillBatch)
			return err
		})
		if err == nil {
			err = store.InParts(batch, func(part []feedback.ItemID) error {
				return p.overTime(ctx, now, func(w *writer) error { return w.fill(part, set, todo) })
			})
		}
		if err != nil {
			return err
		}
		if done += len(batch); progress != nil {
			progress(done)
		}
		if at == "" {
			break
		}
	}
	return p.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		for id := range todo {
			w, err := store.Load[records.Window](tx, records.WindowKey(id))
			if err != nil {
				return err
			}
			w.Filled = true
			if err := store.Put(tx, records.WindowKey(id), w); err != nil {
				return err
			}
		}
		return nil
	})
}

// unfilled returns the windows of the set that lack items of the past, and from when on items may count in them.
func (p *Pipeline) unfilled(set *rules.Set, at feedback.Time) (todo map[string]bool, since feedback.Time, err error) {
	todo, since = map[string]bool{}, at
	err = p.cfg.Store.View(func(s *store.Snapshot) error {
		for _, info := range set.Windows() {
			w, err := store.Load[records.Window](s, records.WindowKey(info.ID))
			if err != nil {
				return err
			}
			if !w.Filled {
				todo[info.ID] = true
				since = min(since, at.Add(-info.Span.Over-info.Span.Offset-info.Span.Step))
			}
		}
		return nil
	})
	return todo, since, err
}

// fill counts a batch of items in windows.
func (w *writer) fill(batch []feedback.ItemID, set *rules.Set, todo map[string]bool) error {
	for _, id := range batch {
		s, err := w.load(id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		effective := feedback.Fold(s.labels.Changes)
		v := &view{w: w, id: id, labels: s.labels}
		var is []rules.Count
		for _, c := range set.CountsOf(s.counting(&effective)) {
			if todo[c.Window] && !w.counts(s.rec, c.Window) {
				is = append(is, c)
			}
		}
		is = set.Recount(nil, is, w.at, v)
		if len(is) == 0 {
			continue
		}
		for _, c := range is {
			s.rec.Windows = append(s.rec.Windows, records.WindowCount{Count: c, Generation: w.deciding.generations[c.Window]})
		}
		if err := store.Put(w.tx, records.ItemKey(id), s.rec); err != nil {
			return err
		}
	}
	return nil
}

// counts reports whether an item counts already in this generation of a window.
func (w *writer) counts(rec *records.Item, window string) bool {
	return slices.ContainsFunc(rec.Windows, func(c records.WindowCount) bool {
		return c.Window == window && c.Generation == w.deciding.generations[window]
	})
}

// forgetBatch is how many records of a window that is not kept any more one update deletes.
const forgetBatch = 1000

// forget deletes all observations of a window that is not kept any more.
func (p *Pipeline) forget(ctx context.Context, id string) error {
	prefix := records.RingsPrefix(id)
	for {
		var keys [][]byte
		err := p.cfg.Store.View(func(s *store.Snapshot) error {
			return s.Scan(prefix, nil, false, func(key, _ []byte) (bool, error) {
				keys = append(keys, append([]byte(nil), key...))
				return len(keys) < forgetBatch, nil
			})
		})
		if err != nil || len(keys) == 0 {
			return err
		}
		err = p.cfg.Store.Update(ctx, func(tx *store.Tx) error {
			for _, key := range keys {
				tx.Delete(key)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}
