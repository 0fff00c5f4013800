package pipeline

import (
	"errors"
	"slices"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// upsert writes a new item or a revision, with all that follows.
func (w *writer) upsert(a *accepted, it feedback.Item, outcome Outcome) error {
	s := &subject{rec: &records.Item{}, labels: &records.Labels{}, outcome: outcome}
	if outcome == OutcomeRevised {
		var err error
		if s, err = w.load(it.ID); err != nil {
			return err
		}
		s.outcome = OutcomeRevised
	}
	s.revise(it)
	if err := w.relayer(s, a.labels, a.waiting); err != nil {
		return err
	}
	return w.decide(s)
}

// subject is the item that a decision is about.
type subject struct {
	rec     *records.Item
	labels  *records.Labels
	was     records.Item // before: what the indexes and rollups hold
	outcome Outcome
	// correction is why a person changes the labels now, and corrector who.
	correction, corrector string
}

func (w *writer) load(id feedback.ItemID) (*subject, error) {
	rec, err := store.Load[records.Item](w.tx, records.ItemKey(id))
	if err != nil {
		return nil, err
	}
	labels, err := store.Load[records.Labels](w.tx, records.LabelsKey(id))
	if errors.Is(err, store.ErrNotFound) {
		labels, err = &records.Labels{}, nil
	}
	return &subject{rec: rec, labels: labels, was: *rec}, err
}

// revise replaces the content. An instant that was only assumed gives way to none that was given.
func (s *subject) revise(it feedback.Item) {
	if s.rec.Revision > 0 && it.OccurredAssumed {
		it.OccurredAt, it.OccurredAssumed = s.rec.Feedback.OccurredAt, s.rec.Feedback.OccurredAssumed
	}
	if s.rec.Origin == "" && s.rec.Feedback.Batch != it.Batch {
		s.rec.Origin = s.rec.Feedback.Batch
	}
	s.rec.Feedback = it
	s.rec.Revision++
}

// relayer replaces the model layer and moves what it replaces to the history. A human correction stands, and is
// marked for review because it was made for what the item said before.
func (w *writer) relayer(s *subject, model []feedback.Change, waiting []string) error {
	id := s.rec.Feedback.ID
	s.labels.Version++
	kept := slices.Clip(model)
	for i, c := range s.labels.Changes {
		switch c.By.Layer {
		case feedback.LayerHuman:
			kept = append(kept, c)
			s.rec.Review = true
		default:
			if err := store.Put(w.tx, records.LabelHistoryKey(id, s.labels.Version, i), &c); err != nil {
				return err
			}
		}
	}
	s.labels.Changes = kept
	return w.wait(s, waiting)
}

// wait records which categorizers have yet to label the item.
func (w *writer) wait(s *subject, waiting []string) error {
	id := s.rec.Feedback.ID
	for _, c := range s.rec.Waiting {
		if !slices.Contains(waiting, c) {
			w.tx.Delete(records.WaitingKey(c, id))
		}
	}
	for _, c := range waiting {
		w.tx.Set(records.WaitingKey(c, id), nil)
	}
	s.rec.Waiting = waiting
	return nil
}

// decide evaluates the rules, acts on what was not acted on before, and writes the item.
func (w *writer) decide(s *subject) error {
	id := s.rec.Feedback.ID
	if err := w.dropRuleLayer(s); err != nil {
		return err
	}
	event := records.EventBeforeRules(s.rec, s.labels)
	v := &view{w: w, id: id, last: s.rec.Decisions, labels: s.labels, was: w.counted(&s.was)}
	result := w.rules.Decide(event, w.at, v)
	decision, effects := &result.Decision, result.Effects
	s.labels.Changes = append(s.labels.Changes, decision.Relabels...)
	effective := feedback.Fold(s.labels.Changes)
	w.recount(s, v, result.Counts, &effective)
	decision.ItemVersion = s.rec.Feedback.Version
	s.rec.Decisions++
	s.take(&decision.Outputs)
	if err := w.contact(s); err != nil {
		return err
	}
	if err := w.act(s, effects, &effective); err != nil {
		return err
	}
	w.report.Decided++
	w.told.decision(id, decision)
	w.told.item(s.rec, &effective, s.outcome)
	return errors.Join(
		w.failed,
		store.PutNew(w.tx, records.DecisionKey(id, s.rec.Decisions), decision),
		w.write(s, &effective),
	)
}

// counting is what the item is to windows. Nothing is known of its labels while it waits for all of them.
func (s *subject) counting(effective *feedback.Labels) *feedback.Event {
	ev := &feedback.Event{Item: &s.rec.Feedback, Labels: effective}
	if len(s.labels.Changes) == 0 && len(s.rec.Waiting) > 0 {
		ev.Labels = nil
	}
	return ev
}

// dropRuleLayer moves what the last decision said of the labels to their history.
func (w *writer) dropRuleLayer(s *subject) error {
	kept := s.labels.Changes[:0:0]
	for i, c := range s.labels.Changes {
		if c.By.Layer != feedback.LayerRule {
			kept = append(kept, c)
		} else if err := store.Put(w.tx, records.LabelHistoryKey(s.rec.Feedback.ID, s.labels.Version, i), &c); err != nil {
			return err
		}
	}
	s.labels.Changes = kept
	return nil
}

// take sets what the decision puts out.
func (s *subject) take(o *rules.Outputs) {
	s.rec.Queue, s.rec.Owner, s.rec.Priority = o.Queue, o.Owner, string(o.Priority)
	s.rec.Severity, s.rec.Tags = string(o.Severity), o.Tags
}

// write stores the item with its labels, indexes and contribution to the rollups.
func (w *writer) write(s *subject, effective *feedback.Labels) error {
	rec, id := s.rec, s.rec.Feedback.ID
	w.rollups.Add(&s.was.Counted, -1)
	rec.Counted = records.ContributionOf(&rec.Feedback, effective, rec.Queue, w.p.cfg.Timezone)
	w.rollups.Add(&rec.Counted, 1)
	w.index(s.was.Queue, rec.Queue, func(q string) []byte { return records.QueueKey(q, id) })
	w.index(s.was.Feedback.Customer.ID, rec.Feedback.Customer.ID, func(c string) []byte { return records.CustomerKey(c, id) })
	fresh := s.outcome == OutcomeNew
	return errors.Join(
		put(w.tx, records.ItemKey(id), rec, fresh),
		put(w.tx, records.LabelsKey(id), s.labels, fresh),
	)
}

func (w *writer) index(was, is string, key func(string) []byte) {
	if was == is {
		return
	}
	if was != "" {
		w.tx.Delete(key(was))
	}
	if is != "" {
		w.tx.Set(key(is), nil)
	}
}
