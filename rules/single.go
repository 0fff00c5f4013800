package rules

import (
	"strings"

	"github.com/closedloop/closedloop/rules/internal/lang"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// settable are the fields that an event can be made to have alone.
var settable = map[string]func(*feedback.Item) *string{
	"source":           func(it *feedback.Item) *string { return &it.Source },
	"batch":            func(it *feedback.Item) *string { return &it.Batch },
	"survey":           func(it *feedback.Item) *string { return (*string)(&it.Survey) },
	"survey_id":        func(it *feedback.Item) *string { return &it.SurveyID },
	"channel":          func(it *feedback.Item) *string { return &it.Channel },
	"touchpoint":       func(it *feedback.Item) *string { return &it.Touchpoint },
	"stage":            func(it *feedback.Item) *string { return &it.Stage },
	"product":          func(it *feedback.Item) *string { return &it.Product },
	"location":         func(it *feedback.Item) *string { return &it.Location },
	"language":         func(it *feedback.Item) *string { return &it.Language },
	"customer.id":      func(it *feedback.Item) *string { return &it.Customer.ID },
	"customer.account": func(it *feedback.Item) *string { return &it.Customer.Account },
	"customer.segment": func(it *feedback.Item) *string { return &it.Customer.Segment },
	"customer.tier":    func(it *feedback.Item) *string { return &it.Customer.Tier },
	"customer.region":  func(it *feedback.Item) *string { return &it.Customer.Region },
	"customer.country": func(it *feedback.Item) *string { return &it.Customer.Country },
	"customer.owner":   func(it *feedback.Item) *string { return &it.Customer.Owner },
}

// canBeAlone reports whether an event can be made to have the field alone.
func canBeAlone(field string) bool {
	_, _, attribute := attributeOf(field)
	return settable[field] != nil || field == lang.Theme || attribute
}

func attributeOf(field string) (name string, customer, ok bool) {
	if name, ok := strings.CutPrefix(field, "customer.attributes."); ok {
		return name, true, true
	}
	name, ok = strings.CutPrefix(field, "attributes.")
	return name, false, ok
}

// eventOf returns an event that has the value of one field and nothing else.
func eventOf(field, value string) *feedback.Event {
	ev := &feedback.Event{Item: &feedback.Item{}, Labels: &feedback.Labels{}}
	if field == lang.Theme {
		ev.Labels.Themes = []feedback.Theme{{Path: feedback.ThemePath(value), Confidence: 1}}
		return ev
	}
	if member := settable[field]; member != nil {
		*member(ev.Item) = value
		return ev
	}
	if name, customer, ok := attributeOf(field); ok {
		attributes := feedback.Attributes{name: feedback.StringValue(value)}
		if customer {
			ev.Item.Customer.Attributes = attributes
		} else {
			ev.Item.Attributes = attributes
		}
	}
	return ev
}
