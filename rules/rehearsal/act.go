package rehearsal

import (
	"slices"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Case is a case that rules opened.
type Case struct {
	Item     feedback.ItemID `json:"item"`
	Rule     string          `json:"rule"`
	Queue    string          `json:"queue,omitempty"`
	Owner    string          `json:"owner,omitempty"`
	Priority rules.Priority  `json:"priority,omitempty"`
	Severity rules.Severity  `json:"severity,omitempty"`
	OpenedAt feedback.Time   `json:"opened_at"`
	DueAt    feedback.Time   `json:"due_at,omitzero"` // of the first response; 0 when the rule promised none
	// ResolveBy is when the case is to be resolved. 0 when the rule promised nothing.
	ResolveBy feedback.Time `json:"resolve_by,omitzero"`
	ClosedAt  feedback.Time `json:"closed_at,omitzero"` // 0 while it is open
	// Lapsed are the rules whose effects on the item were carried out and are not asked for any more.
	Lapsed []string `json:"lapsed,omitempty"`
}

// Message is one that a notify action sent.
type Message struct {
	At          feedback.Time   `json:"at"`
	Item        feedback.ItemID `json:"item,omitempty"`
	Rule        string          `json:"rule"`
	Destination string          `json:"destination"`
	Severity    rules.Severity  `json:"severity,omitempty"`
	Text        string          `json:"text,omitempty"`
}

// Cases returns all cases in the order of their opening.
func (w *World) Cases() []Case {
	out := make([]Case, len(w.cases))
	for i, c := range w.cases {
		out[i] = *c
		out[i].Lapsed = slices.Clone(c.Lapsed)
	}
	return out
}

// Load returns the number of open cases of an owner.
func (w *World) Load(owner string) int { return w.load[owner] }

// Messages returns what notify actions sent, without what went into digests, in the order of sending.
func (w *World) Messages() []Message { return slices.Clone(w.messages) }

// Close closes the open case of an item, and reports whether there was one. With Options.Once no item is known any more.
func (w *World) Close(id feedback.ItemID) bool {
	m := w.items[id]
	return m != nil && w.close(m.opened)
}

func (w *World) close(c *Case) bool {
	if c == nil || c.ClosedAt != 0 {
		return false
	}
	c.ClosedAt = w.now
	w.load[c.Owner]--
	w.closed(c)
	return true
}

// act carries out the effects that were not carried out before, and notes those that no longer hold.
func (w *World) act(it *feedback.Item, m *memory, step *Step) {
	if len(step.Effects) == 0 && len(m.done) == 0 {
		return
	}
	if m.opened != nil && m.opened.ClosedAt != 0 {
		m.opened = nil
	}
	before := m.opened
	asked := make([]string, 0, len(step.Effects))
	for i := range step.Effects {
		e := &step.Effects[i]
		if e.Kind == rules.Tag || e.Kind == rules.Relabel {
			continue // part of what the item is, decided anew each time
		}
		key := e.Key()
		if slices.Contains(asked, key) {
			continue
		}
		asked = append(asked, key)
		if past := slices.IndexFunc(m.done, func(d done) bool { return d.key == key }); past >= 0 {
			m.done[past].lapsed = false
			continue
		}
		m.done = append(m.done, done{key: key})
		step.Acted = append(step.Acted, *e)
		w.carryOut(it, m, e, step)
	}
	w.lapse(m, asked, step)
	if before != nil && step.Decision.Outputs.Queue != "" {
		w.assign(before, &step.Decision.Outputs)
	}
	step.Case = m.opened
}

func (w *World) carryOut(it *feedback.Item, m *memory, e *rules.Effect, step *Step) {
	switch e.Kind {
	case rules.Case:
		w.open(it, m, e, step)
	case rules.Alert:
		w.set.Raise(e, it.ID, w.now, w.board)
	case rules.Notify:
		if e.Digest > 0 {
			w.set.Collect(e, it.ID, w.now, w.board)
			return
		}
		w.sent(Message{At: w.now, Item: it.ID, Rule: e.Rule, Destination: e.Destination, Severity: e.Severity, Text: e.Message})
	}
}

// open opens a case unless one is open.
func (w *World) open(it *feedback.Item, m *memory, e *rules.Effect, step *Step) {
	if m.opened != nil {
		return
	}
	o := &step.Decision.Outputs
	c := &Case{Item: it.ID, Rule: e.Rule, Queue: e.Queue, Owner: e.Owner, Priority: e.Priority, Severity: e.Severity, OpenedAt: w.now}
	if c.Queue == "" {
		c.Queue = o.Queue
	}
	if c.Owner == "" && c.Queue == o.Queue {
		c.Owner = o.Owner
	}
	if c.Priority == "" {
		c.Priority = o.Priority
	}
	if e.SLA > 0 {
		c.DueAt = w.set.Due(w.now, e.SLA, e.Calendar)
	}
	if e.Resolve > 0 {
		c.ResolveBy = w.set.Due(w.now, e.Resolve, e.Calendar)
	}
	w.load[c.Owner]++
	w.opened(c)
	m.opened, step.Opened = c, true
	if at, ok := w.closesAt(c); ok {
		w.timers.closing(c, at)
	}
}

// lapse notes the effects that were carried out and are not asked for any more.
func (w *World) lapse(m *memory, asked []string, step *Step) {
	for i := range m.done {
		d := &m.done[i]
		if d.lapsed || slices.Contains(asked, d.key) {
			continue
		}
		d.lapsed = true
		step.Lapsed = append(step.Lapsed, d.key)
		if m.opened != nil {
			m.opened.Lapsed = append(m.opened.Lapsed, d.key)
		}
	}
}

// assign moves a case to the queue and owner that are asked for now.
func (w *World) assign(c *Case, o *rules.Outputs) {
	owner := o.Owner
	if owner == "" && o.Queue == c.Queue {
		owner = c.Owner
	}
	w.load[c.Owner]--
	w.load[owner]++
	c.Queue, c.Owner = o.Queue, owner
}
