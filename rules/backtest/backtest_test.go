package backtest

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var monday = feedback.TimeOf(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC))

func files(t testing.TB, name string) []rules.File {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return []rules.File{{Name: "route.yaml", Data: data}}
}

func compile(t testing.TB, files []rules.File) *rules.Set {
	t.Helper()
	set, err := rules.Compile(files, rules.Env{Queues: []string{"care", "vip"}, Destinations: []string{"team"}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// story is feedback of two weeks: every four hours an answer, and a bad second weekend.
func story(yield func(*feedback.Event) bool) {
	tiers := []string{"gold", "silver", "bronze", ""}
	for i := range 84 {
		at := monday.Add(time.Duration(i) * 4 * time.Hour)
		score := float64(7 + i%4)
		text := "we love it"
		if i%6 == 0 || i > 60 && i < 72 {
			score, text = float64(i%7), fmt.Sprintf("it broke %d times,\n and nobody answered", i)
		}
		it := &feedback.Item{
			ID: feedback.NewItemID(at, "app", fmt.Sprint(i)), Source: "app", Survey: feedback.NPS, Score: &score, Text: text,
			OccurredAt: at, Customer: feedback.Customer{ID: fmt.Sprintf("c-%d", i%9), Tier: tiers[i%4]},
		}
		if !yield(&feedback.Event{Item: it, Labels: &feedback.Labels{}}) {
			return
		}
	}
}

func options() Options {
	return Options{Since: monday.Add(4 * 24 * time.Hour), Until: monday.Add(14 * 24 * time.Hour)}
}

// golden compares a value as JSON with a file, or rewrites the file.
func golden(t *testing.T, name string, v any) {
	t.Helper()
	got, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile("testdata/"+name, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs; run with -update and look at the difference. Got\n%s", name, got)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	run := New(compile(t, files(t, "old.yaml")), options())
	for ev := range story {
		if ev.Item.OccurredAt >= run.From() {
			run.Add(ev)
		}
	}
	golden(t, "report.json", run.Report())
}

func TestDiff(t *testing.T) {
	t.Parallel()
	old, next := files(t, "old.yaml"), files(t, "new.yaml")
	c := Compare(compile(t, old), compile(t, next), options())
	for ev := range story {
		if ev.Item.OccurredAt >= c.From() {
			c.Add(ev)
		}
	}
	d := c.Diff()
	d.Files = Edits(old, next)
	golden(t, "diff.json", d)
}
