package sdktest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// recorder collects what a suite reports.
type recorder struct{ errors []string }

func (r *recorder) Helper()             {}
func (r *recorder) Logf(string, ...any) {}
func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}
func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// report runs a suite and returns everything that it reports.
func report(suite func(TB)) string {
	r, done := &recorder{}, make(chan struct{})
	go func() {
		defer close(done)
		suite(r)
	}()
	<-done
	return strings.Join(r.errors, "\n")
}

// The plugins under test are functions, each with one thing wrong with it.
type (
	categorize func([]feedback.Item, []sdk.Result) error
	poll       func(sdk.PollRequest) (sdk.PollResult, error)
	receiving  func(sdk.ReceiveRequest) (sdk.ReceiveResult, error)
	delivering func(context.Context, sdk.Message) error
)

func (f categorize) Categorize(_ context.Context, items []feedback.Item, out []sdk.Result) error {
	return f(items, out)
}
func (f poll) Poll(_ context.Context, req sdk.PollRequest) (sdk.PollResult, error) { return f(req) }
func (f receiving) Receive(_ context.Context, req sdk.ReceiveRequest) (sdk.ReceiveResult, error) {
	return f(req)
}
func (f delivering) Deliver(ctx context.Context, m sdk.Message) error { return f(ctx, m) }

// find labels each item that has the word, with evidence.
func find(items []feedback.Item, out []sdk.Result) error {
	for i := range items {
		if at := strings.Index(items[i].Text, "öff"); at >= 0 {
			out[i].AddTheme("packaging/opening", 0.9, feedback.Span{Start: uint32(at), End: uint32(at + 4)}).Sentiment = new(-0.5)
		}
	}
	return nil
}

func TestCategorizer(t *testing.T) {
	t.Parallel()
	each := func(f func(*feedback.Item, *sdk.Result)) categorize {
		return func(items []feedback.Item, out []sdk.Result) error {
			for i := range items {
				f(&items[i], &out[i])
			}
			return nil
		}
	}
	calls := 0
	last, lastDrop := "", ""
	for _, tt := range []struct {
		name string
		f    categorize
		want string // part of the report; empty for a good plugin
	}{
		{"good", find, ""},
		{"panics on an empty batch", func(items []feedback.Item, _ []sdk.Result) error { _ = items[0]; return nil }, "empty batch: panic"},
		{"error", func([]feedback.Item, []sdk.Result) error { return errors.New("busy") }, "batch: busy"},
		{"confidence", each(func(_ *feedback.Item, r *sdk.Result) { r.AddTheme("a", 1.5) }), "has the confidence 1.5"},
		{"sentiment", each(func(_ *feedback.Item, r *sdk.Result) { r.Labels.Sentiment = new(-2.0) }), "sentiment -2"},
		{"path", each(func(_ *feedback.Item, r *sdk.Result) { r.AddTheme("/a", 1) }), "expected a path"},
		{"theme twice", each(func(_ *feedback.Item, r *sdk.Result) { r.AddTheme("a", 1); r.AddTheme("a", 1) }), "twice"},
		{"span outside", each(func(_ *feedback.Item, r *sdk.Result) { r.AddTheme("a", 1, feedback.Span{Start: 0, End: 1 << 20}) }), "within the"},
		{"span in a rune", each(func(it *feedback.Item, r *sdk.Result) {
			if at := strings.Index(it.Text, "ö"); at >= 0 {
				r.AddTheme("a", 1, feedback.Span{Start: uint32(at), End: uint32(at + 1)})
			}
		}), "divides a character"},
		{"counts calls", each(func(_ *feedback.Item, r *sdk.Result) {
			calls++
			r.AddTheme(feedback.ThemePath("n"+strconv.Itoa(calls)), 1)
		}), "alone in a batch"},
		{"changes items", each(func(it *feedback.Item, _ *sdk.Result) { it.Text = "" }), "items were changed"},
		{"looks at its neighbour", func(items []feedback.Item, out []sdk.Result) error {
			for i := range items[min(1, len(items)):] {
				out[i].AddTheme("neighbour", 1)
			}
			return nil
		}, "alone in a batch"},
		{"keeps strings", each(func(it *feedback.Item, r *sdk.Result) {
			if it.Text == last {
				r.Drop = lastDrop
				return
			}
			r.Drop = strings.Clone(it.Text)
			last, lastDrop = it.Text, r.Drop
		}), "does the plugin keep a string?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			check(t, tt.want, func(tb TB) { Categorizer(tb, func() (sdk.Categorizer, error) { return tt.f, nil }) })
		})
	}
}

// check runs a suite and expects the part of a report, or no report at all.
func check(t *testing.T, want string, suite func(TB)) {
	t.Helper()
	got := report(suite)
	if want == "" && got != "" || !strings.Contains(got, want) {
		t.Errorf("reported %q, expected %q", got, want)
	}
}

