package cases

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

func TestMain(m *testing.M) {
	// A failing case is repeated by its seed; files of them would become part of the sources.
	if err := flag.Set("rapid.nofailfile", "true"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// countdown is a promise as a clock that runs down: what is left of it, and what is left until the warning.
type countdown struct {
	promised, left, warn time.Duration
	runs, warns, late    bool
}

func (d *countdown) start() {
	*d = countdown{promised: d.promised, left: d.promised, warn: d.promised * 3 / 4, runs: true, warns: true}
}

func (d *countdown) pass(t time.Duration) {
	if d.runs {
		d.left -= t
		d.warn -= t
	}
}

// stop stands the clock: of a promise that is broken a millisecond is left. A warning that is due then is not given.
func (d *countdown) stop() {
	d.warns = d.warns && d.warn > 0
	d.left = max(d.left, time.Millisecond)
}

// look returns what there is to tell.
func (d *countdown) look() (late, warn bool) {
	if late = d.runs && d.left <= 0 && !d.late; late {
		d.late, d.warns = true, false
	}
	if warn = d.runs && d.warns && d.warn <= 0; warn {
		d.warns = false
	}
	return late, warn
}

// simple is a case in as few words as there are for what people know of it.
type simple struct {
	status               feedback.CaseStatus
	queue, owner         string
	priority             int // of priorities
	response, resolution countdown
	worked               time.Duration
	step                 int
	attempts, reopens    int
	lines                int
	items                []feedback.ItemID
	ended                feedback.Time
	cause, recovered     bool
}

var ladder = []rules.Escalation{
	{After: 20 * time.Hour, Priority: "high"},
	{After: 50 * time.Hour, Contacts: 3, Queue: "exec", Owner: "eva"},
	{After: 90 * time.Hour, Value: 1e6, Owner: "zoe"},
	{After: 120 * time.Hour, Owner: "max", Priority: "urgent"},
}

func (m *simple) open() bool {
	return m.status != feedback.CaseResolved && m.status != feedback.CaseClosed
}
func (m *simple) held() bool {
	return m.status == feedback.CaseOnHold || m.status == feedback.CaseWaiting
}

func (m *simple) begin() {
	m.response.start()
	m.resolution.start()
	m.worked, m.step = 0, 0
}

func (m *simple) pass(t time.Duration) {
	if m.open() && !m.held() {
		m.response.pass(t)
		m.resolution.pass(t)
		m.worked += t
	}
}

// look returns the kinds of the lines that a look writes.
func (m *simple) look() (told []string) {
	if !m.open() || m.held() {
		return nil
	}
	breached, warned := m.response.look()
	overdue, warnedToo := m.resolution.look()
	for _, x := range []struct {
		so   bool
		kind string
	}{{breached, Breached}, {overdue, Overdue}, {warned, Warned}, {warnedToo, Warned}} {
		if x.so {
			told = append(told, x.kind)
		}
	}
	for i := m.step; i < len(ladder); i++ {
		x := &ladder[i]
		if x.Value > 0 || len(m.items)+1 < x.Contacts {
			continue // the account is worth 5,000
		}
		if m.worked < x.After {
			break
		}
		m.step = i + 1
		m.priority = max(m.priority, slices.Index(priorities, string(x.Priority)))
		m.queue = max(m.queue, x.Queue) // exec comes last of all
		if x.Owner != "" {
			m.owner = x.Owner
			m.owned()
		}
		told = append(told, Escalated)
	}
	return told
}

// owned is what an owner makes of a case that is new, and the lack of one of a case that is not begun.
func (m *simple) owned() {
	switch {
	case m.status == feedback.CaseNew && m.owner != "":
		m.status = feedback.CaseAssigned
	case m.status == feedback.CaseAssigned && m.owner == "":
		m.status = feedback.CaseNew
	}
}

func (m *simple) respond() { m.response.runs, m.response.warns = false, false }

func (m *simple) end(status feedback.CaseStatus, at feedback.Time) {
	if m.open() {
		m.ended = at
	}
	m.respond()
	m.resolution.runs = false
	m.status = status
}

func (m *simple) reopen() {
	m.status = feedback.CaseReopened
	m.reopens++
	m.cause, m.recovered = false, false
	m.begin()
}

// contact returns the kinds of the lines that feedback of the same customer writes.
func (m *simple) contact(it *feedback.Item, at feedback.Time) []string {
	if slices.Contains(m.items, it.ID) {
		return nil
	}
	m.items = append(m.items, it.ID)
	told := []string{Contact}
	if m.open() {
		if m.priority < len(priorities)-1 {
			m.priority++
			told = append(told, Prioritize)
		}
		return told
	}
	if it.OccurredAt < m.ended {
		return told
	}
	if !m.recovered {
		m.recovered = true
		told = append(told, Recovered)
	}
	if m.status == feedback.CaseResolved && *it.Score <= 6 {
		m.reopen()
		told = append(told, Reopened)
	}
	return told
}

// TestAnyOrderOfTransitions applies random transitions to a case and to its simple model, while time passes.
func TestAnyOrderOfTransitions(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		calendar := rapid.SampledFrom([]string{"", "half"}).Draw(rt, "calendar")
		p := Promise{Rule: "r", Queue: "care", Response: 48 * time.Hour, Resolution: 96 * time.Hour, Calendar: calendar, Warn: 0.75}
		d := &driven{rt: rt, now: monday, c: Open(answer("1", 3), p, monday, elapsed{})}
		d.m = simple{status: feedback.CaseNew, queue: "care", priority: 1, lines: 1}
		d.m.response.promised, d.m.resolution.promised = p.Response, p.Resolution
		d.m.begin()
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			step := time.Duration(rapid.IntRange(0, 30).Draw(rt, "hours")) * time.Hour
			d.now = d.now.Add(step)
			if calendar == "half" {
				step /= 2
			}
			d.m.pass(step)
			d.act(rapid.SampledFrom([]string{
				"look", "look", "look", "assign", "begin", "attempt", "hold", "hold", "resume", "resume", "resolve", "close", "reopen", "contact",
			}).Draw(rt, "what"))
			d.compare()
		}
	})
}

