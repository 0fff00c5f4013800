package backtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

func TestEditsTellMovesAndParameters(t *testing.T) {
	t.Parallel()
	file := func(params map[string]any, ids ...string) []rules.File {
		text := "version: 1\r\ngroups:\r\n  - name: g\r\n    match: first\r\n    rules:\r\n"
		for _, id := range ids {
			text += "      - id: " + id + "\r\n        when: score > 1 # a remark\r\n\r\n        do: [{tag: [t]}]\r\n\r\n      # about the next one\r\n"
		}
		return []rules.File{{Name: "a.yaml", Data: []byte(text), Params: params}}
	}
	got := fmt.Sprint(Edits(file(nil, "a", "b", "c"), file(map[string]any{"hours": 48}, "b", "c", "a", "d")))
	want := "[{rule d added [+ id: d + when: score > 1 # a remark +  + do: [{tag: [t]}]]} {rule a moved []} {values a.yaml hours added [+ hours: 48]}]"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if same := Edits(file(nil, "a", "b"), file(nil, "a", "b")); len(same) != 0 {
		t.Errorf("equal files differ in %v", same)
	}
}

// TestLineDiff applies differences to the old text, which must give the new one.
func TestLineDiff(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 12)
		a, b := lines.Draw(t, "a"), lines.Draw(t, "b")
		var was, is []string
		for _, l := range lineDiff(a, b) {
			mark, text := l[:2], l[2:]
			if mark != "+ " {
				was = append(was, text)
			}
			if mark != "- " {
				is = append(is, text)
			}
		}
		if !slices.Equal(was, a) || !slices.Equal(is, b) {
			t.Fatalf("%v and %v give %q", a, b, lineDiff(a, b))
		}
	})
}

func TestPeriods(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	day := func(s string) feedback.Time {
		at, err := time.ParseInLocation("2006-01-02 15:04", s, berlin)
		if err != nil {
			t.Fatal(err)
		}
		return feedback.TimeOf(at)
	}
	p := newPeriods(day("2026-03-28 10:00"), day("2026-03-31 00:00"), berlin) // the clock changes on the 29th
	if want := []feedback.Time{day("2026-03-28 10:00"), day("2026-03-29 00:00"), day("2026-03-30 00:00")}; !slices.Equal(p.starts, want) || p.days != 1 {
		t.Errorf("periods %v of %d days, want %v", p.starts, p.days, want)
	}
	for _, c := range []struct {
		at   string
		want int
	}{{"2026-03-30 23:59", 2}, {"2026-03-28 10:00", 0}, {"2026-03-29 00:00", 1}, {"2026-03-01 00:00", 0}, {"2026-05-01 00:00", 2}} {
		if got := p.of(day(c.at)); got != c.want {
			t.Errorf("%s is in period %d, want %d", c.at, got, c.want)
		}
	}
	for _, years := range []int{0, 1, 2, 10, 56, 300, 7979} {
		p := newPeriods(day("2020-01-01 00:00"), feedback.TimeOf(day("2020-01-01 00:00").Std().AddDate(years, 0, 0)), time.UTC)
		if n := len(p.starts); n < 1 || n > maxPeriods+1 {
			t.Errorf("%d years are %d periods", years, n)
		}
	}
}

func TestSamplesDoNotDependOnTheOrder(t *testing.T) {
	t.Parallel()
	var items []*feedback.Item
	for i := range 50 {
		at := monday.Add(time.Duration(i) * time.Hour)
		items = append(items, &feedback.Item{ID: feedback.NewItemID(at, "s", fmt.Sprint(i)), OccurredAt: at, Text: strings.Repeat("wörd ", i)})
	}
	list := func() string {
		var s sampler
		for _, it := range items {
			s.add(it)
		}
		return fmt.Sprint(s.list())
	}
	first := list()
	slices.Reverse(items)
	if again := list(); again != first || len(first) == 0 {
		t.Errorf("one order gives %s, the other %s", first, again)
	}
	if got := firstWords(&feedback.Item{Text: strings.Repeat("ä", 300)}); len([]rune(got)) != sampleRunes+1 {
		t.Errorf("a long word gives %d characters", len([]rune(got)))
	}
	if got := firstWords(&feedback.Item{Title: " a\n\ttitle "}); got != "a title" {
		t.Errorf("a title gives %q", got)
	}
}

func TestMemoryDoesNotGrowWithItems(t *testing.T) {
	t.Parallel()
	run := New(compile(t, files(t, "old.yaml")), Options{Since: monday, Until: monday.Add(400 * 24 * time.Hour)})
	at := monday
	for i := range 20_000 {
		at = at.Add(20 * time.Minute)
		run.Add(&feedback.Event{Labels: &feedback.Labels{}, Item: &feedback.Item{
			ID: feedback.NewItemID(at, "s", fmt.Sprint(i)), Survey: feedback.NPS, Score: new(float64(i % 11)), OccurredAt: at,
			Customer: feedback.Customer{ID: fmt.Sprint(i)}, // each of which has a throttle of its own
		}})
	}
	if n := run.world.Kept(); n > 2000 {
		t.Errorf("after 20,000 items the world keeps %d things", n)
	}
}
