package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/engine/internal/audit"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// eraseBatch bounds the items or cases that one update erases.
const eraseBatch = 32

// ErrHeld says that a hold keeps something from being erased.
var ErrHeld = errors.New("it is held")

// ErrNamed says that a reason, or who gives it, names the person whom it is about.
var ErrNamed = errors.New("the reason names the person, or who gives it does, and would outlast them")

// Erase takes a person out of the store: see steps for all that goes. From its first update on nothing of the person
// comes back: tombstones refuse what was there before. It works in many updates; one that was cut off goes on in
// ResumeErasures. With rehearse nothing is changed. Rollups and the windows of others keep what the person's items
// added: they are numbers of no person. It fails with store.ErrNotFound when there is nothing of such a customer, with
// ErrHeld, and with ErrNamed.
func (p *Pipeline) Erase(ctx context.Context, customer string, e records.Erasure, rehearse bool) (records.Erasure, error) {
	who, names, err := p.survey(customer)
	if err != nil {
		return e, err
	}
	if person := newPerson(who); person.isNamedBy(e.Why, names) || person.isNamedBy(e.Who, names) {
		return e, ErrNamed
	}
	if rehearse {
		p = p.rolledBack()
	}
	x := &erasing{p: p, e: e, at: e.At, who: newPerson(who), gone: map[string]bool{}}
	if err := x.begin(ctx); err != nil {
		return x.e, err
	}
	return x.run(ctx)
}

// ResumeErasures goes on with what was cut off. What it does is done at that time.
func (p *Pipeline) ResumeErasures(ctx context.Context, at feedback.Time) error {
	cut := map[int]records.Person{}
	err := p.cfg.Store.View(func(s *store.Snapshot) error {
		return s.Scan(records.PersonPrefix(), nil, false, func(key, payload []byte) (bool, error) {
			n, err := records.PersonOf(key)
			var who records.Person
			if err == nil {
				err = json.Unmarshal(payload, &who)
			}
			cut[n] = who
			return err == nil, err
		})
	})
	for n, who := range cut {
		if err != nil {
			return err
		}
		x := &erasing{p: p, who: newPerson(who), gone: map[string]bool{}}
		if err = x.resume(n); err == nil {
			x.at = at
			_, err = x.run(ctx)
		}
	}
	return err
}

// survey finds out by what the person is known: the addresses that are theirs alone, in each way in which they were
// written, and the names that their feedback was signed with.
func (p *Pipeline) survey(customer string) (who records.Person, names []string, err error) {
	v := &surveying{who: records.Person{Customer: customer}, others: map[string]bool{}}
	err = p.cfg.Store.View(func(s *store.Snapshot) error {
		tombs, err := records.TombsOf(s)
		if err == nil && tombs != nil { // erased before: what was overlooked then is found now
			_, v.found, err = tombstone(s, tombs.Customer(customer))
		}
		if err != nil {
			return err
		}
		err = records.ScanItems(s, records.Place{Customer: customer}, func(id feedback.ItemID) (bool, error) {
			rec, err := store.Load[records.Item](s, records.ItemKey(id))
			if err == nil {
				err = v.theirs(s, &rec.Feedback)
			}
			return err == nil, err
		})
		if err != nil {
			return err
		}
		if ids, err := records.CasesOfCustomer(s, customer, "", 1); err != nil {
			return err
		} else if len(ids) > 0 {
			v.found = true
		}
		return v.addresses(s)
	})
	v.who.Emails = slices.DeleteFunc(v.who.Emails, func(e string) bool { return v.others[strings.ToLower(e)] })
	if err == nil && !v.found {
		err = store.ErrNotFound
	}
	return v.who, v.names, err
}

// surveying is a survey that goes on.
type surveying struct {
	who    records.Person
	names  []string
	others map[string]bool // addresses that another customer has too, in lower case
	found  bool
}

// theirs takes note of an item of the person's.
func (v *surveying) theirs(s *store.Snapshot, it *feedback.Item) error {
	if held, err := records.HeldItem(s, it); held != nil || err != nil {
		return heldError(held, err)
	}
	v.found = true
	if e := it.Customer.Email; e != "" && !slices.Contains(v.who.Emails, e) {
		v.who.Emails = append(v.who.Emails, e)
	}
	if n := it.Customer.Name; n != "" && !slices.Contains(v.names, n) {
		v.names = append(v.names, n)
	}
	return nil
}

