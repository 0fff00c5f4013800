package rules

import (
	"time"
)

// businessFactor is how much longer business time lasts than all time, with some to spare: 8 hours of 24, 5 days of 7.
const businessFactor = 5

// Reach returns how far back what an item leaves behind matters: the longest span of windows, throttles, alerts and
// digests, and of the time that a case has. What is decided after so long on feedback that comes in its order does not
// depend on what was before, apart from the turns of pools, from cases that stay open longer than they should, and from
// throttles and alerts that began by what a window said which has lost it since: the times are not added up.
func (s *Set) Reach() time.Duration {
	var out time.Duration
	for _, w := range s.windows {
		span := w.info.Span
		out = max(out, span.Over+span.Offset+span.Step)
	}
	for i := range s.groups {
		g := &s.groups[i]
		for j := range g.rules {
			out = max(out, g.rules[j].reach())
		}
		for _, c := range g.conditions {
			out = max(out, c.policy.For+c.policy.KeepFiring)
		}
	}
	return out
}

func (r *rule) reach() (out time.Duration) {
	if r.throttle != nil {
		out = r.throttle.every
	}
	for i := range r.actions {
		a := &r.actions[i]
		sla := max(a.sla, a.resolve)
		if a.calendar != "" {
			sla *= businessFactor
		}
		out = max(out, sla, a.digest, a.keep)
	}
	return out
}

// TickEvery returns the shortest step of the windows that rules over time read, and 0 when they read none: what they say
// changes only when an item counts or a step passes.
func (s *Set) TickEvery() time.Duration {
	var out time.Duration
	for i := range s.groups {
		for _, c := range s.groups[i].conditions {
			for _, w := range c.when.Windows() {
				if step := s.windows[w].info.Span.Step; out == 0 || step < out {
					out = step
				}
			}
		}
	}
	return out
}
