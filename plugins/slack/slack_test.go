package slack

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/sdktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// workspace is a server on loopback that answers a webhook as Slack does, and checks what it is sent.
type workspace struct {
	*httptest.Server
	t *testing.T

	mu      sync.Mutex
	answers []http.HandlerFunc // one for each request; then ok
	keys    []string
	posted  []string // the bodies that were taken
}

const path = "/services/T0/B0/s3cret"

func slack(t *testing.T, answers ...http.HandlerFunc) *workspace {
	t.Helper()
	w := &workspace{t: t, answers: answers}
	w.Server = httptest.NewServer(w)
	t.Cleanup(func() {
		w.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return w
}

func (w *workspace) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost || r.URL.Path != path {
		http.Error(rw, "no_service", http.StatusNotFound)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keys = append(w.keys, r.Header.Get("Webhook-Id"))
	if len(w.answers) > 0 {
		answer := w.answers[0]
		w.answers = w.answers[1:]
		answer(rw, r)
		return
	}
	if kind := r.Header.Get("Content-Type"); kind != "application/json; charset=utf-8" {
		w.t.Errorf("Content-Type: got %q", kind)
	}
	checkPayload(w.t, "posted", body)
	w.posted = append(w.posted, string(body))
	_, _ = io.WriteString(rw, "ok")
}

func (w *workspace) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.keys)
}

