package rulestest

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/suggest"
)

// draft is an event in the making.
type draft struct {
	item      feedback.Item
	themes    []feedback.Theme
	sentiment *float64
	raw       bool // not categorized
	corrected *feedback.Change
}

// patch changes an event in the making.
type patch func(*draft)

// noPatch makes a list of patches an event even when there is nothing to change.
func noPatch(*draft) {}

// item makes the event of a step. What the test leaves open is the id, of which each item has its own, and when the
// feedback was given and received: at the instant of the step.
func (s *step) item(number int) (ev *feedback.Event, corrections []feedback.Change) {
	d := &draft{}
	for _, p := range s.event {
		p(d)
	}
	it := &d.item
	it.ID = cmp.Or(it.ID, feedback.ItemID("item-"+strconv.Itoa(number)))
	it.OccurredAt, it.ReceivedAt = cmp.Or(it.OccurredAt, s.at), cmp.Or(it.ReceivedAt, s.at)
	ev = &feedback.Event{Item: it}
	if !d.raw || d.sentiment != nil || d.corrected != nil {
		ev.Labels = &feedback.Labels{Themes: d.themes, Sentiment: d.sentiment}
	}
	if c := d.corrected; c != nil {
		ev.Labels.Apply(c)
		corrections = []feedback.Change{*c}
	}
	return ev, corrections
}

// member is a key of an event. It reads a value, or null, which takes the value away.
type member struct {
	name string
	read func(*reader, *source.Node) patch
}

func text(name string, at func(*draft) *string) member {
	return member{name, func(_ *reader, n *source.Node) patch {
		v := ""
		if !n.IsNull() {
			v = n.String()
		}
		return func(d *draft) { *at(d) = v }
	}}
}

func number(name string, at func(*draft) **float64) member {
	return member{name, func(_ *reader, n *source.Node) patch {
		if n.IsNull() {
			return func(d *draft) { *at(d) = nil }
		}
		v := n.Number()
		return func(d *draft) { *at(d) = &v }
	}}
}

func instant(name string, at func(*draft) *feedback.Time) member {
	return member{name, func(r *reader, n *source.Node) patch {
		var v feedback.Time
		if !n.IsNull() {
			if n.IsString() && strings.HasPrefix(n.String(), "+") {
				n.Problem("wrong_value", "found %s, expected an instant such as 2026-03-02T10:00:00Z", n.Found())
			}
			v = r.instant(n, 0, 0)
		}
		return func(d *draft) { *at(d) = v }
	}}
}

// answer is the name of a survey with its score, as conditions have it.
func answer(survey feedback.Survey) member {
	return member{string(survey), func(_ *reader, n *source.Node) patch {
		if n.IsNull() {
			n.ProblemHint("wrong_value", "score: null takes the score away", "found nothing, expected the score")
			return noPatch
		}
		v := n.Number()
		return func(d *draft) { d.item.Survey, d.item.Score = survey, &v }
	}}
}

