package csv

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/sdktest"
)

const plain = `{"columns": {"external_id": "id", "score": "score", "text": "text"}, "dates": {"timezone": "UTC"}, "header_rows": 1, "pattern": "*"}`

// file writes a file and returns an instance that reads it.
func file(t testing.TB, settings string, content []byte) *source {
	t.Helper()
	path := filepath.Join(t.TempDir(), "feedback.csv")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return at(t, settings, path)
}

func at(t testing.TB, settings, path string) *source {
	t.Helper()
	s, err := Plugin.New(context.Background(), &sdktest.Host{Dir: path}, []byte(settings))
	if err != nil {
		t.Fatal(err)
	}
	return s.(*source)
}

// all polls until there is no more.
func all(t testing.TB, s *source, limit int) (out sdk.PollResult) {
	t.Helper()
	out, err := drain(s, nil, limit)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func drain(s *source, checkpoint []byte, limit int) (out sdk.PollResult, err error) {
	for {
		r, err := s.Poll(context.Background(), sdk.PollRequest{Checkpoint: checkpoint, Limit: limit})
		if err != nil {
			return out, err
		}
		if n := len(r.Items) + len(r.Rejects); n > limit {
			return out, fmt.Errorf("%d rows at once, limit %d", n, limit)
		}
		out.Items = append(out.Items, r.Items...)
		out.Rejects = append(out.Rejects, r.Rejects...)
		out.Notices = append(out.Notices, r.Notices...)
		out.Next, out.Batch, checkpoint = r.Next, r.Batch, r.Next
		if !r.More {
			return out, nil
		}
	}
}

func show(it feedback.Item) string {
	score := "-"
	if it.Score != nil {
		score = fmt.Sprint(*it.Score)
	}
	return fmt.Sprintf("%s|%s|%s|%s", it.ExternalID, score, it.Text, it.Position)
}

func TestRows(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		items    []string
		rejects  []string
	}{
		{"plain", "id,score,text\n1,9,fine\n2,3,late\n", []string{"1|9|fine|line 2", "2|3|late|line 3"}, nil},
		{"no line end at the end", "id,score,text\n1,9,fine", []string{"1|9|fine|line 2"}, nil},
		{"line ends of Windows", "id,score,text\r\n1,9,fine\r\n", []string{"1|9|fine|line 2"}, nil},
		{"byte order mark", "\xef\xbb\xbfid,score,text\n1,9,fine\n", []string{"1|9|fine|line 2"}, nil},
		{"semicolons and a decimal comma", "id;score;text\n1;8,5;a, b\n", []string{"1|8.5|a, b|line 2"}, nil},
		{"tabs in a file called csv", "id\tscore\ttext\n1\t9\ta, b; c\n", []string{"1|9|a, b; c|line 2"}, nil},
		{"pipes", "id|score|text\n1|9|x\n", []string{"1|9|x|line 2"}, nil},
		{"a line break in a cell", "id,score,text\n1,9,\"two\nlines\"\n2,3,x\n", []string{"1|9|two\nlines|line 2", "2|3|x|line 4"}, nil},
		{"quotes", "id,score,text\n1,9,\"he said \"\"no\"\"\"\n2,3,5\" screen\n", []string{`1|9|he said "no"|line 2`, `2|3|5" screen|line 3`}, nil},
		{"blank lines", "\nid,score,text\n\n1,9,fine\n\n\n", []string{"1|9|fine|line 4"}, nil},
		{"empty cells", "id,score,text\n1,,\n,3,x\n", []string{"1|-||line 2", "|3|x|line 3"}, nil},
		{"an empty last column", "id,score,text\n1,9,fine,\n", []string{"1|9|fine|line 2"}, nil},
		{"ragged rows", "id,score,text\n1,9\n2,3,x\n3,4,y,z\n", []string{"2|3|x|line 3"}, []string{"line 2 ragged found 2 cells, expected 3", "line 4 ragged found 4 cells, expected 3"}},
		{"a bad score", "id,score,text\n1,nine,fine\n2,3,x\n", []string{"2|3|x|line 3"}, []string{`line 2 bad_score column "score": found "nine", expected a number`}},
		{"a stray quote", "id,score,text\n1,9,\"fine\n2,3,x\n3,4,y\n", []string{"2|3|x|line 3", "3|4|y|line 4"}, []string{"line 2 unclosed_quote found a quote that is never closed, expected a second one"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, limit := range []int{1, 2, 100} {
				res := all(t, file(t, plain, []byte(tt.in)), limit)
				var items, rejects []string
				for _, it := range res.Items {
					items = append(items, show(it))
				}
				for _, r := range res.Rejects {
					rejects = append(rejects, r.Position+" "+r.Code+" "+r.Message)
				}
				if !slices.Equal(items, tt.items) || !slices.Equal(rejects, tt.rejects) {
					t.Errorf("limit %d:\nitems   %q\nwant    %q\nrejects %q\nwant    %q", limit, items, tt.items, rejects, tt.rejects)
				}
			}
		})
	}
}

