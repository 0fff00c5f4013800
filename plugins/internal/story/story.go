// Package story reads the messages that an engine delivers and arranges them as people read them: who said what, with
// which score and about what, whose it is, and which alerts fire or are over. What is made of a story, such as blocks or
// a mail, is the plugin's.
//
// A story has no markup. Its texts are valid UTF-8 without control characters and without marks that turn the direction
// of writing; a name, a title or a value is one line. What a message does not say is left out.
//
//	s, err := story.Read(message.Body, zone)
package story

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/closedloop/closedloop/sdk/feedback"
)

// Story is a message as people read it.
type Story struct {
	Kind     string // notify, alert, digest, or another
	Severity Severity
	// Calls says that it asks for attention: not a digest, and not alerts that are over or were told before.
	Calls  bool
	Title  string // never empty
	Text   string // what the rule says; may have several lines
	Quote  string // the verbatim; may have several lines
	Link   string // where the feedback stands at its source, a URL of http or https without spaces
	Facts  []Fact
	Lists  []List
	Foot   []string // where it comes from
	Thread string   // the same for messages that belong together, such as those about one case
	At     feedback.Time
	// NoContact says that the customer does not want to be contacted.
	NoContact bool
	// Values are single values of the message by name, as lines; see Names.
	Values map[string]string
}

// Names returns the names that Values may hold, sorted.
func Names() []string { return slices.Sorted(maps.Keys(values(&message{}, &Story{}))) }

// values returns the single values of a message.
func values(m *message, s *Story) map[string]string {
	it := m.Item
	if it == nil {
		it = &feedback.Item{}
	}
	v := map[string]string{
		"title": s.Title, "kind": m.Kind, "rule": m.Rule, "severity": string(s.Severity), "case": m.Case, "priority": m.Priority,
		"queue": m.Queue, "owner": m.Owner, "group": keyText(m.Group), "item": string(it.ID), "customer": who(&it.Customer),
		"customer.email": it.Customer.Email, "customer.owner": it.Customer.Owner, "score": score(it), "product": it.Product,
	}
	for name, value := range v {
		v[name] = line(value)
	}
	return v
}

// Fact is a name and a value.
type Fact struct{ Name, Value string }

// List is a list of alerts or of collected messages.
type List struct {
	Title string
	Over  bool // what it lists asks for nothing any more
	Lines []Line
	More  int64 // how many there are besides
}

// Line is an entry of a list.
type Line struct {
	Severity Severity
	New      bool // not told before
	Text     string
	Detail   string
}

// Severity says how grave something is: info, warning, critical, or "" when it is not said.
type Severity string

// severities are all there are but "", lowest first.
var severities = []Severity{"info", "warning", "critical"}

// Severities returns the severities, lowest first.
func Severities() []Severity { return slices.Clone(severities) }

// Mark returns a sign for the severity, or "".
func (s Severity) Mark() string {
	switch s {
	case "critical":
		return "🔴"
	case "warning":
		return "🟠"
	case "info":
		return "🔵"
	}
	return ""
}

// severe returns a severity that is one of the known, or "".
func severe(s string) Severity {
	if slices.Contains(severities, Severity(s)) {
		return Severity(s)
	}
	return ""
}

func graver(a, b Severity) Severity {
	if slices.Index(severities, a) >= slices.Index(severities, b) {
		return a
	}
	return b
}

// message is what the bodies of all kinds of messages hold.
type message struct {
	Kind     string           `json:"kind"`
	Rule     string           `json:"rule"`
	Group    string           `json:"group"`
	At       feedback.Time    `json:"at"`
	Text     string           `json:"text"`
	Severity string           `json:"severity"`
	Priority string           `json:"priority"`
	Queue    string           `json:"queue"`
	Owner    string           `json:"owner"`
	Tags     []string         `json:"tags"`
	Case     string           `json:"case"`
	Due      feedback.Time    `json:"due"`
	Resolve  feedback.Time    `json:"resolve_by"`
	Item     *feedback.Item   `json:"item"`
	Labels   *feedback.Labels `json:"labels"`
	Alerts   *alerts          `json:"alerts"`
	Digest   *digest          `json:"digest"`
}

// Read reads the body of a message. Dates are written in the time zone.
func Read(body []byte, zone *time.Location) (*Story, error) {
	var m message
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, fmt.Errorf("the message: %w", err)
	}
	t := teller{zone: zone, m: &m, s: &Story{Kind: line(m.Kind), Severity: severe(m.Severity), Text: block(m.Text)}}
	switch {
	case m.Alerts != nil:
		t.alerts(m.Alerts)
	case m.Digest != nil:
		t.digest(m.Digest)
	default:
		t.item()
	}
	t.foot()
	t.s.At = m.At
	t.s.Values = values(&m, t.s)
	return t.s, nil
}

// teller makes one story.
type teller struct {
	zone *time.Location
	m    *message
	s    *Story
}

