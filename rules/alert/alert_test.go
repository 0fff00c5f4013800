package alert

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/closedloop/closedloop/sdk/feedback"
	"pgregory.net/rapid"
)

// A group of ten thousand alerts lists the first hundred of those that it follows, counts all of them, and fits into
// half a mebibyte.
func TestGroupBounds(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"short": "", "long": strings.Repeat("x", 900), "odd": strings.Repeat("<\x01\xff\"", 100)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var g Group
			pace := DefaultPace()
			for i := range 10_000 {
				m := Member{Rule: "r", Key: fmt.Sprintf("%05d%s", i, text), Summary: text, Severity: "info", FiringAt: minute(0)}
				if i%100 == 99 {
					m.Severity = "critical" // a hundred of them, most after the group is full
				}
				g.Update(m, true, minute(0), pace)
			}
			data, err := json.Marshal(&g)
			if err != nil || len(data) > 512<<10 {
				t.Errorf("stored in %d bytes: %v", len(data), err)
			}
			n, why := g.Flush(minute(1), pace, Conditions{})
			if why != News || n.FiringCount != 10_000 || n.NewCount != 10_000 || len(n.Firing) != min(MaxListed, len(g.Members)) {
				t.Fatalf("%s: found %d firing, %d new, %d listed", why, n.FiringCount, n.NewCount, len(n.Firing))
			}
			for i, l := range n.Firing {
				if want := fmt.Sprintf("%05d", i*100+99); l.Severity != "critical" || l.Key[:5] != want {
					t.Fatalf("place %d has %.5s, %s, expected %s", i, l.Key, l.Severity, want)
				}
			}
			for i := range 10_000 {
				g.Update(Member{Rule: "r", Key: fmt.Sprintf("%05d%s", i, text)}, false, minute(10), pace)
			}
			followed := int64(len(g.Members))
			n, _ = g.Flush(minute(40), pace, Conditions{})
			if n == nil || n.ResolvedCount != followed || int64(len(n.Resolved)) != min(MaxListed, followed) || n.FiringCount != 0 {
				t.Errorf("of %d resolved found %+v", followed, n)
			}
			if g.stored != 0 || len(g.Members) != 0 {
				t.Errorf("found %d members in %d bytes", len(g.Members), g.stored)
			}
		})
	}
}

// What was told is followed until it is over, however severe that is which comes when the group is full.
func TestFullGroupKeepsWhatWasTold(t *testing.T) {
	t.Parallel()
	var g Group
	for i := range MaxMembers {
		g.Update(Member{Rule: "r", Key: fmt.Sprint(i)}, true, minute(0), Pace{})
	}
	g.Flush(minute(0), Pace{}, Conditions{})
	g.Update(Member{Rule: "r", Key: "late", Severity: "critical"}, true, minute(1), Pace{})
	n, why := g.Flush(minute(1), Pace{}, Conditions{})
	if why != News || n.NewCount != 1 || n.FiringCount != MaxMembers+1 || len(g.Members) != MaxMembers {
		t.Errorf("%s: found %d new of %d firing, following %d", why, n.NewCount, n.FiringCount, len(g.Members))
	}
}

// What a group reckons for a member is enough for what is stored of it.
func TestSizeOf(t *testing.T) {
	t.Parallel()
	f := Followed{
		Member: Member{Rule: "nps-drop", Key: "a<b>&\"\\\x01\u2028é", Severity: "critical", Summary: "…", FiringAt: minute(0),
			ResolvedAt: minute(1), Items: math.MaxInt64},
		Firing: true, Told: true, ToldSeverity: "critical", NewsAt: minute(2), Owed: true, Held: cut(strings.Repeat("x", 200), maxHeld),
	}
	data, err := json.Marshal(f)
	if err != nil || len(data)+1 > sizeOf(f.Member) || len(data)+100 < sizeOf(f.Member) {
		t.Errorf("reckoned %d bytes, stored are %d: %v", sizeOf(f.Member), len(data), err)
	}
}

