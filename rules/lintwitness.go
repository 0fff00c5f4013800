package rules

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/rules/internal/logic"
	"github.com/closedloop/closedloop/rules/window"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// witness is an event for which conditions were seen to hold.
type witness struct {
	event *feedback.Event
	view  stating
	theme string // that a rule is decided for, or ""
	parts []string
}

// String tells what the event has.
func (w *witness) String() string {
	if len(w.parts) == 0 {
		return "an item with nothing in particular"
	}
	return "an item with " + strings.Join(w.parts, ", ")
}

// stating is a View that says what windows tell, by their ID.
type stating struct {
	NoView
	figures map[string]window.Figure
}

var _ Stating = stating{}

// Stated returns the figures of a window.
func (s stating) Stated(id, _ string) (window.Figure, bool) {
	f, ok := s.figures[id]
	return f, ok
}

// solve looks for an event for which the goals are met, and evaluates them to be sure.
func (l *linter) solve(each string, goals ...logic.Goal) (logic.Verdict, *witness) {
	var found *witness
	verdict := l.solver.Solve(goals, func(m *logic.Model) bool {
		for variant := range variants {
			w := l.witness(m, each, variant)
			if w != nil && l.meets(w, goals) {
				found = w
				return true
			}
		}
		return false
	})
	return verdict, found
}

func (l *linter) meets(w *witness, goals []logic.Goal) bool {
	e := l.enter(w)
	defer l.set.release(e)
	for _, g := range goals {
		l.matches++
		if g.Accept&(1<<e.frame.Eval(g.Cond)) == 0 {
			return false
		}
	}
	return true
}

// enter begins an evaluation on the event, at its theme.
func (l *linter) enter(w *witness) *evaluation {
	e := l.set.evaluation(w.event, lintNow, w.view)
	if w.theme != "" {
		e.turnTo(w.theme)
	}
	return e
}

// lintNow is the instant at which events are tried.
const lintNow = feedback.Time(1_767_225_600_000)

// variants are the ways in which events are made of what is known of them.
const variants = 3

// makers make one event of a model.
type maker struct {
	*linter
	*witness
	given map[string]bool
}

// witness makes an event of a model, or returns nil when it is not known how.
func (l *linter) witness(m *logic.Model, each string, variant int) *witness {
	k := maker{l, &witness{event: &feedback.Event{Item: &feedback.Item{}, Labels: &feedback.Labels{}}, view: stating{figures: map[string]window.Figure{}}}, map[string]bool{}}
	for _, computed := range [...]bool{false, true} {
		for i := range m.Values {
			v := &m.Values[i]
			if v.Computed == computed && !k.given[v.Field] && !k.set(v, variant) {
				return nil
			}
		}
	}
	k.themes(m, each, variant)
	if each != "" && each != lang.Theme && !k.given[each] {
		k.set(&logic.Value{Field: each, Value: "one"}, variant)
	}
	return k.witness
}

// themes gives the event its themes.
func (k *maker) themes(m *logic.Model, each string, variant int) {
	if m.Unlabelled {
		if m.Labelled || len(m.Themes) > 0 {
			return
		}
		k.event.Labels = nil
		k.parts = append(k.parts, "no themes known")
		return
	}
	paths := slices.Clone(m.Themes)
	if k.theme != "" {
		paths = append(paths, k.theme)
	} else if each == lang.Theme {
		if len(paths) == 0 {
			paths = append(paths, "something")
		}
		k.theme = paths[0]
	}
	if variant > 0 && len(paths) == 0 {
		paths = append(paths, "something")
	}
	slices.Sort(paths)
	paths = slices.Compact(paths)
	for _, p := range paths {
		t := feedback.Theme{Path: feedback.ThemePath(p), Confidence: 1}
		if variant == 1 {
			t.Sentiment = new(-1.0)
		} else if variant == 2 {
			t.Confidence, t.Sentiment = 0, new(1.0)
		}
		k.event.Labels.Themes = append(k.event.Labels.Themes, t)
	}
	if len(paths) > 0 {
		k.parts = append(k.parts, "themes "+strings.Join(paths, " and "))
	}
}

// set gives the event a value. It reports false when it does not know how to.
func (k *maker) set(v *logic.Value, variant int) bool {
	value := v.Value
	if len(v.Parts) > 0 {
		parts := slices.Clone(v.Parts)
		if variant == 1 {
			slices.Reverse(parts)
		}
		value = strings.Join(parts, " ")
	}
	if value == nil {
		if !v.Computed {
			k.parts = append(k.parts, "no "+v.Field)
			k.given[v.Field] = true
		}
		return true
	}
	kind, ok := k.linter.set.program.Kind(v.Field)
	if n, is := value.(float64); is && kind == feedback.String && v.Computed && n >= 0 && n <= 4096 { // a length
		value = strings.Repeat("x", int(n))
	}
	k.given[v.Field] = true
	if !ok || !k.put(v.Field, kind, value) {
		return false
	}
	k.parts = append(k.parts, v.Field+" = "+shown(kind, value))
	return true
}

