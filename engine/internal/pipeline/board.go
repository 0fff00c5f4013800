package pipeline

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/closedloop/closedloop/engine/internal/records"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/alert"
	"github.com/closedloop/closedloop/rules/window"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// TimerWake is the kind of the timers of alerts, groups and digests. Their reference is made by wakeRef.
const TimerWake = "wake"

// board is where alerts stand in one update.
type board struct {
	alerts   map[rules.Instance]*rules.AlertState
	groups   map[rules.Instance]*records.AlertGroup
	digests  map[rules.Instance]*records.Digest
	firing   map[string]*records.Keys
	silences *records.Silences
}

// boardOf is the board of a writer.
type boardOf struct{ w *writer }

var _ rules.Board = boardOf{}

// Window returns the observations of a window under a key.
func (b boardOf) Window(id, key string) *window.Ring { return b.w.window(id, key) }

// get returns what is cached, or reads it.
func get[K comparable, T any](w *writer, cache *map[K]*T, k K, key func() []byte) *T {
	if v, ok := (*cache)[k]; ok {
		return v
	}
	if *cache == nil {
		*cache = map[K]*T{}
	}
	v := loadOr[T](w, key())
	(*cache)[k] = v
	return v
}

// Alert returns the alert of a rule and key.
func (b boardOf) Alert(rule, key string) *rules.AlertState {
	a := get(b.w, &b.w.memory.board.alerts, rules.Instance{Rule: rule, Key: key}, func() []byte { return records.AlertKey(rule, key) })
	a.Rule, a.Key = rule, key
	return a
}

// AlertGroup returns what is told together of the alerts of a rule.
func (b boardOf) AlertGroup(rule, group string) *alert.Group {
	g := get(b.w, &b.w.memory.board.groups, rules.Instance{Rule: rule, Key: group}, func() []byte { return records.GroupKey(rule, group) })
	g.Rule, g.Key = rule, group
	return &g.State
}

// Digest returns what is collected of a rule's messages for a destination.
func (b boardOf) Digest(rule, destination string) *alert.Digest {
	d := get(b.w, &b.w.memory.board.digests, rules.Instance{Rule: rule, Key: destination}, func() []byte { return records.DigestKey(rule, destination) })
	d.Rule, d.Destination = rule, destination
	return &d.State
}

// Firing returns the keys of the alerts of a rule that fire.
func (b boardOf) Firing(rule string) []string { return b.firing(rule).Keys }

func (b boardOf) firing(rule string) *records.Keys {
	return get(b.w, &b.w.memory.board.firing, rule, func() []byte { return records.FiringKey(rule) })
}

// Silences returns all silences.
func (b boardOf) Silences() []alert.Silence {
	if b.w.memory.board.silences == nil {
		b.w.memory.board.silences = loadOr[records.Silences](b.w, records.SilencesKey())
	}
	return b.w.memory.board.silences.Silences
}

// Wake sets a timer, unless an earlier one for the same is set.
func (b boardOf) Wake(at feedback.Time, kind rules.WakeKind, rule, key string) {
	w := b.w
	record := records.WakeKey(kind, rule, key)
	if set := feedback.Time(w.number(record)); set != 0 {
		if set <= at {
			return
		}
		w.tx.ClearTimer(set, TimerWake, wakeRef(kind, rule, key))
	}
	w.tx.SetTimer(at, TimerWake, wakeRef(kind, rule, key), nil)
	w.setNumber(record, int(at))
}

// wakeRef writes what a timer is about. The fields are quoted, so that any text may be in them.
func wakeRef(kind rules.WakeKind, rule, key string) string {
	return strconv.Quote(string(kind)) + strconv.Quote(rule) + strconv.Quote(key)
}

func parseWakeRef(ref string) (kind rules.WakeKind, rule, key string, err error) {
	var fields [3]string
	for i := range fields {
		quoted, err := strconv.QuotedPrefix(ref)
		if err != nil {
			return "", "", "", fmt.Errorf("timer %q: %w", ref, err)
		}
		if fields[i], err = strconv.Unquote(quoted); err != nil {
			return "", "", "", fmt.Errorf("timer %q: %w", ref, err)
		}
		ref = ref[len(quoted):]
	}
	return rules.WakeKind(fields[0]), fields[1], fields[2], nil
}

