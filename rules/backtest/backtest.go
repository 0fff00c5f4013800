// Package backtest says what a set of rules would have done with feedback of the past, and how two sets differ in it.
//
// A Run takes the items of history in the order in which they occurred and decides on each at the instant at which it
// occurred, in a rehearsal.World: windows, throttles, pools, alerts and digests work as in an engine. Nothing is acted
// on. What holds:
//
//   - An item is taken as it is known today, with its labels and with what people corrected, and decided on once.
//   - Items before Options.Since are decided on to have windows and the like full, and count nowhere.
//   - The same items give the same report. A Run reads no clock and starts nothing.
//   - Memory is bounded by what the set keeps apart (keys of windows and alerts, owners, open cases), not by the number of
//     items.
//
// Usage:
//
//	run := backtest.New(set, backtest.Options{Since: since, Until: until})
//	for ev := range history { // from run.From() on
//		run.Add(ev)
//	}
//	report := run.Report()
package backtest

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/alert"
	"github.com/closedloop/closedloop/rules/rehearsal"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Options say what a Run is about.
type Options struct {
	Since feedback.Time // items from then on are reported
	Until feedback.Time // and those before this
	// Zone is the one of days. Defaults to UTC.
	Zone *time.Location
	// Close says when cases are closed. Defaults to WhenDue.
	Close Closing
	// Stop is asked now and then while much time passes. When it says so the run ends soon, and its report is of no use.
	// Defaults to never.
	Stop func() bool
}

const (
	// closeAfter is when a case is closed that is never due.
	closeAfter = 48 * time.Hour
	// maxFirings bounds the firings that a report lists.
	maxFirings = 1000
	// leastTick bounds how often alerts over time are looked at. An engine looks every minute.
	leastTick = time.Minute
)

// Run is a set at work on history. It may not be used by several goroutines at once.
type Run struct {
	set     *rules.Set
	options Options
	world   *rehearsal.World
	periods periods
	live    bool // Since has passed

	report  Report
	rules   map[string]*ruleTally
	queues  map[string]*Queue
	owners  map[string]*Owner
	pools   map[string]*Pool
	tags    map[string]int
	targets map[string]*Destination
	load    map[string]int // open cases by owner
	open    int
	firing  map[rules.Instance]*Firing // since before the end
	begun   []*Firing
	without sampler
}

type ruleTally struct {
	Rule
	samples sampler
}

// New returns a run in which nothing has happened.
func New(set *rules.Set, o Options) *Run {
	o.Close = cmp.Or(o.Close, WhenDue)
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	r := &Run{
		set: set, options: o, periods: newPeriods(o.Since, o.Until, o.Zone), rules: map[string]*ruleTally{}, queues: map[string]*Queue{},
		owners: map[string]*Owner{}, pools: map[string]*Pool{}, tags: map[string]int{}, targets: map[string]*Destination{},
		load: map[string]int{}, firing: map[rules.Instance]*Firing{},
	}
	r.report = Report{Ruleset: set.Hash(), Since: o.Since, Until: o.Until, Close: o.Close, Days: r.periods.days}
	r.report.Periods = make([]Period, len(r.periods.starts))
	for i, at := range r.periods.starts {
		r.report.Periods[i].At = at
	}
	for _, info := range set.Rules() {
		r.rules[info.ID] = &ruleTally{Rule: Rule{
			Rule: info.ID, Group: info.Group, File: info.File, Line: info.Line, Mode: info.Mode, Alert: info.Alert, Periods: r.series(),
		}}
	}
	for _, p := range set.Pools() {
		r.pools[p.Name] = &Pool{Pool: p}
		for _, name := range p.Owners {
			o := r.owner(name)
			if p.Capacity > 0 && (o.Capacity == 0 || p.Capacity < o.Capacity) {
				o.Capacity = p.Capacity
			}
		}
	}
	r.world = rehearsal.New(set, r.circumstances())
	return r
}

func (r *Run) circumstances() rehearsal.Options {
	o := rehearsal.Options{Once: true, Stop: r.options.Stop, Listener: &rehearsal.Listener{
		Opened: r.opened, Closed: r.closed, Sent: r.sent, Told: r.told, Changed: r.changed,
	}}
	if every := r.set.TickEvery(); every > 0 {
		o.TickEvery = max(every, leastTick)
	}
	if r.options.Close == WhenDue {
		o.CloseWhenDue, o.CloseAfter = true, closeAfter
	}
	return o
}

func (r *Run) series() []int { return make([]int, len(r.periods.starts)) }

// From returns from when on items are to be added, so that what the rules remember at Since is what they would have
// remembered.
func (r *Run) From() feedback.Time { return max(r.options.Since.Add(-r.set.Reach()), 0) }

