package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/engine/internal/audit"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Correct puts a person's change on top of an item's labels, and decides again. Effects that were acted on stay so;
// the item's case moves to the queue that the rules ask for then. What is out of range in the change is brought into it,
// as for a categorizer; CheckCorrection tells. The correction is in the audit log.
func (p *Pipeline) Correct(ctx context.Context, id feedback.ItemID, c feedback.Change) (Report, error) {
	return p.again(ctx, id, c.At, func(w *writer, s *subject) error {
		clean := change(c.By, c.At, &feedback.Labels{Themes: c.Add, Sentiment: c.Sentiment}, len(s.rec.Feedback.Text))
		clean.By.Layer = feedback.LayerHuman
		clean.Reason = excerpt(strings.ToValidUTF8(c.Reason, "\uFFFD"))
		for _, path := range c.Remove {
			if validPath(path) {
				clean.Remove = append(clean.Remove, path)
			}
		}
		s.labels.Version++
		s.labels.Changes = append(s.labels.Changes, clean)
		s.rec.Review = false
		s.corrector, s.correction = clean.By.Name, changeText(&clean)
		data, err := json.Marshal(&clean)
		if err != nil {
			return err
		}
		w.said(audit.Entry{At: c.At, Kind: "label.correct", Who: clean.By.Name, What: string(id), Why: clean.Reason, Data: data})
		return nil
	})
}

// CheckCorrection returns what of a person's change is out of range, or nil.
func CheckCorrection(c *feedback.Change) error {
	for i := range c.Add {
		for part := range strings.SplitSeq(string(c.Add[i].Path), "/") {
			if part == "" || part != strings.TrimSpace(part) {
				return fmt.Errorf("found the theme %.80q, expected a path such as packaging/opening, no part of which is empty or begins or ends with a blank", c.Add[i].Path)
			}
		}
	}
	paths := slices.Clone(c.Remove)
	for i := range c.Add {
		paths = append(paths, c.Add[i].Path)
	}
	for _, path := range paths {
		if !validPath(path) {
			return fmt.Errorf("found the theme %.80q, expected a path such as packaging/opening of at most %d bytes and %d parts", path, maxPath, maxSegments)
		}
	}
	if n := len(c.Add); n > maxThemes {
		return fmt.Errorf("found %d themes, expected at most %d at once", n, maxThemes)
	}
	if s := c.Sentiment; s != nil && !(*s >= -1 && *s <= 1) {
		return fmt.Errorf("found the sentiment %v, expected -1 to 1", *s)
	}
	return nil
}

// changeText says in one line what a correction changes, and why.
func changeText(c *feedback.Change) string {
	var parts []string
	for i := range c.Add {
		parts = append(parts, "+"+string(c.Add[i].Path))
	}
	for _, path := range c.Remove {
		parts = append(parts, "-"+string(path))
	}
	if c.Sentiment != nil {
		parts = append(parts, fmt.Sprintf("sentiment %v", *c.Sentiment))
	}
	text := "labels corrected: " + strings.Join(parts, " ")
	if c.Reason != "" {
		text += ", because " + c.Reason
	}
	return text
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
// them, each as a revision of its labels. It returns how many are labelled now. One that fails holds up no other.
func (p *Pipeline) LabelWaiting(ctx context.Context, at feedback.Time, limit int) (n int, err error) {
	for i := range p.cfg.Categorizer {
		c := &p.cfg.Categorizer[i]
		ids, e := p.waiting(c.ID, limit-n)
		err = errors.Join(err, e)
		for _, id := range ids {
			if e := p.label(ctx, c, id, at); e != nil {
				err = errors.Join(err, e)
				break // it is down, and will be asked again
			}
			n++
		}
	}
	return n, err
}

// Release lets the items go on that wait for a categorizer which the pipeline does not have any more.
func (p *Pipeline) Release(ctx context.Context, at feedback.Time) error {
	var gone []string
	err := p.cfg.Store.View(func(s *store.Snapshot) (err error) {
		gone, err = records.WaitedFor(s)
		return err
	})
	for _, c := range gone {
		if slices.ContainsFunc(p.cfg.Categorizer, func(k Categorizer) bool { return k.ID == c }) {
			continue
		}
		for ids := []feedback.ItemID{""}; len(ids) > 0 && err == nil; {
			if ids, err = p.waiting(c, BatchSize); err != nil {
				return err
			}
			for _, id := range ids {
				_, e := p.again(ctx, id, at, func(w *writer, s *subject) error {
					s.labels.Version++
					return w.waitNoMore(s, c)
				})
				err = errors.Join(err, e)
			}
		}
	}
	return err
}

// Relabel asks every categorizer about an item that is there, replaces what they said before, and decides again. It
// returns why the item is refused, or "".
func (p *Pipeline) Relabel(ctx context.Context, id feedback.ItemID, at feedback.Time) (refused string, err error) {
	rec, err := p.item(id)
	if err != nil {
		return "", err
	}
	one := []accepted{{item: rec.Feedback}}
	if err := p.categorizeBatch(ctx, one, []int{0}); err != nil {
		return "", err
	}
	if r := one[0].refused; r != nil {
		return r.code + ": " + r.reason, nil
	}
	_, err = p.again(ctx, id, at, func(w *writer, s *subject) error {
		review := s.rec.Review
		err := w.relayer(s, one[0].labels, one[0].waiting)
		s.rec.Review = review // the text is the one that the person has seen
		return err
	})
	return "", err
}

func (p *Pipeline) item(id feedback.ItemID) (rec *records.Item, err error) {
	err = p.cfg.Store.View(func(s *store.Snapshot) (err error) {
		rec, err = store.Load[records.Item](s, records.ItemKey(id))
		return err
	})
	return rec, err
}

func (p *Pipeline) waiting(categorizer string, limit int) (ids []feedback.ItemID, err error) {
	err = p.cfg.Store.View(func(s *store.Snapshot) error {
		ids, err = records.Waiting(s, categorizer, limit)
		return err
	})
	return ids, err
}

func (p *Pipeline) label(ctx context.Context, c *Categorizer, id feedback.ItemID, at feedback.Time) error {
	rec, err := p.item(id)
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
	if s.rec.Revision != revision || !slices.Contains(s.rec.Waiting, categorizer) {
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
	return w.waitNoMore(s, categorizer)
}

func (w *writer) waitNoMore(s *subject, categorizer string) error {
	return w.wait(s, slices.DeleteFunc(slices.Clone(s.rec.Waiting), func(c string) bool { return c == categorizer }))
}
