package index

import (
	"fmt"
	"slices"
	"strings"

	"github.com/closedloop/closedloop/rules/internal/lang"
)

// Relations tells what can be shown of conditions without an event. What it says holds for every event; what it does not
// say may hold too.
type Relations struct {
	program *lang.Program
	conds   []*lang.Condition
	doms    []domain
	views   []view
	rows    [][]row
}

// Relate returns the relations of conditions of the program.
func Relate(p *lang.Program, conds []*lang.Condition) *Relations {
	r := &Relations{program: p, conds: conds}
	r.doms, r.views = domainsOf(p, true)
	split := splitter{doms: r.doms, views: r.views}
	for _, c := range conds {
		r.rows = append(r.rows, split.rows(c))
	}
	return r
}

// Implies reports whether condition j is true whenever condition i is.
func (r *Relations) Implies(i, j int) bool {
	if r.conds[i].Key() == r.conds[j].Key() {
		return true
	}
	for a := range r.rows[i] {
		this := &r.rows[i][a]
		if r.impossible(i, this) == "" && !slices.ContainsFunc(r.rows[j], func(o row) bool { return !o.loose && r.stricter(this, &o) }) {
			return false
		}
	}
	return true
}

// Contradiction returns why condition i is never true, and whether that can be shown.
func (r *Relations) Contradiction(i int) (why string, ok bool) {
	if len(r.rows[i]) == 0 {
		return "it is false by its constants", true
	}
	for a := range r.rows[i] {
		reason := r.impossible(i, &r.rows[i][a])
		if reason == "" {
			return "", false
		}
		if why == "" {
			why = reason
		}
	}
	return why, true
}

// impossible returns why a row of a condition never holds, or "".
func (r *Relations) impossible(i int, row *row) string {
	for _, in := range row.ranges {
		if len(in.set) == 0 {
			return fmt.Sprintf("no value of %s satisfies all that is asked of it", r.doms[in.dom].Name)
		}
	}
	for _, c := range row.checks {
		v := &r.views[c.atom]
		given := v.kind == keyView && v.exact && !c.accept.has(lang.True) && slices.ContainsFunc(row.needs, func(n anyOf) bool {
			return n.dom == v.dom && r.allImply(v.dom, n.keys, v.keys)
		})
		if c.accept == 0 || given {
			return fmt.Sprintf("it asks for %s and for its opposite", r.program.Text(r.conds[i], c.atom))
		}
	}
	return ""
}

// stricter reports whether a row holds only where another does.
func (r *Relations) stricter(a, b *row) bool {
	for _, in := range b.ranges {
		at := slices.IndexFunc(a.ranges, func(o inRange) bool { return o.dom == in.dom })
		if at < 0 || !a.ranges[at].set.within(in.set) {
			return false
		}
	}
	for _, n := range b.needs {
		if !slices.ContainsFunc(a.needs, func(o anyOf) bool { return o.dom == n.dom && r.allImply(n.dom, o.keys, n.keys) }) {
			return false
		}
	}
	for _, c := range b.checks {
		if !slices.ContainsFunc(a.checks, func(o check) bool { return o.atom == c.atom && o.accept&^c.accept == 0 }) {
			return false
		}
	}
	return true
}

// allImply reports whether an event with any of some keys of a domain has one of others.
func (r *Relations) allImply(dom int32, some, others []int32) bool {
	d := &r.doms[dom]
	for _, k := range some {
		if !slices.ContainsFunc(others, func(o int32) bool { return d.implies(k, o) }) {
			return false
		}
	}
	return true
}

// implies reports whether an event with a key has another.
func (d *domain) implies(key, other int32) bool {
	if key == other {
		return true
	}
	if d.Kind == lang.ThemeSource {
		below, ok := strings.CutPrefix(d.texts.texts[key], d.texts.texts[other])
		return ok && strings.HasPrefix(below, "/")
	}
	raw := key >= d.nwords
	if raw != (other >= d.nwords) {
		return false
	}
	return strings.Contains(d.texts.texts[key%d.nwords], d.texts.texts[other%d.nwords])
}
