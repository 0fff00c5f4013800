package processhost

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
	"github.com/closedloop/closedloop/engine/internal/host/wasmhost"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(victimEnv); path != "" {
		victim(path)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		hosttest.Clean()
		os.Exit(code)
	}))
}

const guest = "engine/internal/host/testdata/guest/cmd"

// modest is the guest's manifest without what a process can reach without asking.
func modest(t *testing.T) sdk.Manifest {
	t.Helper()
	m := hosttest.Manifest(t, guest)
	m.Capabilities = []sdk.Capability{sdk.CapabilityLog, sdk.CapabilityClock}
	return m
}

func start(t *testing.T, change ...func(*host.Spec)) *Plugin {
	t.Helper()
	spec := host.Spec{ID: "guest", Manifest: modest(t), Log: zerolog.Nop(), Grants: host.Grants{Log: true}}
	for _, c := range change {
		c(&spec)
	}
	p, err := Start(t.Context(), hosttest.Process(t, guest), "", spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p
}

func items(texts ...string) []feedback.Item {
	out := make([]feedback.Item, len(texts))
	for i, text := range texts {
		out[i] = feedback.Item{ID: feedback.ItemID(fmt.Sprint(i)), Text: text, ReceivedAt: 1_772_445_600_000}
	}
	return out
}

func deadline(d time.Duration) func(*host.Spec) {
	return func(s *host.Spec) { s.Limits.Deadline = d }
}

// TestFailuresCostTheProcessOnly makes the plugin fail in every way and then work again.
func TestFailuresCostTheProcessOnly(t *testing.T) {
	p := start(t, deadline(2*time.Second), func(s *host.Spec) { s.Limits.Output = 64 << 10 })
	for _, tt := range []struct {
		text   string
		code   host.Code
		stderr string
	}{
		{"!panic", host.CodeTrap, "nil pointer"},
		{"!exit", host.CodeExit, ""}, // what it wrote dies with the stream that carries it
		{"!spin", host.CodeDeadline, ""},
		{"!wait", host.CodeDeadline, ""},
		{"!chatter", host.CodeTrap, "chatter"},
		{"!long", host.CodeFrame, ""},
		{"!retry", host.CodeRefused, ""},
		{"!fatal", host.CodeRefused, ""},
	} {
		_, err := p.Categorize(t.Context(), items(tt.text))
		e := (*host.Error)(nil)
		if !errors.As(err, &e) || e.Code != tt.code || !strings.Contains(e.Stderr, tt.stderr) {
			t.Errorf("%s: code %v, stderr %.200q, want %s and %q", tt.text, err, stderrOf(e), tt.code, tt.stderr)
		}
		if e != nil && (e.Plugin != "guest" || e.Version == "" || len(e.Stderr) > 17<<10) {
			t.Errorf("%s: error %+v", tt.text, e)
		}
		if b := eventually(t, p, "the box is hard to open"); b != nil {
			b.Release()
		}
	}
	if s := p.Stats(); s.Discarded == 0 || s.Made != s.Discarded+1 {
		t.Errorf("stats %+v", s)
	}
}

func stderrOf(e *host.Error) string {
	if e == nil {
		return ""
	}
	return e.Stderr
}

// eventually categorizes one text, waiting while the process is held back after a failure.
func eventually(t *testing.T, p *Plugin, text string) *host.Batch {
	t.Helper()
	for {
		b, err := p.Categorize(t.Context(), items(text))
		e := (*host.Error)(nil)
		switch {
		case err == nil:
			return b
		case errors.As(err, &e) && e.Code == host.CodeUnavailable:
			time.Sleep(10 * time.Millisecond)
		default:
			t.Errorf("%s: %v", text, err)
			return nil
		}
	}
}

// TestStoppedProcess stops the process so that it can neither answer nor end by itself.
func TestStoppedProcess(t *testing.T) {
	p := start(t, deadline(100*time.Millisecond))
	pid := p.current.child.cmd.Process.Pid
	suspend(t, pid)
	_, err := p.Categorize(t.Context(), items("x"))
	if e := (*host.Error)(nil); !errors.As(err, &e) || e.Code != host.CodeDeadline {
		t.Errorf("got %v, want the deadline", err)
	}
	if b := eventually(t, p, "the box"); b != nil {
		b.Release()
	}
	suspend(t, p.current.child.cmd.Process.Pid) // Close, in the cleanup, must end it too
}

// TestDeathBetweenCalls kills the process while nothing runs.
func TestDeathBetweenCalls(t *testing.T) {
	p := start(t)
	dead := p.current.child
	if err := dead.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-dead.done
	b, err := p.Categorize(t.Context(), items("the box"))
	if err != nil {
		t.Fatal(err)
	}
	b.Release()
	if s := p.Stats(); s.Made != 2 || s.Discarded != 1 {
		t.Errorf("stats %+v", s)
	}
}

// TestPauseGrows makes the plugin crash until calls fail at once.
func TestPauseGrows(t *testing.T) {
	var p pause
	now := time.Now()
	if err := p.wait(t.Context()); err != nil {
		t.Error(err)
	}
	var last time.Duration
	for range 40 {
		p.longer(now, errors.New("crash"))
		d := p.until.Sub(now)
		if d < last || d > pauseLongest {
			t.Errorf("a pause of %v after one of %v", d, last)
		}
		last = d
	}
	if err := p.wait(t.Context()); last != pauseLongest || err == nil || !strings.Contains(err.Error(), "failed 40 times") {
		t.Errorf("got %v after a pause of %v", err, last)
	}
	p.reset()
	if err := p.wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestFirstItemPoisonous crashes the process seven times in a row on the way to the item.
func TestFirstItemPoisonous(t *testing.T) {
	p := start(t)
	batch := items(strings.Split("!panic"+strings.Repeat(",the box was damaged", 63), ",")...)
	good := 0
	err := host.CategorizeEach(t.Context(), p, batch, func(i int, r *sdk.Result, err error) {
		if (err != nil) != (i == 0) {
			t.Errorf("item %d: %v", i, err)
		} else if err == nil {
			good++
		}
	})
	if err != nil || good != 63 {
		t.Errorf("%d good, %v", good, err)
	}
}

func TestOnePoisonousItem(t *testing.T) {
	p := start(t)
	batch := items(strings.Split(strings.Repeat("the box was damaged,", 15)+"!panic", ",")...)
	good, bad := 0, 0
	err := host.CategorizeEach(t.Context(), p, batch, func(i int, r *sdk.Result, err error) {
		switch {
		case err != nil && i == len(batch)-1:
			bad++
		case err == nil && r.Labels.Has("packaging"):
			good++
		default:
			t.Errorf("item %d: %v, %v", i, r, err)
		}
	})
	if err != nil || good != 15 || bad != 1 {
		t.Errorf("%d good, %d bad, %v", good, bad, err)
	}
}

func TestGrants(t *testing.T) {
	var log bytes.Buffer
	p := start(t, func(s *host.Spec) { s.Log = zerolog.New(&log) })
	b, err := p.Categorize(t.Context(), items("!log hello", "!now"))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	if !strings.Contains(log.String(), "hello") {
		t.Errorf("log %q", log.String())
	}
	if now := string(b.Results[1].Labels.Themes[0].Path); !strings.HasPrefix(now, "1772445600000/") {
		t.Errorf("without the grant the plugin's time is %s", now)
	}
}

func TestThePinIsCompared(t *testing.T) {
	_, err := Start(t.Context(), hosttest.Process(t, guest), strings.Repeat("0", 64), host.Spec{ID: "guest", Manifest: modest(t)})
	e := (*host.Error)(nil)
	if !errors.As(err, &e) || e.Code != host.CodeModule || !strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("another file than the pinned one: %v", err)
	}
}

func TestWhatIsNoPlugin(t *testing.T) {
	manifest := modest(t)
	for _, path := range []string{"/nonexistent/plugin", os.Args[0]} {
		_, err := Start(t.Context(), path, "", host.Spec{ID: "guest", Manifest: manifest, Settings: []byte("{}")})
		e := (*host.Error)(nil)
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	_, err := Start(t.Context(), hosttest.Process(t, guest), "", host.Spec{
		ID: "guest", Manifest: modest(t), Settings: []byte(`{"refuse": true}`), Grants: host.Grants{Log: true},
	})
	e := (*host.Error)(nil)
	if !errors.As(err, &e) || e.Failure() == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("refused settings: %v", err)
	}
}

func TestCloseCutsOffARunningCall(t *testing.T) {
	p := start(t, deadline(time.Hour))
	failed := make(chan error, 1)
	go func() {
		_, err := p.Categorize(context.Background(), items("!spin"))
		failed <- err
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if err := p.Close(ctx); err != nil {
		t.Error(err)
	}
	if err := <-failed; err == nil {
		t.Error("a call that was cut off succeeded")
	}
	if _, err := p.Categorize(t.Context(), items("x")); err == nil {
		t.Error("a closed plugin answered")
	}
}

// TestBothTransportsAnswerAlike builds one source as a module and as a process: the guest of the tests, and the
// codebook that every program uses.
// TestCloseCutsOffAStart closes a plugin whose process is about to start: it does not come up any more.
func TestCloseCutsOffAStart(t *testing.T) {
	p := start(t)
	p.mu.Lock()
	first := p.current
	p.mu.Unlock()
	_ = first.child.Kill(t.Context())
	<-first.child.done
	failed := make(chan error, 1)
	go func() {
		_, err := p.Categorize(t.Context(), items("a"))
		failed <- err
	}()
	var second *process
	for second == nil || second == first {
		p.mu.Lock()
		second = p.current
		p.mu.Unlock()
		runtime.Gosched()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Close(ctx); err != nil {
		t.Error(err)
	}
	if err := <-failed; err == nil {
		t.Error("the call succeeded")
	}
	if id := second.child.ID(); id != "" {
		<-second.child.done
	}
}

func TestBothTransportsAnswerAlike(t *testing.T) {
	for _, tt := range []struct {
		dir, settings string
		texts         []string
	}{
		{guest, `{}`, []string{"the box was damaged and the courier rude", "", "grüße: expensive, slow app 🙂", "!drop automatic", "!bad"}},
		{"plugins/codebook/cmd", `{"themes": {
			"packaging/opening": {"phrases": ["hard NEAR/2 open*", "\"won't open\""], "negative": ["hard"]},
			"price": {"phrases": ["expensive", "price AND NOT fair"], "languages": ["en"]}
		}, "sentiment": {"positive": ["love"], "negative": ["rude"]}}`,
			[]string{"hard to open, and expensive", "I love the fair price", "ＨＡＲＤ to open", "", "Größe passt nicht, won't open 🙂"}},
	} {
		t.Run(tt.dir, func(t *testing.T) { answerAlike(t, tt.dir, tt.settings, items(tt.texts...)) })
	}
}

func answerAlike(t *testing.T, dir, settings string, batch []feedback.Item) {
	t.Helper()
	manifest := hosttest.Manifest(t, dir)
	spec := hosttest.Granted(t, host.Spec{ID: "both", Log: zerolog.Nop(), Manifest: manifest, Grants: host.Grants{Log: true}, Settings: complete(t, &manifest, settings)})
	process, err := Start(t.Context(), hosttest.Process(t, dir), "", spec)
	if err != nil {
		t.Fatal(err)
	}
	runtime, err := wasmhost.New("")
	if err != nil {
		t.Fatal(err)
	}
	module, err := runtime.Load(t.Context(), hosttest.Module(t, dir), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		ctx := context.Background()
		if err := errors.Join(process.Close(ctx), module.Close(ctx), runtime.Close(ctx)); err != nil {
			t.Error(err)
		}
	}()
	a, err := process.Categorize(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Release()
	b, err := module.Categorize(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	for i := range batch {
		if x, y := asJSON(t, a.Results[i]), asJSON(t, b.Results[i]); x != y {
			t.Errorf("item %d: the process says %s, the module %s", i, x, y)
		}
	}
	if len(a.Results[0].Labels.Themes) == 0 {
		t.Error("no theme was found: the test shows nothing")
	}
}

func complete(t *testing.T, m *sdk.Manifest, settings string) []byte {
	t.Helper()
	var given map[string]any
	if err := json.Unmarshal([]byte(settings), &given); err != nil {
		t.Fatal(err)
	}
	full, problems := m.Settings.Complete(given)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	b, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func asJSON(t *testing.T, r sdk.Result) string {
	t.Helper()
	b, err := json.Marshal(r.Labels)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s %q %v", b, r.Drop, r.Err)
}
