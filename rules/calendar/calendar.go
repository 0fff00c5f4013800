// Package calendar counts business time: hours on days of the week, without holidays, by the clock of one time zone.
//
// A calendar is a set of periods during which it is open. Each begins on an open day, at an opening of its hours, and
// ends at the closing that belongs to it, which lies on the next day when the hours go over midnight. A holiday takes
// away what would begin on it. An opening or closing that the clock skips, when it is put forward, falls on the instant
// at which the clock is put forward; one that the clock shows twice, when it is put back, is the first of the two.
//
// A Calendar is immutable. All functions are pure, end within Horizon, and take and return instants.
//
//	c, problems := calendar.Parse(calendar.Spec{Days: "mon-fri", Hours: "08:00-18:00", Zone: berlin})
//	due, err := c.Add(opened, 48*time.Hour) // when 48 hours of opening time have passed since
package calendar

import (
	"errors"
	"fmt"
	"iter"
	"time"
)

// Horizon is how many days ahead a calendar looks: ten years.
const Horizon = 3653

// ErrTooFar is returned for an instant that lies beyond the horizon.
var ErrTooFar = errors.New("calendar: more than ten years ahead")

// Calendar says when it is open. Parse makes one.
type Calendar struct {
	open     [7]bool // by time.Weekday
	hours    []span  // by their beginning; they do not overlap
	holidays map[date]bool
	yearly   map[date]bool // with the year 0
	zone     *time.Location
	text     string
}

// span is from one time of the day to another, in minutes since midnight. Its end may lie on the next day.
type span struct{ from, to int }

type date struct {
	year  int
	month time.Month
	day   int
}

// period is a time during which a calendar is open, in seconds since the Unix epoch; to does not belong to it.
type period struct{ from, to int64 }

// String describes the calendar in a few words.
func (c *Calendar) String() string { return c.text }

// Open reports whether the calendar is open at t.
func (c *Calendar) Open(t time.Time) bool {
	for p := range c.periods(t) {
		if t.Before(instant(p.to)) {
			return !t.Before(instant(p.from))
		}
	}
	return false
}

// Next returns when the calendar opens and when it closes for the first time after t. When it is open at t it closes
// before it opens. An instant beyond the horizon is the zero Time.
func (c *Calendar) Next(t time.Time) (opens, closes time.Time) {
	var last period
	for p := range c.periods(t) {
		joined := last.to == p.from && last != period{}
		if !joined {
			if end := instant(last.to); last != (period{}) && closes.IsZero() && end.After(t) {
				closes = end.In(c.zone)
			}
			if begin := instant(p.from); opens.IsZero() && begin.After(t) {
				opens = begin.In(c.zone)
			}
		}
		if !opens.IsZero() && !closes.IsZero() {
			return opens, closes
		}
		last = p
	}
	return opens, closes
}

// Add returns the instant when d of business time has passed since from. The clock stands still while the calendar is
// closed; without any d that is from itself. A negative d is an error, and so is an instant beyond the horizon.
func (c *Calendar) Add(from time.Time, d time.Duration) (time.Time, error) {
	from = from.Round(0)
	if d < 0 {
		return time.Time{}, fmt.Errorf("calendar: cannot add %v", d)
	}
	if d == 0 {
		return from.In(c.zone), nil
	}
	for p := range c.periods(from) {
		begin, end := later(from, instant(p.from)), instant(p.to)
		if !begin.Before(end) {
			continue
		}
		if open := end.Sub(begin); d > open {
			d -= open
			continue
		}
		return begin.Add(d).In(c.zone), nil
	}
	return time.Time{}, ErrTooFar
}

// Between returns the business time from a to b, negative when b is before a. Of what is further apart than the horizon
// it counts the time within the horizon of the earlier.
func (c *Calendar) Between(a, b time.Time) time.Duration {
	if b.Before(a) {
		return -c.Between(b, a)
	}
	a, b = a.Round(0), b.Round(0)
	var sum time.Duration
	for p := range c.periods(a) {
		begin, end := later(a, instant(p.from)), instant(p.to)
		if !begin.Before(b) {
			break
		}
		if b.Before(end) {
			end = b
		}
		if begin.Before(end) {
			sum += end.Sub(begin)
		}
	}
	return sum
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func instant(unix int64) time.Time { return time.Unix(unix, 0) }

// periods yields what is open from a time onwards, in order, beginning with the day before: no period is longer than to
// the end of the day after the one on which it begins.
func (c *Calendar) periods(from time.Time) iter.Seq[period] {
	year, month, day := from.In(c.zone).Date()
	return func(yield func(period) bool) {
		for i := -1; i <= Horizon; i++ {
			midnight := time.Date(year, month, day+i, 0, 0, 0, 0, time.UTC) // as if the zone were UTC
			if !c.opensOn(midnight) {
				continue
			}
			for _, s := range c.hours {
				wall := midnight.Unix()
				p := period{c.first(wall + 60*int64(s.from)), c.first(wall + 60*int64(s.to))}
				if p.from < p.to && !yield(p) {
					return
				}
			}
		}
	}
}

func (c *Calendar) opensOn(midnight time.Time) bool {
	if !c.open[midnight.Weekday()] {
		return false
	}
	if len(c.holidays)+len(c.yearly) == 0 {
		return true
	}
	year, month, day := midnight.Date()
	return !c.holidays[date{year, month, day}] && !c.yearly[date{0, month, day}]
}

// farthestOffset is more than any zone is ahead of UTC or behind it, in seconds.
const farthestOffset = 26 * 3600

// first returns the first instant at which the clock shows a time or a later one. The time is given in seconds since
// 1970 began on that clock.
func (c *Calendar) first(wall int64) int64 {
	at := wall - farthestOffset
	for {
		t := instant(at).In(c.zone)
		_, offset := t.Zone()
		shown := wall - int64(offset) // when this offset shows it
		if shown <= at {
			return at // skipped: the offset began with a later time
		}
		_, ends := t.ZoneBounds()
		if ends.IsZero() || shown < ends.Unix() {
			return shown
		}
		at = ends.Unix()
	}
}
