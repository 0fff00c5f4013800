package main

import (
	"bytes"
	"context"
	"fmt"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// ours writes rule files with groups in which every rule that matches fires, each with a tag of its own.
func ours(w *workload) (loader, error) {
	const perFile = 5000 // a file has at most 4 MiB
	l := inExpr()
	var files []rules.File
	for from := 0; from < len(w.rules); from += perFile {
		var b bytes.Buffer
		fmt.Fprintf(&b, "version: 1\ngroups:\n  - name: group-%d\n    match: all\n    rules:\n", from)
		for i, r := range w.rules[from:min(from+perFile, len(w.rules))] {
			fmt.Fprintf(&b, "      - id: rule-%d\n        when: |\n          %s\n        do: [{tag: tag-%d}]\n", from+i, l.rule(r), from+i)
		}
		files = append(files, rules.File{Name: fmt.Sprintf("%d.rules.yaml", from), Data: b.Bytes()})
	}
	events := make([]feedback.Event, len(w.events))
	for i := range w.events {
		events[i] = w.events[i].feedback()
	}
	return func(context.Context) (matcher, error) {
		set, err := rules.Compile(files, rules.Env{Attributes: map[string]feedback.Kind{
			"campaign": feedback.String, "plan": feedback.String, "verified": feedback.Bool, "repeated": feedback.Bool,
		}})
		if err != nil {
			return nil, err
		}
		return func(event int, out []int32) ([]int32, error) { return set.Match(&events[event], out), nil }, nil
	}, nil
}

func (e *event) feedback() feedback.Event {
	c, a := &e.Customer, &e.Attributes
	labels := &feedback.Labels{Sentiment: &e.Sentiment}
	for _, t := range e.ThemeScores {
		labels.Themes = append(labels.Themes, feedback.Theme{Path: feedback.ThemePath(t.Name), Confidence: t.Confidence, Sentiment: new(t.Sentiment)})
	}
	return feedback.Event{Labels: labels, Item: &feedback.Item{
		Survey: feedback.Survey(e.Survey), Channel: e.Channel, Score: new(float64(e.Score)), Text: e.Text,
		Touchpoint: e.Touchpoint, Product: e.Product, Stage: e.Stage, Location: e.Location, Contactable: &e.Contactable,
		Customer: feedback.Customer{
			ID: c.ID, Segment: c.Segment, Tier: c.Tier, ARR: new(float64(c.ARR)), TenureDays: new(float64(c.TenureDays)),
			Region: c.Region, Country: c.Country, Language: c.Language, Owner: c.Owner,
		},
		Attributes: feedback.Attributes{
			"campaign": feedback.StringValue(a.Campaign), "plan": feedback.StringValue(a.Plan),
			"verified": feedback.BoolValue(a.Verified), "repeated": feedback.BoolValue(a.Repeated),
		},
	}}
}
