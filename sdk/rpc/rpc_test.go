package rpc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/rpc/internal/pb"
	"github.com/closedloop/closedloop/sdk/sdktest"
)

// handler is a plugin's process that answers with what f makes of a frame.
type handler func(ctx context.Context, host sdk.Host, frame []byte) []byte

func (f handler) Call(ctx context.Context, host sdk.Host, frame []byte) []byte {
	return f(ctx, host, frame)
}

// connect joins a handler and a host over real connections. The plugin's own connection to the host would end with its
// process; leaks of the engine's side are looked for in the tests of package serve, which start processes. Closing the
// host's end tells the plugin to stop.
func connect(t *testing.T, host sdk.Host, h handler) *Client {
	t.Helper()
	conn, server := plugin.TestPluginGRPCConn(t, false, plugin.PluginSet{service: &glue{handler: h, host: host}})
	c, err := conn.Dispense(service)
	if err != nil {
		t.Fatal(err)
	}
	client := c.(*Client)
	t.Cleanup(func() {
		_ = conn.Close()
		<-server.DoneCh
		client.Wait()
	})
	return client
}

func TestCall(t *testing.T) {
	large := bytes.Repeat([]byte("x"), 1<<20)
	client := connect(t, &sdktest.Host{}, func(_ context.Context, _ sdk.Host, frame []byte) []byte { return append(frame, "!"...) })
	for _, frame := range [][]byte{[]byte("hello"), large} {
		if got, err := client.Call(t.Context(), frame); err != nil || len(got) != len(frame)+1 || !bytes.HasPrefix(got, frame) {
			t.Errorf("%d bytes are answered by %d, %v", len(frame), len(got), err)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Call(cancelled, nil); err == nil {
		t.Error("a cancelled call succeeded")
	}
}

// The context of a call ends in the plugin when it ends in the engine.
func TestCancel(t *testing.T) {
	entered := make(chan struct{})
	client := connect(t, &sdktest.Host{}, func(ctx context.Context, _ sdk.Host, _ []byte) []byte {
		close(entered)
		<-ctx.Done()
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	if _, err := client.Call(ctx, nil); err == nil {
		t.Error("a call that was cancelled succeeded")
	}
}

// The plugin sees the host as it is: results, ends of files, and failures.
func TestHost(t *testing.T) {
	dir := t.TempDir()
	text := bytes.Repeat([]byte("0123456789"), MaxRead/4) // more than one read
	if err := os.WriteFile(filepath.Join(dir, "big.txt"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	var log []string
	host := &sdktest.Host{Dir: dir, KV: map[string][]byte{}, Logf: func(_ string, args ...any) { log = append(log, args[1].(string)) }}
	seen := 0
	client := connect(t, host, func(ctx context.Context, remote sdk.Host, _ []byte) []byte {
		seen++
		remote.Log(sdk.Info, "looking")
		if remote.Now() != host.Now() {
			t.Errorf("now is %v", remote.Now())
		}
		here, err1 := host.Files()
		there, err2 := remote.Files()
		if err1 != nil || err2 != nil || !slices.Equal(here, there) {
			t.Errorf("files: %v, %v\nwant %v, %v", there, err2, here, err1)
		}
		p := make([]byte, len(text)+1)
		if n, err := remote.ReadFile("big.txt", p, 1); n != len(text)-1 || err != io.EOF || !bytes.Equal(p[:n], text[1:]) {
			t.Errorf("read %d bytes, %v", n, err)
		}
		if n, err := remote.ReadFile("big.txt", p[:5], 3); n != 5 || err != nil {
			t.Errorf("read %d bytes, %v", n, err)
		}
		if n, err := remote.ReadFile("big.txt", p, int64(len(text))); n != 0 || err != io.EOF {
			t.Errorf("read %d bytes behind the end, %v", n, err)
		}
		kept := bytes.Repeat([]byte{0xff}, sdk.MaxKVValue)
		if err := remote.KVPut("\xff", kept); err != nil {
			t.Error(err)
		}
		if v, err := remote.KVGet("\xff"); err != nil || !bytes.Equal(v, kept) {
			t.Errorf("%d bytes were kept, %v", len(v), err)
		}
		if v, err := remote.KVGet("none"); err != nil || v != nil {
			t.Errorf("nothing was kept, got %q, %v", v, err)
		}
		err := remote.KVPut("", kept)
		if f := (*sdk.Failure)(nil); !errors.As(err, &f) || !f.Fatal {
			t.Errorf("an empty key: %v", err)
		}
		_, err = remote.ReadFile("../x", p, 0)
		if f := (*sdk.Failure)(nil); !errors.As(err, &f) || !f.Fatal {
			t.Errorf("a name that is not granted: %v", err)
		}
		_, err = remote.HTTP(ctx, sdk.HTTPRequest{Method: "GET", URL: "http://127.0.0.1:1/"})
		if f := (*sdk.Failure)(nil); !errors.As(err, &f) || !f.Fatal || !strings.Contains(f.Message, "not granted") {
			t.Errorf("an address that is not granted: %v", err)
		}
		return nil
	})
	for range 2 {
		if _, err := client.Call(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(log, []string{"looking", "looking"}) || seen != 2 {
		t.Errorf("log %q after %d calls", log, seen)
	}
}

func TestHostWithoutGrants(t *testing.T) {
	client := connect(t, &sdktest.Host{}, func(_ context.Context, remote sdk.Host, _ []byte) []byte {
		_, err := remote.Files()
		if _, err := remote.KVGet("x"); err == nil || remote.KVPut("x", nil) == nil {
			t.Error("a store that is not granted can be used")
		}
		return []byte(err.Error())
	})
	if got, err := client.Call(t.Context(), nil); err != nil || !strings.Contains(string(got), "not granted") {
		t.Errorf("%s, %v", got, err)
	}
}

func TestClientConfig(t *testing.T) {
	t.Parallel()
	c := ClientConfig(exec.Command("x"), &sdktest.Host{})
	if !c.AutoMTLS || !c.SkipHostEnv || !slices.Equal(c.AllowedProtocols, []plugin.Protocol{plugin.ProtocolGRPC}) || c.ProtocolVersion != sdk.ContractMajor {
		t.Errorf("%+v", c)
	}
	c = ClientConfig(exec.Command("/nonexistent/plugin"), &sdktest.Host{})
	c.Logger = hclog.NewNullLogger()
	client := plugin.NewClient(c)
	defer client.Kill()
	if _, err := Dial(client); err == nil || !strings.Contains(err.Error(), "start plugin process") {
		t.Errorf("%v", err)
	}
}

// TestGeneratedCode compares the generated code with plugin.proto, which says how to make it anew in rpc.go.
func TestGeneratedCode(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("plugin.proto")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	block := ""
	for line := range strings.Lines(regexp.MustCompile(`//.*`).ReplaceAllString(string(source), "")) {
		if m := regexp.MustCompile(`^(?:message|service) (\w+)`).FindStringSubmatch(line); m != nil {
			block = m[1]
		} else if m := regexp.MustCompile(`^\s*(\w+) (\w+) = (\d+);`).FindStringSubmatch(line); m != nil {
			want = append(want, block+"."+m[2]+" "+m[1]+" "+m[3])
		} else if m := regexp.MustCompile(`^\s*rpc (\w+)\((\w+)\) returns \((\w+)\)`).FindStringSubmatch(line); m != nil {
			want = append(want, block+"."+m[1]+" "+m[2]+" "+m[3])
		}
	}
	got := generated(pb.File_plugin_proto)
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) || len(want) < 15 {
		t.Errorf("the generated code has\n%s\nplugin.proto has\n%s\nrun: go generate ./sdk/rpc", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func generated(file protoreflect.FileDescriptor) []string {
	var out []string
	for i := range file.Messages().Len() {
		m := file.Messages().Get(i)
		for j := range m.Fields().Len() {
			f := m.Fields().Get(j)
			out = append(out, string(m.Name())+"."+string(f.Name())+" "+f.Kind().String()+" "+strconv.Itoa(int(f.Number())))
		}
	}
	for i := range file.Services().Len() {
		s := file.Services().Get(i)
		for j := range s.Methods().Len() {
			m := s.Methods().Get(j)
			out = append(out, string(s.Name())+"."+string(m.Name())+" "+string(m.Input().Name())+" "+string(m.Output().Name()))
		}
	}
	return out
}
