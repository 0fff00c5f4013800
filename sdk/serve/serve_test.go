//go:build !wasip1

package serve

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"go.uber.org/goleak"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/rpc"
	"github.com/closedloop/closedloop/sdk/sdktest"
	"github.com/closedloop/closedloop/sdk/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const now feedback.Time = 1767225600000

// build compiles a plugin of testdata as a module or as a process and returns the file.
func build(t *testing.T, name string, sandbox bool) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds a plugin with the Go toolchain")
	}
	readSources(t)
	out := filepath.Join(t.TempDir(), name+".exe")
	args := []string{"build", "-o", out, "./testdata/" + name}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	if sandbox {
		cmd.Args = slices.Insert(cmd.Args, 2, "-buildmode=c-shared")
		cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	}
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, text)
	}
	return out
}

// readSources reads what the plugins are built from, so that a cached result of this test is not used after a change.
func readSources(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir("..", func(at string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(at) == ".go" {
			_, err = os.ReadFile(at)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// caller is an instance of a plugin over either transport.
type caller interface {
	call(frame []byte) ([]byte, error)
}

// configured returns a way to make configured instances in the sandbox.
func configured(m *machine, host sdk.Host, c wire.Configure) func() (*remote, error) {
	return func() (*remote, error) {
		in, err := m.instantiate(host)
		if err != nil {
			return nil, err
		}
		answer, err := in.call(wire.AppendConfigure(nil, &c))
		if err == nil {
			err = wire.ReadOK(answer)
		}
		return &remote{in}, err
	}
}

// startProcess starts the plugin as a process. Stop ends it and returns what was logged; the test's end does so too.
func startProcess(t *testing.T, file string, host sdk.Host) (c caller, stop func() string) {
	t.Helper()
	var log bytes.Buffer
	conf := rpc.ClientConfig(exec.Command(file), host)
	conf.Logger = hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Debug})
	client := plugin.NewClient(conf)
	t.Cleanup(client.Kill)
	remote, err := rpc.Dial(client)
	if err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	stop = func() string {
		client.Kill()
		remote.Wait()
		return log.String()
	}
	t.Cleanup(func() { stop() })
	return processCaller{remote}, stop
}

type processCaller struct{ client *rpc.Client }

func (p processCaller) call(frame []byte) ([]byte, error) {
	return p.client.Call(context.Background(), frame)
}

// remote makes an instance usable as the Go interfaces.
type remote struct{ caller }

func (r *remote) Categorize(_ context.Context, items []feedback.Item, out []sdk.Result) error {
	answer, err := r.call(wire.AppendItems(nil, now, items))
	if err != nil {
		return err
	}
	rs, err := new(wire.ResultReader).Read(answer, len(items))
	copy(out, rs)
	return err
}

func (r *remote) Poll(_ context.Context, req sdk.PollRequest) (sdk.PollResult, error) {
	answer, err := r.call(wire.AppendPoll(nil, now, req))
	if err != nil {
		return sdk.PollResult{}, err
	}
	return wire.ReadPollResult(answer, req.Limit)
}

func (r *remote) Receive(_ context.Context, req sdk.ReceiveRequest) (sdk.ReceiveResult, error) {
	answer, err := r.call(wire.AppendReceive(nil, now, req))
	if err != nil {
		return sdk.ReceiveResult{}, err
	}
	return wire.ReadReceiveResult(answer)
}

func (r *remote) Deliver(ctx context.Context, m sdk.Message) error {
	if err := ctx.Err(); err != nil {
		return err // the host cancels before it enters a sandbox
	}
	answer, err := r.call(wire.AppendDeliver(nil, now, m))
	if err != nil {
		return err
	}
	return wire.ReadOK(answer)
}

// destination is a server that notes the keys of what it is sent and answers at length.
func destination(t *testing.T) (*httptest.Server, func() []string) {
	t.Helper()
	var keys []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		keys = append(keys, r.Header.Get("Idempotency-Key")+r.Header.Get("Authorization"))
		_, _ = io.WriteString(w, strings.Repeat("thank you ", 10_000))
	}))
	t.Cleanup(func() { s.Close(); http.DefaultTransport.(*http.Transport).CloseIdleConnections() })
	return s, func() []string { return keys }
}

func testHost(t *testing.T, server *httptest.Server) *sdktest.Host {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"a.txt": "hard to open\nfine\ndrop\n", "b.txt": "last"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &sdktest.Host{Dir: dir, Allow: []string{server.Listener.Addr().String()}, Secrets: map[string]string{"token": "t0"}, Clock: now + 5000, KV: map[string][]byte{}}
}

