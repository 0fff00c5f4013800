package calendar

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func berlin(t testing.TB) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func parse(t testing.TB, s Spec) *Calendar {
	t.Helper()
	c, problems := Parse(s)
	if problems != nil {
		t.Fatal(problems)
	}
	return c
}

func TestAdd(t *testing.T) {
	t.Parallel()
	office := Spec{Days: "mon-fri", Hours: "08:00-18:00", Holidays: []string{"12-25", "2026-12-28"}, Zone: berlin(t)}
	night := Spec{Days: "mon-fri", Hours: "22:00-06:00", Zone: berlin(t)}
	always := Spec{Zone: berlin(t)}
	for _, c := range []struct {
		spec Spec
		from string
		d    time.Duration
		want string
	}{
		{office, "2026-03-02T10:00:00+01:00", 4 * time.Hour, "2026-03-02T14:00:00+01:00"},
		{office, "2026-03-02T10:00:00+01:00", 8 * time.Hour, "2026-03-02T18:00:00+01:00"},
		{office, "2026-03-02T10:00:00+01:00", 8*time.Hour + 1, "2026-03-03T08:00:00.000000001+01:00"},
		{office, "2026-03-02T19:30:00+01:00", time.Hour, "2026-03-03T09:00:00+01:00"},
		{office, "2026-03-07T12:00:00+01:00", time.Hour, "2026-03-09T09:00:00+01:00"},
		{office, "2026-03-07T12:00:00+01:00", 0, "2026-03-07T12:00:00+01:00"},
		{office, "2026-03-27T17:00:00+01:00", 2 * time.Hour, "2026-03-30T09:00:00+02:00"},         // over the change of the clock
		{office, "2026-12-24T17:00:00+01:00", 2 * time.Hour, "2026-12-29T09:00:00+01:00"},         // over holidays and a weekend
		{office, "2026-03-02T08:00:00+01:00", 48 * time.Hour, "2026-03-06T16:00:00+01:00"},        // four days and eight hours
		{night, "2026-03-06T23:00:00+01:00", 7 * time.Hour, "2026-03-07T06:00:00+01:00"},          // Friday's night ends on Saturday
		{night, "2026-03-07T05:00:00+01:00", 2 * time.Hour, "2026-03-09T23:00:00+01:00"},          // and goes on on Monday
		{night, "2026-10-23T22:00:00+02:00", 9 * time.Hour, "2026-10-26T23:00:00+01:00"},          // Saturday's night is not counted
		{always, "2026-03-28T12:00:00+01:00", 24 * time.Hour, "2026-03-29T13:00:00+02:00"},        // hours are hours, whatever the clock shows
		{always, "2024-02-28T12:00:00+01:00", 2 * 24 * time.Hour, "2024-03-01T12:00:00+01:00"},    // leap day
		{always, "2026-01-01T00:00:00+01:00", 3600 * 24 * time.Hour, "2035-11-10T00:00:00+01:00"}, // nearly ten years
	} {
		cal := parse(t, c.spec)
		from, _ := time.Parse(time.RFC3339, c.from)
		got, err := cal.Add(from, c.d)
		if text := got.Format(time.RFC3339Nano); err != nil || text != c.want {
			t.Errorf("%v: %s and %v: got %s, %v, want %s", cal, c.from, c.d, text, err, c.want)
		}
		if back := cal.Between(from, got); back != c.d {
			t.Errorf("%v: between %s and %v: %v", cal, c.from, got, back)
		}
	}
}

func TestAddIsBounded(t *testing.T) {
	t.Parallel()
	rare := parse(t, Spec{Days: "mon", Hours: "00:00-00:01", Holidays: everyDayBut("02-29")})
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if got, err := rare.Add(from, time.Minute); !errors.Is(err, ErrTooFar) {
		t.Errorf("a Monday in February 2044: %v, %v", got, err)
	}
	if opens, closes := rare.Next(from); !opens.IsZero() || !closes.IsZero() || rare.Open(from) {
		t.Error(opens, closes)
	}
	office := parse(t, Spec{Hours: "08:00-18:00"})
	if got, err := office.Add(from, 1<<63-1); !errors.Is(err, ErrTooFar) {
		t.Errorf("292 years: %v, %v", got, err)
	}
	if got, err := office.Add(from, -1); err == nil {
		t.Errorf("less than nothing: %v", got)
	}
	if got := office.Between(from, from.AddDate(1000, 0, 0)); got != (Horizon+1)*10*time.Hour {
		t.Errorf("a thousand years: %v", got)
	}
	for _, at := range []time.Time{{}, time.Unix(1<<62, 0), time.Unix(-1<<62, 0)} {
		office.Open(at)
		office.Next(at)
		if _, err := office.Add(at, time.Hour); err != nil {
			t.Errorf("%v: %v", at.Unix(), err)
		}
	}
}

func everyDayBut(names ...string) []string {
	var all []string
	for d := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC); d.Year() == 2024; d = d.AddDate(0, 0, 1) {
		name := d.Format("01-02")
		if !strings.Contains(fmt.Sprint(names), name) {
			all = append(all, name)
		}
	}
	return all
}