// driven is a case and its model.
type driven struct {
	rt  *rapid.T
	now feedback.Time
	c   feedback.Case
	m   simple
}

// act does one thing to both. It may be one that cannot be done to the case.
func (d *driven) act(what string) {
	before := d.c
	m, may := &d.m, d.m.open()
	var told []string
	var err error
	switch what {
	case "look":
		d.c, _ = Look(d.c, ladder, d.now, elapsed{})
		told, may = m.look(), true
	case "assign":
		told, may = d.assign(), true
	case "begin":
		d.c, err = Begin(d.c, "x", d.now)
		if may = slices.Contains([]feedback.CaseStatus{feedback.CaseNew, feedback.CaseAssigned, feedback.CaseReopened}, m.status); may {
			m.status, told = feedback.CaseInProgress, []string{Began}
		}
	case "attempt":
		d.c, err = Attempted(d.c, feedback.Attempt{By: "anna", Channel: "phone", Result: "reached"}, d.now)
		if may {
			m.respond()
			m.attempts++
			if told = []string{Attempt}; !m.held() {
				m.status = feedback.CaseInProgress
			}
		}
	case "hold":
		d.c, err = Hold(d.c, true, "why", "x", d.now, elapsed{})
		if may = may && !m.held(); may {
			m.response.stop()
			m.resolution.stop()
			m.status, told = feedback.CaseWaiting, []string{Held}
		}
	case "resume":
		d.c, err = Resume(d.c, "x", d.now, elapsed{})
		if may = m.held(); may {
			if m.status = feedback.CaseInProgress; m.response.runs {
				m.status = feedback.CaseNew
				m.owned()
			}
			told = []string{Resumed}
		}
	default:
		told, may, err = d.finish(what)
	}
	d.judge(&before, told, may, err)
}

func (d *driven) assign() []string {
	queue := rapid.SampledFrom([]string{"", "care", "desk"}).Draw(d.rt, "queue")
	owner := rapid.SampledFrom([]string{"", "anna", "ben"}).Draw(d.rt, "owner")
	d.c = Assign(d.c, queue, owner, "x", d.now)
	m := &d.m
	moves := queue != "" && queue != m.queue
	if m.status == feedback.CaseClosed || !moves && (owner == "" || owner == m.owner) {
		return nil
	}
	if moves {
		m.queue, m.owner = queue, ""
	}
	if owner != "" {
		m.owner = owner
	}
	m.owned()
	return []string{Assigned}
}

