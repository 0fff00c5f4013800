package engine_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/tools/txtar"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

func TestMain(m *testing.M) {
	if name := os.Getenv(victimEnv); name != "" {
		os.Exit(runVictim(name))
	}
	if os.Getenv(posterEnv) != "" {
		os.Exit(poster())
	}
	goleak.VerifyTestMain(m)
}

// words is a categorizer of the host itself: a theme for each word that begins with #.
type words struct{}

func (words) Categorize(_ context.Context, items []feedback.Item, out []sdk.Result) error {
	for i := range items {
		if strings.Contains(items[i].Text, "poison") {
			out[i].Err = sdk.Fatal("cannot read this")
		}
		for word := range strings.FieldsSeq(items[i].Text) {
			if path, ok := strings.CutPrefix(word, "#"); ok {
				out[i].AddTheme(feedback.ThemePath(path), 0.9)
			}
		}
	}
	return nil
}

// sink is a destination of the host itself: it keeps what it is sent, as long as it is open.
type sink struct {
	mu   sync.Mutex
	shut error // what every delivery fails with
	got  []sdk.Message
}

func (s *sink) Deliver(_ context.Context, m sdk.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut != nil {
		return s.shut
	}
	s.got = append(s.got, m)
	return nil
}

func (s *sink) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = err
}

func (s *sink) messages() []sdk.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]sdk.Message(nil), s.got...)
}

// feed is a source of the host itself: it hands out its items from the checkpoint on.
type feed struct {
	mu    sync.Mutex
	items []feedback.Item
}

func (f *feed) Poll(_ context.Context, req sdk.PollRequest) (sdk.PollResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	from := 0
	for _, c := range req.Checkpoint {
		from = from*10 + int(c-'0')
	}
	to := min(from+req.Limit, len(f.items))
	next := []byte{}
	for n := to; n > 0; n /= 10 {
		next = append([]byte{byte('0' + n%10)}, next...)
	}
	return sdk.PollResult{Items: f.items[from:to], Next: next, Batch: "feed", More: to < len(f.items)}, nil
}

func native(ability sdk.Ability, plugin any) sdk.Plugin {
	return sdk.Plugin{
		Manifest: []byte("name: host-" + string(ability) + "\nversion: 1.0.0\ncontract: \"1.0\"\nabilities: [" + string(ability) + "]\n"),
		New:      func(context.Context, sdk.Host, []byte) (any, error) { return plugin, nil },
	}
}

const programFiles = `
-- program.yaml --
version: 1
name: test
timezone: UTC
sources:
  feed: {plugin: native:feed, every: 1h}
categorizers:
  words: {plugin: native:words}
destinations:
  team: {plugin: native:sink, retry: {base: 10ms, cap: 50ms, attempts: 3}}
queues:
  care: {owners: [anna]}
  product: {owners: [ben]}
-- rules/route.yaml --
version: 1
groups:
  - name: route
    match: first
    rules:
      - id: packaging
        when: nps <= 6 && "packaging" in themes
        do: [{assign: {queue: product}}, {case: {sla: 48h}}, {notify: {destination: team, message: "{text}"}}]
      - id: detractor
        when: nps <= 6
        do: [{assign: {queue: care}}, {case: {sla: 48h}}, {notify: {destination: team, message: "{text}"}}]
  - name: alerts
    rules:
      - id: safety
        when: text contains "fire"
        do: [{alert: {severity: critical, summary: "safety"}}]
`

// writeProgram writes the files of a txtar archive into a new folder.
func writeProgram(t testing.TB, files string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range txtar.Parse([]byte(files)).Files {
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// parts are the host's own plugins of a test program.
type parts struct {
	feed feed
	sink sink
}

func (p *parts) native() map[string]sdk.Plugin {
	return map[string]sdk.Plugin{
		"feed":  native(sdk.AbilityPoll, &p.feed),
		"words": native(sdk.AbilityCategorize, words{}),
		"sink":  native(sdk.AbilityDeliver, &p.sink),
	}
}

func open(t testing.TB, dir string, p *parts, change ...func(*engine.Options)) *engine.Engine {
	t.Helper()
	o := engine.Options{Native: p.native(), Profile: engine.Small}
	for _, c := range change {
		c(&o)
	}
	e, err := engine.Open(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeEngine(t, e) })
	return e
}

// closeEngine ends an engine, whose store is then as it should be.
func closeEngine(t testing.TB, e *engine.Engine) {
	t.Helper()
	switch r, err := e.CheckStore(context.Background(), nil); {
	case errors.Is(err, engine.ErrClosed):
	case err != nil:
		t.Error("check:", err)
	case r.Wrong > 0:
		t.Errorf("check: %d faults: %+v", r.Wrong, r.Findings[:min(5, r.Wrong)])
	}
	if err := e.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func answer(id string, score float64, text string) feedback.Item {
	return feedback.Item{ExternalID: id, Survey: feedback.NPS, Score: &score, Text: text, OccurredAt: 1_772_445_600_000}
}
