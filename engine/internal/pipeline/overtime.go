package pipeline

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/alert"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Wake looks at the alerts, groups, digests and cases whose timers are due. Each timer is taken in the update that has its
// effect, so that it happens once. Timers with more to do than fits one update take several.
func (p *Pipeline) Wake(ctx context.Context, due []store.Timer, at feedback.Time) error {
	return store.InParts(due, func(part []store.Timer) error { return p.wake(ctx, part, at) })
}

func (p *Pipeline) wake(ctx context.Context, due []store.Timer, at feedback.Time) error {
	return p.overTime(ctx, at, func(w *writer) error {
		for _, t := range due {
			ours, err := w.tx.TakeTimer(t)
			switch {
			case err != nil || !ours:
			case t.Kind == records.TimerCase:
				err = w.lookAt(feedback.CaseID(t.Ref))
			case t.Kind == TimerWake:
				err = w.wake(t.Ref)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// tickBatch bounds the rules and keys that one update looks at: fewer when that would be too large.
const tickBatch = 256

// Tick looks at every rule that holds over time, for every key that its windows or its alerts know: windows change as
// time goes on, also when nothing comes.
func (p *Pipeline) Tick(ctx context.Context, at feedback.Time) error {
	instances, err := p.instances()
	for batch := range slices.Chunk(instances, tickBatch) {
		if err == nil {
			err = store.InParts(batch, func(part []rules.Instance) error {
				return p.overTime(ctx, at, func(w *writer) error {
					w.memory.touched = part
					return nil
				})
			})
		}
	}
	return err
}

// overTime does something in one update that is not about an item.
func (p *Pipeline) overTime(ctx context.Context, at feedback.Time, do func(*writer) error) error {
	var w *writer
	err := p.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		w = p.newWriter(tx, at)
		if err := errors.Join(do(w), w.finish()); err != nil || !p.rehearses {
			return err
		}
		return errRolledBack
	})
	if err == errRolledBack {
		return nil
	}
	if err == nil {
		w.told.tell()
	}
	return err
}

// errRolledBack ends an update of a pipeline that rehearses, so that nothing of it stays.
var errRolledBack = errors.New("pipeline: rolled back")

// rolledBack returns a pipeline whose updates outside of intake leave no trace.
func (p *Pipeline) rolledBack() *Pipeline {
	q := &Pipeline{cfg: p.cfg, rehearses: true}
	q.deciding.Store(p.deciding.Load())
	return q
}

// instances returns what Tick looks at.
func (p *Pipeline) instances() (out []rules.Instance, err error) {
	now := p.deciding.Load()
	keyed := now.rules.Keyed()
	seen := map[rules.Instance]bool{}
	add := func(in rules.Instance) {
		if !seen[in] {
			seen[in] = true
			out = append(out, in)
		}
	}
	err = p.cfg.Store.View(func(s *store.Snapshot) error {
		for _, rule := range slices.Sorted(maps.Keys(keyed)) {
			windows := keyed[rule]
			if len(windows) == 0 {
				add(rules.Instance{Rule: rule})
			}
			for _, id := range windows {
				err := s.Scan(records.RingPrefix(id, now.generations[id]), nil, false, func(key, _ []byte) (bool, error) {
					k, err := records.RingOf(key)
					if k != "" {
						add(rules.Instance{Rule: rule, Key: k})
					}
					return err == nil, err
				})
				if err != nil {
					return err
				}
			}
		}
		return records.Each(s, records.AlertPrefix(), nil, false, func(a *rules.AlertState) (bool, error) {
			_, known := keyed[a.Rule]
			_, due := a.State.Due() // an alert of a rule that is gone or off ends, by its timer if it has one
			if (known || !due) && (a.State.Status == alert.Pending || a.State.Status == alert.Firing) {
				add(rules.Instance{Rule: a.Rule, Key: a.Key})
			}
			return true, nil
		})
	})
	return out, err
}

// WakeGroups looks at every group of alerts again, because a silence has begun or ended.
func (p *Pipeline) WakeGroups(ctx context.Context, at feedback.Time) error {
	var groups []records.AlertGroup
	err := p.cfg.Store.View(func(s *store.Snapshot) error {
		return records.Each(s, records.GroupPrefix(), nil, false, func(g *records.AlertGroup) (bool, error) {
			groups = append(groups, *g)
			return true, nil
		})
	})
	for batch := range slices.Chunk(groups, tickBatch) {
		if err == nil {
			err = store.InParts(batch, func(part []records.AlertGroup) error {
				return p.overTime(ctx, at, func(w *writer) error {
					for i := range part {
						w.rules.Wake(rules.WakeGroup, part[i].Rule, part[i].Key, at, boardOf{w})
					}
					return w.failed
				})
			})
		}
	}
	return err
}