// addresses goes through the items of others, and of nobody, that have an address of the person's.
func (v *surveying) addresses(s *store.Snapshot) error {
	var forms [][]byte
	for _, e := range append([]string{v.who.Customer}, v.who.Emails...) {
		for _, form := range inJSON(strings.ToLower(e)) {
			forms = append(forms, []byte(form))
		}
	}
	having := func(record []byte) bool {
		lower := bytes.ToLower(record)
		return slices.ContainsFunc(forms, func(f []byte) bool { return bytes.Contains(lower, f) })
	}
	person := newPerson(v.who)
	var unnamed []feedback.Item
	err := eachItem(s, having, func(rec *records.Item) (bool, error) {
		switch it := &rec.Feedback; {
		case it.Customer.ID == v.who.Customer:
		case it.Customer.ID != "":
			v.others[strings.ToLower(it.Customer.Email)] = true
		case person.wrote(it):
			unnamed = append(unnamed, feedback.Item{Source: it.Source, Customer: it.Customer})
		}
		return true, nil
	})
	for i := range unnamed {
		it := &unnamed[i]
		if err == nil && (!v.others[strings.ToLower(it.Customer.Email)] || strings.EqualFold(it.Customer.Email, v.who.Customer)) {
			err = v.theirs(s, it)
		}
	}
	return err
}

// eachItem calls yield with the items whose record is one of those, until it returns false.
func eachItem(s *store.Snapshot, having func([]byte) bool, yield func(*records.Item) (bool, error)) error {
	return s.Scan(records.ItemsPrefix(), nil, false, func(key, payload []byte) (bool, error) {
		if !having(payload) {
			return true, nil
		}
		var it records.Item
		if err := json.Unmarshal(payload, &it); err != nil {
			return false, fmt.Errorf("record %q: %w", key, err)
		}
		return yield(&it)
	})
}

// erasing is an erasure that goes on.
type erasing struct {
	p   *Pipeline
	e   records.Erasure
	at  feedback.Time // of what is done now
	who *person
	// unsent are the messages that waited, and gone the cases that went with their items. A rehearsal finds them again.
	unsent []feedback.Delivery
	gone   map[string]bool
}

func (x *erasing) name() string { return fmt.Sprintf("erasure %d", x.e.N) }

// begin lays the tombstones and notes whom it is about, in one update. Whatever comes later is refused.
func (x *erasing) begin(ctx context.Context) error {
	return x.p.overTime(ctx, x.at, func(w *writer) error {
		for _, name := range append([]string{x.who.Customer}, x.who.Emails...) {
			if held, err := records.HeldBy(w.tx, name, ""); held != nil || err != nil {
				return heldError(held, err)
			}
		}
		tombs, err := w.makeTombs()
		if err != nil {
			return err
		}
		if x.e.N, err = nextErasure(w.tx); err != nil {
			return err
		}
		stone := &records.Tombstone{At: x.e.At}
		err = store.PutNew(w.tx, tombs.Customer(x.who.Customer), stone)
		for _, e := range append([]string{x.who.Customer}, x.who.Emails...) {
			err = errors.Join(err, store.PutNew(w.tx, tombs.Email(e), stone))
		}
		w.said(audit.Entry{At: x.e.At, Kind: "customer.erase", Who: x.e.Who, What: x.name(), Why: x.e.Why})
		return errors.Join(err, store.PutNew(w.tx, records.PersonKey(x.e.N), &x.who.Person), x.keep(w))
	})
}

func heldError(h *records.Hold, err error) error {
	if err != nil || h == nil {
		return err
	}
	return fmt.Errorf("%w since %s by %s: %s", ErrHeld, h.At, h.By, h.Why)
}

