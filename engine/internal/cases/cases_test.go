package cases

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
)

const monday = feedback.Time(1_772_445_600_000) // 2026-03-02T10:00:00Z

// elapsed is a Clock to which all time counts, and half of it by the calendar "half".
type elapsed struct{}

func (elapsed) Due(from feedback.Time, d time.Duration, calendar string) feedback.Time {
	if calendar == "half" {
		d *= 2
	}
	return from.Add(d)
}

func (elapsed) Left(from, until feedback.Time, calendar string) time.Duration {
	d := max(until.Std().Sub(from.Std()), 0)
	if calendar == "half" {
		d /= 2
	}
	return d
}

func answer(n string, score float64) *feedback.Item {
	return &feedback.Item{
		ID: feedback.NewItemID(monday, "survey", n), Survey: feedback.NPS, Score: &score, OccurredAt: hours(100_000),
		Customer: feedback.Customer{ID: "c1", ARR: new(5000.0)},
	}
}

func opened() feedback.Case {
	return Open(answer("1", 3), Promise{
		Rule: "detractor", Effect: "detractor|case|", Queue: "care", Response: 48 * time.Hour, Resolution: 7 * 24 * time.Hour,
	}, monday, elapsed{})
}

// do applies a transition that must succeed.
func do(t *testing.T, c feedback.Case, err error) feedback.Case {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func hours(n int) feedback.Time { return monday.Add(time.Duration(n) * time.Hour) }

func TestOpenPromises(t *testing.T) {
	t.Parallel()
	c := opened()
	if c.DueAt != hours(48) || c.ResolveBy != hours(168) || c.Status != feedback.CaseNew || c.Customer != "c1" || *c.Value != 5000 {
		t.Errorf("opened case: %+v", c)
	}
	if c.ID != opened().ID {
		t.Error("the same promise at the same instant gave another id")
	}
	if len(c.History) != 1 || c.History[0].Kind != Opened {
		t.Errorf("history: %+v", c.History)
	}
}

// TestAWholeStory follows a case to its end and beyond.
func TestAWholeStory(t *testing.T) {
	t.Parallel()
	c := Assign(opened(), "", "anna", "lead", hours(1))
	if c.Status != feedback.CaseAssigned {
		t.Errorf("status %s", c.Status)
	}
	c, err := Hold(c, false, "asks the supplier", "anna", hours(10), elapsed{})
	c = do(t, c, err)
	if c.DueAt != 0 || c.ResponseLeft != 38*time.Hour || Breach(c, hours(1000)).BreachedAt != 0 {
		t.Errorf("held: %+v", c)
	}
	c, err = Resume(c, "anna", hours(100), elapsed{})
	c = do(t, c, err)
	if c.DueAt != hours(138) || c.ResolveBy != hours(258) || c.Status != feedback.CaseAssigned {
		t.Errorf("resumed: %+v", c)
	}
	c = Breach(c, hours(138))
	if c.BreachedAt != hours(138) {
		t.Error("not breached")
	}
	c, err = Attempted(c, feedback.Attempt{By: "anna", Channel: "phone", Result: "voicemail"}, hours(140))
	c = do(t, c, err)
	if c.RespondedAt != hours(140) || c.DueAt != 0 || c.Status != feedback.CaseInProgress {
		t.Errorf("attempted: %+v", c)
	}
	if _, err := Close(c, Resolution{Outcome: "refunded"}, "anna", hours(150)); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "root cause and action") {
		t.Errorf("closed without a cause: %v", err)
	}
	c, err = Resolve(c, Resolution{Outcome: "refunded", RootCause: "packaging"}, "anna", hours(150))
	c = do(t, c, err)
	if c.ResolvedAt != hours(150) || c.ResolveBy != 0 || Overrun(c, hours(1000)).OverdueAt != 0 {
		t.Errorf("resolved: %+v", c)
	}
	// The same customer is unhappy again.
	c = Contacted(c, answer("1", 3), answer("2", 2), hours(200), elapsed{})
	if c.Status != feedback.CaseReopened || c.Reopens != 1 || c.Recovery == nil || c.Recovery.After != 2 || c.DueAt != hours(248) {
		t.Errorf("reopened: %+v", c)
	}
	if again := Contacted(c, answer("1", 3), answer("2", 2), hours(201), elapsed{}); len(again.History) != len(c.History) {
		t.Error("the same feedback is linked twice")
	}
	if past := c.Past[0]; c.Outcome != "" || c.RootCause != "" || past.Outcome != "refunded" || past.RootCause != "packaging" {
		t.Errorf("what was said of the round before: %+v", c)
	}
	if _, err := Close(c, Resolution{Action: "a new box"}, "anna", hours(210)); !errors.Is(err, ErrMissing) {
		t.Errorf("closed with what was said before it was reopened: %v", err)
	}
	c, err = Close(c, Resolution{Outcome: "replaced", RootCause: "packaging", Action: "a new box"}, "anna", hours(210))
	c = do(t, c, err)
	if c.Status != feedback.CaseClosed || c.ClosedAt != hours(210) {
		t.Errorf("closed: %+v", c)
	}
	if _, err := Resolve(c, Resolution{}, "anna", hours(211)); !errors.Is(err, ErrTransition) {
		t.Errorf("resolved a closed case: %v", err)
	}
}

