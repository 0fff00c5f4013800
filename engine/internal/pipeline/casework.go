package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/closedloop/closedloop/engine/internal/audit"
	"github.com/closedloop/closedloop/engine/internal/cases"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// recently is how long after its resolution a case takes up what the customer says.
const recently = 90 * 24 * time.Hour

// ErrCaseChanged says that somebody changed the case meanwhile.
var ErrCaseChanged = errors.New("the case has changed meanwhile")

var _ cases.Clock = (*rules.Set)(nil)

// act by whom and why something happens to a case, for the audit log.
type acting struct{ who, why string }

// engineActs is what rules and timers do.
var engineActs = acting{who: "engine"}

// keepCase has a case change: with the load of its owner, what the audit log says, and, at the end of the update, its
// indexes and its timer. before is nil for a case that is new. A case without a new line in its history has not changed.
func (w *writer) keepCase(before, after *feedback.Case, by acting) error {
	lines := after.HistoryBefore + len(after.History)
	switch {
	case before == nil:
		if err := w.indexNew(after); err != nil {
			return err
		}
	case lines == before.HistoryBefore+len(before.History):
		return nil
	case before.Status.Open():
		w.burden(before.Owner, -1)
	}
	if after.Status.Open() {
		w.burden(after.Owner, 1)
	}
	data, err := records.CaseDelta(before, after)
	if err != nil {
		return err
	}
	w.memory.book.turn(before, after)
	w.said(audit.Entry{
		At: w.at, Kind: "case." + after.History[len(after.History)-1].Kind, Who: by.who, What: string(after.ID), Why: by.why, Data: data,
	})
	w.told.kase(*after)
	return nil
}

// said has the audit log say something at the end of the update.
func (w *writer) said(e audit.Entry) { w.memory.book.acts = append(w.memory.book.acts, e) }

// indexNew has a new case found again by its customer.
func (w *writer) indexNew(c *feedback.Case) error {
	if c.Customer == "" {
		return nil
	}
	latest, err := w.latestOf(c.Customer)
	if err != nil {
		return err
	}
	latest.Add(c.ID)
	latest.changed = true
	w.tx.Set(records.CustomerCaseKey(c.Customer, c.ID), nil)
	return nil
}

// lookAt does what is due for a case. One that is gone has nothing due.
func (w *writer) lookAt(id feedback.CaseID) error {
	c, err := w.known(id)
	if c == nil || err != nil {
		return err
	}
	after, err := w.overdue(c)
	if err != nil {
		return err
	}
	w.schedule(nil, &after)
	return w.keepCase(c, &after, engineActs)
}

// overdue does what is due for a case at the time of the update, and tells of the steps of its ladder.
func (w *writer) overdue(c *feedback.Case) (feedback.Case, error) {
	ladder := w.rules.Escalations(c.Rule)
	after, steps := cases.Look(*c, ladder, w.at, w.rules)
	for _, n := range steps {
		if x := &ladder[n-1]; x.Destination != "" {
			if err := w.tellStep(&after, n, x); err != nil {
				return after, err
			}
		}
	}
	return after, nil
}

// tellStep puts a message into the outbox about a step that a case has taken.
func (w *writer) tellStep(c *feedback.Case, step int, x *rules.Escalation) error {
	m := Message{Kind: "escalation", Rule: c.Rule, At: w.at, Queue: c.Queue, Owner: c.Owner, Case: string(c.ID)}
	m.promise(c)
	s, err := w.load(c.Item)
	switch {
	case errors.Is(err, store.ErrNotFound): // it was erased
	case err != nil:
		return err
	default:
		labels := feedback.Fold(s.labels.Changes)
		m.Item, m.Labels, m.Severity, m.Tags = &s.rec.Feedback, &labels, s.rec.Severity, s.rec.Tags
		m.Text = w.rules.EscalationText(x, &feedback.Event{Item: m.Item, Labels: m.Labels}, w.at)
	}
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{
		"escalation", string(c.ID), fmt.Sprint(c.Reopens), fmt.Sprint(step), x.Destination,
	}, "\x00")))
	return w.send(feedback.Delivery{
		Key: "msg_" + hex.EncodeToString(sum[:16]), Destination: x.Destination, Kind: m.Kind, Item: c.Item, Case: c.ID, Body: body, CreatedAt: w.at,
	})
}

