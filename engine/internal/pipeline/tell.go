package pipeline

import (
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// told collects what the hooks are to hear once the update is durable.
type told struct {
	hooks *Hooks
	calls []func()
}

func tell[T any](t *told, hook func(T), v T) {
	if hook != nil {
		t.calls = append(t.calls, func() { hook(v) })
	}
}

func (t *told) item(rec *records.Item, l *feedback.Labels, o Outcome) {
	if hook := t.hooks.Item; hook != nil {
		copied := *rec
		t.calls = append(t.calls, func() { hook(copied, l, o) })
	}
}

func (t *told) decision(id feedback.ItemID, d *rules.Decision) {
	if hook := t.hooks.Decision; hook != nil {
		t.calls = append(t.calls, func() { hook(id, d) })
	}
}

func (t *told) kase(c feedback.Case)         { tell(t, t.hooks.Case, c) }
func (t *told) alert(a feedback.Alert)       { tell(t, t.hooks.Alert, a) }
func (t *told) delivery(d feedback.Delivery) { tell(t, t.hooks.Delivery, d) }

// tell calls the hooks, in the order of what happened. One that panics keeps none of the others from being called.
func (t *told) tell() {
	for i := range t.calls {
		defer t.calls[len(t.calls)-1-i]()
	}
}
