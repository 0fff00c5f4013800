package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"

	"github.com/closedloop/closedloop/engine/internal/cases"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// act carries out the effects that were not carried out before, and notes those that no longer hold.
func (w *writer) act(s *subject, effects []rules.Effect, labels *feedback.Labels) error {
	id := s.rec.Feedback.ID
	done := &records.Effects{}
	if s.rec.Decisions > 1 {
		d, err := store.Load[records.Effects](w.tx, records.EffectsKey(id))
		if err == nil {
			done = d
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	if len(effects) == 0 && len(done.Done) == 0 {
		return nil
	}
	asked := make(map[string]bool, len(effects))
	for i := range effects {
		e := &effects[i]
		if e.Kind == rules.Tag || e.Kind == rules.Relabel {
			continue // part of the item's state, decided anew each time
		}
		key := e.Key()
		if asked[key] {
			continue
		}
		asked[key] = true
		if past := find(done.Done, key); past != nil {
			past.Lapsed = 0
			continue
		}
		done.Done = append(done.Done, records.Effect{Key: key, Rule: e.Rule, Kind: string(e.Kind), At: w.at, Decision: s.rec.Decisions})
		if err := w.carryOut(s, e, labels); err != nil {
			return err
		}
	}
	if err := w.settle(s, done, asked); err != nil {
		return err
	}
	return put(w.tx, records.EffectsKey(id), done, s.outcome == OutcomeNew)
}

func find(done []records.Effect, key string) *records.Effect {
	for i := range done {
		if done[i].Key == key {
			return &done[i]
		}
	}
	return nil
}

// settle brings the item's case in line with a later decision: it notes what lapsed and moves the case to the queue and
// owner that are asked for now. It never closes a case.
func (w *writer) settle(s *subject, done *records.Effects, asked map[string]bool) error {
	if s.outcome == OutcomeNew {
		return nil
	}
	c, err := w.openCase(s)
	if err != nil {
		return err
	}
	before := c
	if s.correction != "" {
		c = cases.Correct(c, s.corrector, s.correction, w.at)
	}
	for i := range done.Done {
		e := &done.Done[i]
		if asked[e.Key] || e.Lapsed != 0 {
			continue
		}
		e.Lapsed = w.at
		c = cases.Lapse(c, e.Rule, e.Kind, w.at)
	}
	if s.was.Case != "" && s.rec.Queue != "" {
		c = cases.Assign(c, s.rec.Queue, s.rec.Owner, cases.Rules, w.at)
	}
	if c.ID == "" {
		return nil
	}
	return w.keepCase(&before, &c, engineActs)
}

// openCase returns the item's case when it is open, and otherwise a case without an id.
func (w *writer) openCase(s *subject) (feedback.Case, error) {
	if s.rec.Case == "" {
		return feedback.Case{}, nil
	}
	c, err := w.known(feedback.CaseID(s.rec.Case))
	if err != nil || c == nil || !c.Status.Open() {
		return feedback.Case{}, err
	}
	return *c, nil
}

func (w *writer) carryOut(s *subject, e *rules.Effect, labels *feedback.Labels) error {
	switch e.Kind {
	case rules.Case:
		return w.openFor(s, e)
	case rules.Alert:
		w.rules.Raise(e, s.rec.Feedback.ID, w.at, boardOf{w})
	case rules.Notify:
		if e.Digest == 0 {
			return w.notify(s, e, labels)
		}
		w.rules.Collect(e, s.rec.Feedback.ID, w.at, boardOf{w})
	}
	return nil // assign acts through the decision's outputs
}

// openFor opens the case that a rule asks for, or notes the wish on the case that is open already.
func (w *writer) openFor(s *subject, e *rules.Effect) error {
	open, err := w.openCase(s)
	if err != nil {
		return err
	}
	if open.ID != "" {
		c := cases.AskedAgain(open, e.Rule, w.at)
		return w.keepCase(&open, &c, engineActs)
	}
	p := cases.Promise{
		Rule: e.Rule, Effect: e.Key(), Queue: e.Queue, Owner: e.Owner, Priority: string(e.Priority),
		Response: e.SLA, Resolution: e.Resolve, Warn: e.Warn, Calendar: e.Calendar,
	}
	if p.Queue == "" {
		p.Queue = s.rec.Queue
	}
	if p.Owner == "" && p.Queue == s.rec.Queue {
		p.Owner = s.rec.Owner
	}
	if p.Priority == "" {
		p.Priority = s.rec.Priority
	}
	c := cases.Open(&s.rec.Feedback, p, w.at, w.rules)
	s.rec.Case = string(c.ID)
	w.report.Cases++
	return w.keepCase(nil, &c, engineActs)
}

// Message is the body of a delivery.
type Message struct {
	Kind     string        `json:"kind"`
	Rule     string        `json:"rule"`
	At       feedback.Time `json:"at"`
	Text     string        `json:"text,omitempty"`
	Severity string        `json:"severity,omitempty"`
	Priority string        `json:"priority,omitempty"`
	Queue    string        `json:"queue,omitempty"`
	Owner    string        `json:"owner,omitempty"`
	Tags     []string      `json:"tags,omitempty"`
	Case     string        `json:"case,omitempty"`
	// Due and ResolveBy are when the case is to have a first response and a resolution, while that is promised and open.
	Due       feedback.Time    `json:"due,omitzero"`
	ResolveBy feedback.Time    `json:"resolve_by,omitzero"`
	Item      *feedback.Item   `json:"item"`
	Labels    *feedback.Labels `json:"labels"`
}

// promise tells what the case promises.
func (m *Message) promise(c *feedback.Case) {
	if c.Status.Open() {
		m.Due, m.ResolveBy = c.DueAt, c.ResolveBy
	}
}

// notify puts a message into the outbox.
func (w *writer) notify(s *subject, e *rules.Effect, labels *feedback.Labels) error {
	m := Message{
		Kind: string(e.Kind), Rule: e.Rule, At: w.at, Text: e.Message, Severity: s.rec.Severity, Priority: s.rec.Priority,
		Queue: s.rec.Queue, Owner: s.rec.Owner, Tags: s.rec.Tags, Case: s.rec.Case,
		Item: &s.rec.Feedback, Labels: labels,
	}
	open, err := w.openCase(s)
	if err != nil {
		return err
	}
	m.promise(&open)
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return w.send(feedback.Delivery{
		Key: deliveryKey(s.rec.Feedback.ID, e), Destination: e.Destination,
		Kind: string(e.Kind), Item: s.rec.Feedback.ID, Case: feedback.CaseID(s.rec.Case), Body: body, CreatedAt: w.at,
	})
}

// send puts a delivery into the outbox, behind the others of its destination.
func (w *writer) send(d feedback.Delivery) (err error) {
	if d.Sequence, err = w.sequence(d.Destination); err != nil {
		return err
	}
	w.report.Messages++
	w.told.delivery(d)
	return store.PutNew(w.tx, records.DeliveryKey(d.Destination, d.Sequence), &d)
}

// deliveryKey is the same for the same effect on the same item, for ever.
func deliveryKey(id feedback.ItemID, e *rules.Effect) string {
	return keyOf(id, &records.Effect{Key: e.Key()})
}

func keyOf(id feedback.ItemID, e *records.Effect) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{string(id), e.Key}, "\x00")))
	return "msg_" + hex.EncodeToString(sum[:16])
}

// sequence returns the destination's next sequence number.
func (w *writer) sequence(destination string) (uint64, error) {
	n, cached := w.sequences[destination]
	if !cached {
		next, err := records.NextSequence(w.tx, destination)
		if err != nil {
			return 0, err
		}
		n = next - 1
	}
	w.sequences[destination] = n + 1
	return n + 1, nil
}
