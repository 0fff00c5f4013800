package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Correct puts a person's change on top of an item's labels, and decides again. Effects that were acted on stay so;
// the item's case moves to the queue that the rules ask for now.
func (p *Pipeline) Correct(ctx context.Context, id feedback.ItemID, c feedback.Change) (Report, error) {
	c.By.Layer = feedback.LayerHuman
	return p.again(ctx, id, c.At, func(w *writer, s *subject) error {
		s.labels.Version++
		s.labels.Changes = append(s.labels.Changes, c)
		s.rec.Review = false
		return nil
	})
}

// again decides anew about one item after a change that is no revision.
func (p *Pipeline) again(ctx context.Context, id feedback.ItemID, at feedback.Time, change func(*writer, *subject) error) (Report, error) {
	var w *writer
	err := p.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		w = p.newWriter(tx, at)
		s, err := w.load(id)
		if err != nil {
			return err
		}
		s.outcome = OutcomeRevised
		if err := change(w, s); err != nil {
			return err
		}
		return errors.Join(w.decide(s), w.finish())
	})
	if err != nil {
		return Report{}, fmt.Errorf("item %s: %w", id, err)
	}
	w.told.tell()
	return w.report, nil
}

// LabelWaiting has the items labelled that were committed while a categorizer could not be asked, at most limit of
// them, each as a revision of its labels. It returns how many are labelled now.
func (p *Pipeline) LabelWaiting(ctx context.Context, at feedback.Time, limit int) (int, error) {
	n := 0
	for i := range p.cfg.Categorizer {
		c := &p.cfg.Categorizer[i]
		ids, err := p.waiting(c.ID, limit-n)
		if err != nil {
			return n, err
		}
		for _, id := range ids {
			if err := p.label(ctx, c, id, at); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}

func (p *Pipeline) waiting(categorizer string, limit int) (ids []feedback.ItemID, err error) {
	err = p.cfg.Store.View(func(s *store.Snapshot) error {
		ids, err = records.Waiting(s, categorizer, limit)
		return err
	})
	return ids, err
}

func (p *Pipeline) label(ctx context.Context, c *Categorizer, id feedback.ItemID, at feedback.Time) error {
	var rec *records.Item
	err := p.cfg.Store.View(func(s *store.Snapshot) (err error) {
		rec, err = store.Load[records.Item](s, records.ItemKey(id))
		return err
	})
	if err != nil {
		return err
	}
	patient := *c
	patient.PassUnlabelled = false
	one := []accepted{{item: rec.Feedback}}
	if err := p.ask(ctx, &patient, one, []int{0}); err != nil {
		return err
	}
	_, err = p.again(ctx, id, at, func(w *writer, s *subject) error {
		return w.labelled(s, c.ID, &one[0], rec.Revision)
	})
	return err
}

// labelled adds what a categorizer says late. When the item was revised meanwhile it goes on waiting.
func (w *writer) labelled(s *subject, categorizer string, a *accepted, revision int) error {
	if s.rec.Revision != revision {
		return nil
	}
	if a.refused != nil {
		letter := feedback.DeadLetter{
			Kind: feedback.DeadItem, At: w.at, Source: s.rec.Feedback.Source, Batch: s.rec.Feedback.Batch,
			Position: string(s.rec.Feedback.ID), Code: a.refused.code, Reason: a.refused.reason, Item: &s.rec.Feedback,
		}
		if err := w.bury(letter); err != nil {
			return err
		}
	}
	s.labels.Version++
	s.labels.Changes = append(a.labels, s.labels.Changes...)
	left := make([]string, 0, len(s.rec.Waiting))
	for _, c := range s.rec.Waiting {
		if c != categorizer {
			left = append(left, c)
		}
	}
	return w.wait(s, left)
}
