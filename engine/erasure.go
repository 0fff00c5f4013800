package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/closedloop/closedloop/engine/internal/audit"
	"github.com/closedloop/closedloop/engine/internal/backup"
	"github.com/closedloop/closedloop/engine/internal/pipeline"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Errors of erasing.
var (
	// ErrHeld says that a hold keeps something from being erased.
	ErrHeld = pipeline.ErrHeld
	// ErrNamed says that the reason of an erasure, or who asks for it, names the person, and would outlast them.
	ErrNamed = pipeline.ErrNamed
)

// What people do to what is kept of customers. Options.Authorize is handed a case with nothing but the customer.
const (
	ActionErase   Action = "erase"
	ActionRetain  Action = "retain"  // put a hold on a customer or a source
	ActionRelease Action = "release" // take a hold away
)

// Erasure asks for a person to be erased.
type Erasure struct {
	// Customer is the customer's id, or, of a customer without one, the e-mail address.
	Customer string `json:"customer"`
	By       Actor  `json:"by"`
	Why      string `json:"why"` // needed; it is kept, so it must not name the person
	// Rehearse says to do nothing, and to return what would go.
	Rehearse bool `json:"rehearse,omitempty"`
}

// ErasureReceipt says what an erasure took out and what is left. It does not tell who the person was.
type ErasureReceipt struct {
	N      int           `json:"n,omitempty"` // from 1; zero of a rehearsal
	At     feedback.Time `json:"at"`
	DoneAt feedback.Time `json:"done_at,omitzero"` // zero while it goes on
	Who    string        `json:"who"`
	Why    string        `json:"why"`
	Gone   ErasureCounts `json:"gone"`
	Left   ErasureLeft   `json:"left"`
}

// ErasureCounts counts what an erasure took out.
type ErasureCounts struct {
	Items       int `json:"items"` // with labels, decisions and all that hangs on them
	Cases       int `json:"cases"`
	Messages    int `json:"messages"` // that waited
	DeadLetters int `json:"dead_letters"`
	Alerts      int `json:"alerts"` // with the groups and digests that tell of them
	Windows     int `json:"windows"`
	Throttles   int `json:"throttles"`
	Timers      int `json:"timers"`
	Pairs       int `json:"pairs"`   // that plugins keep
	Entries     int `json:"entries"` // of the audit log, whose content is gone
	Notices     int `json:"notices"` // of imports
}

// ErasureLeft is what an erasure cannot take out, or leaves on purpose: sums and distributions, which are of no person;
// what plugins keep in values and checkpoints that only they can read; rule files that name the person.
type ErasureLeft struct {
	// Sent are the messages that had left, as far as it is known.
	Sent []SentMessages `json:"sent,omitempty"`
	// Pairs are those of plugins that mention the person in a value.
	Pairs int `json:"pairs,omitempty"`
	// Backups are how many were made before the erasure was whole, and the last of them when.
	Backups    int           `json:"backups,omitempty"`
	LastBackup feedback.Time `json:"last_backup,omitzero"`
	// BackupsUntil is how long those are kept, and the incremental ones that need them, as the program says; zero when it
	// does not, or there are none.
	BackupsUntil feedback.Time `json:"backups_until,omitzero"`
	// Files says that freed bytes are left in the store's files until CompactStore.
	Files bool `json:"files"`
}

// SentMessages are messages that have left for a destination.
type SentMessages struct {
	Destination string        `json:"destination"`
	Messages    int           `json:"messages"`
	LastAt      feedback.Time `json:"last_at"` // when the last of them was made
}

// EraseCustomer takes a person out of the state: items, labels, decisions, cases, messages that wait, dead letters,
// alerts, windows, plugins' pairs, and what the audit log says of them. Tombstones keep what was there, and all feedback of
// before, from coming back; what the person says later is taken. It goes on when it was cut off and the program is opened
// again. Sums stay. Errors are ErrNotFound, ErrHeld, ErrNamed, ErrMissing, ErrDenied, or those of the store.
func (s *State) EraseCustomer(ctx context.Context, e Erasure) (*ErasureReceipt, error) {
	switch {
	case s.casework == nil:
		return nil, errNoRules
	case strings.TrimSpace(e.Customer) == "":
		return nil, fmt.Errorf("whom to erase: %w", ErrMissing)
	case strings.TrimSpace(e.By.Name) == "":
		return nil, fmt.Errorf("who erases: %w", ErrMissing)
	case strings.TrimSpace(e.Why) == "" && !e.Rehearse:
		return nil, fmt.Errorf("a person is erased for a reason: %w", ErrMissing)
	}
	if err := s.allowed(ctx, e.By, ActionErase, feedback.Case{Customer: e.Customer}); err != nil {
		return nil, err
	}
	at := feedback.TimeOf(s.Clock())
	done, err := s.casework.Erase(ctx, e.Customer, records.Erasure{At: at, Who: e.By.Name, Why: e.Why}, e.Rehearse)
	if s.outbox != nil && !e.Rehearse {
		s.outbox.Deleted()
	}
	if err != nil {
		return nil, fmt.Errorf("erase the customer: %w", err)
	}
	if e.Rehearse {
		done.N = 0
	}
	return s.receipt(&done)
}

