package rules

import (
	"cmp"
	"time"

	"github.com/closedloop/closedloop/rules/calendar"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/suggest"
)

func (b *builder) calendars(root *source.Node) {
	for _, e := range root.Get("calendars").Entries() {
		if !b.unique("calendar", e.Name, e.Key) || !e.Value.Object("days", "hours", "holidays", "timezone", "description") {
			continue
		}
		_ = e.Value.Get("description").String()
		spec := calendar.Spec{Days: e.Value.Get("days").String(), Hours: e.Value.Get("hours").String(), Zone: b.env.Timezone}
		if h := e.Value.Get("holidays"); h != nil {
			spec.Holidays = h.Strings()
		}
		if z := e.Value.Get("timezone"); z != nil {
			zone, err := time.LoadLocation(z.String())
			if err != nil || z.String() == "" || z.String() == "Local" { // Local is another zone on each machine
				z.ProblemHint("wrong_value", "a name of the IANA database, such as Europe/Berlin", "unknown time zone %s", z.Found())
				continue
			}
			spec.Zone = zone
		}
		c, problems := calendar.Parse(spec)
		for _, p := range problems {
			e.Value.At(p.Part).ProblemHint("calendar", p.Hint, "%s", p.Message)
		}
		b.set.calendars[e.Name] = c
	}
}

// calendar reads the name of a calendar.
func (b *builder) calendar(n *source.Node) string {
	name := n.String()
	b.used["calendar "+name] = true
	if _, ok := b.set.calendars[name]; !ok && name != "" {
		names := sortedKeys(b.set.calendars)
		hint := cmp.Or(suggest.DidYouMean(name, names), "declare it in the rule file: calendars: {"+name+": {days: mon-fri, hours: \"09:00-17:00\"}}")
		n.ProblemHint("unknown_name", hint, "unknown calendar %q", name)
	}
	return name
}

// Due returns when d has passed since from, counting the time of a calendar only; without a calendar all time counts.
// A calendar that is not open long enough within the years to come counts all time as well.
func (s *Set) Due(from feedback.Time, d time.Duration, calendar string) feedback.Time {
	if c := s.calendars[calendar]; c != nil {
		if at, err := c.Add(from.Std(), d); err == nil {
			return feedback.TimeOf(at)
		}
	}
	return from.Add(d)
}

// Left returns the time of a calendar from one instant to a later one, and nothing when it is not later. Without a
// calendar all time counts.
func (s *Set) Left(from, until feedback.Time, calendar string) time.Duration {
	if until <= from {
		return 0
	}
	if c := s.calendars[calendar]; c != nil {
		return c.Between(from.Std(), until.Std())
	}
	return until.Std().Sub(from.Std())
}