// Changed keeps the list of alerts that fire and tells the host.
func (b boardOf) Changed(a *rules.AlertState, change alert.Change) {
	keys := b.firing(a.Rule)
	fires := a.State.Status == alert.Firing && !a.Shadow
	switch at, found := slices.BinarySearch(keys.Keys, a.Key); {
	case fires && !found:
		keys.Keys = slices.Insert(keys.Keys, at, a.Key)
	case !fires && found:
		keys.Keys = slices.Delete(keys.Keys, at, at+1)
	}
	if change == alert.Fires {
		b.w.report.Alerts++
	}
	if change == alert.Fires || change == alert.Resolves {
		b.w.told.alert(records.AlertOf(a))
	}
}

// AlertMessage is the body of a delivery that tells of alerts, or of a digest.
type AlertMessage struct {
	Kind   string              `json:"kind"` // alert or digest
	Rule   string              `json:"rule"`
	Group  string              `json:"group,omitempty"`
	At     feedback.Time       `json:"at"`
	Text   string              `json:"text"`
	Alerts *alert.Notification `json:"alerts,omitempty"`
	Digest *alert.Collected    `json:"digest,omitempty"`
}

// Tell puts a notification into the outbox.
func (b boardOf) Tell(n rules.Notice) {
	w := b.w
	m := AlertMessage{Kind: "alert", Rule: n.Rule, Group: n.Group, At: w.at, Alerts: n.Alerts, Digest: n.Digest}
	if n.Digest != nil {
		m.Kind = "digest"
		m.Text = fmt.Sprintf("%s: %d since %s", n.Rule, n.Digest.Count, n.Digest.Since)
	} else {
		m.Text = textOf(n.Rule, n.Alerts)
	}
	body, err := json.Marshal(m)
	w.fail(err)
	sum := sha256.Sum256([]byte(strings.Join([]string{
		m.Kind, n.Rule, n.Group, n.Destination, strconv.FormatInt(n.Sequence(), 10),
	}, "\x00")))
	w.fail(w.send(feedback.Delivery{
		Key: "msg_" + hex.EncodeToString(sum[:16]), Destination: n.Destination, Kind: m.Kind, Body: body, CreatedAt: w.at,
		Subject: strings.Trim(n.Rule+"/"+n.Group, "/"),
	}))
}

// maxNamed is how many alerts the text of a notification names.
const maxNamed = 5

// textOf says in one line what a notification is about.
func textOf(rule string, n *alert.Notification) string {
	var parts []string
	for _, part := range [...]struct {
		n    int64
		what string
	}{{n.FiringCount, "firing"}, {n.ResolvedCount, "resolved"}, {n.PassedCount, "passed"}} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	text := rule + ": " + strings.Join(parts, ", ")
	var members []alert.Member
	for i := range n.Firing {
		members = append(members, n.Firing[i].Member)
	}
	members = append(append(members, n.Resolved...), n.Passed...)
	var about []string
	for _, m := range members[:min(len(members), maxNamed)] {
		if what := cmp.Or(m.Summary, rules.KeyText(m.Key)); what != "" {
			about = append(about, what)
		}
	}
	if len(about) > 0 {
		text += ": " + strings.Join(about, "; ")
	}
	if len(members) > maxNamed {
		text += "; ..."
	}
	return text
}

// write stores what has been looked at.
func (b *board) write(w *writer) error {
	for at, a := range b.alerts {
		untouched := a.State.Status == alert.Inactive && a.State.Firings == 0 && a.Count == 0
		if err := keep(w, records.AlertKey(at.Rule, at.Key), a, untouched); err != nil {
			return err
		}
	}
	for at, g := range b.groups {
		if err := keep(w, records.GroupKey(at.Rule, at.Key), g, g.State.Idle()); err != nil {
			return err
		}
	}
	for at, d := range b.digests {
		if err := keep(w, records.DigestKey(at.Rule, at.Key), d, d.State.Idle()); err != nil {
			return err
		}
	}
	for rule, k := range b.firing {
		if err := keep(w, records.FiringKey(rule), k, len(k.Keys) == 0); err != nil {
			return err
		}
	}
	return nil
}

// keep stores a record, or deletes it when it is idle.
func keep[T any](w *writer, key []byte, v *T, idle bool) error {
	if !idle {
		return store.Put(w.tx, key, v)
	}
	switch _, err := w.tx.Get(key); {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	w.tx.Delete(key)
	return nil
}

// wake acts on a timer of the kind TimerWake, within the update that takes it.
func (w *writer) wake(ref string) error {
	kind, rule, key, err := parseWakeRef(ref)
	if err != nil {
		return err
	}
	w.tx.Delete(records.WakeKey(kind, rule, key))
	w.rules.Wake(kind, rule, key, w.at, boardOf{w})
	return w.failed
}
