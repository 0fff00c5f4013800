package cases

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// promise starts the clocks of a case anew and says what is promised.
func promise(c *feedback.Case, at feedback.Time, k Clock) (said string) {
	c.DueAt, c.ResolveBy, c.RunsSince, c.Worked = 0, 0, at, 0
	c.ResponseLeft, c.ResolutionLeft = c.ResponseSLA, c.ResolutionSLA
	restart(c, at, k)
	if c.DueAt != 0 {
		said += ", first response due " + c.DueAt.String()
	}
	if c.ResolveBy != 0 {
		said += ", to be resolved by " + c.ResolveBy.String()
	}
	return said
}

// Hold stops the clocks: the case waits for something, or for the customer.
func Hold(c feedback.Case, customer bool, why, by string, at feedback.Time, k Clock) (feedback.Case, error) {
	if !c.Status.Open() || c.Status.Held() {
		return c, cannot("hold", c)
	}
	if strings.TrimSpace(why) == "" {
		return c, fmt.Errorf("to hold a case the reason must be given: %w", ErrMissing)
	}
	c.Status = feedback.CaseOnHold
	if customer {
		c.Status = feedback.CaseWaiting
	}
	c.ResponseLeft, c.ResolutionLeft = left(c.DueAt, &c, at, k), left(c.ResolveBy, &c, at, k)
	c.Worked += k.Left(running(&c), at, c.Calendar)
	c.HeldAt, c.RunsSince = at, 0
	c.DueAt, c.ResolveBy, c.WarnAt, c.ResolveWarnAt = 0, 0, 0, 0
	return line(c, at, Held, by, string(c.Status)+": "+why), nil
}

// left is what is left of a promise: at least a millisecond while it is one at all.
func left(due feedback.Time, c *feedback.Case, at feedback.Time, k Clock) time.Duration {
	if due == 0 {
		return 0
	}
	return max(k.Left(at, due, c.Calendar), time.Millisecond)
}

// running returns since when the clocks of a case run. A case of a store that did not keep it runs since it was opened.
func running(c *feedback.Case) feedback.Time {
	if c.RunsSince == 0 {
		return c.Since()
	}
	return c.RunsSince
}

// Resume starts the clocks again, with what was left.
func Resume(c feedback.Case, by string, at feedback.Time, k Clock) (feedback.Case, error) {
	if !c.Status.Held() {
		return c, cannot("resume", c)
	}
	restart(&c, at, k)
	c.Status = feedback.CaseInProgress
	if c.RespondedAt == 0 {
		c.Status = feedback.CaseNew
		if c.Owner != "" {
			c.Status = feedback.CaseAssigned
		}
	}
	return line(c, at, Resumed, by, ""), nil
}

// restart has the clocks run, with what is left.
func restart(c *feedback.Case, at feedback.Time, k Clock) {
	c.DueAt, c.WarnAt = run(c, c.ResponseLeft, c.ResponseSLA, at, k)
	c.ResolveBy, c.ResolveWarnAt = run(c, c.ResolutionLeft, c.ResolutionSLA, at, k)
	c.ResponseLeft, c.ResolutionLeft, c.HeldAt, c.RunsSince = 0, 0, 0, at
}

// run returns when the rest of a promise is over, and when to warn of that: not when the time to warn was before.
func run(c *feedback.Case, rest, promised time.Duration, at feedback.Time, k Clock) (due, warn feedback.Time) {
	if rest <= 0 {
		return 0, 0
	}
	due = k.Due(at, rest, c.Calendar)
	behind := time.Duration((1 - c.Warn) * float64(promised))
	if c.Warn > 0 && rest > behind {
		warn = k.Due(at, rest-behind, c.Calendar)
	}
	return due, warn
}

// Breach marks the first response as late. It changes nothing when it is not due, or is marked already.
func Breach(c feedback.Case, at feedback.Time) feedback.Case {
	if !c.Status.Open() || c.DueAt == 0 || at < c.DueAt || c.BreachedAt != 0 {
		return c
	}
	c.BreachedAt, c.WarnAt = at, 0
	return line(c, at, Breached, "", "no response by "+c.DueAt.String())
}

