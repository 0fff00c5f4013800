package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/rules/internal/logic"
	"github.com/closedloop/closedloop/rules/source"
)

// limits bound what a linter looks into, so that it ends soon for any set.
type limits struct {
	steps    int64 // of reasoning about conditions
	matches  int   // conditions that are asked or found, of all events that are tried
	pairs    int   // of rules that set the same output
	overlaps int   // of them that are told
}

var lintLimits = limits{steps: 100_000_000, matches: 150_000_000, pairs: 30_000, overlaps: 100}

// Lint returns what is odd about the set, in the order of its files. What it says of conditions is proven: a rule that it
// calls contradictory or shadowed never fires, whatever happens. Not everything that is odd is found. It takes seconds for
// 10,000 rules, and says what it left out where there are many more.
func (s *Set) Lint() []Finding { return newLinter(s, lintLimits).lint() }

func newLinter(s *Set, bounds limits) *linter {
	l := &linter{set: s, limits: bounds, solver: logic.New(s.program), silenced: map[string]bool{}, left: map[*rule]bool{}, never: map[*rule]bool{}}
	for i := range s.groups {
		for j := range s.groups[i].rules {
			for _, id := range s.groups[i].rules[j].suppresses {
				l.silenced[id] = true
			}
		}
	}
	return l
}

func (l *linter) lint() []Finding {
	for i := range l.set.groups {
		l.group(int32(i))
	}
	l.overTime()
	l.writers()
	l.unused()
	l.costs()
	l.windows()
	l.alerts()
	l.tables()
	if n := len(l.left); n > 0 {
		l.add(Finding{Code: "not_looked_into", Message: fmt.Sprintf("there is too much to look into: %d rules were not compared with all others", n)})
	}
	slices.SortStableFunc(l.out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Column, b.Pos.Column))
	})
	return l.out
}

// linter looks through one set.
type linter struct {
	set      *Set
	limits   limits
	solver   *logic.Solver
	out      []Finding
	silenced map[string]bool // the rules that another one suppresses
	matches  int             // see limits
	left     map[*rule]bool  // that were not looked into
	never    map[*rule]bool  // that never fire
	buf      []int32
	marked   []bool // rules of a group
}

func (l *linter) add(f Finding) { l.out = append(l.out, f) }

func (l *linter) exhausted() bool {
	return l.solver.Steps() > l.limits.steps || l.matches > l.limits.matches
}

// matches are the truth values with which the rule fires.
func (r *rule) matches() logic.Accept {
	if r.assume {
		return logic.NotFalse
	}
	return logic.IsTrue
}

// group looks through the rules of one group.
func (l *linter) group(number int32) {
	g := &l.set.groups[number]
	alike := map[string][]int{} // rules that do the same, by what they do
	same := map[[2]string]int{} // the first of those with the same condition besides
	for j := range g.rules {
		r := &g.rules[j]
		key := [2]string{r.when.Key(), r.does}
		if first, ok := same[key]; ok {
			l.duplicate(g, j, first)
			continue
		}
		same[key] = j
		if r.info.Mode == Off {
			continue
		}
		if l.exhausted() {
			l.left[r] = true
			continue
		}
		event, ok := l.possible(r)
		if !ok {
			continue
		}
		before := alike[r.does]
		alike[r.does] = append(before, j)
		if l.equivalent(number, j, before, event) {
			continue
		}
		if g.first {
			l.shadowed(number, j, event)
		}
	}
}

// possible finds an event for which the rule fires. It reports false when there is none: the rule never fires.
func (l *linter) possible(r *rule) (*witness, bool) {
	verdict, event := l.solve(r.info.Each, logic.Goal{Cond: r.when, Accept: r.matches()})
	if verdict == logic.Impossible {
		l.never[r] = true
		l.contradiction(r.info.ID, "the rule "+r.info.ID+" never fires", r.at.when, r.when, r.matches())
		return nil, false
	}
	l.always(r.info.ID, r.at, r.when, r.matches())
	return event, true
}

// contradiction tells of a condition that never holds. It is advice where false is written, which is hardly a mistake.
func (l *linter) contradiction(id, what string, at source.Pos, when *lang.Condition, accept logic.Accept) {
	f := Finding{Code: "contradiction", Rule: id, Pos: at, Message: what + ": its condition is never true", Blocks: true}
	if f.Hint = l.core(when, accept); f.Hint == "false never holds" {
		f.Hint, f.Blocks = "write mode: off if that is meant", false
	}
	l.add(f)
}

