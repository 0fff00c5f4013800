package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/alert"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// about reports whether what is said of an item is to be taken back.
type about func(r records.Reader, id feedback.ItemID) (bool, error)

// unsayBatch bounds the records that one update takes back.
const unsayBatch = 128

// unsay takes back what is not yet told of items, or remembered of them beside their records: messages in the outbox and
// among the dead letters, entries of digests, firings of throttles. The effect of a message that is taken back is as if
// it had not been carried out. It is safe to call it again. It returns the messages that will not be sent.
func (p *Pipeline) unsay(ctx context.Context, at feedback.Time, is about) (unsent []feedback.Delivery, err error) {
	drop := func(w *writer, key []byte, d *feedback.Delivery) error {
		w.tx.Delete(key)
		unsent = append(unsent, feedback.Delivery{Item: d.Item, Kind: d.Kind, Destination: d.Destination, CreatedAt: d.CreatedAt})
		return w.undo(d.Item, func(e *records.Effect) bool { return e.Kind == string(rules.Notify) && keyOf(d.Item, e) == d.Key })
	}
	err = sweep(ctx, p, at, records.DeliveriesPrefix(), func(r records.Reader, d *feedback.Delivery) (bool, error) {
		return is(r, d.Item)
	}, drop)
	if err != nil {
		return unsent, err
	}
	err = sweep(ctx, p, at, records.DeadLetterPrefix(), func(r records.Reader, l *feedback.DeadLetter) (bool, error) {
		if l.Delivery == nil {
			return false, nil
		}
		return is(r, l.Delivery.Item)
	}, func(w *writer, key []byte, l *feedback.DeadLetter) error { return drop(w, key, l.Delivery) })
	if err != nil {
		return unsent, err
	}
	err = sweep(ctx, p, at, records.DigestPrefix(), func(r records.Reader, d *records.Digest) (found bool, err error) {
		for i := range d.State.Entries {
			it, e := is(r, feedback.ItemID(d.State.Entries[i].Item))
			found, err = found || it, errors.Join(err, e)
		}
		return found, err
	}, func(w *writer, _ []byte, d *records.Digest) error {
		dropped, err := w.undigest(d.Rule, d.Destination, is)
		unsent = append(unsent, dropped...)
		return err
	})
	if err != nil {
		return unsent, err
	}
	return unsent, sweep(ctx, p, at, records.ThrottlePrefix(), func(r records.Reader, t *records.Throttled) (found bool, err error) {
		for _, f := range t.Firings {
			it, e := is(r, f.Item)
			found, err = found || it, errors.Join(err, e)
		}
		return found, err
	}, func(w *writer, key []byte, t *records.Throttled) (err error) {
		t.Firings = slices.DeleteFunc(t.Firings, func(f rules.Firing) bool {
			it, e := is(w.tx, f.Item)
			err = errors.Join(err, e)
			return it
		})
		if len(t.Firings) == 0 {
			w.tx.Delete(key)
			return err
		}
		return errors.Join(err, store.Put(w.tx, key, t))
	})
}

// undigest takes messages about items out of a digest.
func (w *writer) undigest(rule, destination string, is about) (dropped []feedback.Delivery, err error) {
	boardOf{w}.Digest(rule, destination).Drop(func(e alert.Entry) bool {
		id := feedback.ItemID(e.Item)
		it, failed := is(w.tx, id)
		err = errors.Join(err, failed)
		if it {
			dropped = append(dropped, feedback.Delivery{Item: id, Kind: "digest", Destination: destination, CreatedAt: e.At})
			err = errors.Join(err, w.undo(id, func(x *records.Effect) bool {
				return x.Kind == string(rules.Notify) && x.Rule == e.Rule && targetOf(x) == destination
			}))
		}
		return it
	})
	return dropped, err
}

// undo forgets that effects of an item were carried out.
func (w *writer) undo(id feedback.ItemID, which func(*records.Effect) bool) error {
	done, err := store.Load[records.Effects](w.tx, records.EffectsKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	n := len(done.Done)
	done.Done = slices.DeleteFunc(done.Done, func(e records.Effect) bool { return which(&e) })
	if len(done.Done) == n {
		return nil
	}
	return store.Put(w.tx, records.EffectsKey(id), done)
}

// sweep goes through the records below a prefix and has take do something with those that are chosen, so many in one
// update that it stays short. What take is handed is the record as the update finds it.
func sweep[T any](ctx context.Context, p *Pipeline, at feedback.Time, prefix []byte, chosen func(records.Reader, *T) (bool, error),
	take func(w *writer, key []byte, v *T) error) error {
	for from := []byte(nil); ; {
		var keys [][]byte
		more := false
		err := p.cfg.Store.View(func(s *store.Snapshot) error {
			return s.Scan(prefix, from, false, func(key, payload []byte) (bool, error) {
				if more = len(keys) == unsayBatch; more {
					return false, nil
				}
				var v T
				if err := json.Unmarshal(payload, &v); err != nil {
					return false, fmt.Errorf("record %q: %w", key, err)
				}
				it, err := chosen(s, &v)
				if it {
					keys = append(keys, bytes.Clone(key))
				}
				from = append(append(from[:0], key...), 0)
				return true, err
			})
		})
		if err == nil && len(keys) > 0 {
			err = p.overTime(ctx, at, func(w *writer) error {
				for _, key := range keys {
					v, err := store.Load[T](w.tx, key)
					if errors.Is(err, store.ErrNotFound) {
						continue
					}
					if err == nil {
						err = take(w, key, v)
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err != nil || !more {
			return err
		}
	}
}
