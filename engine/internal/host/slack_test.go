package host_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
	"github.com/closedloop/closedloop/plugins/slack"
	"github.com/closedloop/closedloop/sdk"
)

// TestSlackInASandbox posts a message from a module and from the code itself, and wants the same bytes at a URL that
// neither has seen. What Slack answers comes back through the sandbox.
func TestSlackInASandbox(t *testing.T) {
	const dir = "plugins/slack/cmd"
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.Method+" "+r.URL.Path+" "+r.Header.Get("Webhook-Id")+" "+string(body))
		if strings.Contains(string(body), "again") {
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(http.StatusTooManyRequests)
		}
		_, _ = io.WriteString(w, "ok")
	}))
	t.Cleanup(server.Close)
	spec := host.Spec{
		ID: "care", Manifest: hosttest.Manifest(t, dir), Settings: []byte(`{"webhook": "care", "timezone": "Europe/Berlin"}`),
		Grants:  host.Grants{HTTP: []string{strings.TrimPrefix(server.URL, "http://")}},
		Secrets: func(string) ([]byte, error) { return []byte(server.URL + "/services/s3cret"), nil },
	}
	message := sdk.Message{Key: "msg_1", Attempt: 1, Kind: "notify", Body: []byte(`{"kind": "notify", "rule": "r", "at": "2026-03-01T10:00:01.000Z",
		"severity": "critical", "item": {"id": "f_1", "survey": "nps", "score": 2, "text": "Late & <cold>"}}`)}
	for name, p := range load(t, dir, slack.Plugin, spec, "native", "wasm") {
		if err := p.Deliver(t.Context(), message); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		again := message
		again.Body = []byte(`{"text": "again"}`)
		if f := sdk.FailureOf(p.Deliver(t.Context(), again)); f == nil || f.Fatal || f.After != 30*time.Second {
			t.Errorf("%s: got %+v, want one to be tried again after 30 s", name, f)
		}
	}
	if len(got) != 4 || got[0] != got[2] || !strings.HasPrefix(got[0], "POST /services/s3cret msg_1 {") || !strings.Contains(got[0], "2026-03-01 11:00 CET") {
		t.Errorf("the server was given %q", got)
	}
}
