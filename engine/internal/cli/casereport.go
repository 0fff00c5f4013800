package cli

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/closedloop/closedloop/engine"
)

func (a *app) caseReport() *cobra.Command {
	var f filters
	var q engine.CaseReportQuery
	var page string
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Tell how well the loop is closed",
		Long: `report tells of the cases opened or reopened in a time: how many were answered and resolved as promised, with the 95 %
interval, how long that took, what came of them, and which detractors nobody has a case for.

A promise counts when it was kept or its time is over. A case that is reopened counts as opened once more. Recovered are
the customers who answered again after a resolution and gave a better score than before. At risk is the account value
(customer.arr) of accounts with open cases, each as its latest feedback has it, and past a promise that of those which wait longer than was promised;
affected are all accounts with a case of the time. Cases of imports that were taken back do not count. A theme counts without those below it.`,
		Example: "  closedloop cases report --since 30d\n  closedloop cases report --since 30d --queue care --html report.html",
		Args:    exact(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.asked(cmd.Context(), func(s *session) (err error) {
				if q.Since, err = f.from(a.std.Now(), s.zone); err != nil {
					return err
				}
				a.oddQueue(s, q.Queue)
				r, err := s.CaseReport(cmd.Context(), q)
				if err != nil {
					return err
				}
				if page != "" {
					if err := writeReport(page, r, s); err != nil {
						return err
					}
				}
				if a.json {
					return a.printJSON(r)
				}
				a.reportText(s, r)
				return nil
			})
		},
	}
	a.programFlags(cmd)
	f.addSince(cmd)
	cmd.Flags().StringVar(&q.Queue, "queue", "", "only of this `queue`")
	cmd.Flags().StringVar(&page, "html", "", "write a page with pictures to a `file` as well")
	return cmd
}

func writeReport(path string, r *engine.CaseReport, s *session) error {
	var b strings.Builder
	if err := reportPage(&b, r, s.name, s.zone); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

// percent writes a share with its interval: 92 % (85 to 96).
func percent(s engine.Share) string {
	if s.Of == 0 {
		return "none"
	}
	round := func(v float64) float64 { return math.Round(100 * v) }
	return fmt.Sprintf("%.0f %% (%.0f to %.0f)", round(s.Value), round(s.Lo), round(s.Hi))
}

// took writes a number of hours.
func took(h engine.Hours) string { return span(time.Duration(float64(h) * float64(time.Hour))) }

func promised(p *engine.Promise) string {
	parts := []string{"nothing was promised"}
	if p.Of > 0 {
		parts[0] = fmt.Sprintf("%s in time: %s of %s", percent(p.Share), grouped(p.Yes), grouped(p.Of))
	}
	if p.Pending > 0 {
		parts = append(parts, grouped(p.Pending)+" not due yet")
	}
	if p.Timed > 0 {
		parts = append(parts, "median "+took(p.Median)+", 9 of 10 within "+took(p.P90))
	}
	return strings.Join(parts, "; ")
}

// reportText writes the report for people.
func (a *app) reportText(s *session, r *engine.CaseReport) {
	w := a.std.Out
	var f facts
	since := "the beginning"
	if r.Since != 0 {
		since = instant(r.Since, s.zone)
	}
	f.add("from", since+" to "+instant(r.Until, s.zone))
	f.add("cases", fmt.Sprintf("%s opened, %s open, %s resolved", grouped(r.Opened), grouped(r.Open), grouped(r.Resolved)))
	f.add("response", promised(&r.Response))
	f.add("resolution", promised(&r.Resolution))
	f.add("reopened", ofAll(r.Reopened, "resolution"))
	f.add("recovered", ofAll(r.Recovered, "later answer"))
	f.add("detractors", ofAll(r.Detractors, "detractor")+map[bool]string{true: " with a case"}[r.Detractors.Of > 0])
	for _, id := range r.Missed {
		f.add("", string(id)+" has none")
	}
	if c := r.OldestOpen; c != nil {
		f.add("oldest open", fmt.Sprintf("%s since %s at %s", c.ID, instant(c.Since(), s.zone), strings.Trim(c.Queue+"/"+c.Owner, "/")))
	}
	f.write(w, a.std.Width)
	a.reportGroups("owner", r.Owners)
	a.reportGroups("queue", r.Queues)
	a.reportCounts(count(r.Attempts, "attempt"), r.Reached)
	a.reportCounts("outcomes", r.Outcomes)
	a.reportCounts("root causes", r.RootCauses)
	a.reportRisks(r)
}

func (a *app) reportRisks(r *engine.CaseReport) {
	if len(r.AtRisk) == 0 && r.RiskTotal.Affected == 0 {
		return
	}
	fmt.Fprintln(a.std.Out, "\nvalue at risk")
	t := indented(elastic("theme"), digits("open cases"), digits("accounts"), digits("at risk"), digits("past a promise"), digits("all affected"))
	row := func(name string, v *engine.ValueAtRisk) {
		t.add(name, grouped(v.Cases), grouped(v.Customers), whole(v.Value), whole(v.Late), whole(v.Affected))
	}
	for i := range r.AtRisk {
		row(string(r.AtRisk[i].Theme), &r.AtRisk[i])
	}
	row("all, each account once", &r.RiskTotal)
	t.write(a.std.Out, a.std.Width)
}

func ofAll(s engine.Share, noun string) string {
	if s.Of == 0 {
		return "no " + noun
	}
	return fmt.Sprintf("%s of %s, %s", grouped(s.Yes), count(s.Of, noun), percent(s))
}

func (a *app) reportGroups(of string, groups []engine.CaseGroup) {
	if len(groups) == 0 {
		return
	}
	fmt.Fprintln(a.std.Out)
	t := indented(narrow(of), digits("opened"), digits("open"), digits("resolved"), digits("attempts"), text("response in time"), digits("median"), text("resolution in time"), digits("median"))
	for i := range groups {
		g := &groups[i]
		t.add(cmp.Or(g.Name, "none"), grouped(g.Opened), grouped(g.Open), grouped(g.Resolved), grouped(g.Attempts),
			percent(g.Response.Share), median(&g.Response), percent(g.Resolution.Share), median(&g.Resolution))
	}
	t.write(a.std.Out, a.std.Width)
}

func median(p *engine.Promise) string {
	if p.Timed == 0 {
		return ""
	}
	return took(p.Median)
}

func (a *app) reportCounts(title string, counts []engine.CaseCount) {
	if len(counts) == 0 {
		return
	}
	fmt.Fprintf(a.std.Out, "\n%s\n", title)
	t := indented(elastic(""), digits(""), text(""))
	for _, c := range counts {
		t.add(c.Name, grouped(c.Cases), bar(c.Cases, counts[0].Cases, barColumns))
	}
	t.write(a.std.Out, a.std.Width)
}
