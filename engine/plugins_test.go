package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// shaky is a categorizer that crashes on everything while it is broken.
type shaky struct {
	words
	broken atomic.Bool
	calls  atomic.Int64
}

func (s *shaky) Categorize(ctx context.Context, items []feedback.Item, out []sdk.Result) error {
	s.calls.Add(1)
	if s.broken.Load() {
		panic("out of order")
	}
	return s.words.Categorize(ctx, items, out)
}

func themesOf(it *engine.Item) (paths []string) {
	for _, t := range it.Labels.Themes {
		paths = append(paths, string(t.Path))
	}
	return paths
}

// A categorizer that keeps failing is paused: items wait, or pass unlabelled and are labelled later, as the program
// says; it is not called meanwhile, and is by command.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"hold", "unlabelled"} {
		p, s, told := &parts{}, &shaky{}, make(chan engine.PluginState, 100)
		s.broken.Store(true)
		dir := writeProgram(t, strings.Replace(programFiles, "{plugin: native:words}", "{plugin: native:words, on_failure: "+mode+"}", 1))
		e := open(t, dir, p, func(o *engine.Options) {
			o.Native["words"] = native(sdk.AbilityCategorize, s)
			o.Events.PluginChanged = func(s engine.PluginState) { told <- s }
		})
		paused := func() engine.PluginState {
			states, err := e.Plugins(t.Context())
			i := slices.IndexFunc(states, func(s engine.PluginState) bool { return s.ID == "words" })
			if err != nil || i < 0 {
				t.Fatal(states, err)
			}
			return states[i]
		}
		var ids []feedback.ItemID
		for i := 0; !paused().Paused; i++ {
			r, err := e.Ingest(t.Context(), "app", answer(fmt.Sprint(i), 3, "#packaging"))
			if (err != nil) != (mode == "hold") {
				t.Fatalf("%s: %+v, %v", mode, r, err)
			}
			for _, row := range r.Rows {
				ids = append(ids, row.ID)
			}
		}
		if s := <-told; !s.Paused || !strings.Contains(s.Reason, "out of order") || s.Until.IsZero() || e.Metrics().Plugins["words"].Paused == false {
			t.Errorf("%s: was told %+v", mode, s)
		}
		calls := s.calls.Load()
		_, err := e.Ingest(t.Context(), "app", answer("late", 3, "#packaging"))
		if (mode == "hold") != (err != nil && strings.Contains(err.Error(), "kept failing")) || s.calls.Load() != calls {
			t.Errorf("%s: %v after %d more calls", mode, err, s.calls.Load()-calls)
		}
		s.broken.Store(false)
		if state, err := e.ResumePlugin(t.Context(), "words"); err != nil || state.Paused || (<-told).Paused {
			t.Errorf("%s: resumed: %+v, %v", mode, state, err)
		}
		if _, err := e.RunOnce(t.Context()); err != nil { // labels what waits
			t.Fatal(err)
		}
		r, err := e.Ingest(t.Context(), "app", answer("last", 3, "#packaging"))
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range append(ids, r.Rows[0].ID) {
			if it, err := e.Item(t.Context(), id); err != nil || !slices.Equal(themesOf(it), []string{"packaging"}) {
				t.Errorf("%s: item %s has %v, %v", mode, id, it, err)
			}
		}
		if _, err := e.ResumePlugin(t.Context(), "nobody"); !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	}
}

