package engine

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/closedloop/closedloop/engine/internal/audit"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// ErrDamaged says that the audit log is not what was written.
var ErrDamaged = errors.New("engine: the audit log was tampered with")

// AuditEntry is one act in the audit log. What lies in the log is never changed, but for the
// content of entries about a person who was erased.
type AuditEntry struct {
	N    uint64        `json:"n"` // from 1
	At   feedback.Time `json:"at"`
	Kind string        `json:"kind"`           // such as case.resolved, label.correct or rules.activate
	Who  string        `json:"who"`            // a person, or "engine"
	What string        `json:"what,omitempty"` // the id of what it was done to
	Why  string        `json:"why,omitempty"`
	// Data belongs to the kind: of a case the members that changed, before and after, and the lines of its history.
	Data json.RawMessage `json:"data,omitempty"`
	Prev string          `json:"prev"` // the digest of the entry before it; empty in the first
	// Erased says that What, Why and Data were taken out when a person was erased.
	Erased bool `json:"erased,omitempty"`
}

// AuditHead is the end of the audit log. Noted elsewhere, it proves later that the log up to there is the same.
type AuditHead struct {
	N      uint64 `json:"n"` // entries
	Digest string `json:"digest,omitempty"`
	Erased int    `json:"erased,omitempty"` // entries whose content was erased, and an entry says so
}

// AuditQuery chooses entries. Zero members choose all.
type AuditQuery struct {
	What  string        `json:"what,omitempty"` // the id of a case, an item or a ruleset
	Who   string        `json:"who,omitempty"`
	Since feedback.Time `json:"since,omitzero"`
	Limit int           `json:"limit,omitempty"` // Defaults to 50.
}

// Audit returns the chosen entries of the audit log, the latest first.
func (s *State) Audit(ctx context.Context, q AuditQuery) ([]AuditEntry, error) {
	if q.Limit <= 0 {
		q.Limit = 50
	}
	out := []AuditEntry{}
	err := s.store.View(func(snap *store.Snapshot) error {
		return audit.Each(snap, false, func(e audit.Entry) (bool, error) {
			if (q.What == "" || e.What == q.What) && (q.Who == "" || e.Who == q.Who) && e.At >= q.Since {
				out = append(out, AuditEntry(e))
			}
			return len(out) < q.Limit, ctx.Err()
		})
	})
	return out, err
}

// AuditVerify goes through the whole audit log and returns its end. It fails with ErrDamaged when an entry was changed,
// removed or put in between.
func (s *State) AuditVerify(ctx context.Context) (AuditHead, error) {
	var out AuditHead
	err := s.store.View(func(snap *store.Snapshot) error {
		head, erased, err := audit.Verify(ctx, snap)
		out = AuditHead{N: head.N, Digest: head.Digest, Erased: erased}
		return err
	})
	if damage := (*audit.DamageError)(nil); errors.As(err, &damage) {
		err = errors.Join(ErrDamaged, err)
	}
	return out, err
}
