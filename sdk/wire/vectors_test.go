package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

var update = flag.Bool("update", false, "write the vectors of testdata/wire anew")

const vectorDir = "../../testdata/wire"

// vectors returns frames of every kind, as this package writes them, by name.
func vectors() map[string][]byte {
	item := fullItem()
	few := feedback.Item{ExternalID: "R-1002", Survey: feedback.CSAT, Score: new(0.0), Contactable: new(true)}
	files := []File{
		{ID: 7, FileInfo: sdk.FileInfo{Name: "surveys.csv", Size: 1234, Modified: 1767000000000, Identity: 42}},
		{ID: 8, FileInfo: sdk.FileInfo{Name: "old/2025.csv"}},
	}
	results := make([]sdk.Result, 4)
	results[0].Labels.Sentiment = new(-0.75)
	results[0].AddTheme("packaging/opening", 0.9, feedback.Span{Start: 4, End: 13}, feedback.Span{Start: 20, End: 24}).Sentiment = new(-1.0)
	results[0].AddTheme("delivery", 0)
	results[1].Drop = "automatic reply"
	results[2].Err = &sdk.Failure{Fatal: true, Code: "bad_text", Message: "the text is damaged", After: 1500 * time.Millisecond}
	results[3].Labels.Sentiment = new(0.0)
	one := make([]sdk.Result, 1)
	one[0].AddTheme("packaging", 0.5, feedback.Span{Start: 4, End: 7})
	return map[string][]byte{
		"configure": AppendConfigure(nil, &Configure{
			Now: testNow, Settings: []byte(`{"theme":"packaging"}`), Instance: "themes", Major: 1, Grants: GrantLog | GrantFile, Files: files,
		}),
		"configure-least": AppendConfigure(nil, &Configure{Now: testNow, Settings: []byte("{}"), Major: 1}),
		"ok":              AppendOK(nil),
		"failure":         AppendFailure(nil, &sdk.Failure{Fatal: true, Code: "no_such_survey", Message: "survey 12 is gone"}),
		"failure-retry":   AppendFailure(nil, sdk.Retry(30*time.Second, "zu viele Anfragen – später")),
		"items":           AppendItems(nil, testNow, []feedback.Item{item, few, {}}),
		"items-none":      AppendItems(nil, testNow, nil),
		"results":         AppendResults(nil, results),
		"results-one":     AppendResults(nil, one),
		"poll":            AppendPoll(nil, testNow, sdk.PollRequest{Checkpoint: []byte("line 120"), Limit: 500}),
		"poll-first":      AppendPoll(nil, testNow, sdk.PollRequest{Limit: 64}),
		"poll-result": AppendPollResult(nil, &sdk.PollResult{
			Items: []feedback.Item{few, item}, Next: []byte("line 122"), Batch: "surveys.csv", More: true, Wait: time.Minute,
			Rejects: []sdk.Reject{{Position: "line 121", Code: "bad_score", Message: "found eleven, expected 0 to 10", Raw: "R-9;eleven"}},
			Notices: []sdk.Notice{{Position: "line 1", Code: "damaged_ids", Message: "ids such as 5.7E+17"}},
		}),
		"poll-result-none": AppendPollResult(nil, &sdk.PollResult{}),
		"receive": AppendReceive(nil, testNow, sdk.ReceiveRequest{
			Headers: map[string]string{"content-type": "application/json", "x-event": "survey.updated"}, Body: []byte(`{"score":3}`),
		}),
		"receive-result": AppendReceiveResult(nil, &sdk.ReceiveResult{
			Items: []feedback.Item{few}, Rejects: []sdk.Reject{{Code: "bad_body", Message: "no JSON"}},
		}),
		"deliver": AppendDeliver(nil, testNow, sdk.Message{
			Key: "f_01J9Z|detractor|notify", Attempt: 2, Kind: "notify", At: 1767225000000, Body: []byte(`{"message":"call back"}`),
		}),
		"http-request": AppendHTTPRequest(nil, &sdk.HTTPRequest{
			Method: "POST", URL: "https://hooks.example.com/x", Headers: map[string]string{"content-type": "application/json"}, Body: []byte("{}"),
			Auth: sdk.HTTPAuth{Scheme: "bearer", Secret: "token"},
			Sign: sdk.HTTPSign{Scheme: "standard-webhooks", Secret: "hook", ID: "msg_1", Timestamp: 1767225000000},
		}),
		"http-response": AppendHTTPResponse(nil, &sdk.HTTPResponse{Status: 202, Headers: map[string]string{"retry-after": "1"}, Body: []byte("accepted")}),
		"files":         AppendFiles(nil, files),
	}
}

