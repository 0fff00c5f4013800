package rules

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/closedloop/closedloop/rules/source"
)

// unused tells of what is declared and nothing uses, and of what nobody has declared.
func (l *linter) unused() {
	for _, d := range l.set.unused {
		l.add(Finding{Code: "unused", Pos: d.at, Message: fmt.Sprintf("nothing uses the %s %s", d.what, d.name), Hint: "remove it"})
	}
	told := map[[2]string]bool{}
	for _, d := range l.set.unchecked {
		if key := [2]string{d.what, d.name}; !told[key] {
			told[key] = true
			l.add(Finding{Code: "undeclared_" + d.what, Pos: d.at, Message: fmt.Sprintf("it is not known whether there is a %s %s", d.what, d.name),
				Hint: "check the files with the program that includes them"})
		}
	}
}

// The limits beyond which something is told to cost much.
const (
	costly     = 20_000_000 // steps of a condition
	costlier   = 20         // times the middle one of all conditions
	manySteps  = 1000       // of a window
	manyCostly = 50         // findings of that kind
)

// costs tells of conditions that cost far more than the others.
func (l *linter) costs() {
	type cost struct {
		r     *rule
		steps int64
	}
	var all []cost
	for i := range l.set.groups {
		g := &l.set.groups[i]
		for j := range g.rules {
			if r := &g.rules[j]; r.info.Mode != Off {
				all = append(all, cost{r, r.when.Cost()})
			}
		}
	}
	if len(all) == 0 {
		return
	}
	slices.SortStableFunc(all, func(a, b cost) int { return cmp.Compare(b.steps, a.steps) })
	middle := max(all[len(all)/2].steps, 1)
	if len(all) == 1 {
		middle = 1
	}
	for i, c := range all {
		if c.steps < costly || c.steps < costlier*middle || i == manyCostly {
			return
		}
		l.add(Finding{Code: "costly", Rule: c.r.info.ID, Pos: c.r.at.when,
			Message: fmt.Sprintf("the condition of the rule %s may take %d million steps on the longest item, most conditions take %s", c.r.info.ID, c.steps/1e6, steps(middle)),
			Hint:    "put cheaper comparisons beside it by and, shorten its regular expressions, or use contains"})
	}
}

func steps(n int64) string {
	if n >= 1e6 {
		return fmt.Sprintf("about %d million", n/1e6)
	}
	return fmt.Sprintf("about %d", n)
}

// unbounded are the fields of which there are as many values as items or customers.
var unbounded = map[string]string{
	"id": "items", "external_id": "items", "text": "items", "title": "items", "url": "items",
	"customer.id": "customers", "customer.email": "customers", "customer.name": "customers",
}

// windows tells of windows that keep much, and of rules that read them before the item at hand counts.
func (l *linter) windows() {
	for _, w := range l.set.windows {
		if n := (w.info.Span.Over + w.info.Span.Offset) / max(w.info.Span.Step, 1); n > manySteps {
			l.add(Finding{Code: "many_steps", Pos: w.at,
				Message: fmt.Sprintf("the window %s keeps %d steps for each of its keys", w.info.Name, n), Hint: "a longer step keeps less"})
		}
		for _, name := range w.info.By {
			if what, ok := unbounded[name]; ok {
				l.add(Finding{Code: "many_keys", Pos: w.at,
					Message: fmt.Sprintf("the window %s is kept by %s: what it remembers grows with the number of %s", w.info.Name, name, what), Hint: "keep it by a field with fewer values"})
			}
		}
	}
	for i := range l.set.groups[:l.set.counted] {
		g := &l.set.groups[i]
		for j := range g.rules {
			r := &g.rules[j]
			if windows := r.when.Windows(); r.info.Mode != Off && len(windows) > 0 {
				l.add(Finding{Code: "window_before", Rule: r.info.ID, Pos: r.at.when,
					Message: fmt.Sprintf("the rule %s reads the window %s before the item at hand counts in it: that is after the last group that relabels", r.info.ID, l.set.windows[windows[0]].info.Name),
					Hint:    "put the rule into a group behind those that relabel"})
			}
		}
	}
}

// alerts tells of what is told to nobody, and of throttles that hold for all items together.
func (l *linter) alerts() {
	untold := func(id string, at source.Pos) {
		l.add(Finding{Code: "untold_alert", Rule: id, Pos: at, Message: fmt.Sprintf("nobody is told of the alert of the rule %s", id), Hint: "add notify to it"})
	}
	for i := range l.set.groups {
		g := &l.set.groups[i]
		for j := range g.rules {
			r := &g.rules[j]
			if r.info.Mode == Off {
				continue
			}
			alerts := slices.ContainsFunc(r.actions, func(a action) bool { return a.kind == Alert })
			if t := l.set.tellings[r.info.ID]; alerts && t.destination == "" {
				untold(r.info.ID, r.at.rule)
			}
			if t := r.throttle; t != nil && len(t.key) == 0 {
				l.add(Finding{Code: "throttle_without_key", Rule: r.info.ID, Pos: r.at.rule,
					Message: fmt.Sprintf("the rule %s acts on %s in %s, whoever it is about", r.info.ID, items(t.max), lasting(t.every)),
					Hint:    "add a key, such as key: customer.id"})
			}
		}
		for _, c := range g.conditions {
			if c.telling.destination == "" && c.info.Mode != Off {
				untold(c.info.ID, c.at.rule)
			}
		}
	}
}

func items(n int) string {
	if n == 1 {
		return "one item"
	}
	return fmt.Sprintf("%d items", n)
}

// lasting writes a duration as rule files have it.
func lasting(d time.Duration) string {
	for _, u := range [...]struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if d >= u.unit && d%u.unit == 0 {
			return fmt.Sprintf("%d%s", d/u.unit, u.name)
		}
	}
	return d.String()
}

// tables tells of decision tables of which no row may fit.
func (l *linter) tables() {
	for _, t := range l.set.tableFindings() {
		l.add(Finding{Code: t.code, Pos: t.pos, Message: t.message, Hint: t.hint})
	}
}