// One source is built both ways, once for all tests.
func TestBothBuilds(t *testing.T) {
	t.Parallel()
	process := build(t, "guest", false)
	m := newMachine(t, mustRead(t, build(t, "guest", true)))
	t.Run("sandbox conforms", func(t *testing.T) { testSandboxConforms(t, m) })
	t.Run("transports agree", func(t *testing.T) { testTransportsAgree(t, m, process) })
	t.Run("large messages", func(t *testing.T) { testLargeMessages(t, process) })
	t.Run("memory", func(t *testing.T) { testMemory(t, m) })
	t.Run("panic", func(t *testing.T) { testPanic(t, m, process) })
	t.Run("by hand", func(t *testing.T) { testByHand(t, process) })
}

func as[T any](open func() (*remote, error)) func() (T, error) {
	return func() (T, error) {
		r, err := open()
		return any(r).(T), err
	}
}

// A plugin in a sandbox passes the conformance suites: all that passes between host and guest is there.
func testSandboxConforms(t *testing.T, m *machine) {
	t.Parallel()
	if got := m.imports(); len(got) != 7 {
		t.Errorf("the module imports %v, expected all of the host's functions", got)
	}
	server, keys := destination(t)
	open := configured(m, testHost(t, server), wire.Configure{Settings: []byte(`{"url":"` + server.URL + `"}`), Now: now})
	sdktest.Categorizer(t, as[sdk.Categorizer](open), feedback.Item{Text: "impossible to open"}, feedback.Item{Text: "drop"}, feedback.Item{Text: "error"})
	sdktest.Poller(t, as[sdk.Poller](open))
	sdktest.Receiver(t, as[sdk.Receiver](open), sdk.ReceiveRequest{Body: []byte("hello"), Headers: map[string]string{"x-channel": "chat"}})
	sdktest.Deliverer(t, as[sdk.Deliverer](open), sdk.Message{Key: "k1", Body: []byte("{}")}, func() []string {
		var out []string
		for _, k := range keys() {
			out = append(out, strings.TrimSuffix(k, "Bearer t0"))
		}
		return out
	})
}

// A module imports only what the plugin's code can reach.
func TestUnusedImportsAreLeftOut(t *testing.T) {
	t.Parallel()
	file := build(t, "quiet", true)
	if got := newMachine(t, mustRead(t, file)).imports(); len(got) > 0 {
		t.Errorf("a plugin that asks nothing of its host imports %v", got)
	}
	t.Logf("%d bytes", len(mustRead(t, file)))
}

// The same source answers the same frames in the sandbox and in a process.
func testTransportsAgree(t *testing.T, m *machine, file string) {
	t.Parallel()
	server, _ := destination(t)
	host := testHost(t, server)
	sandbox, err := m.instantiate(host)
	if err != nil {
		t.Fatal(err)
	}
	native, _ := startProcess(t, file, host)
	text := func(s string) []byte {
		return wire.AppendItems(nil, now, []feedback.Item{{Text: s}, {Text: "open it"}})
	}
	settings := []byte(`{"url":"` + server.URL + `"}`)
	for _, tt := range []struct {
		name  string
		frame []byte
		want  wire.FrameKind
	}{
		{"not configured", text("open"), wire.KindFailure},
		{"bad settings", wire.AppendConfigure(nil, &wire.Configure{Settings: []byte("[]")}), wire.KindFailure},
		{"configure", wire.AppendConfigure(nil, &wire.Configure{Settings: settings, Now: now}), wire.KindOK},
		{"categorize", text("hard to open"), wire.KindResults},
		{"drop", text("drop"), wire.KindResults},
		{"one item fails", text("error"), wire.KindResults},
		{"the batch fails", text("fail"), wire.KindFailure},
		{"nothing kept", text("kept"), wire.KindResults},
		{"keep", text("keep"), wire.KindResults},
		{"kept by it", text("kept"), wire.KindResults},
		{"time of the call", text("time"), wire.KindResults},
		{"poll", wire.AppendPoll(nil, now, sdk.PollRequest{Limit: 3}), wire.KindPollResult},
		{"poll further", wire.AppendPoll(nil, now, sdk.PollRequest{Limit: 3, Checkpoint: []byte("3")}), wire.KindPollResult},
		{"bad checkpoint", wire.AppendPoll(nil, now, sdk.PollRequest{Limit: 3, Checkpoint: []byte("x")}), wire.KindFailure},
		{"receive", wire.AppendReceive(nil, now, sdk.ReceiveRequest{Body: []byte("hi"), Headers: map[string]string{"x-channel": "chat"}}), wire.KindReceiveResult},
		{"deliver", wire.AppendDeliver(nil, now, sdk.Message{Key: "k", Attempt: 1, Body: []byte("{}")}), wire.KindOK},
		{"granted clock", wire.AppendConfigure(nil, &wire.Configure{Settings: settings, Now: now, Grants: wire.GrantClock}), wire.KindOK},
		{"time of the clock", text("time"), wire.KindResults},
		{"denied address", wire.AppendConfigure(nil, &wire.Configure{Settings: []byte(`{"url":"http://127.0.0.1:1/"}`), Now: now}), wire.KindOK},
		{"deliver to it", wire.AppendDeliver(nil, now, sdk.Message{Key: "k", Attempt: 1}), wire.KindFailure},
	} {
		a, err := sandbox.call(tt.frame)
		if tt.name == "keep" {
			clear(host.KV)
		}
		b, err2 := native.call(tt.frame)
		if err := errors.Join(err, err2); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s: answers differ\nsandbox %q\nprocess %q", tt.name, a, b)
		}
		if kind, err := wire.Kind(a); kind != tt.want || err != nil {
			t.Errorf("%s: answered by %v %q, expected %v", tt.name, kind, a, tt.want)
		}
		if want, ok := map[string]string{"nothing kept": "kept/0/true", "kept by it": "kept/5000/true"}[tt.name]; ok && !bytes.Contains(a, []byte(want)) {
			t.Errorf("%s: %q", tt.name, a)
		}
		if strings.HasPrefix(tt.name, "time of the clock") && !bytes.Contains(a, []byte("time/1767225605000")) {
			t.Errorf("%s: %q", tt.name, a)
		}
		if strings.HasPrefix(tt.name, "time of the call") && !bytes.Contains(a, []byte("time/1767225600000")) {
			t.Errorf("%s: %q", tt.name, a)
		}
	}
}

