package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/rules/internal/logic"
)

// holding are the rules of a group that fire for one event, by their place in the group.
type holding []int32

// holding returns the rules of the group that match the event, in their order. Of the rules that are decided for each
// theme they are those that match for the event's.
func (l *linter) holding(number int32, w *witness) holding {
	g := &l.set.groups[number]
	e := l.enter(w)
	defer l.set.release(e)
	l.buf = l.set.index.Match(e.scratch, e.frame, g.stage, l.buf[:0])
	l.matches += len(l.buf) + len(g.direct) + 50
	var out holding
	for _, n := range l.buf {
		if p := l.set.places[n]; p.group == number {
			out = append(out, p.rule)
		}
	}
	for _, i := range g.direct {
		if r := &g.rules[i]; r.fires(e.frame.Eval(r.when)) {
			out = append(out, i)
		}
	}
	slices.Sort(out)
	return out
}

func (r *rule) fires(t lang.Truth) bool { return t == lang.True || t == lang.Unknown && r.assume }

// ends reports whether the rule ends its group whenever it matches an event for which the later one is decided.
func (l *linter) ends(r, later *rule) bool {
	return r.info.Mode == On && !l.silenced[r.info.ID] && (r.info.Each == "" || r.info.Each == later.info.Each)
}

// maxRounds bounds the rules together that are held against one.
const maxRounds = 16

// shadowed tells of a rule that never fires, because the rules before it end the group. From an event for which it
// matches it goes to one for which none of the rules does that were found to end the group before it, until there is none.
func (l *linter) shadowed(number int32, j int, event *witness) {
	g := &l.set.groups[number]
	r := &g.rules[j]
	match := logic.Goal{Cond: r.when, Accept: r.matches()}
	goals := []logic.Goal{match}
	var by []*rule
	for range maxRounds {
		if event == nil {
			l.shadowedByOne(g, j)
			return
		}
		var next *rule
		for n, i := range l.holding(number, event) {
			o := &g.rules[i]
			if int(i) >= j || n >= maxCandidates {
				break
			}
			if !l.ends(o, r) || slices.Contains(by, o) {
				continue
			}
			if l.solver.Implies(r.when, r.matches(), o.when, o.matches()) {
				l.shadow(r, []*rule{o})
				return
			}
			if next == nil {
				next = o
			}
		}
		if next == nil {
			return // it fires for this event, or nothing is known
		}
		by = append(by, next)
		goals = append(goals, logic.Goal{Cond: next.when, Accept: next.matches().Opposite()})
		var verdict logic.Verdict
		if verdict, event = l.solve(r.info.Each, goals...); verdict == logic.Impossible {
			l.shadow(r, l.fewest(match, by))
			return
		}
		if verdict == logic.Open {
			return
		}
	}
}

// shadowedByOne looks for one rule that shadows another among those that it has comparisons in common with, or that always
// match.
func (l *linter) shadowedByOne(g *group, j int) {
	r := &g.rules[j]
	tried := 0
	for i := range g.rules[:j] {
		o := &g.rules[i]
		if tried == maxCandidates || l.exhausted() {
			return
		}
		l.matches++
		if o.info.Mode == Off || !l.ends(o, r) || !o.when.IsTrue() && !l.solver.Shares(r.when, o.when) {
			continue
		}
		tried++
		if l.solver.Implies(r.when, r.matches(), o.when, o.matches()) {
			l.shadow(r, []*rule{o})
			return
		}
	}
}

// fewest leaves out rules without which the others still shadow.
func (l *linter) fewest(match logic.Goal, by []*rule) []*rule {
	for i := 0; i < len(by); {
		goals := []logic.Goal{match}
		for k, o := range by {
			if k != i {
				goals = append(goals, logic.Goal{Cond: o.when, Accept: o.matches().Opposite()})
			}
		}
		if l.solver.Solve(goals, nil) == logic.Impossible {
			by = slices.Delete(by, i, i+1)
		} else {
			i++
		}
	}
	return by
}

func (l *linter) shadow(r *rule, by []*rule) {
	var names []string
	for _, o := range by {
		names = append(names, fmt.Sprintf("%s (%s)", o.info.ID, short(o.at.rule, r.at.rule)))
	}
	message := fmt.Sprintf("the rule %s never fires: whatever it matches, the rule %s matches before it", r.info.ID, names[0])
	if len(by) > 1 {
		message = fmt.Sprintf("the rule %s never fires: whatever it matches, one of the rules %s matches before it", r.info.ID, strings.Join(names, ", "))
	}
	l.add(Finding{Code: "shadowed", Rule: r.info.ID, Other: by[0].info.ID, Pos: r.at.rule, OtherPos: by[0].at.rule, Blocks: true,
		Message: message, Hint: "put it before, or give it a higher priority"})
}