// members returns the keys of an event.
func members() []member {
	return []member{
		text("id", func(d *draft) *string { return (*string)(&d.item.ID) }),
		text("source", func(d *draft) *string { return &d.item.Source }),
		text("external_id", func(d *draft) *string { return &d.item.ExternalID }),
		text("synthetic", func(d *draft) *string { return (*string)(&d.item.Synthetic) }),
		text("batch", func(d *draft) *string { return &d.item.Batch }),
		instant("occurred_at", func(d *draft) *feedback.Time { return &d.item.OccurredAt }),
		instant("received_at", func(d *draft) *feedback.Time { return &d.item.ReceivedAt }),
		text("survey", func(d *draft) *string { return (*string)(&d.item.Survey) }),
		text("survey_id", func(d *draft) *string { return &d.item.SurveyID }),
		number("score", func(d *draft) **float64 { return &d.item.Score }),
		number("scale_min", func(d *draft) **float64 { return &d.item.ScaleMin }),
		number("scale_max", func(d *draft) **float64 { return &d.item.ScaleMax }),
		answer(feedback.NPS), answer(feedback.CSAT), answer(feedback.CES), answer(feedback.Stars),
		text("channel", func(d *draft) *string { return &d.item.Channel }),
		text("touchpoint", func(d *draft) *string { return &d.item.Touchpoint }),
		text("stage", func(d *draft) *string { return &d.item.Stage }),
		text("product", func(d *draft) *string { return &d.item.Product }),
		text("location", func(d *draft) *string { return &d.item.Location }),
		text("language", func(d *draft) *string { return &d.item.Language }),
		text("title", func(d *draft) *string { return &d.item.Title }),
		text("text", func(d *draft) *string { return &d.item.Text }),
		text("url", func(d *draft) *string { return &d.item.URL }),
		{"contactable", func(_ *reader, n *source.Node) patch {
			if n.IsNull() {
				return func(d *draft) { d.item.Contactable = nil }
			}
			v := n.Bool()
			return func(d *draft) { d.item.Contactable = &v }
		}},
		{"customer", func(r *reader, n *source.Node) patch {
			if n.IsNull() {
				return func(d *draft) { d.item.Customer = feedback.Customer{} }
			}
			return together(r.object(n, customerMembers()))
		}},
		attributes("attributes.", func(d *draft) *feedback.Attributes { return &d.item.Attributes }),
		{"themes", (*reader).themes},
		{"theme_scores", (*reader).themeScores},
		number("sentiment", func(d *draft) **float64 { return &d.sentiment }),
		{"corrected", (*reader).corrected},
	}
}

func customerMembers() []member {
	return []member{
		text("id", func(d *draft) *string { return &d.item.Customer.ID }),
		text("key_kind", func(d *draft) *string { return (*string)(&d.item.Customer.KeyKind) }),
		text("name", func(d *draft) *string { return &d.item.Customer.Name }),
		text("email", func(d *draft) *string { return &d.item.Customer.Email }),
		text("account", func(d *draft) *string { return &d.item.Customer.Account }),
		text("segment", func(d *draft) *string { return &d.item.Customer.Segment }),
		text("tier", func(d *draft) *string { return &d.item.Customer.Tier }),
		number("arr", func(d *draft) **float64 { return &d.item.Customer.ARR }),
		number("tenure_days", func(d *draft) **float64 { return &d.item.Customer.TenureDays }),
		text("region", func(d *draft) *string { return &d.item.Customer.Region }),
		text("country", func(d *draft) *string { return &d.item.Customer.Country }),
		text("language", func(d *draft) *string { return &d.item.Customer.Language }),
		text("owner", func(d *draft) *string { return &d.item.Customer.Owner }),
		attributes("customer.attributes.", func(d *draft) *feedback.Attributes { return &d.item.Customer.Attributes }),
	}
}

func together(patches []patch) patch {
	return func(d *draft) {
		for _, p := range patches {
			p(d)
		}
	}
}

// event reads the keys of an event.
func (r *reader) event(n *source.Node) []patch {
	if n == nil || n.IsNull() {
		return nil
	}
	if a, b := n.Get("themes"), n.Get("theme_scores"); a != nil && b != nil {
		b.Key().Problem("duplicate", "found theme_scores beside themes, expected one of them")
	}
	return r.object(n, members())
}

func (r *reader) object(n *source.Node, known []member) []patch {
	names := make([]string, len(known))
	for i, m := range known {
		names[i] = m.name
	}
	var out []patch
	if !n.ObjectBut(derived, names...) {
		return nil
	}
	for _, e := range n.Entries() {
		if i := slices.Index(names, e.Name); i >= 0 {
			out = append(out, known[i].read(r, e.Value))
		}
	}
	return out
}

// derived are fields of conditions that follow from others.
var derived = map[string]string{
	"nps_class":  "it follows from nps: 3, or survey: nps with score: 3",
	"word_count": "it follows from text",
}

