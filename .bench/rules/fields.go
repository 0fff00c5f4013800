package main

// field is a name that rules use, with its value.
type field struct {
	name  string
	value any // string, int, float64, bool, []string or []theme
}

// fields returns all fields of an event, for contenders that do not read structs.
func (e *event) fields() []field {
	c, a := &e.Customer, &e.Attributes
	return []field{
		{"survey", e.Survey}, {"channel", e.Channel}, {"score", e.Score}, {"text", e.Text}, {"word_count", e.WordCount},
		{"sentiment", e.Sentiment}, {"themes", e.Themes}, {"theme_scores", e.ThemeScores}, {"touchpoint", e.Touchpoint},
		{"product", e.Product}, {"stage", e.Stage}, {"location", e.Location}, {"contactable", e.Contactable},
		{"customer.id", c.ID}, {"customer.segment", c.Segment}, {"customer.tier", c.Tier}, {"customer.arr", c.ARR},
		{"customer.tenure_days", c.TenureDays}, {"customer.region", c.Region}, {"customer.country", c.Country},
		{"customer.language", c.Language}, {"customer.owner", c.Owner}, {"attributes.campaign", a.Campaign},
		{"attributes.plan", a.Plan}, {"attributes.verified", a.Verified}, {"attributes.repeated", a.Repeated},
	}
}