func TestUTF16(t *testing.T) {
	t.Parallel()
	text := "id,score,text\n1,9,schön 🙂\n2,3,\"zwei\nZeilen\"\n3,4,日本\n"
	for _, mark := range []bool{true, false} {
		for _, big := range []bool{true, false} {
			units := utf16.Encode([]rune(text))
			if mark {
				units = append([]uint16{0xfeff}, units...)
			}
			var b []byte
			for _, u := range units {
				if big {
					b = append(b, byte(u>>8), byte(u))
				} else {
					b = append(b, byte(u), byte(u>>8))
				}
			}
			for _, limit := range []int{1, 10} {
				res := all(t, file(t, plain, b), limit)
				if len(res.Items) != 3 || res.Items[0].Text != "schön 🙂" || res.Items[1].Text != "zwei\nZeilen" || res.Items[2].Position != "line 5" {
					t.Errorf("mark %v, big-endian %v, limit %d: %+v %+v", mark, big, limit, res.Items, res.Rejects)
				}
			}
		}
	}
}

func TestSurrogatesAcrossPieces(t *testing.T) {
	t.Parallel()
	var rows strings.Builder
	rows.WriteString("id,score,text\n")
	for i := range 3000 {
		fmt.Fprintf(&rows, "%d,5,%s\n", i, strings.Repeat("🙂", 40+i%7))
	}
	var b []byte
	for _, u := range utf16.Encode([]rune("\ufeff" + rows.String())) {
		b = append(b, byte(u), byte(u>>8))
	}
	res := all(t, file(t, plain, b), 256)
	if len(res.Items) != 3000 {
		t.Fatalf("%d items, rejects %v", len(res.Items), res.Rejects)
	}
	for i, it := range res.Items {
		if it.Text != strings.Repeat("🙂", 40+i%7) {
			t.Fatalf("item %d: %q", i, it.Text)
		}
	}
}

func TestAVeryLongLine(t *testing.T) {
	t.Parallel()
	b := []byte("id,score,text\n1,9,fine\n2,3,")
	for range 100 << 20 / 1000 {
		b = append(b, strings.Repeat("x", 1000)...)
	}
	b = append(b, "\n3,4,after\n"...)
	res := all(t, file(t, plain, b), 10)
	if len(res.Items) != 2 || res.Items[1].Text != "after" || res.Items[1].Position != "line 4" {
		t.Errorf("items %d, last %v", len(res.Items), res.Items[len(res.Items)-1].Position)
	}
	if len(res.Rejects) != 1 || res.Rejects[0].Code != "too_long" || len(res.Rejects[0].Raw) > 1000 {
		t.Errorf("rejects %+v", res.Rejects)
	}
}

