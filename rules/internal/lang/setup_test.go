package lang

import (
	"flag"
	"testing"
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// setup returns a compiler for every field, some attributes, lists and macros.
func setup(tb testing.TB) *Compiler {
	tb.Helper()
	fields := append(feedback.Fields(), feedback.AttributeFields(map[string]feedback.Kind{"order_value": feedback.Number}, nil)...)
	fields = append(fields, feedback.AttributeFields(map[string]feedback.Kind{"gift": feedback.Bool}, nil)...)
	fields = append(fields, feedback.AttributeFields(nil, map[string]feedback.Kind{"since": feedback.Instant})...)
	c := NewCompiler(fields, time.UTC)
	c.DefineStrings("tiers", []string{"gold", "platinum"})
	c.DefineNumbers("odd", []float64{1, 3, 5})
	for name, text := range map[string]string{"detractor": "nps <= 6", "vip": "customer.tier in lists.tiers || customer.arr >= 100000", "doubled": "score * 2"} {
		c.DefineMacro(name, text, func(p Problem) { tb.Errorf("macro %s: %s", name, p.Message) })
	}
	return c
}

// truth compiles one expression and evaluates it on one event.
func truth(t *testing.T, source string, ev *feedback.Event) Truth {
	t.Helper()
	c := setup(t)
	cond := c.Condition(source, func(p Problem) { t.Fatalf("%s: %d: %s (%s)", source, p.Offset, p.Message, p.Hint) })
	f := c.Program().NewFrame()
	f.Reset(ev)
	got := f.Eval(cond)
	if trace := f.Trace(cond); trace.Truth != got {
		t.Errorf("%s: evaluated to %d, traced as %d", source, got, trace.Truth)
	}
	return got
}

// full is an event with a value for every field.
func full() *feedback.Event {
	return &feedback.Event{
		Item: &feedback.Item{
			ID: "f_1", Source: "shop", ExternalID: "x1", Synthetic: "missing", Batch: "b", OccurredAt: 1772366400000, ReceivedAt: 1772370000000, // 2026-03-01T12:00Z, 13:00Z
			Survey: "nps", SurveyID: "s", Score: new(6.0), Channel: "email", Touchpoint: "checkout/payment", Stage: "active", Product: "kettle",
			Location: "Berlin", Language: "de", Title: "Bad", Text: "The Box was IMPOSSIBLE to open", URL: "https://x", Contactable: new(true),
			Customer: feedback.Customer{ID: "c1", KeyKind: "email", Name: "Ann", Email: "ann@example.com", Account: "Acme", Segment: "smb", Tier: "gold",
				ARR: new(5000.0), TenureDays: new(400.0), Region: "EU", Country: "DE", Language: "de", Owner: "eva",
				Attributes: feedback.Attributes{"since": feedback.TimeValue(1772366400000)}},
			Attributes: feedback.Attributes{"order_value": feedback.NumberValue(99.5), "gift": feedback.BoolValue(true)},
		},
		Labels: &feedback.Labels{Sentiment: new(-0.5), Themes: []feedback.Theme{
			{Path: "packaging/opening", Confidence: 0.9, Sentiment: new(-0.8)}, {Path: "price", Confidence: 0.4},
		}},
	}
}

// empty is an event that knows nothing but that it was categorized.
func empty() *feedback.Event {
	return &feedback.Event{Item: &feedback.Item{}, Labels: &feedback.Labels{}}
}

// unlabelled is an event that was not categorized.
func unlabelled() *feedback.Event { return &feedback.Event{Item: &feedback.Item{Text: "x"}} }
