package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// silent is a categorizer of an application that embeds the engine.
type silent struct{}

func (silent) Categorize(context.Context, []feedback.Item, []sdk.Result) error { return nil }

// hosted opens an engine as an application does that embeds it, with a plugin of its own and one item.
func hosted(t *testing.T, dir string) *engine.Engine {
	t.Helper()
	program := "version: 1\nname: hosted\ncategorizers:\n  words: {plugin: \"native:words\"}\n"
	if err := os.WriteFile(filepath.Join(dir, "program.yaml"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	manifest := "name: words\nversion: 1.0.0\ncontract: \"1.0\"\nabilities: [categorize]\n"
	eng, err := engine.Open(t.Context(), dir, engine.Options{Profile: engine.Small, Native: map[string]sdk.Plugin{
		"words": {Manifest: []byte(manifest), New: func(context.Context, sdk.Host, []byte) (any, error) { return silent{}, nil }},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := eng.Ingest(t.Context(), "app", feedback.Item{ExternalID: "1", Survey: feedback.NPS, Score: new(9.0), Text: "fine"}); err != nil {
		t.Fatal(err)
	}
	return eng
}

// The state of an application's engine can be looked at from outside, while it runs and when it does not, although
// nobody else has its plugins.
func TestHostedProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	eng := hosted(t, dir)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- eng.Run(ctx) }()
	beside, errs, code := call("show", "items", "-C", dir)
	if code != 0 || strings.Count(beside, "f_") != 1 {
		t.Errorf("beside the application: exit %d\n%s%s", code, beside, errs)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := eng.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if alone, errs, code := call("show", "items", "-C", dir); alone != beside {
		t.Errorf("without the application: exit %d\n%s%s", code, alone, errs)
	}
	if out, _, code := call("check", dir); code != 0 || !strings.Contains(out, "native:words is not checked") {
		t.Errorf("check: exit %d\n%s", code, out)
	}
	if _, errs, code := call("run", "--once", dir); code != exitInput || !strings.Contains(errs, `nobody handed over a plugin named "words"`) {
		t.Errorf("run: exit %d\n%s", code, errs)
	}
}

// While something holds the state that answers no questions, commands wait, and say so in the end.
func TestHeldState(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	eng := hosted(t, dir)
	var errs strings.Builder
	a := &app{std: IO{Err: &errs, Getenv: os.Getenv}, dir: dir}
	if code := a.report(a.asked(t.Context(), nil)); code != exitEnvironment || !strings.Contains(errs.String(), "in use") ||
		!strings.Contains(errs.String(), "hint: a command such as closedloop run --once is at work") {
		t.Errorf("exit %d\n%s", code, errs.String())
	}
	a.patience = time.Hour
	waited := make(chan error, 1)
	go func() { waited <- a.asked(t.Context(), func(*session) error { return nil }) }()
	if err := eng.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-waited; err != nil {
		t.Errorf("after the wait: %v", err)
	}
}
