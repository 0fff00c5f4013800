package rules

import (
	"github.com/closedloop/closedloop/rules/window"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// View is what rules may know beyond the event: point reads of what earlier items left. A nil View knows nothing, and
// NoView helps to answer only some of the questions.
type View interface {
	// Previous returns the last decision on the item, or nil.
	Previous() *Decision
	// Corrections returns the human layer of the item's labels. It is applied again after the relabels of a group, so
	// that no rule overrides a person.
	Corrections() []feedback.Change
	// Counted returns what the item has added to windows so far. It does not count twice.
	Counted() []Count
	// Window returns the observations of a window under a key, or nil when there are none. They are only read.
	Window(id, key string) *window.Ring
	// Throttled returns the latest firings of a throttled rule under a key, the oldest first.
	Throttled(rule, key string) []Firing
	// Turn returns how many owners were taken from a pool in turn.
	Turn(pool string) int
	// Load returns the number of open cases of an owner.
	Load(owner string) int
}

// NoView is a View that knows nothing.
type NoView struct{}

var _ View = NoView{}

// Previous returns nil.
func (NoView) Previous() *Decision { return nil }

// Corrections returns nil.
func (NoView) Corrections() []feedback.Change { return nil }

// Counted returns nil.
func (NoView) Counted() []Count { return nil }

// Window returns nil.
func (NoView) Window(string, string) *window.Ring { return nil }

// Throttled returns nil.
func (NoView) Throttled(string, string) []Firing { return nil }

// Turn returns 0.
func (NoView) Turn(string) int { return 0 }

// Load returns 0.
func (NoView) Load(string) int { return 0 }

// Count is what one item adds to one window. It is kept with the item, so that exactly this can be taken back.
type Count struct {
	Window string        `json:"w"` // WindowInfo.ID
	Key    string        `json:"k,omitempty"`
	At     feedback.Time `json:"at"`
	window.Observation
}

// Firing is one time that a throttled rule fired.
type Firing struct {
	At   feedback.Time   `json:"at"`
	Item feedback.ItemID `json:"item,omitempty"`
}

// Memory is a View that takes note: what Decide changes.
type Memory interface {
	View
	// Ring returns the observations of a window under a key to be changed, and makes them when there are none.
	Ring(w *WindowInfo, key string) *window.Ring
	// SetThrottled replaces the latest firings of a throttled rule under a key.
	SetThrottled(rule, key string, firings []Firing)
	// SetTurn replaces how many owners were taken from a pool in turn.
	SetTurn(pool string, n int)
}
