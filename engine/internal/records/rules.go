package records

import (
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/alert"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// WindowCount is what an item added to a window of one generation.
type WindowCount struct {
	rules.Count
	Generation int `json:"g,omitempty"`
}

// Window says how far a window is kept. A window that is not filled lacks items of the past.
type Window struct {
	// Generation tells apart what was counted since the window was last begun anew.
	Generation int           `json:"generation"`
	Filled     bool          `json:"filled,omitempty"`
	Since      feedback.Time `json:"since"` // when this generation began
}

// Throttled are the latest firings of a throttled rule under one key.
type Throttled struct {
	Firings []rules.Firing `json:"firings"`
}

// AlertGroup is the state of what is told together of the alerts of a rule.
type AlertGroup struct {
	Rule  string      `json:"rule"`
	Key   string      `json:"key,omitempty"`
	State alert.Group `json:"state"`
}

// Digest is what is collected of a rule's messages for a destination.
type Digest struct {
	Rule        string       `json:"rule"`
	Destination string       `json:"destination"`
	State       alert.Digest `json:"state"`
}

// Keys are the keys of the alerts of a rule that fire.
type Keys struct {
	Keys []string `json:"keys"`
}

// Silences are all the silences that were not forgotten.
type Silences struct {
	Silences []alert.Silence `json:"silences"`
}

// The second field of the keys of what rules remember.
const (
	byWindow   = "window"
	byTurn     = "turn"
	byLoad     = "load"
	byFiring   = "firing"
	byWake     = "wake"
	byGroup    = "group"
	byDigest   = "digest"
	bySilences = "silences"
)

// What is told together, by the second field of its keys.
const (
	BoardFiring   = byFiring
	BoardGroups   = byGroup
	BoardDigests  = byDigest
	BoardSilences = bySilences
	BoardWakes    = byWake
)

// WindowKey is the key of a Window.
func WindowKey(id string) []byte { return store.NewKey(store.KeyMeta).Str(byWindow).Str(id).Bytes() }

// WindowPrefix is the prefix of the keys of all Windows.
func WindowPrefix() []byte { return store.NewKey(store.KeyMeta).Str(byWindow).Bytes() }

// WindowOf returns the ID in a WindowKey.
func WindowOf(key []byte) (string, error) { return lastString(key, 2) }

// RingKey is the key of the observations of a window, in the encoding of window.Ring.
func RingKey(id string, generation int, key string) []byte {
	return ringKey(id, generation).Str(key).Bytes()
}

// RingPrefix is the prefix of the keys of all observations of one generation of a window.
func RingPrefix(id string, generation int) []byte { return ringKey(id, generation).Bytes() }

// RingsPrefix is the prefix of the keys of all observations of a window.
func RingsPrefix(id string) []byte { return store.NewKey(store.KeyWindow).Str(id).Bytes() }

func ringKey(id string, generation int) store.Key {
	return store.NewKey(store.KeyWindow).Str(id).Uint64(uint64(generation))
}

// RingOf returns the last field of a RingKey.
func RingOf(key []byte) (string, error) {
	r := store.ReadKey(key)
	_, _ = r.Str(), r.Uint64()
	k := r.Str()
	return k, r.Err()
}

// ThrottleKey is the key of a Throttled.
func ThrottleKey(rule, key string) []byte {
	return store.NewKey(store.KeyThrottle).Str(rule).Str(key).Bytes()
}

// TurnKey is the key of how many owners were taken from a pool, in decimal.
func TurnKey(pool string) []byte { return store.NewKey(store.KeyMeta).Str(byTurn).Str(pool).Bytes() }

// LoadKey is the key of the number of open cases of an owner, in decimal.
func LoadKey(owner string) []byte { return store.NewKey(store.KeyMeta).Str(byLoad).Str(owner).Bytes() }

// FiringKey is the key of the Keys of a rule's alerts that fire.
func FiringKey(rule string) []byte {
	return store.NewKey(store.KeySilence).Str(byFiring).Str(rule).Bytes()
}

// GroupKey is the key of an AlertGroup.
func GroupKey(rule, group string) []byte {
	return store.NewKey(store.KeySilence).Str(byGroup).Str(rule).Str(group).Bytes()
}

// GroupPrefix is the prefix of the keys of all AlertGroups.
func GroupPrefix() []byte { return store.NewKey(store.KeySilence).Str(byGroup).Bytes() }

// DigestKey is the key of a Digest.
func DigestKey(rule, destination string) []byte {
	return store.NewKey(store.KeySilence).Str(byDigest).Str(rule).Str(destination).Bytes()
}

// DigestPrefix is the prefix of the keys of all Digests.
func DigestPrefix() []byte { return store.NewKey(store.KeySilence).Str(byDigest).Bytes() }

// ThrottlePrefix is the prefix of the keys of all Throttleds.
func ThrottlePrefix() []byte { return store.NewKey(store.KeyThrottle).Bytes() }

// WakeKey is the key of the instant for which a timer is set, in decimal milliseconds.
func WakeKey(kind rules.WakeKind, rule, key string) []byte {
	return store.NewKey(store.KeySilence).Str(byWake).Str(string(kind)).Str(rule).Str(key).Bytes()
}

// SilencesKey is the key of the Silences.
func SilencesKey() []byte { return store.NewKey(store.KeySilence).Str(bySilences).Bytes() }

// AlertOf returns an alert as people see it.
func AlertOf(a *rules.AlertState) feedback.Alert {
	out := feedback.Alert{
		Rule: a.Rule, Key: a.Key, Severity: string(a.Severity), Summary: a.Summary, Status: string(a.State.Status),
		FirstAt: a.FirstAt, LastAt: a.LastAt, FiringAt: a.State.FiringAt, ResolvedAt: a.State.ResolvedAt,
		Count: a.Count, LastItem: a.LastItem, Shadow: a.Shadow,
	}
	if out.Status == "" {
		out.Status = a.State.Status.String()
	}
	return out
}
