package rules

import (
	"slices"
	"time"

	"github.com/closedloop/closedloop/rules/alert"
	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/rules/window"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// AlertState is where the alert of one rule and key stands. It is stored as JSON.
type AlertState struct {
	Rule     string          `json:"rule"`
	Key      string          `json:"key,omitempty"` // the value of the rule's each, or what an item's alert is told apart by
	Severity Severity        `json:"severity,omitempty"`
	Summary  string          `json:"summary,omitempty"`
	Group    string          `json:"group,omitempty"` // what it is told together with
	FirstAt  feedback.Time   `json:"first_at,omitzero"`
	LastAt   feedback.Time   `json:"last_at,omitzero"` // when it last held or was raised
	LastItem feedback.ItemID `json:"last_item,omitempty"`
	Count    int             `json:"count,omitempty"` // items that raised it, ever
	// Shadow says that the rule's mode is shadow: nobody is told.
	Shadow bool `json:"shadow,omitempty"`
	// Keep is how long the alert lasts behind the last item that raised it. 0 is an alert that no item raises.
	Keep  time.Duration  `json:"keep_ns,omitempty"`
	State alert.Instance `json:"state,omitzero"`
}

// Notice is a notification of alerts, or a digest of messages, on its way to a destination.
type Notice struct {
	Rule        string              `json:"rule"`
	Group       string              `json:"group,omitempty"`
	Destination string              `json:"-"`
	Alerts      *alert.Notification `json:"alerts,omitempty"`
	Digest      *alert.Collected    `json:"digest,omitempty"`
}

// Sequence numbers the notices of one rule, group and destination: it is the same when the same one is made again.
func (n *Notice) Sequence() int64 {
	if n.Digest != nil {
		return n.Digest.Sequence
	}
	return n.Alerts.Sequence
}

// WakeKind says what is to be looked at when a timer of a Board is due.
type WakeKind string

// The kinds of timers.
const (
	WakeAlert  WakeKind = "alert"  // an alert of a rule and key
	WakeGroup  WakeKind = "group"  // a group of alerts of a rule
	WakeDigest WakeKind = "digest" // the digest of a rule for a destination
)

// Board is the Memory of alerts: what they stand at, and where they are told. What it hands out is kept as it is changed.
type Board interface {
	// Window returns the observations of a window under a key, or nil when there are none. They are only read.
	Window(id, key string) *window.Ring
	// Alert returns the alert of a rule and key, and makes it when there is none.
	Alert(rule, key string) *AlertState
	// AlertGroup returns the group of a rule, and makes it when there is none.
	AlertGroup(rule, group string) *alert.Group
	// Digest returns the digest of a rule for a destination, and makes it when there is none.
	Digest(rule, destination string) *alert.Digest
	// Firing returns the keys of the alerts of a rule that fire.
	Firing(rule string) []string
	// Silences returns the silences that hold, or may hold later.
	Silences() []alert.Silence
	// Wake sees to it that Set.Wake is called at that time. An earlier wish for the same stays.
	Wake(at feedback.Time, kind WakeKind, rule, key string)
	// Tell sends a notification.
	Tell(Notice)
	// Changed is told of an alert that has changed. With alert.None it is one that fires and whose Shadow has changed.
	Changed(*AlertState, alert.Change)
}

// Instance is a rule that holds over time, with one value of its each.
type Instance struct{ Rule, Key string }

// Touched calls yield with the instances of rules that hold over time whose windows the counts have changed. One that
// several counts belong to may come several times.
func (s *Set) Touched(counts []Count, yield func(Instance)) {
	for i := range counts {
		for _, c := range s.conditions {
			if c.info.Mode == Off {
				continue
			}
			if key, ok := c.touched(s, &counts[i]); ok {
				yield(Instance{c.info.ID, key})
			}
		}
	}
}

// touched returns the key of the condition that a count belongs to.
func (c *condition) touched(s *Set, count *Count) (key string, ok bool) {
	for _, i := range c.when.Windows() {
		w := s.windows[i]
		if w.info.ID != count.Window || len(w.info.By) > 1 {
			continue
		}
		if len(w.info.By) == 0 {
			return "", c.info.Each == ""
		}
		return count.Key, count.Key != "" && w.info.By[0] == c.info.Each
	}
	return "", false
}

// Keyed returns the rules that hold over time, each with the windows whose keys are the values of its each. A rule
// without windows has the one key "".
func (s *Set) Keyed() map[string][]string {
	out := map[string][]string{}
	for _, c := range s.conditions {
		if c.info.Mode == Off {
			continue
		}
		out[c.info.ID] = nil
		for _, i := range c.when.Windows() {
			if w := s.windows[i]; c.info.Each != "" && len(w.info.By) == 1 && !slices.Contains(out[c.info.ID], w.info.ID) {
				out[c.info.ID] = append(out[c.info.ID], w.info.ID)
			}
		}
	}
	return out
}

// condition returns the rule of that ID that holds over time, or nil.
func (s *Set) condition(id string) *condition { return s.overTime[id] }

// Stand is what a rule that holds over time says at an instant.
type Stand struct {
	Truth    Truth
	Summary  string
	Group    string
	Readings []Reading
	When     *Term
}

// Look evaluates a rule that holds over time for one key. Explained, it tells of every comparison.
func (s *Set) Look(in Instance, now feedback.Time, windows func(id, key string) *window.Ring, explained bool) (out Stand, ok bool) {
	return s.LookAt(in, now, windowsOnly{windows: windows}, explained)
}

// LookAt is Look with a View, of which the windows are asked for.
func (s *Set) LookAt(in Instance, now feedback.Time, view View, explained bool) (out Stand, ok bool) {
	c := s.condition(in.Rule)
	if c == nil {
		return out, false
	}
	e := s.evaluation(eventOf(c.info.Each, in.Key), now, view)
	defer s.release(e)
	if c.info.Each == lang.Theme {
		e.turnTo(in.Key)
	}
	out.Truth = truthOf(e.frame.Eval(c.when))
	out.Summary = c.summary.Render(e.frame)
	out.Group = bounded(c.telling.group.Render(e.frame), maxKey)
	if explained {
		out.When = termOf(e.frame.Trace(c.when))
	}
	out.Readings = e.figures.read
	return out, true
}

type windowsOnly struct {
	NoView
	windows func(id, key string) *window.Ring
}

// Window returns what the function returns.
func (v windowsOnly) Window(id, key string) *window.Ring { return v.windows(id, key) }

// Observe looks at instances of rules that hold over time and takes note of what has changed. The alert of a rule that
// the set does not have, or that is off, is over.
func (s *Set) Observe(instances []Instance, now feedback.Time, b Board) {
	for _, in := range instances {
		s.observe(in, now, b)
	}
}

func (s *Set) observe(in Instance, now feedback.Time, b Board) {
	c := s.condition(in.Rule)
	if c == nil || c.info.Mode == Off {
		s.lapse(in, now, b)
		return
	}
	stand, _ := s.LookAt(in, now, viewOf(b), false)
	a := b.Alert(in.Rule, in.Key)
	if stand.Truth == True {
		a.Severity, a.Summary, a.LastAt = c.severity, stand.Summary, now
		a.join(stand.Group)
		if a.State.Status != alert.Firing && a.State.Status != alert.Pending {
			a.FirstAt = now
		}
	}
	shadow := c.info.Mode == Shadow
	turned := a.Shadow != shadow && a.State.Status == alert.Firing
	a.Shadow = shadow
	change := a.State.Observe(alertTruth(stand.Truth), now, c.policy)
	if turned && change == alert.None {
		b.Changed(a, change)
	}
	s.changed(a, change, &c.telling, now, b)
}

// lapse looks at an alert that no rule of the set observes: one that items raise, or one of a rule that is off or gone.
func (s *Set) lapse(in Instance, now feedback.Time, b Board) {
	t := s.tellings[in.Rule]
	if c := s.condition(in.Rule); c != nil {
		t = c.telling
	}
	a := b.Alert(in.Rule, in.Key)
	s.changed(a, a.State.Observe(alert.False, now, alert.Policy{KeepFiring: a.Keep}), &t, now, b)
}

func alertTruth(t Truth) alert.Truth {
	switch t {
	case True:
		return alert.True
	case False:
		return alert.False
	}
	return alert.Unknown
}

// Raise takes note of an alert that one item raises. The effect is one of kind Alert.
func (s *Set) Raise(x *Effect, item feedback.ItemID, now feedback.Time, b Board) {
	a := b.Alert(x.Rule, x.Target)
	a.Severity, a.Summary, a.LastAt, a.LastItem = x.Severity, x.Summary, now, item
	a.join(x.AlertGroup)
	if a.FirstAt == 0 {
		a.FirstAt = now
	}
	a.Count++
	a.Keep, a.Shadow = x.Keep, false
	t := s.tellings[x.Rule]
	s.changed(a, a.State.Raise(now, x.Keep), &t, now, b)
}

// join has an alert told with a group. One that fires stays in the group in which it began to: that group is told of the
// end, and no other one goes on repeating it.
func (a *AlertState) join(group string) {
	if a.State.Status != alert.Firing {
		a.Group = group
	}
}

// changed passes on what became of an alert.
func (s *Set) changed(a *AlertState, change alert.Change, t *telling, now feedback.Time, b Board) {
	if at, ok := a.State.Due(); ok {
		b.Wake(at, WakeAlert, a.Rule, a.Key)
	}
	if change != alert.None {
		b.Changed(a, change)
	}
	told := t.destination != "" && !a.Shadow
	if change != alert.Resolves && !told { // that it is over the group must know, whoever is told
		return
	}
	if change == alert.None && a.State.Status != alert.Firing {
		return
	}
	g := b.AlertGroup(a.Rule, a.Group)
	member := alert.Member{
		Rule: a.Rule, Key: a.Key, Severity: string(a.Severity), Summary: a.Summary, FiringAt: a.State.FiringAt, ResolvedAt: a.State.ResolvedAt,
	}
	g.Update(member, a.State.Status == alert.Firing, now, t.pace)
	if at, ok := g.Due(); ok {
		b.Wake(at, WakeGroup, a.Rule, a.Group)
	}
}

// Collect puts the message of an effect into the digest of its rule and destination.
func (s *Set) Collect(x *Effect, item feedback.ItemID, now feedback.Time, b Board) {
	d := b.Digest(x.Rule, x.Destination)
	d.Add(alert.Entry{At: now, Rule: x.Rule, Item: string(item), Severity: string(x.Severity), Text: x.Message}, now, s.rhythm(x.Rule, x.Destination))
	if at, ok := d.Due(); ok {
		b.Wake(at, WakeDigest, x.Rule, x.Destination)
	}
}

// rhythm returns when the digest of a rule for a destination is sent: at once when the set has none.
func (s *Set) rhythm(rule, destination string) alert.Rhythm {
	return s.digests[Instance{rule, destination}]
}

// Wake looks at an alert, a group or a digest whose time has come. What the set does not know any more ends in silence.
func (s *Set) Wake(kind WakeKind, rule, key string, now feedback.Time, b Board) {
	switch kind {
	case WakeDigest:
		s.flushDigest(rule, key, now, b)
	case WakeGroup:
		t := s.tellings[rule]
		if c := s.condition(rule); c != nil && c.info.Mode != Shadow {
			t = c.telling
		}
		s.flush(rule, key, &t, now, b)
	default:
		s.observe(Instance{rule, key}, now, b)
	}
}

func (s *Set) flushDigest(rule, destination string, now feedback.Time, b Board) {
	d := b.Digest(rule, destination)
	if c, _ := d.Flush(now, s.rhythm(rule, destination), nil); c != nil {
		b.Tell(Notice{Rule: rule, Destination: destination, Digest: c})
	}
	if at, ok := d.Due(); ok {
		b.Wake(at, WakeDigest, rule, destination)
	}
}

func (s *Set) flush(rule, group string, t *telling, now feedback.Time, b Board) {
	g := b.AlertGroup(rule, group)
	note, _ := g.Flush(now, t.pace, alert.Conditions{
		Silenced: func(m alert.Member) (string, feedback.Time, bool) {
			return alert.Silenced(b.Silences(), m.Rule, m.Key, now)
		},
		Inhibited: func(m alert.Member) (string, bool) {
			return s.inhibitions.By(m.Rule, m.Key, func(rule, key string, any bool) bool {
				firing := b.Firing(rule)
				return any && len(firing) > 0 || slices.Contains(firing, key)
			})
		},
		Muted: func(now feedback.Time) (feedback.Time, bool) { return s.muted(t, now) },
	})
	if note != nil && t.destination != "" {
		b.Tell(Notice{Rule: rule, Group: group, Destination: t.destination, Alerts: note})
	}
	if at, ok := g.Due(); ok {
		b.Wake(at, WakeGroup, rule, group)
	}
}

// muted reports whether a calendar keeps an alert from being told, and until when.
func (s *Set) muted(t *telling, now feedback.Time) (until feedback.Time, held bool) {
	c := s.calendars[t.calendar]
	if c == nil || c.Open(now.Std()) == t.outside {
		return 0, false
	}
	opens, closes := c.Next(now.Std())
	if t.outside {
		return feedback.TimeOf(opens), true
	}
	return feedback.TimeOf(closes), true
}

// Destination returns where the alerts of a rule are told, or "".
func (s *Set) Destination(rule string) string {
	if c := s.condition(rule); c != nil {
		return c.telling.destination
	}
	return s.tellings[rule].destination
}