// others returns frames that a reader must take although this package would not write them, and the vectors that they
// equal in meaning.
func others(a *abi, v map[string][]byte) map[string][2][]byte {
	out := map[string][2][]byte{}
	for _, name := range []string{"configure", "items", "results", "poll-result", "deliver"} {
		out["newer-"+name] = [2][]byte{a.relay(v[name], 8), v[name]}
	}
	flags := bytes.Clone(v["results"])
	for i := range 4 {
		flags[HeaderSize+i*resultSize+7] = 0x80
	}
	out["newer-flags"] = [2][]byte{flags, v["results"]}
	few := []feedback.Item{{Attributes: feedback.Attributes{"a": feedback.NumberValue(1), "b": feedback.StringValue("x")}}}
	kind := AppendItems(nil, testNow, few)
	le.PutUint32(kind[bytes.LastIndex(kind, []byte{1, 0, 0, 0, 0, 0, 0, 0}):], 258) // the kind of b
	delete(few[0].Attributes, "b")
	out["newer-attribute"] = [2][]byte{kind, AppendItems(nil, testNow, few)}
	return out
}

// malformed returns frames that a reader must refuse, by the reason.
func malformed(v map[string][]byte) map[string][]byte {
	out := map[string][]byte{}
	spoil := func(name, vector string, f func(b []byte)) {
		b := bytes.Clone(v[vector])
		f(b)
		out[name] = b
	}
	record := func(b []byte, i int) []byte { return b[int(le.Uint16(b[atHead:]))+i*int(le.Uint16(b[atStride:])):] }
	out["no-header"] = v["ok"][:HeaderSize-1]
	out["cut-short"] = v["items"][:len(v["items"])-1]
	spoil("magic", "ok", func(b []byte) { b[0] = 'X' })
	spoil("version", "ok", func(b []byte) { b[atVersion] = 2 })
	spoil("kind", "ok", func(b []byte) { b[atKind] = 99 })
	spoil("total-too-small", "ok", func(b []byte) { le.PutUint32(b[atTotal:], 8) })
	spoil("head-too-small", "failure", func(b []byte) { le.PutUint16(b[atHead:], 16) })
	spoil("head-too-large", "failure", func(b []byte) { le.PutUint16(b[atHead:], 0xfff8) })
	spoil("head-uneven", "failure", func(b []byte) { le.PutUint16(b[atHead:], 52) })
	spoil("record-size-zero", "items", func(b []byte) { le.PutUint16(b[atStride:], 0) })
	spoil("record-size-uneven", "items", func(b []byte) { le.PutUint16(b[atStride:], 100) })
	spoil("too-many-records", "items", func(b []byte) { le.PutUint32(b[atCount:], 1000) })
	spoil("count-overflows", "items", func(b []byte) { le.PutUint32(b[atCount:], 0xffffffff) })
	spoil("string-outside", "items", func(b []byte) { le.PutUint32(record(b, 0)[itemStrings:], 0xffffffff) })
	spoil("string-too-long", "items", func(b []byte) { le.PutUint32(record(b, 0)[itemStrings+4:], 0xffffffff) })
	spoil("list-outside", "results", func(b []byte) { le.PutUint32(record(b, 0)[resultThemes:], uint32(len(b)-8)) })
	spoil("list-element-size-zero", "results", func(b []byte) { le.PutUint16(record(b, 0)[resultThemes+6:], 0) })
	spoil("list-element-size-uneven", "results", func(b []byte) { le.PutUint16(record(b, 0)[resultThemes+6:], 12) })
	spoil("lists-overlap", "results", func(b []byte) {
		for i := range 3 {
			copy(record(b, i+1)[resultThemes:][:8], record(b, 0)[resultThemes:])
			le.PutUint16(record(b, i+1)[resultThemes+4:], 8)
		}
	})
	spoil("score-not-finite", "items", func(b []byte) { le.PutUint64(record(b, 0)[itemScore:], 0x7ff0000000000000) })
	spoil("confidence-not-a-number", "results", func(b []byte) {
		le.PutUint64(b[le.Uint32(record(b, 0)[resultThemes:])+themeConfidence:], 0x7ff8000000000001)
	})
	spoil("instant-too-late", "items", func(b []byte) { le.PutUint64(record(b, 0)[itemOccurred:], maxTime+1) })
	spoil("duration-negative", "failure", func(b []byte) { le.PutUint64(b[failureAfter:], 1<<63) })
	spoil("file-size-negative", "files", func(b []byte) { le.PutUint64(record(b, 0)[fileBytes:], 1<<63) })
	return out
}

