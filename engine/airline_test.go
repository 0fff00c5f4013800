package engine_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// airlineData is real feedback that lies beside the checkout on some machines.
const airlineData = "../../shared/data"

const airlineProgram = `
-- program.yaml --
version: 1
name: airline
timezone: America/Los_Angeles
attributes:
  item: {airline: string, label: string}
sources:
  tweets:
    plugin: PLUGINS/csv
    grants: {file: tweets.csv}
    settings:
      columns: {external_id: tweet_id, text: text, occurred_at: tweet_created, customer.id: name}
      attributes: {airline: {column: airline}, label: {column: airline_sentiment}}
      dates: {formats: ["2006-01-02 15:04:05 -0700", "02-01-2006 15.04"]}
    item: {channel: twitter}
categorizers:
  themes: {plugin: PLUGINS/codebook, settings: codebook.yaml}
queues:
  baggage: {owners: [ana]}
  care: {owners: [ben]}
-- codebook.yaml --
themes:
  baggage: {phrases: ["bag*", luggage, suitcase*]}
  delay: {phrases: ["delay*", late, "waiting", "hours NEAR/3 wait*"]}
  cancelled: {phrases: ["cancel*"]}
-- rules/route.yaml --
version: 1
groups:
  - name: route
    match: first
    rules:
      - id: baggage
        when: '"baggage" in themes && attributes.label == "negative"'
        do: [{assign: {queue: baggage}}, {case: {sla: 48h}}]
      - id: negative
        when: attributes.label == "negative"
        do: [{assign: {queue: care}}]
`

// airline writes a program over the content and opens it.
func airline(t *testing.T, dir string, content []byte) *engine.Engine {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "tweets.csv"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := engine.Open(t.Context(), dir, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeEngine(t, e) })
	return e
}

func airlineDir(t *testing.T) string {
	t.Helper()
	plugins, err := filepath.Abs("../plugins")
	if err != nil {
		t.Fatal(err)
	}
	return writeProgram(t, strings.ReplaceAll(airlineProgram, "PLUGINS", filepath.ToSlash(plugins)))
}

func readAirline(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(airlineData, name))
	if err != nil {
		t.Skipf("no real feedback on this machine: %v", err)
	}
	return b
}

