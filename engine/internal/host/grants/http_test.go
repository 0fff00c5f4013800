package grants

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/sdk"
)

// hookSecret is the key of the test vector of standardwebhooks.com; so are the id, time and body below.
const hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func secrets(s *host.Spec) {
	s.Secrets = func(name string) ([]byte, error) {
		switch name {
		case "hook":
			return []byte(hookSecret + "\n"), nil
		case "token":
			return []byte("t0ken"), nil
		case "login":
			return []byte("user:pass"), nil
		}
		return nil, errors.New("not declared")
	}
}

// serve starts a server and returns its address as the allow-list has it.
func serve(t *testing.T, h http.HandlerFunc) (base, address string) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL, strings.TrimPrefix(srv.URL, "http://")
}

func TestSignAndAuth(t *testing.T) {
	t.Parallel()
	const body = `{"test": 2432232314}`
	var got *http.Request
	var gotBody string
	base, address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got, gotBody = r, string(b)
		w.Header().Set("X-Answer", "yes")
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte("short and stout"))
	})
	n := session(t, host.Grants{HTTP: []string{address}}, secrets)
	resp, err := n.HTTP(t.Context(), sdk.HTTPRequest{
		Method: "POST", URL: base + "/hook", Body: []byte(body), Headers: map[string]string{"content-type": "application/json"},
		Auth: sdk.HTTPAuth{Scheme: "bearer", Secret: "token"},
		Sign: sdk.HTTPSign{Scheme: "standard-webhooks", Secret: "hook", ID: "msg_p5jXN8AQM9LWM0D4loKWxJek"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if resp.Status != http.StatusTeapot || string(resp.Body) != "short and stout" || resp.Headers["x-answer"] != "yes" {
		t.Errorf("got %+v", resp)
	}
	for name, want := range map[string]string{
		"Webhook-Id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "Webhook-Timestamp": "1614265330", "Content-Type": "application/json",
		"Webhook-Signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "Authorization": "Bearer t0ken", "User-Agent": "closedloop",
	} {
		if v := got.Header.Get(name); v != want {
			t.Errorf("%s: got %q, want %q", name, v, want)
		}
	}
	if got.Method != "POST" || got.URL.Path != "/hook" || gotBody != body {
		t.Errorf("got %s %s %q", got.Method, got.URL, gotBody)
	}
	if _, err := n.HTTP(t.Context(), sdk.HTTPRequest{URL: base, Auth: sdk.HTTPAuth{Scheme: "basic", Secret: "login"}}); err != nil {
		t.Fatal(err)
	}
	if user, pass, ok := got.BasicAuth(); got.Method != "GET" || !ok || user != "user" || pass != "pass" {
		t.Errorf("got %s, %q, %q", got.Method, user, pass)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	base, address := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was made") })
	n := session(t, host.Grants{HTTP: []string{address, "*.invalid"}}, secrets)
	for _, c := range []struct {
		req  sdk.HTTPRequest
		code string
	}{
		{sdk.HTTPRequest{URL: "http://127.0.0.1:1/"}, "host_not_allowed"},
		{sdk.HTTPRequest{URL: "https://example.com/"}, "host_not_allowed"},
		{sdk.HTTPRequest{URL: "file:///etc/passwd"}, "bad_request"},
		{sdk.HTTPRequest{URL: "gopher://" + address}, "bad_request"},
		{sdk.HTTPRequest{URL: "http://user:pass@" + address}, "bad_request"},
		{sdk.HTTPRequest{URL: "http://"}, "bad_request"},
		{sdk.HTTPRequest{URL: "::"}, "bad_request"},
		{sdk.HTTPRequest{URL: base, Method: "GET IT"}, "bad_request"},
		{sdk.HTTPRequest{URL: base, Headers: map[string]string{"Host": "example.com"}}, "bad_request"},
		{sdk.HTTPRequest{URL: base, Headers: map[string]string{"transfer-encoding": "chunked"}}, "bad_request"},
		{sdk.HTTPRequest{URL: base, Headers: map[string]string{"x": "a\r\nb: c"}}, "bad_request"},
		{sdk.HTTPRequest{URL: base, Headers: map[string]string{"x y": "a"}}, "bad_request"},
		{sdk.HTTPRequest{URL: base, Auth: sdk.HTTPAuth{Scheme: "bearer", Secret: "other"}}, "unknown_secret"},
		{sdk.HTTPRequest{URL: base, Auth: sdk.HTTPAuth{Scheme: "digest", Secret: "token"}}, "bad_request"},
		{sdk.HTTPRequest{URL: base, Auth: sdk.HTTPAuth{Scheme: "basic", Secret: "token"}}, "bad_secret"},
		{sdk.HTTPRequest{URL: base, Sign: sdk.HTTPSign{Scheme: "standard-webhooks", Secret: "hook"}}, "bad_request"},
		{sdk.HTTPRequest{URL: base, Sign: sdk.HTTPSign{Scheme: "standard-webhooks", Secret: "token", ID: "m"}}, "bad_secret"},
		{sdk.HTTPRequest{URL: base, Sign: sdk.HTTPSign{Scheme: "md5", Secret: "hook", ID: "m"}}, "bad_request"},
	} {
		_, err := n.HTTP(t.Context(), c.req)
		wantFailure(t, err, c.code, true)
		if err != nil && (strings.Contains(err.Error(), "t0ken") || strings.Contains(err.Error(), "MfKQ9r8")) {
			t.Errorf("the error tells a secret: %v", err)
		}
	}
	_, err := n.HTTP(t.Context(), sdk.HTTPRequest{URL: "http://nobody.invalid/"})
	wantFailure(t, err, "unreachable", false)
}

// TestNameThatLeadsInside allows a name, and not the private address that it leads to.
func TestNameThatLeadsInside(t *testing.T) {
	t.Parallel()
	base, address := serve(t, func(http.ResponseWriter, *http.Request) {})
	_, port, _ := strings.Cut(address, ":")
	byName := strings.Replace(base, "127.0.0.1", "localhost", 1)
	// An entry for everything below a domain never stands for loopback.
	s := session(t, host.Grants{HTTP: []string{"localhost:" + port}})
	if _, err := s.HTTP(t.Context(), sdk.HTTPRequest{URL: byName}); err != nil {
		t.Error(err)
	}
	s = session(t, host.Grants{HTTP: []string{"localhost:" + port}})
	s.hosts[0].name = "elsewhere" // as a public name that resolves to loopback
	s.hosts = append(s.hosts, entry{name: "localhost", below: false, port: "1"})
	u, _ := url.Parse(byName)
	if s.hosts.allows(u) {
		t.Fatal("the test does not test anything")
	}
	_, err := s.dial(t.Context(), "tcp", "localhost:"+port)
	if !errors.Is(err, errAddress) {
		t.Errorf("got %v", err)
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	other, otherAddress := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("other " + r.Header.Get("Authorization")))
	})
	forbidden, _ := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a redirect left the allowed hosts") })
	base, address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/other":
			http.Redirect(w, r, other, http.StatusFound)
		case "/forbidden":
			http.Redirect(w, r, forbidden, http.StatusFound)
		case "/here":
			http.Redirect(w, r, "/end", http.StatusTemporaryRedirect)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/end":
			_, _ = w.Write([]byte("end " + r.Header.Get("Authorization")))
		}
	})
	n := session(t, host.Grants{HTTP: []string{address, otherAddress}}, secrets)
	auth := sdk.HTTPAuth{Scheme: "bearer", Secret: "token"}
	for _, c := range []struct {
		req    sdk.HTTPRequest
		status int
		body   string
	}{
		{sdk.HTTPRequest{URL: base + "/other"}, 200, "other "},
		{sdk.HTTPRequest{URL: base + "/other", Auth: auth}, 302, ""},
		{sdk.HTTPRequest{URL: base + "/forbidden"}, 302, ""},
		{sdk.HTTPRequest{URL: base + "/here", Auth: auth}, 200, "end Bearer t0ken"},
		{sdk.HTTPRequest{URL: base + "/here", Method: "POST"}, 307, ""},
		{sdk.HTTPRequest{URL: base + "/loop"}, 302, ""},
	} {
		resp, err := n.HTTP(t.Context(), c.req)
		if err != nil || resp.Status != c.status || c.status == 200 && string(resp.Body) != c.body {
			t.Errorf("%s %s: got %d %q, %v; want %d %q", c.req.Method, c.req.URL, resp.Status, resp.Body, err, c.status, c.body)
		}
	}
}

