package records

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Erasure is that a person was erased: who asked for it, what went, what is left. It does not tell who the person was.
type Erasure struct {
	N      int           `json:"n"` // from 1
	At     feedback.Time `json:"at"`
	DoneAt feedback.Time `json:"done_at,omitzero"` // zero while it goes on
	Who    string        `json:"who"`
	Why    string        `json:"why"`
	Gone   Gone          `json:"gone"`
	// Sent are the destinations that messages about the person had left for.
	Sent []SentTo `json:"sent,omitempty"`
	// PairsLeft are the pairs of plugins that mention the person in a value, which only the plugin can read.
	PairsLeft int `json:"pairs_left,omitempty"`
}

// Gone counts what an erasure took out.
type Gone struct {
	Items       int `json:"items"`
	Cases       int `json:"cases"`
	Messages    int `json:"messages"` // that waited
	DeadLetters int `json:"dead_letters"`
	Alerts      int `json:"alerts"` // with the groups and digests that told of them
	Windows     int `json:"windows"`
	Throttles   int `json:"throttles"`
	Timers      int `json:"timers"`
	Pairs       int `json:"pairs"`   // of plugins
	Entries     int `json:"entries"` // of the audit log, whose content is gone
	Notices     int `json:"notices"` // of imports
}

// SentTo says what has left for a destination, as far as it is known.
type SentTo struct {
	Destination string        `json:"destination"`
	Messages    int           `json:"messages"`
	LastAt      feedback.Time `json:"last_at"` // when the last of them was made
}

// AddSent counts a message that has left.
func (e *Erasure) AddSent(destination string, at feedback.Time) {
	for i := range e.Sent {
		if s := &e.Sent[i]; s.Destination == destination {
			s.Messages++
			s.LastAt = max(s.LastAt, at)
			return
		}
	}
	e.Sent = append(e.Sent, SentTo{destination, 1, at})
}

// Person is whom an erasure is about. It is kept until the erasure is whole.
type Person struct {
	Customer string   `json:"customer"`
	Emails   []string `json:"emails,omitempty"` // as they were given
}

// Tombstone is in the place of an item that was erased, or of a customer.
type Tombstone struct {
	At feedback.Time `json:"at"`
}

// Hold keeps what there is of a customer, or of a source, from being erased, from retention and from the undo of an import.
type Hold struct {
	Customer string        `json:"customer,omitempty"`
	Source   string        `json:"source,omitempty"`
	Why      string        `json:"why"`
	By       string        `json:"by"`
	At       feedback.Time `json:"at"`
}

// The second field of keys of customers.
const (
	tombs     = "tomb"
	tombKey   = "key"
	erasures  = "erasure"
	persons   = "person"
	marks     = "mark"
	holdsOf   = "hold"
	heldParts = "heldsource"
)

func customerKey(second string) store.Key { return store.NewKey(store.KeyCustomer).Str(second) }

// Tombs makes the keys of tombstones. They tell nothing of what they stand for to anybody who cannot guess it and does
// not have the store's secret.
type Tombs struct{ secret []byte }

// TombsOf returns what makes the store's keys, or nil when nothing was ever erased.
func TombsOf(r Reader) (*Tombs, error) {
	secret, err := r.Get(TombSecretKey())
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return NewTombs(secret), nil
}

// NewTombs returns what makes keys with a secret.
func NewTombs(secret []byte) *Tombs { return &Tombs{secret} }

// TombSecretKey is the key of the secret of tombstones, which is of 32 random bytes.
func TombSecretKey() []byte { return customerKey(tombKey).Bytes() }

// Item is the key of the Tombstone of an item.
func (t *Tombs) Item(source, externalID string) []byte { return t.key("item", source, externalID) }

// Customer is the key of the Tombstone of a customer.
func (t *Tombs) Customer(id string) []byte { return t.key("customer", id) }

// Email is the key of the Tombstone of an e-mail address.
func (t *Tombs) Email(address string) []byte { return t.key("email", strings.ToLower(address)) }

