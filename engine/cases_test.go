package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/feedback"
)

const caseRules = `
-- program.yaml --
version: 1
name: test
timezone: Europe/Berlin
sources:
  feed: {plugin: native:feed, every: 1h}
categorizers:
  words: {plugin: native:words}
destinations:
  team: {plugin: native:sink, retry: {base: 10ms, cap: 50ms, attempts: 3}}
queues:
  care: {owners: [anna]}
  product: {owners: [ben]}
  exec: {owners: [eva]}
-- rules/route.yaml --
version: 1
calendars:
  office: {days: mon-fri, hours: "09:00-17:00", timezone: Europe/Berlin}
  always: {days: mon-sun, hours: "00:00-24:00", timezone: Europe/Berlin}
windows:
  shipping_7d: {metric: rate, over: 7d, step: 1h, where: '"shipping" in themes'}
  packaging_7d: {metric: rate, over: 7d, step: 1h, where: '"packaging" in themes'}
groups:
  - name: route
    match: first
    rules:
      - id: packaging
        when: nps <= 6 && "packaging" in themes
        do: [{assign: {queue: product, owner: ben}}, {case: {sla: 48h}}]
      - id: detractor
        when: nps <= 6
        do:
          - assign: {queue: care}
          - case:
              {sla: 8h, resolve: 40h, calendar: office, escalate: [
                {after: 16h, priority: high, notify: team, message: "{text} waits"},
                {after: 24h, value: 100000, queue: exec, owner: eva, notify: team, message: "{text} is worth much"},
                {after: 24h, contacts: 2, priority: urgent}]}
  - name: seen
    rules:
      - {id: shipping-seen, when: win.shipping_7d.n > 0 && win.packaging_7d.n > 0, do: [{tag: seen}]}
`

var anna = engine.Actor{Name: "anna", Roles: []string{"care"}}

// desk is an engine in a virtual time, with its program to open it again.
type desk struct {
	*engine.Engine
	ticking
	t     *testing.T
	dir   string
	parts parts
}

func openDesk(t *testing.T, change ...func(*engine.Options)) *desk {
	t.Helper()
	d := &desk{t: t, dir: writeProgram(t, caseRules), ticking: ticking{berlin(t, "2026-03-02 10:00")}} // a Monday
	d.Engine = open(t, d.dir, &d.parts, append(change, d.at)...)
	return d
}

