package records

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

func appendHex(dst, b []byte) []byte { return hex.AppendEncode(dst, b) }

// UnmarshalText reads what MarshalText writes.
func (h *Hash) UnmarshalText(b []byte) error {
	if len(b) != 2*len(h) {
		return fmt.Errorf("hash: found %d characters, expected %d", len(b), 2*len(h))
	}
	_, err := hex.Decode(h[:], b)
	return err
}

// The second field of keys that share a keyspace.
const (
	byQueue    = "queue"
	byCustomer = "customer"
	byWaiting  = "waiting"
	byCase     = "case"
	imports    = "import"
	sequences  = "sequence"
	parts      = "part"
)

// ItemKey is the key of an Item.
func ItemKey(id feedback.ItemID) []byte { return store.NewKey('f').Str(string(id)).Bytes() }

// ItemsPrefix is the prefix of the keys of all Items.
func ItemsPrefix() []byte { return store.NewKey('f').Bytes() }

// IdentityKey is the key of an Identity.
func IdentityKey(source, externalID string) []byte {
	return store.NewKey('d').Str(source).Str(externalID).Bytes()
}

// OrdinalKey is the key of an Ordinal: beside the identities that it counts, whose external id is never empty.
func OrdinalKey(source string, content Hash) []byte {
	return store.NewKey('d').Str(source).Str("").Str(string(content[:])).Bytes()
}

// LabelsKey is the key of the Labels that hold for an item.
func LabelsKey(id feedback.ItemID) []byte { return store.NewKey('l').Str(string(id)).Bytes() }

// LabelHistoryKey is the key of a feedback.Change that no longer holds, by the version that ended it and its number.
func LabelHistoryKey(id feedback.ItemID, version, n int) []byte {
	return store.NewKey('L').Str(string(id)).Uint64(uint64(version)).Uint64(uint64(n)).Bytes()
}

// LabelHistoryPrefix is the prefix of the keys of an item's label changes that no longer hold.
func LabelHistoryPrefix(id feedback.ItemID) []byte { return store.NewKey('L').Str(string(id)).Bytes() }

// DecisionKey is the key of an item's n-th decision, from 1.
func DecisionKey(id feedback.ItemID, n int) []byte {
	return store.NewKey('r').Str(string(id)).Uint64(uint64(n)).Bytes()
}

// EffectsKey is the key of an item's Effects.
func EffectsKey(id feedback.ItemID) []byte { return store.NewKey('e').Str(string(id)).Bytes() }

// CaseKey is the key of a feedback.Case.
func CaseKey(id feedback.CaseID) []byte { return store.NewKey('k').Str(string(id)).Bytes() }

// AlertKey is the key of a rules.AlertState.
func AlertKey(rule, key string) []byte { return store.NewKey('a').Str(rule).Str(key).Bytes() }

// DeliveryKey is the key of a feedback.Delivery; deliveries of one destination sort in their order.
func DeliveryKey(destination string, sequence uint64) []byte {
	return store.NewKey('o').Str(destination).Uint64(sequence).Bytes()
}

// DeadLetterKey is the key of a feedback.DeadLetter.
func DeadLetterKey(id string) []byte { return store.NewKey('x').Str(id).Bytes() }

// CheckpointKey is the key of a source's checkpoint, which is opaque.
func CheckpointKey(source string) []byte { return store.NewKey('p').Str(source).Bytes() }

// PartKey is the key of a source's Part, while there is one.
func PartKey(source string) []byte { return store.NewKey('m').Str(parts).Str(source).Bytes() }

// RulesetKey is the key of the files of a ruleset, by its hash.
func RulesetKey(hash string) []byte { return store.NewKey('v').Str(hash).Bytes() }

// ImportKey is the key of an Import.
func ImportKey(source, batch string) []byte {
	return store.NewKey('m').Str(imports).Str(source).Str(batch).Bytes()
}

// SequenceKey is the key of the last sequence number of a destination.
func SequenceKey(destination string) []byte {
	return store.NewKey('m').Str(sequences).Str(destination).Bytes()
}

// WaitingKey indexes the items that wait for a categorizer.
func WaitingKey(categorizer string, id feedback.ItemID) []byte {
	return store.NewKey('i').Str(byWaiting).Str(categorizer).Str(string(id)).Bytes()
}

// QueueKey indexes the items of a queue.
func QueueKey(queue string, id feedback.ItemID) []byte {
	return store.NewKey('i').Str(byQueue).Str(queue).Str(string(id)).Bytes()
}

// CustomerKey indexes the items of a customer.
func CustomerKey(customer string, id feedback.ItemID) []byte {
	return store.NewKey('i').Str(byCustomer).Str(customer).Str(string(id)).Bytes()
}

// IsOfCustomers reports whether an index, named by the second field of its keys, has a customer's id in the third.
func IsOfCustomers(index string) bool { return index == byCustomer || index == byCustomerCase }

// CaseStatusKey indexes the cases of a status.
func CaseStatusKey(status feedback.CaseStatus, id feedback.CaseID) []byte {
	return store.NewKey('i').Str(byCase).Str(string(status)).Str(string(id)).Bytes()
}

// DeadLetterID returns the id of a dead letter: the same for the same row of the same import that fails in the same way.
func DeadLetterID(source, batch, position, code string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{source, batch, position, code}, "\x00")))
	return "x_" + hex.EncodeToString(sum[:10])
}

// DeliveryPrefix is the prefix of the keys of a destination's deliveries.
func DeliveryPrefix(destination string) []byte { return store.NewKey('o').Str(destination).Bytes() }

// DeliveriesPrefix is the prefix of the keys of all deliveries.
func DeliveriesPrefix() []byte { return store.NewKey('o').Bytes() }

// DecisionPrefix is the prefix of the keys of an item's decisions.
func DecisionPrefix(id feedback.ItemID) []byte { return store.NewKey('r').Str(string(id)).Bytes() }

// CasePrefix is the prefix of the keys of all cases.
func CasePrefix() []byte { return store.NewKey('k').Bytes() }

// AlertPrefix is the prefix of the keys of all alerts.
func AlertPrefix() []byte { return store.NewKey('a').Bytes() }

// DeadLetterPrefix is the prefix of the keys of all dead letters.
func DeadLetterPrefix() []byte { return store.NewKey('x').Bytes() }

// ImportPrefix is the prefix of the keys of all imports.
func ImportPrefix() []byte { return store.NewKey('m').Str(imports).Bytes() }

// SpaceName returns what a keyspace holds, in the plural, or the byte itself of one that this version does not know.
func SpaceName(space byte) string {
	names := map[byte]string{
		0: "own records", store.KeyItem: "items", store.KeySeen: "identities", store.KeyCustomer: "customers", store.KeyIndex: "index entries",
		store.KeyLabels: "labels", store.KeyLabelHistory: "label changes", store.KeyDecision: "decisions", store.KeyEffect: "effects",
		store.KeyCase: "cases", store.KeyTimer: "timers", store.KeyOutbox: "deliveries", store.KeyDead: "dead letters",
		store.KeyAlert: "alerts", store.KeySilence: "alert groups", store.KeyWindow: "window buckets", store.KeyThrottle: "throttles",
		store.KeyCheckpoint: "checkpoints", store.KeyRollup: "rollups", store.KeyPlugin: "plugin pairs", store.KeyRuleset: "rulesets",
		store.KeyMeta: "meta", store.KeyAudit: "audit entries",
	}
	if name, ok := names[space]; ok {
		return name
	}
	return fmt.Sprintf("unknown %q", space)
}
