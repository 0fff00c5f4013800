package cases

import (
	"fmt"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// Contacted links later feedback of the same customer to a case. Repeat contact raises the priority of an open case by
// one step. After a resolution the answer is compared with the one that opened the case, when both answer the same
// question: an unhappy one reopens it. Feedback that is linked already changes nothing, nor does what comes to an open case that is linked to 32, and what the customer said before
// the case, or before its resolution, does no more than be linked.
func Contacted(c feedback.Case, first, later *feedback.Item, at feedback.Time, k Clock) feedback.Case {
	if later.ID == c.Item || slices.Contains(c.Items, later.ID) || c.Status.Open() && len(c.Items) >= maxLinked {
		return c
	}
	c.Items = append(slices.Clip(c.Items), later.ID)
	c = line(c, at, Contact, "", fmt.Sprintf("%s from the same customer%s", later.ID, scored(later)))
	if c.Status.Open() {
		if later.OccurredAt < first.OccurredAt {
			return c
		}
		return raise(c, at)
	}
	if later.OccurredAt < c.ResolvedAt {
		return c
	}
	if recovery(&c) == nil && first.Score != nil && later.Score != nil && first.Survey == later.Survey && first.Survey != "" {
		c.Recovery = &feedback.Recovery{Item: later.ID, At: at, Survey: later.Survey, Before: *first.Score, After: *later.Score}
		c = line(c, at, Recovered, "", fmt.Sprintf("%s was %v and is %v", later.Survey, *first.Score, *later.Score))
	}
	if c.Status == feedback.CaseResolved && Unhappy(later) {
		if reopened, err := Reopen(c, "the customer is unhappy again", "", at, k); err == nil {
			return reopened
		}
	}
	return c
}

// recovery returns the recovery of the present round of a case.
func recovery(c *feedback.Case) *feedback.Recovery {
	if c.Recovery == nil || slices.ContainsFunc(c.Past, func(r feedback.CaseRound) bool {
		return r.Recovery != nil && r.Recovery.Item == c.Recovery.Item
	}) {
		return nil
	}
	return c.Recovery
}

// maxLinked is how much feedback an open case is linked to; what a customer says more often than that is found by the
// customer.
const maxLinked = 32

func scored(it *feedback.Item) string {
	if it.Score == nil {
		return ""
	}
	return fmt.Sprintf(", who gives %s %v", it.Survey, *it.Score)
}

// Unhappy reports whether an answer is one that should not be left alone: a detractor's, or one in the lower half of its
// scale.
func Unhappy(it *feedback.Item) bool {
	if class := it.NPSClass(); class != "" {
		return class == feedback.Detractor
	}
	lo, hi, ok := it.Scale()
	return ok && it.Score != nil && *it.Score < (lo+hi)/2
}

// raise gives an open case the next higher priority.
func raise(c feedback.Case, at feedback.Time) feedback.Case {
	was := orNormal(c.Priority)
	if i := slices.Index(priorities, was); i >= 0 && i+1 < len(priorities) {
		c.Priority = priorities[i+1]
		c = line(c, at, Prioritize, "", fmt.Sprintf("from %s to %s: the customer has come again", was, c.Priority))
	}
	return c
}

// Acted reports whether a person has done anything to a case. Of one that is too old to tell it says so.
func Acted(c *feedback.Case) bool {
	if c.HistoryBefore > 0 {
		return true
	}
	return slices.ContainsFunc(c.History, func(h feedback.CaseEvent) bool {
		switch h.Kind {
		case Attempt, Began, Held, Resumed, Resolved, Closed, Corrected:
			return true
		case Assigned:
			return h.By != Rules
		case Noted:
			return !strings.HasPrefix(h.Note, asksAsWell(h.By))
		case Prioritize, Reopened:
			return h.By != ""
		}
		return false
	})
}

// Rules is who assigns a case when its rules do.
const Rules = "rules"

// AskedAgain notes that another rule asks for a case as well.
func AskedAgain(c feedback.Case, rule string, at feedback.Time) feedback.Case {
	return Note(c, rule, asksAsWell(rule), at)
}

func asksAsWell(rule string) string { return "rule " + rule + " asks for a case as well" }

// Undone is the outcome of a case whose feedback was taken back.
const Undone = "undone"

// TakeBack ends a case because the feedback that opened it was taken back. A case that has ended stays as it is, and says
// so too.
func TakeBack(c feedback.Case, by, why string, at feedback.Time) feedback.Case {
	if !c.Status.Open() {
		return Note(c, by, "its feedback was taken back: "+why, at)
	}
	end(&c, at)
	c.Status, c.ClosedAt, c.Outcome = feedback.CaseClosed, at, Undone
	return line(c, at, Closed, by, Undone+", its feedback was taken back: "+why)
}

// TakenBack reports whether a case ended because its feedback was taken back, and not by what somebody did about it, which
// closing says.
func TakenBack(c *feedback.Case) bool {
	return c.Status == feedback.CaseClosed && c.Outcome == Undone && c.Action == ""
}

// Unlink takes later feedback of the same customer out of a case, because it was taken back. The priority that it gave
// the case stays.
func Unlink(c feedback.Case, item feedback.ItemID, by string, at feedback.Time) feedback.Case {
	c.Items = slices.DeleteFunc(slices.Clone(c.Items), func(id feedback.ItemID) bool { return id == item })
	if c.Recovery != nil && c.Recovery.Item == item {
		c.Recovery = nil
	}
	c.Past = slices.Clone(c.Past)
	for i := range c.Past {
		if v := c.Past[i].Recovery; v != nil && v.Item == item {
			c.Past[i].Recovery = nil
		}
	}
	return line(c, at, Unlinked, by, string(item)+" was taken back")
}

// maxHistory is how many lines a case holds; the oldest leave first, for good but for the audit log.
const maxHistory = 200

func line(c feedback.Case, at feedback.Time, kind, by, note string) feedback.Case {
	kept := c.History
	if n := len(kept) + 1 - maxHistory; n > 0 {
		kept = kept[n:]
		c.HistoryBefore += n
	}
	history := make([]feedback.CaseEvent, len(kept), len(kept)+1)
	copy(history, kept)
	c.History = append(history, feedback.CaseEvent{At: at, Kind: kind, By: by, Note: note})
	return c
}
