package rules

import (
	"strings"

	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Field returns the kind of a field that conditions of the set may read, such as score or attributes.order_value.
func (s *Set) Field(name string) (feedback.Kind, bool) { return s.program.Field(name) }

// FieldNames returns the names of the fields that conditions of the set may read, in alphabetical order.
func (s *Set) FieldNames() []string { return s.program.FieldNames() }

// Skeleton returns the condition of a rule with all its comparisons, as it stands for an event of which nothing is known,
// or nil when there is no such rule.
func (s *Set) Skeleton(rule string) *Term {
	c := s.conditionOf(rule)
	if c == nil {
		return nil
	}
	e := s.evaluation(&feedback.Event{Item: &feedback.Item{}}, 0, NoView{})
	defer s.release(e)
	return termOf(e.frame.Trace(c))
}

func (s *Set) conditionOf(rule string) *lang.Condition {
	for i := range s.groups {
		for j := range s.groups[i].rules {
			if r := &s.groups[i].rules[j]; r.info.ID == rule {
				return r.when
			}
		}
	}
	if c := s.condition(rule); c != nil {
		return c.when
	}
	return nil
}

// Why returns the comparisons that made the term what it is, for people.
func (t *Term) Why() string { return strings.Join(reasons(t, nil), "; ") }

// Needs returns the comparisons that would have to turn out otherwise for the term to be true: a smallest set.
func (t *Term) Needs() []string { return needs(t, true) }
