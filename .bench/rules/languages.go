package main

import (
	"fmt"
	"strconv"
	"strings"
)

// language writes rules.
type language struct {
	test   func(c *condition) string // a condition that is no disjunction
	either string                    // the format of a disjunction
	and    string                    // between conditions
}

func (l *language) rules(all []rule) []string {
	out := make([]string, len(all))
	for i, r := range all {
		out[i] = l.rule(r)
	}
	return out
}

func (l *language) rule(r rule) string {
	parts := make([]string, len(r))
	for i := range r {
		parts[i] = l.condition(&r[i])
	}
	return strings.Join(parts, l.and)
}

func (l *language) condition(c *condition) string {
	if c.op == disjunction {
		return fmt.Sprintf(l.either, l.condition(&c.kids[0]), l.condition(&c.kids[1]))
	}
	return l.test(c)
}

// inExpr is the language of the naive loop, and of our rule files.
func inExpr() language {
	return language{either: "(%s || %s)", and: " && ", test: func(c *condition) string {
		switch c.op {
		case has:
			return quoted(c.texts) + " in " + c.field
		case holds:
			return c.field + " contains " + quoted(c.texts)
		case mentions:
			return c.field + " matches " + pattern(c)
		case surely:
			return fmt.Sprintf("any(%s, .name == %s && .confidence > %s)", c.field, quoted(c.texts), whole(c.number))
		case outweighs:
			return fmt.Sprintf("%s * 2 + word_count > %s", c.field, whole(c.number))
		case isTrue:
			return c.field
		case isFalse:
			return "not " + c.field
		}
		return comparison(c, c.field, whole)
	}}
}

func inCEL() language {
	return language{either: "(%s || %s)", and: " && ", test: func(c *condition) string {
		switch c.op {
		case has:
			return quoted(c.texts) + " in " + c.field
		case holds:
			return fmt.Sprintf("%s.contains(%s)", c.field, quoted(c.texts))
		case mentions:
			return fmt.Sprintf("%s.matches(%s)", c.field, pattern(c))
		case surely:
			return fmt.Sprintf("%s.exists(t, t.name == %s && t.confidence > %s)", c.field, quoted(c.texts), fraction(c.number))
		case outweighs:
			return fmt.Sprintf("%s * 2.0 + word_count > %s", c.field, fraction(c.number))
		case isTrue:
			return c.field
		case isFalse:
			return "!" + c.field
		}
		return comparison(c, c.field, fraction)
	}}
}

// inRego writes what the index of OPA knows wherever there is a way to: or instead of a rule with another name, and a
// comparison with true or false instead of the bare field or its negation.
func inRego() language {
	return language{either: "{%s} or {%s}", and: "; ", test: func(c *condition) string {
		field := "input." + c.field
		switch c.op {
		case has:
			return quoted(c.texts) + " in " + field
		case oneOf:
			return field + " in {" + quoted(c.texts) + "}"
		case holds:
			return fmt.Sprintf("contains(%s, %s)", field, quoted(c.texts))
		case mentions:
			return fmt.Sprintf("regex.match(%s, %s)", pattern(c), field)
		case surely:
			return fmt.Sprintf("some t in %s; t.name == %s; t.confidence > %s", field, quoted(c.texts), whole(c.number))
		case outweighs:
			return fmt.Sprintf("%s * 2 + input.word_count > %s", field, whole(c.number))
		case isTrue:
			return field + " == true"
		case isFalse:
			return field + " == false"
		}
		return comparison(c, field, whole)
	}}
}

// comparison writes what all languages write alike.
func comparison(c *condition, field string, number func(float64) string) string {
	switch c.op {
	case is:
		return field + " == " + quoted(c.texts)
	case atMost:
		return field + " <= " + number(c.number)
	case atLeast:
		return field + " >= " + number(c.number)
	case above:
		return field + " > " + number(c.number)
	case below:
		return field + " < " + number(c.number)
	}
	return field + " in [" + quoted(c.texts) + "]"
}

// quoted returns texts in double quotes with commas between.
func quoted(texts []string) string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = strconv.Quote(t)
	}
	return strings.Join(out, ", ")
}

// pattern returns a regular expression that finds one of the condition's texts in any case.
func pattern(c *condition) string { return strconv.Quote("(?i)" + strings.Join(c.texts, "|")) }

// whole writes a number without a fraction when it has none.
func whole(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// fraction writes a number with a fraction even when that is zero, where it would be of another type without.
func fraction(n float64) string {
	if s := whole(n); strings.Contains(s, ".") {
		return s
	}
	return whole(n) + ".0"
}
