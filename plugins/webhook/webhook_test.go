package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/sdktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// receiver is a server on loopback that keeps what it is sent and gives one answer.
type receiver struct {
	*httptest.Server
	answer http.HandlerFunc // nil says 204

	mu      sync.Mutex
	headers []http.Header
	bodies  []string
}

func receive(t *testing.T, answer http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(r)
	t.Cleanup(func() {
		r.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil || req.Method != http.MethodPost || req.URL.Path != "/feedback" {
		http.Error(w, "expected a POST to /feedback", http.StatusNotFound)
		return
	}
	r.mu.Lock()
	r.headers, r.bodies = append(r.headers, req.Header), append(r.bodies, string(body))
	r.mu.Unlock()
	if r.answer != nil {
		r.answer(w, req)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (r *receiver) keys() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var keys []string
	for _, h := range r.headers {
		keys = append(keys, h.Get("webhook-id"))
	}
	return keys
}

// host grants the receiver, with the secret of the published vector.
func (r *receiver) host(t *testing.T) *sdktest.Host {
	return &sdktest.Host{
		Allow:   []string{strings.TrimPrefix(r.URL, "http://")},
		Secrets: map[string]string{"hook": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
		Clock:   feedback.Time(1614265330_000),
		Logf:    t.Logf,
	}
}

func opener(p sdk.Plugin, host sdk.Host, format string, args ...any) func() (sdk.Deliverer, error) {
	return sdktest.Open[sdk.Deliverer](p, host, fmt.Sprintf(format, args...))
}

func (r *receiver) hook(t *testing.T, more string) sdk.Deliverer {
	t.Helper()
	d, err := opener(Plugin, r.host(t), `{"url": %q%s}`, r.URL+"/feedback", more)()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var message = sdk.Message{Key: "msg_p5jXN8AQM9LWM0D4loKWxJek", Attempt: 1, Kind: "notify", Body: []byte(`{"test": 2432232314}`)}

func TestConformance(t *testing.T) {
	r := receive(t, nil)
	fresh := opener(Plugin, r.host(t), `{"url": %q, "secret": "hook"}`, r.URL+"/feedback")
	sdktest.Deliverer(t, fresh, message, r.keys)
}

// TestSigned holds the vector that standardwebhooks.com publishes.
func TestSigned(t *testing.T) {
	r := receive(t, nil)
	if err := r.hook(t, `, "secret": "hook", "headers": {"X-Program": "retail"}`).Deliver(t.Context(), message); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Content-Type":      "application/json",
		"Webhook-Id":        "msg_p5jXN8AQM9LWM0D4loKWxJek",
		"Webhook-Timestamp": "1614265330",
		"Webhook-Signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		"X-Program":         "retail",
	} {
		if got := r.headers[0].Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if r.bodies[0] != string(message.Body) {
		t.Errorf("body: got %s, want %s", r.bodies[0], message.Body)
	}
}

func TestUnsigned(t *testing.T) {
	r := receive(t, nil)
	if err := r.hook(t, "").Deliver(t.Context(), message); err != nil {
		t.Fatal(err)
	}
	h := r.headers[0]
	if h.Get("webhook-id") != message.Key || h.Get("webhook-signature") != "" || h.Get("webhook-timestamp") != "" {
		t.Errorf("got %v, want the id and no signature", h)
	}
}

func TestAnswers(t *testing.T) {
	long := strings.Repeat("ä", 3000)
	tests := []struct {
		status      int
		header      string // Retry-After or Location
		body        string
		fatal       bool
		after       time.Duration
		want, never string
	}{
		{status: 200},
		{status: 201, body: "made"},
		{status: 299},
		{status: 301, header: "https://elsewhere.example.com/", want: "leads to https://elsewhere.example.com/: redirects are not followed; put the final address into the setting url"},
		{status: 304, want: "leads to another place"},
		{status: 400, body: "no such\n  field", fatal: true, want: "answered 400 and will not take this message: no such field"},
		{status: 401, header: "60", after: time.Minute, want: "answered 401; look at the setting url, and at the secrets"},
		{status: 404, body: "\xff\x00gone", want: "gone", never: "\xff"},
		{status: 408, want: "answered 408"},
		{status: 410, want: "answered 410"},
		{status: 422, body: long, fatal: true, want: strings.Repeat("ä", 100) + "…", never: strings.Repeat("ä", 101)},
		{status: 425, want: "answered 425"},
		{status: 429, header: "120", after: 2 * time.Minute, want: "answered 429"},
		{status: 429, header: "99999999999999999999", want: "answered 429"},
		{status: 429, header: "9999999999", after: 24 * time.Hour, want: "answered 429"},
		{status: 500, body: "oops", want: "the receiver answered 500: oops"},
		{status: 503, header: "Thu, 25 Feb 2021 15:03:10 GMT", after: time.Minute, want: "answered 503"},
		{status: 503, header: "Thursday, 25-Feb-21 15:03:10 GMT", after: time.Minute, want: "answered 503"},
		{status: 503, header: "Thu Feb 25 15:03:10 2021", after: time.Minute, want: "answered 503"},
		{status: 503, header: "Thu, 25 Feb 2021 14:00:00 GMT", want: "answered 503"},
		{status: 503, header: "Fri, 25 Feb 2022 14:00:00 GMT", after: 24 * time.Hour, want: "answered 503"},
		{status: 503, header: "soon", want: "answered 503"},
		{status: 503, header: "-5", want: "answered 503"},
		{status: 599, want: "answered 599"},
	}
	for _, tt := range tests {
		r := receive(t, func(w http.ResponseWriter, _ *http.Request) {
			if tt.header != "" {
				w.Header().Set("Retry-After", tt.header)
				w.Header().Set("Location", tt.header)
			}
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, tt.body)
		})
		err := r.hook(t, "").Deliver(t.Context(), message)
		if tt.want == "" {
			if err != nil {
				t.Errorf("%d: %v", tt.status, err)
			}
			continue
		}
		f := sdk.FailureOf(err)
		if f == nil || f.Fatal != tt.fatal || f.After != tt.after || !strings.Contains(f.Message, tt.want) {
			t.Errorf("%d %s: got %+v, want fatal %v after %v: %s", tt.status, tt.header, f, tt.fatal, tt.after, tt.want)
		} else if tt.never != "" && strings.Contains(f.Message, tt.never) {
			t.Errorf("%d: got %s", tt.status, f.Message)
		}
	}
}

func TestNoAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	d, err := opener(Plugin, &sdktest.Host{Allow: []string{address}}, `{"url": "http://%s/feedback"}`, address)()
	if err != nil {
		t.Fatal(err)
	}
	if f := sdk.FailureOf(d.Deliver(t.Context(), message)); f == nil || f.Fatal {
		t.Errorf("nobody listens: got %+v, want one to be tried again", f)
	}

	r := receive(t, func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) })
	if f := sdk.FailureOf(r.hook(t, "").Deliver(t.Context(), message)); f == nil || f.Fatal {
		t.Errorf("the connection ends: got %+v, want one to be tried again", f)
	}
}

// TestRefused is about what the host refuses: it does not pass by itself.
func TestRefused(t *testing.T) {
	r := receive(t, nil)
	for _, settings := range []string{
		fmt.Sprintf(`{"url": %q, "secret": "absent"}`, r.URL+"/feedback"),
		`{"url": "https://hooks.example.com/feedback"}`,
	} {
		d, err := opener(Plugin, r.host(t), "%s", settings)()
		if err != nil {
			t.Fatal(err)
		}
		if f := sdk.FailureOf(d.Deliver(t.Context(), message)); f == nil || !f.Fatal {
			t.Errorf("%s: got %+v, want a fatal failure", settings, f)
		}
	}
	if n := len(r.keys()); n > 0 {
		t.Errorf("the receiver was given %d messages, want none", n)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string]string{
		`[]`:          "settings: ",
		`{"url": ""}`: "url: found nothing, expected where to post",
		`{"url": "http://a", "headers": {"webhook-ID": "1", "content-type": "x"}}`: `headers.content-type: found the header "content-type", which the webhook sets itself` + "\n" +
			`headers.webhook-ID: found the header "webhook-ID", which the webhook sets itself`,
	} {
		_, err := Plugin.New(context.Background(), nil, []byte(settings))
		if f := sdk.FailureOf(err); f == nil || !f.Fatal || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", settings, err, want)
		}
	}
}

func TestManifest(t *testing.T) {
	t.Parallel()
	var raw any
	if err := yaml.Unmarshal(manifest, &raw); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	var m sdk.Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	if errs := m.Check(); len(errs) > 0 {
		t.Fatal(errs)
	}
	for url, valid := range map[string]bool{
		"https://hooks.example.com":        true,
		"https://hooks.example.com/a?b=c":  true,
		"http://127.0.0.1:8990/hooks":      true,
		"http://[::1]:8990/hooks":          true,
		"hooks.example.com/a":              false,
		"ftp://hooks.example.com":          false,
		"https://":                         false,
		"https://user:word@example.com/":   false,
		"https://hooks.example.com/a b":    false,
		" https://hooks.example.com/":      false,
		"https://hooks.example.com/a#part": true,
	} {
		_, errs := m.Settings.Complete(map[string]any{"url": url, "secret": "hook", "headers": map[string]any{"X-A": "b"}})
		if valid != (len(errs) == 0) {
			t.Errorf("%q: got %v, want valid %v", url, errs, valid)
		}
	}
}
