package wasmhost

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

func TestPollReadsGrantedFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"b.txt": "third", "a.txt": "first line\nsecond line that is longer\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := loadGuest(t, host.Spec{Grants: host.Grants{File: dir}})
	r, err := p.Poll(t.Context(), sdk.PollRequest{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, it := range r.Items[1:] {
		lines = append(lines, it.ExternalID+"="+it.Text)
	}
	if got := strings.Join(lines, ";"); got != "a.txt:1=first line;a.txt:2=second line that is longer;b.txt:1=third" {
		t.Errorf("got %s", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "c.txt"), []byte("later"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "a.txt")); err != nil {
		t.Fatal(err)
	}
	if r, err = p.Poll(t.Context(), sdk.PollRequest{Limit: 100}); err != nil || len(r.Items) != 3 || r.Items[2].Text != "later" {
		t.Errorf("got %+v, %v", r.Items, err)
	}
	if _, err := p.Poll(t.Context(), sdk.PollRequest{Limit: 1}); err == nil {
		t.Error("more items than asked for were accepted")
	}
}

// TestKV keeps a pair in one call, and finds it in another instance and another version of the plugin.
func TestKV(t *testing.T) {
	t.Parallel()
	kv := &hosttest.KV{}
	p := loadGuest(t, host.Spec{KV: kv, Limits: host.Limits{KVKeys: 2}})
	if got := themes(t, p, "!get a"); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	long := strings.Repeat("x", 5000)
	themes(t, p, "!put a "+long)
	other := loadGuest(t, host.Spec{KV: kv, Settings: []byte(`{"url": "x"}`), Limits: host.Limits{KVKeys: 2}})
	if got := themes(t, other, "!get a"); len(got) != 1 || string(got[0]) != long {
		t.Errorf("got %v", got)
	}
	for _, text := range []string{"!panic", "!retry"} { // what came before it in the batch is not kept either
		if _, err := p.Categorize(t.Context(), texts("!put b 2", text)); err == nil {
			t.Errorf("%s: no error", text)
		}
	}
	if got := themes(t, other, "!get b"); len(got) != 0 {
		t.Errorf("a call that failed left %v behind", got)
	}
	themes(t, p, "!put b 2")
	_, err := p.Categorize(t.Context(), texts("!put c 3"))
	if f := wantError(t, err, host.CodeRefused).Failure(); f == nil || !f.Fatal {
		t.Errorf("more keys than the program allows: %v", err)
	}
	themes(t, p, "!put a ")
	if got := themes(t, other, "!get a"); len(got) != 0 {
		t.Errorf("a removed key has %v", got)
	}
	kv.Break(errors.New("the disk is gone"))
	_, err = p.Categorize(t.Context(), texts("!put b 3"))
	if f := wantError(t, err, host.CodeRefused).Failure(); f == nil || f.Fatal {
		t.Errorf("a store that cannot be used: %v", err)
	}
}

// TestOneInstancePolls counts polls in the instance's memory.
func TestOneInstancePolls(t *testing.T) {
	t.Parallel()
	p := loadGuest(t, host.Spec{})
	poll := func(want string) {
		t.Helper()
		r, err := p.Poll(t.Context(), sdk.PollRequest{Limit: 10})
		if err != nil || r.Items[0].Text != want {
			t.Errorf("got %+v, %v; want %s", r.Items, err, want)
		}
	}
	poll("1")
	themes(t, p, "the box") // by another instance
	poll("2")
	_, err := p.Poll(t.Context(), sdk.PollRequest{Checkpoint: []byte("panic"), Limit: 10})
	wantError(t, err, host.CodeTrap)
	poll("1")
}

func TestReceive(t *testing.T) {
	t.Parallel()
	p := loadGuest(t, host.Spec{})
	r, err := p.Receive(t.Context(), sdk.ReceiveRequest{Headers: map[string]string{"x-title": "Ä"}, Body: []byte("body")})
	if err != nil || len(r.Items) != 1 || r.Items[0].Text != "body" || r.Items[0].Title != "Ä" {
		t.Errorf("got %+v, %v", r, err)
	}
	if r, err = p.Receive(t.Context(), sdk.ReceiveRequest{}); err != nil || len(r.Rejects) != 1 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestDeliver(t *testing.T) {
	t.Parallel()
	var got *http.Request
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	}))
	defer srv.Close()
	spec := host.Spec{
		Settings: []byte(`{"url": "` + srv.URL + `/hook"}`),
		Grants:   host.Grants{HTTP: []string{strings.TrimPrefix(srv.URL, "http://")}},
		Secrets: func(name string) ([]byte, error) {
			return map[string][]byte{"hook": []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "token": []byte("t0ken")}[name], nil
		},
	}
	m := sdk.Message{Key: "msg_p5jXN8AQM9LWM0D4loKWxJek", Attempt: 1, At: feedback.Time(1614265330_000), Body: []byte(`{"test": 2432232314}`)}
	p := loadGuest(t, spec)
	if err := p.Deliver(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if s := got.Header.Get("Webhook-Signature"); s != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" || got.Header.Get("Authorization") != "Bearer t0ken" {
		t.Errorf("got %v", got.Header)
	}
	m.Body = []byte(`{"long": "` + strings.Repeat("x", 100<<10) + `"}`) // more than the guest's first buffer
	if err := p.Deliver(t.Context(), m); err != nil {
		t.Error(err)
	}
	spec.Grants.HTTP = []string{"elsewhere.example"}
	err := loadGuest(t, spec).Deliver(t.Context(), m)
	if f := wantError(t, err, host.CodeRefused).Failure(); f == nil || f.Code != "host_not_allowed" || !f.Fatal {
		t.Errorf("got %v", err)
	}
}