// TestSecretURL makes requests whose URL is a secret.
func TestSecretURL(t *testing.T) {
	t.Parallel()
	var got []string
	base, address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization"))
		http.Redirect(w, r, "/end", http.StatusFound)
	})
	n := session(t, host.Grants{HTTP: []string{address}}, func(s *host.Spec) {
		s.Secrets = func(name string) ([]byte, error) {
			secret, ok := map[string]string{
				"hook": base + "/s3cret\n", "far": "https://example.com/s3cret", "word": "s3cret", "odd": "http://s3cret\x7f/",
				"user": "http://s3cret:s3cret@" + address, "gone": "http://127.0.0.1:1/s3cret",
			}[name]
			if !ok {
				return nil, errors.New("not declared")
			}
			return []byte(secret), nil
		}
	})
	for _, method := range []string{"GET", "POST"} {
		got = nil
		resp, err := n.HTTP(t.Context(), sdk.HTTPRequest{Method: method, Auth: sdk.HTTPAuth{Scheme: "url", Secret: "hook"}})
		if err != nil || resp.Status != http.StatusFound || len(got) != 1 || got[0] != method+" /s3cret " {
			t.Errorf("%s: got %d and %q, %v; want one request, and its redirect as the answer", method, resp.Status, got, err)
		}
	}
	for secret, code := range map[string]string{
		"far": "host_not_allowed", "word": "bad_secret", "odd": "bad_secret", "user": "bad_secret", "other": "unknown_secret", "gone": "host_not_allowed",
	} {
		_, err := n.HTTP(t.Context(), sdk.HTTPRequest{Auth: sdk.HTTPAuth{Scheme: "url", Secret: secret}})
		wantFailure(t, err, code, true)
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error tells a secret: %v", err)
		}
	}
	_, err := n.HTTP(t.Context(), sdk.HTTPRequest{URL: base, Auth: sdk.HTTPAuth{Scheme: "url", Secret: "hook"}})
	wantFailure(t, err, "bad_request", true)
}