func TestNext(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		hours, at, opens, closes string
	}{
		{"08:00-18:00", "2026-03-06T12:00:00Z", "2026-03-09T08:00:00Z", "2026-03-06T18:00:00Z"},
		{"08:00-18:00", "2026-03-06T18:00:00Z", "2026-03-09T08:00:00Z", "2026-03-09T18:00:00Z"},
		{"08:00-18:00", "2026-03-06T08:00:00Z", "2026-03-09T08:00:00Z", "2026-03-06T18:00:00Z"},
		{"08:00-12:00,12:00-18:00", "2026-03-06T09:00:00Z", "2026-03-09T08:00:00Z", "2026-03-06T18:00:00Z"},
		{"00:00-24:00", "2026-03-04T09:00:00Z", "2026-03-09T00:00:00Z", "2026-03-07T00:00:00Z"},
		{"22:00-06:00", "2026-03-07T01:00:00Z", "2026-03-09T22:00:00Z", "2026-03-07T06:00:00Z"},
	} {
		cal := parse(t, Spec{Days: "mon-fri", Hours: c.hours})
		at, _ := time.Parse(time.RFC3339, c.at)
		opens, closes := cal.Next(at)
		if opens.Format(time.RFC3339) != c.opens || closes.Format(time.RFC3339) != c.closes {
			t.Errorf("%v at %s: opens %v, closes %v", cal, c.at, opens, closes)
		}
	}
	if opens, closes := parse(t, Spec{}).Next(time.Unix(0, 0)); !opens.IsZero() || !closes.IsZero() {
		t.Errorf("always open: opens %v, closes %v", opens, closes)
	}
}

func TestString(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		spec Spec
		want string
	}{
		{Spec{}, "mon-sun 00:00-24:00 UTC"},
		{Spec{Days: "Mon-Fri", Hours: "8:00-18:00", Holidays: []string{"12-25"}, Zone: berlin(t)}, "mon-fri 08:00-18:00 Europe/Berlin except 1 holiday"},
		{Spec{Days: "fri-mon, wed", Hours: "13:30-18:00,9:00-12:00", Holidays: []string{"12-25", "2026-05-01"}}, "mon,wed,fri-sun 09:00-12:00, 13:30-18:00 UTC except 2 holidays"},
		{Spec{Days: "sat,sun", Hours: "22:00-06:00"}, "sat,sun 22:00-06:00 UTC"},
	} {
		if got := parse(t, c.spec).String(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestParseTellsAllProblems(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		spec Spec
		want []string
	}{
		{Spec{Days: "monday-fri"}, []string{`days: found "monday", expected mon, tue, wed, thu, fri, sat or sun (write mon)`}},
		{Spec{Days: "mon,,montag,x"}, []string{`days: found "", expected mon`, `days: found "montag"`, `days: found "x", expected mon, tue, wed, thu, fri, sat or sun (such as mon-fri`}},
		{Spec{Days: "mon-wed-fri"}, []string{`days: found "wed-fri"`}},
		{Spec{Hours: "8"}, []string{`hours: found "8", expected two times with a hyphen between them (such as 08:00-18:00)`}},
		{Spec{Hours: "08:00-18:60"}, []string{`hours: found "18:60", expected a time from 00:00 to 24:00`}},
		{Spec{Hours: "24:00-25:00,8-x"}, []string{`found "24:00", expected a time from 00:00 to 23:59`, `found "25:00"`, `found "8"`, `found "x"`}},
		{Spec{Hours: "+8:00-18:0"}, []string{`found "+8:00"`, `found "18:0"`}},
		{Spec{Hours: "08:00-08:00"}, []string{`found "08:00-08:00", expected two different times (the whole day is 00:00-24:00)`}},
		{Spec{Hours: "08:00-12:00, 11:00-13:00"}, []string{`08:00-12:00 overlaps 11:00-13:00, expected each hour once`}},
		{Spec{Hours: "05:00-12:00, 22:00-06:00"}, []string{`22:00-06:00 overlaps 05:00-12:00`}},
		{Spec{Holidays: []string{"2026-12-25", "25.12.", "2026-02-30", "02-30"}}, []string{`holidays[1]: found "25.12.", expected a date such as 2026-12-25, or 12-25 for every year`, `holidays[2]: found "2026-02-30"`, `holidays[3]: found "02-30"`}},
		{Spec{Holidays: everyDayBut()}, []string{`holidays: every day of every year is a holiday`}},
		{Spec{Days: "x", Hours: "y", Holidays: []string{"z"}}, []string{"days: ", "hours: ", "holidays[0]: "}},
	} {
		cal, problems := Parse(c.spec)
		if cal != nil || len(problems) != len(c.want) {
			t.Errorf("%+v: got %v, %v", c.spec, cal, problems)
			continue
		}
		for i, p := range problems {
			if !strings.Contains(p.Error(), c.want[i]) {
				t.Errorf("%+v: got %q, want %q", c.spec, p.Error(), c.want[i])
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("mon-fri", "08:00-18:00", "2026-12-25")
	f.Add("fri-mon,wed", "22:00-06:00,7:00-9:00", "12-25")
	f.Fuzz(func(t *testing.T, days, hours, holiday string) {
		c, problems := Parse(Spec{Days: days, Hours: hours, Holidays: []string{holiday}})
		if (c == nil) != (len(problems) > 0) {
			t.Fatal("neither a calendar nor a problem, or both")
		}
		if c == nil {
			return
		}
		from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		due, err := c.Add(from, time.Hour)
		if err != nil || c.Between(from, due) != time.Hour {
			t.Fatalf("%v: due %v, %v", c, due, err)
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	c := parse(b, Spec{Days: "mon-fri", Hours: "08:00-18:00", Holidays: []string{"12-25"}, Zone: berlin(b)})
	from := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Add(from, 48*time.Hour); err != nil {
			b.Fatal(err)
		}
	}
}
