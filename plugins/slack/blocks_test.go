package slack

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/tools/txtar"

	"github.com/closedloop/closedloop/plugins/internal/story"
)

var update = flag.Bool("update", false, "write what the golden files expect")

// TestGolden composes the payload of each message in testdata.
func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 6 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		archive, err := txtar.ParseFile(name)
		if err != nil || len(archive.Files) != 3 {
			t.Fatalf("%s: %d files, %v", name, len(archive.Files), err)
		}
		c, err := open(t.Context(), nil, archive.Files[0].Data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := payloadOf(c.(*channel), archive.Files[1].Data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		checkPayload(t, name, got)
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, got, "", "  "); err != nil {
			t.Fatal(err)
		}
		pretty.WriteByte('\n')
		if want := &archive.Files[2]; !bytes.Equal(want.Data, pretty.Bytes()) {
			if !*update {
				t.Errorf("%s: got\n%s", name, &pretty)
				continue
			}
			want.Data = pretty.Bytes()
			if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func payloadOf(c *channel, body []byte) ([]byte, error) {
	s, err := story.Read(body, c.zone)
	if err != nil {
		return nil, err
	}
	return encode(compose(s, c.settings.Mentions))
}

// checkPayload holds a payload against the bounds of Block Kit, as docs.slack.dev has them, without regard to how it was
// made, and returns how many mentions it has.
func checkPayload(t *testing.T, what string, body []byte) (mentions int) {
	t.Helper()
	var p struct {
		Text   string
		Blocks []struct {
			Type             string
			Text             *text
			Fields, Elements []text
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	if err := decoder.Decode(&p); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	bad := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s: %s", what, fmt.Sprintf(format, args...))
	}
	total := 0
	check := func(x text, kind string, limit int) {
		t.Helper()
		n := units(x.Text)
		total += n
		if x.Type != kind || n == 0 || n > limit || !utf8.ValidString(x.Text) {
			bad("a %s of %d characters, expected a %s of 1 to %d", x.Type, n, kind, limit)
		}
		if kind == "mrkdwn" {
			mentions += strings.Count(x.Text, "<!") + strings.Count(x.Text, "<@")
			for _, m := range []string{"&amp;", "&lt;", "&gt;"} {
				x.Text = strings.ReplaceAll(x.Text, m, "")
			}
			if strings.Contains(x.Text, "&") {
				bad("an & that is not escaped, or an escape that was cut, in %q", x.Text)
			}
		}
	}
	if p.Text == "" || len(p.Blocks) == 0 || len(p.Blocks) > 50 {
		bad("%d blocks and the text %q", len(p.Blocks), p.Text)
	}
	for _, b := range p.Blocks {
		switch b.Type {
		case "header":
			check(*b.Text, "plain_text", 150)
		case "section":
			if (b.Text == nil) == (len(b.Fields) == 0) || len(b.Fields) > 10 {
				bad("a section with %d fields and the text %v", len(b.Fields), b.Text)
			}
			if b.Text != nil {
				check(*b.Text, "mrkdwn", 3000)
			}
			for _, f := range b.Fields {
				check(f, "mrkdwn", 2000)
			}
		case "context":
			if len(b.Elements) == 0 || len(b.Elements) > 10 {
				bad("a context with %d elements", len(b.Elements))
			}
			for _, e := range b.Elements {
				check(e, "mrkdwn", 3000)
			}
		default:
			bad("a block of the type %q", b.Type)
		}
	}
	if total > 13_000 {
		bad("%d characters in all", total)
	}
	return mentions
}

// TestBounds composes messages whose every part is as long as it can be.
func TestBounds(t *testing.T) {
	t.Parallel()
	for _, long := range []string{
		strings.Repeat("a", 6000), strings.Repeat("&<>", 2000), strings.Repeat("👩‍👩‍👧‍👦", 700), strings.Repeat("e\u0301", 2000),
		strings.Repeat("\n", 3000) + strings.Repeat("x\n", 3000), strings.Repeat("\u202e<!channel>", 500), strings.Repeat("\u0301", 3500),
	} {
		var facts []string
		for _, name := range []string{"queue", "owner", "case", "priority", "severity", "rule", "text", "group"} {
			facts = append(facts, fmt.Sprintf("%q: %s", name, quoted(long)))
		}
		tags := strings.Repeat(quoted(long)+",", 20)
		item := fmt.Sprintf(`{"text": %s, "title": %s, "touchpoint": %s, "customer": {"name": %s, "account": %s, "tier": %s}, "url": "https://example.com/%s", "survey": "x", "score": 1e300}`,
			quoted(long), quoted(long), quoted(long), quoted(long), quoted(long), quoted(long), strings.Repeat("u", 5000))
		member := fmt.Sprintf(`{"rule": "r", "key": %s, "summary": %s, "severity": "critical", "new": true, "firing_at": "2026-03-01T08:30:00.000Z"},`, quoted(long), quoted(long))
		members := strings.TrimSuffix(strings.Repeat(member, 50), ",")
		head := "{" + strings.Join(facts, ", ") + fmt.Sprintf(`, "tags": [%s]`, strings.TrimSuffix(tags, ","))
		c := &channel{zone: time.UTC, settings: settings{Mentions: map[string][]string{"critical": {"here"}}}}
		for name, body := range map[string]string{
			"notify": head + fmt.Sprintf(`, "item": %s}`, item),
			"alert": head + fmt.Sprintf(`, "alerts": {"firing": [%s], "resolved": [%s], "passed": [%s], "firing_count": 1000, "new_count": 5}}`,
				members, members, members),
			"digest": head + fmt.Sprintf(`, "digest": {"count": 9000, "entries": [%s]}}`, strings.ReplaceAll(members, "summary", "text")),
			"other":  head + "}",
		} {
			got, err := payloadOf(c, []byte(body))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			want := 0
			if name == "alert" {
				want = 1
			}
			if n := checkPayload(t, fmt.Sprintf("%s of %.8q", name, long), got); n != want {
				t.Errorf("%s of %.8q: %d mentions, expected %d", name, long, n, want)
			}
		}
	}
}

func quoted(s string) string {
	b, _ := json.Marshal(s) // a string has a JSON form
	return string(b)
}

func TestEscape(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in      string
		length  int
		newline string
		want    string
	}{
		{"", 5, " ", ""},
		{"a & <b>", 99, " ", "a &amp; &lt;b&gt;"},
		{"a\nb", 99, "\n>", "a\n>b"},
		{"abcdef", 6, "", "abcdef"},
		{"abcdefg", 6, "", "abcde…"},
		{"ab&&", 8, "", "ab&amp;…"},
		{"ab&&", 7, "", "ab…"},
		{"a🙂🙂", 5, "", "a🙂🙂"},
		{"a🙂🙂b", 5, "", "a🙂…"},
		{"ae\u0301e\u0301", 4, "", "ae\u0301…"},
		{"ae\u0301e\u0301", 3, "", "a…"},
		{"👩‍👧x👩‍👧", 7, "", "👩‍👧x…"},
		{"word word", 6, "", "word…"},
	} {
		if got := escape(c.in, c.length, c.newline); got != c.want || units(got) > c.length && c.length < 99 {
			t.Errorf("%q at %d: got %q, want %q", c.in, c.length, got, c.want)
		}
	}
}

func FuzzPayload(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range files {
		if archive, err := txtar.ParseFile(name); err == nil {
			f.Add(archive.Files[1].Data)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c := &channel{zone: time.UTC, settings: settings{Mentions: map[string][]string{"critical": {"here"}, "": {"channel"}}}}
		if got, err := payloadOf(c, body); err == nil {
			checkPayload(t, "fuzz", got)
		}
	})
}