func (t *Tombs) key(fields ...string) []byte {
	k := store.NewKey(0)
	for _, f := range fields {
		k = k.Str(f)
	}
	mac := hmac.New(sha256.New, t.secret)
	mac.Write(k.Bytes())
	return customerKey(tombs).Str(hex.EncodeToString(mac.Sum(nil)[:20])).Bytes()
}

// ErasureKey is the key of an Erasure.
func ErasureKey(n int) []byte { return customerKey(erasures).Uint64(uint64(n)).Bytes() }

// ErasurePrefix is the prefix of the keys of all Erasures.
func ErasurePrefix() []byte { return customerKey(erasures).Bytes() }

// PersonKey is the key of the Person of an erasure that goes on.
func PersonKey(n int) []byte { return customerKey(persons).Uint64(uint64(n)).Bytes() }

// PersonPrefix is the prefix of the keys of all Persons.
func PersonPrefix() []byte { return customerKey(persons).Bytes() }

// PersonOf returns the number of the erasure in a PersonKey.
func PersonOf(key []byte) (int, error) {
	r := store.ReadKey(key)
	_ = r.Str()
	n := r.Uint64()
	return int(n), r.Err()
}

// MarkKey notes that an erasure took out the item or the case of that id.
func MarkKey(n int, id string) []byte { return customerKey(marks).Uint64(uint64(n)).Str(id).Bytes() }

// MarkPrefix is the prefix of the keys of an erasure's marks.
func MarkPrefix(n int) []byte { return customerKey(marks).Uint64(uint64(n)).Bytes() }

// MarkOf returns the id in a MarkKey.
func MarkOf(key []byte) (string, error) {
	r := store.ReadKey(key)
	_, _ = r.Str(), r.Uint64()
	id := r.Str()
	return id, r.Err()
}

// HoldKey is the key of a Hold. An e-mail address is held however it is written.
func HoldKey(h *Hold) []byte {
	if strings.Contains(h.Customer, "@") {
		return customerKey(holdsOf).Str(strings.ToLower(h.Customer)).Bytes()
	}
	if h.Customer != "" {
		return customerKey(holdsOf).Str(h.Customer).Bytes()
	}
	return customerKey(heldParts).Str(h.Source).Bytes()
}

// Holds returns what is held: customers first.
func Holds(s *store.Snapshot) (out []Hold, err error) {
	for _, second := range [...]string{holdsOf, heldParts} {
		if err == nil {
			err = Each(s, customerKey(second).Bytes(), nil, false, func(h *Hold) (bool, error) {
				out = append(out, *h)
				return true, nil
			})
		}
	}
	return out, err
}

// HeldBy returns the hold on a customer or a source, either of which may be empty, or nil.
func HeldBy(r Reader, customer, source string) (*Hold, error) {
	for _, h := range [...]Hold{{Customer: customer}, {Source: source}} {
		if h.Customer == "" && h.Source == "" {
			continue
		}
		found, err := store.Load[Hold](r, HoldKey(&h))
		if err == nil || !errors.Is(err, store.ErrNotFound) {
			return found, err
		}
	}
	return nil, nil
}

// HeldItem returns the hold on an item: on its customer's id or e-mail address, or on its source; or nil.
func HeldItem(r Reader, it *feedback.Item) (*Hold, error) {
	held, err := HeldBy(r, it.Customer.ID, it.Source)
	if held == nil && err == nil {
		held, err = HeldBy(r, it.Customer.Email, "")
	}
	return held, err
}

// StayedKey is the key of how many items are gone whose part in the sums stays, in decimal.
func StayedKey() []byte { return store.NewKey(store.KeyMeta).Str("stayed").Bytes() }

// RetentionKey is the key of the instant for which the timer of retention is set, in decimal milliseconds.
func RetentionKey() []byte { return store.NewKey(store.KeyMeta).Str("retention").Bytes() }