// parseRows reads a file with the standard library: header and rows.
func parseRows(t *testing.T, content []byte) (header []string, rows [][]string) {
	t.Helper()
	all, err := csv.NewReader(bytes.NewReader(content)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return all[0], all[1:]
}

func passOnce(t *testing.T, e *engine.Engine) *engine.Summary {
	t.Helper()
	s, err := e.RunOnce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := s.Total
	if c.Read != c.New+c.Revised+c.Duplicate+c.Stale+c.Rejected {
		t.Errorf("rows are not accounted for: %+v", c)
	}
	return s
}

// TestAirlineTweets takes 7,229 real rows through the sandbox, twice, and then a copy with 100 rows repeated and 100
// edited.
func TestAirlineTweets(t *testing.T) {
	content := readAirline(t, "twitter-airline/tweets.csv")
	header, rows := parseRows(t, content)
	dir := airlineDir(t)
	e := airline(t, dir, content)
	want := expectedOutcomes(header, rows)
	first := passOnce(t, e)
	if first.Total != want || first.Total.Read != len(rows) {
		t.Errorf("first pass %+v, want %+v of %d rows", first.Total, want, len(rows))
	}
	if second := passOnce(t, e); second.Total.Read != 0 || second.Cases != 0 {
		t.Errorf("second pass %+v", second.Total)
	}
	explainSome(t, e)
	closeEngine(t, e)

	e = airline(t, dir, mangledCopy(t, header, rows))
	third := passOnce(t, e)
	if third.Total.Revised != 100 || third.Total.New != 0 || third.Total.Read != len(rows)+100 || third.Total.Duplicate != len(rows) {
		t.Errorf("copy with 100 rows repeated and 100 edited: %+v", third.Total)
	}
}

// expectedOutcomes accounts for rows by the id and what is mapped of a row.
func expectedOutcomes(header []string, rows [][]string) (c feedback.Counts) {
	col := map[string]int{}
	for i, name := range header {
		col[name] = i
	}
	seen := map[string]map[string]bool{}
	for _, r := range rows {
		id := r[col["tweet_id"]]
		content := strings.TrimSpace(fmt.Sprint(r[col["text"]], r[col["tweet_created"]], r[col["name"]], r[col["airline"]], r[col["airline_sentiment"]]))
		c.Read++
		switch {
		case seen[id] == nil:
			seen[id] = map[string]bool{}
			c.New++
		case seen[id][content]:
			c.Duplicate++
		default:
			c.Revised++
		}
		seen[id][content] = true
	}
	return c
}

// mangledCopy repeats the first 100 rows of distinct ids at the end, and edits the text of 100 others.
func mangledCopy(t *testing.T, header []string, rows [][]string) []byte {
	t.Helper()
	ids := map[string]int{}
	for _, r := range rows {
		ids[r[0]]++
	}
	var single []int
	for i, r := range rows {
		if ids[r[0]] == 1 {
			single = append(single, i)
		}
	}
	text := 0
	for i, name := range header {
		if name == "text" {
			text = i
		}
	}
	copied := make([][]string, 0, len(rows)+100)
	for _, r := range rows {
		copied = append(copied, append([]string(nil), r...))
	}
	for _, i := range single[200:300] {
		copied[i][text] += " (edited)"
	}
	for _, i := range single[:100] {
		copied = append(copied, rows[i])
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if err := w.WriteAll(append([][]string{header}, copied...)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// explainSome asks why items were routed as they were.
func explainSome(t *testing.T, e *engine.Engine) {
	t.Helper()
	items, err := e.Items(t.Context(), engine.ItemQuery{Limit: 300})
	if err != nil {
		t.Fatal(err)
	}
	queues := map[string]int{}
	for _, it := range items {
		x, err := e.Explain(t.Context(), it.ID)
		if err != nil {
			t.Fatal(err)
		}
		rule := ""
		if len(x.Decision.Groups) > 0 {
			rule = x.Decision.Groups[0].Fired[0].Rule
		}
		label, _ := it.Attributes["label"].Str()
		want := map[bool]string{false: "", true: "negative"}[label == "negative"]
		if want != "" && it.Labels.Has("baggage") {
			want = "baggage"
		}
		if rule != want || !strings.Contains(x.Rules.String(), "attributes.label") {
			t.Errorf("item %s (%s, %v) was decided on by %q, want %q", it.ID, label, it.Labels.Themes, rule, want)
		}
		queues[it.Queue]++
	}
	if len(queues) != 3 {
		t.Errorf("queues %v", queues)
	}
}

// TestAirlineTweetsAfterASpreadsheet keeps the 800 rows whose ids a spreadsheet has ruined.
func TestAirlineTweetsAfterASpreadsheet(t *testing.T) {
	content := readAirline(t, "twitter-airline-mangled/excel.csv")
	_, rows := parseRows(t, content)
	e := airline(t, airlineDir(t), content)
	s := passOnce(t, e)
	if s.Total.New != len(rows) || s.Total.Damaged != len(rows) || s.Stats.Items != len(rows) {
		t.Errorf("kept %+v of %d rows", s.Total, len(rows))
	}
	told := false
	for notice := range s.Sources[0].Notices {
		told = told || strings.Contains(notice, "damaged_ids")
	}
	if !told {
		t.Errorf("notices %v", s.Sources[0].Notices)
	}
	if letters, err := e.DeadLetters(t.Context(), feedback.DeadRow, 0); err != nil || len(letters) != 0 {
		t.Errorf("dead letters %v, %v", letters, err)
	}
}
