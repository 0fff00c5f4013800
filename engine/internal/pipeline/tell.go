package pipeline

import (
	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// told collects what the hooks are to hear once the update is durable.
type told []func(*Hooks)

func (t *told) item(rec records.Item, l *feedback.Labels, o Outcome) {
	*t = append(*t, func(h *Hooks) {
		if h.Item != nil {
			h.Item(rec, l, o)
		}
	})
}

func (t *told) decision(id feedback.ItemID, d *rules.Decision) {
	*t = append(*t, func(h *Hooks) {
		if h.Decision != nil {
			h.Decision(id, d)
		}
	})
}

func (t *told) kase(c feedback.Case) {
	*t = append(*t, func(h *Hooks) {
		if h.Case != nil {
			h.Case(c)
		}
	})
}

func (t *told) alert(a feedback.Alert) {
	*t = append(*t, func(h *Hooks) {
		if h.Alert != nil {
			h.Alert(a)
		}
	})
}

func (t *told) delivery(d feedback.Delivery) {
	*t = append(*t, func(h *Hooks) {
		if h.Delivery != nil {
			h.Delivery(d)
		}
	})
}

func (w *writer) tell(h Hooks) {
	for _, f := range w.told {
		f(&h)
	}
}