// Erasures returns the receipts of all erasures, the latest first, with what is left by now.
func (s *State) Erasures(context.Context) ([]ErasureReceipt, error) {
	var all []records.Erasure
	err := s.store.View(func(snap *store.Snapshot) error {
		return records.Each(snap, records.ErasurePrefix(), nil, true, func(e *records.Erasure) (bool, error) {
			all = append(all, *e)
			return true, nil
		})
	})
	out := []ErasureReceipt{}
	for i := range all {
		if err == nil {
			var r *ErasureReceipt
			if r, err = s.receipt(&all[i]); err == nil {
				out = append(out, *r)
			}
		}
	}
	return out, err
}

func (s *State) receipt(e *records.Erasure) (*ErasureReceipt, error) {
	r := &ErasureReceipt{N: e.N, At: e.At, DoneAt: e.DoneAt, Who: e.Who, Why: e.Why, Gone: ErasureCounts(e.Gone)}
	r.Left.Pairs, r.Left.Files = e.PairsLeft, true
	for _, m := range e.Sent {
		r.Left.Sent = append(r.Left.Sent, SentMessages(m))
	}
	made, err := s.store.Backups()
	if err != nil {
		return nil, err
	}
	r.Left.inBackups(made, e.DoneAt, s.keep.Backups, feedback.TimeOf(s.Clock()))
	return r, nil
}

// inBackups says how many backups, the latest last, have what was erased at an instant, of those that are kept for so
// long; 0 is for ever. One is kept as long as an incremental one that needs it.
func (l *ErasureLeft) inBackups(made []backup.Info, done feedback.Time, keep time.Duration, now feedback.Time) {
	needed := map[string]feedback.Time{} // when the last backup was made that needs this one
	for i := range slices.Backward(made) {
		b := &made[i]
		at := feedback.Time(b.At)
		last := max(needed[b.ID], at)
		if needed[b.Base] = max(needed[b.Base], last); done != 0 && at > done || keep > 0 && last.Add(keep) < now {
			continue
		}
		l.Backups++
		l.LastBackup = max(l.LastBackup, at)
		if keep > 0 {
			l.BackupsUntil = max(l.BackupsUntil, last.Add(keep))
		}
	}
}

// Hold keeps what there is of a customer, or of a source, from being erased, from retention and from the undo of an import,
// until it is released.
type Hold struct {
	Customer string        `json:"customer,omitempty"` // an id or an e-mail address; this or Source
	Source   string        `json:"source,omitempty"`
	Why      string        `json:"why"`
	By       string        `json:"by"`
	At       feedback.Time `json:"at"`
}

// HoldChange puts a hold on a customer or a source, or takes it away.
type HoldChange struct {
	Customer string `json:"customer,omitempty"` // this or Source
	Source   string `json:"source,omitempty"`
	By       Actor  `json:"by"`
	Why      string `json:"why"` // needed
	Release  bool   `json:"release,omitempty"`
}

// Holds returns what is held.
func (s *State) Holds(context.Context) ([]Hold, error) {
	out := []Hold{}
	err := s.store.View(func(snap *store.Snapshot) error {
		all, err := records.Holds(snap)
		for _, h := range all {
			out = append(out, Hold(h))
		}
		return err
	})
	return out, err
}

// ChangeHold puts a hold, or takes it away; the audit log says so. Errors are ErrNotFound of a hold that is not there,
// ErrMissing, ErrDenied, or those of the store.
func (s *State) ChangeHold(ctx context.Context, c HoldChange) (Hold, error) {
	h := records.Hold{Customer: c.Customer, Source: c.Source, Why: c.Why, By: c.By.Name, At: feedback.TimeOf(s.Clock())}
	action, kind := ActionRetain, "hold.add"
	if c.Release {
		action, kind = ActionRelease, "hold.remove"
	}
	switch {
	case (c.Customer == "") == (c.Source == ""):
		return Hold{}, fmt.Errorf("a customer or a source: %w", ErrMissing)
	case strings.TrimSpace(c.By.Name) == "" || strings.TrimSpace(c.Why) == "":
		return Hold{}, fmt.Errorf("who holds or releases, and why: %w", ErrMissing)
	}
	if err := s.allowed(ctx, c.By, action, feedback.Case{Customer: c.Customer}); err != nil {
		return Hold{}, err
	}
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		key := records.HoldKey(&h)
		if c.Release {
			if _, err := tx.Get(key); err != nil {
				return fmt.Errorf("hold on %s%s: %w", c.Customer, c.Source, err)
			}
			tx.Delete(key)
		} else if err := store.Put(tx, key, &h); err != nil {
			return err
		}
		_, err := audit.Append(tx, audit.Entry{At: h.At, Kind: kind, Who: h.By, What: c.Customer + c.Source, Why: h.Why})
		return err
	})
	return Hold(h), err
}

// EraseCustomer asks as State.EraseCustomer does.
func (c *Client) EraseCustomer(ctx context.Context, e Erasure) (*ErasureReceipt, error) {
	return call[*ErasureReceipt](ctx, c, "erase", e)
}

// Erasures asks as State.Erasures does.
func (c *Client) Erasures(ctx context.Context) ([]ErasureReceipt, error) {
	return call[[]ErasureReceipt](ctx, c, "erasures", struct{}{})
}

// Holds asks as State.Holds does.
func (c *Client) Holds(ctx context.Context) ([]Hold, error) {
	return call[[]Hold](ctx, c, "holds", struct{}{})
}

// ChangeHold asks as State.ChangeHold does.
func (c *Client) ChangeHold(ctx context.Context, h HoldChange) (Hold, error) {
	return call[Hold](ctx, c, "hold_change", h)
}