func TestSecretURLThatIsRepeated(t *testing.T) {
	t.Parallel()
	const token = "T0ken0f24Characters00000"
	base, address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		uri := r.URL.RequestURI()
		if r.Method == http.MethodGet {
			w.Header().Set("Location", "http://%zz"+uri)
			w.WriteHeader(http.StatusFound)
			return
		}
		w.Header().Set("Location", "https://"+r.Host+uri)
		w.Header().Set("X-Asked", r.URL.Path)
		w.WriteHeader(http.StatusMovedPermanently)
		_, _ = w.Write([]byte("gone: http://" + r.Host + uri + " " + strings.ReplaceAll(r.URL.Path, "/", `\/`) + " " +
			strings.ReplaceAll(uri, "&", "&amp;") + " and nothing else"))
	})
	n := session(t, host.Grants{HTTP: []string{address}}, func(s *host.Spec) {
		s.Secrets = func(string) ([]byte, error) {
			return []byte(base + "/services/" + token + "?a=1&key=" + token + "%21"), nil
		}
	})
	resp, err := n.HTTP(t.Context(), sdk.HTTPRequest{Method: "POST", Auth: sdk.HTTPAuth{Scheme: "url", Secret: "hook"}})
	if err != nil || resp.Status != http.StatusMovedPermanently {
		t.Fatalf("got %d, %v", resp.Status, err)
	}
	told := string(resp.Body)
	for _, value := range resp.Headers {
		told += " " + value
	}
	if strings.Contains(told, token) || !strings.HasPrefix(told, "gone: ") || !strings.Contains(told, "and nothing else") {
		t.Errorf("got the answer %q, expected it without the secret", told)
	}
	_, err = n.HTTP(t.Context(), sdk.HTTPRequest{Auth: sdk.HTTPAuth{Scheme: "url", Secret: "hook"}})
	wantFailure(t, err, "unreachable", false)
	if err != nil && strings.Contains(err.Error(), token) {
		t.Errorf("the error tells a secret: %v", err)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	base, address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			select {
			case <-stop:
			case <-r.Context().Done():
			}
			return
		}
		if r.URL.Path == "/busy" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write(make([]byte, 1000))
	})
	defer close(stop)
	for limit, fits := range map[int64]bool{1000: true, 999: false} {
		n := session(t, host.Grants{HTTP: []string{address}}, func(s *host.Spec) { s.Limits.Response = limit })
		resp, err := n.HTTP(t.Context(), sdk.HTTPRequest{URL: base})
		if fits != (err == nil && len(resp.Body) == 1000) {
			t.Errorf("limit %d: got %d bytes, %v", limit, len(resp.Body), err)
		}
		if !fits {
			wantFailure(t, err, "response_too_large", true)
		}
		// What goes with an error is told as far as it fits.
		if resp, err = n.HTTP(t.Context(), sdk.HTTPRequest{URL: base + "/busy"}); err != nil || resp.Status != 503 || len(resp.Body) != int(min(limit, 1000)) {
			t.Errorf("limit %d: status %d, %d bytes, %v", limit, resp.Status, len(resp.Body), err)
		}
	}
	n := session(t, host.Grants{HTTP: []string{address}}, func(s *host.Spec) { s.Limits.Deadline = 1 })
	_, err := n.HTTP(t.Context(), sdk.HTTPRequest{URL: base + "/hang"})
	wantFailure(t, err, "timeout", false)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n = session(t, host.Grants{HTTP: []string{address}})
	_, err = n.HTTP(ctx, sdk.HTTPRequest{URL: base + "/hang"})
	wantFailure(t, err, "canceled", false)
}
