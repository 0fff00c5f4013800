package pipeline

import (
	"errors"

	"github.com/closedloop/closedloop/engine/internal/audit"
	"github.com/closedloop/closedloop/engine/internal/cases"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// casebook holds the cases that an update has read or changed, so that each is read once, and written once with its
// indexes and its timer, whatever happens to it in between.
type casebook struct {
	pages   map[feedback.CaseID]*page
	changed []*page // in the order of their first change
	latest  map[string]*latest
	acts    []audit.Entry // what the audit log is to say of the update
}

// page is a case as the store has it, nil for a new one, and as the update leaves it.
type page struct {
	stored, now *feedback.Case // now is nil when the update takes the case out
	changed     bool
}

// latest are the latest cases of a customer.
type latest struct {
	records.CustomerCases
	fresh, changed bool // fresh when the store has none
}

// caseOf returns a case as the update has left it so far. It must not be changed in place.
func (w *writer) caseOf(id feedback.CaseID) (*feedback.Case, error) {
	b := &w.memory.book
	if p := b.pages[id]; p != nil {
		if p.now == nil {
			return nil, store.ErrNotFound
		}
		return p.now, nil
	}
	c, err := records.LoadCase(w.tx, id)
	if err == nil {
		b.page(id, c)
	}
	return c, err
}

// page returns the page of a case, which is a new one when there was none.
func (b *casebook) page(id feedback.CaseID, stored *feedback.Case) *page {
	p := b.pages[id]
	if p == nil {
		p = &page{stored: stored, now: stored}
		if b.pages == nil {
			b.pages = map[feedback.CaseID]*page{}
		}
		b.pages[id] = p
	}
	return p
}

// turn has a case be as it is after a change. before is nil for a new one.
func (b *casebook) turn(before, after *feedback.Case) {
	p := b.page(after.ID, before)
	c := *after
	p.now = &c
	b.change(p)
}

// tear takes a case out.
func (b *casebook) tear(c *feedback.Case) {
	p := b.page(c.ID, c)
	p.now = nil
	b.change(p)
}

func (b *casebook) change(p *page) {
	if !p.changed {
		p.changed = true
		b.changed = append(b.changed, p)
	}
}

// latestOf returns the latest cases of a customer, as the update has left them so far.
func (w *writer) latestOf(customer string) (*latest, error) {
	b := &w.memory.book
	if l := b.latest[customer]; l != nil {
		return l, nil
	}
	l := &latest{}
	switch stored, err := store.Load[records.CustomerCases](w.tx, records.LatestCasesKey(customer)); {
	case errors.Is(err, store.ErrNotFound):
		l.fresh = true
	case err != nil:
		return nil, err
	default:
		l.CustomerCases = *stored
	}
	if b.latest == nil {
		b.latest = map[string]*latest{}
	}
	b.latest[customer] = l
	return l, nil
}

// writeCases writes what the update has changed of cases, and what the audit log says of it.
func (w *writer) writeCases() error {
	b := &w.memory.book
	for _, p := range b.changed {
		if p.now == nil {
			w.deleteCase(p.stored)
			continue
		}
		if p.stored != nil {
			w.unindex(p.stored, p.now)
		}
		w.indexCase(p.now)
		w.schedule(p.stored, p.now)
		if err := put(w.tx, records.CaseKey(p.now.ID), p.now, p.stored == nil); err != nil {
			return err
		}
	}
	for customer, l := range b.latest {
		if l.changed && len(l.Cases) == 0 {
			w.tx.Delete(records.LatestCasesKey(customer))
		} else if l.changed {
			if err := put(w.tx, records.LatestCasesKey(customer), &l.CustomerCases, l.fresh); err != nil {
				return err
			}
		}
	}
	if len(b.acts) == 0 {
		return nil
	}
	_, err := audit.AppendSalted(w.tx, w.p.cfg.Salts, b.acts...)
	return err
}

// deleteCase deletes a case with its indexes by state and its timer. One that is nil was not stored yet.
func (w *writer) deleteCase(c *feedback.Case) {
	if c == nil {
		return
	}
	w.tx.Delete(records.CaseKey(c.ID))
	w.tx.Delete(records.CaseStatusKey(c.Status, c.ID))
	if c.Status.Open() {
		w.tx.Delete(records.OpenCaseKey(c.Queue, records.DueOf(c), c.ID))
	}
	if due := w.dueNext(c); due != 0 {
		w.tx.ClearTimer(due, records.TimerCase, string(c.ID))
	}
}

// unindex takes a case out of the indexes in which it is not any more.
func (w *writer) unindex(before, after *feedback.Case) {
	if before.Status != after.Status {
		w.tx.Delete(records.CaseStatusKey(before.Status, before.ID))
	}
	if !before.Status.Open() {
		return
	}
	if due := records.DueOf(before); !after.Status.Open() || before.Queue != after.Queue || due != records.DueOf(after) {
		w.tx.Delete(records.OpenCaseKey(before.Queue, due, before.ID))
	}
}

func (w *writer) indexCase(c *feedback.Case) {
	w.tx.Set(records.CaseStatusKey(c.Status, c.ID), nil)
	if c.Status.Open() {
		w.tx.Set(records.OpenCaseKey(c.Queue, records.DueOf(c), c.ID), records.OpenCaseValue(c))
	}
}

// schedule sets the timer of a case for what is due next. A timer that is left over finds nothing to do.
func (w *writer) schedule(before, after *feedback.Case) {
	due := w.dueNext(after)
	if before != nil {
		if was := w.dueNext(before); was != 0 && was != due {
			w.tx.ClearTimer(was, records.TimerCase, string(after.ID))
		}
	}
	if due != 0 {
		w.tx.SetTimer(due, records.TimerCase, string(after.ID), nil)
	}
}

func (w *writer) dueNext(c *feedback.Case) feedback.Time {
	return cases.Next(c, w.rules.Escalations(c.Rule), w.rules)
}

// known returns a case that may be gone, in which case it is nil.
func (w *writer) known(id feedback.CaseID) (*feedback.Case, error) {
	c, err := w.caseOf(id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return c, err
}
