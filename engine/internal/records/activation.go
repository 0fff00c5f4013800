package records

import (
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

const activations = "activation"

// ActivationKey is the key of an entry in the history of rules, from 1.
func ActivationKey(n int) []byte {
	return store.NewKey(store.KeyMeta).Str(activations).Uint64(uint64(n)).Bytes()
}

// ActivationPrefix is the prefix of the keys of the history of rules.
func ActivationPrefix() []byte { return store.NewKey(store.KeyMeta).Str(activations).Bytes() }

// ActiveKey is the key of the entry that holds.
func ActiveKey() []byte { return store.NewKey(store.KeyMeta).Str("active").Bytes() }

// ScanDecisions calls yield with the stored decisions about the items of the feedback since then, each item's in their
// order, until yield returns false. The decision is valid during the call only.
func ScanDecisions(s *store.Snapshot, since feedback.Time, yield func(item string, decision []byte) (bool, error)) error {
	from := DecisionPrefix(feedback.NewItemID(since, "", "")[:idTime])
	return s.Scan(store.NewKey(store.KeyDecision).Bytes(), from, false, func(key, payload []byte) (bool, error) {
		item, err := lastString(key, 1)
		if err != nil {
			return false, err
		}
		return yield(item, payload)
	})
}

// LaddersKey is the key of what rules.Set.Ladders says of the set by which the timers of open cases are set.
func LaddersKey() []byte { return store.NewKey(store.KeyMeta).Str("ladders").Bytes() }
