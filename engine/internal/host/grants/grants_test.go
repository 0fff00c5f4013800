package grants

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// session opens grants and begins a call at the instant 1614265330.
func session(tb testing.TB, g host.Grants, change ...func(*host.Spec)) *Session {
	tb.Helper()
	spec := &host.Spec{ID: "test", Grants: g, Log: zerolog.Nop()}
	for _, f := range change {
		f(spec)
	}
	s, err := Open(spec, "1.0.0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	n := s.Session()
	n.Begin(1614265330_000)
	return n
}

// wantFailure checks the code of a failure.
func wantFailure(t *testing.T, err error, code string, fatal bool) {
	t.Helper()
	if f := (*sdk.Failure)(nil); !errors.As(err, &f) || f.Code != code || f.Fatal != fatal {
		t.Errorf("got %v, want the code %s, fatal %v", err, code, fatal)
	}
}

func TestNothingIsGranted(t *testing.T) {
	t.Parallel()
	n := session(t, host.Grants{})
	n.Log(sdk.Error, "dropped")
	_, err := n.Files()
	wantFailure(t, err, "not_granted", true)
	_, err = n.ReadFile("x", make([]byte, 1), 0)
	wantFailure(t, err, "not_granted", true)
	_, err = n.Stat("x")
	wantFailure(t, err, "not_granted", true)
	_, err = n.HTTP(t.Context(), sdk.HTTPRequest{URL: "https://example.com"})
	wantFailure(t, err, "not_granted", true)
	_, err = n.KVGet("x")
	wantFailure(t, err, "not_granted", true)
	wantFailure(t, n.KVPut("x", nil), "not_granted", true)
	if n.Now() != 1614265330_000 {
		t.Errorf("got %v", n.Now())
	}
	if n.Bits() != 0 {
		t.Errorf("got %v", n.Bits())
	}
	all := session(t, host.Grants{Log: true, File: t.TempDir(), HTTP: []string{"example.com"}, Clock: true, KV: true, Random: true},
		func(s *host.Spec) { s.KV = &hosttest.KV{}; s.Now = func() feedback.Time { return 99 } })
	if all.Bits() != wire.GrantLog|wire.GrantFile|wire.GrantHTTP|wire.GrantClock|wire.GrantKV|wire.GrantRandom || all.Now() != 99 {
		t.Errorf("got %v, %v", all.Bits(), all.Now())
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for want, spec := range map[string]host.Spec{
		"absolute path":      {Grants: host.Grants{File: "data.csv"}},
		"no such file":       {Grants: host.Grants{File: filepath.Join(t.TempDir(), "none")}},
		`http[1]: found`:     {Grants: host.Grants{HTTP: []string{"ok.example", "https://example.com"}}},
		`port of 1`:          {Grants: host.Grants{HTTP: []string{"example.com:0"}}},
		`asks for "file"`:    {Manifest: sdk.Manifest{Capabilities: []sdk.Capability{sdk.CapabilityFile}}},
		`asks for "http"`:    {Manifest: sdk.Manifest{Capabilities: []sdk.Capability{sdk.CapabilityHTTP}}},
		`asks for "kv"`:      {Manifest: sdk.Manifest{Capabilities: []sdk.Capability{sdk.CapabilityKV}}},
		`asks for "random"`:  {Manifest: sdk.Manifest{Capabilities: []sdk.Capability{sdk.CapabilityRandom}}},
		"there is no store":  {Grants: host.Grants{KV: true}},
		"name or address":    {Grants: host.Grants{HTTP: []string{"*"}}},
		`found "",`:          {Grants: host.Grants{HTTP: []string{""}}},
		`found "a b",`:       {Grants: host.Grants{HTTP: []string{"a b"}}},
		`found "fe80::1%eth`: {Grants: host.Grants{HTTP: []string{"fe80::1%eth0"}}},
	} {
		_, err := Open(&spec, "1.0.0")
		if e := (*host.Error)(nil); !errors.As(err, &e) || e.Code != host.CodeGrant || !strings.Contains(err.Error(), want) || e.Hint == "" && want != "absolute path" && want != "there is no store" {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	n := session(t, host.Grants{Log: true}, func(s *host.Spec) { s.Log = zerolog.New(&out) })
	n.Log(sdk.Debug, "one")
	n.Log(sdk.Level(77), "bad \xff byte")
	n.Log(sdk.Info, strings.Repeat("ä", 4000))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || lines[0] != `{"level":"debug","plugin":"test","version":"1.0.0","message":"one"}` ||
		lines[1] != `{"level":"error","plugin":"test","version":"1.0.0","message":"bad `+"\uFFFD"+` byte"}` || len(lines[2]) > maxLine+120 {
		t.Errorf("got %s", lines)
	}
	out.Reset()
	n.lines = bucket{dropped: 7}
	n.Log(sdk.Info, "again")
	if !strings.Contains(out.String(), `"dropped":7,"message":"again"`) {
		t.Errorf("got %s", &out)
	}
}

// TestLogIsBounded floods a log: what comes too fast is dropped, whatever call it comes from, and counted.
func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	var b bucket
	start := time.Unix(1_770_000_000, 0)
	passed, told := 0, 0
	for i := range 10_000 { // within one second, then within ten
		dropped, ok := b.take(start.Add(time.Duration(i/5000) * 10 * time.Second))
		if ok {
			passed++
		}
		told += dropped
	}
	if passed != 2*burst || told != 5000-burst || b.dropped != 5000-burst {
		t.Errorf("%d messages passed, %d were told to be dropped, %d are to be told", passed, told, b.dropped)
	}
	if _, ok := b.take(start); ok {
		t.Error("a clock that goes back gives messages")
	}
}

// folder has files within and outside of the granted folder "in".
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"in/a.csv": "alpha", "in/sub/b.csv": "beta", "secret.txt": "secret"} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{
		"in/inner.csv": "a.csv", "in/out.txt": "../secret.txt", "in/absolute.txt": filepath.Join(dir, "secret.txt"),
		"in/up": "..", "in/dangling": "none", "in/loop": "loop",
	} {
		if err := os.Symlink(to, filepath.Join(dir, filepath.FromSlash(link))); err != nil {
			t.Skipf("no symbolic links here, so escapes through them are not tried: %v", err)
		}
	}
	return dir
}

func TestFolder(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	n := session(t, host.Grants{File: filepath.Join(dir, "in")})
	files, err := n.Files()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
		if f.Size == 0 || f.Modified == 0 || f.Identity == 0 {
			t.Errorf("got %+v", f)
		}
	}
	if got := strings.Join(names, " "); got != "a.csv inner.csv sub/b.csv" {
		t.Errorf("got %s", got)
	}
	buf := make([]byte, 100)
	for name, want := range map[string]string{"a.csv": "alpha", "inner.csv": "alpha", "sub/b.csv": "beta"} {
		if got, err := n.ReadFile(name, buf, 0); string(buf[:got]) != want || err != io.EOF {
			t.Errorf("%s: got %q, %v", name, buf[:got], err)
		}
	}
	if got, err := n.ReadFile("a.csv", buf[:2], 3); string(buf[:got]) != "ha" || err != nil {
		t.Errorf("got %q, %v", buf[:got], err)
	}
	if got, err := n.ReadFile("a.csv", buf, 50); got != 0 || err != io.EOF {
		t.Errorf("beyond the end: got %d, %v", got, err)
	}
	_, err = n.ReadFile("a.csv", buf, -1)
	wantFailure(t, err, "bad_argument", true)
	for _, name := range []string{
		"../secret.txt", "out.txt", "absolute.txt", "up/secret.txt", "sub/../../secret.txt", "sub", ".", "", "/", "/etc/passwd",
		filepath.Join(dir, "secret.txt"), "none", "dangling", "loop", "sub\\..\\..\\secret.txt", "a.csv/x", "a.csv\x00",
	} {
		if got, err := n.ReadFile(name, buf, 0); err == nil || err == io.EOF || got > 0 {
			t.Errorf("%q: got %q, %v", name, buf[:got], err)
		} else if strings.Contains(err.Error(), dir) && !filepath.IsAbs(name) {
			t.Errorf("%q: the error tells the place of the grant: %v", name, err)
		}
	}
}

