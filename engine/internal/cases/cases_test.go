package cases

import (
	"testing"
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
)

const monday = feedback.Time(1_772_445_600_000) // 2026-03-02T10:00:00Z

func opened() feedback.Case {
	it := &feedback.Item{ID: feedback.NewItemID(monday, "survey", "1"), Customer: feedback.Customer{ID: "c1"}}
	return Open(it, Promise{Rule: "detractor", Effect: "detractor|case|", Queue: "care", DueAt: monday.Add(48 * time.Hour)}, monday)
}

func TestOpenPromises(t *testing.T) {
	t.Parallel()
	c := opened()
	if c.DueAt != monday.Add(48*time.Hour) || c.Status != feedback.CaseOpen || c.Customer != "c1" {
		t.Errorf("opened case: %+v", c)
	}
	if c.ID != opened().ID {
		t.Error("the same promise at the same instant gave another id")
	}
	if len(c.History) != 1 || c.History[0].Kind != Opened {
		t.Errorf("history: %+v", c.History)
	}
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
		c := Assign(before, tt.queue, tt.owner, "rule", monday)
		if c.Queue != tt.wantQueue || c.Owner != tt.wantOwner {
			t.Errorf("Assign(%q, %q) = %q, %q", tt.queue, tt.owner, c.Queue, c.Owner)
		}
		if last := c.History[len(c.History)-1]; tt.note != "" && last.Note != tt.note {
			t.Errorf("Assign(%q, %q) noted %q, want %q", tt.queue, tt.owner, last.Note, tt.note)
		} else if tt.note == "" && len(c.History) != len(before.History) {
			t.Errorf("Assign(%q, %q) noted a change where there is none", tt.queue, tt.owner)
		}
	}
}

func TestBreach(t *testing.T) {
	t.Parallel()
	c := opened()
	if got := Breach(c, c.DueAt-1); got.BreachedAt != 0 {
		t.Error("breached before it was due")
	}
	late := Breach(c, c.DueAt)
	if late.BreachedAt != c.DueAt || late.History[1].Kind != Breached {
		t.Errorf("late case: %+v", late)
	}
	if again := Breach(late, c.DueAt+1); again.BreachedAt != c.DueAt || len(again.History) != 2 {
		t.Error("breached twice")
	}
	c.Status = feedback.CaseResolved
	if got := Breach(c, c.DueAt); got.BreachedAt != 0 {
		t.Error("a resolved case was breached")
	}
}

func TestHistoryIsAppendOnly(t *testing.T) {
	t.Parallel()
	c := opened()
	a, b := Note(c, "x", "one", monday), Lapse(c, "detractor", "case", monday)
	if len(c.History) != 1 || a.History[1].Note != "one" || b.History[1].Kind != Lapsed {
		t.Error("two transitions of one case share their history")
	}
}
