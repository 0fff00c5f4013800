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

// Receiver checks a receiver with requests that it should understand, besides garbage. A good request gives items, the
// same ones each time, for senders repeat themselves; garbage gives rejects or an error, never a panic.
func Receiver(t TB, fresh func() (sdk.Receiver, error), good ...sdk.ReceiveRequest) {
	t.Helper()
	for i, req := range good {
		what := fmt.Sprintf("request %d", i)
		first, err := receive(open(t, fresh), req)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
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
	for _, body := range garbage(good) {
		req := sdk.ReceiveRequest{Headers: map[string]string{"content-type": "application/json"}, Body: []byte(body)}
		res, err := receive(open(t, fresh), req)
		if _, ok := err.(*panicError); ok {
			t.Errorf("body %.60q: %v", body, err)
		}
		checkReceived(t, res, fmt.Sprintf("body %.60q", body))
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
