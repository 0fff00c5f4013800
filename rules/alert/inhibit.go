package alert

import (
	"slices"
	"strings"
)

// Inhibition says that while an alert of one rule fires, those of another are not told.
type Inhibition struct {
	Source string // the rule whose firing alert keeps others quiet
	Target string // the rule whose alerts are kept quiet
	// SameKey says that an alert keeps only that with the same key quiet, as is right when both rules go by the same
	// field. Otherwise any firing alert of Source keeps all of Target quiet.
	SameKey bool
}

// Inhibitions are the inhibitions of a set of rules. The zero value has none.
//
// The source need only fire: that it is silenced, inhibited itself, or told to somebody else makes no difference. As
// there are no cycles, of alerts that keep each other quiet there is always one that fires and is not inhibited.
type Inhibitions struct {
	byTarget map[string][]Inhibition
}

// CycleError says that rules would keep each other quiet, so that nobody would ever be told of any of them.
type CycleError struct {
	// Rules are those of the cycle, each of which inhibits the next, and the last the first. It begins with the least.
	Rules []string
}

func (e *CycleError) Error() string {
	if len(e.Rules) == 1 {
		return "rule " + e.Rules[0] + " inhibits itself"
	}
	return "rules inhibit each other: " + strings.Join(e.Rules, " -> ") + " -> " + e.Rules[0]
}

// NewInhibitions takes the inhibitions in the order in which they are looked at. It returns a *CycleError when rules
// would keep each other quiet.
func NewInhibitions(list []Inhibition) (Inhibitions, error) {
	n := Inhibitions{byTarget: map[string][]Inhibition{}}
	for _, i := range list {
		n.byTarget[i.Target] = append(n.byTarget[i.Target], i)
	}
	if cycle := n.cycle(); cycle != nil {
		return Inhibitions{}, &CycleError{cycle}
	}
	return n, nil
}

// By returns the first rule that keeps the alert of a rule for a key quiet. The function says whether the alert of a
// rule for a key fires, or, with anyKey, whether one of the rule's alerts does, for whatever key. It is made for
// Conditions.Inhibited.
func (n Inhibitions) By(rule, key string, firing func(rule, key string, anyKey bool) bool) (by string, held bool) {
	for _, i := range n.byTarget[rule] {
		if i.SameKey && firing(i.Source, key, false) || !i.SameKey && firing(i.Source, "", true) {
			return i.Source, true
		}
	}
	return "", false
}

// cycle returns a cycle, or nil. The same inhibitions give the same one, in whatever order they are.
func (n Inhibitions) cycle() []string {
	const (
		unseen = iota
		open   // on the path that is being followed
		done
	)
	state := map[string]int{}
	var path, found []string
	var follow func(rule string)
	follow = func(rule string) {
		state[rule] = open
		path = append(path, rule)
		for _, source := range n.sources(rule) {
			switch {
			case found != nil:
			case state[source] == open:
				found = slices.Clone(path[slices.Index(path, source):])
			case state[source] == unseen:
				follow(source)
			}
		}
		path = path[:len(path)-1]
		state[rule] = done
	}
	for _, target := range n.targets() {
		if state[target] == unseen && found == nil {
			follow(target)
		}
	}
	if found == nil {
		return nil
	}
	slices.Reverse(found) // it was followed from the inhibited to the inhibiting
	least := slices.Index(found, slices.Min(found))
	return append(found[least:], found[:least]...)
}

func (n Inhibitions) targets() []string {
	var out []string
	for t := range n.byTarget {
		out = append(out, t)
	}
	slices.Sort(out)
	return out
}

func (n Inhibitions) sources(target string) []string {
	var out []string
	for _, i := range n.byTarget[target] {
		out = append(out, i.Source)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
