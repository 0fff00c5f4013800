package calendar

import (
	"errors"
	"fmt"
	"sort"
	"testing"
	"time"
	_ "time/tzdata"

	"pgregory.net/rapid"
)

// stretch is some days of one zone, minute by minute: what its clock shows, in minutes as if it were UTC.
type stretch struct {
	name  string
	zone  *time.Location
	begin time.Time
	walls []int64
}

const stretchDays = 16

// around returns the days around a day on which the clock of the zone changes, or not.
func around(t *testing.T, zone, day string) *stretch {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	middle, err := time.Parse(time.DateOnly, day)
	if err != nil {
		t.Fatal(err)
	}
	s := &stretch{name: zone + " " + day, zone: loc, begin: middle.AddDate(0, 0, -stretchDays/2)}
	for i := range stretchDays * wholeDay {
		y, mo, d := s.at(i).In(loc).Date()
		h, mi, _ := s.at(i).In(loc).Clock()
		s.walls = append(s.walls, time.Date(y, mo, d, h, mi, 0, 0, time.UTC).Unix()/60)
	}
	return s
}

func (s *stretch) at(minute int) time.Time { return s.begin.Add(time.Duration(minute) * time.Minute) }

// opens says of every minute whether a calendar is open, by looking for the first minute that shows each opening and
// closing. The first and last days are not complete.
func (s *stretch) opens(days [7]bool, hours []span, holidays map[string]bool) []bool {
	highest := make([]int64, len(s.walls)) // the latest time shown so far
	for i, w := range s.walls {
		highest[i] = w
		if i > 0 {
			highest[i] = max(w, highest[i-1])
		}
	}
	first := func(wall int64) int {
		return sort.Search(len(highest), func(i int) bool { return highest[i] >= wall })
	}
	open := make([]bool, len(s.walls))
	for d := range stretchDays {
		date := s.begin.AddDate(0, 0, d)
		name := date.Format(time.DateOnly)
		if !days[date.Weekday()] || holidays[name] || holidays[name[5:]] {
			continue
		}
		for _, h := range hours {
			midnight := date.Unix() / 60
			for i := first(midnight + int64(h.from)); i < first(midnight+int64(h.to)); i++ {
				open[i] = true
			}
		}
	}
	return open
}

// A calendar counts what counting every minute gives, in zones whose clocks are put forward and back, at midnight and by
// half an hour, and in one that skips a whole day.
func TestCalendarIsItsModel(t *testing.T) {
	t.Parallel()
	var stretches []*stretch
	for _, c := range [][2]string{
		{"UTC", "2024-02-29"}, {"Asia/Kathmandu", "2026-01-01"},
		{"Europe/Berlin", "2026-03-29"}, {"Europe/Berlin", "2026-10-25"},
		{"America/New_York", "2026-03-08"}, {"America/New_York", "2026-11-01"},
		{"Australia/Lord_Howe", "2026-04-05"}, {"Australia/Lord_Howe", "2026-10-04"},
		{"Asia/Beirut", "2024-03-31"}, {"America/Havana", "2024-11-03"},
		{"America/St_Johns", "2010-11-07"}, {"Pacific/Apia", "2011-12-30"},
	} {
		stretches = append(stretches, around(t, c[0], c[1]))
	}
	rapid.Check(t, func(t *rapid.T) {
		s := stretches[rapid.IntRange(0, len(stretches)-1).Draw(t, "stretch")]
		c, open := drawCalendar(t, s)
		begin := rapid.IntRange(3*wholeDay, (stretchDays-3)*wholeDay).Draw(t, "from")
		end := rapid.IntRange(begin, (stretchDays-3)*wholeDay).Draw(t, "to")
		passed := 0
		for i := begin; i < end; i++ {
			if open[i] {
				passed++
			}
		}
		a, b := s.at(begin), s.at(end)
		if got := c.Between(a, b); got != time.Duration(passed)*time.Minute {
			t.Fatalf("%s, %v: between %v and %v: got %v, want %d minutes", s.name, c, a.In(s.zone), b.In(s.zone), got, passed)
		}
		if c.Between(b, a) != -c.Between(a, b) {
			t.Fatal("backward differs")
		}
		if c.Open(a) != open[begin] || c.Open(a.Add(59*time.Second)) != open[begin] {
			t.Fatalf("%s, %v: open at %v: %v", s.name, c, a.In(s.zone), !open[begin])
		}
		checkAdd(t, s, c, open, begin, passed)
		checkNext(t, s, c, open, begin)
	})
}

