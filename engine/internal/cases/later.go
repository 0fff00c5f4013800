package cases

import (
	"fmt"
	"slices"

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
	if c.Recovery == nil && first.Score != nil && later.Score != nil && first.Survey == later.Survey && first.Survey != "" {
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