func TestDamagedIDs(t *testing.T) {
	t.Parallel()
	in := "id,score,text\n5.70306E+17,3,a\n5.70306E+17,4,b\n77,1,x\n77,2,y\n77,3,z\n88,1,p\n88,2,q\n99,1,same\n99,1,same\n99,1,same\n"
	res := all(t, file(t, plain, []byte(in)), 3)
	var damaged, kept []string
	for _, it := range res.Items {
		if it.Synthetic == feedback.SyntheticDamaged && it.ExternalID == "" {
			damaged = append(damaged, it.Text)
		} else {
			kept = append(kept, it.ExternalID)
		}
	}
	if !slices.Equal(damaged, []string{"a", "b", "x", "y", "z"}) || !slices.Equal(kept, []string{"88", "88", "99", "99", "99"}) {
		t.Errorf("damaged %v, kept %v", damaged, kept)
	}
	if len(res.Notices) != 1 || res.Notices[0].Code != "damaged_ids" || !strings.Contains(res.Notices[0].Message, "5 of 10 rows") {
		t.Errorf("notices %+v", res.Notices)
	}
	ordered := strings.Replace(plain, `"text": "text"`, `"text": "text", "version": "score"`, 1)
	for _, it := range all(t, file(t, ordered, []byte(in)), 100).Items {
		if it.ExternalID == "" && !strings.Contains("ab", it.Text) {
			t.Errorf("with versions the row %q lost its id", it.Text)
		}
	}
}

func TestDates(t *testing.T) {
	t.Parallel()
	berlin := `{"columns": {"occurred_at": "at", "text": "text"}, "dates": {"timezone": "Europe/Berlin", "formats": [%s]}, "header_rows": 1, "pattern": "*"}`
	for _, tt := range []struct{ formats, cell, want string }{
		{"", "2026-03-02T10:00:00Z", "2026-03-02T10:00:00.000Z"},
		{"", "2015-02-24 11:15:59 -0800", "2015-02-24T19:15:59.000Z"},
		{"", "2026-07-01 10:00:00", "2026-07-01T08:00:00.000Z"},
		{"", "2026/7/1", "2026-06-30T22:00:00.000Z"},
		{`"02-01-2006 15.04"`, "24-02-2015 11.35", "2015-02-24T10:35:00.000Z"},
		{`"01/02/2006", "02.01.2006"`, "31.12.2026", "2026-12-30T23:00:00.000Z"},
		{`"unix"`, "1614265330", "2021-02-25T15:02:10.000Z"},
		{`"unix_ms"`, "1614265330123", "2021-02-25T15:02:10.123Z"},
	} {
		res := all(t, file(t, fmt.Sprintf(berlin, tt.formats), []byte("at;text\n"+tt.cell+";x\n")), 10)
		if len(res.Items) != 1 || res.Items[0].OccurredAt.String() != tt.want {
			t.Errorf("%s as %s: %v %v, want %s", tt.cell, tt.formats, res.Items, res.Rejects, tt.want)
		}
	}
	for _, cell := range []string{"24-02-2015 11.35", "02/03/2026", "yesterday", "1614265330"} {
		res := all(t, file(t, fmt.Sprintf(berlin, ""), []byte("at;text\n"+cell+";x\n")), 10)
		if len(res.Rejects) != 1 || res.Rejects[0].Code != "bad_date" || !strings.Contains(res.Rejects[0].Message, "dates.formats") {
			t.Errorf("%s: %v %v", cell, res.Items, res.Rejects)
		}
	}
}

