package rules

import (
	"github.com/closedloop/closedloop/rules/internal/index"
	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// place is where a numbered rule stands.
type place struct{ group, rule int32 }

// direct reports whether the rule is asked of each event, rather than found by the index: it is decided for each of
// several values, or acts also when its condition is unknown.
func (r *rule) direct() bool { return r.info.Each != "" || r.assume }

// number numbers the rules that the index finds, in their order, and builds it: one stage for all groups up to one that
// relabels, since what a rule sees does not change within a stage.
func (s *Set) number() {
	var stages [][]*lang.Condition
	begin, offset := true, 0
	for i := range s.groups {
		g := &s.groups[i]
		g.offset = int32(offset)
		offset += len(g.rules) + len(g.conditions)
		if begin {
			stages = append(stages, nil)
		}
		g.stage, g.begins = len(stages)-1, begin
		begin = false
		for j := range g.rules {
			r := &g.rules[j]
			switch {
			case r.info.Mode == Off:
			case r.direct():
				g.direct = append(g.direct, int32(j))
			default:
				s.places = append(s.places, place{int32(i), int32(j)})
				stages[g.stage] = append(stages[g.stage], r.when)
			}
			begin = begin || r.relabels()
		}
	}
	s.index = index.New(s.program, stages...)
}

// Match appends the numbers of the rules whose conditions are true for the event, in ascending order: their places in
// Rules. It leaves out rules that are off or decided for each of several values, and what relabels would change. It
// allocates nothing when out is large enough.
func (s *Set) Match(ev *feedback.Event, out []int32) []int32 {
	e := s.evaluation(ev, 0, NoView{})
	from := len(out)
	for i := range s.groups {
		if g := &s.groups[i]; g.begins {
			out = s.index.Match(e.scratch, e.frame, g.stage, out)
		}
	}
	for i := range out[from:] {
		p := s.places[out[from+i]]
		out[from+i] = s.groups[p.group].offset + p.rule
	}
	s.release(e)
	return out
}

// find looks for the rules of the group's stage that match, and for those that are unknown.
func (e *evaluation) find(g *group) {
	if !g.begins {
		return
	}
	e.matched = e.set.index.Match(e.scratch, e.frame, g.stage, e.matched[:0])
	e.limit = maxUnknown + 1 - len(e.Decision.Unknown)
	e.unknowns = e.set.index.Unknown(e.scratch, e.frame, g.stage, e.limit, e.unknowns[:0])
	e.nextMatched, e.nextUnknown, e.nextDirect = 0, 0, 0
}

// next returns the next rule of the group that matches, is unknown, or must be asked, and its truth when that is known.
func (e *evaluation) next(number int32, g *group) (r *rule, truth lang.Truth, asked, ok bool) {
	best := int32(len(g.rules))
	if r, ok := e.peek(e.matched, e.nextMatched, number); ok && r < best {
		best, truth, asked = r, lang.True, true
	}
	if r, ok := e.peek(e.unknowns, e.nextUnknown, number); ok && r < best {
		best, truth, asked = r, lang.Unknown, true
	}
	if e.nextDirect < len(g.direct) && g.direct[e.nextDirect] < best {
		e.nextDirect++
		return &g.rules[g.direct[e.nextDirect-1]], 0, false, true
	}
	if best == int32(len(g.rules)) {
		return nil, 0, false, false
	}
	if truth == lang.True {
		e.nextMatched++
	} else {
		e.nextUnknown++
	}
	return &g.rules[best], truth, asked, true
}

// peek returns the rule of the group that stands next in a list of numbers.
func (e *evaluation) peek(list []int32, at int, group int32) (int32, bool) {
	if at >= len(list) {
		return 0, false
	}
	p := e.set.places[list[at]]
	return p.rule, p.group == group
}

// skip passes over what is left of a group that has ended.
func (e *evaluation) skip(number int32) {
	for e.nextMatched < len(e.matched) && e.set.places[e.matched[e.nextMatched]].group == number {
		e.nextMatched++
	}
	for e.nextUnknown < len(e.unknowns) && e.set.places[e.unknowns[e.nextUnknown]].group == number {
		e.nextUnknown++
	}
	if e.nextUnknown == len(e.unknowns) && len(e.unknowns) == e.limit { // there may be more behind the group
		e.limit *= 2
		e.unknowns = e.set.index.Unknown(e.scratch, e.frame, e.set.groups[number].stage, e.limit, e.unknowns[:0])
		e.skip(number)
	}
}
