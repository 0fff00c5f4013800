package feedback

// Field is one name that rules use, with the typed way to its value. Exactly the accessor of its Kind is set.
// Accessors report false for a value that is not given.
type Field struct {
	Name string // the JSON path in Item, or of a derived value
	Kind Kind
	Doc  string

	Str     func(*Event) (string, bool)
	Num     func(*Event) (float64, bool)
	Truth   func(*Event) (bool, bool)
	Instant func(*Event) (Time, bool)
}

func str(name, doc string, get func(*Event) string) Field {
	return Field{Name: name, Kind: String, Doc: doc, Str: func(e *Event) (string, bool) {
		s := get(e)
		return s, s != ""
	}}
}

func ptr(name, doc string, get func(*Event) *float64) Field {
	return Field{Name: name, Kind: Number, Doc: doc, Num: func(e *Event) (float64, bool) {
		if p := get(e); p != nil {
			return *p, true
		}
		return 0, false
	}}
}

func instant(name, doc string, get func(*Event) Time) Field {
	return Field{Name: name, Kind: Instant, Doc: doc, Instant: func(e *Event) (Time, bool) {
		t := get(e)
		return t, t != 0
	}}
}

func scoreOf(s Survey, doc string) Field {
	return ptr(string(s), doc, func(e *Event) *float64 {
		if e.Item.Survey != s {
			return nil
		}
		return e.Item.Score
	})
}

// Fields returns the table of names that rules use, besides the attributes that a program declares, which are
// attributes.NAME and customer.attributes.NAME. The caller owns the slice.
func Fields() []Field {
	return append(itemFields(), customerFields()...)
}

func itemFields() []Field {
	return []Field{
		str("id", "the item's id", func(e *Event) string { return string(e.Item.ID) }),
		str("source", "id of the connector that brought the item", func(e *Event) string { return e.Item.Source }),
		str("external_id", "the source's own id", func(e *Event) string { return e.Item.ExternalID }),
		str("synthetic", "why the external id was made up: missing or damaged", func(e *Event) string { return string(e.Item.Synthetic) }),
		str("batch", "the import that brought the item", func(e *Event) string { return e.Item.Batch }),
		instant("occurred_at", "when the feedback was given", func(e *Event) Time { return e.Item.OccurredAt }),
		instant("received_at", "when the engine received it", func(e *Event) Time { return e.Item.ReceivedAt }),
		str("survey", "kind of question: nps, csat, ces, stars or another", func(e *Event) string { return string(e.Item.Survey) }),
		str("survey_id", "the questionnaire", func(e *Event) string { return e.Item.SurveyID }),
		ptr("score", "the answer on the survey's scale", func(e *Event) *float64 { return e.Item.Score }),
		scoreOf(NPS, "the score when the survey is nps, 0 to 10"),
		scoreOf(CSAT, "the score when the survey is csat, 1 to 5"),
		scoreOf(CES, "the score when the survey is ces, 1 to 7"),
		scoreOf(Stars, "the score when the survey is stars, 1 to 5"),
		str("nps_class", "detractor, passive or promoter, of an nps answer", func(e *Event) string { return string(e.Item.NPSClass()) }),
		str("channel", "how it came: email, web, app, review, ...", func(e *Event) string { return e.Item.Channel }),
		str("touchpoint", "the moment it is about", func(e *Event) string { return e.Item.Touchpoint }),
		str("stage", "stage of the customer's journey", func(e *Event) string { return e.Item.Stage }),
		str("product", "the product it is about", func(e *Event) string { return e.Item.Product }),
		str("location", "shop, branch or region", func(e *Event) string { return e.Item.Location }),
		str("language", "language of the text, BCP 47", func(e *Event) string { return e.Item.Language }),
		str("title", "headline of a review or subject of a mail", func(e *Event) string { return e.Item.Title }),
		str("text", "the verbatim", func(e *Event) string { return e.Item.Text }),
		str("url", "where it can be seen", func(e *Event) string { return e.Item.URL }),
		{Name: "word_count", Kind: Number, Doc: "number of words of the text", Num: func(e *Event) (float64, bool) {
			return float64(e.Item.WordCount()), true
		}},
		{Name: "contactable", Kind: Bool, Doc: "whether the customer may be contacted about it", Truth: func(e *Event) (bool, bool) {
			if e.Item.Contactable == nil {
				return false, false
			}
			return *e.Item.Contactable, true
		}},
		ptr("sentiment", "sentiment of the whole item, -1 to 1", func(e *Event) *float64 {
			if e.Labels == nil {
				return nil
			}
			return e.Labels.Sentiment
		}),
		{Name: "themes", Kind: Themes, Doc: `paths of the themes; "packaging" in themes also finds packaging/opening`},
		{Name: "theme_scores", Kind: ThemeList, Doc: "the themes, each with .name, .confidence and .sentiment, for any and all"},
	}
}

func customerFields() []Field {
	return []Field{
		str("customer.id", "the customer's key", func(e *Event) string { return e.Item.Customer.ID }),
		str("customer.key_kind", "what the key is: email, account or hashed", func(e *Event) string { return string(e.Item.Customer.KeyKind) }),
		str("customer.name", "the customer's name", func(e *Event) string { return e.Item.Customer.Name }),
		str("customer.email", "the customer's e-mail address", func(e *Event) string { return e.Item.Customer.Email }),
		str("customer.account", "the customer's company", func(e *Event) string { return e.Item.Customer.Account }),
		str("customer.segment", "segment", func(e *Event) string { return e.Item.Customer.Segment }),
		str("customer.tier", "loyalty or contract tier", func(e *Event) string { return e.Item.Customer.Tier }),
		ptr("customer.arr", "account value: annual recurring revenue", func(e *Event) *float64 { return e.Item.Customer.ARR }),
		ptr("customer.tenure_days", "days since the person became a customer", func(e *Event) *float64 { return e.Item.Customer.TenureDays }),
		str("customer.region", "region", func(e *Event) string { return e.Item.Customer.Region }),
		str("customer.country", "country, ISO 3166-1 alpha-2", func(e *Event) string { return e.Item.Customer.Country }),
		str("customer.language", "language the customer prefers", func(e *Event) string { return e.Item.Customer.Language }),
		str("customer.owner", "who looks after the account", func(e *Event) string { return e.Item.Customer.Owner }),
	}
}

// AttributeFields returns the fields of the attributes that a program declares on items and customers.
// Kinds other than String, Number, Bool and Instant are left out.
func AttributeFields(item, customer map[string]Kind) []Field {
	var out []Field
	add := func(prefix string, kinds map[string]Kind, get func(*Event) Attributes) {
		for name, k := range kinds {
			f := Field{Name: prefix + name, Kind: k, Doc: "declared by the program"}
			switch k {
			case String:
				f.Str = func(e *Event) (string, bool) { return get(e)[name].Str() }
			case Number:
				f.Num = func(e *Event) (float64, bool) { return get(e)[name].Num() }
			case Bool:
				f.Truth = func(e *Event) (bool, bool) { return get(e)[name].Truth() }
			case Instant:
				f.Instant = func(e *Event) (Time, bool) { return get(e)[name].Time() }
			default:
				continue
			}
			out = append(out, f)
		}
	}
	add("attributes.", item, func(e *Event) Attributes { return e.Item.Attributes })
	add("customer.attributes.", customer, func(e *Event) Attributes { return e.Item.Customer.Attributes })
	return out
}
