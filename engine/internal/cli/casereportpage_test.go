package cli

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// TestReportPage writes a page of hostile names, which needs nothing from elsewhere and is well-formed.
func TestReportPage(t *testing.T) {
	t.Parallel()
	evil := `<script src="https://x.example/">&"`
	share := engine.Share{Of: 20, Yes: 15, Value: 0.75, Lo: 0.53, Hi: 0.89}
	group := engine.CaseGroup{Name: evil, Opened: 20, Open: 3, Resolved: 17, Attempts: 22}
	group.Response.Share, group.Response.Timed, group.Response.Median, group.Response.P90 = share, 18, 3.5, 20
	r := &engine.CaseReport{
		Until: 1_772_445_600_000, CaseGroup: group, Reopened: share, Recovered: share, Detractors: share,
		Owners: []engine.CaseGroup{group, {}}, Queues: []engine.CaseGroup{group},
		Reached: []engine.CaseCount{{Name: evil, Cases: 3}}, Outcomes: []engine.CaseCount{{Name: evil, Cases: 3}},
		AtRisk:     []engine.ValueAtRisk{{Theme: feedback.ThemePath(evil), Cases: 2, Customers: 2, Value: 12_500}},
		OldestOpen: &feedback.Case{ID: "k_1", OpenedAt: 1_772_000_000_000, Queue: evil}, Missed: []feedback.ItemID{"f_1"},
	}
	for name, r := range map[string]*engine.CaseReport{"full": r, "empty": {}} {
		var b strings.Builder
		if err := reportPage(&b, r, time.UTC); err != nil {
			t.Fatal(err)
		}
		page := b.String()
		if strings.Contains(page, "<script") || strings.Contains(page, "NaN") || strings.Count(page, "<svg") < 4 && name == "full" {
			t.Errorf("%s:\n%s", name, page)
		}
		dec := xml.NewDecoder(strings.NewReader(page))
		dec.Strict, dec.AutoClose, dec.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
		for {
			if _, err := dec.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}
