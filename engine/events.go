package engine

import (
	"github.com/closedloop/closedloop/engine/internal/cases"
	"github.com/closedloop/closedloop/engine/internal/outbox"
	"github.com/closedloop/closedloop/engine/internal/pipeline"
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Events tells the host what happened, after it is durable. A nil function is skipped. They are called one after
// another from the engine's own goroutines and hold up the source or destination that they tell of: hand long work on.
// They must not call Close or Reload.
type Events struct {
	// ItemCommitted tells of a new item, a revision, or new labels.
	ItemCommitted func(Item)
	Decided       func(feedback.ItemID, *rules.Decision)
	// CaseChanged tells of a case that was opened, or whose history has gained a line.
	CaseChanged func(feedback.Case)
	// AlertChanged tells of an alert that began to fire or is over, as its Status says.
	AlertChanged func(feedback.Alert)
	// DeliveryQueued, DeliverySent and DeliveryFailed follow a message to its destination. A failed one is tried again.
	DeliveryQueued func(feedback.Delivery)
	DeliverySent   func(feedback.Delivery)
	DeliveryFailed func(feedback.Delivery, error)
	// DeadLetter tells of a delivery that was given up.
	DeadLetter func(feedback.DeadLetter)
	// SourceFailed tells of a source that could not be polled or committed. It is tried again.
	SourceFailed func(source string, err error)
	// PluginChanged tells of a plugin that was paused, works again, or was replaced by another version.
	PluginChanged func(PluginState)
	// RulesChanged tells of other rules that decide since; see Engine.Activate. It must not activate any itself.
	RulesChanged func(Activation)
	// Reloaded tells what a change of the program's files led to, unless to nothing; see Engine.Reload.
	Reloaded func(Reloaded, error)
}

func (e *Engine) pipelineHooks() pipeline.Hooks {
	ev := &e.opts.Events
	h := pipeline.Hooks{Decision: e.meter.decided, Case: e.caseChanged, Alert: ev.AlertChanged}
	if ev.Decided != nil {
		h.Decision = func(id feedback.ItemID, d *rules.Decision) {
			e.meter.decided(id, d)
			ev.Decided(id, d)
		}
	}
	if ev.ItemCommitted != nil {
		h.Item = func(rec records.Item, l *feedback.Labels, _ pipeline.Outcome) { ev.ItemCommitted(itemOf(&rec, l)) }
	}
	h.Delivery = func(d feedback.Delivery) {
		e.outbox.Wake(d.Destination)
		if ev.DeliveryQueued != nil {
			ev.DeliveryQueued(d)
		}
	}
	return h
}

// caseChanged logs what is late, and tells the host.
func (e *Engine) caseChanged(c feedback.Case) {
	if last := c.History[len(c.History)-1]; last.Kind == cases.Breached || last.Kind == cases.Overdue {
		e.opts.Logger.Warn().Str("case", string(c.ID)).Str("queue", c.Queue).Msg("case is " + last.Kind)
	}
	if f := e.opts.Events.CaseChanged; f != nil {
		f(c)
	}
}

func (e *Engine) outboxHooks() outbox.Hooks {
	ev := &e.opts.Events
	return outbox.Hooks{
		Sent: func(d feedback.Delivery) {
			e.meter.sent.Add(1)
			if ev.DeliverySent != nil {
				ev.DeliverySent(d)
			}
		},
		Failed: func(d feedback.Delivery, err error) {
			e.meter.failed.Add(1)
			e.opts.Logger.Warn().Str("destination", d.Destination).Str("key", d.Key).Int("attempts", d.Attempts).
				Time("next", d.NextAt.Std()).Err(err).Msg("delivery failed")
			if ev.DeliveryFailed != nil {
				ev.DeliveryFailed(d, err)
			}
		},
		Dead: func(l feedback.DeadLetter) {
			e.opts.Logger.Error().Str("destination", l.Delivery.Destination).Str("key", l.Delivery.Key).
				Str("code", l.Code).Msg("delivery given up")
			if ev.DeadLetter != nil {
				ev.DeadLetter(l)
			}
		},
	}
}
