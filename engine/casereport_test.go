package engine_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// TestTheReport counts a small program by hand: six unhappy customers and one whom the rules have no case for.
func TestTheReport(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	ids := map[string]feedback.CaseID{}
	for i := range 6 {
		d.says(fmt.Sprint(i), float64(i), "#shipping", func(it *feedback.Item) {
			it.Customer.ID, it.Customer.ARR = fmt.Sprint("c", i), new(1000.0)
		})
	}
	cs, err := d.Cases(t.Context(), engine.CaseQuery{})
	if err != nil || len(cs) != 6 {
		t.Fatalf("%d cases, %v", len(cs), err)
	}
	for _, c := range cs {
		ids[c.Customer] = c.ID
	}
	end := engine.CaseResolution{Outcome: "refunded", RootCause: "carrier", Action: "paid"}
	for i, at := range []string{"2026-03-02 11:00", "2026-03-02 12:00", "2026-03-02 14:00", "2026-03-03 12:00"} { // the last one late
		d.until(at)
		id := ids[fmt.Sprint("c", i)]
		d.did(d.AssignCase(t.Context(), anna, id, engine.CaseAssignment{Owner: "anna"}, ""))
		d.did(d.AttemptCase(t.Context(), anna, id, engine.CaseAttempt{Channel: "phone", Result: "reached"}))
	}
	d.did(d.CloseCase(t.Context(), anna, ids["c0"], end, ""))
	d.did(d.ResolveCase(t.Context(), anna, ids["c1"], end, ""))
	d.until("2026-03-03 13:00")
	d.says("again", 1, "#price", func(it *feedback.Item) { it.Customer.ID = "c1" }) // no better than before
	r, err := d.CaseReport(t.Context(), engine.CaseReportQuery{})
	if err != nil {
		t.Fatal(err)
	}
	// Seven promises: three responses in time and that of the late one; two overdue; one of the reopened case to come.
	if p := r.Response; p.Of != 6 || p.Yes != 3 || p.Pending != 1 || p.Median != 3 || p.P90 != 26 || math.Abs(p.Lo-0.188) > 0.001 || math.Abs(p.Hi-0.812) > 0.001 {
		t.Errorf("responses %+v", p)
	}
	if p := r.Resolution; p.Of != 2 || p.Yes != 2 || p.Pending != 5 || p.Median != 26 {
		t.Errorf("resolutions %+v", p)
	}
	if r.Opened != 7 || r.Open != 5 || r.Attempts != 4 || r.Reopened.Yes != 1 || r.Reopened.Of != 2 || r.Recovered.Of != 1 || r.Recovered.Yes != 0 {
		t.Errorf("%+v", r)
	}
	if r.Detractors.Of != 7 || r.Detractors.Yes != 7 || len(r.Missed) != 0 {
		t.Errorf("%+v without a case: %v", r.Detractors, r.Missed)
	}
	if len(r.AtRisk) != 1 || r.AtRisk[0].Theme != "shipping" || r.AtRisk[0].Value != 5000 || r.AtRisk[0].Customers != 5 {
		t.Errorf("%+v", r.AtRisk)
	}
	if len(r.Owners) != 2 || r.Owners[0].Name != "anna" || r.Owners[0].Opened != 5 || r.Owners[0].Attempts != 4 || r.Owners[1].Name != "" {
		t.Errorf("%+v", r.Owners)
	}
	if r.Outcomes[0] != (engine.CaseCount{Name: "refunded", Cases: 2}) || r.RootCauses[0].Cases != 2 || r.OldestOpen == nil || r.OldestOpen.Customer == "c0" {
		t.Errorf("%+v, %+v, %+v", r.Outcomes, r.RootCauses, r.OldestOpen)
	}
	later, err := d.CaseReport(t.Context(), engine.CaseReportQuery{Since: feedback.TimeOf(berlin(t, "2026-03-03 12:30"))})
	if err != nil || later.Opened != 1 || later.Detractors.Of != 1 || later.Response.Of != 0 || later.Response.Hi != 1 {
		t.Errorf("%+v, %v", later, err)
	}
}

// TestDetractorsWithoutACase finds those whom the rules forget.
func TestDetractorsWithoutACase(t *testing.T) {
	t.Parallel()
	forgetful := open(t, writeProgram(t, programFiles+"-- rules/route.yaml --\nversion: 1\ngroups:\n  - name: g\n    rules:\n      - {id: a, when: nps < 1, do: [{case: {sla: 1h}}]}\n"), &parts{})
	for i := range 3 {
		if _, err := forgetful.Ingest(t.Context(), "app", answer(fmt.Sprint(i), float64(i), "late")); err != nil {
			t.Fatal(err)
		}
	}
	r, err := forgetful.CaseReport(t.Context(), engine.CaseReportQuery{})
	if err != nil || r.Detractors.Of != 3 || r.Detractors.Yes != 1 || len(r.Missed) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestAnAccountIsAtRiskOnce has two contacts of one company, one of whom complains twice, and a customer whose case is done.
func TestAnAccountIsAtRiskOnce(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	of := func(customer, account string, arr float64) func(*feedback.Item) {
		return func(it *feedback.Item) {
			it.Customer.ID, it.Customer.Account, it.Customer.ARR = customer, account, &arr
		}
	}
	d.says("1", 2, "#shipping #price", of("ida", "acme", 1000))
	d.until("2026-03-02 10:30")
	d.says("2", 1, "#shipping", of("joe", "acme", 1500))                            // worth more meanwhile
	d.says("older", 4, "the box", of("joe", "acme", 700), func(it *feedback.Item) { // comes late
		it.OccurredAt = feedback.TimeOf(berlin(t, "2026-03-02 09:00"))
	})
	d.says("3", 3, "#shipping", of("kim", "", 70.5))
	d.says("4", 0, "the box", of("lea", "", 8))
	cs, err := d.Cases(t.Context(), engine.CaseQuery{Customer: "kim"})
	if err != nil || len(cs) != 1 {
		t.Fatal(cs, err)
	}
	d.did(d.ResolveCase(t.Context(), anna, cs[0].ID, engine.CaseResolution{Outcome: "refunded"}, ""))
	d.until("2026-03-05 10:00") // nobody has answered
	r, err := d.CaseReport(t.Context(), engine.CaseReportQuery{})
	if err != nil {
		t.Fatal(err)
	}
	want := []engine.ValueAtRisk{
		{Theme: "shipping", Cases: 2, Customers: 1, Value: 1500, Late: 1500, Affected: 1570.5, AffectedCustomers: 2},
		{Theme: "price", Cases: 1, Customers: 1, Value: 1000, Late: 1000, Affected: 1000, AffectedCustomers: 1},
	}
	if !slices.Equal(r.AtRisk, want) {
		t.Errorf("%+v, want %+v", r.AtRisk, want)
	}
	if want := (engine.ValueAtRisk{Cases: 4, Customers: 2, Value: 1508, Late: 1508, Affected: 1578.5, AffectedCustomers: 3}); r.RiskTotal != want {
		t.Errorf("in all %+v, want %+v", r.RiskTotal, want)
	}
}
