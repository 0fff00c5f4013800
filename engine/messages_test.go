package engine_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/plugins/slack"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// TestSlackTellsWhatTheEngineSays delivers what rules decide to a server in place of Slack's, which is busy at first,
// and wants the plugin to read all that the engine writes: of an item and of an alert.
func TestSlackTellsWhatTheEngineSays(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	posted := make(chan string, 16)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if requests.Add(1) == 1 {
			http.Error(w, "rate_limited", http.StatusTooManyRequests)
			return
		}
		posted <- r.URL.Path + " " + string(body)
		_, _ = io.WriteString(w, "ok")
	}))
	t.Cleanup(server.Close)

	program := strings.NewReplacer(
		"team: {plugin: native:sink,", "team: {plugin: native:slack, grants: {http: [\""+strings.TrimPrefix(server.URL, "http://")+"\"]}, settings: {webhook: hook, timezone: Europe/Berlin},",
		"name: test\n", "name: test\nsecrets: {hook: {file: hook.txt}}\n",
		`{assign: {queue: product}}`, `{assign: {queue: product, owner: ben}}`, `{case: {sla: 48h}}`, `{case: {sla: 48h, priority: high}}`,
		`alert: {severity: critical, summary: "safety"}`, `alert: {severity: critical, notify: team, wait: 10ms, summary: "safety: {text}"}`,
	).Replace(programFiles) + "\n-- hook.txt --\n" + server.URL + "/services/s3cret\n"
	p := &parts{}
	e := open(t, writeProgram(t, program), p, func(o *engine.Options) {
		o.Native = p.native()
		o.Native["slack"] = slack.Plugin
	})
	item := answer("1", 2, "hard to open #packaging")
	item.Customer = feedback.Customer{ID: "c-1", Name: "Zoë Müller"}
	if _, err := e.Ingest(t.Context(), "app", item); err != nil {
		t.Fatal(err)
	}
	run(t, e)
	next := func(kind string, parts ...string) {
		t.Helper()
		select {
		case got := <-posted:
			for _, part := range parts {
				if !strings.Contains(got, part) {
					t.Errorf("%s: got %s, want it to hold %s", kind, got, part)
				}
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: nothing was posted", kind)
		}
	}
	next("notify", "/services/s3cret {", `"Detractor: Zoë Müller"`, `">hard to open #packaging"`, `"*Score*\nNPS 2 of 10"`, `"*Themes*\npackaging"`,
		`"*Queue*\nproduct"`, `"*Owner*\nben"`, `"*Priority*\nhigh"`, `"*Case*\n`, `"*Answer due*\n`, `"rule packaging"`, "CET")
	if _, err := e.Ingest(t.Context(), "app", answer("2", 9, "it caught fire")); err != nil {
		t.Fatal(err)
	}
	next("alert", `"🔴 1 firing: safety"`, `🔴 safety: it caught fire *new*`, "since ")
}
