package cli

import (
	"bytes"
	"encoding/xml"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/backtest"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// TestBacktestPage writes a page of which every name and text is hostile, and of every length.
func TestBacktestPage(t *testing.T) {
	t.Parallel()
	const evil = `"><script>alert(1)</script><img src=https://example.com/x.png onerror=alert(1)>'`
	set, err := rules.Compile([]rules.File{{Name: "r.yaml", Data: []byte(`
version: 1
pools: {p: {owners: ['` + strings.ReplaceAll(evil, "'", "''") + `'], capacity: 1}}
groups:
  - name: g
    rules:
      - {id: a, when: nps <= 6, do: [{assign: {queue: "` + strings.ReplaceAll(evil, `"`, `\"`) + `", pool: p}}, {case: {sla: 4h}}, {alert: {summary: "{text}", key: text}}, {notify: {destination: d, message: m}}]}
      - {id: b, mode: shadow, when: nps > 6, do: [{tag: [x]}]}
`)}}, rules.Env{})
	if err != nil {
		t.Fatal(err)
	}
	since := feedback.TimeOf(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC))
	for _, days := range []int{1, 30, 3000} {
		for _, items := range []int{0, 1, 500} {
			run := backtest.New(set, backtest.Options{Since: since, Until: since.Add(time.Duration(days) * 24 * time.Hour)})
			for i := range items {
				at := since.Add(time.Duration(days) * 24 * time.Hour * time.Duration(i) / time.Duration(items))
				run.Add(&feedback.Event{Labels: &feedback.Labels{}, Item: &feedback.Item{
					ID: feedback.NewItemID(at, "s", string(rune(i))), OccurredAt: at, Survey: feedback.NPS, Score: new(float64(i % 11)), Text: evil,
				}})
			}
			var b bytes.Buffer
			if err := backtestPage(&b, evil, &engine.Backtest{Name: evil, Timezone: "Europe/Berlin", Report: *run.Report()}); err != nil {
				t.Fatal(err)
			}
			page := b.String()
			if found := regexp.MustCompile(`(?i)<script|<img|<link|<iframe|url\(|@import|<[^>]* src=|NaN|%!`).FindString(page); found != "" {
				t.Errorf("%d items in %d days: the page holds %s", items, days, found)
			}
			if items > 0 && strings.Count(page, "<svg") < 4 {
				t.Errorf("%d items in %d days: %d pictures", items, days, strings.Count(page, "<svg"))
			}
			for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1) {
				dec := xml.NewDecoder(strings.NewReader(svg))
				for {
					_, err := dec.Token()
					if err == io.EOF {
						break
					}
					if err != nil {
						t.Fatalf("%d items in %d days: a picture is not well formed: %v\n%.500s", items, days, err, svg)
					}
				}
			}
		}
	}
}

func TestSparkline(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values  []int
		columns int
		want    string
	}{
		{nil, 10, ""},
		{[]int{0, 0}, 10, ""},
		{[]int{0, 1, 100}, 10, "▁▂█"},
		{[]int{1, 2, 3, 4, 5, 6, 7}, 10, "▂▃▄▅▆▇█"},
		{[]int{0, 9, 0, 0, 0, 3}, 3, "█▁▃"},
	} {
		if got := sparkline(c.values, c.columns); got != c.want {
			t.Errorf("%v in %d columns: %s, want %s", c.values, c.columns, got, c.want)
		}
	}
}
