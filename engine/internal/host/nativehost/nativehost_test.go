package nativehost_test

import (
	"context"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/nativehost"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var manifest = sdk.Manifest{Name: "fake", Version: "1.0.0", Contract: "1.0", Abilities: sdk.Abilities}

// fake does what the text of the first item says.
type fake struct {
	host  sdk.Host
	spans []feedback.Span
	calls int
}

func (f *fake) Categorize(ctx context.Context, items []feedback.Item, out []sdk.Result) error {
	f.calls++
	f.spans = append(f.spans[:0], feedback.Span{Start: uint32(f.calls), End: 9})
	for i := range items {
		switch items[i].Text {
		case "panic":
			panic("on purpose")
		case "fatal":
			return sdk.Fatal("never")
		case "wait":
			<-ctx.Done()
			return ctx.Err()
		case "nan":
			out[i].AddTheme("a", math.NaN())
		case "own deadline":
			return context.DeadlineExceeded
		default:
			out[i].AddTheme(feedback.ThemePath(f.host.Now().String()), 1, f.spans...)
		}
	}
	return nil
}

func (f *fake) Poll(context.Context, sdk.PollRequest) (sdk.PollResult, error) {
	f.calls++
	return sdk.PollResult{Items: make([]feedback.Item, f.calls)}, nil
}

func (f *fake) Receive(_ context.Context, req sdk.ReceiveRequest) (sdk.ReceiveResult, error) {
	return sdk.ReceiveResult{Items: []feedback.Item{{Text: string(req.Body)}}}, nil
}

func (f *fake) Deliver(_ context.Context, m sdk.Message) error {
	if m.Key == "" {
		return sdk.Retry(time.Minute, "no key")
	}
	return nil
}

func open(t *testing.T, spec host.Spec) host.Plugin {
	t.Helper()
	if spec.Manifest.Name == "" {
		spec.Manifest = manifest
	}
	spec.ID = "fake"
	p, err := nativehost.New(t.Context(), sdk.Plugin{New: func(_ context.Context, h sdk.Host, _ []byte) (any, error) {
		return &fake{host: h}, nil
	}}, spec)
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
	for i := range out {
		out[i] = feedback.Item{Text: texts[i], ReceivedAt: 1_770_000_000_000 + feedback.Time(i)}
	}
	return out
}

func wantCode(t *testing.T, err error, code host.Code) {
	t.Helper()
	if e := (*host.Error)(nil); !errors.As(err, &e) || e.Code != code {
		t.Errorf("got %v, want code %s", err, code)
	}
}

func TestCategorize(t *testing.T) {
	t.Parallel()
	p := open(t, host.Spec{Limits: host.Limits{Instances: 1}})
	b1, err := p.Categorize(t.Context(), items("a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	b2, err := p.Categorize(t.Context(), items("c"))
	if err != nil {
		t.Fatal(err)
	}
	// The plugin uses the memory of its evidence again; the batches do not see it.
	want := []feedback.Theme{{Path: "2026-02-02T02:40:00.001Z", Confidence: 1, Evidence: []feedback.Span{{Start: 1, End: 9}}}}
	if got := b1.Results[1].Labels.Themes; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := b2.Results[0].Labels.Themes[0].Evidence[0].Start; got != 2 {
		t.Errorf("got %d", got)
	}
	b1.Release()
	b2.Release()
}

func TestFailures(t *testing.T) {
	t.Parallel()
	p := open(t, host.Spec{Limits: host.Limits{Deadline: 20 * time.Millisecond, Output: 1000}})
	for text, code := range map[string]host.Code{
		"panic": host.CodeTrap, "fatal": host.CodeRefused, "wait": host.CodeDeadline, "nan": host.CodeFrame, "own deadline": host.CodeRefused,
	} {
		_, err := p.Categorize(t.Context(), items("fine", text))
		wantCode(t, err, code)
		if e := (*host.Error)(nil); text == "panic" && (!errors.As(err, &e) || !strings.Contains(e.Stderr, "Categorize")) {
			t.Errorf("no stack: %v", err)
		}
	}
	_, err := p.Categorize(t.Context(), items(strings.Split(strings.Repeat("x ", 100), " ")...))
	wantCode(t, err, host.CodeFrame)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = p.Categorize(ctx, items("wait"))
	wantCode(t, err, host.CodeCanceled)
	if s := p.Stats(); s.Calls != 7 || s.Errors != 7 || s.Discarded != 5 {
		t.Errorf("got %+v", s)
	}
}

func TestOtherAbilities(t *testing.T) {
	t.Parallel()
	p := open(t, host.Spec{})
	for want := range 3 {
		r, err := p.Poll(t.Context(), sdk.PollRequest{Limit: 10})
		if err != nil || len(r.Items) != want+1 {
			t.Errorf("got %d items, %v", len(r.Items), err)
		}
	}
	if _, err := p.Poll(t.Context(), sdk.PollRequest{Limit: 2}); err == nil {
		t.Error("more items than asked for were accepted")
	}
	if r, err := p.Receive(t.Context(), sdk.ReceiveRequest{Body: []byte("x")}); err != nil || r.Items[0].Text != "x" {
		t.Errorf("got %v, %v", r, err)
	}
	if err := p.Deliver(t.Context(), sdk.Message{Key: "k"}); err != nil {
		t.Error(err)
	}
	err := p.Deliver(t.Context(), sdk.Message{})
	wantCode(t, err, host.CodeRefused)
	if f := sdk.FailureOf(err); f.Fatal || f.After != time.Minute {
		t.Errorf("got %+v", f)
	}
	if !strings.HasPrefix(p.Version(), "1.0.0+") || p.Manifest().Name != "fake" {
		t.Errorf("got %s", p.Version())
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	t.Parallel()
	for code, open := range map[host.Code]func(context.Context, sdk.Host, []byte) (any, error){
		host.CodeRefused:  func(context.Context, sdk.Host, []byte) (any, error) { return nil, errors.New("no") },
		host.CodeTrap:     func(context.Context, sdk.Host, []byte) (any, error) { panic("no") },
		host.CodeDeadline: func(ctx context.Context, _ sdk.Host, _ []byte) (any, error) { <-ctx.Done(); return nil, ctx.Err() },
	} {
		_, err := nativehost.New(t.Context(), sdk.Plugin{New: open}, host.Spec{ID: "x", Manifest: manifest, Limits: host.Limits{Start: time.Millisecond}})
		wantCode(t, err, code)
	}
	_, err := nativehost.New(t.Context(), sdk.Plugin{}, host.Spec{ID: "x"})
	wantCode(t, err, host.CodeModule)
}

func TestCloseEndsTheContextOfCalls(t *testing.T) {
	t.Parallel()
	p := open(t, host.Spec{Limits: host.Limits{Deadline: time.Hour}})
	done := make(chan error)
	go func() {
		_, err := p.Categorize(context.Background(), items("wait"))
		done <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := p.Close(ctx); err != nil {
		t.Fatal(err)
	}
	wantCode(t, <-done, host.CodeUnavailable)
	_, err := p.Poll(t.Context(), sdk.PollRequest{Limit: 1})
	wantCode(t, err, host.CodeUnavailable)
}
