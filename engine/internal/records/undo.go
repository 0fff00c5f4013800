package records

import (
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Undo is the taking back of an import, while it goes on.
type Undo struct {
	Source string          `json:"source"`
	Batch  string          `json:"batch"`
	At     feedback.Time   `json:"at"` // when it began
	Who    string          `json:"who"`
	Why    string          `json:"why"`
	After  feedback.ItemID `json:"after,omitempty"` // the last item that was looked at
	Done   Undone          `json:"done"`
}

// Undone counts what taking an import back led to, and names some of it.
type Undone struct {
	Items   int `json:"items"`   // that the import created, and are not there any more
	Rejects int `json:"rejects"` // rows and items that were held back, and are forgotten
	Cases   int `json:"cases"`   // that are not there any more
	Closed  int `json:"closed"`  // cases that stay, closed, because people have acted on them
	Unsent  int `json:"unsent"`  // messages that waited and are not sent
	Sent    int `json:"sent"`    // messages that have left
	Revised int `json:"revised"` // items of other imports that stay as this one revised them
	Shared  int `json:"shared"`  // items that stay because a later import brought them too
	Held    int `json:"held"`    // items that stay because of a hold

	ClosedCases  []feedback.CaseID   `json:"closed_cases,omitempty"`
	SentMessages []feedback.Delivery `json:"sent_messages,omitempty"` // their item, destination and time
	RevisedItems []feedback.ItemID   `json:"revised_items,omitempty"`
	SharedItems  []feedback.ItemID   `json:"shared_items,omitempty"`
	HeldItems    []feedback.ItemID   `json:"held_items,omitempty"`
}

// mostNamed bounds each list of an Undone.
const mostNamed = 100

// Name appends to a list of an Undone, as far as there is room.
func Name[T any](list []T, more ...T) []T {
	return append(list, more[:min(len(more), max(mostNamed-len(list), 0))]...)
}

const undos = "undo"

// UndoKey is the key of an Undo.
func UndoKey(source, batch string) []byte {
	return store.NewKey('m').Str(undos).Str(source).Str(batch).Bytes()
}

// Undos returns what is being taken back.
func Undos(s *store.Snapshot) (out []Undo, err error) {
	err = Each(s, store.NewKey('m').Str(undos).Bytes(), nil, false, func(u *Undo) (bool, error) {
		out = append(out, *u)
		return true, nil
	})
	return out, err
}

// BatchOf says which imports brought an item.
type BatchOf struct{ Source, Created, Latest string }

// Batches returns which imports brought an item.
func (i *Item) Batches() BatchOf {
	b := BatchOf{Source: i.Feedback.Source, Created: i.Origin, Latest: i.Feedback.Batch}
	if b.Created == "" {
		b.Created = b.Latest
	}
	return b
}