// lines is a source of n items; every third line is a reject.
func lines(n int) poll {
	return func(req sdk.PollRequest) (sdk.PollResult, error) {
		at := 0
		if len(req.Checkpoint) > 0 {
			var err error
			if at, err = strconv.Atoi(string(req.Checkpoint)); err != nil || at < 0 || at > n {
				return sdk.PollResult{}, sdk.Fatal("the checkpoint is damaged")
			}
		}
		res := sdk.PollResult{Batch: "lines"}
		for ; at < n && len(res.Items)+len(res.Rejects) < req.Limit; at++ {
			if at%3 == 2 {
				res.Rejects = append(res.Rejects, sdk.Reject{Position: strconv.Itoa(at), Code: "third", Message: "every third"})
			} else {
				res.Items = append(res.Items, feedback.Item{ExternalID: strconv.Itoa(at), Survey: feedback.NPS, Score: new(float64(at % 11))})
			}
		}
		res.Next, res.More = strconv.AppendInt(nil, int64(at), 10), at < n
		return res, nil
	}
}

func TestPoller(t *testing.T) {
	t.Parallel()
	good := lines(20)
	with := func(f func(sdk.PollRequest, *sdk.PollResult)) poll {
		return func(req sdk.PollRequest) (sdk.PollResult, error) {
			res, err := good(req)
			f(req, &res)
			return res, err
		}
	}
	for _, tt := range []struct {
		name string
		f    poll
		want string
	}{
		{"good", good, ""},
		{"nothing", lines(0), ""},
		{"over the limit", func(req sdk.PollRequest) (sdk.PollResult, error) { req.Limit++; return good(req) }, "limit 1: a poll brings 2"},
		{"no end", with(func(_ sdk.PollRequest, p *sdk.PollResult) { p.More = true }), "promises more but brings nothing"},
		{"no checkpoint", with(func(_ sdk.PollRequest, p *sdk.PollResult) { p.Next = nil }), "there is still more after"},
		{"checkpoint too large", with(func(_ sdk.PollRequest, p *sdk.PollResult) { p.Next = make([]byte, sdk.MaxCheckpoint+1) }), "65537 bytes"},
		{"depends on the limit", with(func(req sdk.PollRequest, p *sdk.PollResult) { p.Batch = strconv.Itoa(req.Limit) }), "is another"},
		{"score", with(func(_ sdk.PollRequest, p *sdk.PollResult) {
			for i := range p.Items {
				p.Items[i].Score = new(11.0)
			}
		}), "expected 0 to 10"},
		{"panics on a strange checkpoint", func(req sdk.PollRequest) (sdk.PollResult, error) {
			if string(req.Checkpoint) == "{" {
				panic("what is this?")
			}
			return good(req)
		}, "what is this?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			check(t, tt.want, func(tb TB) { Poller(tb, func() (sdk.Poller, error) { return tt.f, nil }) })
		})
	}
}

func TestReceiver(t *testing.T) {
	t.Parallel()
	good := receiving(func(req sdk.ReceiveRequest) (sdk.ReceiveResult, error) {
		var body struct{ Text string }
		if err := json.Unmarshal(req.Body, &body); err != nil || body.Text == "" {
			return sdk.ReceiveResult{Rejects: []sdk.Reject{{Code: "bad_body", Message: "no JSON object with a text"}}}, nil
		}
		return sdk.ReceiveResult{Items: []feedback.Item{{Text: body.Text}}}, nil
	})
	n := 0
	for _, tt := range []struct {
		name string
		f    receiving
		want string
	}{
		{"good", good, ""},
		{"panics", func(req sdk.ReceiveRequest) (sdk.ReceiveResult, error) { _ = req.Body[0]; return good(req) }, "panic"},
		{"nothing", func(sdk.ReceiveRequest) (sdk.ReceiveResult, error) { return sdk.ReceiveResult{}, nil }, "no items"},
		{"changes", func(req sdk.ReceiveRequest) (sdk.ReceiveResult, error) {
			n++
			return sdk.ReceiveResult{Items: []feedback.Item{{ExternalID: strconv.Itoa(n)}}}, nil
		}, "gives something else"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			check(t, tt.want, func(tb TB) {
				Receiver(tb, func() (sdk.Receiver, error) { return tt.f, nil }, sdk.ReceiveRequest{Body: []byte(`{"text":"late"}`)})
			})
		})
	}
}

