// Package logic reasons about conditions: whether there can be an event for which each of them has one of given truth
// values. So it tells contradictions, what implies what, and events for which conditions hold at the same time.
//
// The truths of atoms are searched, and each step is checked against what atoms that look at one value mean for each
// other: ranges of numbers, lists of texts, what is missing, texts within texts, themes below themes, and scores with the
// survey that they belong to.
//
// Invariants:
//
//   - Impossible is proven: no event has these truths, whatever it lacks, and whatever windows and labels say. It holds
//     for atoms evaluated at one instant, under the same labels and the same theme.
//   - Models are candidates: what no rule of this package refutes. Evaluate them before relying on them.
//   - A search takes a bounded number of steps and then says Open.
//
// Whether a implies b:
//
//	s := logic.New(program)
//	s.Solve([]logic.Goal{{a, logic.IsTrue}, {b, logic.NotTrue}}, nil) == logic.Impossible
package logic

import (
	"slices"

	"github.com/closedloop/closedloop/rules/internal/lang"
)

// Accept is a set of truth values.
type Accept uint8

// Sets of truth values.
const (
	IsFalse   Accept = 1 << lang.False
	IsUnknown Accept = 1 << lang.Unknown
	IsTrue    Accept = 1 << lang.True

	NotFalse = IsUnknown | IsTrue
	NotTrue  = IsFalse | IsUnknown
	anything = IsFalse | IsUnknown | IsTrue
)

// Not returns the opposites of the values.
func (a Accept) Not() Accept { return a&IsFalse<<2 | a&IsUnknown | a&IsTrue>>2 }

// single reports whether the set has one value.
func (a Accept) single() bool { return a == IsFalse || a == IsUnknown || a == IsTrue }

// Opposite returns the values that are not in the set.
func (a Accept) Opposite() Accept { return anything &^ a }

// Goal asks for a condition having one of the truth values.
type Goal struct {
	Cond   *lang.Condition
	Accept Accept
}

// Verdict is the answer to a search.
type Verdict uint8

// The verdicts.
const (
	Open       Verdict = iota // it is not known
	Impossible                // proven: there is no such event
	Possible                  // a model was accepted
)

// The limits of a search.
const (
	maxSteps  = 60_000 // parts of conditions looked at
	maxModels = 12     // that are tried
	maxAtoms  = 400
)

// Solver reasons about the conditions of one program. It serves one goroutine at a time.
type Solver struct {
	tests   []*lang.Test
	sources []*lang.Source
	steps   int64
}

// New returns a solver for the conditions of a program.
func New(p *lang.Program) *Solver { return &Solver{tests: p.Tests(), sources: p.Sources()} }

// Steps returns the steps that all searches have taken, each less than a microsecond.
func (s *Solver) Steps() int64 { return s.steps }

// Solve looks for an event for which all goals are met. It offers models to try until one is accepted; a nil try accepts
// the first.
func (s *Solver) Solve(goals []Goal, try func(*Model) bool) Verdict {
	targets := make([]target, len(goals))
	for i, g := range goals {
		targets[i] = target{g.Cond.Root(), g.Accept}
	}
	return s.solve(targets, try)
}

// target asks for a part of a condition having one of the truth values.
type target struct {
	node   *lang.Node
	accept Accept
}

func (s *Solver) solve(goals []target, try func(*Model) bool) Verdict {
	x := &search{Solver: s, goals: goals, local: map[int32]int{}, left: maxSteps, try: try}
	for _, g := range goals {
		x.collect(g.node)
	}
	if len(x.atoms) > maxAtoms {
		return Open
	}
	x.prepare()
	all := x.explore(x.first())
	s.steps += int64(maxSteps - x.left)
	switch {
	case x.accepted:
		return Possible
	case all:
		return Impossible
	}
	return Open
}

// Implies reports whether b is in one set wherever a is in another, as far as it can be proven.
func (s *Solver) Implies(a *lang.Condition, is Accept, b *lang.Condition, then Accept) bool {
	return s.Solve([]Goal{{a, is}, {b, anything &^ then}}, nil) == Impossible
}