func shown(kind feedback.Kind, v any) string {
	switch v := v.(type) {
	case float64:
		if kind == feedback.Instant {
			return feedback.Time(v).String()
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	case string:
		const long = 60
		if len(v) > long {
			return fmt.Sprintf("a text of %d characters", len(v))
		}
		return v
	}
	return fmt.Sprint(v)
}

// put sets a field.
func (k *maker) put(field string, kind feedback.Kind, value any) bool {
	it := k.event.Item
	if name, customer, ok := attributeOf(field); ok {
		into := &it.Attributes
		if customer {
			into = &it.Customer.Attributes
		}
		if *into == nil {
			*into = feedback.Attributes{}
		}
		(*into)[name] = valueOf(kind, value)
		return true
	}
	if name, ok := strings.CutPrefix(field, "win."); ok {
		return k.state(name, value)
	}
	switch v := value.(type) {
	case string:
		return k.putText(field, v)
	case bool:
		it.Contactable = &v
		return field == "contactable"
	case float64:
		return k.putNumber(field, v)
	}
	return false
}

func valueOf(kind feedback.Kind, value any) feedback.Value {
	switch v := value.(type) {
	case string:
		return feedback.StringValue(v)
	case bool:
		return feedback.BoolValue(v)
	case float64:
		if kind == feedback.Instant {
			return feedback.TimeValue(feedback.Time(v))
		}
		return feedback.NumberValue(v)
	}
	return feedback.Value{}
}

// otherTexts are the texts of items that are not settable.
var otherTexts = map[string]func(*feedback.Item) *string{
	"id":                func(it *feedback.Item) *string { return (*string)(&it.ID) },
	"external_id":       func(it *feedback.Item) *string { return &it.ExternalID },
	"synthetic":         func(it *feedback.Item) *string { return (*string)(&it.Synthetic) },
	"title":             func(it *feedback.Item) *string { return &it.Title },
	"text":              func(it *feedback.Item) *string { return &it.Text },
	"url":               func(it *feedback.Item) *string { return &it.URL },
	"customer.key_kind": func(it *feedback.Item) *string { return (*string)(&it.Customer.KeyKind) },
	"customer.name":     func(it *feedback.Item) *string { return &it.Customer.Name },
	"customer.email":    func(it *feedback.Item) *string { return &it.Customer.Email },
	"customer.language": func(it *feedback.Item) *string { return &it.Customer.Language },
}

func (k *maker) putText(field, v string) bool {
	it := k.event.Item
	switch member, other := settable[field], otherTexts[field]; {
	case member != nil:
		*member(it) = v
	case other != nil:
		*other(it) = v
	case field == lang.Theme:
		k.theme = v
	case field == "nps_class":
		scores := map[string]float64{string(feedback.Detractor): 3, string(feedback.Passive): 7, string(feedback.Promoter): 9}
		if it.Survey = feedback.NPS; !k.given["score"] && !k.given["nps"] {
			it.Score = new(scores[v])
		}
	default:
		return false
	}
	return true
}

func (k *maker) putNumber(field string, v float64) bool {
	it := k.event.Item
	switch field {
	case "nps", "csat", "ces", "stars":
		it.Survey, it.Score = feedback.Survey(field), &v
	case "score":
		it.Score = &v
	case "customer.arr":
		it.Customer.ARR = &v
	case "customer.tenure_days":
		it.Customer.TenureDays = &v
	case "sentiment":
		k.event.Labels.Sentiment = &v
	case "occurred_at":
		it.OccurredAt = feedback.Time(v)
	case "received_at":
		it.ReceivedAt = feedback.Time(v)
	case "word_count":
		if v < 0 || v > 4096 || it.Text != "" {
			return v >= 0
		}
		it.Text = strings.Repeat("word ", int(math.Ceil(v)))
	default:
		return false
	}
	return true
}

// state has a window tell a figure: NAME.n, NAME.value, NAME.lo or NAME.hi.
func (k *maker) state(name string, value any) bool {
	name, part, _ := strings.Cut(name, ".")
	v, ok := value.(float64)
	at := slices.IndexFunc(k.linter.set.windows, func(w *windowDecl) bool { return w.info.Name == name })
	if !ok || at < 0 {
		return false
	}
	id := k.linter.set.windows[at].info.ID
	f, stated := k.view.figures[id]
	if !stated {
		f.N = 100
	}
	switch part {
	case "n":
		f.N = int64(v)
	case "value":
		f.Value, f.Known = v, true
	case "lo":
		f.Lo, f.Interval = v, true
	case "hi":
		f.Hi, f.Interval = v, true
	}
	k.view.figures[id] = f
	return true
}