func TestMapping(t *testing.T) {
	t.Parallel()
	settings := `{
		"columns": {"score": "Rating", "text": "#3", "contactable": "May we call?", "customer.arr": "ARR", "customer.id": "Customer"},
		"attributes": {"order_value": {"column": "Order", "type": "number"}, "gift": {"column": "Gift", "type": "bool"}},
		"customer_attributes": {"club": {"column": "Club", "type": "string"}},
		"values": {"score": {"Poor": "1", "Great": "5"}},
		"dates": {"timezone": "UTC"}, "header_rows": 1, "pattern": "*"}`
	in := "Rating,Customer,Comment,May we call?,ARR,Order,Gift,Club\nGreat,c1,x,Ja,1200.50,19.90,no,gold\nGood,c2,y,maybe,1,2,yes,\n"
	res := all(t, file(t, settings, []byte(in)), 10)
	if len(res.Items) != 1 || len(res.Rejects) != 1 {
		t.Fatalf("items %v, rejects %v", res.Items, res.Rejects)
	}
	b, err := json.Marshal(res.Items[0])
	if err != nil {
		t.Fatal(err)
	}
	want := `{"position":"line 2","score":5,"text":"x","contactable":true,"customer":{"id":"c1","arr":1200.5,"attributes":{"club":"gold"}},"attributes":{"gift":false,"order_value":19.9}}`
	if string(b) != want {
		t.Errorf("item\n%s, want\n%s", b, want)
	}
}

func TestQualtricsHeader(t *testing.T) {
	t.Parallel()
	in := "StartDate,Q1,Q2\n" +
		"\"Start Date\",\"How likely are\nyou to recommend us?\",Why?\n" +
		`"{""ImportId"":""startDate"",""timeZone"":""America/Denver""}","{""ImportId"":""QID1""}","{""ImportId"":""QID2_TEXT""}"` + "\n" +
		"2026-03-02 10:00:00,9,nice\n"
	settings := `{"columns": {"score": "ImportId:QID1", "text": "Q2", "occurred_at": "StartDate"}, "dates": {"timezone": "America/Denver"}, "header_rows": 3, "pattern": "*"}`
	res := all(t, file(t, settings, []byte(in)), 10)
	if len(res.Items) != 1 || *res.Items[0].Score != 9 || res.Items[0].Position != "line 5" || res.Items[0].OccurredAt.String() != "2026-03-02T17:00:00.000Z" {
		t.Errorf("items %+v, rejects %+v", res.Items, res.Rejects)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, settings string
		content        []byte
		want           string
	}{
		{"an unknown column", strings.Replace(plain, `"score": "score"`, `"score": "scroe"`, 1), []byte("id,score,text\n"), `did you mean "score"?`},
		{"a column number out of range", strings.Replace(plain, `"score": "score"`, `"score": "#9"`, 1), []byte("id,score,text\n"), "#1 to #3"},
		{"an ambiguous name", plain, []byte("id,text,score,text\n"), "several columns"},
		{"a workbook", plain, []byte("PK\x03\x04 and so on"), "Excel"},
		{"a binary file", plain, []byte("id,score,text\n1,\x00\x01\x02\n"), "zero byte"},
	} {
		_, err := drain(file(t, tt.settings, tt.content), nil, 10)
		if f := sdk.FailureOf(err); f == nil || !f.Fatal || !strings.Contains(f.Message, tt.want) {
			t.Errorf("%s: %v, want %q in it", tt.name, err, tt.want)
		}
	}
	for _, content := range []string{"", "\n\n"} {
		_, err := drain(file(t, plain, []byte(content)), nil, 10)
		if f := sdk.FailureOf(err); f == nil || !f.Fatal || !strings.Contains(f.Message, "found an empty file") {
			t.Errorf("%q: %v", content, err)
		}
	}
	for _, content := range []string{"id,score,text\n", "id,score,text"} {
		res := all(t, file(t, plain, []byte(content)), 10)
		if len(res.Items)+len(res.Rejects) != 0 || len(res.Notices) != 1 || res.Notices[0].Code != "no_rows" {
			t.Errorf("%q: %+v", content, res)
		}
	}
}