// A destination that keeps crashing is paused without its messages growing old: they are not tried meanwhile.
func TestQuarantineOfADestination(t *testing.T) {
	t.Parallel()
	p := &parts{}
	broken := atomic.Bool{}
	broken.Store(true)
	told := make(chan engine.PluginState, 100)
	dir := writeProgram(t, strings.Replace(programFiles, "attempts: 3", "attempts: 50", 1))
	e := open(t, dir, p, func(o *engine.Options) {
		o.Native["sink"] = native(sdk.AbilityDeliver, deliverer(func(ctx context.Context, m sdk.Message) error {
			if broken.Load() {
				panic("out of order")
			}
			return p.sink.Deliver(ctx, m)
		}))
		o.Events.PluginChanged = func(s engine.PluginState) { told <- s }
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- e.Run(ctx) }()
	if _, err := e.Ingest(t.Context(), "app", answer("1", 3, "late"), answer("2", 3, "rude")); err != nil {
		t.Fatal(err)
	}
	if s := <-told; s.ID != "team" || !s.Paused {
		t.Fatalf("was told %+v", s)
	}
	broken.Store(false)
	if _, err := e.ResumePlugin(t.Context(), "team"); err != nil {
		t.Fatal(err)
	}
	<-told
	for len(p.sink.messages()) < 2 {
		if d, err := e.Deliveries(t.Context(), engine.DeliveryQuery{}); err != nil || len(d.Deliveries) > 0 && d.Deliveries[0].Attempts > 6 {
			t.Fatalf("%+v, %v", d, err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if m := p.sink.messages(); len(m) != 2 || m[0].Attempt != 6 || m[1].Attempt != 1 {
		t.Errorf("got %+v", m)
	}
}

type deliverer func(context.Context, sdk.Message) error

func (f deliverer) Deliver(ctx context.Context, m sdk.Message) error { return f(ctx, m) }

const reloadFiles = `
-- program.yaml --
version: 1
name: reload
timezone: UTC
categorizers:
  themes:
    plugin: plugins/themes.wasm
    settings: {themes: {THEME: {phrases: [word]}}}
rules: []
`

// While items keep coming in, a module's settings and then the module itself change on the disk: every item is taken
// once, with the labels of the version that stands on them, and what cannot be loaded changes nothing.
func TestHotReload(t *testing.T) {
	t.Parallel()
	module := hosttest.Module(t, "plugins/codebook/cmd")
	dir := writeProgram(t, strings.Replace(reloadFiles, "THEME", "first", 1))
	write := func(name string, data []byte) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path+".new", data, 0o600), os.Rename(path+".new", path)); err != nil {
			t.Fatal(err)
		}
	}
	program := func(theme string) {
		_, text, _ := strings.Cut(reloadFiles, "-- program.yaml --\n")
		write("program.yaml", []byte(strings.Replace(text, "THEME", theme, 1)))
	}
	write("plugins/themes.wasm", module)
	type outcome struct {
		done engine.Reloaded
		err  error
	}
	reloaded := make(chan outcome, 100)
	e := open(t, dir, &parts{}, func(o *engine.Options) {
		o.Watch = true
		o.Events.Reloaded = func(r engine.Reloaded, err error) { reloaded <- outcome{r, err} }
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- e.Run(ctx) }()

	var mu sync.Mutex
	var rows []engine.Row
	intake := sync.WaitGroup{}
	for g := range 2 {
		intake.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				r, err := e.Ingest(context.Background(), fmt.Sprint("app-", g), answer(fmt.Sprint(i), 9, "a word"))
				if err != nil || r.New != 1 {
					t.Errorf("%+v, %v", r, err)
					return
				}
				mu.Lock()
				rows = append(rows, r.Rows...)
				mu.Unlock()
			}
		})
	}
	next := func() outcome {
		t.Helper()
		return <-reloaded
	}
	program("second")
	if o := next(); o.err != nil || len(o.done.Swapped) != 1 || o.done.Swapped[0].ID != "themes" {
		t.Errorf("got %+v", o)
	}
	program("Not a: path: {")
	if o := next(); o.err == nil || len(o.done.Swapped) != 0 {
		t.Errorf("broken file: got %+v", o)
	}
	program("third")
	if o := next(); o.err != nil || len(o.done.Swapped) != 1 {
		t.Errorf("got %+v", o)
	}
	write("plugins/themes.wasm", module[:len(module)/2])
	if o := next(); o.err == nil || len(o.done.Swapped) != 0 {
		t.Errorf("broken module: got %+v", o)
	}
	last, err := e.Ingest(t.Context(), "app", answer("last", 9, "a word"))
	if err != nil {
		t.Fatal(err)
	}
	stop()
	intake.Wait()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	versions := map[string]string{} // theme by version
	for _, row := range append(rows, last.Rows...) {
		it, err := e.Item(t.Context(), row.ID)
		if err != nil || len(it.Labels.Themes) != 1 {
			t.Fatalf("%+v, %v", it, err)
		}
		theme := it.Labels.Themes[0]
		if was, ok := versions[theme.By.Version]; ok && was != string(theme.Path) {
			t.Errorf("version %s says %s and %s", theme.By.Version, was, theme.Path)
		}
		versions[theme.By.Version] = string(theme.Path)
		if row.ID == last.Rows[0].ID && theme.Path != "third" {
			t.Errorf("the last version is not the one that serves: %s", theme.Path)
		}
	}
	if len(versions) != 3 {
		t.Errorf("got %v, want three versions", versions)
	}
}

// hanging is a categorizer that says when it was called and answers when it may.
type hanging struct{ called, answer chan struct{} }

func (h *hanging) Categorize(ctx context.Context, _ []feedback.Item, _ []sdk.Result) error {
	h.called <- struct{}{}
	select {
	case <-h.answer:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// A version that was not tried to the end is not taken, and a closed engine takes none.
func TestReloadThatIsGivenUp(t *testing.T) {
	t.Parallel()
	p, h := &parts{}, &hanging{called: make(chan struct{}, 1), answer: make(chan struct{})}
	dir := writeProgram(t, programFiles)
	asked := atomic.Int64{}
	plugins := p.native()
	plugins["words"] = sdk.Plugin{
		Manifest: plugins["words"].Manifest,
		New: func(context.Context, sdk.Host, []byte) (any, error) {
			if asked.Add(1) > 1 {
				return h, nil
			}
			return words{}, nil
		},
	}
	e, err := engine.Open(t.Context(), dir, engine.Options{Native: plugins, Profile: engine.Small})
	if err != nil {
		t.Fatal(err)
	}
	change := func(limit string) {
		text := strings.Replace(programFiles, "{plugin: native:words}", "{plugin: native:words, limits: {instances: "+limit+"}}", 1)
		if err := os.WriteFile(filepath.Join(dir, "program.yaml"), []byte(strings.Split(strings.SplitN(text, "-- program.yaml --\n", 2)[1], "-- rules")[0]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	change("1")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		r, err := e.Reload(ctx)
		if len(r.Swapped) > 0 {
			t.Errorf("swapped %+v", r.Swapped)
		}
		ended <- err
	}()
	<-h.called
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if r, err := e.Ingest(t.Context(), "app", answer("1", 3, "#packaging")); err != nil || r.New != 1 {
		t.Errorf("the version that served serves no more: %+v, %v", r, err)
	}
	closeEngine(t, e)
	change("2")
	if r, err := e.Reload(t.Context()); !errors.Is(err, engine.ErrClosed) || len(r.Swapped) > 0 {
		t.Errorf("after Close: %+v, %v", r, err)
	}
}