func TestDelivererAndHost(t *testing.T) {
	t.Parallel()
	var keys []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		w.Header().Set("X-Got", cmp.Or(r.Header.Get("Authorization"), "none"))
	}))
	defer server.Close()
	host := &Host{Allow: []string{server.Listener.Addr().String()}, Secrets: map[string]string{"token": "t0"}}
	post := func(ctx context.Context, key string) error {
		resp, err := host.HTTP(ctx, sdk.HTTPRequest{
			Method: "POST", URL: server.URL, Headers: map[string]string{"idempotency-key": key},
			Auth: sdk.HTTPAuth{Scheme: "bearer", Secret: "token"},
		})
		if err == nil && resp.Headers["x-got"] != "Bearer t0" {
			return sdk.Fatal("headers %v", resp.Headers)
		}
		return err
	}
	message := sdk.Message{Key: "k1", Kind: "notify", Body: []byte("{}")}
	seen := func() []string { return keys }
	suite := func(f delivering) func(TB) {
		return func(tb TB) { Deliverer(tb, func() (sdk.Deliverer, error) { return f, nil }, message, seen) }
	}
	check(t, "", suite(func(ctx context.Context, m sdk.Message) error { return post(ctx, m.Key) }))
	check(t, `expected "k1" at both`, suite(func(ctx context.Context, m sdk.Message) error {
		return post(ctx, m.Key+strconv.Itoa(m.Attempt))
	}))
	check(t, "the destination was given 1 messages", suite(func(_ context.Context, m sdk.Message) error {
		return post(context.Background(), m.Key)
	}))
	check(t, "which is fatal", suite(func(ctx context.Context, m sdk.Message) error {
		if err := post(ctx, m.Key); err != nil {
			return sdk.Fatal("%w", err)
		}
		return nil
	}))
	if _, err := host.HTTP(t.Context(), sdk.HTTPRequest{URL: "http://127.0.0.1:1/"}); !isFatal(err) {
		t.Errorf("a request to elsewhere: %v", err)
	}
}

func isFatal(err error) bool { return err != nil && sdk.FailureOf(err).Fatal }

// The vector is that of the specification of Standard Webhooks.
func TestHostSigns(t *testing.T) {
	t.Parallel()
	var got string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("webhook-signature")
	}))
	defer server.Close()
	host := &Host{Allow: []string{server.Listener.Addr().String()}, Secrets: map[string]string{"hook": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}}
	_, err := host.HTTP(t.Context(), sdk.HTTPRequest{
		Method: "POST", URL: server.URL, Body: []byte(`{"test": 2432232314}`),
		Sign: sdk.HTTPSign{Scheme: "standard-webhooks", Secret: "hook", ID: "msg_p5jXN8AQM9LWM0D4loKWxJek", Timestamp: 1614265330000},
	})
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; err != nil || got != want {
		t.Errorf("signature %q, %v, expected %q", got, err, want)
	}
}

func TestHostFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"b.csv": "hello", "sub/a.csv": "x"} {
		at := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	folder, file := &Host{Dir: dir}, &Host{Dir: filepath.Join(dir, "b.csv")}
	files, err := folder.Files()
	if err != nil || len(files) != 2 || files[0].Name != "b.csv" || files[0].Size != 5 || files[1].Name != "sub/a.csv" {
		t.Errorf("Files = %+v, %v", files, err)
	}
	if files, err := file.Files(); err != nil || len(files) != 1 || files[0].Name != "b.csv" {
		t.Errorf("Files = %+v, %v", files, err)
	}
	p := make([]byte, 8)
	for _, h := range []*Host{folder, file} {
		if n, err := h.ReadFile("b.csv", p, 1); n != 4 || err != io.EOF || !bytes.Equal(p[:n], []byte("ello")) {
			t.Errorf("ReadFile = %d, %v", n, err)
		}
		if _, err := h.ReadFile("../b.csv", p, 0); !isFatal(err) {
			t.Errorf("a name that leaves the folder: %v", err)
		}
	}
	if _, err := (&Host{}).Files(); !isFatal(err) {
		t.Errorf("without a grant: %v", err)
	}
}

func TestHostKeeps(t *testing.T) {
	t.Parallel()
	h := &Host{KV: map[string][]byte{}}
	for _, v := range []string{"one", "two", ""} {
		if err := h.KVPut("k", []byte(v)); err != nil {
			t.Error(err)
		}
		if got, err := h.KVGet("k"); err != nil || string(got) != v || v == "" && got != nil {
			t.Errorf("KVGet = %q, %v; expected %q", got, err, v)
		}
	}
	if !isFatal(h.KVPut("", nil)) || !isFatal(h.KVPut("k", make([]byte, sdk.MaxKVValue+1))) || !isFatal((&Host{}).KVPut("k", nil)) {
		t.Error("a pair that is too large or not granted was kept")
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	plugin := sdk.Plugin{New: func(context.Context, sdk.Host, []byte) (any, error) { return categorize(find), nil }}
	if _, err := Open[sdk.Categorizer](plugin, &Host{}, "{}")(); err != nil {
		t.Error(err)
	}
	if _, err := Open[sdk.Poller](plugin, &Host{}, "{}")(); err == nil || !strings.Contains(err.Error(), "does not implement sdk.Poller") {
		t.Errorf("a plugin without the ability: %v", err)
	}
}