// answers answers as told.
func answers(status int, retryAfter, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func (w *workspace) host() *sdktest.Host {
	return &sdktest.Host{
		Allow:   []string{strings.TrimPrefix(w.URL, "http://")},
		Secrets: map[string]string{"care": w.URL + path, "gone": w.URL + "/services/T0/B0/old"}, Logf: w.t.Logf,
	}
}

const plain = `{"webhook": "care", "timezone": "UTC", "channel": "#care"}`

func (w *workspace) channel() sdk.Deliverer {
	w.t.Helper()
	d, err := sdktest.Open[sdk.Deliverer](Plugin, w.host(), plain)()
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// message is the message of a golden file.
func message(t *testing.T, name string) sdk.Message {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/" + name + ".txtar")
	if err != nil {
		t.Fatal(err)
	}
	return sdk.Message{Key: "msg_p5jXN8AQM9LWM0D4loKWxJek", Attempt: 1, Kind: "notify", Body: archive.Files[1].Data}
}

func TestConformance(t *testing.T) {
	w := slack(t)
	fresh := sdktest.Open[sdk.Deliverer](Plugin, w.host(), plain)
	for _, name := range []string{"notify", "alert", "digest"} {
		sdktest.Deliverer(t, fresh, message(t, name), w.seen)
	}
	openWith := func(settings string) error {
		_, err := sdktest.Open[sdk.Deliverer](Plugin, w.host(), settings)()
		return err
	}
	sdktest.Settings(t, openWith, readManifest(t).Settings, plain)
}

// TestBusyThenOK is a message that comes when Slack has enough, and is tried again.
func TestBusyThenOK(t *testing.T) {
	w := slack(t, answers(429, "30", "rate_limited"), func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	d, m := w.channel(), message(t, "notify")
	f := sdk.FailureOf(d.Deliver(t.Context(), m))
	if f == nil || f.Fatal || f.After != 30*time.Second || f.Message != "Slack answered 429 for #care: rate_limited" {
		t.Errorf("got %+v, want one to be tried again after 30 s", f)
	}
	m.Attempt++
	if f := sdk.FailureOf(d.Deliver(t.Context(), m)); f == nil || f.Fatal || strings.Contains(f.Message, "s3cret") {
		t.Errorf("the connection ends: got %+v, want one to be tried again", f)
	}
	m.Attempt++
	if err := d.Deliver(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if len(w.posted) != 1 || !slices.Equal(w.seen(), []string{m.Key, m.Key, m.Key}) {
		t.Errorf("got the keys %q and %d posts, want the same key three times and one post", w.seen(), len(w.posted))
	}
	if want := `"text":"Detractor: Zoë Müller: A gold customer is unhappy with the box &amp; waits &lt;4h&gt;"`; !strings.Contains(w.posted[0], want) {
		t.Errorf("got %s, want it to hold %s", w.posted[0], want)
	}
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		status     int
		retryAfter string
		body       string
		fatal      bool
		after      time.Duration
		want       string
	}{
		{status: 302, want: "Slack answered 302 for #care"},
		{status: 400, body: "invalid_payload", fatal: true, want: "Slack answered 400 and will not take this message for #care: invalid_payload"},
		{status: 400, body: "invalid_blocks\n", fatal: true, want: ": invalid_blocks"},
		{status: 403, body: "action_prohibited", want: ": action_prohibited; an administrator of the workspace must allow it"},
		{status: 403, body: "invalid_token", want: "; the webhook is no longer: make a new one and put its URL into the secret"},
		{status: 404, body: "no_service", want: ": no_service; the webhook is no longer"},
		{status: 410, body: "channel_is_archived", want: "; make a webhook for another channel"},
		{status: 413, body: "\xff" + strings.Repeat("ä", 5000), fatal: true, want: ": ää"},
		{status: 408, want: "Slack answered 408 for #care"},
		{status: 429, want: "Slack answered 429 for #care"},
		{status: 429, retryAfter: "soon", want: "Slack answered 429 for #care"},
		{status: 429, retryAfter: "-1", want: "Slack answered 429 for #care"},
		{status: 429, retryAfter: "9999999999", after: 24 * time.Hour, want: "Slack answered 429 for #care"},
		{status: 500, body: "rollup_error", want: "Slack answered 500 for #care: rollup_error"},
		{status: 503, retryAfter: " 7", after: 7 * time.Second, want: "Slack answered 503"},
	} {
		w := slack(t, answers(c.status, c.retryAfter, c.body))
		f := sdk.FailureOf(w.channel().Deliver(t.Context(), message(t, "other")))
		if f == nil || f.Fatal != c.fatal || f.After != c.after || !strings.Contains(f.Message, c.want) || len(f.Message) > 300 {
			t.Errorf("%d %s: got %+v, want fatal %v after %v: %s", c.status, c.body, f, c.fatal, c.after, c.want)
		}
	}
}

// TestRefused is about what does not pass by itself, before anything is sent.
func TestRefused(t *testing.T) {
	w := slack(t)
	h := w.host()
	for secret, url := range map[string]string{"absent": "", "far": "https://hooks.slack.com" + path} {
		if url != "" {
			h.Secrets[secret] = url
		}
		d, err := sdktest.Open[sdk.Deliverer](Plugin, h, fmt.Sprintf(`{"webhook": %q, "timezone": "UTC"}`, secret))()
		if err != nil {
			t.Fatal(err)
		}
		f := sdk.FailureOf(d.Deliver(t.Context(), message(t, "notify")))
		if f == nil || !f.Fatal || strings.Contains(f.Message, "s3cret") {
			t.Errorf("%s: got %+v, want a fatal failure without the secret", secret, f)
		}
	}
	for _, body := range []string{"", "{", "[]", `{"at": 7}`} {
		m := message(t, "notify")
		m.Body = []byte(body)
		if f := sdk.FailureOf(w.channel().Deliver(t.Context(), m)); f == nil || !f.Fatal || !strings.HasPrefix(f.Message, "the message: ") {
			t.Errorf("%q: got %+v, want a fatal failure", body, f)
		}
	}
	if n := len(w.seen()); n > 0 {
		t.Errorf("Slack was given %d messages, want none", n)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string]string{
		`[]`:                                    "settings: ",
		`{}`:                                    "webhook: found nothing, expected the name of the secret that is the webhook's URL",
		`{"webhook": "a", "timezone": "Mars"}`:  `timezone: found "Mars", expected a name such as Europe/Berlin`,
		`{"webhook": "a", "timezone": "Local"}`: `timezone: found "Local", expected a name such as Europe/Berlin`,
		`{"webhook": "a", "mentions": {"critcal": ["here"], "info": []}}`: `mentions.critcal: found the severity "critcal", expected one of [info warning critical]; did you mean "critical"?`,
	} {
		_, err := Plugin.New(context.Background(), nil, []byte(settings))
		if f := sdk.FailureOf(err); f == nil || !f.Fatal || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", settings, err, want)
		}
	}
}

func readManifest(t *testing.T) sdk.Manifest {
	t.Helper()
	data, err := os.ReadFile("plugin.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var raw any
	if err := yaml.Unmarshal(data, &raw); err != nil {
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
	return m
}

func TestManifest(t *testing.T) {
	t.Parallel()
	m := readManifest(t)
	if errs := m.Check(); len(errs) > 0 {
		t.Fatal(errs)
	}
	for who, valid := range map[string]bool{
		"here": true, "channel": true, "everyone": true, "U024BE7LH": true, "W012A3CDE": true, "S0614TZR7": true,
		"@here": false, "anna": false, "U1>": false, "<!here>": false, "": false,
	} {
		_, errs := m.Settings.Complete(map[string]any{"webhook": "care", "mentions": map[string]any{"critical": []any{who}}})
		if valid != (len(errs) == 0) {
			t.Errorf("%q: got %v, want valid %v", who, errs, valid)
		}
	}
}
