package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// record looks at one record that can be read.
func (c *checker) record(key, payload []byte) error {
	switch key[0] {
	case store.KeyItem:
		return decoded(c, key, payload, c.item)
	case store.KeyCase:
		return decoded(c, key, payload, c.kase)
	case store.KeyOutbox:
		return decoded(c, key, payload, c.delivery)
	case store.KeyDead:
		return decoded(c, key, payload, func([]byte, *feedback.DeadLetter) error { return nil })
	case store.KeyLabels:
		return decoded(c, key, payload, func(key []byte, _ *records.Labels) error { return c.ofItem(key) })
	case store.KeyLabelHistory:
		return decoded(c, key, payload, func(key []byte, _ *feedback.Change) error { return c.ofItem(key) })
	case store.KeyEffect:
		return decoded(c, key, payload, func(key []byte, _ *records.Effects) error { return c.ofItem(key) })
	case store.KeyDecision:
		return decoded(c, key, payload, func(key []byte, _ *json.RawMessage) error { return c.ofItem(key) })
	case store.KeyIndex:
		return c.index(key, payload)
	case store.KeyTimer:
		return c.timer(key)
	case store.KeyMeta:
		if owner, ok := records.LoadOwner(key); ok {
			n, err := strconv.Atoi(string(payload))
			if err != nil {
				c.tell("undecodable", key, "%v", err)
			}
			c.loads[owner] -= n
		}
	case store.KeySeen, store.KeyCustomer, store.KeyAlert, store.KeyRuleset:
		secret := bytes.Equal(key, records.TombSecretKey()) // random bytes
		if !secret && !json.Valid(payload) && len(payload) > 0 && payload[0] == '{' {
			c.tell("undecodable", key, "it is no JSON")
		}
	}
	return nil
}

// decoded decodes a record and looks at it.
func decoded[T any](c *checker, key, payload []byte, look func(key []byte, v *T) error) error {
	v := new(T)
	if err := json.Unmarshal(payload, v); err != nil {
		c.damaged = true
		c.tell("undecodable", key, "%v", err)
		return nil
	}
	return look(key, v)
}

// item checks what should be there for an item, and adds up what it counts.
func (c *checker) item(key []byte, it *records.Item) error {
	id := it.Feedback.ID
	if !bytes.Equal(key, records.ItemKey(id)) {
		c.tell("missing", key, "it holds the item %s", id)
		return nil
	}
	c.tally.Add(&it.Counted, 1)
	seen, err := store.Load[records.Identity](c.s, records.IdentityKey(it.Feedback.Source, it.Feedback.ExternalID))
	switch {
	case errors.Is(err, store.ErrNotFound):
		c.tell("missing", key, "its source and external id do not lead to it")
	case errors.Is(err, store.ErrCorrupt):
	case err != nil:
		return err
	case seen.ID != id:
		c.tell("missing", key, "its source and external id lead to %s", seen.ID)
	}
	if it.Queue != "" {
		err = errors.Join(err, c.expect("index", key, records.QueueKey(it.Queue, id), "it is not found by its queue %s", it.Queue))
	}
	if customer := it.Feedback.Customer.ID; customer != "" {
		err = errors.Join(err, c.expect("index", key, records.CustomerKey(customer, id), "it is not found by its customer"))
	}
	for _, w := range it.Waiting {
		err = errors.Join(err, c.expect("index", key, records.WaitingKey(w, id), "it is not found as waiting for %s", w))
	}
	if it.Case != "" {
		err = errors.Join(err, c.expect("missing", key, records.CaseKey(feedback.CaseID(it.Case)), "its case %s is not there", it.Case))
	}
	if it.Decisions > 0 {
		err = errors.Join(err, c.expect("missing", key, records.DecisionKey(id, it.Decisions), "its decision %d is not there", it.Decisions))
	}
	return unlessTold(err)
}

// unlessTold leaves out what is told by another finding.
func unlessTold(err error) error {
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
		return nil
	}
	return err
}

// kase checks the indexes of a case, and counts it for its owner.
func (c *checker) kase(key []byte, k *feedback.Case) error {
	if !bytes.Equal(key, records.CaseKey(k.ID)) {
		c.tell("missing", key, "it holds the case %s", k.ID)
		return nil
	}
	if k.Status == feedback.CaseOpen { // of a store that the engine has yet to bring up to date
		c.counted(k.Owner)
		return c.expect("index", key, records.CaseStatusKey(k.Status, k.ID), "it is not found by its status %s", k.Status)
	}
	err := c.expect("index", key, records.CaseStatusKey(k.Status, k.ID), "it is not found by its status %s", k.Status)
	if k.Customer != "" {
		err = errors.Join(err, c.expect("index", key, records.CustomerCaseKey(k.Customer, k.ID), "it is not found by its customer"))
	}
	if !k.Status.Open() {
		return err
	}
	c.counted(k.Owner)
	if k.DueAt != 0 && k.BreachedAt == 0 || k.ResolveBy != 0 && k.OverdueAt == 0 {
		c.untimed = append(c.untimed, string(k.ID))
	}
	v, gerr := c.s.Get(records.OpenCaseKey(k.Queue, records.DueOf(k), k.ID))
	switch {
	case errors.Is(gerr, store.ErrNotFound):
		c.tell("index", key, "it is not found among the open cases of its queue")
	case gerr == nil && !bytes.Equal(v, records.OpenCaseValue(k)):
		c.tell("index", key, "among the open cases of its queue it is %q", v)
	}
	return errors.Join(err, unlessTold(gerr))
}

// counted counts an open case for its owner.
func (c *checker) counted(owner string) {
	if owner != "" {
		c.loads[owner]++
	}
}

// index checks that what an index entry names is there and belongs there.
func (c *checker) index(key, payload []byte) error {
	e, err := records.ParseIndex(key)
	if err != nil {
		return nil // of an index that this version does not know
	}
	var fits bool
	switch e.By {
	case "queue", "customer", "waiting":
		it, err := store.Load[records.Item](c.s, records.ItemKey(feedback.ItemID(e.ID)))
		if err != nil {
			return c.stale(key, err)
		}
		fits = e.By == "queue" && it.Queue == e.Name || e.By == "customer" && it.Feedback.Customer.ID == e.Name ||
			e.By == "waiting" && slices.Contains(it.Waiting, e.Name)
	case "case", "opencase", "customercase":
		k, err := store.Load[feedback.Case](c.s, records.CaseKey(feedback.CaseID(e.ID)))
		if err != nil {
			return c.stale(key, err)
		}
		fits = e.By == "case" && string(k.Status) == e.Name || e.By == "customercase" && k.Customer == e.Name ||
			e.By == "opencase" && bytes.Equal(key, records.OpenCaseKey(k.Queue, records.DueOf(k), k.ID)) && bytes.Equal(payload, records.OpenCaseValue(k))
	default:
		return nil
	}
	if !fits {
		c.tell("index", key, "%s does not belong there", e.ID)
	}
	return nil
}

// stale tells of an index entry whose record is not there.
func (c *checker) stale(key []byte, err error) error {
	switch {
	case errors.Is(err, store.ErrPoisoned), errors.Is(err, store.ErrClosed):
		return err
	case errors.Is(err, store.ErrNotFound):
		c.tell("index", key, "what it names is not there")
	}
	return nil // what else is wrong with the record is told where that is looked at
}
