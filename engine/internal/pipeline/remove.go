package pipeline

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/engine/internal/audit"
	"github.com/closedloop/closedloop/engine/internal/cases"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// removal says how items are taken out.
type removal struct {
	by acting
	// purge has the cases go also that people have acted on. Otherwise they are closed, and say why.
	purge bool
	// counted has what the items added to rollups and windows stay.
	counted bool
	// lone leaves the cases of the items alone.
	lone bool
	// stays, if not nil, is asked within the update whether an item stays after all.
	stays func(records.Reader, *records.Item) (bool, error)
	// before, if not nil, is called for each item before it is taken out.
	before func(*writer, *feedback.Item) error
}

// removed is what taking items out led to.
type removed struct {
	items  []feedback.ItemID
	gone   []feedback.CaseID   // cases that are not there any more
	closed []feedback.CaseID   // cases that stay, because people have acted on them
	linked []feedback.CaseID   // cases of other items that the items were linked to
	sent   []feedback.Delivery // messages that have left: their item and destination
}

// errMoved says that an item was decided on since it was looked at.
var errMoved = errors.New("pipeline: an item has changed meanwhile")

// removeItems takes items out in one update, with all that hangs on them: content, identity, labels, decisions, effects,
// indexes, what they added to rollups and windows, and cases. What messages and rules remember of them unsay takes out. An
// item that is not there is left out. also, if not nil, is part of the update. See store.InParts for when it would be too large.
func (p *Pipeline) removeItems(ctx context.Context, at feedback.Time, ids []feedback.ItemID, how removal, also func(*writer, *removed) error) error {
	for {
		var found []hanging
		err := p.cfg.Store.View(func(s *store.Snapshot) (err error) {
			found, err = hangingOn(s, ids)
			return err
		})
		if err != nil {
			return err
		}
		err = p.overTime(ctx, at, func(w *writer) error {
			out := &removed{}
			for i := range found {
				if err := w.remove(&found[i], how, out); err != nil {
					return err
				}
			}
			if also == nil {
				return nil
			}
			return also(w, out)
		})
		if !errors.Is(err, errMoved) {
			return err
		}
	}
}

// hanging is what hangs on an item and is found by scanning only.
type hanging struct {
	item      feedback.ItemID
	decisions int      // of the item when it was looked at
	history   [][]byte // keys of the label changes that no longer hold
}

