// Package records says what the store remembers of a feedback program: the records, their keys, and the reads over
// them. It holds no logic of its own and takes no decision.
//
// A record's JSON members may be added to; they are never renamed, and never change their meaning. The store keeps
// members that this version does not know.
//
//	err := st.View(func(s *store.Snapshot) error {
//		it, err := store.Load[records.Item](s, records.ItemKey(id))
//		...
//	})
package records

import (
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Item is an item with what the engine knows of it.
type Item struct {
	Feedback  feedback.Item `json:"item"`
	Revision  int           `json:"revision"`            // 1 at first
	Decisions int           `json:"decisions,omitempty"` // number of decisions taken; the latest has this number
	Queue     string        `json:"queue,omitempty"`
	Owner     string        `json:"owner,omitempty"`
	Priority  string        `json:"priority,omitempty"`
	Severity  string        `json:"severity,omitempty"`
	Tags      []string      `json:"tags,omitempty"`
	Case      string        `json:"case,omitempty"`   // the latest case opened for it
	Linked    string        `json:"linked,omitempty"` // the case of its customer that it was linked to when it came
	// Waiting lists the categorizers that could not be asked when the item was committed.
	Waiting []string `json:"waiting,omitempty"`
	// Review marks an item whose human correction was made for an earlier revision.
	Review bool `json:"review,omitempty"`
	// Origin is the batch that created the item, when its latest revision is of another.
	Origin  string        `json:"origin,omitempty"`
	Counted Contribution  `json:"counted"`
	Windows []WindowCount `json:"windows,omitempty"` // what it added to the windows of rules
}

// Identity is where an item of a source is found again, and what was accepted of it.
type Identity struct {
	ID      feedback.ItemID `json:"id"`
	Version int64           `json:"version"` // of the latest accepted revision
	Hashes  []Hash          `json:"hashes"`  // of the content of every accepted revision
}

// Hash is the beginning of the SHA-256 of an item's content.
type Hash [16]byte

// MarshalText writes the hash in hexadecimal.
func (h Hash) MarshalText() ([]byte, error) { return appendHex(nil, h[:]), nil }

// Ordinal counts the identical rows without an id that an import has brought so far.
type Ordinal struct {
	Batch string `json:"batch"`
	Seen  int    `json:"seen"`
}

// Labels are the label changes that hold for an item, in all layers. Their fold is what the item means.
type Labels struct {
	Version int               `json:"version"` // counts every change
	Changes []feedback.Change `json:"changes,omitempty"`
}

// Layer returns the changes of one layer, in their order.
func (l *Labels) Layer(layer feedback.Layer) []feedback.Change {
	var out []feedback.Change
	for _, c := range l.Changes {
		if c.By.Layer == layer {
			out = append(out, c)
		}
	}
	return out
}

// Effect is one effect of a decision that was acted on. It is never acted on again.
type Effect struct {
	Key      string        `json:"key"` // rule, kind and target
	Rule     string        `json:"rule"`
	Kind     string        `json:"kind"`
	At       feedback.Time `json:"at"`
	Decision int           `json:"decision"`
	// Lapsed is when a later decision no longer asked for it. It is zero again when one does.
	Lapsed feedback.Time `json:"lapsed,omitzero"`
}

// Effects are the effects acted on for one item.
type Effects struct {
	Done []Effect `json:"done"`
}

// Import counts what one batch of one source brought.
type Import struct {
	Source  string        `json:"source"`
	Batch   string        `json:"batch"`
	FirstAt feedback.Time `json:"first_at"`
	LastAt  feedback.Time `json:"last_at"`
	feedback.Counts
	Notices map[string]int `json:"notices,omitempty"` // by text
}

// maxNotices bounds the different notices of one import.
const maxNotices = 32

// Notice counts a notice n times. Beyond 32 different ones the rest count together.
func (i *Import) Notice(text string, n int) {
	if i.Notices == nil {
		i.Notices = map[string]int{}
	}
	if _, known := i.Notices[text]; !known && len(i.Notices) >= maxNotices {
		text = "more notices"
	}
	i.Notices[text] += n
}

// Part says how much of a chunk that was too large for one update is durable.
type Part struct {
	Chunk Hash `json:"chunk"`
	Done  int  `json:"done"` // rows from its beginning
}

// Reader reads single records: a store.Tx or a store.Snapshot.
type Reader = store.Reader

// Add adds the counts of the other import and widens the span of time.
func (i *Import) Add(o *Import) {
	if i.FirstAt == 0 || o.FirstAt != 0 && o.FirstAt < i.FirstAt {
		i.FirstAt = o.FirstAt
	}
	i.LastAt = max(i.LastAt, o.LastAt)
	i.Counts.Add(o.Counts)
	for text, n := range o.Notices {
		i.Notice(text, n)
	}
}