// Overrun marks the resolution as late. It changes nothing when it is not due, or is marked already.
func Overrun(c feedback.Case, at feedback.Time) feedback.Case {
	if !c.Status.Open() || c.ResolveBy == 0 || at < c.ResolveBy || c.OverdueAt != 0 {
		return c
	}
	c.OverdueAt, c.ResolveWarnAt = at, 0
	return line(c, at, Overdue, "", "not resolved by "+c.ResolveBy.String())
}

// Warn tells that a promise is close to its end. It changes nothing when that is not so, or was told.
func Warn(c feedback.Case, at feedback.Time) feedback.Case {
	if c.WarnAt != 0 && at >= c.WarnAt {
		c.WarnAt = 0
		c = line(c, at, Warned, "", "first response due "+c.DueAt.String())
	}
	if c.ResolveWarnAt != 0 && at >= c.ResolveWarnAt {
		c.ResolveWarnAt = 0
		c = line(c, at, Warned, "", "to be resolved by "+c.ResolveBy.String())
	}
	return c
}

// Escalate goes one step up the ladder of a case: to another queue, owner or priority. Empty values leave what is there,
// and no step lowers the priority.
func Escalate(c feedback.Case, step int, queue, owner, priority, why string, at feedback.Time) feedback.Case {
	if !c.Status.Open() || c.Escalation >= step {
		return c
	}
	c.Escalation = step
	if slices.Index(priorities, priority) > slices.Index(priorities, orNormal(c.Priority)) {
		c.Priority = priority
	}
	switch {
	case queue != "" && queue != c.Queue:
		own(&c, queue, owner)
	case owner != "":
		own(&c, c.Queue, owner)
	}
	return line(c, at, Escalated, "", why)
}

func orNormal(priority string) string {
	if priority == "" {
		return "normal"
	}
	return priority
}

// climbs reports whether a step is one for the case, at whatever time.
func climbs(c *feedback.Case, x *rules.Escalation) bool {
	return (x.Value == 0 || c.Value != nil && *c.Value >= x.Value) && 1+len(c.Items) >= x.Contacts
}

// next returns the number of the step that the case takes next, from 1, and when: zero when there is none.
func next(c *feedback.Case, ladder []rules.Escalation, k Clock) (step int, due feedback.Time) {
	if !c.Status.Open() || c.Status.Held() {
		return 0, 0
	}
	for i := c.Escalation; i < len(ladder); i++ {
		if climbs(c, &ladder[i]) {
			return i + 1, k.Due(running(c), max(ladder[i].After-c.Worked, 0), c.Calendar)
		}
	}
	return 0, 0
}

// Next returns when a case is to be looked at, because a warning, a promise or a step of its ladder is due then. It is
// zero when nothing will be. The ladder is sorted by the time of its steps.
func Next(c *feedback.Case, ladder []rules.Escalation, k Clock) (due feedback.Time) {
	if !c.Status.Open() {
		return 0
	}
	_, step := next(c, ladder, k)
	instants := [...]feedback.Time{c.WarnAt, c.ResolveWarnAt, step, 0, 0}
	if c.BreachedAt == 0 {
		instants[3] = c.DueAt
	}
	if c.OverdueAt == 0 {
		instants[4] = c.ResolveBy
	}
	for _, at := range instants {
		if at != 0 && (due == 0 || at < due) {
			due = at
		}
	}
	return due
}

// Look does what is due: it marks what is late, warns of what is not, and goes up the ladder. It returns the numbers of
// the steps that the case took, from 1. To look too early, or once more, changes nothing.
func Look(c feedback.Case, ladder []rules.Escalation, at feedback.Time, k Clock) (after feedback.Case, steps []int) {
	c = Warn(Overrun(Breach(c, at), at), at)
	for {
		step, due := next(&c, ladder, k)
		if step == 0 || at < due {
			return c, steps
		}
		x := &ladder[step-1]
		c = Escalate(c, step, x.Queue, x.Owner, string(x.Priority), fmt.Sprintf("step %d, after %s", step, x.After), at)
		steps = append(steps, step)
	}
}
