package pipeline

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/closedloop/closedloop/engine/internal/audit"
	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/alert"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// messages drops what waits to be told, or was given up. A message moves to the dead letters and back.
func (x *erasing) messages(ctx context.Context) error {
	for _, space := range [...]byte{store.KeyOutbox, store.KeyDead, store.KeyOutbox} {
		take := x.takeMessage
		if space == store.KeyDead {
			take = x.takeLetter
		}
		if err := x.sweep(ctx, space, x.told, take); err != nil {
			return err
		}
		if x.p.rehearses && space == store.KeyDead {
			return nil // what is still there was counted
		}
	}
	return nil
}

// lateMessages drops what alerts and cases have told before they went themselves.
func (x *erasing) lateMessages(ctx context.Context) error {
	if x.p.rehearses {
		return nil
	}
	return x.messages(ctx)
}

// inEither reports whether a record or its key mentions the person, and told whether it may also tell of an alert.
func (x *erasing) inEither(key, payload []byte) bool {
	return x.who.isNamedIn(key) || x.who.isIn(payload)
}

func (x *erasing) told(key, payload []byte) bool {
	return x.inEither(key, payload) || len(x.who.rules) > 0 && x.who.isToldIn(ruleOf(key, payload), payload)
}

// rest goes through all else that may mention the person beside items and cases.
func (x *erasing) rest(ctx context.Context) error {
	x.e.PairsLeft = 0
	inKey := func(key, _ []byte) bool { return x.who.isNamedIn(key) }
	for _, s := range []struct {
		space  byte
		chosen func(key, payload []byte) bool
		take   func(w *writer, key, payload []byte) error
	}{
		{store.KeyAlert, x.told, x.takeAlert},
		{store.KeySilence, x.told, x.takeBoard},
		{store.KeyWindow, inKey, x.drop(&x.e.Gone.Windows)},
		{store.KeyThrottle, x.inEither, x.takeFirings},
		{store.KeyTimer, x.inTimer, x.drop(&x.e.Gone.Timers)},
		{store.KeyMeta, x.inEither, x.takeNotices},
		{store.KeyPlugin, x.inEither, x.takePair},
	} {
		if err := x.sweep(ctx, s.space, s.chosen, s.take); err != nil {
			return err
		}
	}
	return nil
}

// inTimer reports whether a timer mentions the person. Those of cases go with their cases: a case that has a promise has
// its timer at any moment.
func (x *erasing) inTimer(key, _ []byte) bool {
	r := store.ReadKey(key)
	_ = r.Time()
	return r.Str() != records.TimerCase && x.who.isNamedIn(key)
}

// ruleOf returns the rule whose alerts a record tells of, or "".
func ruleOf(key, payload []byte) string {
	switch key[0] {
	case store.KeyAlert:
		return store.ReadKey(key).Str()
	case store.KeySilence:
		r := store.ReadKey(key)
		_ = r.Str()
		return r.Str()
	}
	var d struct {
		Body     struct{ Rule string }
		Delivery struct{ Body struct{ Rule string } }
	}
	_ = json.Unmarshal(payload, &d) // what is no message tells of no alert
	return cmp.Or(d.Body.Rule, d.Delivery.Body.Rule)
}

// drop deletes a record and counts it.
func (x *erasing) drop(count *int) func(w *writer, key, payload []byte) error {
	return func(w *writer, key, _ []byte) error {
		w.tx.Delete(key)
		*count++
		return nil
	}
}

