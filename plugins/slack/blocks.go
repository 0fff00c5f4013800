package slack

import (
	"fmt"
	"strings"

	"github.com/closedloop/closedloop/plugins/internal/story"
)

// The bounds of Slack's Block Kit, in characters as UTF-16 has them: Slack does not say how it counts, and no other way
// counts more. All texts of a message together stay below what Slack takes.
const (
	maxHeader   = 150
	maxSection  = 3000
	maxFields   = 10
	maxField    = 2000
	maxElements = 10
)

// The bounds of a message that people still read. With them it has less than 50 blocks, which is Slack's bound, and less
// than 13,000 characters in all.
const (
	textLength   = 1000 // of what the rule says
	quoteLength  = 2500 // of the verbatim
	fieldLength  = 300
	footLength   = 300
	lineLength   = 250
	detailLength = 100
	fieldsShown  = 20
	longList     = 15 // lines of what asks for something
	shortList    = 8  // lines of what is over
	listsShown   = 4
	noticeLength = 300 // what a notification of the phone shows
)

// payload is what an incoming webhook takes. Text is shown where blocks cannot be, such as in notifications.
type payload struct {
	Text        string  `json:"text"`
	Blocks      []block `json:"blocks"`
	UnfurlLinks bool    `json:"unfurl_links"`
	UnfurlMedia bool    `json:"unfurl_media"`
}

// block is a block of Block Kit: header, section or context.
type block struct {
	Type     string `json:"type"`
	Text     *text  `json:"text,omitempty"`
	Fields   []text `json:"fields,omitempty"`
	Elements []text `json:"elements,omitempty"`
}

// text is a text object. Verbatim keeps Slack from making links and mentions out of it.
type text struct {
	Type     string `json:"type"` // mrkdwn or plain_text
	Text     string `json:"text"`
	Verbatim bool   `json:"verbatim,omitempty"`
	Emoji    bool   `json:"emoji,omitempty"`
}

// markup is a text with Slack's marks, of which what was not written by us is escaped.
func markup(s string) text { return text{Type: "mrkdwn", Text: s, Verbatim: true} }

func section(s string) block {
	t := markup(s)
	return block{Type: "section", Text: &t}
}

// compose lays a story out.
func compose(s *story.Story, mentions map[string][]string) payload {
	title := s.Title
	if mark := s.Severity.Mark(); mark != "" {
		title = mark + " " + title
	}
	head := text{Type: "plain_text", Text: story.Clip(title, maxHeader, story.UTF16), Emoji: true}
	p := payload{Text: notice(s), Blocks: []block{{Type: "header", Text: &head}}}
	if calls := call(s, mentions); calls != "" {
		p.Blocks = append(p.Blocks, section(calls))
	}
	if s.Text != "" {
		p.Blocks = append(p.Blocks, section(escape(s.Text, textLength, "\n")))
	}
	if s.Quote != "" {
		p.Blocks = append(p.Blocks, section(">"+escape(s.Quote, quoteLength, "\n>")))
	}
	p.Blocks = append(p.Blocks, fields(s.Facts)...)
	for _, l := range s.Lists[:min(len(s.Lists), listsShown)] {
		p.Blocks = append(p.Blocks, list(&l)...)
	}
	if foot := footer(s); len(foot) > 0 {
		p.Blocks = append(p.Blocks, block{Type: "context", Elements: foot})
	}
	return p
}

// notice is the message in one line.
func notice(s *story.Story) string {
	line := s.Title
	switch {
	case s.Text != "":
		line += ": " + strings.ReplaceAll(s.Text, "\n", " ")
	case s.Quote != "":
		line += ": " + strings.ReplaceAll(s.Quote, "\n", " ")
	}
	return escape(line, noticeLength, "\n")
}

// call mentions whom a message of this severity calls.
func call(s *story.Story, mentions map[string][]string) string {
	if !s.Calls {
		return ""
	}
	var out []string
	for _, who := range mentions[string(s.Severity)] {
		switch {
		case who == "here", who == "channel", who == "everyone":
			out = append(out, "<!"+who+">")
		case strings.HasPrefix(who, "S"):
			out = append(out, "<!subteam^"+escape(who, fieldLength, "")+">")
		default:
			out = append(out, "<@"+escape(who, fieldLength, "")+">")
		}
	}
	return story.Clip(strings.Join(out, " "), maxSection, story.UTF16)
}

// fields lists the facts in two columns.
func fields(facts []story.Fact) (out []block) {
	facts = facts[:min(len(facts), fieldsShown)]
	for len(facts) > 0 {
		n := min(len(facts), maxFields)
		b := block{Type: "section"}
		for _, f := range facts[:n] {
			b.Fields = append(b.Fields, markup("*"+escape(f.Name, fieldLength, " ")+"*\n"+escape(f.Value, fieldLength, " ")))
		}
		out, facts = append(out, b), facts[n:]
	}
	return out
}

// list shows the first lines of a list, in as few sections as hold them.
func list(l *story.List) (out []block) {
	shown := longList
	if l.Over {
		shown = shortList
	}
	shown = min(shown, len(l.Lines))
	lines := []string{"*" + escape(l.Title, fieldLength, " ") + "*"}
	for _, e := range l.Lines[:shown] {
		lines = append(lines, line(&e, l.Over))
	}
	if more := l.More + int64(len(l.Lines)-shown); more > 0 {
		lines = append(lines, fmt.Sprintf("_and %d more_", more))
	}
	var text string
	for _, add := range lines {
		if text != "" && units(text)+1+units(add) > maxSection {
			out, text = append(out, section(text)), ""
		}
		if text != "" {
			text += "\n"
		}
		text += add
	}
	return append(out, section(text))
}

func line(e *story.Line, over bool) string {
	mark := e.Severity.Mark()
	switch {
	case over:
		mark = "✅"
	case mark == "":
		mark = "•"
	}
	text := mark + " " + escape(e.Text, lineLength, " ")
	if e.New {
		text += " *new*"
	}
	if e.Detail != "" {
		text += " · " + escape(e.Detail, detailLength, " ")
	}
	return text
}

func footer(s *story.Story) (out []text) {
	var parts []string
	for _, f := range s.Foot {
		parts = append(parts, escape(f, footLength, " "))
	}
	if s.Link != "" && units(s.Link) < maxField {
		parts = append(parts, "<"+strings.ReplaceAll(s.Link, "&", "&amp;")+"|open at the source>")
	}
	for _, p := range parts[:min(len(parts), maxElements)] {
		out = append(out, markup(p))
	}
	return out
}

// escape writes a text for markup: &, < and > as Slack asks for, and each end of a line as given. It is cut so that what
// it returns has at most the length.
func escape(s string, length int, newline string) string {
	escaped := func(r rune) string {
		switch r {
		case '&':
			return "&amp;"
		case '<':
			return "&lt;"
		case '>':
			return "&gt;"
		case '\n':
			return newline
		}
		return ""
	}
	var b strings.Builder
	for _, r := range story.Clip(s, length, func(r rune) int { return max(len(escaped(r)), story.UTF16(r)) }) {
		if e := escaped(r); e != "" {
			b.WriteString(e)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// units is the length of a text.
func units(s string) (n int) {
	for _, r := range s {
		n += story.UTF16(r)
	}
	return n
}
