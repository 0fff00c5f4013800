package engine

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// CustomerStory is what a program knows of a customer.
type CustomerStory struct {
	Customer feedback.Customer `json:"customer"` // as the latest feedback has it
	Items    []Item            `json:"items"`    // the latest first, at most 200
	Cases    []feedback.Case   `json:"cases"`    // the open ones first, at most 200
}

// mostOfCustomer bounds what is told of a customer.
const mostOfCustomer = 200

// Customer returns what there is of a customer, or ErrNotFound when there is no feedback.
func (s *State) Customer(ctx context.Context, id string) (*CustomerStory, error) {
	items, err := s.Items(ctx, ItemQuery{Customer: id, Limit: mostOfCustomer})
	if err != nil {
		return nil, err
	}
	if id == "" || len(items) == 0 {
		return nil, fmt.Errorf("customer %s: %w", id, ErrNotFound)
	}
	out := &CustomerStory{Customer: items[0].Customer, Items: items}
	out.Cases, err = s.Cases(ctx, CaseQuery{Customer: id, Limit: mostOfCustomer})
	return out, err
}

// CustomerQuery chooses customers.
type CustomerQuery struct {
	// Text is a part of the id, name, e-mail address or account, in whatever case. Zero chooses all.
	Text  string `json:"text,omitempty"`
	Limit int    `json:"limit,omitempty"` // Defaults to 50.
}

// CustomerFound is a customer who has given feedback.
type CustomerFound struct {
	Customer feedback.Customer `json:"customer"` // as the latest feedback has it; the id is empty when the source gives none
	Items    int               `json:"items"`
	Latest   feedback.Time     `json:"latest"` // feedback
}

// Customers returns the chosen customers, the one with the latest feedback first. Feedback without the id of a customer
// counts for its e-mail address, and for nobody without one. It reads all items, twice: some seconds for 100,000.
func (s *State) Customers(ctx context.Context, q CustomerQuery) ([]CustomerFound, error) {
	if q.Limit <= 0 {
		q.Limit = 50
	}
	found := map[person]*CustomerFound{}
	err := s.store.View(func(snap *store.Snapshot) error {
		text := strings.ToLower(q.Text)
		err := eachPerson(ctx, snap, func(who person, it *feedback.Item) {
			if called(&it.Customer, text) {
				found[who] = &CustomerFound{}
			}
		})
		if err != nil {
			return err
		}
		return eachPerson(ctx, snap, func(who person, it *feedback.Item) {
			f := found[who]
			if f == nil {
				return
			}
			f.Items++
			if it.OccurredAt >= f.Latest {
				f.Customer, f.Latest = it.Customer, it.OccurredAt
			}
		})
	})
	if err != nil {
		return nil, err
	}
	latest := slices.SortedFunc(maps.Values(found), func(a, b *CustomerFound) int {
		return cmp.Or(cmp.Compare(b.Latest, a.Latest), cmp.Compare(a.Customer.ID, b.Customer.ID), cmp.Compare(a.Customer.Email, b.Customer.Email))
	})
	out := []CustomerFound{}
	for _, f := range latest[:min(len(latest), q.Limit)] {
		out = append(out, *f)
	}
	return out, nil
}

// person is what a customer is recognised by: the id, or else the e-mail address.
type person struct{ id, email string }

// eachPerson calls yield with every item of which is known whose it is.
func eachPerson(ctx context.Context, snap *store.Snapshot, yield func(person, *feedback.Item)) error {
	return records.Each(snap, records.ItemsPrefix(), nil, false, func(it *records.Item) (bool, error) {
		who := person{id: it.Feedback.Customer.ID}
		if who.id == "" {
			who.email = strings.ToLower(it.Feedback.Customer.Email)
		}
		if who != (person{}) {
			yield(who, &it.Feedback)
		}
		return true, ctx.Err()
	})
}

// called reports whether text, in lower case, is a part of what a customer is called.
func called(c *feedback.Customer, text string) bool {
	return slices.ContainsFunc([]string{c.ID, c.Name, c.Email, c.Account}, func(s string) bool {
		return strings.Contains(strings.ToLower(s), text)
	})
}
