package alert

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// Status is where an alert stands.
type Status string

// The statuses. The zero value is Inactive.
const (
	Inactive Status = ""         // the condition does not hold and has not fired since it was last forgotten
	Pending  Status = "pending"  // the condition holds, but not yet for as long as it must
	Firing   Status = "firing"   // also while it is kept firing although the condition does not hold any more
	Resolved Status = "resolved" // has fired and is over
)

// String returns the word for a status, "inactive" for the zero value.
func (s Status) String() string {
	if s == Inactive {
		return "inactive"
	}
	return string(s)
}

// Change is what a call did to the status of an Instance.
type Change string

// The changes.
const (
	None     Change = ""         // the status is what it was
	Waits    Change = "waits"    // inactive or resolved became pending
	Fires    Change = "fires"    // became firing
	Resolves Change = "resolves" // firing became resolved
	Drops    Change = "drops"    // pending became what it was before: the condition did not hold for long enough
)

// Policy says how long a condition must hold and how long an alert outlives it.
type Policy struct {
	// For is how long the condition must hold before the alert fires. Defaults to 0, at once.
	For time.Duration
	// KeepFiring is how long the alert goes on firing after the condition has ceased to hold; when it holds again
	// within that time, it is the same firing. Defaults to 0, it resolves at once.
	KeepFiring time.Duration
	// Stale is how long the condition may be unknown before that counts as not holding, so that an alert about
	// something of which no feedback comes any more does not fire for ever. Defaults to 0, without end.
	Stale time.Duration
}

// Instance is the state of the alert of one rule for one key. The zero value is an inactive alert. It is stored as JSON;
// one that is inactive or resolved can be forgotten, what is lost is ResolvedAt and Firings.
type Instance struct {
	Status Status `json:"status,omitempty"`
	// Since is when the condition began to hold, of a pending or firing alert.
	Since feedback.Time `json:"since,omitzero"`
	// FiringAt is when the alert began to fire, of a firing or resolved alert.
	FiringAt feedback.Time `json:"firing_at,omitzero"`
	// EndedAt is when the condition was first found not to hold any more, of an alert that is kept firing. The
	// condition of an alert that was raised by an item holds just for that moment, so there it is the last raise.
	EndedAt feedback.Time `json:"ended_at,omitzero"`
	// UnknownAt is since when the condition has been unknown, of a pending or firing alert that is not merely kept
	// firing.
	UnknownAt feedback.Time `json:"unknown_at,omitzero"`
	// ResolvedAt is when the alert last resolved.
	ResolvedAt feedback.Time `json:"resolved_at,omitzero"`
	// Firings is how many times the alert has fired.
	Firings int64 `json:"firings,omitempty"`
	// Raises is how many items have raised the alert during its present or last firing.
	Raises int64 `json:"raises,omitempty"`
	// DueAt is when the alert changes if nothing is heard until then; see Due.
	DueAt feedback.Time `json:"due_at,omitzero"`
}

// Due returns the instant at which the alert must be observed again even when nothing happens: because the condition
// will have held, or not held, or been unknown, for long enough. False when there is none.
func (i *Instance) Due() (feedback.Time, bool) { return i.DueAt, i.DueAt != 0 }

// Observe tells the alert whether its condition holds now. To do so twice is as good as once.
//
// Unknown leaves the status as it is: nothing is known that would begin an alert or end one. Waits that have begun go on,
// but only a condition that is known to hold fires. Once it has been unknown for p.Stale it counts as not holding.
func (i *Instance) Observe(holds Truth, now feedback.Time, p Policy) Change {
	now = instant(now)
	notBeyond(now, &i.Since, &i.FiringAt, &i.EndedAt, &i.UnknownAt, &i.ResolvedAt)
	holds = i.unlessStale(holds, now, p)
	change := None
	switch {
	case i.Status == Firing:
		change = i.whileFiring(holds, now, p)
	case holds == True:
		change = i.whileHolding(now, p)
	case holds == False && i.Status == Pending:
		i.drop()
		change = Drops
	}
	i.schedule(p)
	return change
}

// unlessStale keeps account of since when an alert that goes by its condition does not know it, and returns what that
// counts as.
func (i *Instance) unlessStale(holds Truth, now feedback.Time, p Policy) Truth {
	matters := i.Status == Pending || i.Status == Firing && i.EndedAt == 0
	if holds != Unknown || !matters {
		i.UnknownAt = 0
		return holds
	}
	if i.UnknownAt == 0 {
		i.UnknownAt = now
	}
	if p.Stale <= 0 || now < after(i.UnknownAt, p.Stale) {
		return Unknown
	}
	i.UnknownAt = 0
	return False
}

