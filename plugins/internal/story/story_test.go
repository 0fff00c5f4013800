package story

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/closedloop/closedloop/rules"
	"github.com/closedloop/closedloop/rules/alert"
	"github.com/closedloop/closedloop/sdk/feedback"
)

func read(t *testing.T, body any) *Story {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Read(b, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestAlerts reads what rules tell of alerts, as they write it.
func TestAlerts(t *testing.T) {
	t.Parallel()
	at := feedback.TimeOf(time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC))
	member := alert.Member{Rule: "spike", Key: rules.KeyOf("kettle", "DE"), Severity: "warning", Summary: "lid breaks", FiringAt: at, Items: 3}
	over := member
	over.ResolvedAt = at.Add(90 * time.Minute)
	n := &alert.Notification{
		At: at, Firing: []alert.Listed{{Member: member, New: true}}, Resolved: []alert.Member{over}, Passed: []alert.Member{over},
		FiringCount: 9, NewCount: 1, ResolvedCount: 1, PassedCount: 1, Suppressed: 2,
	}
	s := read(t, map[string]any{"kind": "alert", "rule": "spike", "group": rules.KeyOf("a", "b"), "at": at, "alerts": n})
	line := Line{Severity: "warning", New: true, Text: "lid breaks (kettle, DE)", Detail: "since 2026-03-01 10:00 UTC, 3 items"}
	done := Line{Severity: "warning", Text: line.Text, Detail: "for 1 h 30 min, until 2026-03-01 11:30 UTC, 3 items"}
	want := &Story{
		Kind: "alert", Severity: "warning", Calls: true, Title: "9 firing, 1 resolved, 1 passed: spike",
		Facts: []Fact{{"Group", "a, b"}}, Thread: "spike\x00a\x1fb",
		Lists: []List{
			{Title: "Firing", Lines: []Line{line}, More: 8},
			{Title: "Resolved", Over: true, Lines: []Line{done}},
			{Title: "Passed", Over: true, Lines: []Line{done}},
		},
		Foot: []string{"2 more held back by silences or other alerts", "rule spike", "2026-03-01 10:00 UTC"},
	}
	same(t, s, want)

	n.Repeat, n.NewCount, n.Firing[0].New = true, 0, false
	if s := read(t, map[string]any{"rule": "spike", "alerts": n}); s.Calls || !strings.HasPrefix(s.Title, "Still 9 firing") || s.Severity != "warning" {
		t.Errorf("told again: got %+v", s)
	}
	for _, severity := range Severities() {
		if severity.Mark() == "" {
			t.Errorf("the severity %s has no mark", severity)
		}
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	at := feedback.TimeOf(time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC))
	c := &alert.Collected{At: at, Since: at, Count: 70, Entries: []alert.Entry{
		{At: at, Rule: "praise", Item: "f_1", Severity: "info", Text: "so\ngood"}, {At: at, Rule: "praise"},
	}}
	same(t, read(t, map[string]any{"kind": "digest", "rule": "praise", "text": "as the lists say", "digest": c}), &Story{
		Kind: "digest", Severity: "info", Title: "70 messages: praise", Facts: []Fact{{"Since", "2026-03-01 10:00 UTC"}}, Thread: "praise",
		Lists: []List{{Title: "Messages", More: 68, Lines: []Line{
			{Severity: "info", Text: "so good", Detail: "2026-03-01 10:00 UTC, f_1"}, {Text: "praise", Detail: "2026-03-01 10:00 UTC"},
		}}},
		Foot: []string{"rule praise"},
	})
}

func same(t *testing.T, got, want *Story) {
	t.Helper()
	got.At, got.Values = 0, nil
	if g, w := fmt.Sprintf("%+v", *got), fmt.Sprintf("%+v", *want); g != w {
		t.Errorf("got  %s\nwant %s", g, w)
	}
}

func TestTitleAndThread(t *testing.T) {
	t.Parallel()
	item := func(survey feedback.Survey, score float64, c feedback.Customer) *feedback.Item {
		return &feedback.Item{ID: "f_1", Survey: survey, Score: &score, Customer: c}
	}
	for _, c := range []struct {
		item *feedback.Item
		want string
	}{
		{&feedback.Item{ID: "f_1"}, "Feedback"},
		{item(feedback.NPS, 9, feedback.Customer{Name: " Zoë\r\nBcc: x "}), "Promoter: Zoë Bcc: x"},
		{item(feedback.CSAT, 2, feedback.Customer{Email: "zoe@example.com", Account: "Acme"}), "CSAT 2 of 5: zoe@example.com"},
		{item(feedback.CES, 6.5, feedback.Customer{ID: "c-7"}), "CES 6.5 of 7: c-7"},
		{item("taste", 3, feedback.Customer{ID: "6ad1", KeyKind: feedback.KeyHashed}), "taste 3"},
	} {
		if s := read(t, map[string]any{"item": c.item}); s.Title != c.want || s.Thread != "f_1" || !s.Calls {
			t.Errorf("got %+v, want the title %q", s, c.want)
		}
	}
	if s := read(t, map[string]any{"item": &feedback.Item{ID: "f_1"}, "case": "k_1"}); s.Thread != "k_1" {
		t.Errorf("got the thread %q, want that of the case", s.Thread)
	}
	said := &feedback.Item{ID: "f_1", Text: " too\r\nlate "}
	if s := read(t, map[string]any{"item": said, "text": said.Text}); s.Text != "" || s.Quote != "too\nlate" {
		t.Errorf("a rule that says the verbatim: got the text %q and the quote %q", s.Text, s.Quote)
	}
	if s := read(t, map[string]any{}); s.Title != "Message" {
		t.Errorf("got the title %q of a message that says nothing", s.Title)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", " a\r\n\r\n\n\nb\rc\t d\x00\x1b[31m \n": "a\n\nb\nc  d[31m", "\u202eabc\u2066\ufeff": "abc", "👩‍👧 e\u0301": "👩‍👧 e\u0301", "a\u2028b": "a b",
	} {
		if got := block(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	for in, want := range map[float64]string{0: "0", 999.5: "1,000", 1204500: "1,204,500", -1234: "-1,234", 100: "100", -0.2: "0"} {
		if got := grouped(in); got != want {
			t.Errorf("%v: got %s, want %s", in, got, want)
		}
	}
	for in, want := range map[time.Duration]string{
		0: "1 min", 59 * time.Minute: "59 min", time.Hour: "1 h", 25 * time.Hour: "1 d 1 h", 48 * time.Hour: "2 d", 90 * time.Minute: "1 h 30 min", -time.Hour: "1 min",
	} {
		if got := duration(in); got != want {
			t.Errorf("%v: got %s, want %s", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"https://a.example/b?c=d&e=f#g": "https://a.example/b?c=d&e=f#g", "javascript:alert(1)": "", "https://u:p@a.example/": "",
		"https://a.example/|<x>\"": "https://a.example/%7C%3Cx%3E%22", "/a": "", "https://": "", "::": "",
	} {
		if got := link(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(`{"kind": "notify", "text": "a\nb", "item": {"text": "x\u0000", "title": "\u202e", "url": "http://a/\n", "score": -1, "customer": {"arr": 1e300}}}`)
	f.Add(`{"alerts": {"firing": [{"key": "a\u001fb", "firing_at": "2026-03-01T10:00:00Z"}], "firing_count": -5}, "group": "\r\n"}`)
	f.Add(`{"digest": {"count": 2, "entries": [{"text": "\r\nBcc: x"}]}}`)
	f.Fuzz(func(t *testing.T, body string) {
		s, err := Read([]byte(body), time.UTC)
		if err != nil {
			return
		}
		lines := append([]string{s.Kind, s.Title, s.Link}, s.Foot...)
		for _, x := range s.Facts {
			lines = append(lines, x.Name, x.Value)
		}
		for _, l := range s.Lists {
			for _, e := range l.Lines {
				lines = append(lines, e.Text, e.Detail)
			}
		}
		if s.Title == "" {
			t.Error("no title")
		}
		for _, l := range append(slices.Clone(lines), strings.ReplaceAll(s.Text+s.Quote, "\n", " ")) {
			if strings.ContainsFunc(l, unicode.IsControl) || strings.ContainsRune(l, '\u202e') || !utf8.ValidString(l) {
				t.Errorf("%q holds what it must not", l)
			}
		}
		for length := range 9 {
			if cut := Clip(s.Title, length+1, UTF16); len([]rune(cut)) > length+1 {
				t.Errorf("%q has more than %d characters", cut, length+1)
			}
		}
	})
}
