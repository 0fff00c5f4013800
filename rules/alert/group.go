package alert

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// The bounds of a group.
const (
	// MaxMembers is how many alerts a group follows; with long keys they are fewer. What fires beyond is counted in
	// Group.Overflow and told once, as a number, unless it takes the place of one that is less severe and not told yet.
	MaxMembers = 1000
	// MaxListed is how many alerts a notification lists of each kind.
	MaxListed = 100
	// MaxSummary is how many bytes of a summary are kept; a longer one is cut.
	MaxSummary = 300

	maxStored = 500 << 10 // bytes that the members may take as JSON
	maxHeld   = 100       // bytes of Followed.Held
	recheck   = time.Minute
)

// Pace says how often the people behind a destination are told of a group.
type Pace struct {
	// Wait is how long the first news of a group is held back for more to come. What is over by then is not told.
	// Defaults to 0, not at all.
	Wait time.Duration
	// Interval is the least time between two notifications of a group. Defaults to 0, none.
	Interval time.Duration
	// Repeat is after how long without a notification the alerts that still fire are told again. Defaults to 0, never.
	Repeat time.Duration
}

// DefaultPace returns the pace of a group that sets none: wait a minute, interval half an hour, repeat a day.
func DefaultPace() Pace {
	return Pace{Wait: time.Minute, Interval: 30 * time.Minute, Repeat: 24 * time.Hour}
}

// Member is an alert as a notification shows it. Rule and Key say which it is.
type Member struct {
	Rule string `json:"rule"`
	Key  string `json:"key,omitempty"`
	// Severity is info, warning, critical, or none, which ranks below info. Another counts as none.
	Severity string `json:"severity,omitempty"`
	Summary  string `json:"summary,omitempty"`
	// FiringAt is when the alert began to fire.
	FiringAt feedback.Time `json:"firing_at,omitzero"`
	// ResolvedAt is when it was over.
	ResolvedAt feedback.Time `json:"resolved_at,omitzero"`
	// Items is how many items have raised it, of an alert that items raise. More of them are no news by themselves.
	Items int64 `json:"items,omitempty"`
}

// Followed is a member of a group, with what the destination knows of it.
type Followed struct {
	Member
	// Firing says whether the alert fires now.
	Firing bool `json:"firing,omitempty"`
	// Told says whether the destination has been told that it fires, and not that it is over.
	Told bool `json:"told,omitempty"`
	// ToldSeverity is the highest severity that was told of this firing.
	ToldSeverity string `json:"told_severity,omitempty"`
	// NewsAt is since when there is something of it to tell.
	NewsAt feedback.Time `json:"news_at,omitzero"`
	// Owed says that it fired for the whole wait without being held back, so that it is told even if it is over before
	// the interval lets the group speak again.
	Owed bool `json:"owed,omitempty"`
	// Held says what keeps it from being told, such as "silence s_2c26b46b68ffc68f" or "rule shop-closed".
	Held string `json:"held,omitempty"`
}

// Group is what is told together to one destination. The zero value is an empty group. It is stored as JSON, in at most
// half a mebibyte. When it is Idle it can be forgotten.
type Group struct {
	// Members are the alerts that fire or of which something is still to tell, sorted by rule and key.
	Members []Followed `json:"members,omitempty"`
	// Overflow counts the firings that began while the group was full and that have not been told yet.
	Overflow int64 `json:"overflow,omitempty"`
	// LastSent is when the last notification was made.
	LastSent feedback.Time `json:"last_sent,omitzero"`
	// Sequence is the number of the last notification.
	Sequence int64 `json:"sequence,omitempty"`
	// Seen is the instant of the last call, by which a clock that was set back is noticed.
	Seen feedback.Time `json:"seen,omitzero"`
	// DueAt is when the group must be flushed; see Due.
	DueAt feedback.Time `json:"due_at,omitzero"`

	stored int // what the members take as JSON, at most
}

// Due returns the instant at which Flush must be called. False when nothing is to be done until the next Update.
func (g *Group) Due() (feedback.Time, bool) { return g.DueAt, g.DueAt != 0 }

// Idle reports whether the group can be forgotten: a new one would do just the same.
func (g *Group) Idle() bool { return len(g.Members) == 0 && g.Overflow == 0 && g.DueAt == 0 }

