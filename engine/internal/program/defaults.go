package program

import (
	"fmt"

	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// readDefaults reads what a source's items get when they lack it. What identifies an item, its text, score and times
// have no defaults.
func (l *loader) readDefaults(p *Plugin, n *source.Node) {
	if n == nil || n.IsNull() || !n.Object("survey", "survey_id", "scale_min", "scale_max", "channel", "touchpoint", "stage",
		"product", "location", "language", "contactable", "customer", "attributes") {
		return
	}
	it := &p.Defaults
	it.Survey = feedback.Survey(n.Get("survey").String())
	it.SurveyID = n.Get("survey_id").String()
	it.Channel = n.Get("channel").String()
	it.Touchpoint = n.Get("touchpoint").String()
	it.Stage = n.Get("stage").String()
	it.Product = n.Get("product").String()
	it.Location = n.Get("location").String()
	it.Language = n.Get("language").String()
	if contactable := n.Get("contactable"); contactable != nil {
		it.Contactable = new(contactable.Bool())
	}
	it.ScaleMin, it.ScaleMax = readScale(n)
	it.Attributes = readAttributeValues(n.Get("attributes"), "item", l.p.ItemAttributes)
	customer := n.Get("customer")
	if customer == nil || customer.IsNull() || !customer.Object("segment", "tier", "region", "country", "key_kind", "attributes") {
		return
	}
	it.Customer.Segment = customer.Get("segment").String()
	it.Customer.Tier = customer.Get("tier").String()
	it.Customer.Region = customer.Get("region").String()
	it.Customer.Country = customer.Get("country").String()
	it.Customer.KeyKind = feedback.KeyKind(customer.Get("key_kind").OneOf(string(feedback.KeyEmail), string(feedback.KeyAccount), string(feedback.KeyHashed)))
	it.Customer.Attributes = readAttributeValues(customer.Get("attributes"), "customer", l.p.CustomerAttributes)
}

func readScale(n *source.Node) (lo, hi *float64) {
	from, to := n.Get("scale_min"), n.Get("scale_max")
	switch {
	case from == nil && to == nil:
		return nil, nil
	case from == nil:
		to.ProblemHint("scale", "add scale_min", "found scale_max alone")
		return nil, nil
	case to == nil:
		from.ProblemHint("scale", "add scale_max", "found scale_min alone")
		return nil, nil
	}
	lo, hi = new(from.Number()), new(to.Number())
	if *lo >= *hi {
		to.Problem("scale", "found a scale from %v to %v, expected scale_min below scale_max", *lo, *hi)
	}
	return lo, hi
}

// readAttributeValues reads attributes in the kinds that the program declares for them.
func readAttributeValues(n *source.Node, of string, kinds map[string]feedback.Kind) feedback.Attributes {
	var values feedback.Attributes
	for _, e := range entries(n) {
		kind, ok := kinds[e.Name]
		if !ok {
			e.Key.ProblemHint("attribute", didYouMean(e.Name, sortedKeys(kinds), fmt.Sprintf("declare it under attributes: %s", of)),
				"the program declares no attribute %q of the %s", e.Name, of)
			continue
		}
		if values == nil {
			values = feedback.Attributes{}
		}
		values[e.Name] = readValue(e.Value, kind)
	}
	return values
}

func readValue(n *source.Node, kind feedback.Kind) feedback.Value {
	switch kind {
	case feedback.Number:
		return feedback.NumberValue(n.Number())
	case feedback.Bool:
		return feedback.BoolValue(n.Bool())
	case feedback.Instant:
		text := n.String()
		var t feedback.Time
		if text == "" {
			return feedback.Value{}
		}
		if err := t.UnmarshalJSON([]byte(`"` + text + `"`)); err != nil {
			n.Problem("wrong_value", "%v", err)
		}
		return feedback.TimeValue(t)
	}
	return feedback.StringValue(n.String())
}