// A summary that grows in a full group does not burst the group.
func TestGroupSummariesGrow(t *testing.T) {
	t.Parallel()
	var g Group
	for _, text := range []string{"", strings.Repeat("é", 500)} {
		for i := range MaxMembers {
			g.Update(Member{Rule: "r", Key: fmt.Sprint(i), Summary: text}, true, minute(0), Pace{})
		}
	}
	data, err := json.Marshal(&g)
	if err != nil || len(data) > 512<<10 || len(g.Members) != MaxMembers {
		t.Fatalf("%d members in %d bytes: %v", len(g.Members), len(data), err)
	}
	if s := g.Members[0].Summary; len(s) > MaxSummary || !utf8.ValidString(s) || !strings.HasSuffix(s, "…") {
		t.Errorf("found summary %q", s)
	}
	reread(t, &g)
	if again, err := json.Marshal(&g); err != nil || string(again) != string(data) {
		t.Error("a restart changes the group")
	}
}

// The order of a notification is the same in whatever order its members came.
func TestNotificationOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var members []Member
		for _, severity := range []string{"", "info", "warning", "critical"} {
			for _, key := range []string{"", "a", "a/b", "ä"} {
				members = append(members, Member{Rule: "r" + key, Key: key + severity, Severity: severity, FiringAt: minute(0)})
			}
		}
		flush := func(list []Member) *Notification {
			var g Group
			for _, m := range list {
				g.Update(m, true, minute(0), Pace{})
			}
			n, _ := g.Flush(minute(0), Pace{}, Conditions{})
			return n
		}
		want := flush(members)
		if got := flush(rapid.Permutation(members).Draw(t, "order")); !reflect.DeepEqual(got, want) {
			t.Fatalf("found %v, expected %v", got, want)
		}
		if !slices.IsSortedFunc(want.Firing, func(a, b Listed) int { return rank(b.Severity) - rank(a.Severity) }) {
			t.Fatalf("not by severity: %v", want)
		}
	})
}

// A group that is forgotten and begins again goes on with greater numbers, so that nothing is taken for sent already.
func TestSequence(t *testing.T) {
	t.Parallel()
	last := int64(0)
	for n := range 5 {
		var g Group
		for range 3 {
			g.Update(Member{Rule: "r"}, n%2 == 0 || len(g.Members) == 0, minute(n), Pace{})
			if note, _ := g.Flush(minute(n), Pace{}, Conditions{}); note != nil {
				if note.Sequence <= last {
					t.Errorf("found %d after %d", note.Sequence, last)
				}
				last = note.Sequence
			}
			g.Update(Member{Rule: "r"}, false, minute(n), Pace{})
		}
	}
	if got := sequence(math.MaxInt64, 5); got != math.MaxInt64 {
		t.Errorf("found %d", got)
	}
	if got := sequence(8000, 5); got != 8001 {
		t.Errorf("the clock was set back: found %d", got)
	}
}

// Conditions that answer with an end in the past do not make a group turn in circles.
func TestConditionsInThePast(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Conditions{
		"silenced for ever": {Silenced: func(Member) (string, feedback.Time, bool) { return "s", math.MaxInt64, true }},
		"silenced":          {Silenced: func(Member) (string, feedback.Time, bool) { return "s", minute(-5), true }},
		"muted":             {Muted: func(feedback.Time) (feedback.Time, bool) { return 0, true }},
	} {
		var g Group
		g.Update(Member{Rule: "r"}, true, minute(0), Pace{})
		n, _ := g.Flush(minute(0), Pace{}, c)
		if due, ok := g.Due(); n != nil || !ok || due != minute(1) && due != lastInstant {
			t.Errorf("%s: found %v, due %s", name, n, due)
		}
	}
}

func TestDigestBounds(t *testing.T) {
	t.Parallel()
	var d Digest
	for range 10_000 {
		d.Add(Entry{Rule: "r", Text: strings.Repeat("é", 2000)}, minute(0), Rhythm{})
	}
	if data, err := json.Marshal(&d); err != nil || len(data) > 512<<10 {
		t.Errorf("stored in %d bytes: %v", len(data), err)
	}
	c, why := d.Flush(minute(24*60), Rhythm{}, nil)
	if why != News || c.Count != 10_000 || len(c.Entries) != MaxEntries || !d.Idle() {
		t.Errorf("%s: found %d entries of %d", why, len(c.Entries), c.Count)
	}
}

