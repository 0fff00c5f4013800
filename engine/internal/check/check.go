// Package check looks whether everything in a store is as it should be: each record by itself, and what records say of
// each other. It changes nothing.
//
// What holds:
//
//   - All is looked at as of one commit, while updates go on.
//   - A finding is something that no sequence of updates of this version leaves. A store without findings is one in which
//     every record can be read, every index names what is there, every rollup is the sum of what the items add to it, and
//     the audit log is whole.
//
// One use:
//
//	result, err := check.Store(ctx, st, func(f check.Finding) { ... }, nil)
package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/closedloop/closedloop/engine/internal/audit"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Finding is one thing that is wrong.
type Finding struct {
	What string // such as "damaged", "undecodable", "index", "missing", "rollup", "audit", "timer", "outbox" or "load"
	Key  string // of the record, for people; empty when it is about no single one
	Text string
}

// Result counts what was looked at.
type Result struct {
	Commit   uint64
	Records  int64
	Bytes    int64
	Findings int
}

// Store looks at everything and tells what is wrong. Progress, which may be nil, is told how many of about how many bytes
// were looked at. Errors: the store's when it cannot be read on, or ctx's.
func Store(ctx context.Context, st *store.Store, tell func(Finding), progress func(done, total int64)) (Result, error) {
	c := &checker{ctx: ctx, told: tell, progress: progress, loads: map[string]int{}, timed: map[string]bool{}, old: st.Format() != store.CurrentFormat}
	err := st.View(func(s *store.Snapshot) error {
		c.s, c.r.Commit, c.total = s, s.Commit(), s.TableBytes()
		return c.run()
	})
	return c.r, err
}

type checker struct {
	ctx      context.Context
	s        *store.Snapshot
	told     func(Finding)
	progress func(done, total int64)
	total    int64
	r        Result

	tally   records.Tally
	loads   map[string]int  // open cases by owner
	timed   map[string]bool // cases that have a timer
	untimed []string        // open cases with a promise, until their timers are known
	old     bool            // the rollups are those of an older format
	damaged bool            // something could not be read: sums would be wrong for that reason alone
}

func (c *checker) tell(what string, key []byte, format string, args ...any) {
	c.r.Findings++
	f := Finding{What: what, Text: fmt.Sprintf(format, args...)}
	if key != nil {
		f.Key = store.KeyText(key)
	}
	c.told(f)
}

func (c *checker) run() error {
	for _, err := range c.s.DamagedTables() {
		c.damaged = true
		c.tell("damaged", nil, "%v", err)
	}
	err := c.s.Inspect(func(key, payload []byte, damage error) error {
		if damage != nil {
			c.damaged = true
			c.tell("damaged", key, "%v", damage)
			return nil
		}
		c.r.Bytes += int64(len(key) + len(payload))
		if c.r.Records++; c.r.Records%4096 == 0 {
			if c.progress != nil {
				c.progress(min(c.r.Bytes, c.total), c.total)
			}
			if err := c.ctx.Err(); err != nil {
				return err
			}
		}
		return c.record(key, payload)
	})
	if err != nil {
		return err
	}
	return errors.Join(c.sums(), c.auditLog())
}

// sums compares what was added up over all records.
func (c *checker) sums() error {
	for _, id := range c.untimed {
		if !c.timed[id] {
			c.tell("timer", records.CaseKey(feedback.CaseID(id)), "the case has a promise and no timer")
		}
	}
	if c.damaged {
		return nil
	}
	for owner, n := range c.loads {
		if n != 0 {
			c.tell("load", records.LoadKey(owner), "the number of open cases of %s is off by %d", owner, -n)
		}
	}
	if c.old {
		return nil
	}
	stay, err := c.there(records.StayedKey())
	if err != nil {
		return err
	}
	return c.tally.Differences(c.s, func(key []byte, found, expected *records.Rollup) error {
		if stay && found.Covers(expected) { // sums keep what was erased, or was too old
			return nil
		}
		c.tell("rollup", key, "found n %d and sum %g, the items come to n %d and sum %g", found.N, found.Sum, expected.N, expected.Sum)
		return nil
	})
}

func (c *checker) auditLog() error {
	_, _, err := audit.Verify(c.ctx, c.s)
	if damage := (*audit.DamageError)(nil); errors.As(err, &damage) {
		c.tell("audit", nil, "%v", err)
		return nil
	}
	if errors.Is(err, store.ErrCorrupt) { // told already
		return nil
	}
	return err
}

// there reports whether there is a record, also when it is damaged.
func (c *checker) there(key []byte) (bool, error) {
	_, err := c.s.Get(key)
	switch {
	case err == nil || errors.Is(err, store.ErrCorrupt):
		return true, nil
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	}
	return false, err
}

// expect tells when a record is not there.
func (c *checker) expect(what string, of, key []byte, format string, args ...any) error {
	ok, err := c.there(key)
	if err == nil && !ok {
		c.tell(what, of, format, args...)
	}
	return err
}

// ofItem checks that the item that a record is about is there.
func (c *checker) ofItem(key []byte) error {
	id, err := records.FirstString(key)
	if err != nil {
		c.tell("undecodable", key, "the key has no item: %v", err)
		return nil
	}
	return c.expect("missing", key, records.ItemKey(feedback.ItemID(id)), "the item that it is about is not there")
}

// timer notes for which cases there are timers.
func (c *checker) timer(key []byte) error {
	r := store.ReadKey(key)
	_, kind, ref := r.Time(), r.Str(), r.Str()
	if r.Err() != nil {
		c.tell("undecodable", key, "the key of the timer: %v", r.Err())
		return nil
	}
	if kind != records.TimerCase {
		return nil
	}
	c.timed[ref] = true
	return c.expect("timer", key, records.CaseKey(feedback.CaseID(ref)), "the case that it is for is not there")
}

// delivery checks that the place of a delivery is its own and behind no later number.
func (c *checker) delivery(key []byte, d *feedback.Delivery) error {
	if !slices.Equal(key, records.DeliveryKey(d.Destination, d.Sequence)) {
		c.tell("outbox", key, "it holds delivery %d for %s", d.Sequence, d.Destination)
		return nil
	}
	b, err := c.s.Get(records.SequenceKey(d.Destination))
	if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrCorrupt) {
		return err
	}
	if n, parsed := strconv.ParseUint(string(b), 10, 64); err == nil && (parsed != nil || n < d.Sequence) {
		c.tell("outbox", key, "the last number given out for %s is %s", d.Destination, b)
	} else if errors.Is(err, store.ErrNotFound) {
		c.tell("outbox", key, "no number was given out for %s", d.Destination)
	}
	return nil
}