// whileHolding advances an alert that does not fire and whose condition holds.
func (i *Instance) whileHolding(now feedback.Time, p Policy) Change {
	began := i.Status != Pending
	if began {
		i.Status, i.Since = Pending, now
	}
	if now >= after(i.Since, p.For) {
		i.fire(now)
		return Fires
	}
	if began {
		return Waits
	}
	return None
}

func (i *Instance) whileFiring(holds Truth, now feedback.Time, p Policy) Change {
	switch {
	case holds == True:
		i.EndedAt = 0
		return None
	case holds == False && i.EndedAt == 0:
		i.EndedAt = now
	}
	if i.EndedAt == 0 || now < after(i.EndedAt, p.KeepFiring) {
		return None
	}
	i.Status, i.ResolvedAt = Resolved, now
	i.Since, i.EndedAt, i.UnknownAt = 0, 0, 0
	return Resolves
}

func (i *Instance) fire(now feedback.Time) {
	i.Status, i.FiringAt, i.ResolvedAt = Firing, now, 0
	i.Firings++
	i.Raises = 0
}

// drop ends what was pending. An alert that has resolved before stands where it stood.
func (i *Instance) drop() {
	i.Status, i.Since, i.UnknownAt = Inactive, 0, 0
	if i.ResolvedAt != 0 {
		i.Status = Resolved
	}
}

// schedule sets DueAt.
func (i *Instance) schedule(p Policy) {
	i.DueAt = 0
	if i.Status == Pending && i.UnknownAt == 0 {
		i.DueAt = after(i.Since, p.For)
	}
	if i.EndedAt != 0 {
		i.DueAt = after(i.EndedAt, p.KeepFiring)
	}
	if i.UnknownAt != 0 && p.Stale > 0 {
		i.DueAt = earlier(i.DueAt, after(i.UnknownAt, p.Stale))
	}
}

// Raise tells the alert that an item has raised it now. It fires at once and resolves when none has raised it for keep:
// observe False with keep as Policy.KeepFiring when it is due. An alert is either observed or raised, not both.
func (i *Instance) Raise(now feedback.Time, keep time.Duration) Change {
	now = instant(now)
	notBeyond(now, &i.Since, &i.FiringAt, &i.EndedAt, &i.ResolvedAt)
	change := None
	if i.Status != Firing {
		i.Since = now
		i.fire(now)
		change = Fires
	}
	i.Raises++
	i.EndedAt, i.UnknownAt = now, 0
	i.schedule(Policy{KeepFiring: keep})
	return change
}

// UnmarshalJSON reads what json.Marshal wrote. An alert that waits for something is due at once when due_at is missing;
// it returns an error that wraps ErrDamaged when members contradict each other.
func (i *Instance) UnmarshalJSON(b []byte) error {
	type plain Instance
	var in plain
	if err := json.Unmarshal(b, &in); err != nil {
		return fmt.Errorf("alert: %w: %w", ErrDamaged, err)
	}
	if what := (*Instance)(&in).contradiction(); what != "" {
		return fmt.Errorf("alert: %w: %s", ErrDamaged, what)
	}
	*i = Instance(in)
	if i.DueAt == 0 && (i.EndedAt != 0 || i.Status == Pending && i.UnknownAt == 0) {
		i.DueAt = max(i.EndedAt, i.Since)
	}
	return nil
}

// contradiction returns what cannot be true of a state, or "".
func (i *Instance) contradiction() string {
	switch i.Status {
	case Inactive, Resolved:
		if i.Since != 0 || i.EndedAt != 0 || i.UnknownAt != 0 || i.DueAt != 0 {
			return fmt.Sprintf("found instants of an active alert in one that is %s", i.Status)
		}
		if i.Status == Resolved && (i.FiringAt == 0 || i.ResolvedAt == 0) {
			return "found a resolved alert without firing_at or resolved_at"
		}
	case Pending:
		if i.Since == 0 || i.EndedAt != 0 {
			return "found a pending alert without since or with ended_at"
		}
	case Firing:
		if i.Since == 0 || i.FiringAt == 0 || i.ResolvedAt != 0 {
			return "found a firing alert without since or firing_at or with resolved_at"
		}
		if i.EndedAt != 0 && i.UnknownAt != 0 {
			return "found an alert whose condition does not hold any more and is unknown"
		}
	default:
		return fmt.Sprintf("found status %.20q, expected pending, firing, resolved or none", string(i.Status))
	}
	for _, t := range []feedback.Time{i.Since, i.FiringAt, i.EndedAt, i.UnknownAt, i.ResolvedAt, i.DueAt} {
		if t != storable(t) {
			return fmt.Sprintf("found the instant %s, expected one from 1970 to 9999", t)
		}
	}
	if i.Firings < 0 || i.Raises < 0 {
		return "found a negative count"
	}
	return ""
}