// makeTombs returns what makes the keys of tombstones, with a secret that is made when there is none.
func (w *writer) makeTombs() (*records.Tombs, error) {
	tombs, err := records.TombsOf(w.tx)
	if tombs != nil || err != nil {
		return tombs, err
	}
	secret := make([]byte, 32)
	if _, err := io.ReadFull(w.p.cfg.Salts, secret); err != nil {
		return nil, err
	}
	w.tx.Set(records.TombSecretKey(), secret)
	return records.NewTombs(secret), nil
}

// nextErasure returns the number of the next erasure. They are never deleted.
func nextErasure(r records.Reader) (int, error) {
	for n := 1; ; n++ {
		_, err := r.Get(records.ErasureKey(n))
		if errors.Is(err, store.ErrNotFound) {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

func (x *erasing) keep(w *writer) error { return store.Put(w.tx, records.ErasureKey(x.e.N), &x.e) }

// resume takes up what was erased so far.
func (x *erasing) resume(n int) error {
	return x.p.cfg.Store.View(func(s *store.Snapshot) error {
		e, err := store.Load[records.Erasure](s, records.ErasureKey(n))
		if err != nil {
			return err
		}
		x.e = *e
		return s.Scan(records.MarkPrefix(n), nil, false, func(key, _ []byte) (bool, error) {
			mark, err := records.MarkOf(key)
			x.who.learn(mark)
			return err == nil, err
		})
	})
}

// run takes every step. Each can be taken again, and finds what is left.
func (x *erasing) run(ctx context.Context) (records.Erasure, error) {
	for _, step := range []func(context.Context) error{x.find, x.messages, x.rest, x.items, x.cases, x.lateMessages, x.indexes, x.entries, x.end} {
		if err := step(ctx); err != nil {
			return x.e, fmt.Errorf("%s: %w", x.name(), err)
		}
	}
	return x.e, nil
}

// update does something in one update with the counts that follow from it: they stand only when it does.
func (x *erasing) update(ctx context.Context, do func(*writer) error) error {
	was := x.e
	was.Sent = slices.Clone(x.e.Sent)
	err := x.p.overTime(ctx, x.at, func(w *writer) error {
		x.e = was
		x.e.Sent = slices.Clone(was.Sent)
		return errors.Join(do(w), x.keep(w))
	})
	if err != nil {
		x.e = was
	}
	return err
}

// mark has the erasure remember what it takes out by.
func (x *erasing) mark(w *writer, marks ...string) {
	for _, m := range marks {
		x.who.learn(m)
		w.tx.Set(records.MarkKey(x.e.N, m), nil)
	}
}

// find marks the person's items and cases.
func (x *erasing) find(ctx context.Context) error {
	var marks []string
	err := x.p.cfg.Store.View(func(s *store.Snapshot) error {
		ids, err := records.CasesOfCustomer(s, x.who.Customer, "", math.MaxInt)
		if err != nil {
			return err
		}
		for _, id := range ids {
			switch c, err := records.LoadCase(s, id); {
			case errors.Is(err, store.ErrNotFound):
			case err != nil:
				return fmt.Errorf("case %s: %w", id, err)
			case c.OpenedAt <= x.e.At: // else of new feedback
				marks = append(marks, markID+string(id))
			}
		}
		return eachItem(s, x.who.mayHaveWritten, func(it *records.Item) (bool, error) {
			if !x.who.wrote(&it.Feedback) || x.later(it) {
				return true, nil
			}
			done, err := store.Load[records.Effects](s, records.EffectsKey(it.Feedback.ID))
			if errors.Is(err, store.ErrNotFound) {
				done, err = &records.Effects{}, nil
			}
			if err == nil {
				marks = append(marks, marksOf(it, done)...)
			}
			return err == nil, err
		})
	})
	for batch := range slices.Chunk(marks, unsayBatch) {
		if err == nil {
			err = x.p.overTime(ctx, x.at, func(w *writer) error {
				x.mark(w, batch...)
				return nil
			})
		}
	}
	return err
}

// later reports whether an item came first after the erasure began, and says something of after it.
func (x *erasing) later(it *records.Item) bool {
	return it.Revision == 1 && it.Feedback.ReceivedAt > x.e.At && it.Feedback.OccurredAt > x.e.At
}

// items erases the marked items with all that hangs on them.
func (x *erasing) items(ctx context.Context) error {
	var ids []feedback.ItemID
	for id := range x.who.ids {
		if strings.HasPrefix(id, "f_") {
			ids = append(ids, feedback.ItemID(id))
		}
	}
	slices.Sort(ids)
	for batch := range slices.Chunk(ids, eraseBatch) {
		if err := store.InParts(batch, func(part []feedback.ItemID) error { return x.eraseItems(ctx, part) }); err != nil {
			return err
		}
	}
	return nil
}

func (x *erasing) eraseItems(ctx context.Context, ids []feedback.ItemID) error {
	was := x.e
	was.Sent = slices.Clone(x.e.Sent)
	how := removal{by: acting{who: x.e.Who, why: x.name()}, purge: true, counted: true, before: x.bury}
	err := x.p.removeItems(ctx, x.at, ids, how, func(w *writer, out *removed) error {
		x.e = was
		x.e.Sent = slices.Clone(was.Sent)
		for _, id := range out.gone {
			x.gone[string(id)] = true
		}
		x.e.Gone.Items += len(out.items)
		x.e.Gone.Cases += len(out.gone)
		for i := range out.sent {
			if d := &out.sent[i]; !slices.ContainsFunc(x.unsent, func(u feedback.Delivery) bool { return u.Item == d.Item && u.Destination == d.Destination }) {
				x.e.AddSent(d.Destination, d.CreatedAt)
			}
		}
		return x.keep(w)
	})
	if err != nil {
		x.e = was
	}
	return err
}

// bury puts a tombstone in the place of an item.
func (x *erasing) bury(w *writer, it *feedback.Item) error {
	tombs, err := w.makeTombs()
	if err != nil {
		return err
	}
	known, err := store.Load[records.Identity](w.tx, records.IdentityKey(it.Source, it.ExternalID))
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return err
	case it.Synthetic != "":
		for _, hash := range known.Hashes {
			w.tx.Delete(records.OrdinalKey(it.Source, hash))
		}
	}
	return store.PutNew(w.tx, tombs.Item(it.Source, it.ExternalID), &records.Tombstone{At: x.e.At})
}

// cases erases the person's cases whose items are gone already.
func (x *erasing) cases(ctx context.Context) error {
	var ids []feedback.CaseID
	err := x.p.cfg.Store.View(func(s *store.Snapshot) (err error) {
		ids, err = records.CasesOfCustomer(s, x.who.Customer, "", math.MaxInt)
		return err
	})
	ids = slices.DeleteFunc(ids, func(id feedback.CaseID) bool { return !x.who.ids[string(id)] || x.gone[string(id)] })
	for batch := range slices.Chunk(ids, eraseBatch) {
		if err != nil {
			return err
		}
		err = store.InParts(batch, func(part []feedback.CaseID) error {
			return x.update(ctx, func(w *writer) error { return x.dropCases(w, part) })
		})
	}
	return err
}

func (x *erasing) dropCases(w *writer, ids []feedback.CaseID) error {
	for _, id := range ids {
		c, err := w.known(id)
		if err != nil {
			return err
		}
		if c == nil {
			continue
		}
		x.e.Gone.Cases++
		if err := w.removeCase(c, acting{who: x.e.Who, why: x.name()}); err != nil {
			return err
		}
	}
	return nil
}

// end forgets whom it was about. The receipt stays.
func (x *erasing) end(ctx context.Context) error {
	var keys [][]byte
	for kind, set := range map[string]map[string]bool{markID: x.who.ids, markRule: x.who.rules, markWords: x.who.words} {
		for v := range set {
			keys = append(keys, records.MarkKey(x.e.N, kind+v))
		}
	}
	for batch := range slices.Chunk(keys, unsayBatch) {
		err := x.p.overTime(ctx, x.at, func(w *writer) error {
			for _, key := range batch {
				w.tx.Delete(key)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return x.update(ctx, func(w *writer) error {
		x.e.DoneAt = max(x.at, x.p.now(x.at))
		w.tx.Delete(records.PersonKey(x.e.N))
		data, err := json.Marshal(&x.e)
		w.said(audit.Entry{At: x.at, Kind: "customer.erased", Who: x.e.Who, What: x.name(), Why: x.e.Why, Data: data})
		return err
	})
}
