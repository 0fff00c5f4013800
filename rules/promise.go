package rules

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk/feedback"
)

const (
	// defaultWarn is the share of a promised time after which the owner of a case is warned.
	defaultWarn = 0.75
	// mostSteps bounds the ladder of a rule.
	mostSteps = 16
)

// Escalation is one step of the ladder that the cases of a rule go up.
type Escalation struct {
	After time.Duration // of the time of the case's calendar in which it was not held
	// Value and Contacts are the least account value and the least number of pieces of feedback of the customer for which
	// the step is taken. Zero asks for nothing.
	Value    float64
	Contacts int
	// Priority, Queue and Owner are what the case gets; empty ones leave what is there.
	Priority Priority
	Queue    string
	Owner    string
	// Destination is told Message; empty tells nobody.
	Destination string
	message     *lang.Template
}

// Escalations returns the steps that the cases of a rule go up, the one that comes first first. Of a rule that the set
// does not have, or that has none, there are none.
func (s *Set) Escalations(rule string) []Escalation { return s.ladders[rule] }

// Ladders returns what is the same for sets of which the cases of every rule take the same steps at the same time. Of a
// set without any ladder it is empty.
func (s *Set) Ladders() []byte {
	if len(s.ladders) == 0 {
		return nil
	}
	sum := sha256.New()
	for _, rule := range slices.Sorted(maps.Keys(s.ladders)) {
		fmt.Fprintf(sum, "%q\n", rule)
		for _, x := range s.ladders[rule] {
			fmt.Fprintf(sum, "%d %v %d\n", x.After, x.Value, x.Contacts)
		}
	}
	return sum.Sum(nil)
}

// EscalationText returns what a step of the set tells about a case, by the feedback that opened it.
func (s *Set) EscalationText(x *Escalation, ev *feedback.Event, now feedback.Time) string {
	e := s.evaluation(ev, now, NoView{})
	defer s.release(e)
	return x.message.Render(e.frame)
}

// promises reads what a case promises beside its first response.
func (b *builder) promises(r *rule, a *action, n *source.Node) {
	a.sla, a.resolve = n.Get("sla").Duration(), n.Get("resolve").Duration()
	if c := n.Get("calendar"); c != nil {
		a.calendar = b.calendar(c)
		if a.sla == 0 && a.resolve == 0 && n.Get("escalate") == nil {
			c.Key().Problem("missing_key", "found calendar without sla, resolve or escalate, whose time it counts")
		}
	}
	if a.sla > 0 || a.resolve > 0 {
		a.warn = defaultWarn
	}
	if w := n.Get("warn"); w != nil {
		if a.warn = percent(w); a.sla == 0 && a.resolve == 0 {
			w.Key().Problem("missing_key", "found warn without sla or resolve, of whose time it is a share")
		}
	}
	if a.sla > 0 && a.resolve > 0 && a.resolve < a.sla {
		n.Get("resolve").Problem("wrong_value", "found a resolution within %s, which is before the first response within %s", a.resolve, a.sla)
	}
	if l := n.Get("escalate"); l != nil {
		b.ladder(r, l)
	}
}

// percent reads a share such as 75%.
func percent(n *source.Node) float64 {
	digits, ok := strings.CutSuffix(n.String(), "%")
	v, err := strconv.ParseFloat(digits, 64)
	if n.IsString() && (!ok || err != nil || !(v > 0 && v < 100)) {
		n.Problem("wrong_value", "found %s, expected a share of the time between 0%% and 100%%, such as 75%%", n.Found())
		return defaultWarn
	}
	return v / 100
}

// ladder reads the steps of a rule.
func (b *builder) ladder(r *rule, n *source.Node) {
	var steps []Escalation
	elements := n.List()
	switch {
	case n.IsList() && len(elements) == 0:
		n.Problem("wrong_value", "found no step, expected at least one such as {after: 24h, priority: high}")
	case len(elements) > mostSteps:
		n.Problem("wrong_value", "found %d steps, expected at most %d", len(elements), mostSteps)
	}
	for _, e := range elements {
		if e.Object("after", "value", "contacts", "priority", "queue", "owner", "notify", "message") {
			steps = append(steps, b.step(e))
		}
	}
	slices.SortStableFunc(steps, func(a, b Escalation) int { return int(min(max(a.After-b.After, -1), 1)) })
	if b.set.ladders == nil {
		b.set.ladders = map[string][]Escalation{}
	}
	b.set.ladders[r.info.ID] = steps
}

func (b *builder) step(n *source.Node) Escalation {
	var x Escalation
	x.After = n.Need("after").Duration()
	if v := n.Get("value"); v != nil {
		if x.Value = v.Number(); x.Value < 0 {
			v.Problem("wrong_value", "found %s, expected an account value of 0 or more", v.Found())
		}
	}
	if v := n.Get("contacts"); v != nil {
		if x.Contacts = v.Int(); x.Contacts < 1 {
			v.Problem("wrong_value", "found %s, expected a number of contacts of 1 or more", v.Found())
		}
	}
	var who action
	b.responsible(&who, n)
	x.Queue, x.Owner, x.Priority = who.queue, who.owner, who.priority
	if d := n.Get("notify"); d != nil {
		x.Destination = b.declared("destination", d, b.env.Destinations)
	}
	if m := n.Get("message"); m != nil {
		x.message = b.lang.Template(text(m), reportAt(m))
		if n.Get("notify") == nil {
			m.Key().Problem("missing_key", "found message without notify, which says whom to tell")
		}
	}
	if n.Get("priority") == nil && n.Get("queue") == nil && n.Get("owner") == nil && n.Get("notify") == nil {
		n.Problem("missing_key", "found a step that does nothing, expected priority, queue, owner or notify")
	}
	return x
}