func TestAFileThatGrowsIsReadOn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "feedback.csv")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("id,score,text\n1,9,a\n2,8,b\n")
	first := all(t, at(t, plain, path), 10)
	write("id,score,text\n1,9,a\n2,8,b\n3,7,c\n")
	second, err := drain(at(t, plain, path), first.Next, 10)
	if err != nil || len(second.Items) != 1 || second.Items[0].Position != "line 4" || second.Batch != first.Batch {
		t.Errorf("grown: %+v, %v", second, err)
	}
	again, err := drain(at(t, plain, path), second.Next, 10)
	if err != nil || len(again.Items) != 0 {
		t.Errorf("unchanged: %+v, %v", again, err)
	}
	write("id,score,text\n1,0,edited\n2,8,b\n3,7,c\n")
	third, err := drain(at(t, plain, path), second.Next, 10)
	if err != nil || len(third.Items) != 3 || third.Batch == first.Batch {
		t.Errorf("edited: %d items, batch %s, %v", len(third.Items), third.Batch, err)
	}
}

func TestFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{"b.csv": "id,score,text\n2,2,b\n", "a.csv": "id,score,text\n1,1,a\n", "notes.txt": "no"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	res := all(t, at(t, strings.Replace(plain, `"pattern": "*"`, `"pattern": "*.csv"`, 1), dir), 10)
	if len(res.Items) != 2 || res.Items[0].Position != "a.csv line 2" || res.Items[1].ExternalID != "2" {
		t.Errorf("items %+v", res.Items)
	}
}

// TestFolderOfAnotherFile has a folder hold one file, which the pattern leaves out: an export that is being written.
func TestFolderOfAnotherFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.csv.part"), []byte("id,score,text\n1,1,a\n2,2,b and mo"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := at(t, strings.Replace(plain, `"pattern": "*"`, `"pattern": "*.csv"`, 1), dir)
	if res := all(t, s, 10); len(res.Items)+len(res.Rejects)+len(res.Notices) > 0 {
		t.Errorf("got %+v of a file that is not to be read", res)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	var rows strings.Builder
	rows.WriteString("id,score,text\n")
	for i := range 40 {
		fmt.Fprintf(&rows, "%d,%d,text %d\n", i, i%12, i)
		if i%9 == 4 {
			rows.WriteString("broken\n")
		}
	}
	path := filepath.Join(t.TempDir(), "feedback.csv")
	if err := os.WriteFile(path, []byte(rows.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	sdktest.Poller(t, sdktest.Open[sdk.Poller](Plugin, &sdktest.Host{Dir: path}, strings.Replace(plain, `"score": "score", `, "", 1)))
}

// FuzzReader reads arbitrary bytes: every limit gives the same rows, and nothing is lost or repeated.
func FuzzReader(f *testing.F) {
	f.Add([]byte("id,score,text\n1,9,\"a\nb\"\n2,x\n"))
	f.Add([]byte("\xff\xfei\x00d\x00\n\x00"))
	f.Add([]byte("id;score;text\r\n\"\n\"\"\";1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		settings := `{"columns": {"text": "#1"}, "dates": {"timezone": "UTC"}, "header_rows": 0, "pattern": "*"}`
		one, err1 := drain(file(t, settings, b), nil, 1)
		many, err2 := drain(file(t, settings, b), nil, 1000)
		if (err1 == nil) != (err2 == nil) {
			t.Fatalf("one by one: %v, at once: %v", err1, err2)
		}
		if len(one.Items) != len(many.Items) || len(one.Rejects) != len(many.Rejects) {
			t.Fatalf("one by one: %d items, %d rejects; at once: %d, %d", len(one.Items), len(one.Rejects), len(many.Items), len(many.Rejects))
		}
		for i := range one.Items {
			if show(one.Items[i]) != show(many.Items[i]) {
				t.Fatalf("item %d is %q and %q", i, show(one.Items[i]), show(many.Items[i]))
			}
		}
	})
}