func TestOneFile(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	path := filepath.Join(dir, "in", "a.csv")
	n := session(t, host.Grants{File: path})
	files, err := n.Files()
	if err != nil || len(files) != 1 || files[0].Name != "a.csv" || files[0].Size != 5 {
		t.Fatalf("got %v, %v", files, err)
	}
	buf := make([]byte, 10)
	for _, name := range []string{"sub/b.csv", "inner.csv", "../secret.txt", path} {
		_, err := n.ReadFile(name, buf, 0)
		wantFailure(t, err, "no_file", true)
	}
	// Another file takes the name: it is another identity, and what is read.
	if err := os.WriteFile(path+".new", []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	again, err := n.Files()
	if err != nil || again[0].Identity == files[0].Identity || again[0].Size != 7 {
		t.Errorf("got %v after %v, %v", again, files, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	_, err = n.Files()
	wantFailure(t, err, "no_file", false)
}

func TestHosts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		list, url string
		want      bool
	}{
		{"hooks.example.com", "https://hooks.example.com/x", true},
		{"hooks.example.com", "http://hooks.example.com/x", true},
		{"Hooks.Example.com.", "https://hooks.EXAMPLE.com./x", true},
		{"hooks.example.com", "https://hooks.example.com:443/", true},
		{"hooks.example.com", "https://hooks.example.com:8443/", false},
		{"hooks.example.com", "http://hooks.example.com:443/", false},
		{"hooks.example.com:8443", "https://hooks.example.com:8443/", true},
		{"hooks.example.com:8443", "https://hooks.example.com/", false},
		{"hooks.example.com", "https://example.com/", false},
		{"hooks.example.com", "https://hooks.example.com.evil.test/", false},
		{"hooks.example.com", "https://a.hooks.example.com/", false},
		{"*.example.com", "https://a.example.com/", true},
		{"*.example.com", "https://a.b.example.com/", true},
		{"*.example.com", "https://example.com/", false},
		{"*.example.com", "https://evilexample.com/", false},
		{"127.0.0.1:8990", "http://127.0.0.1:8990/", true},
		{"127.0.0.1:8990", "http://127.0.0.1:8991/", false},
		{"127.0.0.1", "http://127.0.0.1/", true},
		{"127.0.0.1", "http://[::ffff:127.0.0.1]/", true},
		{"127.0.0.1", "http://localhost/", false},
		{"127.0.0.1", "http://2130706433/", false},
		{"[::1]:8080", "http://[::1]:8080/", true},
		{"::1", "http://[::1]/", true},
		{"10.0.0.0/8", "http://10.1.2.3/", true},
		{"10.0.0.0/8", "http://11.1.2.3/", false},
		{"10.0.0.0/8", "http://10.example.com/", false},
		{"example.com", "https://93.184.216.34/", false},
	} {
		hs, err := parseHosts([]string{"other.example", c.list})
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		if got := hs.allows(u); got != c.want {
			t.Errorf("%s with %s: got %v", c.url, c.list, got)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		list, host, addr string
		want             bool
	}{
		{"example.com", "example.com", "93.184.216.34:443", true},
		{"example.com", "example.com", "[2606:2800:220:1::1]:443", true},
		{"example.com", "example.com", "127.0.0.1:443", false},
		{"example.com", "example.com", "[::1]:443", false},
		{"example.com", "example.com", "10.0.0.5:443", false},
		{"example.com", "example.com", "172.16.9.9:443", false},
		{"example.com", "example.com", "192.168.1.1:443", false},
		{"example.com", "example.com", "169.254.169.254:80", false},
		{"example.com", "example.com", "100.64.1.1:80", false},
		{"example.com", "example.com", "0.0.0.0:80", false},
		{"example.com", "example.com", "[::]:80", false},
		{"example.com", "example.com", "[fe80::1%eth0]:80", false},
		{"example.com", "example.com", "[fd00::1]:80", false},
		{"example.com", "example.com", "224.0.0.1:80", false},
		{"example.com", "example.com", "255.255.255.255:80", false},
		{"example.com", "example.com", "[::ffff:10.0.0.5]:80", false},
		{"example.com", "example.com", "[64:ff9b::a00:5]:80", false},
		{"example.com", "example.com", "[2002:a00:5::1]:80", false},
		{"example.com", "example.com", "[::ffff:0:10.0.0.5]:80", false},
		{"example.com", "example.com", "[::10.0.0.5]:80", false},
		{"example.com", "example.com", "[64:ff9b::808:808]:443", true},
		{"example.com", "example.com", "[64:ff9b:1::a00:5]:80", false},
		{"example.com", "example.com", "[4000::1]:80", false},
		{"::ffff:0:a00:0/104", "crm.example.com", "[::ffff:0:10.0.0.5]:80", true},
		{"10.0.0.5", "crm.example.com", "10.0.0.5:8443", true},
		{"10.0.0.5:443", "crm.example.com", "10.0.0.5:8443", false},
		{"10.0.0.0/8", "crm.example.com", "10.9.0.5:443", true},
		{"127.0.0.1:8990", "localhost", "127.0.0.1:8990", true},
		{"127.0.0.1:8990", "localhost", "[::1]:8990", false},
		{"localhost:8990", "localhost", "[::1]:8990", true},
		{"localhost:8990", "localhost", "127.0.0.1:8990", true},
		{"localhost:8990", "localhost", "127.0.0.1:8991", false},
		{"localhost", "evil.example.com", "127.0.0.1:80", false},
		{"localhost", "localhost", "10.0.0.1:80", false},
	} {
		hs, err := parseHosts([]string{c.list})
		if err != nil {
			t.Fatal(err)
		}
		if got := hs.allowsAddress(c.host, netip.MustParseAddrPort(c.addr)); got != c.want {
			t.Errorf("%s at %s with %s: got %v", c.host, c.addr, c.list, got)
		}
	}
}

// FuzzHosts wants that no list makes a panic, and that what is allowed stands in the list.
func FuzzHosts(f *testing.F) {
	f.Add("hooks.example.com:8443", "https://hooks.example.com:8443/")
	f.Add("10.0.0.0/8", "http://10.1.2.3/")
	f.Add("*.example.com", "http://[::1]:80/")
	f.Fuzz(func(t *testing.T, list, target string) {
		hs, err := parseHosts([]string{list})
		if err != nil {
			return
		}
		u, err := url.Parse(target)
		if err != nil || checkURL(u) != nil || !hs.allows(u) {
			return
		}
		if hs[0].name != "" && !strings.HasSuffix(strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), hs[0].name) {
			t.Errorf("%s is allowed by %s", target, list)
		}
	})
}