// Add decides on an item. The event holds the labels of categorizers and people; corrections are those of people. Items
// come in the order in which they occurred; one that does not is decided on at the instant that was reached. The step is
// what was done.
func (r *Run) Add(ev *feedback.Event, corrections ...feedback.Change) rehearsal.Step {
	at := ev.Item.OccurredAt
	if r.report.From == 0 {
		r.report.From = at
	}
	if at < r.world.Now() {
		at = r.world.Now()
		r.report.Late++
	}
	if !r.live && at >= r.options.Since {
		r.world.Advance(r.options.Since - 1)
		r.begin()
	}
	step := r.world.Decide(ev, at, corrections...)
	if !r.live {
		r.report.WarmUp++
	} else {
		r.note(ev.Item, &step)
	}
	return step
}

// begin begins to report.
func (r *Run) begin() {
	r.live = true
	for owner, n := range r.load {
		r.peak(owner, n, r.options.Since)
	}
}

// note counts what was decided on an item.
func (r *Run) note(it *feedback.Item, step *rehearsal.Step) {
	p := &r.report.Periods[r.periods.of(step.At)]
	d := &step.Decision
	matched := r.fired(it, d)
	r.report.Items++
	p.Items++
	if matched {
		r.report.Matched++
		p.Matched++
	} else {
		r.without.add(it)
	}
	for _, s := range once(d.Suppressed, func(s rules.Suppression) string { return s.Rule }) {
		r.rules[s].Suppressed++
	}
	for _, id := range d.Unknown {
		r.rules[id].Unknown++
	}
	if d.UnknownMore {
		for _, t := range r.rules {
			t.UnknownMore = true
		}
	}
	q := r.queue(d.Outputs.Queue)
	q.Items++
	q.Periods[r.periods.of(step.At)]++
	if q.Queue != "" {
		r.report.Routed++
	}
	if d.Outputs.Owner != "" {
		r.owner(d.Outputs.Owner).Items++
	}
	for _, t := range d.Outputs.Tags {
		r.tags[t]++
	}
}

// fired counts the rules that fired, and reports whether one of them is carried out.
func (r *Run) fired(it *feedback.Item, d *rules.Decision) (matched bool) {
	at := r.periods.of(r.world.Now())
	for i := range d.Groups {
		fired := d.Groups[i].Fired
		for j := range fired {
			f := &fired[j]
			if f.Mode != rules.Shadow {
				matched = true
				r.pooled(f)
			}
			if slices.ContainsFunc(fired[:j], func(before rules.Fired) bool { return before.Rule == f.Rule }) {
				continue // for another theme
			}
			t := r.rules[f.Rule]
			t.Periods[at]++
			t.samples.add(it)
			if f.Mode == rules.Shadow {
				t.Shadow++
			} else {
				t.Fired++
			}
		}
	}
	return matched
}

// pooled counts what a rule took from pools.
func (r *Run) pooled(f *rules.Fired) {
	for i := range f.Actions {
		a := &f.Actions[i]
		if p := r.pools[a.Pool]; p != nil && !a.Dropped {
			if a.Owner == "" {
				p.Full++
			} else {
				p.Items++
			}
		}
	}
}