func (t *teller) date(at feedback.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Std().In(t.zone).Format("2006-01-02 15:04 MST")
}

// fact adds a fact that has a value.
func (t *teller) fact(name, value string) {
	if value = line(value); value != "" {
		t.s.Facts = append(t.s.Facts, Fact{name, value})
	}
}

// item tells of one piece of feedback, as far as the message has one.
func (t *teller) item() {
	m, s := t.m, t.s
	s.Calls = true
	s.Thread = m.Case
	if m.Item == nil {
		first, _, _ := strings.Cut(s.Text, "\n")
		s.Title = cmp.Or(line(first), line(m.Rule), s.Kind, "Message")
		if s.Title == s.Text {
			s.Text = ""
		}
		t.work()
		return
	}
	it := m.Item
	s.Thread = cmp.Or(s.Thread, string(it.ID))
	s.Title = title(it)
	s.Quote = quote(it)
	if s.Text == block(it.Text) {
		s.Text = "" // the rule says the verbatim
	}
	s.Link = link(it.URL)
	t.customer(&it.Customer)
	t.fact("Score", score(it))
	t.fact("Themes", themes(m.Labels))
	t.work()
	t.fact("Touchpoint", it.Touchpoint)
	t.fact("Product", it.Product)
	t.fact("Location", it.Location)
	t.fact("Channel", it.Channel)
	t.fact("Given", t.date(it.OccurredAt))
	if it.Contactable != nil && !*it.Contactable {
		s.NoContact = true
		t.fact("Contact", "not wanted by the customer")
	}
}

// work tells whose the message is.
func (t *teller) work() {
	t.fact("Case", t.m.Case)
	t.fact("Answer due", t.date(t.m.Due))
	t.fact("To be resolved by", t.date(t.m.Resolve))
	t.fact("Priority", t.m.Priority)
	t.fact("Queue", t.m.Queue)
	t.fact("Owner", t.m.Owner)
}

func (t *teller) customer(c *feedback.Customer) {
	name := who(c)
	if name != "" && c.Account != "" && c.Account != name {
		name += " (" + c.Account + ")"
	}
	t.fact("Customer", name)
	t.fact("Tier", cmp.Or(c.Tier, c.Segment))
	if c.ARR != nil {
		t.fact("Account value", grouped(*c.ARR))
	}
	t.fact("Account owner", c.Owner)
}

// foot tells where the message comes from.
func (t *teller) foot() {
	add := func(what, value string) {
		if value = line(value); value != "" {
			t.s.Foot = append(t.s.Foot, strings.TrimSpace(what+" "+value))
		}
	}
	add("rule", t.m.Rule)
	if it := t.m.Item; it != nil {
		add("item", string(it.ID))
		add("from", it.Source)
	}
	add("tags", strings.Join(t.m.Tags, ", "))
	add("", t.date(t.m.At))
}

// title says in one line whose feedback it is.
func title(it *feedback.Item) string {
	text := "Feedback"
	if class := string(it.NPSClass()); class != "" {
		text = strings.ToUpper(class[:1]) + class[1:]
	} else if given := score(it); given != "" {
		text = given
	}
	if name := who(&it.Customer); name != "" {
		text += ": " + name
	}
	return line(text)
}

// who names a customer as people do. A hashed id names nobody.
func who(c *feedback.Customer) string {
	id := c.ID
	if c.KeyKind == feedback.KeyHashed {
		id = ""
	}
	return cmp.Or(line(c.Name), line(c.Email), line(c.Account), line(id))
}

// score writes a score with its scale, such as "NPS 2 of 10".
func score(it *feedback.Item) string {
	if it.Score == nil {
		return ""
	}
	text := number(*it.Score)
	_, hi, ok := it.Scale()
	switch {
	case ok && it.Survey == feedback.Stars:
		return fmt.Sprintf("%s of %s stars", text, number(hi))
	case ok:
		text += " of " + number(hi)
	}
	switch it.Survey {
	case feedback.NPS, feedback.CSAT, feedback.CES:
		return strings.ToUpper(string(it.Survey)) + " " + text
	}
	return strings.TrimSpace(string(it.Survey) + " " + text)
}

func quote(it *feedback.Item) string {
	title, text := line(it.Title), block(it.Text)
	if title != "" && text != "" {
		return title + "\n" + text
	}
	return cmp.Or(text, title)
}

// themes lists themes, with how the customer feels about them where that is clear.
func themes(l *feedback.Labels) string {
	if l == nil {
		return ""
	}
	var out []string
	for _, t := range l.Themes {
		text := string(t.Path)
		switch {
		case t.Sentiment == nil:
		case *t.Sentiment <= -0.25:
			text += " (negative)"
		case *t.Sentiment >= 0.25:
			text += " (positive)"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// link returns a URL that people can follow, or "".
func link(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return ""
	}
	return strings.NewReplacer("|", "%7C", "<", "%3C", ">", "%3E", `"`, "%22").Replace(u.String())
}
