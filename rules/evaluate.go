package rules

import (
	"slices"

	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Evaluate decides on one event. It is pure: the same arguments give the same decision and effects. The event's labels
// are those of models and people, without the relabels of earlier decisions; nil labels mean that the item has not
// been categorized, and all that reads themes or sentiment is unknown.
//
// The effects are what is to be done now, in the order of the rules, without relabels, which stand in the decision. An
// effect that was carried out for the item before has the same Key.
func (s *Set) Evaluate(ev *feedback.Event, now feedback.Time, view View) (*Decision, []Effect) {
	d := &Decision{Ruleset: s.hash, At: now, ItemVersion: ev.Item.Version}
	f := s.frame(ev)
	defer s.release(f)
	run := &evaluation{set: s, frame: f, decision: d, view: view}
	for i := range s.groups {
		run.group(&s.groups[i])
	}
	effects := run.finish()
	if view != nil {
		d.Gone = gone(view.Previous(), effects)
	}
	return d, effects
}

// evaluation is one run of a set over one event.
type evaluation struct {
	set      *Set
	frame    *lang.Frame
	decision *Decision
	view     View
	effects  []Effect
}

func (e *evaluation) group(g *group) {
	var fired []Fired
	var changes []feedback.Change
	for i := range g.rules {
		r := &g.rules[i]
		if r.info.Mode == Off {
			continue
		}
		truth := e.frame.Eval(r.when)
		assumed := truth == lang.Unknown && r.assume
		if truth == lang.Unknown && !assumed {
			e.decision.Unknown = append(e.decision.Unknown, r.info.ID)
		}
		if truth != lang.True && !assumed {
			continue
		}
		out := e.fire(r)
		out.Assumed = assumed
		if fired == nil {
			fired = make([]Fired, 0, 4)
		}
		fired = append(fired, out)
		if r.info.Mode == Shadow {
			continue
		}
		for j := range out.Actions {
			if c := out.Actions[j].Change; c != nil {
				changes = append(changes, *c)
			}
		}
		if g.first {
			break
		}
	}
	if len(fired) > 0 {
		e.decision.Groups = append(e.decision.Groups, GroupResult{Name: g.name, Fired: fired})
	}
	e.relabel(changes)
}

// fire records a rule that matched, with its actions as they are written.
func (e *evaluation) fire(r *rule) Fired {
	out := Fired{Rule: r.info.ID, Severity: r.info.Severity}
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
		if e.effects == nil {
			e.effects = make([]Effect, 0, 8)
		}
		if r.info.Mode != Shadow {
			e.effects = append(e.effects, out.Actions[i])
			e.effects[len(e.effects)-1].Rule = r.info.ID
		}
	}
	return out
}

func (e *evaluation) effect(r *rule, a *action) Effect {
	out := Effect{
		Kind: a.kind, Target: a.target, Queue: a.queue, Owner: a.owner, Priority: a.priority, SLA: a.sla, Severity: a.severity,
		Destination: a.destination, Tags: slices.Clone(a.tags),
	}
	switch a.kind {
	case Alert:
		out.Summary, out.Target = a.text.Render(e.frame), a.key.Render(e.frame)
	case Notify:
		out.Message = a.text.Render(e.frame)
	case Relabel:
		out.Change = &feedback.Change{
			By: feedback.Author{Layer: feedback.LayerRule, Name: r.info.ID, Version: e.set.hash}, At: e.decision.At,
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
	e.decision.Relabels = append(e.decision.Relabels, changes...)
	labels := *e.frame.Labels()
	labels.Themes = slices.Clone(labels.Themes)
	for i := range changes {
		labels.Apply(&changes[i])
	}
	if v, ok := e.view.(CorrectedView); ok {
		corrections := v.Corrections()
		for i := range corrections {
			labels.Apply(&corrections[i])
		}
	}
	e.frame.Relabel(&labels)
}

// finish merges the outputs, settles each effect, and notes with the rules what became of those that are not carried
// out as they are written.
func (e *evaluation) finish() []Effect {
	if len(e.decision.Groups) == 0 {
		return nil
	}
	m := e.set.merge(e.effects, e.decision)
	next := 0
	kept := e.effects[:0] // never longer than what was gone through
	for i := range e.decision.Groups {
		fired := e.decision.Groups[i].Fired
		for j := range fired {
			if fired[j].Mode == Shadow {
				continue
			}
			for k := range fired[j].Actions {
				effect := e.effects[next]
				next++
				note, left := m.settle(&effect)
				a := &fired[j].Actions[k]
				a.Note, a.Dropped = note, !left && a.Kind != Relabel
				if left {
					a.Target = effect.Target
					kept = append(kept, effect)
				}
			}
		}
	}
	clear(e.effects[len(kept):])
	return kept
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
