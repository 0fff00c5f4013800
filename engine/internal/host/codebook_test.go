package host_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
	"github.com/closedloop/closedloop/engine/internal/host/nativehost"
	"github.com/closedloop/closedloop/engine/internal/host/processhost"
	"github.com/closedloop/closedloop/engine/internal/host/wasmhost"
	"github.com/closedloop/closedloop/plugins/codebook"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		hosttest.Clean()
		os.Exit(code)
	}))
}

const codebookDir = "plugins/codebook/cmd"

// settings50 is a codebook of 50 phrases in twelve themes.
func settings50(tb testing.TB) []byte {
	tb.Helper()
	themes := map[string]any{}
	for path, phrases := range map[string][]string{
		"checkout":      {"checkout crash*", "app crashed", "keeps freezing", "error message", "does not work", "bug*"},
		"price":         {"too expensive", "hidden fee*", "good value", "price*", "overcharged"},
		"delivery":      {"late delivery", "never arrived", "fast shipping", "delivery", "courier"},
		"support":       {"helpful support", "rude agent", "no response", "waiting on hold", "support team"},
		"navigation":    {"confusing", "easy to use", "hard to find", "intuitive", "navigation"},
		"login":         {"password reset", "locked out", "login", "verification code"},
		"returns":       {"refund*", "return label", "cancel my order"},
		"praise":        {"love it", "amazing", "great", "recommend*", "excellent"},
		"speed":         {"slow", "takes forever", "loading", "lightning fast"},
		"complaint":     {"terrible", "worst", "disappointed", "frustrated"},
		"features":      {"dark mode", "export to csv", "integration*"},
		"privacy/trust": {"privacy"},
	} {
		themes[path] = map[string]any{"phrases": phrases}
	}
	manifest := hosttest.Manifest(tb, codebookDir)
	complete, problems := manifest.Settings.Complete(map[string]any{"themes": themes, "sentiment": map[string]any{
		"positive": []any{"kind", "amazing", "love", "recommend*", "lightning fast"}, "negators": []any{"not", "no"},
		"negative": []any{"crash*", "damaged", "confusing", "disappointed", "forever", "hidden"},
	}})
	if len(complete) == 0 {
		tb.Fatal(problems)
	}
	data, err := json.Marshal(complete)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

var sentences = []string{
	"I have been a customer for six years and this is the first time I felt I had to write to you about it.",
	"The app crashed twice while I was paying and the checkout crash lost my cart.",
	"Your support team was very kind but I was waiting on hold for forty minutes.",
	"The price went up again and there is a hidden fee that nobody told me about when I signed up.",
	"The delivery was two days late and one of the boxes was damaged, the courier just left it in the rain.",
	"Honestly I love it, the new dark mode looks amazing and my colleagues recommend it to everyone.",
	"The account page is confusing and it is hard to find the place for the invoice.",
	"I tried a password reset but the verification code never came so I was locked out over the weekend.",
	"We will see how it goes next month, nothing more to add from my side for now.",
	"In the morning it is fine, in the afternoon nobody answers and we wait.",
}

// reviews returns items of about 300 bytes of text, the same at every call.
func reviews(n int) []feedback.Item {
	random := rand.New(rand.NewPCG(1, 2))
	items := make([]feedback.Item, n)
	for i := range items {
		var text strings.Builder
		for text.Len() < 250 {
			text.WriteString(sentences[random.IntN(len(sentences))] + " ")
		}
		items[i] = feedback.Item{
			ID: feedback.NewItemID(1_770_000_000_000, "bench", fmt.Sprint(i)), Source: "bench", ExternalID: fmt.Sprint("R-", i),
			ReceivedAt: 1_770_000_000_000, Survey: feedback.NPS, Score: new(float64(i % 11)), Channel: "email",
			Touchpoint: "checkout/payment", Language: "en", Text: strings.TrimSpace(text.String()),
			Customer: feedback.Customer{ID: fmt.Sprint("C-", i), Segment: "smb", ARR: new(1200.0)},
		}
	}
	return items
}

// transports loads the codebook in every way there is.
func transports(tb testing.TB, names ...string) map[string]host.Plugin {
	tb.Helper()
	spec := host.Spec{ID: "themes", Manifest: hosttest.Manifest(tb, codebookDir), Settings: settings50(tb)}
	return load(tb, codebookDir, codebook.Plugin, spec, names...)
}

// load loads a plugin in the ways that are named.
func load(tb testing.TB, dir string, native sdk.Plugin, spec host.Spec, names ...string) map[string]host.Plugin {
	tb.Helper()
	out := map[string]host.Plugin{}
	for _, name := range names {
		p, err := loadBy(tb, name, dir, native, spec)
		if err != nil {
			if e := (*host.Error)(nil); errors.As(err, &e) {
				tb.Log(e.Stderr)
			}
			tb.Fatalf("%s: %v", name, err)
		}
		tb.Cleanup(func() {
			if err := p.Close(context.Background()); err != nil {
				tb.Error(err)
			}
		})
		out[name] = p
	}
	return out
}

// loadBy loads a plugin in one way: native, process or wasm.
func loadBy(tb testing.TB, way, dir string, native sdk.Plugin, spec host.Spec) (host.Plugin, error) {
	tb.Helper()
	ctx := context.Background()
	switch way {
	case "native":
		return nativehost.New(ctx, native, spec)
	case "process":
		return processhost.Start(ctx, hosttest.Process(tb, dir), "", spec)
	}
	rt, err := wasmhost.New("")
	if err != nil {
		return nil, err
	}
	tb.Cleanup(func() { _ = rt.Close(ctx) })
	return rt.Load(ctx, hosttest.Module(tb, dir), spec)
}

// TestOneSourceAnswersAlike builds the codebook as a module and as a process, runs it in place as well, and wants the
// same answers, byte by byte.
func TestOneSourceAnswersAlike(t *testing.T) {
	plugins := transports(t, "native", "process", "wasm")
	items := append(reviews(200), feedback.Item{}, feedback.Item{Text: "\x00 ÄÖÜ 🙂 price\u0301 DELIVERY"}, feedback.Item{Title: "Great", Text: strings.Repeat("slow ", 20_000)})
	answers := map[string]string{}
	for name, p := range plugins {
		for from := 0; from < len(items); from += 64 {
			b, err := p.Categorize(t.Context(), items[from:min(from+64, len(items))])
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, r := range b.Results {
				text, err := json.Marshal(r.Labels)
				if err != nil || r.Err != nil {
					t.Fatal(err, r.Err)
				}
				answers[name] += string(text) + r.Drop + "\n"
			}
			b.Release()
		}
	}
	if n := strings.Count(answers["native"], `"path"`); n < 200 {
		t.Errorf("only %d themes were found: the test shows nothing", n)
	}
	for name, got := range answers {
		if got != answers["native"] {
			t.Errorf("%s answers otherwise than the code itself", name)
		}
	}
}
