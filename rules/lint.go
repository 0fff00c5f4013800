package rules

import (
	"fmt"

	"github.com/closedloop/closedloop/rules/source"
)

// Lint returns what is odd about the set, in the order of its rules.
func (s *Set) Lint() []Finding {
	var out []Finding
	for i := range s.groups {
		out = append(out, s.groups[i].duplicates()...)
	}
	return out
}

// duplicates finds the rules of a group that ask for the same on the same condition as one before them.
func (g *group) duplicates() []Finding {
	var out []Finding
	first := map[[2]string]*rule{}
	for i := range g.rules {
		r := &g.rules[i]
		key := [2]string{r.when.Key(), r.does}
		before, ok := first[key]
		if !ok {
			first[key] = r
			continue
		}
		out = append(out, Finding{
			Code: "duplicate", Rule: r.info.ID, Other: before.info.ID, Blocks: true,
			Pos:     source.Pos{File: r.info.File, Line: r.info.Line},
			Message: fmt.Sprintf("the rule %s does the same as the rule %s, on the same condition", r.info.ID, before.info.ID),
			Hint:    "remove one of them",
		})
	}
	return out
}
