package admin

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBad = errors.New("bad")

func serve(t *testing.T, dir string) {
	t.Helper()
	s, err := Serve(dir, map[string]Method{
		"double": func(_ context.Context, args json.RawMessage) (any, error) {
			var n int
			if err := json.Unmarshal(args, &n); err != nil {
				return nil, errBad
			}
			return 2 * n, nil
		},
	}, func(err error) string {
		if errors.Is(err, errBad) {
			return "bad"
		}
		return ""
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func dial(t *testing.T, dir string) *Client {
	t.Helper()
	c, err := Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestCall(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir)
	c := dial(t, dir)
	var n int
	if err := c.Call(t.Context(), "double", 21, &n); err != nil || n != 42 {
		t.Errorf("double(21) = %d, %v", n, err)
	}
	e := (*Error)(nil)
	if err := c.Call(t.Context(), "double", "x", &n); !errors.As(err, &e) || e.Code != "bad" {
		t.Errorf("a failing method gave %v", err)
	}
	if err := c.Call(t.Context(), "nothing", nil, nil); !errors.As(err, &e) || e.Code != "no_method" {
		t.Errorf("an unknown method gave %v", err)
	}
}

func TestSocketIsPrivate(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir)
	path, err := os.ReadFile(filepath.Join(dir, addrFile))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(string(path))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("socket mode %v, want 0600", info.Mode().Perm())
	}
}

func TestLongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 40))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	serve(t, dir)
	var n int
	if err := dial(t, dir).Call(t.Context(), "double", 4, &n); err != nil || n != 8 {
		t.Errorf("double(4) = %d, %v", n, err)
	}
}

func TestNotRunning(t *testing.T) {
	dir := t.TempDir()
	if _, err := Dial(dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no engine: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, addrFile), []byte(filepath.Join(dir, sockFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("an engine that was killed: %v", err)
	}
	serve(t, dir)
	dial(t, dir)
}

func TestProgressIsTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := Serve(dir, map[string]Method{
		"count": Telling(func(_ context.Context, _ json.RawMessage, tell func(any)) (any, error) {
			for i := range 3 {
				tell(i)
			}
			return "done", nil
		}),
		"fail": Telling(func(_ context.Context, _ json.RawMessage, tell func(any)) (any, error) {
			tell(1)
			return nil, errors.New("it broke")
		}),
		"plain": func(context.Context, json.RawMessage) (any, error) { return "plain", nil },
		"wait": Telling(func(ctx context.Context, _ json.RawMessage, tell func(any)) (any, error) {
			tell(0)
			<-ctx.Done()
			return nil, ctx.Err()
		}),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var heard []string
	hear := func(p json.RawMessage) { heard = append(heard, string(p)) }
	var got string
	if err := c.CallTold(t.Context(), "count", nil, &got, hear); err != nil || got != "done" || strings.Join(heard, " ") != "0 1 2" {
		t.Errorf("%q, %v; heard %v", got, err, heard)
	}
	if err := c.Call(t.Context(), "count", nil, &got); err != nil || got != "done" {
		t.Errorf("one that does not listen gets %q, %v", got, err)
	}
	if err := c.CallTold(t.Context(), "plain", nil, &got, hear); err != nil || got != "plain" {
		t.Errorf("a method that tells nothing gives %q, %v", got, err)
	}
	var failure *Error
	if err := c.CallTold(t.Context(), "fail", nil, &got, hear); !errors.As(err, &failure) || failure.Message != "it broke" {
		t.Errorf("a failure came as %v", err)
	}
	if err := c.CallTold(t.Context(), "nothing", nil, &got, hear); !errors.As(err, &failure) || failure.Code != "no_method" {
		t.Errorf("an unknown method gave %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := c.CallTold(ctx, "wait", nil, &got, func(json.RawMessage) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("a call that was given up gave %v", err)
	}
}

// A socket that cannot be made leaves no folder behind.
func TestNothingIsLeftOfNoSocket(t *testing.T) {
	tmp := t.TempDir()
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} {
		t.Setenv(name, tmp)
	}
	missing := filepath.Join(t.TempDir(), strings.Repeat("x", maxPath))
	if _, err := Serve(missing, nil, nil); err == nil {
		t.Fatal("a folder that is not there was served")
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}