// Update tells the group that an alert fires, or that it does not any more, and how it is to be shown. It reports
// whether the group has changed and is to be stored. To do so twice is as good as once, except for what a full group
// merely counts.
func (g *Group) Update(m Member, firing bool, now feedback.Time, p Pace) bool {
	now = instant(now)
	m = m.bounded()
	changed := g.rewind(now)
	at, found := g.find(m.Rule, m.Key)
	switch {
	case found:
		changed = g.change(at, m, firing, now, p) || changed
	case firing:
		g.join(at, m, now, p)
		changed = true
	}
	if changed {
		g.Seen = now
	}
	return changed
}

func (g *Group) find(rule, key string) (int, bool) {
	return slices.BinarySearchFunc(g.Members, Member{Rule: rule, Key: key}, func(f Followed, m Member) int { return f.compare(m) })
}

// join adds an alert that has begun to fire. When the group is full it takes the place of those that are less severe.
func (g *Group) join(at int, m Member, now feedback.Time, p Pace) {
	m.ResolvedAt = 0
	size := sizeOf(m)
	g.look(after(now, p.Wait))
	for g.full(size) {
		g.Overflow++
		if !g.displace(m) {
			return
		}
		at, _ = g.find(m.Rule, m.Key)
	}
	g.Members = slices.Insert(g.Members, at, Followed{Member: m, Firing: true, NewsAt: now})
	g.stored += size
}

func (g *Group) full(size int) bool { return len(g.Members) >= MaxMembers || g.stored+size > maxStored }

// displace removes the last of the least severe members that have not been told, if it is less severe than m.
func (g *Group) displace(m Member) bool {
	least := -1
	for i := range g.Members {
		f := &g.Members[i]
		if !f.Told && f.Firing && (least < 0 || rank(f.Severity) <= rank(g.Members[least].Severity)) {
			least = i
		}
	}
	if least < 0 || rank(g.Members[least].Severity) >= rank(m.Severity) {
		return false
	}
	g.remove(least)
	return true
}

// change notes what has become of an alert that the group follows.
func (g *Group) change(at int, m Member, firing bool, now feedback.Time, p Pace) bool {
	f := &g.Members[at]
	old, news := *f, false
	if firing {
		m.ResolvedAt = 0
		if g.stored+sizeOf(m)-sizeOf(f.Member) > maxStored {
			m.Summary = ""
		}
		g.stored += sizeOf(m) - sizeOf(f.Member)
		f.Member, f.Firing = m, true
		switch {
		case f.Told && rank(m.Severity) <= rank(f.ToldSeverity):
			f.NewsAt = 0 // the destination knows it as it is
		case f.Told:
			news = f.NewsAt == 0
		}
	} else if f.Firing {
		f.Firing, f.ResolvedAt = false, m.ResolvedAt
		if f.ResolvedAt == 0 {
			f.ResolvedAt = now
		}
		if news = f.Told; !news && !f.Owed {
			g.remove(at)
			return true
		}
	}
	if news {
		f.NewsAt = now
		g.look(after(now, p.Wait))
	}
	return *f != old
}

func (g *Group) remove(at int) {
	g.stored -= sizeOf(g.Members[at].Member)
	if g.Members = slices.Delete(g.Members, at, at+1); len(g.Members) == 0 {
		g.Members = nil
	}
}

// look makes sure that the group is flushed at t or before.
func (g *Group) look(t feedback.Time) { g.DueAt = earlier(g.DueAt, t) }

// open returns the instant from which the interval allows another notification.
func (g *Group) open(p Pace) feedback.Time {
	if g.LastSent == 0 {
		return 0
	}
	return after(g.LastSent, p.Interval)
}

// rewind moves what lies in the future, because the clock was set back, to now, and has everything looked at again.
func (g *Group) rewind(now feedback.Time) bool {
	if now >= g.Seen {
		return false
	}
	g.Seen = now
	notBeyond(now, &g.LastSent)
	for i := range g.Members {
		f := &g.Members[i]
		notBeyond(now, &f.NewsAt, &f.FiringAt, &f.ResolvedAt)
	}
	if g.DueAt != 0 {
		g.DueAt = now
	}
	return true
}