// contact links new feedback to the latest case of the same customer that is open or was resolved recently. When that
// reopens the case, it is the case of the new feedback too.
func (w *writer) contact(s *subject) error {
	it := &s.rec.Feedback
	if s.outcome != OutcomeNew || it.Customer.ID == "" {
		return nil
	}
	latest, err := w.latestOf(it.Customer.ID)
	if err != nil {
		return err
	}
	c, err := w.contactable(latest)
	if c == nil || err != nil {
		return err
	}
	first := &feedback.Item{OccurredAt: c.Item.Occurred()}
	if !c.Status.Open() { // answers are compared after a resolution only
		switch rec, err := store.Load[records.Item](w.tx, records.ItemKey(c.Item)); {
		case err == nil:
			first = &rec.Feedback
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
	}
	late, err := w.overdue(c)
	if err != nil {
		return err
	}
	after := cases.Contacted(late, first, it, w.at, w.rules)
	if slices.Contains(after.Items, it.ID) {
		s.rec.Linked = string(after.ID)
	}
	if after.Reopens > c.Reopens {
		s.rec.Case = string(after.ID)
	}
	return w.keepCase(c, &after, engineActs)
}

// contactable returns the latest case that is open, or else the latest that was resolved recently, or nil.
func (w *writer) contactable(latest *latest) (resolved *feedback.Case, err error) {
	for i := len(latest.Cases) - 1; i >= 0; i-- {
		c, err := w.known(latest.Cases[i])
		switch {
		case err != nil:
			return nil, err
		case c == nil:
		case c.Status.Open():
			return c, nil
		case resolved == nil && c.Status == feedback.CaseResolved && w.at < c.ResolvedAt.Add(recently):
			resolved = c
		}
	}
	return resolved, nil
}

// CaseChange is what somebody does to a case.
type CaseChange struct {
	Case feedback.CaseID
	At   feedback.Time
	Who  string
	Why  string
	// Expect is the case as it was seen; nil does not care.
	Expect *feedback.Case
	// Do is the transition. When it changes nothing, nothing is written.
	Do func(feedback.Case, cases.Clock) (feedback.Case, error)
}

// ChangeCase has somebody do something to a case, after what is due for it by then. The change, its indexes and timers,
// and its entry in the audit log are one update. It fails with ErrCaseChanged when the case is not as it was expected.
func (p *Pipeline) ChangeCase(ctx context.Context, ch CaseChange) (after feedback.Case, err error) {
	err = p.overTime(ctx, ch.At, func(w *writer) error {
		c, err := w.caseOf(ch.Case)
		if err != nil {
			return fmt.Errorf("case %s: %w", ch.Case, err)
		}
		if x := ch.Expect; x != nil && c.HistoryBefore+len(c.History) != x.HistoryBefore+len(x.History) {
			return ErrCaseChanged
		}
		late, err := w.overdue(c)
		if err != nil {
			return err
		}
		if err = w.keepCase(c, &late, engineActs); err != nil {
			return err
		}
		if after, err = ch.Do(late, w.rules); err != nil {
			return fmt.Errorf("case %s: %w", ch.Case, err)
		}
		return w.keepCase(&late, &after, acting{ch.Who, ch.Why})
	})
	return after, err
}

// adoptBatch bounds the cases that one update adopts.
const adoptBatch = 16

// AdoptCases brings cases of stores that knew no states but open into the indexes of today.
func (p *Pipeline) AdoptCases(ctx context.Context, at feedback.Time) error {
	for {
		var old []feedback.CaseID
		err := p.cfg.Store.View(func(s *store.Snapshot) (err error) {
			old, err = records.CasesOf(s, feedback.CaseOpen, "", adoptBatch)
			return err
		})
		if err != nil || len(old) == 0 {
			return err
		}
		err = p.overTime(ctx, at, func(w *writer) error {
			for _, id := range old {
				w.tx.Delete(records.CaseStatusKey(feedback.CaseOpen, id))
				c, err := store.Load[feedback.Case](w.tx, records.CaseKey(id))
				if errors.Is(err, store.ErrNotFound) {
					continue
				}
				if err != nil {
					return err
				}
				if err := w.adopt(c); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}

// adopt writes an old case as it is today. Its owner's load counts it already.
func (w *writer) adopt(c *feedback.Case) error {
	records.Present(c)
	if err := w.indexNew(c); err != nil {
		return err
	}
	w.indexCase(c)
	w.schedule(nil, c)
	return store.Put(w.tx, records.CaseKey(c.ID), c)
}