// search is one search.
type search struct {
	*Solver
	goals    []target
	atoms    []int32       // of the program
	local    map[int32]int // from those
	tests    []*lang.Test  // by atom
	things   []thing
	byField  map[string]int // the things that are fields
	scored   bool           // some of them are scores of a kind of survey
	left     int            // steps
	models   int
	accepted bool
	try      func(*Model) bool
}

// state is what is known on the way to a model.
type state struct {
	truth []Accept // by atom
	known []known  // by thing
}

func (s *state) clone() *state { return &state{slices.Clone(s.truth), slices.Clone(s.known)} }

// collect numbers the atoms of a part.
func (x *search) collect(n *lang.Node) {
	if n.Op() == lang.Atom {
		if _, ok := x.local[n.Atom()]; !ok {
			x.local[n.Atom()] = len(x.atoms)
			x.atoms = append(x.atoms, n.Atom())
		}
		return
	}
	kids := n.Kids()
	for i := range kids {
		x.collect(&kids[i])
	}
}

func (x *search) first() *state {
	s := &state{truth: make([]Accept, len(x.atoms)), known: make([]known, len(x.things))}
	for i, t := range x.tests {
		switch s.truth[i] = anything; t.Kind {
		case lang.ConstantTest:
			if s.truth[i] = IsTrue; t.Not {
				s.truth[i] = IsFalse
			}
		case lang.GivenTest:
			s.truth[i] = IsFalse | IsTrue
		}
	}
	for i := range x.things {
		s.known[i] = x.things[i].anything()
	}
	return s
}

// explore goes through all that the state leaves open, and reports whether it has seen all of it and refuted it.
func (x *search) explore(s *state) bool {
	if !x.narrow(s) {
		return x.left > 0
	}
	at := -1
	for _, g := range x.goals {
		if x.possible(s, g.node)&^g.accept != 0 {
			if at = x.undecided(s, g.node); at >= 0 {
				break
			}
		}
	}
	if at < 0 {
		x.offer(s)
		return false
	}
	all := true
	for _, v := range [...]Accept{IsTrue, IsFalse, IsUnknown} {
		if s.truth[at]&v == 0 {
			continue
		}
		next := s.clone()
		next.truth[at] = v
		if !x.explore(next) {
			all = false
		}
		if x.accepted || x.left <= 0 || x.models >= maxModels {
			return false
		}
	}
	return all
}

// offer has a model tried.
func (x *search) offer(s *state) {
	x.models++
	x.accepted = x.try == nil || x.try(x.model(s))
}

// undecided returns an atom of the part whose truth is open, or -1.
func (x *search) undecided(s *state, n *lang.Node) int {
	if n.Op() == lang.Atom {
		if at := x.local[n.Atom()]; !s.truth[at].single() {
			return at
		}
		return -1
	}
	kids := n.Kids()
	for i := range kids {
		if x.possible(s, &kids[i]).single() {
			continue
		}
		if at := x.undecided(s, &kids[i]); at >= 0 {
			return at
		}
	}
	return -1
}

// narrow draws all conclusions, and reports whether none contradicts another. Running out of steps ends it as well.
func (x *search) narrow(s *state) bool {
	for again := true; again; {
		again = false
		for _, g := range x.goals {
			changed, ok := x.assume(s, g.node, g.accept)
			if !ok || x.left <= 0 {
				return false
			}
			again = again || changed
		}
		changed, ok := x.infer(s)
		if !ok {
			return false
		}
		again = again || changed
	}
	return true
}

// Shares reports whether the conditions have an atom in common.
func (s *Solver) Shares(a, b *lang.Condition) bool {
	return slices.ContainsFunc(a.AtomNumbers(), func(n int32) bool { return slices.Contains(b.AtomNumbers(), n) })
}

// SolveParts tells whether parts of conditions can all be true for one event.
func (s *Solver) SolveParts(parts []lang.Conjunct) Verdict {
	goals := make([]target, len(parts))
	for i, p := range parts {
		goals[i] = target{p.Node, IsTrue}
	}
	return s.solve(goals, nil)
}