func (d *driven) finish(what string) (told []string, may bool, err error) {
	m := &d.m
	switch what {
	case "resolve":
		d.c, err = Resolve(d.c, Resolution{Outcome: "done"}, "x", d.now)
		if may = m.open(); may {
			m.end(feedback.CaseResolved, d.now)
			told = []string{Resolved}
		}
	case "close":
		r := Resolution{Outcome: "done", Action: "paid"}
		if m.cause = m.cause || rapid.Bool().Draw(d.rt, "cause") && m.status != feedback.CaseClosed; m.cause {
			r.RootCause = "carrier"
		}
		d.c, err = Close(d.c, r, "x", d.now)
		if may = m.cause && m.status != feedback.CaseClosed; may {
			m.end(feedback.CaseClosed, d.now)
			told = []string{Closed}
		}
	case "reopen":
		d.c, err = Reopen(d.c, "why", "x", d.now, elapsed{})
		if may = !m.open(); may {
			m.reopen()
			told = []string{Reopened}
		}
	case "contact":
		n := rapid.IntRange(0, 9).Draw(d.rt, "which")
		later := answer(fmt.Sprint("later", n), float64(n))
		later.OccurredAt = d.now.Add(time.Duration(n-3) * time.Hour)
		first := answer("1", 3)
		first.OccurredAt = monday.Add(-time.Hour * 24)
		d.c = Contacted(d.c, first, later, d.now, elapsed{})
		told, may = m.contact(later, d.now), true
	}
	return told, may, err
}

// judge compares the lines that were written, and the refusals.
func (d *driven) judge(before *feedback.Case, told []string, may bool, err error) {
	if may != (err == nil) || err != nil && !errors.Is(err, ErrTransition) && !errors.Is(err, ErrMissing) {
		d.rt.Fatalf("error %v, should be possible: %v, in %+v", err, may, before)
	}
	var wrote []string
	for _, h := range d.c.History[len(before.History):] {
		wrote = append(wrote, h.Kind)
	}
	if !slices.Equal(wrote, told) || !slices.Equal(d.c.History[:len(before.History)], before.History) {
		d.rt.Fatalf("wrote %q, want %q; before %+v\nafter %+v", wrote, told, before, d.c)
	}
	d.m.lines += len(told)
}

// compare compares the case with its model.
func (d *driven) compare() {
	c, m := &d.c, &d.m
	got := fmt.Sprint(c.Status, c.Queue, c.Owner, slices.Index(priorities, orNormal(c.Priority)), c.Escalation, len(c.Attempts),
		c.Reopens, len(c.Past), len(c.History), c.Items, c.BreachedAt != 0, c.OverdueAt != 0, recovery(c) != nil)
	want := fmt.Sprint(m.status, m.queue, m.owner, m.priority, m.step, m.attempts,
		m.reopens, m.reopens, m.lines, m.items, m.response.late, m.resolution.late, m.recovered)
	if got != want {
		d.rt.Fatalf("the case is\n%s\nwant\n%s\n%+v", got, want, c)
	}
	for _, x := range []struct {
		due  feedback.Time
		left time.Duration
		is   *countdown
	}{{c.DueAt, c.ResponseLeft, &m.response}, {c.ResolveBy, c.ResolutionLeft, &m.resolution}} {
		switch left := (elapsed{}).Left(d.now, x.due, c.Calendar); {
		case !x.is.runs && (x.due != 0 || x.left != 0), m.held() && x.due != 0:
			d.rt.Fatalf("a clock runs that should not: %+v", c)
		case x.is.runs && m.held() && x.left != x.is.left, x.is.runs && !m.held() && left != max(x.is.left, 0):
			d.rt.Fatalf("%s or %s are left, want %s: %+v", left, x.left, x.is.left, c)
		}
	}
	if due := Next(c, ladder, elapsed{}); due != 0 && (m.held() || !m.open()) {
		d.rt.Fatalf("something is due at %s of a case that stands: %+v", due, c)
	}
}
