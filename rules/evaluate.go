package rules

import (
	"cmp"
	"slices"

	"github.com/closedloop/closedloop/rules/internal/index"
	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Result is what Evaluate makes of one event.
type Result struct {
	Decision Decision
	// Effects are what is to be done now, in the order of the rules, without relabels, which stand in the decision. An
	// effect that was carried out for the item before has the same Key.
	Effects []Effect
	// Counts are what the item adds to windows, in place of what it added before.
	Counts []Count

	marks []mark
	turns []turn
}

// Evaluate decides on one event. It is pure: the same arguments give the same result. The event's labels are those of
// models and people, without the relabels of earlier decisions; nil labels mean that the item has not been categorized,
// and all that reads themes or sentiment is unknown. A nil view knows nothing.
func (s *Set) Evaluate(ev *feedback.Event, now feedback.Time, view View) Result {
	if view == nil {
		view = NoView{}
	}
	e := s.evaluation(ev, now, view)
	defer s.release(e)
	e.figures.early = s.counted > 0
	for i := range s.groups {
		if i == s.counted {
			e.count()
		}
		e.group(int32(i))
	}
	if len(s.groups) == s.counted {
		e.count()
	}
	e.finish()
	e.Decision.Readings = e.figures.read
	e.Decision.Gone = gone(view.Previous(), e.Effects)
	return e.Result
}

// Decide is Evaluate on what a Memory holds, which takes note of what follows: the counts of windows, the firings of
// throttled rules and the turns of pools. What Effects ask for is left to the caller, who keeps the result's Counts with
// the item, for Memory.Counted.
func (s *Set) Decide(ev *feedback.Event, now feedback.Time, m Memory) Result {
	r := s.Evaluate(ev, now, m)
	for _, k := range r.marks {
		m.SetThrottled(k.rule, k.key, k.firings)
	}
	for _, t := range r.turns {
		m.SetTurn(t.pool, t.n)
	}
	r.Counts = s.Recount(m.Counted(), r.Counts, now, m)
	return r
}

// Recount takes back from the windows what an item added to them and adds what it adds now. It returns what was added,
// which leaves out what is too old to count, and keeps what was added to windows that the set does not have.
func (s *Set) Recount(was, is []Count, now feedback.Time, m Memory) []Count {
	var kept []Count
	for i := range was {
		c := &was[i]
		if w := s.window(c.Window); w != nil {
			m.Ring(&w.info, c.Key).Remove(c.At, now, c.Observation)
		} else {
			kept = append(kept, *c)
		}
	}
	for i := range is {
		c := &is[i]
		if w := s.window(c.Window); m.Ring(&w.info, c.Key).Add(c.At, now, c.Observation) {
			kept = append(kept, *c)
		}
	}
	return kept
}

// window returns the window of that ID, or nil.
func (s *Set) window(id string) *windowDecl { return s.windowIDs[id] }

// evaluation is one run of a set over one event. Evaluations are used again.
type evaluation struct {
	Result
	set     *Set
	frame   *lang.Frame
	item    *feedback.Item
	now     feedback.Time
	view    View
	figures figures
	silent  map[string]string // rules that another one suppresses, by that one
	found
}

// found is what the index found for a stage, as far as it was gone through.
type found struct {
	scratch                              *index.Scratch
	matched, unknowns                    []int32 // numbers of rules
	limit                                int     // of unknowns
	nextMatched, nextUnknown, nextDirect int
}

func (s *Set) evaluation(ev *feedback.Event, now feedback.Time, view View) *evaluation {
	e, ok := s.evaluations.Get().(*evaluation)
	if !ok {
		e = &evaluation{set: s, frame: s.program.NewFrame(), found: found{scratch: s.index.NewScratch()}}
	}
	e.frame.Reset(ev)
	e.item, e.now, e.view = ev.Item, now, view
	e.Decision = Decision{Ruleset: s.hash, At: now, ItemVersion: ev.Item.Version}
	if len(s.windows) > 0 {
		e.figures = figures{set: s, frame: e.frame, now: now, view: view, was: view.Counted()}
		e.figures.stated, _ = view.(Stating)
		e.frame.Use(&e.figures)
	}
	return e
}

func (s *Set) release(e *evaluation) {
	e.frame.Release()
	e.scratch.Release()
	*e = evaluation{set: s, frame: e.frame, found: e.found}
	s.evaluations.Put(e)
}

// count has the groups that follow see the event in the windows.
func (e *evaluation) count() {
	if len(e.set.windows) == 0 {
		return
	}
	e.Counts = e.set.counts(e.frame, e.item, nil)
	e.figures.is, e.figures.early = e.Counts, false
	e.frame.Use(&e.figures)
}

func (e *evaluation) group(number int32) {
	g := &e.set.groups[number]
	e.find(g)
	var fired []Fired
	var changes []feedback.Change
	e.nextDirect = 0
	for {
		r, truth, known, ok := e.next(number, g)
		if !ok {
			break
		}
		from := len(fired)
		ends := false
		switch {
		case r.info.Each != "":
			fired, ends = e.each(r, fired)
		case known:
			fired, ends = e.rule(r, truth, "", fired)
		default:
			fired, ends = e.rule(r, e.frame.Eval(r.when), "", fired)
		}
		for j := range fired[from:] {
			changes = fired[from+j].changes(changes)
		}
		if ends && g.first {
			break
		}
	}
	e.skip(number)
	if len(fired) > 0 {
		e.Decision.Groups = append(e.Decision.Groups, GroupResult{Name: g.name, Fired: fired})
	}
	e.relabel(changes)
}

// rule decides on one rule, and appends it to those that fired when it does. It reports whether the rule ends a group
// that ends with the first one.
func (e *evaluation) rule(r *rule, truth lang.Truth, each string, fired []Fired) ([]Fired, bool) {
	assumed := truth == lang.Unknown && r.assume
	if truth == lang.Unknown && !assumed {
		e.unknown(r.info.ID)
	}
	if truth != lang.True && !assumed {
		return fired, false
	}
	if by, ok := e.silent[r.info.ID]; ok {
		e.Decision.Suppressed = append(e.Decision.Suppressed, Suppression{Rule: r.info.ID, Each: each, By: by})
		return fired, false
	}
	if s, ok := e.throttled(r); ok {
		s.Each = each
		e.Decision.Suppressed = append(e.Decision.Suppressed, s)
		return fired, r.info.Mode != Shadow
	}
	out := e.fire(r, each)
	out.Assumed = assumed
	if fired == nil {
		fired = make([]Fired, 0, 4)
	}
	return append(fired, out), r.info.Mode != Shadow
}

// each decides on a rule for each theme of the item, or for the value of a field.
func (e *evaluation) each(r *rule, fired []Fired) ([]Fired, bool) {
	if r.info.Each != lang.Theme {
		v, ok := e.frame.Text(r.info.Each)
		if !ok {
			return fired, false
		}
		return e.rule(r, e.frame.Eval(r.when), v, fired)
	}
	any := false
	themes := e.frame.Labels().Themes
	for i := range themes[:min(len(themes), lang.MaxThemes)] {
		e.turnTo(string(themes[i].Path))
		var ends bool
		fired, ends = e.rule(r, e.frame.Eval(r.when), string(themes[i].Path), fired)
		any = any || ends
	}
	e.frame.ClearTheme()
	e.figures.theme, e.figures.themed = "", false
	return fired, any
}

// turnTo turns to one theme.
func (e *evaluation) turnTo(theme string) {
	e.figures.theme, e.figures.themed = theme, true
	e.frame.SetTheme(theme)
}

// maxUnknown bounds the rules that a decision lists as unknown.
const maxUnknown = 100

func (e *evaluation) unknown(rule string) {
	d := &e.Decision
	switch {
	case slices.Contains(d.Unknown, rule):
	case len(d.Unknown) == maxUnknown:
		d.UnknownMore = true
	default:
		d.Unknown = append(d.Unknown, rule)
	}
}

// changes appends the relabels of a rule that fired.
func (f *Fired) changes(to []feedback.Change) []feedback.Change {
	if f.Mode == Shadow {
		return to
	}
	for i := range f.Actions {
		if c := f.Actions[i].Change; c != nil {
			to = append(to, *c)
		}
	}
	return to
}

// fire records a rule that matched, with its actions as they are written.
func (e *evaluation) fire(r *rule, each string) Fired {
	out := Fired{Rule: r.info.ID, Each: each, Severity: r.info.Severity}
	if r.info.Mode == Shadow {
		out.Mode = Shadow
	}
	out.Atoms = make([]Atom, r.when.Atoms())
	for i := range out.Atoms {
		text, truth, seen := e.frame.Atom(r.when, i)
		out.Atoms[i] = Atom{Text: text, Truth: truthOf(truth), Seen: seenOf(seen)}
	}
	out.Actions = make([]Effect, len(r.actions))
	for i := range r.actions {
		out.Actions[i] = e.effect(r, &r.actions[i])
		out.Actions[i].Each = each
		if r.info.Mode != Shadow {
			e.Effects = append(e.Effects, out.Actions[i])
			e.Effects[len(e.Effects)-1].Rule = r.info.ID
		}
	}
	for _, id := range r.suppresses {
		if e.silent == nil {
			e.silent = map[string]string{}
		}
		if r.info.Mode != Shadow {
			e.silent[id] = r.info.ID
		}
	}
	return out
}

func (e *evaluation) effect(r *rule, a *action) Effect {
	out := Effect{
		Kind: a.kind, Target: a.target, Queue: a.queue, Owner: a.owner, Priority: a.priority, SLA: a.sla, Resolve: a.resolve, Warn: a.warn, Severity: a.severity,
		Destination: a.destination, Tags: slices.Clone(a.tags), Calendar: a.calendar, Digest: a.digest, Keep: a.keep,
	}
	switch a.kind {
	case Assign:
		e.choose(r, a, &out)
	case Tag:
		if a.table != nil {
			a.table.tag(e.frame, &out)
		}
	case Alert:
		out.Summary, out.Target = a.text.Render(e.frame), bounded(a.key.Render(e.frame), maxKey)
		out.AlertGroup = bounded(a.group.Render(e.frame), maxKey)
	case Notify:
		out.Message = a.text.Render(e.frame)
	case Relabel:
		out.Change = &feedback.Change{
			By: feedback.Author{Layer: feedback.LayerRule, Name: r.info.ID, Version: e.set.hash}, At: e.now,
			Reason: a.change.Reason, Remove: slices.Clone(a.change.Remove), Add: slices.Clone(a.change.Add),
		}
		if a.change.Sentiment != nil {
			out.Change.Sentiment = new(*a.change.Sentiment)
		}
	}
	return out
}

// relabel lets the groups that follow see the changes of a group, below what people say.
func (e *evaluation) relabel(changes []feedback.Change) {
	if len(changes) == 0 {
		return
	}
	e.Decision.Relabels = append(e.Decision.Relabels, changes...)
	labels := *e.frame.Labels()
	labels.Themes = slices.Clone(labels.Themes)
	for i := range changes {
		labels.Apply(&changes[i])
	}
	corrections := e.view.Corrections()
	for i := range corrections {
		labels.Apply(&corrections[i])
	}
	e.frame.Relabel(&labels)
}

// finish merges the outputs, settles each effect, and notes with the rules what became of those that are not carried
// out as they are written.
func (e *evaluation) finish() {
	if len(e.Decision.Groups) == 0 {
		return
	}
	m := e.set.merge(e.Effects, &e.Decision)
	next := 0
	kept := e.Effects[:0] // never longer than what was gone through
	for i := range e.Decision.Groups {
		fired := e.Decision.Groups[i].Fired
		for j := range fired {
			if fired[j].Mode == Shadow {
				continue
			}
			for k := range fired[j].Actions {
				effect := e.Effects[next]
				next++
				note, left := m.settle(&effect)
				a := &fired[j].Actions[k]
				a.Note, a.Dropped = cmp.Or(note, a.Note), !left && a.Kind != Relabel
				if left {
					a.Target = effect.Target
					kept = append(kept, effect)
				}
			}
		}
	}
	clear(e.Effects[len(kept):])
	e.Effects = kept
	e.turns = slices.DeleteFunc(e.turns, func(t turn) bool {
		return !slices.ContainsFunc(kept, func(x Effect) bool { return x.Pool == t.pool })
	})
}

// choose fills in who is to look at the item, as far as a table or a pool decides.
func (e *evaluation) choose(r *rule, a *action, out *Effect) {
	pool := a.pool
	if a.table != nil {
		pool = a.table.choose(e.frame, out, pool)
		out.Target = out.Queue
	}
	if pool == nil {
		return
	}
	out.Pool = pool.Name
	if out.Owner = e.owner(r.info.ID, pool); out.Owner == "" {
		out.Note = "everybody in the pool " + pool.Name + " is at capacity"
	}
	out.Target = out.Queue
}

// gone returns the keys of the effects of a decision that are not among the effects.
func gone(previous *Decision, effects []Effect) []string {
	if previous == nil {
		return nil
	}
	now := map[string]bool{}
	for i := range effects {
		now[effects[i].Key()] = true
	}
	var out []string
	for _, g := range previous.Groups {
		for _, f := range g.Fired {
			for _, a := range f.Actions {
				a.Rule = f.Rule
				if key := a.Key(); f.Mode != Shadow && a.Kind != Relabel && !a.Dropped && !now[key] && !slices.Contains(out, key) {
					out = append(out, key)
				}
			}
		}
	}
	return out
}

func truthOf(t lang.Truth) Truth {
	switch t {
	case lang.True:
		return True
	case lang.False:
		return False
	}
	return Unknown
}

func seenOf(in []lang.Seen) []Seen {
	if len(in) == 0 {
		return nil
	}
	out := make([]Seen, len(in))
	for i, s := range in {
		out[i] = Seen(s)
	}
	return out
}