// TestVectors compares the vectors with what this package writes, and with what ABI.md says that they mean.
func TestVectors(t *testing.T) {
	t.Parallel()
	a, v := readABI(t), vectors()
	want := map[string][]byte{}
	add := func(name string, frame []byte, doc map[string]any) {
		want[name+".hex"] = []byte(hexText(frame))
		if doc != nil {
			text, err := json.MarshalIndent(doc, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			want[name+".json"] = append(text, '\n')
		}
	}
	for name, frame := range v {
		add(name, frame, a.decode(frame))
	}
	for name, o := range others(a, v) {
		add(name, o[0], a.decode(o[1]))
	}
	for name, frame := range malformed(v) {
		add("malformed/"+name, frame, nil)
	}
	if *update {
		writeVectors(t, want)
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got, err := os.ReadFile(filepath.Join(vectorDir, name)); err != nil || !bytes.Equal(got, want[name]) {
			t.Errorf("%s is not what the package writes (%v); run: go test ./sdk/wire -run TestVectors -update", name, err)
		}
	}
	for _, dir := range []string{"", "malformed"} {
		files, err := os.ReadDir(filepath.Join(vectorDir, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if name := filepath.ToSlash(filepath.Join(dir, f.Name())); !f.IsDir() && name != "README.md" && want[name] == nil {
				t.Errorf("%s is no vector", name)
			}
		}
	}
}

func writeVectors(t *testing.T, want map[string][]byte) {
	t.Helper()
	for name, text := range want {
		at := filepath.Join(vectorDir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, text, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.WalkDir(vectorDir, func(at string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(vectorDir, at)
		if err == nil && !d.IsDir() && name != "README.md" && want[filepath.ToSlash(name)] == nil {
			err = os.Remove(at)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// hexText writes bytes as the vectors have them: sixteen to a line.
func hexText(b []byte) string {
	var out strings.Builder
	for line := range slices.Chunk(b, 16) {
		for i, c := range line {
			if i > 0 {
				out.WriteByte(' ')
			}
			out.WriteString(hex.EncodeToString([]byte{c}))
		}
		out.WriteByte('\n')
	}
	return out.String()
}

// TestReaders reads the vectors: writing what was read gives the same frame again.
func TestReaders(t *testing.T) {
	t.Parallel()
	a, v := readABI(t), vectors()
	for name, frame := range v {
		if got, err := rewrite(frame); err != nil || !bytes.Equal(got, frame) {
			t.Errorf("%s: read and written again: %v\n got %x\nwant %x", name, err, got, frame)
		}
	}
	for name, o := range others(a, v) {
		if got, err := rewrite(o[0]); err != nil || !bytes.Equal(got, o[1]) {
			t.Errorf("%s: read and written again: %v\n got %x\nwant %x", name, err, got, o[1])
		}
	}
	for name, frame := range malformed(v) {
		_, err := rewrite(frame)
		if wrong := (*Error)(nil); name != "kind" && !errors.As(err, &wrong) {
			t.Errorf("malformed/%s: %v, expected an *Error", name, err)
		}
		if err == nil {
			t.Errorf("malformed/%s was accepted", name)
		}
	}
}

// TestWorkedExample checks the bytes of the example in ABI.md.
func TestWorkedExample(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../ABI.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(page), "## 8. A worked example")
	_, example, _ = strings.Cut(example, "```\n")
	example, _, _ = strings.Cut(example, "```")
	var got []byte
	for line := range strings.Lines(example) {
		_, line, _ = strings.Cut(line, ": ")
		digits, _, _ := strings.Cut(line, "|")
		b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(digits), " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b...)
	}
	if want := vectors()["results-one"]; !bytes.Equal(got, want) {
		t.Errorf("the example has\n%swant the vector results-one\n%s", hexText(got), hexText(want))
	}
}
