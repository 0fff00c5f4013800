package engine

import (
	"fmt"
	"time"

	"github.com/closedloop/closedloop/engine/internal/records"
)

// span is days from one to another, both inclusive, as yyyymmdd.
type span struct{ first, last uint32 }

func (s span) days() float64 {
	const day = 24 * 60 * 60 // a time.Duration ends at 292 years
	return float64(records.Date(s.last).Unix()-records.Date(s.first).Unix())/day + 1
}

// mostPeriods bounds the periods of a metric: ten years of days.
const mostPeriods = 3660

// divided divides days into periods, of which the first and the last may be cut. Nothing asks for none.
func divided(first, last uint32, every Period) ([]span, error) {
	if every == "" {
		return nil, nil
	}
	var out []span
	end := records.Date(last)
	for from := records.Date(first); !from.After(end); {
		next := following(from, every)
		to := next.AddDate(0, 0, -1)
		if to.After(end) {
			to = end
		}
		if len(out) == mostPeriods {
			return nil, fmt.Errorf("%w: from %s to %s there are more than %d times a %s: expected a later since, an earlier until or longer periods",
				ErrQuery, day(first), day(last), mostPeriods, every)
		}
		out = append(out, span{records.DayOf(from), records.DayOf(to)})
		from = next
	}
	return out, nil
}

// following returns the first day of the period behind that of a day.
func following(from time.Time, every Period) time.Time {
	switch every {
	case EveryMonth:
		return time.Date(from.Year(), from.Month()+1, 1, 0, 0, 0, 0, time.UTC)
	case EveryWeek:
		sinceMonday := (int(from.Weekday()) + 6) % 7
		return from.AddDate(0, 0, 7-sinceMonday)
	}
	return from.AddDate(0, 0, 1)
}

// preceding returns the time before: as many months before whole months, and else as many days.
func preceding(s span) span {
	first, last := records.Date(s.first), records.Date(s.last)
	before := records.DayOf(first.AddDate(0, 0, -1))
	if first.Day() == 1 && last.AddDate(0, 0, 1).Day() == 1 {
		months := (last.Year()-first.Year())*12 + int(last.Month()) - int(first.Month()) + 1
		return span{records.DayOf(first.AddDate(0, -months, 0)), before}
	}
	return span{records.DayOf(first.AddDate(0, 0, -int(s.days()))), before}
}