func TestRepeatContactRaisesThePriority(t *testing.T) {
	t.Parallel()
	c := opened()
	for i, want := range []string{"high", "urgent", "urgent"} {
		c = Contacted(c, answer("1", 3), answer(string(rune('a'+i)), 9), hours(i), elapsed{})
		if c.Priority != want || len(c.Items) != i+1 {
			t.Errorf("after %d more: %s with %v", i+1, c.Priority, c.Items)
		}
	}
	happy := do2(Resolve(c, Resolution{Outcome: "fine"}, "anna", hours(20)))
	if happy = Contacted(happy, answer("1", 3), answer("z", 9), hours(30), elapsed{}); happy.Status != feedback.CaseResolved || happy.Recovery.After != 9 {
		t.Errorf("recovered: %+v", happy)
	}
}

func do2(c feedback.Case, err error) feedback.Case {
	if err != nil {
		panic(err)
	}
	return c
}

func TestAssign(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ queue, owner, wantQueue, wantOwner, note string }{
		{"care", "", "care", "", ""},
		{"", "", "care", "", ""},
		{"", "anna", "care", "anna", "from care to care/anna"},
		{"product", "", "product", "", "from care to product"},
		{"product", "ben", "product", "ben", "from care to product/ben"},
	} {
		before := opened()
		c := Assign(before, tt.queue, tt.owner, "rules", hours(1))
		if c.Queue != tt.wantQueue || c.Owner != tt.wantOwner {
			t.Errorf("Assign(%q, %q): %s/%s", tt.queue, tt.owner, c.Queue, c.Owner)
		}
		if tt.note == "" && len(c.History) != 1 || tt.note != "" && c.History[1].Note != tt.note {
			t.Errorf("Assign(%q, %q): history %+v", tt.queue, tt.owner, c.History)
		}
		if len(before.History) != 1 {
			t.Error("the case before was changed")
		}
	}
}

func TestEscalate(t *testing.T) {
	t.Parallel()
	c := Escalate(opened(), 1, "", "", "high", "a day old", hours(24))
	c = Escalate(c, 1, "", "", "urgent", "a day old", hours(24))
	if c.Priority != "high" || c.Escalation != 1 {
		t.Errorf("a step is gone twice: %+v", c)
	}
	if c = Escalate(c, 2, "exec", "eva", "low", "three days old", hours(72)); c.Queue != "exec" || c.Owner != "eva" || c.Priority != "high" {
		t.Errorf("escalated: %+v", c)
	}
}

// TestHistoryIsBounded lets a customer come for ever.
func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	c := opened()
	for i := range 1000 {
		c = Note(c, "anna", "still here", hours(i))
	}
	if len(c.History) != maxHistory || c.HistoryBefore != 1001-maxHistory {
		t.Errorf("%d lines and %d before them", len(c.History), c.HistoryBefore)
	}
}

// TestActed tells what people have done from what the engine did.
func TestActed(t *testing.T) {
	t.Parallel()
	late, _ := Look(opened(), ladder, hours(200), elapsed{})
	moved := Assign(late, "product", "ben", Rules, hours(201))
	asked := AskedAgain(moved, "price", hours(202))
	again := Unlink(Contacted(asked, answer("1", 3), answer("2", 1), hours(203), elapsed{}), answer("2", 1).ID, "lea", hours(204))
	lapsed := Lapse(again, "detractor", "case", hours(205))
	if Acted(&lapsed) || len(lapsed.Items) != 0 {
		t.Errorf("nobody has acted: %+v", lapsed)
	}
	for name, c := range map[string]feedback.Case{
		"assigned":  Assign(lapsed, "care", "anna", "lea", hours(206)),
		"noted":     Note(lapsed, "anna", "rule price asks for a case as well", hours(206)),
		"begun":     do2(Begin(lapsed, "anna", hours(206))),
		"held":      do2(Hold(lapsed, true, "why", "anna", hours(206), elapsed{})),
		"resolved":  do2(Resolve(lapsed, Resolution{Outcome: "fine"}, "anna", hours(206))),
		"corrected": Correct(lapsed, "anna", "labels", hours(206)),
		"raised":    do2(Prioritized(lapsed, "low", "anna", "", hours(206))),
	} {
		if !Acted(&c) {
			t.Errorf("%s: somebody has acted: %+v", name, c.History[len(c.History)-1])
		}
		back := TakeBack(c, "lea", "the wrong file", hours(207))
		if ended := back.Status == feedback.CaseClosed && back.Outcome == Undone; ended != c.Status.Open() || len(back.History) != len(c.History)+1 {
			t.Errorf("%s: taken back: %+v", name, back)
		}
	}
	happy := do2(Resolve(opened(), Resolution{Outcome: "fine"}, "anna", hours(20)))
	if c := Unlink(Contacted(happy, answer("1", 3), answer("z", 9), hours(30), elapsed{}), answer("z", 9).ID, "lea", hours(31)); c.Recovery != nil {
		t.Errorf("a recovery by what was taken back: %+v", c)
	}
}
