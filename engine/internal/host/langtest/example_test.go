package langtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
	"github.com/closedloop/closedloop/engine/internal/host/wasmhost"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/sdktest"
)

// load loads a module as the engine does, with its manifest's defaults for settings that are not given.
func load(tb testing.TB, dir string, wasm []byte, spec host.Spec) host.Plugin {
	tb.Helper()
	spec.Manifest = hosttest.Manifest(tb, dir)
	given := map[string]any{}
	if len(spec.Settings) > 0 {
		if err := json.Unmarshal(spec.Settings, &given); err != nil {
			tb.Fatal(err)
		}
	}
	complete, problems := spec.Manifest.Settings.Complete(given)
	if len(problems) > 0 {
		tb.Fatal(problems)
	}
	var err error
	if spec.Settings, err = json.Marshal(complete); err != nil {
		tb.Fatal(err)
	}
	spec.ID = "plugin"
	ctx := context.Background()
	rt, err := wasmhost.New("")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = rt.Close(ctx) })
	p, err := rt.Load(ctx, wasm, spec)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Close(ctx); err != nil {
			tb.Error(err)
		}
	})
	return p
}

// hosted is a loaded plugin as the conformance suite takes it.
type hosted struct{ host.Plugin }

func (h hosted) Categorize(ctx context.Context, items []feedback.Item, out []sdk.Result) error {
	batch, err := h.Plugin.Categorize(ctx, items)
	if err != nil {
		return err
	}
	defer batch.Release()
	for i := range out {
		r := &batch.Results[i]
		if s := r.Labels.Sentiment; s != nil {
			out[i].Labels.Sentiment = new(*s)
		}
		for j := range r.Labels.Themes {
			t := &r.Labels.Themes[j]
			added := out[i].AddTheme(t.Path, t.Confidence, append([]feedback.Span(nil), t.Evidence...)...)
			if t.Sentiment != nil {
				added.Sentiment = new(*t.Sentiment)
			}
		}
		out[i].Drop, out[i].Err = r.Drop, r.Err
	}
	return nil
}

// said is the labels of an item in short: themes with their sentiment and what their evidence covers.
func said(it *feedback.Item, r *sdk.Result) string {
	var parts []string
	for i := range r.Labels.Themes {
		t := &r.Labels.Themes[i]
		part := string(t.Path)
		if t.Sentiment != nil {
			part += fmt.Sprintf(" %+.2g", *t.Sentiment)
		}
		for _, s := range t.Evidence {
			part += fmt.Sprintf(" [%s]", it.Text[s.Start:s.End])
		}
		parts = append(parts, part)
	}
	if s := r.Labels.Sentiment; s != nil {
		parts = append(parts, fmt.Sprintf("sentiment %+.2g", *s))
	}
	return strings.Join(parts, ", ")
}

// examples are the plugins of examples/plugins, and what they say of texts.
var examples = map[string]struct {
	settings string
	texts    [][2]string // a text, and what is said of it
}{
	"rust": {`{"competitors": ["Acme"]}`, [][2]string{
		{"I will NEVER again buy here, Acme is better.", "churn/leaving -0.8 [NEVER again], churn/competitor [Acme]"},
		{"Ich schätze Acmes Preise, never against", ""},
		{"please close my account", "churn/leaving -0.8 [close my account]"},
		{"€ last time I", "churn/leaving -0.8 [last time I]"},
	}},
	"c": {`{"own_domains": ["shop.example"]}`, [][2]string{
		{"Write to jürgen.k@mail.example.com. Or help@shop.example, @nobody, a@b", "privacy/email [jürgen.k@mail.example.com]"},
		{"card 4111 1111-1111 1111, not 4111 1111 1111 1112!", "privacy/card [4111 1111-1111 1111]"},
		{"call +49 30 1234567, or 030/7654321-0; order 12345", "privacy/phone [+49 30 1234567] [030/7654321-0]"},
		{"a123456789 123456789b 12.5 % in 2024", ""},
	}},
	"assemblyscript": {`{}`, [][2]string{
		{"Für mich 4,5 von 5 Sternen.", "rating/stated [4,5 von 5], sentiment +0.8"},
		{"I give it 9 out of 10!", "rating/stated [9 out of 10], sentiment +0.8"},
		{"naja ★★☆☆☆ naja", "rating/stated [★★☆☆☆], sentiment -0.2"},
		{"1 star", "rating/stated [1 star], sentiment -0.6"},
		{"on 11/5/2024 and 12/5, 7/8 of 3.1/50", ""},
	}},
}

