package calendar

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Spec is a calendar as people write it.
type Spec struct {
	Days     string         // such as "mon-fri" or "mon,wed-fri". Defaults to all days
	Hours    string         // such as "08:00-12:00, 13:00-18:00" or "22:00-06:00". Defaults to the whole day
	Holidays []string       // dates such as "2026-12-25", and "12-25" for every year
	Zone     *time.Location // whose clock counts. Defaults to UTC
}

// Problem is one thing that is wrong with a Spec.
type Problem struct {
	Part    string // "days", "hours", "holidays" or, of one holiday, "holidays[2]", counted from 0
	Message string // what was found and what was expected
	Hint    string // how to mend it, or nothing
}

// Error writes the problem on one line.
func (p Problem) Error() string {
	s := p.Part + ": " + p.Message
	if p.Hint != "" {
		s += " (" + p.Hint + ")"
	}
	return s
}

// Parse returns the calendar, or all that is wrong with its description. A calendar that is never open is refused.
func Parse(s Spec) (*Calendar, []Problem) {
	p := &parser{c: &Calendar{zone: s.Zone, holidays: map[date]bool{}, yearly: map[date]bool{}}}
	if p.c.zone == nil {
		p.c.zone = time.UTC
	}
	p.days(s.Days)
	p.hours(s.Hours)
	for i, h := range s.Holidays {
		p.holiday(fmt.Sprintf("holidays[%d]", i), h)
	}
	if len(p.problems) == 0 && len(p.c.yearly) == 366 {
		p.tell("holidays", "every day of every year is a holiday, expected a calendar that opens", "")
	}
	if len(p.problems) > 0 {
		return nil, p.problems
	}
	p.c.text = p.c.describe()
	return p.c, nil
}

type parser struct {
	c        *Calendar
	problems []Problem
}

func (p *parser) tell(part, message, hint string) {
	p.problems = append(p.problems, Problem{part, message, hint})
}

var dayNames = [...]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // by time.Weekday

func (p *parser) days(text string) {
	if strings.TrimSpace(text) == "" {
		p.c.open = [7]bool{true, true, true, true, true, true, true}
		return
	}
	for part := range strings.SplitSeq(text, ",") {
		first, last, ranged := strings.Cut(part, "-")
		from, ok := p.day(first)
		to := from
		if ok && ranged {
			to, ok = p.day(last)
		}
		if !ok {
			continue
		}
		p.c.open[from] = true
		for d := from; d != to; {
			d = (d + 1) % 7
			p.c.open[d] = true
		}
	}
}

func (p *parser) day(text string) (int, bool) {
	text = strings.TrimSpace(text)
	low := strings.ToLower(text)
	if d := slices.Index(dayNames[:], low); d >= 0 {
		return d, true
	}
	hint := "such as mon-fri or mon,wed-fri"
	for _, name := range dayNames {
		if strings.HasPrefix(low, name) {
			hint = "write " + name
		}
	}
	p.tell("days", fmt.Sprintf("found %q, expected mon, tue, wed, thu, fri, sat or sun", text), hint)
	return 0, false
}

const wholeDay = 24 * 60

func (p *parser) hours(text string) {
	if strings.TrimSpace(text) == "" {
		p.c.hours = []span{{0, wholeDay}}
		return
	}
	before := len(p.problems)
	for part := range strings.SplitSeq(text, ",") {
		if s, ok := p.span(strings.TrimSpace(part)); ok {
			p.c.hours = append(p.c.hours, s)
		}
	}
	if len(p.problems) > before {
		return
	}
	slices.SortFunc(p.c.hours, func(a, b span) int { return a.from - b.from })
	for i, s := range p.c.hours {
		next := p.c.hours[(i+1)%len(p.c.hours)]
		if i == len(p.c.hours)-1 {
			next.from += wholeDay
		}
		if s.to > next.from {
			p.tell("hours", fmt.Sprintf("%v overlaps %v, expected each hour once", s, p.c.hours[(i+1)%len(p.c.hours)]), "")
		}
	}
}

func (p *parser) span(text string) (span, bool) {
	const hint = "such as 08:00-18:00"
	first, last, ok := strings.Cut(text, "-")
	if !ok {
		p.tell("hours", fmt.Sprintf("found %q, expected two times with a hyphen between them", text), hint)
		return span{}, false
	}
	from, okFrom := p.clock(first, wholeDay-1, "a time from 00:00 to 23:59")
	to, okTo := p.clock(last, wholeDay, "a time from 00:00 to 24:00")
	switch {
	case !okFrom || !okTo:
		return span{}, false
	case from == to:
		p.tell("hours", fmt.Sprintf("found %q, expected two different times", text), "the whole day is 00:00-24:00")
		return span{}, false
	case to < from:
		to += wholeDay
	}
	return span{from, to}, true
}

// clock reads a time of the day as minutes since midnight.
func (p *parser) clock(text string, most int, expected string) (int, bool) {
	text = strings.TrimSpace(text)
	h, m, ok := strings.Cut(text, ":")
	hour, okHour := number(h, 1, 2)
	minute, okMinute := number(m, 2, 2)
	if v := hour*60 + minute; ok && okHour && okMinute && minute < 60 && v <= most {
		return v, true
	}
	p.tell("hours", fmt.Sprintf("found %q, expected %s", text, expected), "")
	return 0, false
}

// number reads digits only, as many as allowed.
func number(text string, least, most int) (int, bool) {
	if len(text) < least || len(text) > most || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}

func (p *parser) holiday(part, text string) {
	text = strings.TrimSpace(text)
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		p.c.holidays[date{t.Year(), t.Month(), t.Day()}] = true
		return
	}
	if t, err := time.Parse(time.DateOnly, "2000-"+text); err == nil { // a leap year, for 02-29
		p.c.yearly[date{0, t.Month(), t.Day()}] = true
		return
	}
	hint := ""
	if strings.Count(text, "-") > 0 && strings.Trim(text, "-0123456789") == "" {
		hint = "the year, the month and the day, in this order; no month has that day"
	}
	p.tell(part, fmt.Sprintf("found %q, expected a date such as 2026-12-25, or 12-25 for every year", text), hint)
}

// String writes the span as it is read.
func (s span) String() string {
	to := s.to
	if to > wholeDay {
		to -= wholeDay
	}
	return fmt.Sprintf("%02d:%02d-%02d:%02d", s.from/60, s.from%60, to/60, to%60)
}

func (c *Calendar) describe() string {
	var b strings.Builder
	b.WriteString(c.describeDays())
	for i, s := range c.hours {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString(" " + s.String())
	}
	b.WriteString(" " + c.zone.String())
	switch n := len(c.holidays) + len(c.yearly); n {
	case 0:
	case 1:
		b.WriteString(" except 1 holiday")
	default:
		fmt.Fprintf(&b, " except %d holidays", n)
	}
	return b.String()
}

// describeDays writes the days from Monday to Sunday, three and more in a row as a range.
func (c *Calendar) describeDays() string {
	var parts []string
	for i := 0; i < 7; {
		n := 0
		for i+n < 7 && c.open[(i+n+1)%7] {
			n++
		}
		names := make([]string, n)
		for k := range names {
			names[k] = dayNames[(i+k+1)%7]
		}
		if n > 2 {
			names = []string{names[0] + "-" + names[n-1]}
		}
		parts = append(parts, names...)
		i += max(n, 1)
	}
	return strings.Join(parts, ",")
}
