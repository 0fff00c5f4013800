package alert

import (
	"cmp"
	"slices"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// Conditions say what keeps a destination from being told. They are asked during Flush, and only then. A nil one never
// holds anything back.
type Conditions struct {
	// Silenced returns the silence that holds for an alert now, and when it ends.
	Silenced func(Member) (id string, until feedback.Time, held bool)
	// Inhibited returns the rule of a firing alert that keeps this one quiet.
	Inhibited func(Member) (by string, held bool)
	// Muted reports whether the destination is not to be disturbed now, and until when.
	Muted func(now feedback.Time) (until feedback.Time, held bool)
}

// Reason says why Flush made a notification or none.
type Reason string

// The reasons. With News and Again there is a notification, with the others there is none.
const (
	News    Reason = "news"     // something has changed that the destination did not know
	Again   Reason = "again"    // nothing new for Pace.Repeat, and something still fires
	Nothing Reason = "nothing"  // the destination knows everything
	Waiting Reason = "waiting"  // there is news, held back by Pace.Wait
	TooSoon Reason = "too soon" // there is news, held back by Pace.Interval
	Muted   Reason = "muted"    // the destination is not to be disturbed
	Held    Reason = "held"     // all that there would be to tell is silenced or inhibited
)

// Listed is an alert in a notification.
type Listed struct {
	Member
	// New says that it has not been told before, or not with a severity as high as this.
	New bool `json:"new,omitempty"`
}

// Notification is what a destination is told at once. Each list holds at most MaxListed alerts: new ones first, then by
// severity, rule and key. The counts are those of the lists as they would be without that bound.
type Notification struct {
	// Sequence numbers the notifications of a group, so that (group, Sequence) is an idempotency key. Each number is
	// greater than those before it; also when the group was forgotten in between, unless the clock was set back.
	Sequence int64         `json:"sequence"`
	At       feedback.Time `json:"at"`
	// Repeat says that nothing in it is new.
	Repeat bool `json:"repeat,omitempty"`
	// Firing are all the alerts of the group that fire and are not held back.
	Firing []Listed `json:"firing,omitempty"`
	// Resolved are over, and the destination was told that they fire.
	Resolved []Member `json:"resolved,omitempty"`
	// Passed fired for longer than the wait and were over again before the interval let the group speak.
	Passed []Member `json:"passed,omitempty"`

	FiringCount   int64 `json:"firing_count,omitempty"`
	NewCount      int64 `json:"new_count,omitempty"` // of those that fire
	ResolvedCount int64 `json:"resolved_count,omitempty"`
	PassedCount   int64 `json:"passed_count,omitempty"`
	// Suppressed is how many alerts fire besides and are silenced or inhibited.
	Suppressed int64 `json:"suppressed,omitempty"`
}

// Flush looks at what the destination should know, and returns a notification or nil, and why. Call it at the instant of
// Due, and also when a silence was ended early or the pace has changed; at another time it does no harm. The group
// counts what the notification holds as told, so store the two together.
//
//   - While the destination is muted nothing is told, and the group is looked at again when that ends. What is over by
//     then is told only when it was told that it fires.
//   - What is silenced or inhibited is left out, and looked at again when the silence ends, when the group is flushed
//     next, and at the latest after Pace.Interval (a minute if that is shorter).
//   - That an alert is over is told, also of one that is silenced or inhibited by then, if and only if it was told that
//     it fires: whoever has been called off to something is called back.
//   - An alert that was over before the wait was, or while it was held back, is not told at all.
func (g *Group) Flush(now feedback.Time, p Pace, c Conditions) (*Notification, Reason) {
	now = instant(now)
	g.rewind(now)
	g.Seen, g.DueAt = now, 0
	if g.empty(now, p) {
		return nil, Nothing
	}
	if c.Muted != nil {
		if until, muted := c.Muted(now); muted {
			g.unowe()
			if !g.empty(now, p) {
				g.look(later(until, now, p))
			}
			return nil, Muted
		}
	}
	s, open := g.survey(now, p, c), g.open(p)
	if g.empty(now, p) {
		return nil, Nothing
	}
	g.look(s.heldUntil)
	var repeat feedback.Time
	if p.Repeat > 0 && s.known {
		repeat = max(after(g.LastSent, p.Repeat), open)
	}
	switch {
	case s.ripe && now < open:
		g.look(open)
		g.look(s.ripeAt) // what is ripe then and over before open is owed
		return nil, TooSoon
	case s.ripe || repeat != 0 && now >= repeat:
		n := g.tell(now, p)
		if n.Repeat {
			return n, Again
		}
		return n, News
	}
	g.look(s.ripeAt)
	g.look(repeat)
	switch {
	case s.ripeAt != 0:
		return nil, Waiting
	case s.held:
		return nil, Held
	}
	return nil, Nothing
}

// unowe forgives the group what it owes: what is over then is not told.
func (g *Group) unowe() {
	for i := range g.Members {
		g.Members[i].Owed = false
	}
	g.keep(Followed.matters)
}

// empty reports whether nothing is left to tell. A group that has just told something is kept until the interval is over:
// one that was forgotten and began again would not know of it.
func (g *Group) empty(now feedback.Time, p Pace) bool {
	if len(g.Members) > 0 || g.Overflow > 0 {
		return false
	}
	if open := g.open(p); open > now {
		g.look(open)
	}
	return true
}

// later returns until, or when that is not after now, as it should be, an instant that is.
func later(until, now feedback.Time, p Pace) feedback.Time {
	if until > now {
		return min(until, lastInstant)
	}
	return after(now, max(p.Interval, recheck))
}

// survey is what Flush sees when it looks at the members.
type survey struct {
	ripe      bool          // there is news that has waited for long enough
	ripeAt    feedback.Time // when the first of the other news will have
	known     bool          // something fires that is not held back and that was told
	held      bool          // something fires that is held back
	heldUntil feedback.Time // when to look at that again
}

// survey notes of each member what holds it back and whether it is owed.
func (g *Group) survey(now feedback.Time, p Pace, c Conditions) survey {
	s := survey{ripe: g.Overflow > 0}
	for i := range g.Members {
		f := &g.Members[i]
		var until feedback.Time
		if f.Held = ""; f.Firing || !f.Told {
			f.Held, until = c.held(f.Member, now, p)
		}
		if f.Held != "" {
			s.held, f.Owed = true, false
			if f.NewsAt != 0 || p.Repeat > 0 {
				s.heldUntil = earlier(s.heldUntil, until)
			}
			continue
		}
		s.known = s.known || f.Firing && f.Told
		switch ripeAt := after(f.NewsAt, p.Wait); {
		case f.NewsAt == 0:
		case now >= ripeAt:
			s.ripe = true
			f.Owed = !f.Told
		default:
			s.ripeAt = earlier(s.ripeAt, ripeAt)
		}
	}
	g.keep(Followed.matters)
	return s
}

// matters reports whether there is anything to tell of a member, now or later.
func (f Followed) matters() bool { return f.Firing || f.Told || f.Owed }

// held returns what holds a member back, or "", and when to look again.
func (c *Conditions) held(m Member, now feedback.Time, p Pace) (string, feedback.Time) {
	if c.Silenced != nil {
		if id, until, held := c.Silenced(m); held {
			return cut("silence "+id, maxHeld), later(until, now, p)
		}
	}
	if c.Inhibited != nil {
		if by, held := c.Inhibited(m); held {
			return cut("rule "+by, maxHeld), later(0, now, p)
		}
	}
	return "", 0
}

// keep removes the members for which stays is false.
func (g *Group) keep(stays func(Followed) bool) {
	g.Members = slices.DeleteFunc(g.Members, func(f Followed) bool {
		if stays(f) {
			return false
		}
		g.stored -= sizeOf(f.Member)
		return true
	})
	if len(g.Members) == 0 {
		g.Members = nil
	}
}

// tell makes a notification of all that is not held back, and notes that it was told.
func (g *Group) tell(now feedback.Time, p Pace) *Notification {
	g.Sequence, g.LastSent = sequence(g.Sequence, now), now
	n := &Notification{Sequence: g.Sequence, At: now, FiringCount: g.Overflow, NewCount: g.Overflow}
	g.Overflow = 0
	for i := range g.Members {
		f := &g.Members[i]
		switch {
		case f.Held != "":
			n.Suppressed++
		case f.Firing:
			l := Listed{f.Member, f.NewsAt != 0}
			n.Firing = append(n.Firing, l)
			n.FiringCount++
			if l.New {
				n.NewCount++
				f.ToldSeverity = f.Severity
			}
			f.Told, f.Owed, f.NewsAt = true, false, 0
		case f.Told:
			n.Resolved = append(n.Resolved, f.Member)
		default:
			n.Passed = append(n.Passed, f.Member)
		}
	}
	n.ResolvedCount, n.PassedCount = int64(len(n.Resolved)), int64(len(n.Passed))
	n.Repeat = n.NewCount+n.ResolvedCount+n.PassedCount == 0
	g.keep(func(f Followed) bool { return f.Firing })
	if len(n.Firing) > 0 && p.Repeat > 0 {
		g.look(max(after(now, p.Repeat), g.open(p)))
	}
	g.empty(now, p)
	n.bound()
	return n
}

// bound sorts and cuts the lists.
func (n *Notification) bound() {
	slices.SortFunc(n.Firing, func(a, b Listed) int {
		if a.New != b.New {
			if a.New {
				return -1
			}
			return 1
		}
		return bySeverity(a.Member, b.Member)
	})
	slices.SortFunc(n.Resolved, bySeverity)
	slices.SortFunc(n.Passed, bySeverity)
	n.Firing = first(n.Firing)
	n.Resolved, n.Passed = first(n.Resolved), first(n.Passed)
}

func first[T any](list []T) []T { return slices.Clip(list[:min(len(list), MaxListed)]) }

func bySeverity(a, b Member) int { return cmp.Or(rank(b.Severity)-rank(a.Severity), a.compare(b)) }