// rank orders severities.
func rank(severity string) int {
	return slices.Index([]string{"info", "warning", "critical"}, severity)
}

// cut shortens a text to at most n bytes of valid UTF-8.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const ellipsis = "…"
	n -= len(ellipsis)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + ellipsis
}

// sizeOf returns at least as many bytes as a member takes in the JSON of a group.
func sizeOf(m Member) int {
	const besides = 380 // names, instants, severities, and what it is held by
	return besides + encoded(m.Rule) + encoded(m.Key) + encoded(m.Summary)
}

// encoded returns how many bytes encoding/json makes of a string, at most.
func encoded(s string) int {
	n := len(s)
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c == '<' || c == '>' || c == '&' || c >= 0x80:
			n += 5
		case c == '"' || c == '\\':
			n++
		}
	}
	return n
}

// UnmarshalJSON reads what json.Marshal wrote. Members in disorder are sorted, and those of which nothing is to tell
// are left out; it returns an error that wraps ErrDamaged when members contradict each other.
func (g *Group) UnmarshalJSON(b []byte) error {
	type plain Group
	var in plain
	if err := json.Unmarshal(b, &in); err != nil {
		return fmt.Errorf("alert group: %w: %w", ErrDamaged, err)
	}
	out := Group(in)
	if out.Overflow < 0 || out.Sequence < 0 || len(out.Members) > MaxMembers {
		return fmt.Errorf("alert group: %w: found overflow %d, sequence %d and %d members, expected none below 0 and at most %d members",
			ErrDamaged, out.Overflow, out.Sequence, len(out.Members), MaxMembers)
	}
	for _, at := range []*feedback.Time{&out.LastSent, &out.Seen, &out.DueAt} {
		*at = storable(*at)
	}
	out.Seen = max(out.Seen, out.LastSent)
	out.Members = slices.DeleteFunc(out.Members, func(f Followed) bool { return !f.matters() })
	slices.SortFunc(out.Members, func(a, b Followed) int { return a.compare(b.Member) })
	news := out.Overflow > 0
	for i := range out.Members {
		f := &out.Members[i]
		if i > 0 && f.compare(out.Members[i-1].Member) == 0 {
			return fmt.Errorf("alert group: %w: found rule %.60q with key %.60q twice", ErrDamaged, f.Rule, f.Key)
		}
		f.repair(max(out.Seen, 1))
		out.Seen = max(out.Seen, f.NewsAt)
		out.stored += sizeOf(f.Member)
		news = news || f.NewsAt != 0
	}
	if news && out.DueAt == 0 {
		out.DueAt = max(out.Seen, 1)
	}
	if len(out.Members) == 0 {
		out.Members = nil
	}
	*g = out
	return nil
}

// compare orders members by rule and key.
func (m Member) compare(o Member) int {
	return cmp.Or(cmp.Compare(m.Rule, o.Rule), cmp.Compare(m.Key, o.Key))
}

// bounded returns the member as it is kept: texts as JSON gives them back, the summary cut.
func (m Member) bounded() Member {
	for _, s := range []*string{&m.Rule, &m.Key, &m.Summary} {
		*s = strings.ToValidUTF8(*s, "\uFFFD")
	}
	if rank(m.Severity) < 0 {
		m.Severity = ""
	}
	m.Summary = cut(m.Summary, MaxSummary)
	return m
}

// repair makes sure that what is to tell of a member is told, and bounds what is kept of it.
func (f *Followed) repair(seen feedback.Time) {
	f.Member = f.bounded()
	for _, at := range []*feedback.Time{&f.FiringAt, &f.ResolvedAt, &f.NewsAt} {
		*at = storable(*at)
	}
	f.Held = cut(strings.ToValidUTF8(f.Held, "\uFFFD"), maxHeld)
	f.ToldSeverity = Member{Severity: f.ToldSeverity}.bounded().Severity
	f.Owed = f.Owed && !f.Told
	switch news := f.Firing != f.Told || f.Owed || rank(f.Severity) > rank(f.ToldSeverity); {
	case !news:
		f.NewsAt = 0
	case f.NewsAt == 0:
		f.NewsAt = seen
	}
}
