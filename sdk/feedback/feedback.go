// Package feedback is the vocabulary of a feedback program: what a customer said (Item), who said it
// (Customer), what it is taken to mean (Labels), and the table of names under which rules see all of it (Fields).
//
// It depends on the standard library only, so that a plugin in a sandbox, a rule engine and a host
// application can share it. Three conventions hold everywhere:
//
//   - Absent is not zero. An empty string, a nil pointer, a zero Time and a zero Value mean "not given".
//   - Instants are UTC milliseconds since the Unix epoch (Time).
//   - Text is valid UTF-8, kept as received; Evidence counts bytes into exactly that text.
//
// A detractor's answer to an NPS question:
//
//	item := feedback.Item{
//		Source: "store-survey", ExternalID: "R-1001",
//		Survey: feedback.NPS, Score: new(3.0),
//		Text: "The box was impossible to open.",
//	}
//	item.NPSClass() // feedback.Detractor
package feedback

import (
	"unicode"
	"unicode/utf8"
)

// MaxItemBytes is the largest item, measured as Item.Size, that an engine accepts.
const MaxItemBytes = 256 << 10

// Survey names the kind of question that a score answers.
type Survey string

// The kinds of question with a scale of their own. Any other name is allowed; its scale must then be given.
const (
	NPS   Survey = "nps"   // Net Promoter Score, 0 to 10
	CSAT  Survey = "csat"  // customer satisfaction, 1 to 5
	CES   Survey = "ces"   // customer effort score, 1 to 7
	Stars Survey = "stars" // a review's rating, 1 to 5
)

// Scale returns the usual lowest and highest answer to the question, and false for a question of no usual scale.
func (s Survey) Scale() (lo, hi float64, ok bool) {
	switch s {
	case NPS:
		return 0, 10, true
	case CSAT, Stars:
		return 1, 5, true
	case CES:
		return 1, 7, true
	}
	return 0, 0, false
}

// NPSClass divides the answers to an NPS question.
type NPSClass string

// The classes of Reichheld, "The One Number You Need to Grow" (Harvard Business Review, 2003).
const (
	Detractor NPSClass = "detractor" // 0 to 6
	Passive   NPSClass = "passive"   // 7 and 8
	Promoter  NPSClass = "promoter"  // 9 and 10
)

// Item is one piece of feedback. Its JSON names are the names that rules use.
type Item struct {
	ID         ItemID `json:"id,omitempty"`          // derived at first sight; see NewItemID
	Source     string `json:"source,omitempty"`      // the connector's stable id in the program
	ExternalID string `json:"external_id,omitempty"` // the source's own id
	// Synthetic says why ExternalID was made up by the engine. Empty for an id that the source gave.
	Synthetic Synthetic `json:"synthetic,omitempty"`
	// Version orders the states of one item: the source's updated-at in milliseconds or its sequence number,
	// else the receive time. Zero means not given.
	Version int64 `json:"version,omitempty"`

	OccurredAt Time `json:"occurred_at,omitzero"`
	// OccurredAssumed marks an OccurredAt that is the receive time, because the source gave none.
	OccurredAssumed bool   `json:"occurred_assumed,omitempty"`
	ReceivedAt      Time   `json:"received_at,omitzero"`
	Batch           string `json:"batch,omitempty"`    // the import that brought the item
	Position        string `json:"position,omitempty"` // where in the source it stood, such as "line 12"

	Survey   Survey   `json:"survey,omitempty"`
	SurveyID string   `json:"survey_id,omitempty"` // the questionnaire
	Score    *float64 `json:"score,omitempty"`
	// ScaleMin and ScaleMax bound Score. Both nil means the usual scale of Survey.
	ScaleMin *float64 `json:"scale_min,omitempty"`
	ScaleMax *float64 `json:"scale_max,omitempty"`

	Channel    string `json:"channel,omitempty"`    // how it came: email, web, app, review, call, ...
	Touchpoint string `json:"touchpoint,omitempty"` // the moment it is about, such as "checkout/payment"
	Stage      string `json:"stage,omitempty"`      // the stage of the customer's journey
	Product    string `json:"product,omitempty"`
	Location   string `json:"location,omitempty"` // shop, branch or region
	Language   string `json:"language,omitempty"` // BCP 47, such as "de" or "pt-BR"
	Title      string `json:"title,omitempty"`
	Text       string `json:"text,omitempty"` // the verbatim
	URL        string `json:"url,omitempty"`

	// Contactable says whether the customer may be contacted about it. Nil means unknown.
	Contactable *bool      `json:"contactable,omitempty"`
	Customer    Customer   `json:"customer,omitzero"`
	Attributes  Attributes `json:"attributes,omitempty"` // the program's own typed fields
}

