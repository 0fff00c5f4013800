package rules

import (
	"slices"
	"time"

	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// throttle bounds how often a rule acts for one key.
type throttle struct {
	key   []string // fields; empty is one key for all
	every time.Duration
	max   int
}

// maxThrottle bounds the firings that a throttle remembers for one key.
const maxThrottle = 1000

func (b *builder) throttle(n *source.Node, each string) *throttle {
	if n == nil || !n.Object("key", "every", "max", "over") {
		return nil
	}
	t := &throttle{key: b.keyFields(n.Get("key"), each == lang.Theme), every: n.Need("every").Duration(), max: 1}
	if m := n.Get("max"); m != nil {
		if t.max = m.Int(); t.max < 1 || t.max > maxThrottle {
			m.Problem("wrong_value", "found %s, expected 1 to %d", m.Found(), maxThrottle)
		}
	}
	_ = n.Get("over").OneOf("count")
	return t
}

// mark is a firing that a throttle is to remember.
type mark struct {
	rule, key string
	firings   []Firing
}

// throttled reports whether the rule has fired as often as it may, and until when; otherwise it notes the firing. An
// event without one of the key's fields is not throttled. An item does not count against itself.
func (e *evaluation) throttled(r *rule) (s Suppression, ok bool) {
	t := r.throttle
	if t == nil || e.view == nil {
		return s, false
	}
	values := make([]string, len(t.key))
	for i, name := range t.key {
		v, known := e.frame.Text(name)
		if !known {
			return s, false
		}
		values[i] = v
	}
	key, id := joinKey(values), e.item.ID
	past := e.view.Throttled(r.info.ID, key)
	for i := range e.marks {
		if m := &e.marks[i]; m.rule == r.info.ID && m.key == key {
			past = m.firings
		}
	}
	since := e.now.Add(-t.every)
	recent := slices.DeleteFunc(slices.Clone(past), func(f Firing) bool { return f.At <= since })
	if id != "" && slices.ContainsFunc(recent, func(f Firing) bool { return f.Item == id }) {
		return s, false
	}
	if len(recent) >= t.max {
		return Suppression{Rule: r.info.ID, By: ByThrottle, Key: key, Until: recent[len(recent)-t.max].At.Add(t.every)}, true
	}
	e.marks = append(e.marks, mark{r.info.ID, key, append(recent, Firing{At: e.now, Item: id})})
	return s, false
}

// ByThrottle says, in Suppression.By, that a rule had fired as often as its throttle lets it.
const ByThrottle = "throttle"

// Suppression is a rule that matched and does not act.
type Suppression struct {
	Rule string `json:"rule"`
	Each string `json:"each,omitempty"` // the theme or value that the rule was decided for
	// By is ByThrottle, or the id of the rule that suppresses this one.
	By    string        `json:"by"`
	Key   string        `json:"key,omitempty"`  // of the throttle
	Until feedback.Time `json:"until,omitzero"` // when the throttle lets the rule act again
}