// sweep has take change the chosen records of a keyspace, as it finds them in the update, so many at once that it is short.
func (x *erasing) sweep(ctx context.Context, space byte, chosen func(key, payload []byte) bool, take func(w *writer, key, payload []byte) error) error {
	var keys [][]byte
	err := x.p.cfg.Store.View(func(s *store.Snapshot) error {
		return s.Scan([]byte{space}, nil, false, func(key, payload []byte) (bool, error) {
			if chosen(key, payload) {
				keys = append(keys, bytes.Clone(key))
			}
			return ctx.Err() == nil, ctx.Err()
		})
	})
	for batch := range slices.Chunk(keys, eraseBatch) {
		if err != nil {
			return err
		}
		err = store.InParts(batch, func(part [][]byte) error {
			return x.update(ctx, func(w *writer) error {
				for _, key := range part {
					payload, err := w.tx.Get(key)
					if errors.Is(err, store.ErrNotFound) {
						continue
					}
					if err == nil {
						err = take(w, key, payload)
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	return err
}

// takeMessage drops a message that waits. One that was made later is about new feedback.
func (x *erasing) takeMessage(w *writer, key, payload []byte) error {
	var d feedback.Delivery
	if err := json.Unmarshal(payload, &d); err != nil {
		return err
	}
	if d.CreatedAt > x.e.At && !x.tellsOfOld(key, payload) {
		return nil
	}
	w.tx.Delete(key)
	x.e.Gone.Messages++
	return x.unsend(w, &d)
}

// tellsOfOld reports whether a message that was made after the erasure began tells of what is erased.
func (x *erasing) tellsOfOld(key, payload []byte) bool {
	return x.who.hasID(payload) || x.who.isToldIn(ruleOf(key, payload), payload)
}

// unsend forgets that a message was made.
func (x *erasing) unsend(w *writer, d *feedback.Delivery) error {
	x.unsent = append(x.unsent, feedback.Delivery{Item: d.Item, Destination: d.Destination})
	return w.undo(d.Item, func(e *records.Effect) bool { return e.Kind == string(rules.Notify) && keyOf(d.Item, e) == d.Key })
}

func (x *erasing) takeLetter(w *writer, key, payload []byte) error {
	var l feedback.DeadLetter
	if err := json.Unmarshal(payload, &l); err != nil {
		return err
	}
	if d := l.Delivery; d != nil {
		if d.CreatedAt > x.e.At && !x.tellsOfOld(key, payload) {
			return nil
		}
		w.tx.Delete(key)
		x.e.Gone.DeadLetters++
		return x.unsend(w, d)
	}
	if l.At <= x.e.At {
		w.tx.Delete(key)
		x.e.Gone.DeadLetters++
	}
	return nil
}

// takeFirings drops the firings of a throttle that is told apart by the person, or those of the person's items.
func (x *erasing) takeFirings(w *writer, key, _ []byte) error {
	t, err := store.Load[records.Throttled](w.tx, key)
	if err != nil {
		return err
	}
	t.Firings = slices.DeleteFunc(t.Firings, func(f rules.Firing) bool { return x.who.ids[string(f.Item)] })
	if len(t.Firings) > 0 && !x.who.isNamedIn(key) {
		return store.Put(w.tx, key, t)
	}
	w.tx.Delete(key)
	x.e.Gone.Throttles++
	return nil
}

// takeAlert drops an alert that is told apart by the person, and has another one forget what it says of the person.
func (x *erasing) takeAlert(w *writer, key, payload []byte) error {
	x.e.Gone.Alerts++
	if x.who.isNamedIn(key) {
		w.tx.Delete(key)
		return nil
	}
	a, err := store.Load[rules.AlertState](w.tx, key)
	if err != nil {
		return err
	}
	if x.who.ids[string(a.LastItem)] || x.who.isToldIn(a.Rule, payload) {
		a.Summary, a.LastItem = "", ""
	}
	if x.who.isIn([]byte(a.Group)) {
		a.Group = ""
	}
	return store.Put(w.tx, key, a)
}

// takeBoard takes the person out of what is told together: groups, digests, silences, lists of what fires, and wakes.
func (x *erasing) takeBoard(w *writer, key, _ []byte) error {
	about := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(s string) bool { return x.who.isNamed(s) })
	}
	x.e.Gone.Alerts++
	switch second := store.ReadKey(key).Str(); {
	case x.who.isNamedIn(key):
		w.tx.Delete(key)
	case second == records.BoardGroups:
		g, err := store.Load[records.AlertGroup](w.tx, key)
		if err != nil {
			return err
		}
		g.State.Members = slices.DeleteFunc(g.State.Members, func(m alert.Followed) bool { return about(m.Key) })
		for i := range g.State.Members {
			if m := &g.State.Members[i]; m.Summary != "" && (about(m.Summary) || x.who.isToldIn(m.Rule, []byte(inJSON(m.Summary)[0]))) {
				m.Summary = ""
			}
		}
		return store.Put(w.tx, key, g)
	case second == records.BoardDigests:
		d, err := store.Load[records.Digest](w.tx, key)
		if err != nil {
			return err
		}
		d.State.Drop(func(e alert.Entry) bool {
			gone := x.who.ids[e.Item] || about(e.Text)
			if gone {
				x.unsent = append(x.unsent, feedback.Delivery{Item: feedback.ItemID(e.Item), Destination: d.Destination})
				err = errors.Join(err, w.undo(feedback.ItemID(e.Item), func(f *records.Effect) bool {
					return f.Kind == string(rules.Notify) && f.Rule == e.Rule && targetOf(f) == d.Destination
				}))
			}
			return gone
		})
		return errors.Join(err, store.Put(w.tx, key, d))
	case second == records.BoardFiring:
		k, err := store.Load[records.Keys](w.tx, key)
		if err != nil {
			return err
		}
		k.Keys = slices.DeleteFunc(k.Keys, func(s string) bool { return about(s) })
		return store.Put(w.tx, key, k)
	case second == records.BoardSilences:
		s, err := store.Load[records.Silences](w.tx, key)
		if err != nil {
			return err
		}
		s.Silences = slices.DeleteFunc(s.Silences, func(s alert.Silence) bool { return about(s.Key, s.Why) })
		return store.Put(w.tx, key, s)
	}
	return nil
}

// takeNotices drops notices of imports that mention the person.
func (x *erasing) takeNotices(w *writer, key, _ []byte) error {
	if !bytes.HasPrefix(key, records.ImportPrefix()) {
		return nil
	}
	imp, err := store.Load[records.Import](w.tx, key)
	if err != nil {
		return err
	}
	for text := range imp.Notices {
		if x.who.isIn([]byte(text)) {
			delete(imp.Notices, text)
			x.e.Gone.Notices++
		}
	}
	return store.Put(w.tx, key, imp)
}

// indexes drops what still points to what is gone.
func (x *erasing) indexes(ctx context.Context) error {
	named := func(key, _ []byte) bool { return x.who.isNamedIn(key) }
	err := x.sweep(ctx, store.KeyIndex, named, func(w *writer, key, _ []byte) error {
		id := records.LastField(key)
		for _, there := range [...][]byte{records.ItemKey(feedback.ItemID(id)), records.CaseKey(feedback.CaseID(id))} {
			if _, err := w.tx.Get(there); err == nil {
				return nil // of new feedback
			}
		}
		w.tx.Delete(key)
		return nil
	})
	if err != nil {
		return err
	}
	return x.update(ctx, func(w *writer) error {
		latest, err := records.LatestCases(w.tx, x.who.Customer)
		if err == nil && len(latest.Cases) == 0 {
			w.tx.Delete(records.LatestCasesKey(x.who.Customer))
		}
		return err
	})
}

// takePair drops a plugin's pair whose key names the person. A value that does is counted: only its plugin can read it.
func (x *erasing) takePair(w *writer, key, payload []byte) error {
	r := store.ReadKey(key)
	plugin := r.Str()
	name := r.Str()
	if r.Err() != nil || !x.who.isNamed(name) {
		x.e.PairsLeft++
		return nil
	}
	usageKey := store.NewKey(store.KeyPlugin).Str(plugin).Bytes()
	usage, err := store.Load[host.KVUsage](w.tx, usageKey)
	if err != nil {
		return err
	}
	w.tx.Delete(key)
	x.e.Gone.Pairs++
	return store.Put(w.tx, usageKey, new(usage.Replace(name, len(payload), 0)))
}

// entries has the audit log forget what it says of the person.
func (x *erasing) entries(ctx context.Context) error {
	var found []uint64
	err := x.p.cfg.Store.View(func(s *store.Snapshot) error {
		return audit.Bodies(s, func(n uint64, body []byte) (bool, error) {
			if x.who.isIn(body) {
				found = append(found, n)
			}
			return ctx.Err() == nil, ctx.Err()
		})
	})
	for batch := range slices.Chunk(found, unsayBatch) {
		if err != nil {
			return err
		}
		err = x.update(ctx, func(w *writer) error {
			done, err := audit.Erase(w.tx, batch)
			if err != nil || len(done) == 0 {
				return err
			}
			x.e.Gone.Entries += len(done)
			data, err := json.Marshal(audit.Erasure{Entries: done})
			w.said(audit.Entry{At: x.at, Kind: audit.KindErased, Who: x.e.Who, What: x.name(), Data: data})
			return err
		})
	}
	return err
}