// Synthetic says why an item's external id was made up.
type Synthetic string

// The reasons for a synthetic external id.
const (
	SyntheticMissing Synthetic = "missing" // the source gave no id
	SyntheticDamaged Synthetic = "damaged" // the source's ids are visibly damaged, such as 5.70306E+17
)

// KeyKind says what kind of key a customer id is.
type KeyKind string

// The kinds of customer key.
const (
	KeyEmail   KeyKind = "email"
	KeyAccount KeyKind = "account"
	KeyHashed  KeyKind = "hashed"
)

// Customer is who gave the feedback.
type Customer struct {
	ID      string  `json:"id,omitempty"`
	KeyKind KeyKind `json:"key_kind,omitempty"`
	Name    string  `json:"name,omitempty"`
	Email   string  `json:"email,omitempty"`
	Account string  `json:"account,omitempty"` // the company, in business-to-business programs
	Segment string  `json:"segment,omitempty"`
	Tier    string  `json:"tier,omitempty"`
	// ARR is the account value: annual recurring revenue in the program's currency.
	ARR        *float64   `json:"arr,omitempty"`
	TenureDays *float64   `json:"tenure_days,omitempty"`
	Region     string     `json:"region,omitempty"`
	Country    string     `json:"country,omitempty"` // ISO 3166-1 alpha-2
	Language   string     `json:"language,omitempty"`
	Owner      string     `json:"owner,omitempty"` // the person who looks after the account
	Attributes Attributes `json:"attributes,omitempty"`
}

// IsZero reports whether nothing is known of the customer.
func (c Customer) IsZero() bool {
	return c.ID == "" && c.KeyKind == "" && c.Name == "" && c.Email == "" && c.Account == "" && c.Segment == "" &&
		c.Tier == "" && c.ARR == nil && c.TenureDays == nil && c.Region == "" && c.Country == "" &&
		c.Language == "" && c.Owner == "" && len(c.Attributes) == 0
}

// Scale returns the bounds of the item's score: its own, else the usual ones of its survey, and false when there are none.
func (it *Item) Scale() (lo, hi float64, ok bool) {
	if it.ScaleMin != nil && it.ScaleMax != nil {
		return *it.ScaleMin, *it.ScaleMax, true
	}
	return it.Survey.Scale()
}

// NPSClass returns the class of an answer to an NPS question on the scale 0 to 10, or "" for any other item.
func (it *Item) NPSClass() NPSClass {
	if it.Survey != NPS || it.Score == nil {
		return ""
	}
	switch s := *it.Score; {
	case s <= 6:
		return Detractor
	case s <= 8:
		return Passive
	default:
		return Promoter
	}
}

// Size returns the number of bytes of all the strings of the item: what MaxItemBytes bounds.
func (it *Item) Size() int {
	n := 0
	for _, s := range [...]string{
		it.Source, it.ExternalID, it.Batch, it.Position, string(it.Survey), it.SurveyID, it.Channel, it.Touchpoint,
		it.Stage, it.Product, it.Location, it.Language, it.Title, it.Text, it.URL,
	} {
		n += len(s)
	}
	c := &it.Customer
	for _, s := range [...]string{
		c.ID, string(c.KeyKind), c.Name, c.Email, c.Account, c.Segment, c.Tier, c.Region, c.Country, c.Language, c.Owner,
	} {
		n += len(s)
	}
	return n + it.Attributes.size() + c.Attributes.size()
}

// WordCount returns the number of words of the text, divided at white space.
func (it *Item) WordCount() int {
	n, within := 0, false
	for i := 0; i < len(it.Text); i++ {
		c := it.Text[i]
		blank := c == ' ' || '\t' <= c && c <= '\r'
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(it.Text[i:])
			blank = unicode.IsSpace(r)
			i += size - 1
		}
		if !blank && !within {
			n++
		}
		within = !blank
	}
	return n
}