func drawCalendar(t *rapid.T, s *stretch) (*Calendar, []bool) {
	var days [7]bool
	spec := Spec{Zone: s.zone}
	one := rapid.IntRange(0, 6).Draw(t, "day")
	for d, name := range dayNames {
		if days[d] = d == one || rapid.IntRange(0, 3).Draw(t, name) > 0; days[d] {
			spec.Days += "," + name
		}
	}
	spec.Days = spec.Days[1:]
	hours := drawHours(t)
	for _, h := range hours {
		to := h.to
		if to > wholeDay {
			to -= wholeDay
		}
		spec.Hours += fmt.Sprintf(",%02d:%02d-%02d:%02d", h.from/60, h.from%60, to/60, to%60)
	}
	spec.Hours = spec.Hours[1:]
	holidays := map[string]bool{}
	for range rapid.IntRange(0, 2).Draw(t, "holidays") {
		name := s.begin.AddDate(0, 0, rapid.IntRange(0, stretchDays).Draw(t, "holiday")).Format(time.DateOnly)
		if rapid.Bool().Draw(t, "yearly") {
			name = name[5:]
		}
		holidays[name] = true
		spec.Holidays = append(spec.Holidays, name)
	}
	c, problems := Parse(spec)
	if problems != nil {
		t.Fatalf("%+v: %v", spec, problems)
	}
	return c, s.opens(days, hours, holidays)
}

func drawHours(t *rapid.T) []span {
	switch rapid.IntRange(0, 3).Draw(t, "shape") {
	case 0:
		return []span{{0, wholeDay}}
	case 1: // close to the hours of the changes
		return []span{{rapid.IntRange(0, 200).Draw(t, "early"), rapid.IntRange(201, wholeDay).Draw(t, "late")}}
	}
	var hours []span
	times := rapid.SliceOfNDistinct(rapid.IntRange(0, wholeDay-1), 2, 6, rapid.ID).Draw(t, "hours")
	sort.Ints(times)
	for i := 0; i+1 < len(times); i += 2 {
		hours = append(hours, span{times[i], times[i+1]})
	}
	if last := &hours[len(hours)-1]; rapid.Bool().Draw(t, "night") {
		last.to = min(wholeDay+rapid.IntRange(0, hours[0].from).Draw(t, "morning"), last.from+wholeDay-1)
	}
	return hours
}

func checkAdd(t *rapid.T, s *stretch, c *Calendar, open []bool, begin, passed int) {
	d := rapid.IntRange(0, passed).Draw(t, "add")
	want, left := begin, d
	for ; left > 0; want++ {
		if open[want] {
			left--
		}
	}
	got, err := c.Add(s.at(begin), time.Duration(d)*time.Minute)
	if err != nil || !got.Equal(s.at(want)) {
		t.Fatalf("%s, %v: %v and %d minutes: got %v, %v, want %v", s.name, c, s.at(begin).In(s.zone), d, got, err, s.at(want).In(s.zone))
	}
	exact := time.Duration(rapid.Int64Range(0, int64(60*time.Hour)).Draw(t, "exact"))
	later, err := c.Add(s.at(begin), exact)
	if errors.Is(err, ErrTooFar) {
		return // open for a few minutes a week
	}
	if err != nil || c.Between(s.at(begin), later) != exact {
		t.Fatalf("%s, %v: %v and %v is %v, %v: between them %v", s.name, c, s.at(begin).In(s.zone), exact, later, err, c.Between(s.at(begin), later))
	}
}

func checkNext(t *rapid.T, s *stretch, c *Calendar, open []bool, begin int) {
	opens, closes := c.Next(s.at(begin))
	for i := begin + 1; i < (stretchDays-2)*wholeDay; i++ {
		if at := s.at(i); open[i] && !open[i-1] && !opens.Before(at) {
			if !opens.Equal(at) {
				t.Fatalf("%s, %v: after %v opens %v, want %v", s.name, c, s.at(begin).In(s.zone), opens, at.In(s.zone))
			}
			break
		}
	}
	for i := begin + 1; i < (stretchDays-2)*wholeDay; i++ {
		if at := s.at(i); !open[i] && open[i-1] && !closes.Before(at) {
			if !closes.Equal(at) {
				t.Fatalf("%s, %v: after %v closes %v, want %v", s.name, c, s.at(begin).In(s.zone), closes, at.In(s.zone))
			}
			break
		}
	}
}
