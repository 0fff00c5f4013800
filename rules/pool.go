package rules

import (
	"slices"

	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk/suggest"
)

// Pool is a group of owners that share the work of a queue.
type Pool struct {
	Name   string   `json:"name"`
	Owners []string `json:"owners"`
	By     string   `json:"by"` // round_robin or least_loaded
	// Capacity is the number of open cases beyond which an owner gets no more. 0 is no bound.
	Capacity int `json:"capacity,omitempty"`
}

// The ways in which a pool chooses an owner.
const (
	RoundRobin  = "round_robin"
	LeastLoaded = "least_loaded"
)

func (b *builder) pools(root *source.Node) {
	for _, e := range root.Get("pools").Entries() {
		if !b.unique("pool", e.Name, e.Key) || !e.Value.Object("owners", "by", "capacity", "description") {
			continue
		}
		_ = e.Value.Get("description").String()
		p := &Pool{Name: e.Name, By: RoundRobin}
		owners := e.Value.Need("owners")
		for _, o := range owners.List() {
			switch name := text(o); {
			case name == "":
			case slices.Contains(p.Owners, name):
				o.Problem("duplicate", "found the owner %s again", name)
			default:
				p.Owners = append(p.Owners, name)
			}
		}
		if owners.IsList() && len(p.Owners) == 0 {
			owners.Problem("wrong_value", "found no owners, expected at least one")
		}
		if by := e.Value.Get("by"); by != nil {
			p.By = by.OneOf(RoundRobin, LeastLoaded)
		}
		if c := e.Value.Get("capacity"); c != nil {
			if p.Capacity = c.Int(); p.Capacity < 1 {
				c.Problem("wrong_value", "found %s, expected a number of open cases", c.Found())
			}
		}
		b.set.pools = append(b.set.pools, p)
	}
}

// pool reads the name of a pool.
func (b *builder) pool(n *source.Node) *Pool {
	name := n.String()
	if name == "" {
		return nil
	}
	var names []string
	for _, p := range b.set.pools {
		if p.Name == name {
			b.used["pool "+name] = true
			return p
		}
		names = append(names, p.Name)
	}
	hint := suggest.DidYouMean(name, names)
	if hint == "" {
		hint = "declare it in the rule file: pools: {" + name + ": {owners: [...]}}"
	}
	n.ProblemHint("unknown_name", hint, "unknown pool %q", name)
	return nil
}

// Pools returns the pools of the set in the order of their declaration.
func (s *Set) Pools() []Pool {
	out := make([]Pool, len(s.pools))
	for i, p := range s.pools {
		out[i] = *p
	}
	return out
}

// turn is that an owner was taken from a pool.
type turn struct {
	pool string
	n    int
}

// owner chooses an owner of a pool: the one whom the rule gave the item before, else the next in turn, or the one with
// the least open cases, the first of several. Owners at their capacity are passed over. It returns "" when nobody is
// left.
func (e *evaluation) owner(rule string, p *Pool) string {
	if e.view == nil {
		return p.Owners[0]
	}
	if before := previousOwner(e.view.Previous(), rule, p); before != "" {
		return before
	}
	n := e.view.Turn(p.Name)
	for _, t := range e.turns {
		if t.pool == p.Name {
			n = t.n
		}
	}
	best, bestLoad, bestTurn := "", 0, 0
	for i := range p.Owners {
		at := i
		if p.By == RoundRobin {
			at = (n + i) % len(p.Owners)
		}
		load := e.view.Load(p.Owners[at])
		if p.Capacity > 0 && load >= p.Capacity {
			continue
		}
		if best == "" || p.By == LeastLoaded && load < bestLoad {
			best, bestLoad, bestTurn = p.Owners[at], load, at
		}
		if p.By == RoundRobin {
			break
		}
	}
	if best != "" {
		e.turns = append(e.turns, turn{p.Name, bestTurn + 1})
	}
	return best
}

// previousOwner returns the owner whom the rule took from the pool when the item was last decided on.
func previousOwner(d *Decision, rule string, p *Pool) string {
	if d == nil {
		return ""
	}
	for _, g := range d.Groups {
		for _, f := range g.Fired {
			if f.Rule != rule {
				continue
			}
			for _, a := range f.Actions {
				if a.Pool == p.Name && slices.Contains(p.Owners, a.Owner) {
					return a.Owner
				}
			}
		}
	}
	return ""
}