// always tells of a condition that holds for every event although it asks for something.
func (l *linter) always(id string, at places, when *lang.Condition, accept logic.Accept) {
	if !when.IsTrue() && l.solver.Solve([]logic.Goal{{Cond: when, Accept: accept.Opposite()}}, nil) == logic.Impossible {
		l.add(Finding{Code: "always", Rule: id, Pos: at.when,
			Message: fmt.Sprintf("the condition of the rule %s holds for every item", id), Hint: "write when: true if that is meant"})
	}
}

// core says which comparisons of a condition can never be true together: as few as there are.
func (l *linter) core(when *lang.Condition, accept logic.Accept) string {
	parts := l.set.program.Conjuncts(when)
	if accept != logic.IsTrue || len(parts) > 32 {
		return "see what its comparisons ask of one field"
	}
	for i := 0; i < len(parts) && len(parts) > 1; {
		without := slices.Delete(slices.Clone(parts), i, i+1)
		if l.solver.SolveParts(without) == logic.Impossible {
			parts = without
		} else {
			i++
		}
	}
	if len(parts) == 1 {
		if strings.HasSuffix(parts[0].Text, `== ""`) {
			return "a text is never empty, but missing: not has(...)"
		}
		return parts[0].Text + " never holds"
	}
	var texts []string
	for _, p := range parts {
		texts = append(texts, p.Text)
	}
	return strings.Join(texts, " and ") + " exclude each other"
}

// duplicate tells of a rule that does the same as another, on the same condition.
func (l *linter) duplicate(g *group, rule, first int) {
	r, o := &g.rules[rule], &g.rules[first]
	l.add(Finding{
		Code: "duplicate", Rule: r.info.ID, Other: o.info.ID, Blocks: true, Pos: r.at.rule, OtherPos: o.at.rule,
		Message: fmt.Sprintf("the rule %s does the same as the rule %s (%s), on the same condition", r.info.ID, o.info.ID, short(o.at.rule, r.at.rule)),
		Hint:    "remove one of them",
	})
}

// short writes a place, without the file if it is that of another place.
func short(p, near source.Pos) string {
	if p.File == near.File {
		return fmt.Sprintf("line %d", p.Line)
	}
	return p.String()
}

// maxCandidates bounds the rules that one rule is compared with where nothing tells which to choose.
const maxCandidates = 12

// equivalent tells of a rule that does the same as one before it on a condition that means the same.
func (l *linter) equivalent(number int32, j int, before []int, event *witness) bool {
	g := &l.set.groups[number]
	r := &g.rules[j]
	if len(before) == 0 {
		return false
	}
	var holds []int32
	if event != nil {
		holds = l.holding(number, event)
		l.mark(holds, len(g.rules), true)
		defer l.mark(holds, len(g.rules), false)
	}
	tried := 0
	for _, i := range slices.Backward(before) {
		if event != nil && !l.marked[i] {
			continue
		}
		if tried++; tried > maxCandidates {
			return false
		}
		o := &g.rules[i]
		if l.solver.Implies(r.when, r.matches(), o.when, o.matches()) && l.solver.Implies(o.when, o.matches(), r.when, r.matches()) {
			l.duplicate(g, j, i)
			return true
		}
	}
	return false
}

// mark notes which of so many rules are among some.
func (l *linter) mark(rules []int32, of int, as bool) {
	if len(l.marked) < of {
		l.marked = make([]bool, of)
	}
	for _, i := range rules {
		l.marked[i] = as
	}
}

// overTime looks at the rules that hold over time, and at what windows count.
func (l *linter) overTime() {
	for _, c := range l.set.conditions {
		if c.info.Mode == Off || l.exhausted() {
			continue
		}
		if l.solver.Solve([]logic.Goal{{Cond: c.when, Accept: logic.IsTrue}}, nil) == logic.Impossible {
			l.contradiction(c.info.ID, "the alert "+c.info.ID+" never fires", c.at.when, c.when, logic.IsTrue)
			continue
		}
		l.always(c.info.ID, c.at, c.when, logic.IsTrue)
	}
	for _, w := range l.set.windows {
		for _, c := range [...]*lang.Condition{w.where, w.base} {
			if c != nil && l.solver.Solve([]logic.Goal{{Cond: c, Accept: logic.IsTrue}}, nil) == logic.Impossible {
				l.contradiction("", "the window "+w.info.Name+" never counts anything", w.at, c, logic.IsTrue)
			}
		}
	}
}