// attributes reads fields that the program declares.
func attributes(prefix string, at func(*draft) *feedback.Attributes) member {
	return member{"attributes", func(r *reader, n *source.Node) patch {
		if n.IsNull() {
			return func(d *draft) { *at(d) = nil }
		}
		var patches []patch
		for _, e := range n.Entries() {
			v := r.attribute(prefix+e.Name, e)
			patches = append(patches, func(d *draft) {
				if *at(d) == nil {
					*at(d) = feedback.Attributes{}
				}
				(*at(d))[e.Name] = v
			})
		}
		return together(patches)
	}}
}

// attribute reads the value of an attribute as the program declares it.
func (r *reader) attribute(field string, e source.Entry) feedback.Value {
	n := e.Value
	if n.IsNull() {
		return feedback.Value{}
	}
	kind := feedback.Absent
	if r.set != nil {
		var ok bool
		if kind, ok = r.set.Field(field); !ok {
			hint := cmp.Or(suggest.DidYouMean(field, r.set.FieldNames()), "declare it in the program under attributes")
			e.Key.ProblemHint("unknown_name", hint, "the program declares no %s", field)
			return feedback.Value{}
		}
	}
	switch v := n.Any().(type) {
	case string:
		if kind == feedback.Instant {
			return feedback.TimeValue(r.instant(n, 0, 0))
		}
		if kind == feedback.String || kind == feedback.Absent {
			return feedback.StringValue(v)
		}
	case bool:
		if kind == feedback.Bool || kind == feedback.Absent {
			return feedback.BoolValue(v)
		}
	case int, float64:
		if kind == feedback.Number || kind == feedback.Absent {
			return feedback.NumberValue(n.Number())
		}
	}
	if kind == feedback.Absent {
		n.Problem("wrong_type", "found %s, expected a string, a number, true, false or an instant", n.Found())
	} else {
		n.Problem("wrong_type", "found %s, expected a %s, as the program declares %s", n.Found(), kind, field)
	}
	return feedback.Value{}
}

// themes reads the paths of an item's themes. Null is an item that was not categorized.
func (r *reader) themes(n *source.Node) patch {
	if n.IsNull() {
		return func(d *draft) { d.themes, d.raw = nil, true }
	}
	themes := []feedback.Theme{}
	for _, p := range n.Strings() {
		themes = append(themes, feedback.Theme{Path: feedback.ThemePath(p), Confidence: 1})
	}
	return labelled(themes)
}

// labelled makes the themes those of the event.
func labelled(themes []feedback.Theme) patch {
	return func(d *draft) { d.themes, d.raw = slices.Clone(themes), false }
}

// themeScores reads an item's themes with how sure they are and what is felt about them.
func (r *reader) themeScores(n *source.Node) patch {
	if n.IsNull() {
		return func(d *draft) { d.themes, d.raw = nil, true }
	}
	themes := []feedback.Theme{}
	for _, e := range n.List() {
		if !e.Object("name", "confidence", "sentiment") {
			continue
		}
		t := feedback.Theme{Path: feedback.ThemePath(e.Need("name").String()), Confidence: 1}
		if c := e.Get("confidence"); c != nil {
			t.Confidence = c.Number()
		}
		if s := e.Get("sentiment"); s != nil && !s.IsNull() {
			t.Sentiment = new(s.Number())
		}
		themes = append(themes, t)
	}
	return labelled(themes)
}

// corrected reads what a person has changed of the labels.
func (r *reader) corrected(n *source.Node) patch {
	if n.IsNull() || !n.Object("add", "remove", "sentiment") {
		return func(d *draft) { d.corrected = nil }
	}
	c := &feedback.Change{By: feedback.Author{Layer: feedback.LayerHuman, Name: "test"}}
	for _, p := range n.Get("add").Strings() {
		c.Add = append(c.Add, feedback.Theme{Path: feedback.ThemePath(p), Confidence: 1})
	}
	for _, p := range n.Get("remove").Strings() {
		c.Remove = append(c.Remove, feedback.ThemePath(p))
	}
	if s := n.Get("sentiment"); s != nil {
		c.Sentiment = new(s.Number())
	}
	return func(d *draft) { d.corrected = c }
}
