package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// CaseQuery chooses cases. Zero members choose all.
type CaseQuery struct {
	Prefix   string              `json:"prefix,omitempty"` // of the id, such as "k_01J"; the other members do not count then
	Status   feedback.CaseStatus `json:"status,omitempty"` // feedback.CaseOpen chooses all that are open
	Queue    string              `json:"queue,omitempty"`
	Owner    string              `json:"owner,omitempty"`
	Customer string              `json:"customer,omitempty"`
	Breached bool                `json:"breached,omitempty"` // only those without a response in time
	Overdue  bool                `json:"overdue,omitempty"`  // only those without a resolution in time
	Limit    int                 `json:"limit,omitempty"`    // Defaults to 50.
}

// Cases returns the chosen cases: the open ones first, what was due first first, and then the others, the oldest first. A
// status that there is not is an ErrQuery.
func (s *State) Cases(ctx context.Context, q CaseQuery) ([]feedback.Case, error) {
	if err := oneOf("status", q.Status, append(feedback.CaseStatuses(), feedback.CaseOpen)...); err != nil {
		return nil, err
	}
	if q.Limit <= 0 {
		q.Limit = 50
	}
	out := []feedback.Case{}
	err := s.store.View(func(snap *store.Snapshot) (err error) {
		if q.Prefix != "" {
			out, err = records.CasesWithPrefix(snap, q.Prefix, q.Limit)
			return err
		}
		if q.Customer != "" {
			out, err = q.ofCustomer(ctx, snap)
			return err
		}
		if q.Status == "" || q.Status.Open() {
			if out, err = q.open(ctx, snap); err != nil {
				return err
			}
		}
		for _, status := range [...]feedback.CaseStatus{feedback.CaseResolved, feedback.CaseClosed} {
			if err == nil && (q.Status == "" || q.Status == status) {
				out, err = q.ended(ctx, snap, status, out)
			}
		}
		return err
	})
	return out, err
}

func (q *CaseQuery) matches(c *feedback.Case) bool {
	return (q.Status == "" || c.Status.Is(q.Status)) && (q.Queue == "" || c.Queue == q.Queue) && (q.Owner == "" || c.Owner == q.Owner) &&
		(q.Customer == "" || c.Customer == q.Customer) && (!q.Breached || c.BreachedAt != 0) && (!q.Overdue || c.OverdueAt != 0)
}

// open returns the open cases, what was due first first. The index tells which match: no other case is read.
func (q *CaseQuery) open(ctx context.Context, snap *store.Snapshot) ([]feedback.Case, error) {
	queues := []string{q.Queue}
	if q.Queue == "" {
		var err error
		if queues, err = records.OpenQueues(snap); err != nil {
			return nil, err
		}
	}
	var found []records.OpenCase
	for _, queue := range queues {
		most := len(found) + q.Limit
		err := records.OpenCases(snap, queue, func(entry records.OpenCase) (bool, error) {
			ok := (q.Owner == "" || entry.Owner == q.Owner) && (q.Status == "" || entry.Status.Is(q.Status)) &&
				(!q.Breached || entry.Breached) && (!q.Overdue || entry.Overdue)
			if ok {
				found = append(found, entry)
			}
			return len(found) < most, ctx.Err()
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(found, func(a, b records.OpenCase) int { return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(a.ID, b.ID)) })
	out := []feedback.Case{}
	for _, entry := range found[:min(len(found), q.Limit)] {
		c, err := records.LoadCase(snap, entry.ID)
		if err != nil {
			return nil, fmt.Errorf("case %s: %w", entry.ID, err)
		}
		out = append(out, *c)
	}
	return out, nil
}

// byDue puts open cases before the others, what was due first first, and what was opened first first.
func byDue(a, b feedback.Case) int {
	return cmp.Or(
		cmp.Compare(ended(&a), ended(&b)), cmp.Compare(records.DueOf(&a), records.DueOf(&b)), cmp.Compare(a.ID, b.ID),
	)
}

func ended(c *feedback.Case) int {
	if c.Status.Open() {
		return 0
	}
	return 1
}

// ended adds the cases of a status to those that were chosen before.
func (q *CaseQuery) ended(ctx context.Context, snap *store.Snapshot, status feedback.CaseStatus, out []feedback.Case) ([]feedback.Case, error) {
	return q.each(ctx, snap, out, func(after feedback.CaseID) ([]feedback.CaseID, error) {
		return records.CasesOf(snap, status, after, q.Limit)
	})
}

func (q *CaseQuery) ofCustomer(ctx context.Context, snap *store.Snapshot) ([]feedback.Case, error) {
	out, err := q.each(ctx, snap, []feedback.Case{}, func(after feedback.CaseID) ([]feedback.CaseID, error) {
		return records.CasesOfCustomer(snap, q.Customer, after, q.Limit)
	})
	slices.SortStableFunc(out, byDue)
	return out, err
}

// each adds the cases that match, of what more returns after the last one, until there are enough.
func (q *CaseQuery) each(ctx context.Context, snap *store.Snapshot, out []feedback.Case, more func(feedback.CaseID) ([]feedback.CaseID, error)) ([]feedback.Case, error) {
	for after := feedback.CaseID(""); len(out) < q.Limit; {
		ids, err := more(after)
		if err = cmp.Or(err, ctx.Err()); err != nil || len(ids) == 0 {
			return out, err
		}
		for _, id := range ids {
			c, err := records.LoadCase(snap, id)
			if err != nil {
				return nil, fmt.Errorf("case %s: %w", id, err)
			}
			if q.matches(c) && len(out) < q.Limit {
				out = append(out, *c)
			}
			after = id
		}
	}
	return out, nil
}

// Case returns one case, or ErrNotFound.
func (s *State) Case(_ context.Context, id feedback.CaseID) (c *feedback.Case, err error) {
	err = s.store.View(func(snap *store.Snapshot) error {
		if c, err = records.LoadCase(snap, id); err != nil {
			return fmt.Errorf("case %s: %w", id, err)
		}
		return nil
	})
	return c, err
}
