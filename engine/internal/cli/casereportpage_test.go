package cli

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// TestReportPage writes a page of hostile names, which needs nothing from elsewhere and is well-formed.
func TestReportPage(t *testing.T) {
	t.Parallel()
	evil := "<script src=\"https://x.example/\">&\"'</title></script>\u202e\x07"
	share := engine.Share{Of: 20, Yes: 15, Value: 0.75, Lo: 0.53, Hi: 0.89}
	group := engine.CaseGroup{Name: evil, Opened: 20, Open: 3, Resolved: 17, Attempts: 22}
	group.Response.Share, group.Response.Timed, group.Response.Median, group.Response.P90 = share, 18, 3.5, 20
	r := &engine.CaseReport{
		Until: 1_772_445_600_000, CaseGroup: group, Reopened: share, Recovered: share, Detractors: share,
		Owners: []engine.CaseGroup{group, {}}, Queues: []engine.CaseGroup{group},
		Reached: []engine.CaseCount{{Name: evil, Cases: 3}}, Outcomes: []engine.CaseCount{{Name: evil, Cases: 3}},
		AtRisk:     slices.Repeat([]engine.ValueAtRisk{{Theme: feedback.ThemePath(evil), Cases: 2, Customers: 2, Value: 12_500, Late: 500, Affected: 20_000}}, 2*shownRisks),
		RiskTotal:  engine.ValueAtRisk{Cases: 2, Customers: 2, Value: 12_500, Late: 500},
		OldestOpen: &feedback.Case{ID: "k_1", OpenedAt: 1_772_000_000_000, Queue: evil}, Missed: []feedback.ItemID{"f_1"},
	}
	for name, r := range map[string]*engine.CaseReport{"full": r, "empty": {}} {
		var b strings.Builder
		if err := reportPage(&b, r, "small", time.UTC); err != nil {
			t.Fatal(err)
		}
		page := b.String()
		for _, bad := range []string{"\u202e", "\x07", "href=", "url(", "@import", "<title></title>"} {
			if strings.Contains(page, bad) {
				t.Errorf("%s: the page has %q", name, bad)
			}
		}
		if n := strings.Count(page, "<svg"); n != strings.Count(page, "<title>")-1 {
			t.Errorf("%s: %d pictures have %d titles", name, n, strings.Count(page, "<title>")-1)
		}
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

func TestReportLead(t *testing.T) {
	t.Parallel()
	busy := &engine.CaseReport{Detractors: engine.Share{Of: 3, Yes: 2}, RiskTotal: engine.ValueAtRisk{Cases: 2, Value: 12_500}}
	busy.Opened, busy.Open = 3, 2
	busy.Response.Share = engine.Share{Of: 3, Yes: 2, Value: 2.0 / 3}
	for want, r := range map[string]*engine.CaseReport{
		"No case was opened in this time.": {},
		"Nothing is open.":                 {CaseGroup: engine.CaseGroup{Opened: 1, Resolved: 1}},
		"67 % of 3 promised responses were given in time; 2 cases of this time are open; 12,500 of account value is at risk; 1 detractor is without a case.": busy,
	} {
		if got := lead(r); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
