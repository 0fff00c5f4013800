package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/plugins/codebook"
	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// BenchmarkBacktest tries rules on 20,000 stored items, and reads the same items without deciding on them. Read the
// ratios: the machine's speed cancels out. Run it with
//
//	go test -run '^$' -bench Backtest -benchtime 3x ./engine/
func BenchmarkBacktest(b *testing.B) {
	p := &parts{}
	p.feed.items = benchFeed(benchItems)
	e := open(b, benchProgram(b, "native:codebook"), p, func(o *engine.Options) { o.Native["codebook"] = codebook.Plugin })
	if _, err := e.RunOnce(b.Context()); err != nil {
		b.Fatal(err)
	}
	until := feedback.TimeOf(time.Now())
	rate := func(b *testing.B, pass func() int) float64 {
		n := 0
		for b.Loop() {
			n += pass()
		}
		perSecond := float64(n) / b.Elapsed().Seconds()
		b.ReportMetric(perSecond, "items/s")
		b.ReportMetric(0, "ns/op")
		return perSecond
	}
	var reading float64
	b.Run("read", func(b *testing.B) {
		reading = rate(b, func() (n int) {
			if err := e.EachPast(b.Context(), until, func(feedback.ItemID) { n++ }); err != nil {
				b.Fatal(err)
			}
			return n
		})
	})
	for _, n := range []int{10, 100, 1000} {
		for _, windows := range []bool{false, true} {
			ref := engine.RulesRef{Files: []rules.File{{Name: "bench.yaml", Data: []byte(benchRuleFile(n, windows))}}}
			name := fmt.Sprintf("rules=%d", n)
			if windows {
				name += ",windows"
			}
			b.Run(name, func(b *testing.B) {
				got := rate(b, func() int {
					out, err := e.Backtest(b.Context(), engine.BacktestOptions{Rules: ref}, nil)
					if err != nil || out.Items != benchItems {
						b.Fatal(err)
					}
					return out.Items
				})
				if reading > 0 {
					b.ReportMetric(reading/got, "x-reading")
				}
			})
		}
	}
}

// benchRuleFile writes rules scoped to what items have in common, and with windows four of them and two alerts over time.
func benchRuleFile(n int, windows bool) string {
	var b strings.Builder
	b.WriteString("version: 1\n")
	if windows {
		b.WriteString(`windows:
  nps: {metric: nps, over: 7d, step: 6h}
  nps_touchpoint: {metric: nps, over: 7d, step: 6h, by: touchpoint}
  themes: {metric: rate, over: 3d, step: 6h, by: theme}
  products: {metric: count, over: 7d, step: 1d, by: product}
`)
	}
	b.WriteString("groups:\n  - name: route\n    rules:\n")
	regions, segments, points := []string{"EU", "NA", "APAC"}, []string{"enterprise", "smb", "consumer"}, []string{"checkout", "support", "delivery"}
	for i := range n {
		when := fmt.Sprintf(`nps <= %d && customer.region == "%s" && customer.segment == "%s" && touchpoint == "%s" && product == "product-%d"`,
			i%7, regions[i%3], segments[i/3%3], points[i/9%3], i%25)
		switch i % 5 {
		case 1:
			when = fmt.Sprintf(`"theme-%d" in themes && nps <= %d && product == "product-%d"`, i%10, i%7, i/5%25)
		case 2:
			when = fmt.Sprintf(`text contains "%s %s" && customer.arr > %d`, benchWords[i%len(benchWords)], benchWords[(i+1)%len(benchWords)], 100_000+i*300)
		}
		action := fmt.Sprintf("tag: [t%d]", i)
		if i%50 == 0 {
			when, action = fmt.Sprintf(`nps <= 6 && product == "product-%d"`, i/50%25), "case: {sla: 48h}"
		}
		fmt.Fprintf(&b, "      - id: rule-%d\n        when: '%s'\n        do: [{%s}]\n", i, when, action)
	}
	if windows {
		b.WriteString(`  - name: watch
    rules:
      - id: drop
        when: win.nps.n > 100 && win.nps.hi < 0
        alert: {summary: drop}
      - id: drop-touchpoint
        each: touchpoint
        when: win.nps_touchpoint.n > 100 && win.nps_touchpoint.hi < 0
        alert: {summary: drop}
`)
	}
	return b.String()
}
