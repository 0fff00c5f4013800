// Package index tells which conditions hold for an event without asking each of them.
//
// A condition is divided into rows, each a conjunction of what atoms accept; the condition is true where one of its rows
// holds. Values of events are divided into classes, so that each comparison with constants is the same for all values of
// a class; texts are searched once for all literals that conditions look for, and themes are looked up with all above
// them. A row that asks for one of few values of many, such as a shop, stands in the list of that value. All others share
// bit masks, one for each class, which are and-ed. What classes do not decide is asked of the rows that are left.
//
// Invariants:
//
//   - Match and Unknown give exactly the conditions for which lang.Frame.Eval is true or unknown, in ascending order.
//   - They allocate nothing once a Scratch has grown, but what evaluating atoms allocates.
//   - An Index never changes, and is safe for concurrent use. A Scratch serves one goroutine at a time.
//   - The same conditions give the same index, and its memory grows with their number only.
//
// One event:
//
//	x := index.New(program, conditions)
//	s := x.NewScratch()
//	f.Reset(event)
//	matches = x.Match(s, f, 0, matches[:0])
package index

import (
	"slices"

	"github.com/closedloop/closedloop/rules/internal/lang"
)

// Index finds the conditions of one program that hold for an event.
type Index struct {
	conds  []*lang.Condition
	tests  []*lang.Test
	doms   []domain
	views  []view
	gaps   []uint64 // by condition: the bits of what must be missing for it to be unknown
	stages []stage
	asked  *asked
	parts  []part
}

// New returns the index of conditions of the program, in stages that are looked for one after the other, such as before
// and after an event is labelled anew. The conditions are numbered through all stages.
func New(p *lang.Program, stages ...[]*lang.Condition) *Index { return build(p, few, stages) }

// build is New for another number of conditions up to which a stage asks each of them.
func build(p *lang.Program, few int, stages [][]*lang.Condition) *Index {
	x := &Index{conds: slices.Concat(stages...), tests: p.Tests(), asked: &asked{}}
	x.doms, x.views = domainsOf(p, false)
	x.gaps = make([]uint64, len(x.conds))
	b := builder{Index: x, few: few, split: splitter{doms: x.doms, views: x.views}, parts: partsBuilder{doms: x.doms, asked: x.asked}}
	first := int32(0)
	for _, conds := range stages {
		x.stages = append(x.stages, b.stage(conds, first))
		first += int32(len(conds))
	}
	x.parts = slices.Clip(b.parts.out)
	return x
}

// Match appends the numbers of the stage's conditions that are true for the frame's event, in ascending order.
func (x *Index) Match(s *Scratch, f *lang.Frame, stage int, out []int32) []int32 {
	st := &x.stages[stage]
	if st.small {
		return x.each(f, st, lang.True, int(st.end), out)
	}
	s.turn(x, f)
	from := len(out)
	if st.leaf != nil {
		out = x.matchLeaf(s, f, st.leaf, out)
	}
	middle := len(out)
	for i := range st.postings {
		out = x.found(s, f, &st.postings[i], out)
	}
	if len(out) > middle {
		slices.Sort(out[middle:])
		out = append(out[:middle], slices.Compact(out[middle:])...)
	}
	return s.merge(out, from, middle)
}

// each asks every condition of a stage.
func (x *Index) each(f *lang.Frame, st *stage, want lang.Truth, limit int, out []int32) []int32 {
	for i := st.first; i < st.end && limit > 0; i++ {
		if f.Eval(x.conds[i]) == want {
			out = append(out, i)
			limit--
		}
	}
	return out
}

// found appends the conditions that hold among those that the event's value, or its keys, lead to.
func (x *Index) found(s *Scratch, f *lang.Frame, p *posting, out []int32) []int32 {
	s.ensure(x, f, p.dom)
	if !x.doms[p.dom].keyed() {
		return x.verify(s, f, p, s.class[p.dom], out)
	}
	for _, k := range s.keys[p.dom].words {
		out = x.verify(s, f, p, k, out)
	}
	return out
}

func (x *Index) verify(s *Scratch, f *lang.Frame, p *posting, value int32, out []int32) []int32 {
	if l := p.large[value]; l != nil {
		return x.matchLeaf(s, f, l, out)
	}
	for _, e := range p.rows[p.start[value]:p.start[value+1]] {
		if x.holds(s, f, x.parts[e.at:e.at+e.n]) {
			out = append(out, e.rule)
		}
	}
	return out
}

