package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/closedloop/closedloop/engine/internal/audit"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// undoBatch bounds the items that one update takes back.
const undoBatch = 64

// Undo takes back what an import has brought: the items that it created with all that follows from them. It works in
// many updates and remembers how far it is, so that one that was cut off goes on when it is called again. With rehearse
// nothing is changed. progress is told how many items are taken back; it may be nil.
//
// Items that a later import brought too stay, and those that are held, and items of other imports stay as this one revised them. Alerts that were
// raised, and messages that have left, stay as well. It fails with store.ErrNotFound when there is no such import.
func (p *Pipeline) Undo(ctx context.Context, u records.Undo, rehearse bool, progress func(items int)) (records.Undone, error) {
	if rehearse {
		p = p.rolledBack()
	}
	if progress == nil {
		progress = func(int) {}
	}
	t := &taking{p: p, u: u, at: u.At, progress: progress}
	for _, step := range []func(context.Context) error{t.begin, t.unsay, t.items, t.rejects, t.end} {
		if err := step(ctx); err != nil {
			return t.u.Done, fmt.Errorf("undo of import %q of %s: %w", u.Batch, u.Source, err)
		}
	}
	return t.u.Done, nil
}

// ResumeUndos goes on with what was cut off.
func (p *Pipeline) ResumeUndos(ctx context.Context, at feedback.Time) error {
	var cut []records.Undo
	err := p.cfg.Store.View(func(s *store.Snapshot) (err error) {
		cut, err = records.Undos(s)
		return err
	})
	for _, u := range cut {
		if err == nil {
			u.At = at
			_, err = p.Undo(ctx, u, false, nil)
		}
	}
	return err
}

// taking is an import on its way back.
type taking struct {
	p         *Pipeline
	u         records.Undo
	at        feedback.Time
	progress  func(int)
	rehearsed map[waiting]int // messages that a rehearsal has left where they are
}

// waiting is a message about an item to a destination.
type waiting struct {
	item        feedback.ItemID
	destination string
}

func (t *taking) key() []byte { return records.UndoKey(t.u.Source, t.u.Batch) }

