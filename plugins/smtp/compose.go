package smtp

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // for mail.html
	"encoding/hex"
	"fmt"
	"html/template"
	"net/mail"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"github.com/closedloop/closedloop/plugins/internal/story"
	"github.com/closedloop/closedloop/sdk"
)

// The bounds of a mail that people still read, in characters.
const (
	subjectLength = 200
	textLength    = 4000  // of what the rule says
	quoteLength   = 20000 // of the verbatim
	lineLength    = 1000
)

//go:embed mail.html
var page string

// compose makes the mail: the story as plain text and as HTML.
func (m *mailer) compose(s *story.Story, msg *sdk.Message, to []*mail.Address) (*gomail.Msg, error) {
	if m.settings.ToField == toCustomer {
		s = letter(s)
		if s.Text == "" {
			return nil, fmt.Errorf("the rule says nothing to the customer")
		}
	}
	_, domain, _ := strings.Cut(m.from.Address, "@")
	id := identity(msg.Key)
	out := gomail.NewMsg(gomail.WithEncoding(gomail.EncodingQP), gomail.WithNoDefaultUserAgent(), gomail.WithBoundary("closedloop-"+digest(msg.Key)))
	out.FromMailAddress(m.from)
	out.ToMailAddress(to...)
	out.Subject(story.Clip(m.subject(s), subjectLength, story.UTF16))
	out.SetMessageIDWithValue(id + "@" + domain)
	at := s.At
	if at.IsZero() {
		at = msg.At
	}
	if at.IsZero() {
		at = m.host.Now()
	}
	out.SetDateWithValue(at.Std().In(m.zone))
	out.SetGenHeader("Auto-Submitted", "auto-generated")
	out.SetGenHeader("X-Auto-Response-Suppress", "All")
	if s.Thread != "" && m.settings.ToField != toCustomer {
		thread := "<thread." + digest(s.Thread) + "@" + domain + ">"
		out.SetGenHeader(gomail.HeaderReferences, thread)
		out.SetGenHeader(gomail.HeaderInReplyTo, thread)
	}
	out.SetBodyString(gomail.TypeTextPlain, plain(s))
	html, err := rich(s)
	if err != nil {
		return nil, err
	}
	out.AddAlternativeString(gomail.TypeTextHTML, html)
	return out, nil
}

// letter is what a customer is to read of a story.
func letter(s *story.Story) *story.Story {
	return &story.Story{Text: s.Text, Quote: s.Quote, At: s.At, Values: s.Values}
}

func (m *mailer) subject(s *story.Story) string {
	text := fill(m.settings.Subject, func(name string) string { return s.Values[name] })
	if text = strings.Join(strings.Fields(text), " "); text != "" {
		return text
	}
	return s.Values["title"]
}

// identity is the message's key as a Message-ID can hold it.
func identity(key string) string {
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
	}
	if key == "" || len(key) > 100 || strings.ContainsFunc(key, odd) {
		return "msg_" + digest(key)
	}
	return key
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

// plain writes a story as plain text.
func plain(s *story.Story) string {
	var parts []string
	add := func(lines ...string) {
		if text := strings.Join(lines, "\n"); text != "" {
			parts = append(parts, text)
		}
	}
	add(marked(s))
	add(story.Clip(s.Text, textLength, story.UTF16))
	if s.Quote != "" {
		add("> " + strings.ReplaceAll(story.Clip(s.Quote, quoteLength, story.UTF16), "\n", "\n> "))
	}
	var facts []string
	for _, f := range s.Facts {
		facts = append(facts, f.Name+": "+story.Clip(f.Value, lineLength, story.UTF16))
	}
	add(facts...)
	for _, l := range s.Lists {
		lines := []string{l.Title + ":"}
		for _, e := range l.Lines {
			text := "- " + story.Clip(e.Text, lineLength, story.UTF16)
			if e.Severity != "" && !l.Over {
				text += " [" + string(e.Severity) + "]"
			}
			if e.New {
				text += " [new]"
			}
			if e.Detail != "" {
				text += " (" + e.Detail + ")"
			}
			lines = append(lines, text)
		}
		if l.More > 0 {
			lines = append(lines, fmt.Sprintf("- and %d more", l.More))
		}
		add(lines...)
	}
	add(s.Link)
	if len(s.Foot) > 0 {
		add("-- ", strings.Join(s.Foot, " · "))
	}
	return strings.Join(parts, "\n\n") + "\n"
}

// marked is the title with the sign of its severity.
func marked(s *story.Story) string {
	return strings.TrimSpace(s.Severity.Mark() + " " + story.Clip(s.Title, lineLength, story.UTF16))
}

// rich writes a story as HTML.
func rich(s *story.Story) (string, error) {
	t, err := template.New("mail").Funcs(template.FuncMap{
		"clip":  func(text string, length int) string { return story.Clip(text, length, story.UTF16) },
		"lines": func(text string) []string { return strings.Split(text, "\n") },
	}).Parse(page)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{"Title": marked(s), "Story": s, "Text": textLength, "Quote": quoteLength, "Line": lineLength})
	return b.String(), err
}
