package sdktest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"reflect"
	"strings"

	"github.com/closedloop/closedloop/sdk"
)

// Receiver checks a receiver with requests that it should understand, besides garbage. It runs ReceiverChecks.
func Receiver(t TB, fresh func() (sdk.Receiver, error), good ...sdk.ReceiveRequest) {
	t.Helper()
	run(t, ReceiverChecks(fresh, good...))
}

// ReceiverChecks returns the checks of Receiver one by one, to be run in their order. A good request gives items, the
// same ones each time, for senders repeat themselves; garbage gives rejects or an error, never a panic.
func ReceiverChecks(fresh func() (sdk.Receiver, error), good ...sdk.ReceiveRequest) []Check {
	return []Check{
		opens(fresh),
		{"understands what it should, each time alike", func(t TB) {
			t.Helper()
			for i, req := range good {
				understands(t, fresh, req, fmt.Sprintf("request %d", i))
			}
		}},
		{"survives requests that nobody should send", func(t TB) {
			t.Helper()
			for _, body := range garbage(good) {
				req := sdk.ReceiveRequest{Headers: map[string]string{"content-type": "application/json"}, Body: []byte(body)}
				res, err := receive(open(t, fresh), req)
				if crashed(err) {
					t.Errorf("body %.60q: %v", body, err)
				}
				checkReceived(t, res, fmt.Sprintf("body %.60q", body))
			}
		}},
	}
}

func understands(t TB, fresh func() (sdk.Receiver, error), req sdk.ReceiveRequest, what string) {
	t.Helper()
	first, err := receive(open(t, fresh), req)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if len(first.Items) == 0 {
		t.Errorf("%s: no items; %d rejects: %+v", what, len(first.Rejects), first.Rejects)
	}
	checkReceived(t, first, what)
	again, err := receive(open(t, fresh), req)
	if err != nil || !reflect.DeepEqual(again, first) {
		t.Errorf("%s: the same request gives something else:\n got %+v, %v\nwant %+v", what, again, err, first)
	}
}

// receive hands a copy of the request to the instance.
func receive(instance sdk.Receiver, req sdk.ReceiveRequest) (res sdk.ReceiveResult, err error) {
	given := sdk.ReceiveRequest{Headers: maps.Clone(req.Headers), Body: bytes.Clone(req.Body)}
	err = safely(func() (err error) {
		res, err = instance.Receive(context.Background(), given)
		return err
	})
	return res, err
}

func checkReceived(t TB, res sdk.ReceiveResult, what string) {
	t.Helper()
	for i := range res.Items {
		checkItem(t, &res.Items[i], what)
	}
	for i := range res.Rejects {
		checkReject(t, &res.Rejects[i], what)
	}
}

// garbage returns bodies that nobody should send, among them every good body cut short.
func garbage(good []sdk.ReceiveRequest) []string {
	out := []string{
		"", " ", "null", "true", "0", `""`, "[]", "{}", "[null]", `{"":null}`, "{", "[[", `"\ud800"`, "\xff\xfe\x00", "\x00",
		`{"event_type":1}`, `[1,"a",{}]`, "a=b&c=d", "<xml/>", "1e999", strings.Repeat("[", 10_000), strings.Repeat("a", 1<<20),
	}
	for _, req := range good {
		for _, n := range []int{1, len(req.Body) / 2, len(req.Body) - 1} {
			if n > 0 && n < len(req.Body) {
				out = append(out, string(req.Body[:n]))
			}
		}
	}
	return out
}