// begin takes up what was cut off, or notes that it begins.
func (t *taking) begin(ctx context.Context) error {
	return t.p.overTime(ctx, t.at, func(w *writer) error {
		cut, err := store.Load[records.Undo](w.tx, t.key())
		if err == nil {
			t.u = *cut
			return nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if _, err := w.tx.Get(records.ImportKey(t.u.Source, t.u.Batch)); err != nil {
			return err
		}
		t.say(w, "import.undo", nil)
		return store.Put(w.tx, t.key(), &t.u)
	})
}

func (t *taking) say(w *writer, kind string, data []byte) {
	w.said(audit.Entry{At: t.at, Kind: kind, Who: t.u.Who, What: t.u.Source + " " + t.u.Batch, Why: t.u.Why, Data: data})
}

// created reports whether an item is one that the import brought, and no other, and that is not held.
func (t *taking) created(r records.Reader, id feedback.ItemID) (bool, error) {
	if id == "" {
		return false, nil
	}
	rec, err := store.Load[records.Item](r, records.ItemKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil || rec.Batches() != (records.BatchOf{Source: t.u.Source, Created: t.u.Batch, Latest: t.u.Batch}) {
		return false, err
	}
	held, err := isHeld(r, rec)
	return !held, err
}

func isHeld(r records.Reader, rec *records.Item) (bool, error) {
	held, err := records.HeldItem(r, &rec.Feedback)
	return held != nil, err
}

func (t *taking) unsay(ctx context.Context) error {
	unsent, err := t.p.unsay(ctx, t.at, t.created)
	t.u.Done.Unsent += len(unsent)
	if t.p.rehearses {
		t.rehearsed = map[waiting]int{}
		for i := range unsent {
			t.rehearsed[waiting{unsent[i].Item, unsent[i].Destination}]++
		}
	}
	return err
}

// left reports whether a message that was made has left.
func (t *taking) left(d *feedback.Delivery) bool {
	w := waiting{d.Item, d.Destination}
	t.rehearsed[w]--
	return t.rehearsed[w] < 0
}

func (t *taking) items(ctx context.Context) error {
	how := removal{by: acting{who: t.u.Who, why: t.u.Why}, stays: isHeld}
	for {
		ids, last, err := t.next()
		if err != nil || last == t.u.After {
			return err
		}
		err = store.InParts(ids, func(part []feedback.ItemID) error {
			after := t.u
			err := t.p.removeItems(ctx, t.at, part, how, func(w *writer, out *removed) error {
				after = t.u
				t.count(&after.Done, out)
				after.After = last
				if n := len(part); n > 0 && part[n-1] != ids[len(ids)-1] {
					after.After = part[n-1]
				}
				return store.Put(w.tx, t.key(), &after)
			})
			if err == nil {
				t.u = after
			}
			return err
		})
		if err != nil {
			return err
		}
		t.progress(t.u.Done.Items)
	}
}

// count adds what taking items out led to.
func (t *taking) count(d *records.Undone, out *removed) {
	if t.p.rehearses {
		out.sent = slices.DeleteFunc(out.sent, func(d feedback.Delivery) bool { return !t.left(&d) })
	}
	d.Items += len(out.items)
	d.Cases += len(out.gone)
	d.Closed, d.ClosedCases = d.Closed+len(out.closed), records.Name(d.ClosedCases, out.closed...)
	d.Sent, d.SentMessages = d.Sent+len(out.sent), records.Name(d.SentMessages, out.sent...)
}

// plain is a text that is written in JSON as it is.
var plain = regexp.MustCompile(`^[A-Za-z0-9 ,._:/+-]+$`)

// next returns the next items to take back, and the last one that was looked at. It counts those that stay.
func (t *taking) next() (ids []feedback.ItemID, last feedback.ItemID, err error) {
	last = t.u.After
	mark := []byte(nil) // what a record that has to do with the import holds
	if plain.MatchString(t.u.Batch) {
		mark = []byte(t.u.Batch)
	}
	var from []byte
	if last != "" {
		from = append(records.ItemKey(last), 0)
	}
	err = t.p.cfg.Store.View(func(s *store.Snapshot) error {
		return s.Scan(records.ItemsPrefix(), from, false, func(key, payload []byte) (bool, error) {
			r := store.ReadKey(key)
			id := feedback.ItemID(r.Str())
			if err := r.Err(); err != nil {
				return false, err
			}
			last = id
			if !bytes.Contains(payload, mark) {
				return true, nil
			}
			var rec records.Item
			if err := json.Unmarshal(payload, &rec); err != nil {
				return false, fmt.Errorf("item %s: %w", id, err)
			}
			goes := t.judge(id, rec.Batches())
			if goes {
				held, err := isHeld(s, &rec)
				if err != nil {
					return false, err
				}
				if goes = !held; held {
					t.u.Done.Held, t.u.Done.HeldItems = t.u.Done.Held+1, records.Name(t.u.Done.HeldItems, id)
				}
			}
			if goes {
				ids = append(ids, id)
			}
			return len(ids) < undoBatch, nil
		})
	})
	return ids, last, err
}

// judge reports whether an item is to be taken back, and counts it otherwise when it has to do with the import.
func (t *taking) judge(id feedback.ItemID, b records.BatchOf) bool {
	done := &t.u.Done
	switch created, latest := b.Created == t.u.Batch, b.Latest == t.u.Batch; {
	case b.Source != t.u.Source || !created && !latest:
	case created && latest:
		return true
	case created:
		done.Shared, done.SharedItems = done.Shared+1, records.Name(done.SharedItems, id)
	default:
		done.Revised, done.RevisedItems = done.Revised+1, records.Name(done.RevisedItems, id)
	}
	return false
}

// rejects forgets what of the import was held back.
func (t *taking) rejects(ctx context.Context) error {
	return sweep(ctx, t.p, t.at, records.DeadLetterPrefix(), func(_ records.Reader, l *feedback.DeadLetter) (bool, error) {
		return l.Delivery == nil && l.Source == t.u.Source && l.Batch == t.u.Batch, nil
	}, func(w *writer, key []byte, _ *feedback.DeadLetter) error {
		w.tx.Delete(key)
		t.u.Done.Rejects++
		return nil
	})
}

func (t *taking) end(ctx context.Context) error {
	return t.p.overTime(ctx, t.at, func(w *writer) error {
		data, err := json.Marshal(&t.u.Done)
		if err != nil {
			return err
		}
		t.say(w, "import.undone", data)
		w.tx.Delete(records.ImportKey(t.u.Source, t.u.Batch))
		w.tx.Delete(t.key())
		return nil
	})
}