// Fixed times stand on the clock on the wall, also where a day has 23 or 25 hours.
func TestRhythm(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	hours := func(n int) time.Duration { return time.Duration(n) * time.Hour }
	for _, c := range []struct {
		name      string
		rhythm    Rhythm
		now, want string
	}{
		{"a day after", Rhythm{}, "2026-03-02T10:00:00Z", "2026-03-03T10:00:00Z"},
		{"a minute after", Rhythm{Every: time.Minute}, "2026-03-02T10:00:00Z", "2026-03-02T10:01:00Z"},
		{"midnight", Rhythm{Aligned: true}, "2026-03-02T10:00:00Z", "2026-03-03T00:00:00Z"},
		{"at the time itself", Rhythm{Aligned: true, Offset: hours(10)}, "2026-03-02T10:00:00Z", "2026-03-03T10:00:00Z"},
		{"before the hour is lost", Rhythm{Aligned: true, Offset: hours(8), Zone: berlin}, "2026-03-28T12:00:00Z", "2026-03-29T06:00:00Z"},
		{"after it", Rhythm{Aligned: true, Offset: hours(8), Zone: berlin}, "2026-03-29T06:00:00Z", "2026-03-30T06:00:00Z"},
		{"an hour is won", Rhythm{Aligned: true, Offset: hours(8), Zone: berlin}, "2026-10-24T12:00:00Z", "2026-10-25T07:00:00Z"},
		{"every six hours", Rhythm{Every: hours(6), Aligned: true, Offset: hours(1)}, "2026-03-02T13:30:00Z", "2026-03-02T19:00:00Z"},
		{"into the next day", Rhythm{Every: hours(6), Aligned: true, Offset: hours(1)}, "2026-03-02T19:30:00Z", "2026-03-03T01:00:00Z"},
		{"every seven hours begins anew", Rhythm{Every: hours(7), Aligned: true}, "2026-03-02T22:00:00Z", "2026-03-03T00:00:00Z"},
		{"monday", Rhythm{Every: 7 * day, Aligned: true, Offset: hours(9)}, "2026-03-04T10:00:00Z", "2026-03-09T09:00:00Z"},
		{"monday morning", Rhythm{Every: 7 * day, Aligned: true, Offset: hours(9)}, "2026-03-09T08:00:00Z", "2026-03-09T09:00:00Z"},
		{"friday", Rhythm{Every: 7 * day, Aligned: true, Offset: 4*day + hours(9)}, "2026-03-04T10:00:00Z", "2026-03-06T09:00:00Z"},
		{"a day and a half is two", Rhythm{Every: hours(36), Aligned: true}, "1970-01-05T10:00:00Z", "1970-01-07T00:00:00Z"},
		{"offset before midnight", Rhythm{Aligned: true, Offset: -hours(2)}, "2026-03-02T10:00:00Z", "2026-03-02T22:00:00Z"},
	} {
		at := func(s string) feedback.Time {
			v, err := time.Parse(time.RFC3339, s)
			if err != nil {
				t.Fatal(err)
			}
			return feedback.TimeOf(v)
		}
		if got := c.rhythm.next(at(c.now)); got != at(c.want) {
			t.Errorf("%s: found %s, expected %s", c.name, got, c.want)
		}
	}
}

// Digests lose nothing, double nothing, and number rising, whatever the clock does.
// TestDigestDrop takes messages out of a digest. What is left of it is sent when it was to be, and nothing of none.
func TestDigestDrop(t *testing.T) {
	t.Parallel()
	var d Digest
	r := Rhythm{Every: time.Hour}
	for i := range 5 {
		d.Add(Entry{Item: fmt.Sprint(i % 2)}, feedback.Time(1000+i), r)
	}
	due := d.DueAt
	if n := d.Drop(func(e Entry) bool { return e.Item == "0" }); n != 3 || d.Count != 2 || d.DueAt != due {
		t.Errorf("%d dropped: %+v", n, d)
	}
	if c, _ := d.Flush(due, r, nil); c == nil || c.Count != 2 || len(c.Entries) != 2 {
		t.Errorf("flushed %+v", c)
	}
	d.Add(Entry{Item: "1"}, due, r)
	if n := d.Drop(func(Entry) bool { return true }); n != 1 || !d.Idle() || d.DueAt != 0 || d.Sequence == 0 {
		t.Errorf("%d dropped: %+v", n, d)
	}
}

func TestDigestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var d Digest
		r := Rhythm{Every: time.Duration(rapid.IntRange(0, 3000).Draw(t, "every")) * time.Minute,
			Aligned: rapid.Bool().Draw(t, "aligned"), Offset: time.Duration(rapid.IntRange(-600, 600).Draw(t, "offset")) * time.Minute}
		now, waiting, last := 10_000, int64(0), int64(0)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now += rapid.SampledFrom([]int{0, 1, 60, 1440, -500}).Draw(t, "minutes")
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				d.Add(Entry{Rule: "r", At: minute(now)}, minute(now), r)
				waiting++
			case 1:
				once := d
				reread(t, &d)
				if !reflect.DeepEqual(once, d) {
					t.Fatalf("a restart makes %+v of %+v", d, once)
				}
			}
			c, why := d.Flush(minute(now), r, nil)
			latest := after(minute(now), max(r.Every, time.Minute))
			if r.Every == 0 || r.Aligned {
				latest = after(minute(now), 4*day)
			}
			if due, ok := d.Due(); ok != (d.Count > 0) || ok && (due <= minute(now) || due > latest) {
				t.Fatalf("%s: due %s at %s", why, due, minute(now))
			}
			if c == nil {
				continue
			}
			if c.Count != waiting || c.Sequence <= last || int64(len(c.Entries)) != min(waiting, MaxEntries) {
				t.Fatalf("found %+v, expected %d messages and a number over %d", c, waiting, last)
			}
			waiting, last = 0, c.Sequence
		}
		if d.Count != waiting {
			t.Fatalf("%d messages are left, expected %d", d.Count, waiting)
		}
	})
}

func TestDamaged(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		into any
		text string
		want string // part of the error, or "" for a state that is repaired
	}{
		{new(Instance), `[]`, "cannot unmarshal"},
		{new(Instance), `{"status":"burning"}`, `found status "burning"`},
		{new(Instance), `{"status":"pending"}`, "without since"},
		{new(Instance), `{"status":"firing","since":"2026-03-02T10:00:00Z"}`, "without since or firing_at"},
		{new(Instance), `{"status":"resolved"}`, "without firing_at or resolved_at"},
		{new(Instance), `{"since":"2026-03-02T10:00:00Z"}`, "in one that is inactive"},
		{new(Instance), `{"firings":-1}`, "negative"},
		{new(Instance), `{"firing_at":"1950-03-02T10:00:00Z"}`, "from 1970"},
		{new(Instance), `{"status":"pending","since":"2026-03-02T10:00:00Z"}`, ""},
		{new(Group), `{"members":7}`, "cannot unmarshal"},
		{new(Group), `{"sequence":-1}`, "sequence -1"},
		{new(Group), `{"members":[{"rule":"a","firing":true},{"rule":"b","told":true},{"rule":"a","told":true}]}`, "twice"},
		{new(Group), `{"members":[{"rule":"b","firing":true},{"rule":"a","firing":true},{"rule":"c"}]}`, ""},
		{new(Digest), `{"count":1}`, "first_at"},
		{new(Digest), `{"entries":[{"rule":"r"}]}`, "count 0 with 1 entries"},
		{new(Silence), `{"rule":"r","starts":"2026-03-02T10:00:00Z","ends":"2026-03-02T11:00:00Z","by":"a","why":"b"}`, "no id"},
		{new(Silence), `{"id":"s_1","rule":"r"}`, "expected both"},
	} {
		err := json.Unmarshal([]byte(c.text), c.into)
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: found %v, expected %q", c.text, err, c.want)
		}
	}
}

// What was damaged and repaired is told.
func TestRepairedGroupTells(t *testing.T) {
	t.Parallel()
	var g Group
	err := json.Unmarshal([]byte(`{"members":[{"rule":"b","firing":true},{"rule":"a","told":true},{"rule":"c"}]}`), &g)
	if due, ok := g.Due(); err != nil || !ok || due > minute(0) {
		t.Fatalf("due %s, %t: %v", due, ok, err)
	}
	if n, why := g.Flush(minute(0), DefaultPace(), Conditions{}); n == nil || told(n) != ", firing b/(new), resolved a/" {
		t.Errorf("%s: found %v", why, n)
	}
}