func berlin(t *testing.T, at string) time.Time {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	out, err := time.ParseInLocation("2006-01-02 15:04", at, zone)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// restart closes the engine and opens it again at a time.
func (d *desk) restart(at string) {
	d.t.Helper()
	closeEngine(d.t, d.Engine)
	d.now = berlin(d.t, at)
	d.Engine = open(d.t, d.dir, &d.parts, d.at)
	d.look()
}

// until moves the clock and has the engine look at what is due.
func (d *desk) until(at string) {
	d.t.Helper()
	d.now = berlin(d.t, at)
	d.look()
}

func (d *desk) look() {
	d.t.Helper()
	if _, err := d.RunOnce(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) says(id string, score float64, text string, change ...func(*feedback.Item)) feedback.ItemID {
	d.t.Helper()
	it := answer(id, score, text)
	it.OccurredAt, it.Customer.ID = feedback.TimeOf(d.now), "kim"
	for _, c := range change {
		c(&it)
	}
	r, err := d.Ingest(d.t.Context(), "app", it)
	if err != nil {
		d.t.Fatal(err)
	}
	return r.Rows[0].ID
}

// only returns the only case.
func (d *desk) only() feedback.Case {
	d.t.Helper()
	cs, err := d.Cases(d.t.Context(), engine.CaseQuery{})
	if err != nil || len(cs) != 1 {
		d.t.Fatalf("%d cases, %v", len(cs), err)
	}
	return cs[0]
}

// lines returns the kinds of the lines of a case's history, with their times in Berlin.
func (d *desk) lines(c feedback.Case) (out []string) {
	zone := d.now.Location()
	for _, h := range c.History {
		out = append(out, h.Kind+" "+h.At.Std().In(zone).Format("02 15:04"))
	}
	return out
}

func (d *desk) did(c feedback.Case, err error) feedback.Case {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("history\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestACaseInItsTime has nobody take care of a case: it warns, is late, and goes up its ladder, in business hours.
func TestACaseInItsTime(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	d.says("1", 2, "late", func(it *feedback.Item) { it.Customer.ARR = new(250_000.0) })
	for _, at := range []string{"2026-03-02 15:59", "2026-03-02 16:01", "2026-03-03 10:01", "2026-03-04 10:00", "2026-03-05 10:00", "2026-03-06 16:59", "2026-03-09 10:30"} {
		d.until(at)
		d.look()
	}
	c := d.only()
	wantLines(t, d.lines(c), "opened 02 10:00", "warned 02 16:01", "breached 03 10:01", "escalated 04 10:00", "escalated 05 10:00",
		"warned 06 16:59", "overdue 09 10:30")
	if c.Queue != "exec" || c.Owner != "eva" || c.Priority != "high" || c.Escalation != 2 || c.Status != feedback.CaseAssigned {
		t.Errorf("%+v", c)
	}
	if got := told(t, &d.parts, "escalation"); !slices.Equal(got, []string{"late waits", "late is worth much"}) {
		t.Errorf("told %q", got)
	}
}

// TestAWeekOfDowntime stops the engine before anything is due. What was due meanwhile happens once.
func TestAWeekOfDowntime(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	d.says("1", 2, "late")
	d.restart("2026-03-11 12:00")
	d.restart("2026-03-11 12:01")
	c := d.only()
	wantLines(t, d.lines(c), "opened 02 10:00", "breached 11 12:00", "overdue 11 12:00", "escalated 11 12:00")
	if c.Escalation != 1 || len(told(t, &d.parts, "escalation")) != 1 {
		t.Errorf("%+v", c)
	}
	late, err := d.Cases(t.Context(), engine.CaseQuery{Breached: true, Overdue: true})
	if err != nil || len(late) != 1 {
		t.Errorf("%d are late, %v", len(late), err)
	}
}

// TestCatchingUpIsBounded fires more timers than one update takes.
func TestCatchingUpIsBounded(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	const n = 600
	var items []feedback.Item
	for i := range n {
		it := answer(fmt.Sprint(i), 1, "late")
		it.Customer.ID = fmt.Sprint("c", i)
		items = append(items, it)
	}
	if _, err := d.Ingest(t.Context(), "app", items...); err != nil {
		t.Fatal(err)
	}
	d.restart("2026-03-11 12:00")
	late, err := d.Cases(t.Context(), engine.CaseQuery{Breached: true, Limit: 2 * n})
	if err != nil || len(late) != n {
		t.Errorf("%d are late, %v", len(late), err)
	}
}

// TestClockStepsAndSummerTime sets the clock back and forth, and goes over the night that lacks an hour.
func TestClockStepsAndSummerTime(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	d.until("2026-03-27 16:00") // a Friday; summer time begins on Sunday
	d.says("1", 2, "late")
	c := d.only()
	if want := berlin(t, "2026-03-30 16:00"); !c.DueAt.Std().Equal(want) {
		t.Errorf("due at %s, want %s", c.DueAt.Std().In(want.Location()), want)
	}
	d.until("2026-03-30 15:59")
	if d.only().BreachedAt != 0 {
		t.Error("late a minute early")
	}
	d.until("2026-03-20 10:00") // a step back
	d.until("2026-03-30 15:59")
	d.until("2026-03-30 16:00")
	d.until("2026-03-27 16:30") // and one more when all is told
	d.until("2026-03-30 16:30")
	wantLines(t, d.lines(d.only()), "opened 27 16:00", "warned 30 15:59", "breached 30 16:00")
	d.until("2026-10-23 16:00") // the night with an hour more
	c = d.did(d.ReopenCase(t.Context(), anna, d.did(d.ResolveCase(t.Context(), anna, c.ID, engine.CaseResolution{Outcome: "refunded"}, "")).ID, "not yet"))
	if want := berlin(t, "2026-10-26 16:00"); !c.DueAt.Std().Equal(want) {
		t.Errorf("due at %s, want %s", c.DueAt.Std().In(want.Location()), want)
	}
}

// TestACaseOnHold has the clocks stand over a restart.
func TestACaseOnHold(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	d.says("1", 2, "late")
	id := d.only().ID
	d.until("2026-03-02 12:00")
	d.did(d.HoldCase(t.Context(), anna, id, false, "asks the supplier"))
	d.restart("2026-03-09 12:00")
	c := d.did(d.ResumeCase(t.Context(), anna, id, "the supplier has answered"))
	if want := berlin(t, "2026-03-10 10:00"); !c.DueAt.Std().Equal(want) { // six of eight hours
		t.Errorf("due at %s, want %s", c.DueAt.Std(), want)
	}
	d.until("2026-03-10 11:00")
	wantLines(t, d.lines(d.only()), "opened 02 10:00", "held 02 12:00", "resumed 09 12:00", "breached 10 11:00")
	d.until("2026-03-11 09:59") // two hours before it was held, 13:59 since
	if n := d.only().Escalation; n != 0 {
		t.Errorf("went up %d steps in less than 16 hours of work", n)
	}
	d.until("2026-03-11 10:00")
	if n := d.only().Escalation; n != 1 {
		t.Errorf("went up %d steps in 16 hours of work", n)
	}
}

// TestTheWholeWorkOnACase goes through what people do, on an engine that runs, and through its socket.
func TestTheWholeWorkOnACase(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	d.says("1", 2, "late")
	id := d.only().ID
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	var c *engine.Client
	for c == nil {
		c, _ = engine.Dial(d.StateDir())
	}
	d.did(c.AssignCase(t.Context(), anna, id, engine.CaseAssignment{Owner: "anna", Priority: "high"}, "mine"))
	d.did(c.BeginCase(t.Context(), anna, id, ""))
	d.did(c.AttemptCase(t.Context(), anna, id, engine.CaseAttempt{Channel: "phone", Result: "voicemail"}))
	d.did(c.HoldCase(t.Context(), anna, id, true, "calls back"))
	d.did(c.ResumeCase(t.Context(), anna, id, ""))
	if _, err := c.CloseCase(t.Context(), anna, id, engine.CaseResolution{Outcome: "refunded"}, ""); !errors.Is(err, engine.ErrMissing) {
		t.Errorf("closed without a cause: %v", err)
	}
	d.did(c.NoteCase(t.Context(), anna, id, "polite"))
	d.did(c.ResolveCase(t.Context(), anna, id, engine.CaseResolution{Outcome: "refunded"}, ""))
	if _, err := c.HoldCase(t.Context(), anna, id, false, "why"); !errors.Is(err, engine.ErrTransition) {
		t.Errorf("held a resolved case: %v", err)
	}
	d.did(c.ReopenCase(t.Context(), anna, id, "not paid"))
	d.did(c.CloseCase(t.Context(), anna, id, engine.CaseResolution{Outcome: "refunded", RootCause: "carrier", Action: "paid"}, ""))
	if _, err := c.Case(t.Context(), "c_00000000000000000000000000"); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("a case that is not there: %v", err)
	}
	if _, err := c.ActOnCase(t.Context(), engine.CaseAction{Case: id, Action: engine.ActionNote, Why: "x"}); !errors.Is(err, engine.ErrMissing) {
		t.Errorf("nobody acted: %v", err)
	}
	entries, err := c.Audit(t.Context(), engine.AuditQuery{What: string(id)})
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for i := range slices.Backward(entries) {
		kinds = append(kinds, strings.TrimPrefix(entries[i].Kind, "case."))
	}
	want := "opened priority began attempt held resumed note resolved reopened closed"
	if got := strings.Join(kinds, " "); got != want || entries[0].Who != "anna" || !strings.Contains(string(entries[0].Data), `"status":"closed"`) {
		t.Errorf("the audit log has %s, want %s; %s", got, want, entries[0].Data)
	}
	if h, err := c.AuditVerify(t.Context()); err != nil || h.N < uint64(len(entries)) {
		t.Errorf("%+v, %v", h, err)
	}
	story, err := c.Customer(t.Context(), "kim")
	if err != nil || len(story.Items) != 1 || len(story.Cases) != 1 || len(story.Cases[0].Attempts) != 1 || len(story.Cases[0].Past) != 1 {
		t.Errorf("%+v, %v", story, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestTheHostSaysWhoMay refuses what the host does not allow, for the case as it is.
func TestTheHostSaysWhoMay(t *testing.T) {
	t.Parallel()
	own := func(_ context.Context, by engine.Actor, what engine.Action, c feedback.Case) error {
		if what == engine.ActionAssign && slices.Contains(by.Roles, "lead") || c.Owner == by.Name {
			return nil
		}
		return errors.New("it is not yours")
	}
	d := openDesk(t, func(o *engine.Options) { o.Authorize = own })
	item := d.says("1", 2, "late")
	id := d.only().ID
	if _, err := d.NoteCase(t.Context(), anna, id, "hello"); !errors.Is(err, engine.ErrDenied) || !strings.Contains(err.Error(), "anna may not note: it is not yours") {
		t.Errorf("%v", err)
	}
	fix := engine.Correction{Item: item, By: anna, Why: "x", Add: []feedback.ThemePath{"price"}}
	if _, err := d.Correct(t.Context(), fix); !errors.Is(err, engine.ErrDenied) {
		t.Errorf("%v", err)
	}
	d.did(d.AssignCase(t.Context(), engine.Actor{Name: "lea", Roles: []string{"lead"}}, id, engine.CaseAssignment{Owner: "anna"}, ""))
	d.did(d.NoteCase(t.Context(), anna, id, "hello"))
	if _, err := d.Correct(t.Context(), fix); err != nil {
		t.Error(err)
	}
}

// TestALadderForOpenCases gives the rule of an open case a ladder, without a restart and while the engine is closed: the
// case goes up it in time although nobody touches it.
func TestALadderForOpenCases(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		d := openDesk(t)
		d.says("1", 2, "late #packaging")
		path := filepath.Join(d.dir, "rules", "route.yaml")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		with := strings.Replace(string(text), "{case: {sla: 48h}}", "{case: {sla: 48h, escalate: [{after: 2h, priority: urgent}]}}", 1)
		if err := os.WriteFile(path, []byte(with), 0o600); err != nil {
			t.Fatal(err)
		}
		if restart {
			d.restart("2026-03-02 11:00")
		} else if _, err := d.Activate(t.Context(), engine.ActivateOptions{By: "anna"}); err != nil {
			t.Fatal(err)
		}
		d.until("2026-03-02 12:00")
		wantLines(t, d.lines(d.only()), "opened 02 10:00", "escalated 02 12:00")
	}
}

// TestTheSameCustomerAgain links what a customer says later: it raises the priority, is compared, and reopens.
func TestTheSameCustomerAgain(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	d.says("1", 2, "late")
	earlier := d.says("0", 9, "fine so far", func(it *feedback.Item) { it.OccurredAt = feedback.TimeOf(berlin(t, "2026-02-27 10:00")) })
	if c := d.only(); !slices.Equal(c.Items, []feedback.ItemID{earlier}) || c.Priority != "" {
		t.Errorf("what was said before the case: %+v", c)
	}
	d.until("2026-03-02 11:00")
	second := d.says("2", 9, "and another thing")
	c := d.only()
	if !slices.Equal(c.Items, []feedback.ItemID{earlier, second}) || c.Priority != "high" {
		t.Errorf("%+v", c)
	}
	d.did(d.ResolveCase(t.Context(), anna, c.ID, engine.CaseResolution{Outcome: "refunded"}, ""))
	d.until("2026-04-02 11:00")
	third := d.says("3", 1, "worse")
	c = d.only() // no second one
	if c.Status != feedback.CaseReopened || c.Reopens != 1 || c.Recovery == nil || c.Recovery.Before != 2 || c.Recovery.After != 1 {
		t.Errorf("%+v", c)
	}
	d.did(d.ResolveCase(t.Context(), anna, c.ID, engine.CaseResolution{Outcome: "replaced"}, ""))
	d.says("3b", 10, "thank you") // the second resolution did better than the first
	if r, err := d.CaseReport(t.Context(), engine.CaseReportQuery{}); err != nil || r.Recovered.Of != 2 || r.Recovered.Yes != 1 {
		t.Errorf("%+v, %v", r.Recovered, err)
	}
	if v := d.only().Recovery; v == nil || v.Before != 2 || v.After != 10 {
		t.Errorf("the second recovery is %+v", v)
	}
	if it, err := d.Item(t.Context(), third); err != nil || it.Case != c.ID {
		t.Errorf("the item is of the case %q, %v", it.Case, err)
	}
	d.did(d.CloseCase(t.Context(), anna, c.ID, engine.CaseResolution{Outcome: "lost", RootCause: "carrier", Action: "called"}, ""))
	d.until("2026-04-03 11:00")
	d.says("4", 1, "still")
	cs, err := d.Cases(t.Context(), engine.CaseQuery{Customer: "kim"})
	if err != nil || len(cs) != 2 || !cs[0].Status.Open() || cs[1].Status != feedback.CaseClosed {
		t.Errorf("%d cases, %v", len(cs), err)
	}
	d.did(d.ResolveCase(t.Context(), anna, cs[0].ID, engine.CaseResolution{Outcome: "lost"}, ""))
	d.until("2026-08-03 11:00") // long after
	d.says("5", 1, "hello")
	if cs, err = d.Cases(t.Context(), engine.CaseQuery{Customer: "kim", Status: feedback.CaseOpen}); err != nil || len(cs) != 1 || cs[0].Reopens != 0 {
		t.Errorf("%+v, %v", cs, err)
	}
}

// TestPackagingTakenForShipping is the story of a person who sees that the model took one theme for another: the case goes
// to the team that can act on it, and everything counts right.
func TestPackagingTakenForShipping(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	id := d.says("1", 2, "I could not open the box #shipping")
	c := d.only()
	if c.Queue != "care" {
		t.Fatalf("%+v", c)
	}
	d.countsFor("theme", "shipping")
	d.countsFor("queue", "care")
	d.until("2026-03-02 11:00")
	it, err := d.Correct(t.Context(), engine.Correction{
		Item: id, By: engine.Actor{Name: "mia"}, Why: "difficult to open, not damaged on the way",
		Add: []feedback.ThemePath{"packaging/opening"}, Remove: []feedback.ThemePath{"shipping"},
	})
	if err != nil || it.Queue != "product" || !it.Labels.Has("packaging") || it.Labels.Has("shipping") {
		t.Fatalf("%+v, %v", it, err)
	}
	d.countsFor("theme", "packaging", "packaging/opening")
	d.countsFor("queue", "product")
	c = d.only()
	if c.Queue != "product" || c.Owner != "ben" || c.Status != feedback.CaseAssigned {
		t.Errorf("the case is at %s/%s", c.Queue, c.Owner)
	}
	var notes []string
	for _, h := range c.History {
		notes = append(notes, h.By+": "+h.Note)
	}
	story := strings.Join(notes, "\n")
	for _, want := range []string{
		"mia: labels corrected: +packaging/opening -shipping, because difficult to open, not damaged on the way",
		"detractor: rule detractor no longer asks for its case", "rules: from care to product/ben",
	} {
		if !strings.Contains(story, want) {
			t.Errorf("the history does not say %q:\n%s", want, story)
		}
	}
	themes, err := d.Themes(t.Context(), engine.MetricQuery{})
	if err != nil || len(themes) == 0 {
		t.Fatalf("%+v, %v", themes, err)
	}
	for _, th := range themes {
		if !strings.HasPrefix(string(th.Theme), "packaging") && th.Items != 0 {
			t.Errorf("%d items count for %s", th.Items, th.Theme)
		}
	}
	stats, err := d.Stats(t.Context())
	if err != nil || len(stats.Detractors) != 1 || stats.Detractors[0].Queue != "product" {
		t.Errorf("%+v, %v", stats, err)
	}
	for name, want := range map[string]float64{"shipping_7d": 0, "packaging_7d": 1} {
		w, err := d.Windows(t.Context(), name)
		if err != nil || len(w) != 1 || w[0].N != 1 || *w[0].Value != want {
			t.Errorf("window %s: %+v, %v", name, w, err)
		}
	}
	x, err := d.Explain(t.Context(), id)
	if err != nil || x.Number != 2 || len(x.Corrections) != 1 || x.Corrections[0].By.Name != "mia" ||
		x.Corrections[0].Reason != "difficult to open, not damaged on the way" {
		t.Errorf("%+v, %v", x, err)
	}
	labels, err := d.LabelHistory(t.Context(), id)
	if err != nil || !slices.ContainsFunc(labels, func(c feedback.Change) bool {
		return c.By.Layer == feedback.LayerModel && len(c.Add) == 1 && c.Add[0].Path == "shipping"
	}) {
		t.Errorf("the model's label is gone: %+v, %v", labels, err)
	}
	log, err := d.Audit(t.Context(), engine.AuditQuery{What: string(id)})
	if err != nil || len(log) != 1 || log[0].Kind != "label.correct" || log[0].Who != "mia" {
		t.Errorf("%+v, %v", log, err)
	}
}