// A process takes messages of many megabytes, up to MaxMessage, and survives one above it.
func testLargeMessages(t *testing.T, file string) {
	t.Parallel()
	c, _ := startProcess(t, file, &sdktest.Host{})
	if _, err := c.call(wire.AppendConfigure(nil, &wire.Configure{Settings: []byte("{}")})); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{rpc.MaxMessage + 1, 20 << 20} {
		answer, err := c.call(wire.AppendReceive(nil, now, sdk.ReceiveRequest{Body: make([]byte, size)}))
		if size > rpc.MaxMessage {
			if err == nil {
				t.Errorf("a message of %d bytes was taken", size)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if res, err := wire.ReadReceiveResult(answer); err != nil || len(res.Rejects) != 1 {
			t.Errorf("%d bytes: %+v, %v", size, res, err)
		}
	}
}

// The garbage collector of a guest keeps up with calls that follow one another.
func testMemory(t *testing.T, m *machine) {
	t.Parallel()
	in, err := configured(m, &sdktest.Host{}, wire.Configure{Settings: []byte("{}")})()
	if err != nil {
		t.Fatal(err)
	}
	frame := wire.AppendReceive(nil, now, sdk.ReceiveRequest{Body: make([]byte, 200_000)})
	for range 300 { // 60 MB of bodies alone
		if _, err := in.call(frame); err != nil {
			t.Fatal(err)
		}
	}
	if size := in.caller.(*instance).mod.Memory().Size(); size > 24<<20 {
		t.Errorf("the guest has grown to %d bytes", size)
	}
}

// A panic ends the instance, and its text is on standard error.
func testPanic(t *testing.T, m *machine, file string) {
	t.Parallel()
	host := &sdktest.Host{}
	frame := wire.AppendItems(nil, now, []feedback.Item{{Text: "panic"}})
	conf := wire.Configure{Settings: []byte("{}")}
	in, err := configured(m, host, conf)()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.call(frame); err == nil || !strings.Contains(err.Error(), "the text says so") {
		t.Errorf("sandbox: %v", err)
	}
	native, stop := startProcess(t, file, host)
	if _, err := native.call(wire.AppendConfigure(nil, &conf)); err != nil {
		t.Fatal(err)
	}
	if _, err := native.call(frame); err == nil {
		t.Error("process: no error")
	}
	if log := stop(); !strings.Contains(log, "the text says so") {
		t.Errorf("process: the log has %q", log)
	}
}

// A plugin's binary tells people what it is.
func testByHand(t *testing.T, file string) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), file, "--manifest").Output()
	if string(out) != "name: guest\n" || err != nil {
		t.Errorf("--manifest: %q, %v", out, err)
	}
	out, err = exec.CommandContext(t.Context(), file).CombinedOutput()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "hint: name it in program.yaml") {
		t.Errorf("by hand: %q, %v", out, err)
	}
	cmd := exec.CommandContext(t.Context(), file) // whose input ends at once, as when the engine is gone
	cmd.Env = append(os.Environ(), rpc.CookieKey+"="+rpc.CookieValue, rpc.ParentKey+"="+rpc.ParentValue)
	if out, err := cmd.Output(); err != nil {
		t.Errorf("without an engine: %q, %v", out, err)
	}
	var stderr bytes.Buffer
	if code := run([]string{"x"}, os.Getenv, io.Discard, &stderr); code != 2 || !strings.Contains(stderr.String(), "0 plugins are registered") {
		t.Errorf("without a plugin: %d, %s", code, &stderr)
	}
}

func mustRead(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
