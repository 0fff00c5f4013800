package rules

import (
	"slices"
	"strings"
	"time"

	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/suggest"
)

var (
	severityNames = []string{string(Info), string(Warning), string(Critical)}
	priorityNames = []string{string(Low), string(Normal), string(High), string(Urgent)}
)

// action is one action of a rule, ready to become an Effect.
type action struct {
	kind        EffectKind
	target      string
	key         *lang.Template // of an alert: its target
	group       *lang.Template // of an alert: what is told together
	queue       string
	owner       string
	pool        *Pool
	table       *table
	calendar    string
	digest      time.Duration
	keep        time.Duration
	priority    Priority
	sla         time.Duration
	resolve     time.Duration
	warn        float64
	severity    Severity
	text        *lang.Template // summary or message
	destination string
	tags        []string
	change      feedback.Change
}

// actionNames are the keys of actions; route is another word for assign.
var actionNames = []string{"assign", "route", "case", "alert", "tag", "notify", "relabel"}

// actions reads the list under do.
func (b *builder) actions(r *rule, n *source.Node) []action {
	var out []action
	elements := n.List()
	if n.IsList() && len(elements) == 0 {
		n.Problem("wrong_value", "found no action, expected at least one of %s", strings.Join(actionNames, ", "))
	}
	seen := map[string]bool{}
	for _, e := range elements {
		if !e.Object(actionNames...) {
			continue
		}
		if len(e.Entries()) != 1 {
			e.Problem("wrong_value", "found %d actions in one element, expected one", len(e.Entries()))
			continue
		}
		entry := e.Entries()[0]
		a, ok := b.action(r, entry.Name, entry.Value)
		if !ok {
			continue
		}
		if key := string(a.kind) + "|" + a.destination; seen[key] {
			entry.Key.Problem("duplicate", "found a second action of this kind in one rule")
		} else {
			seen[key] = true
		}
		out = append(out, a)
	}
	return out
}

func (b *builder) action(r *rule, name string, n *source.Node) (action, bool) {
	switch name {
	case "assign", "route":
		return b.assign(r, n)
	case "case":
		return b.openCase(r, n)
	case "alert":
		return b.alert(r, n)
	case "tag":
		return b.tag(r, n)
	case "notify":
		return b.notify(r, n)
	case "relabel":
		return b.relabel(n)
	}
	return action{}, false // reported as an unknown key
}

func (b *builder) assign(r *rule, n *source.Node) (action, bool) {
	if !n.Object("queue", "owner", "priority", "pool", "table") {
		return action{}, false
	}
	a := action{kind: Assign}
	b.responsible(&a, n)
	if p := n.Get("pool"); p != nil {
		a.pool = b.pool(p)
		if o := n.Get("owner"); o != nil {
			o.Key().Problem("duplicate", "found owner beside pool, which chooses one")
		}
	}
	if t := n.Get("table"); t != nil {
		a.table = b.table(r.info.Each, t, "queue", "owner", "pool", "priority")
	}
	a.target = a.queue
	if len(n.Entries()) == 0 {
		n.Problem("missing_key", "found nothing to assign, expected queue, owner, pool, priority or table")
	}
	return a, true
}

// responsible reads who is to take care.
func (b *builder) responsible(a *action, n *source.Node) {
	if q := n.Get("queue"); q != nil {
		a.queue = b.declared("queue", q, b.env.Queues)
	}
	a.owner = text(n.Get("owner"))
	a.priority = Priority(n.Get("priority").OneOf(priorityNames...))
}

// text reads a string that must not be empty when it is given.
func text(n *source.Node) string {
	s := n.String()
	if s == "" && n.IsString() {
		n.Problem("wrong_value", "found an empty text")
	}
	return s
}

