package wasmhost

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
	"github.com/closedloop/closedloop/sdk/feedback"
)

const guestDir = "engine/internal/host/testdata/guest/cmd"

func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			println("goroutines are left: " + err.Error())
			code = 1
		}
	}
	closeShared()
	hosttest.Clean()
	os.Exit(code)
}

// shared is one runtime for all tests, so that the guest is compiled once.
var shared struct {
	once sync.Once
	rt   *Runtime
}

func sharedRuntime(tb testing.TB) *Runtime {
	tb.Helper()
	shared.once.Do(func() {
		rt, err := New("")
		if err != nil {
			tb.Fatal(err)
		}
		shared.rt = rt
	})
	return shared.rt
}

func closeShared() {
	if shared.rt != nil {
		_ = shared.rt.Close(context.Background())
	}
}

// load loads a module and closes it at the end of the test.
func load(tb testing.TB, module []byte, spec host.Spec) host.Plugin {
	tb.Helper()
	if spec.ID == "" {
		spec.ID = "test"
	}
	p, err := sharedRuntime(tb).Load(tb.Context(), module, spec)
	if e := (*host.Error)(nil); errors.As(err, &e) {
		tb.Fatalf("%v\n%s", err, e.Stderr)
	}
	tb.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return p
}

func loadGuest(tb testing.TB, spec host.Spec) host.Plugin {
	tb.Helper()
	return load(tb, hosttest.Module(tb, guestDir), hosttest.Granted(tb, spec))
}

// texts returns items with the texts.
func texts(texts ...string) []feedback.Item {
	items := make([]feedback.Item, len(texts))
	for i := range items {
		items[i] = feedback.Item{Source: "test", ReceivedAt: 1_770_000_000_000, Text: texts[i]}
	}
	return items
}

// themes categorizes one text and returns the paths of its themes.
func themes(t *testing.T, p host.Plugin, text string) []feedback.ThemePath {
	t.Helper()
	b, err := p.Categorize(t.Context(), texts(text))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	var paths []feedback.ThemePath
	for _, theme := range b.Results[0].Labels.Themes {
		paths = append(paths, theme.Path)
	}
	return paths
}

// wantError checks the code of an error and returns it.
func wantError(t *testing.T, err error, code host.Code) *host.Error {
	t.Helper()
	e := (*host.Error)(nil)
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a *host.Error", err)
	}
	if e.Code != code {
		t.Fatalf("got code %s, want %s: %v\n%s", e.Code, code, err, e.Stderr)
	}
	return e
}

const short = 100 * time.Millisecond
