package rehearsal

import (
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/window"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// memory is what a world remembers of one item, and the way to all else that it remembers.
type memory struct {
	w           *World
	id          feedback.ItemID
	decision    *rules.Decision
	corrections []feedback.Change
	counts      []rules.Count
	done        []done
	opened      *Case
}

var (
	_ rules.Memory  = (*memory)(nil)
	_ rules.Stating = (*memory)(nil)
)

// done is an effect that was carried out.
type done struct {
	key    string
	lapsed bool
}

// memory returns what is remembered of an item. Items without an id are not remembered.
func (w *World) memory(id feedback.ItemID) *memory {
	if id == "" {
		return &memory{w: w}
	}
	if w.options.Once {
		if w.latest == nil || w.latest.id != id {
			w.latest = &memory{w: w, id: id}
		}
		return w.latest
	}
	m := w.items[id]
	if m == nil {
		m = &memory{w: w, id: id}
		w.items[id] = m
	}
	return m
}

// Previous returns the last decision on the item.
func (m *memory) Previous() *rules.Decision { return m.decision }

// Corrections returns the human layer of the item's labels.
func (m *memory) Corrections() []feedback.Change { return m.corrections }

// Counted returns what the item added to windows.
func (m *memory) Counted() []rules.Count { return m.counts }

// Window returns the observations of a window.
func (m *memory) Window(id, key string) *window.Ring { return m.w.windows[id][key] }

// Stated returns what SetWindow stated.
func (m *memory) Stated(id, key string) (window.Figure, bool) { return m.w.statement(id, key) }

// Throttled returns the firings of a throttled rule.
func (m *memory) Throttled(rule, key string) []rules.Firing { return m.w.throttled[place{rule, key}] }

// Turn returns how many owners were taken from a pool in turn.
func (m *memory) Turn(pool string) int { return m.w.turns[pool] }

// Load returns the number of open cases of an owner.
func (m *memory) Load(owner string) int { return m.w.load[owner] }

// Ring returns the observations of a window to be changed.
func (m *memory) Ring(info *rules.WindowInfo, key string) *window.Ring {
	byKey := m.w.windows[info.ID]
	if byKey == nil {
		byKey = map[string]*window.Ring{}
		m.w.windows[info.ID] = byKey
	}
	r := byKey[key]
	if r == nil {
		r = window.NewRing(info.Span)
		byKey[key] = r
	}
	return r
}

// SetThrottled replaces the firings of a throttled rule.
func (m *memory) SetThrottled(rule, key string, firings []rules.Firing) {
	m.w.throttled[place{rule, key}] = firings
}

// SetTurn replaces how many owners were taken from a pool in turn.
func (m *memory) SetTurn(pool string, n int) { m.w.turns[pool] = n }

func (w *World) statement(id, key string) (window.Figure, bool) {
	f, ok := w.stated[id][key]
	return f, ok
}
