package records

import "time"

// Signed is a day, month or year of rollups that counts once, or is to be taken away with sign -1.
type Signed struct {
	Day  uint32
	Sign int64
}

// Cover returns the fewest days, months and years whose signed sum is that of the days from first to last, both yyyymmdd
// and inclusive: what is left of a year may be the year less its other months.
func Cover(first, last uint32) []Signed {
	var out []Signed
	for from := first; from <= last; {
		year := from / 10_000
		to := min(last, year*10_000+1231)
		out = append(out, coverYear(from, to)...)
		from = (year+1)*10_000 + 101
	}
	return out
}

// coverYear covers days of one year.
func coverYear(from, to uint32) []Signed {
	year := from / 10_000 * 10_000
	if from == year+101 && to == year+1231 {
		return []Signed{{year, 1}}
	}
	direct := coverMonths(from, to)
	if others := int(12 - (to/100 - from/100)); len(direct) <= others {
		return direct // the year and at least one for each month that is taken away
	}
	around := []Signed{{year, 1}}
	if from > year+101 {
		around = append(around, taken(coverMonths(year+101, before(from)))...)
	}
	if to < year+1231 {
		around = append(around, taken(coverMonths(after(to), year+1231))...)
	}
	return shorter(direct, around)
}

// coverMonths covers days of one year without the year.
func coverMonths(from, to uint32) (out []Signed) {
	for from <= to {
		month := from / 100 * 100
		end := before(nextMonth(month) + 1)
		out = append(out, coverMonth(from, min(to, end), end)...)
		from = nextMonth(month) + 1
		if from/10_000 != month/10_000 {
			break
		}
	}
	return out
}

// coverMonth covers days of one month, which ends at end.
func coverMonth(from, to, end uint32) []Signed {
	month := from / 100 * 100
	if within, outside := to-from+1, from-month-1+end-to; within <= 1+outside {
		return days(from, to, 1)
	}
	around := append([]Signed{{month, 1}}, days(month+1, from-1, -1)...)
	return append(around, days(to+1, end, -1)...)
}

// days returns days of one month.
func days(from, to uint32, sign int64) (out []Signed) {
	for d := from; d <= to; d++ {
		out = append(out, Signed{d, sign})
	}
	return out
}

func taken(cover []Signed) []Signed {
	for i := range cover {
		cover[i].Sign = -cover[i].Sign
	}
	return cover
}

func shorter(a, b []Signed) []Signed {
	if len(b) < len(a) {
		return b
	}
	return a
}

// nextMonth returns the month behind one, as yyyymm00.
func nextMonth(month uint32) uint32 {
	if month/100%100 == 12 {
		return month - 1200 + 10_000 + 100
	}
	return month + 100
}

// Date returns the midnight of a day in UTC, which stands for the day alone.
func Date(day uint32) time.Time {
	return time.Date(int(day/10_000), time.Month(day/100%100), int(day%100), 0, 0, 0, 0, time.UTC)
}

// The days that there are. Rollups of whole years beyond them would have no numbers.
const (
	firstDay = 101
	lastDay  = 9999_12_31
)

// DayOf returns the day of a date. One before the year 0 counts as the first day of that, and one behind the year 9999 as
// the last day of that.
func DayOf(date time.Time) uint32 {
	y, m, d := date.Date()
	switch {
	case y < 0:
		return firstDay
	case y > 9999:
		return lastDay
	}
	return uint32(y)*10_000 + uint32(m)*100 + uint32(d)
}

func before(day uint32) uint32 { return DayOf(Date(day).AddDate(0, 0, -1)) }

func after(day uint32) uint32 { return DayOf(Date(day).AddDate(0, 0, 1)) }