func hangingOn(s *store.Snapshot, ids []feedback.ItemID) (out []hanging, err error) {
	for _, id := range ids {
		rec, err := store.Load[records.Item](s, records.ItemKey(id))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		h := hanging{item: id, decisions: rec.Decisions}
		err = s.Scan(records.LabelHistoryPrefix(id), nil, false, func(key, _ []byte) (bool, error) {
			h.history = append(h.history, bytes.Clone(key))
			return true, nil
		})
		if err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, nil
}

// remove takes one item out, within an update.
func (w *writer) remove(h *hanging, how removal, out *removed) error {
	s, err := w.load(h.item)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err == nil && s.rec.Decisions != h.decisions {
		err = errMoved
	}
	if err != nil {
		return err
	}
	if how.stays != nil {
		if stays, err := how.stays(w.tx, s.rec); stays || err != nil {
			return err
		}
	}
	done, err := store.Load[records.Effects](w.tx, records.EffectsKey(h.item))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if done == nil {
		done = &records.Effects{}
	}
	out.items = append(out.items, h.item)
	for i := range done.Done {
		if e := &done.Done[i]; e.Kind == string(rules.Notify) {
			out.sent = append(out.sent, feedback.Delivery{Item: h.item, Kind: e.Kind, Destination: targetOf(e), CreatedAt: e.At})
		}
	}
	if how.before != nil {
		if err := how.before(w, &s.rec.Feedback); err != nil {
			return err
		}
	}
	if how.counted {
		w.setNumber(records.StayedKey(), w.number(records.StayedKey())+1)
	} else {
		w.uncount(s)
	}
	if how.lone {
		return w.wipe(s, h)
	}
	for _, id := range casesOf(s.rec, done) {
		if err := w.removeFrom(id, h.item, how, out); err != nil {
			return err
		}
	}
	return w.wipe(s, h)
}

// targetOf returns the target of an effect, which its key has behind its rule and its kind.
func targetOf(e *records.Effect) string {
	rest := strings.TrimPrefix(e.Key, e.Rule+"|"+e.Kind+"|")
	target, _, _ := strings.Cut(rest, "|")
	return target
}

// uncount takes back what an item added to rollups and windows.
func (w *writer) uncount(s *subject) {
	w.rollups.Add(&s.rec.Counted, -1)
	v := &view{w: w, id: s.rec.Feedback.ID, labels: s.labels}
	was := w.counted(s.rec)
	rest := w.rules.Recount(was, nil, w.at, v)
	if filling := w.deciding.filling; filling != nil {
		filling.Recount(rest, nil, w.at, v)
	}
	w.rules.Touched(was, w.memory.touch)
}

// casesOf returns the cases that an item may have opened, and the one that it is linked to.
func casesOf(rec *records.Item, done *records.Effects) (ids []feedback.CaseID) {
	for _, id := range [...]string{rec.Case, rec.Linked} {
		if id != "" {
			ids = append(ids, feedback.CaseID(id))
		}
	}
	for i := range done.Done {
		if e := &done.Done[i]; e.Kind == string(rules.Case) {
			ids = append(ids, feedback.NewCaseID(e.At, string(rec.Feedback.ID), e.Key))
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// removeFrom takes an item out of a case: with the case, when the item opened it.
func (w *writer) removeFrom(id feedback.CaseID, item feedback.ItemID, how removal, out *removed) error {
	c, err := w.known(id)
	if c == nil || err != nil {
		return err
	}
	switch {
	case c.Item == item && (how.purge || !cases.Acted(c)):
		out.gone = append(out.gone, id)
		return w.removeCase(c, how.by)
	case c.Item == item:
		out.closed = append(out.closed, id)
		after := cases.TakeBack(*c, how.by.who, how.by.why, w.at)
		return w.keepCase(c, &after, how.by)
	case slices.Contains(c.Items, item):
		out.linked = append(out.linked, id)
		after := cases.Unlink(*c, item, how.by.who, w.at)
		return w.keepCase(c, &after, how.by)
	}
	return nil
}

// removeCase takes a case out of the store. The audit log keeps what it says of it.
func (w *writer) removeCase(c *feedback.Case, by acting) error {
	if c.Status.Open() {
		w.burden(c.Owner, -1)
	}
	if c.Customer != "" {
		latest, err := w.latestOf(c.Customer)
		if err != nil {
			return err
		}
		latest.Cases = slices.DeleteFunc(latest.Cases, func(id feedback.CaseID) bool { return id == c.ID })
		latest.changed = true
		w.tx.Delete(records.CustomerCaseKey(c.Customer, c.ID))
	}
	for _, id := range append([]feedback.ItemID{c.Item}, c.Items...) {
		if err := w.unlinkItem(id, string(c.ID)); err != nil {
			return err
		}
	}
	w.memory.book.tear(c)
	w.said(audit.Entry{At: w.at, Kind: "case.removed", Who: by.who, What: string(c.ID), Why: by.why})
	return nil
}

// unlinkItem has an item forget a case that is taken out.
func (w *writer) unlinkItem(id feedback.ItemID, kase string) error {
	rec, err := store.Load[records.Item](w.tx, records.ItemKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil || rec.Case != kase && rec.Linked != kase {
		return err
	}
	for _, ref := range [...]*string{&rec.Case, &rec.Linked} {
		if *ref == kase {
			*ref = ""
		}
	}
	return store.Put(w.tx, records.ItemKey(id), rec)
}

// wipe deletes the records of an item.
func (w *writer) wipe(s *subject, h *hanging) error {
	it := &s.rec.Feedback
	identity := records.IdentityKey(it.Source, it.ExternalID)
	known, err := store.Load[records.Identity](w.tx, identity)
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return err
	case known.ID == h.item:
		w.tx.Delete(identity)
		if err := w.uncountRows(it, known); err != nil {
			return err
		}
	}
	for _, key := range h.history {
		w.tx.Delete(key)
	}
	for n := range s.rec.Decisions {
		w.tx.Delete(records.DecisionKey(h.item, n+1))
	}
	for _, c := range s.rec.Waiting {
		w.tx.Delete(records.WaitingKey(c, h.item))
	}
	w.index(s.rec.Queue, "", func(q string) []byte { return records.QueueKey(q, h.item) })
	w.index(it.Customer.ID, "", func(c string) []byte { return records.CustomerKey(c, h.item) })
	for _, key := range [...][]byte{records.ItemKey(h.item), records.LabelsKey(h.item), records.EffectsKey(h.item)} {
		w.tx.Delete(key)
	}
	return nil
}

// uncountRows has the rows of an import that are identical and have no id be counted anew.
func (w *writer) uncountRows(it *feedback.Item, known *records.Identity) error {
	if it.Synthetic == "" {
		return nil
	}
	for _, hash := range known.Hashes {
		key := records.OrdinalKey(it.Source, hash)
		seen, err := store.Load[records.Ordinal](w.tx, key)
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return err
		case seen.Batch == it.Batch:
			w.tx.Delete(key)
		}
	}
	return nil
}
