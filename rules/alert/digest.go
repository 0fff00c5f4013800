package alert

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// MaxEntries is how many messages a digest holds in full; further ones are counted.
const MaxEntries = 50

// Rhythm says when a digest is sent.
type Rhythm struct {
	// Every is the time between two digests. Defaults to a day.
	Every time.Duration
	// Aligned says that digests are sent at fixed times by the clock on the wall: in steps of Every from each midnight,
	// or, when Every is a day or more, at midnight every so many whole days, at most 36,500, counted from a Monday.
	// Otherwise one is sent Every after its first message.
	Aligned bool
	// Offset moves the fixed times: with Every a day, eight hours make it eight in the morning. Defaults to 0.
	Offset time.Duration
	// Zone is where midnight is. Defaults to UTC.
	Zone *time.Location
}

// Entry is a message in a digest.
type Entry struct {
	At       feedback.Time `json:"at"`
	Rule     string        `json:"rule"`
	Item     string        `json:"item,omitempty"` // id of the item that it is about
	Severity string        `json:"severity,omitempty"`
	Text     string        `json:"text,omitempty"` // at most MaxText bytes
}

// MaxText is how many bytes of a message a digest keeps.
const MaxText = 1000

// Digest collects messages for one destination, to be sent together. The zero value is an empty digest. It is stored as
// JSON. When it is Idle it can be forgotten.
type Digest struct {
	// Entries are the first messages, at most MaxEntries, in the order in which they came.
	Entries []Entry `json:"entries,omitempty"`
	// Count is how many messages there are.
	Count int64 `json:"count,omitempty"`
	// FirstAt is when the first of them came.
	FirstAt feedback.Time `json:"first_at,omitzero"`
	// Sequence is the number of the last digest that was sent.
	Sequence int64 `json:"sequence,omitempty"`
	// DueAt is when the digest must be flushed; see Due.
	DueAt feedback.Time `json:"due_at,omitzero"`
}

// Collected is a digest that is sent.
type Collected struct {
	// Sequence numbers the digests of a destination like Notification.Sequence.
	Sequence int64         `json:"sequence"`
	At       feedback.Time `json:"at"`
	// Since is when the first message came.
	Since   feedback.Time `json:"since"`
	Entries []Entry       `json:"entries"`
	// Count is how many messages came, those that Entries holds no more room for included.
	Count int64 `json:"count"`
}

// Due returns the instant at which Flush must be called. False for an empty digest.
func (d *Digest) Due() (feedback.Time, bool) { return d.DueAt, d.DueAt != 0 }

// Idle reports whether the digest is empty, so that it can be forgotten.
func (d *Digest) Idle() bool { return d.Count == 0 }

// Add adds a message. What it is about must not have been added before: every call counts.
func (d *Digest) Add(e Entry, now feedback.Time, r Rhythm) {
	now = instant(now)
	if d.Count == 0 || now < d.FirstAt {
		d.FirstAt = now
		d.DueAt = r.next(now)
	}
	d.Count++
	if len(d.Entries) < MaxEntries {
		e.bound()
		d.Entries = append(d.Entries, e)
	}
}

// Drop takes messages out that should not have come, and returns how many. Those beyond MaxEntries cannot be told apart:
// they stay counted.
func (d *Digest) Drop(which func(Entry) bool) int {
	kept := slices.DeleteFunc(slices.Clone(d.Entries), which)
	n := len(d.Entries) - len(kept)
	d.Entries, d.Count = kept, d.Count-int64(n)
	if d.Count == 0 {
		d.FirstAt, d.DueAt = 0, 0
	}
	return n
}

// Flush returns what was collected when it is due, else nil. While the destination is muted it is put off to the end of
// that. The digest is empty afterwards, so store it together with what is sent.
func (d *Digest) Flush(now feedback.Time, r Rhythm, muted func(feedback.Time) (feedback.Time, bool)) (*Collected, Reason) {
	now = instant(now)
	if d.Count == 0 {
		d.DueAt = 0
		return nil, Nothing
	}
	if now < d.FirstAt { // the clock was set back
		d.FirstAt, d.DueAt = now, r.next(now)
	}
	if now < d.DueAt {
		return nil, Waiting
	}
	if muted != nil {
		if until, held := muted(now); held {
			d.DueAt = later(until, now, Pace{})
			return nil, Muted
		}
	}
	d.Sequence = sequence(d.Sequence, now)
	c := &Collected{Sequence: d.Sequence, At: now, Since: d.FirstAt, Entries: d.Entries, Count: d.Count}
	*d = Digest{Sequence: d.Sequence}
	return c, News
}

const (
	day = 24 * time.Hour
	// longest is the most time between digests that are sent at fixed times.
	longest = 36500 * day
)

// next returns the instant at which messages that begin to come now are sent. It is after now.
func (r Rhythm) next(now feedback.Time) feedback.Time {
	every := r.Every
	if every <= 0 {
		every = day
	}
	if !r.Aligned {
		return max(after(now, every), now+1)
	}
	days := 1
	every = min(every, longest)
	if every >= day {
		days = int((every + day - 1) / day)
		every = time.Duration(days) * day
	}
	every = max(every, time.Minute)
	zone := r.Zone
	if zone == nil {
		zone = time.UTC
	}
	t := now.Std().In(zone)
	offset := floorMod(r.Offset, every)
	// Days are counted from a Monday, and by the calendar: they may have 23 or 25 hours.
	since := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC).Sub(firstMonday)
	start := t.Day() - int(floorMod(since, time.Duration(days)*day)/day)
	for date := start - days; ; date += days {
		for step := offset; step < time.Duration(days)*day; step += every {
			at := time.Date(t.Year(), t.Month(), date, 0, 0, int(step/time.Second), 0, zone)
			if at.After(t) {
				return min(feedback.TimeOf(at), lastInstant)
			}
		}
	}
}

var firstMonday = time.Date(1970, 1, 5, 0, 0, 0, 0, time.UTC)

func floorMod(a, b time.Duration) time.Duration { return (a%b + b) % b }

// UnmarshalJSON reads what json.Marshal wrote. Entries beyond the bounds are left out; it returns an error that wraps
// ErrDamaged when members contradict each other.
func (d *Digest) UnmarshalJSON(b []byte) error {
	type plain Digest
	var in plain
	if err := json.Unmarshal(b, &in); err != nil {
		return fmt.Errorf("digest: %w: %w", ErrDamaged, err)
	}
	if in.Sequence < 0 || in.Count < int64(len(in.Entries)) || in.Count > 0 && (in.FirstAt <= 0 || in.DueAt <= 0) ||
		in.Count == 0 && (in.FirstAt != 0 || in.DueAt != 0) || max(in.FirstAt, in.DueAt) > lastInstant {
		return fmt.Errorf("digest: %w: found sequence %d, count %d with %d entries, first_at %q and due_at %q",
			ErrDamaged, in.Sequence, in.Count, len(in.Entries), in.FirstAt, in.DueAt)
	}
	if in.Entries = in.Entries[:min(len(in.Entries), MaxEntries)]; len(in.Entries) == 0 {
		in.Entries = nil
	}
	for i := range in.Entries {
		in.Entries[i].bound()
	}
	*d = Digest(in)
	return nil
}

// bound makes texts such as JSON gives them back, and cuts them.
func (e *Entry) bound() {
	e.At = storable(e.At)
	for _, s := range []*string{&e.Rule, &e.Item, &e.Severity} {
		*s = cut(strings.ToValidUTF8(*s, "\uFFFD"), maxHeld)
	}
	e.Text = cut(strings.ToValidUTF8(e.Text, "\uFFFD"), MaxText)
}
