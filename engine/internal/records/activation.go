package records

import "github.com/closedloop/closedloop/engine/internal/store"

const activations = "activation"

// ActivationKey is the key of an entry in the history of rules, from 1.
func ActivationKey(n int) []byte {
	return store.NewKey(store.KeyMeta).Str(activations).Uint64(uint64(n)).Bytes()
}

// ActivationPrefix is the prefix of the keys of the history of rules.
func ActivationPrefix() []byte { return store.NewKey(store.KeyMeta).Str(activations).Bytes() }

// ActiveKey is the key of the entry that holds.
func ActiveKey() []byte { return store.NewKey(store.KeyMeta).Str("active").Bytes() }
