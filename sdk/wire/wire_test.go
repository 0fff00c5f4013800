package wire

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

const testNow feedback.Time = 1767225600000

// fullItem sets every field of an item.
func fullItem() feedback.Item {
	return feedback.Item{
		ID: "f_01J9Z0000000000000000000AB", Source: "store-survey", ExternalID: "R-1001", Synthetic: feedback.SyntheticDamaged,
		Version: 7, OccurredAt: 1760000000000, OccurredAssumed: true, ReceivedAt: 1760000500000, Batch: "surveys.csv 2026-01-01",
		Position: "line 12", Survey: feedback.NPS, SurveyID: "SV_1", Score: new(3.0), ScaleMin: new(0.0), ScaleMax: new(10.0),
		Channel: "survey", Touchpoint: "checkout/payment", Stage: "purchase", Product: "Kettle", Location: "Köln", Language: "de",
		Title: "Verpackung", Text: "Die Schachtel ging nicht auf – zum Verzweifeln.", URL: "https://example.com/r/1001",
		Contactable: new(false),
		Customer: feedback.Customer{
			ID: "c-1", KeyKind: feedback.KeyAccount, Name: "Anna", Email: "anna@example.com", Account: "ACME", Segment: "smb",
			Tier: "gold", ARR: new(1200.5), TenureDays: new(0.0), Region: "EMEA", Country: "DE", Language: "de", Owner: "ben",
			Attributes: feedback.Attributes{"newsletter": feedback.BoolValue(true)},
		},
		Attributes: feedback.Attributes{
			"coupon": feedback.StringValue("SPRING"), "order_value": feedback.NumberValue(49.9),
			"gift": feedback.BoolValue(false), "ordered_at": feedback.TimeValue(1759990000000),
		},
	}
}

func TestItemsRoundTrip(t *testing.T) {
	t.Parallel()
	items := []feedback.Item{fullItem(), {}, {Text: "only text"}, fullItem()}
	frame := AppendItems(nil, testNow, items)
	if len(frame) != ItemsSize(items) {
		t.Errorf("frame of %d bytes, ItemsSize says %d", len(frame), ItemsSize(items))
	}
	var r ItemReader
	for range 2 {
		got, err := r.Read(frame)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, items) {
			t.Errorf("got  %+v\nwant %+v", got, items)
		}
	}
	if now, err := Now(frame); now != testNow || err != nil {
		t.Errorf("Now = %v, %v", now, err)
	}
}

func TestResultsRoundTrip(t *testing.T) {
	t.Parallel()
	rs := make([]sdk.Result, 4)
	rs[0].Labels.Sentiment = new(-0.75)
	rs[0].AddTheme("packaging/opening", 0.9, feedback.Span{Start: 4, End: 13}, feedback.Span{Start: 20, End: 24}).Sentiment = new(-1.0)
	rs[0].AddTheme("delivery", 0.25)
	rs[1].Drop = "automatic reply"
	rs[2].Err = &sdk.Failure{Fatal: true, Code: "bad_text", Message: "cannot be read", After: 1500 * time.Millisecond}
	frame := AppendResults(nil, rs)
	var r ResultReader
	for range 2 {
		got, err := r.Read(frame, len(rs))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, rs) {
			t.Errorf("got  %+v\nwant %+v", got, rs)
		}
	}
	if _, err := r.Read(frame, 3); err == nil {
		t.Error("a result too many was accepted")
	}
	if _, err := r.Read(AppendFailure(nil, sdk.Retry(time.Second, "busy")), 4); !isFailure(err, "busy", time.Second) {
		t.Errorf("failure frame: %v", err)
	}
}

func isFailure(err error, message string, after time.Duration) bool {
	f := (*sdk.Failure)(nil)
	return errors.As(err, &f) && f.Message == message && f.After == after
}

func TestCallsRoundTrip(t *testing.T) {
	t.Parallel()
	conf := Configure{
		Now: testNow, Settings: []byte(`{"a":1}`), Instance: "store", Major: 1, Minor: 2, Grants: GrantLog | GrantHTTP,
		Files: []File{{ID: 3, FileInfo: sdk.FileInfo{Name: "a.csv", Size: 12, Modified: 5, Identity: 9}}, {}},
	}
	poll := sdk.PollRequest{Checkpoint: []byte{0, 1}, Limit: 50}
	harvest := sdk.PollResult{
		Items: []feedback.Item{fullItem()}, Rejects: []sdk.Reject{{Position: "line 3", Code: "bad_score", Message: "found x", Raw: "x,y"}, {}},
		Notices: []sdk.Notice{{Position: "line 1", Code: "damaged_ids", Message: "5.7E+17"}}, Next: []byte("n"), Batch: "b", More: true, Wait: 2 * time.Second,
	}
	receive := sdk.ReceiveRequest{Headers: map[string]string{"content-type": "text/plain", "x": ""}, Body: []byte("hi")}
	received := sdk.ReceiveResult{Items: []feedback.Item{fullItem()}, Rejects: []sdk.Reject{{Code: "c"}}}
	message := sdk.Message{Key: "k", Attempt: 2, Kind: "notify", At: 77, Body: []byte("{}")}
	request := sdk.HTTPRequest{
		Method: "POST", URL: "http://127.0.0.1/x", Headers: map[string]string{"a": "b"}, Body: []byte("body"),
		Auth: sdk.HTTPAuth{Scheme: "bearer", Secret: "s"}, Sign: sdk.HTTPSign{Scheme: "standard-webhooks", Secret: "t", ID: "i", Timestamp: 8},
	}
	response := sdk.HTTPResponse{Status: 204, Headers: map[string]string{"a": "b"}, Body: []byte("ok")}
	failure := &sdk.Failure{Fatal: true, Code: "c", Message: "m", After: time.Hour}

	same(t, conf)(ReadConfigure(AppendConfigure(nil, &conf)))
	same(t, poll)(ReadPoll(AppendPoll(nil, testNow, poll)))
	same(t, harvest)(ReadPollResult(AppendPollResult(nil, &harvest), 3))
	same(t, receive)(ReadReceive(AppendReceive(nil, testNow, receive)))
	same(t, received)(ReadReceiveResult(AppendReceiveResult(nil, &received)))
	same(t, message)(ReadDeliver(AppendDeliver(nil, testNow, message)))
	same(t, request)(ReadHTTPRequest(AppendHTTPRequest(nil, &request)))
	same(t, response)(ReadHTTPResponse(AppendHTTPResponse(nil, &response)))
	same(t, conf.Files)(ReadFiles(AppendFiles(nil, conf.Files)))
	same(t, failure)(ReadFailure(AppendFailure(nil, failure)))
	if err := ReadOK(AppendOK(nil)); err != nil {
		t.Error(err)
	}
	if _, err := ReadPollResult(AppendPollResult(nil, &harvest), 2); err == nil || !strings.Contains(err.Error(), "more items") {
		t.Errorf("a poll over its limit: %v", err)
	}
}

func same[T any](t *testing.T, want T) func(T, error) {
	return func(got T, err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
}