// matchLeaf appends the conditions with a row in the leaf that holds, each once.
func (x *Index) matchLeaf(s *Scratch, f *lang.Frame, l *leaf, out []int32) []int32 {
	s.aim(x, f, l, false)
	last := int32(-1)
	for n := range l.sumWords() {
		s.rows = s.sweep.rows(n, l.words/block, s.rows[:0])
		for _, r := range s.rows {
			if e := &l.rows[r]; e.rule != last && x.holds(s, f, l.parts[e.at:e.at+e.n]) {
				last = e.rule
				out = append(out, last)
			}
		}
	}
	return out
}

func (l *leaf) sumWords() int { return len(l.sums[0]) }

// Unknown appends the numbers of the stage's conditions that are unknown for the frame's event, in ascending order, the
// first of them up to a limit.
func (x *Index) Unknown(s *Scratch, f *lang.Frame, stage, limit int, out []int32) []int32 {
	st := &x.stages[stage]
	if limit <= 0 {
		return out
	}
	if st.small {
		return x.each(f, st, lang.Unknown, limit, out)
	}
	s.turn(x, f)
	s.open = always
	for _, g := range st.gaps {
		if s.isMissing(x, f, g.dom) {
			s.open |= g.bit
		}
	}
	if s.open == always && st.never {
		return out
	}
	from := len(out)
	out = x.unknownFound(s, f, st, limit, out)
	for _, l := range [...]*leaf{st.scoped, st.leaf} {
		if l == nil || l == st.scoped && !s.lost {
			continue
		}
		middle := len(out)
		out = x.unknownLeaf(s, f, l, l == st.scoped, limit, out)
		out = s.merge(out, from, middle)
		out = out[:min(len(out), from+limit)]
	}
	return out
}

// unknownFound appends the conditions that are unknown among those that the event's values lead to, and notes whether there
// are others because values are missing.
func (x *Index) unknownFound(s *Scratch, f *lang.Frame, st *stage, limit int, out []int32) []int32 {
	s.found, s.lost = s.found[:0], false
	for i := range st.postings {
		p := &st.postings[i]
		switch {
		case s.isMissing(x, f, p.dom):
			s.lost = true
		case !x.doms[p.dom].keyed():
			x.candidates(s, f, p, s.class[p.dom])
		default:
			for _, k := range s.keys[p.dom].words {
				x.candidates(s, f, p, k)
			}
		}
	}
	slices.Sort(s.found)
	last := int32(-1)
	for _, rule := range s.found {
		if limit == 0 {
			break
		}
		if rule != last && f.Eval(x.conds[rule]) == lang.Unknown {
			out = append(out, rule)
			limit--
		}
		last = rule
	}
	return out
}

// candidates notes the conditions that may be unknown among those of one value.
func (x *Index) candidates(s *Scratch, f *lang.Frame, p *posting, value int32) {
	if l := p.large[value]; l != nil {
		s.aim(x, f, l, true)
		for n := range l.sumWords() {
			s.rows = s.sweep.rows(n, l.words/block, s.rows[:0])
			for _, r := range s.rows {
				s.found = append(s.found, l.rows[r].rule)
			}
		}
		return
	}
	for _, e := range p.rows[p.start[value]:p.start[value+1]] {
		if x.gaps[e.rule]&s.open != 0 {
			s.found = append(s.found, e.rule)
		}
	}
}

// unknownLeaf appends the conditions of a leaf that are unknown, each once, the first of them up to a limit. Of the leaf of
// rows that are in postings too, only those count whose value is missing.
func (x *Index) unknownLeaf(s *Scratch, f *lang.Frame, l *leaf, scoped bool, limit int, out []int32) []int32 {
	s.aim(x, f, l, true)
	if scoped {
		for _, g := range l.access {
			if s.isMissing(x, f, g.id) {
				s.sweep.any(l, g.mask)
			}
		}
		s.sweep.end()
	}
	last := int32(-1)
	for n := range l.sumWords() {
		s.rows = s.sweep.rows(n, l.words/block, s.rows[:0])
		for _, r := range s.rows {
			rule := l.rows[r].rule
			if rule == last || x.gaps[rule]&s.open == 0 {
				continue
			}
			if last = rule; f.Eval(x.conds[rule]) == lang.Unknown {
				out = append(out, rule)
				if limit--; limit == 0 {
					return out
				}
			}
		}
	}
	return out
}