// TestExamples runs the example of each language through the conformance suite, and on texts of its own.
func TestExamples(t *testing.T) {
	t.Parallel()
	for _, l := range languages {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			example := examples[l.name]
			p := load(t, "examples/plugins/"+l.name, module(t, l.example), host.Spec{Settings: []byte(example.settings)})
			var items []feedback.Item
			for _, text := range example.texts {
				items = append(items, feedback.Item{Text: text[0]})
			}
			sdktest.Categorizer(t, func() (sdk.Categorizer, error) { return hosted{p}, nil }, items...)
			out := make([]sdk.Result, len(items))
			if err := (hosted{p}).Categorize(t.Context(), items, out); err != nil {
				t.Fatal(err)
			}
			for i := range out {
				if got := said(&items[i], &out[i]); got != example.texts[i][1] {
					t.Errorf("%q: found %q, expected %q", items[i].Text, got, example.texts[i][1])
				}
			}
		})
	}
}

// TestHostFunctions has guests call what the host offers.
func TestHostFunctions(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, r.Method+" "+r.Header.Get("x-test")+" "+string(body)+strings.Repeat("!", 40_000))
	}))
	t.Cleanup(func() { // after the tests of the languages, which are parallel
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte("what the file holds"), 0o600); err != nil {
		t.Fatal(err)
	}
	each(t, func(t *testing.T, language string) {
		var log strings.Builder
		p := load(t, "testdata/plugins/"+language+"-echo", module(t, language+"-echo"), host.Spec{
			Grants: host.Grants{Log: true, File: dir, HTTP: []string{strings.TrimPrefix(server.URL, "http://")}, KV: true}, Log: zerolog.New(&log),
			KV: &hosttest.KV{}, Limits: host.Limits{Deadline: time.Minute, Instances: 1},
		})
		if !strings.Contains(log.String(), `grants=`) {
			t.Errorf("the log has %q", log.String())
		}
		ask := func(question string) (string, error) {
			b, err := p.Categorize(t.Context(), []feedback.Item{{Source: "host", Text: question, ReceivedAt: 255}})
			if err != nil {
				return "", err
			}
			defer b.Release()
			return strings.TrimPrefix(b.Results[0].Drop, "host\n"), b.Results[0].Err
		}
		long := strings.Repeat("v", 3000)
		for _, turn := range [][2]string{
			{"now", "now=00000000000000ff\n"},
			{"files", "file=a.txt\nsize=0000000000000013\n"},
			{"read a.txt", "content=what the file holds\n"},
			{"http " + server.URL, "status=00000000000000ca\nbody=POST 1 body" + strings.Repeat("!", 40_000) + "\n"},
			{"http http://10.1.1.1", "error"},
			{"get k", "value=none\n"},
			{"put k " + long, ""},
			{"get k", "value=" + long + "\n"},
			{"put " + strings.Repeat("k", 513) + " v", "error"},
			{"get ", "error"},
		} {
			question, want := turn[0], turn[1]
			got, err := ask(question)
			if want == "error" {
				if err == nil {
					t.Errorf("%s: found %q, expected an error", question, got)
				}
			} else if got != want || err != nil {
				t.Errorf("%s: found %.200q %v, expected %.200q", question, got, err, want)
			}
		}
	})
}

// TestPanic has one item of a batch make a guest panic: the others are labelled, and the error says what happened.
func TestPanic(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, language string) {
		var log strings.Builder
		p := load(t, "testdata/plugins/"+language+"-echo", module(t, language+"-echo"), host.Spec{
			Grants: host.Grants{Log: true, File: t.TempDir(), HTTP: []string{"127.0.0.1"}, KV: true}, Log: zerolog.New(&log),
			KV: &hosttest.KV{}, Limits: host.Limits{Instances: 1},
		})
		items := []feedback.Item{{Text: "a"}, {Source: "panic"}, {Text: "c"}}
		var failed []int
		err := host.CategorizeEach(t.Context(), p, items, func(i int, r *sdk.Result, err error) {
			if err != nil {
				failed = append(failed, i)
			} else if want := dumpItem(&items[i]); r.Drop != want {
				t.Errorf("item %d: found %q, expected %q", i, r.Drop, want)
			}
		})
		if err != nil || len(failed) != 1 || failed[0] != 1 {
			t.Errorf("failed: %v %v, expected item 1", failed, err)
		}
		if !strings.Contains(log.String(), "told to") {
			t.Errorf("the log has %q, expected the reason", log.String())
		}
	})
}