// once returns the names of a list, each once.
func once[T any](list []T, name func(T) string) []string {
	var out []string
	for _, v := range list {
		if n := name(v); !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

func entry[T any](m map[string]*T, name string, fresh func() *T) *T {
	v := m[name]
	if v == nil {
		v = fresh()
		m[name] = v
	}
	return v
}

func (r *Run) queue(name string) *Queue {
	return entry(r.queues, name, func() *Queue { return &Queue{Queue: name, Periods: r.series()} })
}

func (r *Run) owner(name string) *Owner {
	return entry(r.owners, name, func() *Owner { return &Owner{Owner: name, Periods: r.series()} })
}

func (r *Run) destination(name string) *Destination {
	return entry(r.targets, name, func() *Destination { return &Destination{Destination: name, Periods: r.series()} })
}

// The world's listener.

func (r *Run) opened(c *rehearsal.Case) {
	if r.live {
		r.carry(r.periods.of(c.OpenedAt))
	}
	r.load[c.Owner]++
	r.open++
	if !r.live {
		return
	}
	r.report.Cases++
	r.report.Periods[r.periods.of(c.OpenedAt)].Cases++
	r.rules[c.Rule].Cases++
	r.queue(c.Queue).Cases++
	r.owner(c.Owner).Cases++
	r.peak(c.Owner, r.load[c.Owner], c.OpenedAt)
}

// peak notes how many cases an owner has open, and how many are in all.
func (r *Run) peak(owner string, n int, at feedback.Time) {
	i := r.periods.of(at)
	o := r.owner(owner)
	if n > o.Peak {
		o.Peak, o.PeakAt = n, at
	}
	r.carry(i)
	o.Periods[i] = max(o.Periods[i], n)
	r.report.PeakOpen = max(r.report.PeakOpen, r.open)
	r.report.Periods[i].Open = max(r.report.Periods[i].Open, r.open)
}

// carry counts the cases that are open when a period begins.
func (r *Run) carry(to int) {
	for ; r.periods.carried < to; r.periods.carried++ {
		next := r.periods.carried + 1
		r.report.Periods[next].Open = max(r.report.Periods[next].Open, r.open)
		for owner, n := range r.load {
			if n > 0 {
				o := r.owner(owner)
				o.Periods[next] = max(o.Periods[next], n)
			}
		}
	}
}

func (r *Run) closed(c *rehearsal.Case) {
	if r.live {
		r.carry(r.periods.of(c.ClosedAt))
	}
	r.load[c.Owner]--
	if r.open--; r.load[c.Owner] == 0 {
		delete(r.load, c.Owner)
	}
}

func (r *Run) sent(m *rehearsal.Message) {
	if r.live {
		r.rules[m.Rule].Messages++
		r.destination(m.Destination).Messages++
		r.message(m.Destination, m.At)
	}
}

func (r *Run) told(n *rehearsal.Notice) {
	if !r.live {
		return
	}
	if t := r.rules[n.Rule]; t != nil {
		t.Messages++
	}
	if d := r.destination(n.Destination); n.Digest != nil {
		d.Digests++
	} else {
		d.Notices++
	}
	r.message(n.Destination, n.At)
}

func (r *Run) message(destination string, at feedback.Time) {
	i := r.periods.of(at)
	r.destination(destination).Periods[i]++
	r.report.Messages++
	r.report.Periods[i].Messages++
}

func (r *Run) changed(c *rehearsal.Change) {
	key := rules.Instance{Rule: c.Rule, Key: c.Key}
	switch c.What {
	case alert.Fires:
		f := &Firing{Rule: c.Rule, Key: rules.KeyText(c.Key), Severity: c.Severity, Summary: c.Summary, From: c.At, Shadow: c.Shadow}
		r.firing[key] = f
		if !r.live {
			return
		}
		r.began(f)
		i := r.periods.of(c.At)
		if t := r.rules[c.Rule]; t != nil {
			t.Firings++
			if t.Alert {
				t.Periods[i]++
			}
		}
		if !c.Shadow {
			r.report.Firings++
			r.report.Periods[i].Firings++
		}
	case alert.Resolves:
		if f := r.firing[key]; f != nil {
			f.To = c.At
			if r.live && f.From < r.options.Since {
				r.began(f)
			}
			delete(r.firing, key)
		}
	}
}

// began lists a firing.
func (r *Run) began(f *Firing) {
	if len(r.begun) < maxFirings {
		r.begun = append(r.begun, f)
	} else {
		r.report.AlertsMore++
	}
}

// Report ends the run at Until and returns what was found. Nothing may be added afterwards.
func (r *Run) Report() *Report {
	r.world.Advance(r.options.Since - 1)
	if !r.live {
		r.begin()
	}
	r.world.Advance(r.options.Until - 1)
	r.carry(len(r.periods.starts) - 1)
	for _, f := range r.firing {
		if f.From < r.options.Since {
			r.began(f)
		}
	}
	out := &r.report
	out.Rules, out.Alerts, out.Tags = []Rule{}, []Firing{}, []Tally{}
	for _, info := range r.set.Rules() {
		t := r.rules[info.ID]
		t.Samples = t.samples.list()
		out.Rules = append(out.Rules, t.Rule)
	}
	for _, f := range r.begun {
		out.Alerts = append(out.Alerts, *f)
	}
	slices.SortStableFunc(out.Alerts, func(a, b Firing) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Key, b.Key))
	})
	for _, name := range slices.Sorted(maps.Keys(r.tags)) {
		out.Tags = append(out.Tags, Tally{name, r.tags[name]})
	}
	slices.SortStableFunc(out.Tags, func(a, b Tally) int { return cmp.Compare(b.Items, a.Items) })
	out.Queues = sorted(r.queues, func(q *Queue) int { return q.Items })
	out.Owners = sorted(r.owners, func(o *Owner) int { return o.Cases })
	out.Destinations = sorted(r.targets, func(d *Destination) int { return d.Messages + d.Notices + d.Digests })
	out.Pools = sorted(r.pools, func(p *Pool) int { return p.Items })
	out.Unmatched = r.without.list()
	return out
}

// sorted returns the values, the greatest first.
func sorted[T any](m map[string]*T, size func(*T) int) []T {
	out := make([]T, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, *m[name])
	}
	slices.SortStableFunc(out, func(a, b T) int { return cmp.Compare(size(&b), size(&a)) })
	return out
}