// declared reads the id of something that the program declares.
func (b *builder) declared(what string, n *source.Node, known []string) string {
	id := text(n)
	if id != "" && known == nil {
		b.set.unchecked = append(b.set.unchecked, declared{what, id, n.Pos()})
	}
	if id != "" && known != nil && !slices.Contains(known, id) {
		hint := suggest.DidYouMean(id, known)
		if hint == "" {
			hint = "declare it in the program: " + what + "s: {" + id + ": {...}}"
		}
		n.ProblemHint("undeclared_"+what, hint, "the program declares no %s %q", what, id)
	}
	return id
}

func (b *builder) openCase(r *rule, n *source.Node) (action, bool) {
	if !n.Object("queue", "owner", "priority", "sla", "resolve", "calendar", "warn", "escalate") {
		return action{}, false
	}
	a := action{kind: Case, severity: r.info.Severity}
	b.promises(r, &a, n)
	b.responsible(&a, n)
	return a, true
}

func (b *builder) tag(r *rule, n *source.Node) (action, bool) {
	a := action{kind: Tag}
	switch {
	case n.IsMap():
		if n.Object("table") {
			if t := n.Need("table"); t != nil {
				a.table = b.table(r.info.Each, t, "tags")
			}
		}
		return a, true
	case n.IsList():
		for _, e := range n.List() {
			a.tags = append(a.tags, text(e))
		}
	default:
		a.tags = []string{text(n)}
	}
	slices.Sort(a.tags)
	a.tags = slices.Compact(a.tags)
	if len(a.tags) == 0 {
		n.Problem("wrong_value", "found no tag, expected at least one")
	}
	a.target = strings.Join(a.tags, ",")
	return a, true
}

func (b *builder) notify(r *rule, n *source.Node) (action, bool) {
	if !n.Object("destination", "channel", "message", "digest") {
		return action{}, false
	}
	a := action{kind: Notify, severity: r.info.Severity}
	to := n.Get("destination")
	if to == nil {
		to = n.Get("channel")
	} else if c := n.Get("channel"); c != nil {
		c.Key().Problem("duplicate", "found channel beside destination, which mean the same")
	}
	if to == nil {
		if !n.Omitted("destination") && !n.Omitted("channel") {
			n.Problem("missing_key", "missing key %q", "destination")
		}
		return a, false // a destination that is left empty tells nobody
	}
	a.destination = b.declared("destination", to, b.env.Destinations)
	a.target = a.destination
	a.digest = b.digest(r.info.ID, a.destination, n.Get("digest"))
	if m := n.Get("message"); m != nil {
		a.text = b.lang.Template(text(m), reportAt(m))
	}
	return a, true
}

func (b *builder) relabel(n *source.Node) (action, bool) {
	if !n.Object("add", "remove", "sentiment", "reason") {
		return action{}, false
	}
	a := action{kind: Relabel}
	a.change.Reason = n.Get("reason").String()
	for _, p := range themePaths(n.Get("add")) {
		a.change.Add = append(a.change.Add, feedback.Theme{Path: p, Confidence: 1})
	}
	a.change.Remove = themePaths(n.Get("remove"))
	if s := n.Get("sentiment"); s != nil {
		v := s.Number()
		if v < -1 || v > 1 {
			s.Problem("wrong_value", "found %s, expected a sentiment from -1 to 1", s.Found())
		}
		a.change.Sentiment = &v
	}
	if n.Get("add") == nil && n.Get("remove") == nil && n.Get("sentiment") == nil {
		n.Problem("missing_key", "found nothing to change, expected add, remove or sentiment")
	}
	return a, true
}

func themePaths(n *source.Node) []feedback.ThemePath {
	var out []feedback.ThemePath
	elements := n.List()
	if n.IsList() && len(elements) == 0 {
		n.Problem("wrong_value", "found no theme, expected at least one")
	}
	for _, e := range elements {
		p := e.String()
		if !e.IsString() {
			continue
		}
		for segment := range strings.SplitSeq(p, "/") {
			if segment == "" || strings.TrimSpace(segment) != segment {
				e.Problem("wrong_value", "found the theme %q, expected a path such as packaging/opening", p)
				break
			}
		}
		out = append(out, feedback.ThemePath(p))
	}
	return out
}
