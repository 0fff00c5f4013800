package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
	"github.com/closedloop/closedloop/engine/internal/program"
)

const faulty = "engine/internal/conformance/testdata/faulty"

// cacheDir keeps compiled code for all tests.
var cacheDir string

func TestMain(m *testing.M) {
	var err error
	if cacheDir, err = os.MkdirTemp("", "closedloop-conformance-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		hosttest.Clean()
		_ = os.RemoveAll(cacheDir)
		os.Exit(code)
	}))
}

// module returns the faulty plugin as a file.
func module(t *testing.T) *program.Plugin {
	t.Helper()
	path := filepath.Join(t.TempDir(), "faulty.wasm")
	if err := os.WriteFile(path, hosttest.Module(t, faulty), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := program.Find(path, program.TrustSandbox, program.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// failing runs the suite and returns what failed, with the first problem of each.
func failing(t *testing.T, p *program.Plugin, fault string) string {
	t.Helper()
	var told []string
	failed, err := Run(t.Context(), p, Options{Settings: fmt.Sprintf(`{"fault": %q}`, fault), CacheDir: cacheDir}, func(r Result) {
		if !r.OK() {
			told = append(told, fmt.Sprintf("%s: %s: %s", r.Ability, r.Check, r.Problems[0]))
		}
	})
	if err != nil || failed != len(told) {
		t.Errorf("%s: %d failed, %v", fault, failed, err)
	}
	return strings.Join(told, "\n")
}

// TestFaults holds that the suite finds what is wrong with a module, and says it of the check that is about it. The
// plugin crashes when it is given settings that its spec rules out: that is found with every fault.
func TestFaults(t *testing.T) {
	t.Parallel()
	p := module(t)
	settings := "settings: survives settings that are no JSON object: "
	for fault, want := range map[string][]string{
		"none":       {settings},
		"hoard":      {settings, "categorize: keeps nothing of what it was given: after 1024 calls with 16 MiB: the instance holds "},
		"count":      {settings, "answers alike in another instance and at a second call: ", "answers alike in memory that was used before: "},
		"characters": {settings, "gives evidence within the text that divides no character: ", "which divides a character: spans count bytes"},
		"exit":       {settings, "answers items without text, in every script, and as large as they come: batch: plugin faulty 1.0.0+", "categorize: exit: "},
	} {
		t.Run(fault, func(t *testing.T) {
			got := failing(t, p, fault)
			for _, w := range want {
				if !strings.Contains(got, w) {
					t.Errorf("got\n%s\nexpected %s", got, w)
				}
			}
			if lines := strings.Count(got, "\nsettings: ") + strings.Count(got, "\ncategorize: "); fault == "none" && lines > 1 {
				t.Errorf("got\n%s", got)
			}
		})
	}
}

// TestProcess holds that a process is found wanting in the same words as a module.
func TestProcess(t *testing.T) {
	t.Parallel()
	path := hosttest.Process(t, faulty)
	manifest, err := os.ReadFile("testdata/faulty/plugin.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), program.ManifestName), manifest, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := program.Find(path, program.TrustProcess, program.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := failing(t, p, "characters")
	for _, want := range []string{"settings: survives settings that are no JSON object: ", "which divides a character"} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nexpected %s", got, want)
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	checks := 0
	_, err := Run(ctx, module(t), Options{Settings: `{"fault": "none"}`, CacheDir: cacheDir}, func(Result) {
		checks++
		cancel()
	})
	if !errors.Is(err, context.Canceled) || checks != 1 {
		t.Errorf("%d checks, %v", checks, err)
	}
}

func TestPairs(t *testing.T) {
	t.Parallel()
	p := &pairs{}
	put := func(limit host.KVUsage, key, value string) error {
		return p.Put(t.Context(), map[string][]byte{key: []byte(value)}, limit)
	}
	one, two := host.KVUsage{Keys: 1, Bytes: 10}, host.KVUsage{Keys: 2, Bytes: 20}
	if err := put(one, "a", "1"); err != nil {
		t.Error(err)
	}
	if err := put(one, "b", "2"); !errors.Is(err, host.ErrKVFull) {
		t.Errorf("beyond the limit: %v", err)
	}
	if err := errors.Join(put(two, "b", "2"), put(one, "a", "")); err != nil {
		t.Error(err)
	}
	if a, _ := p.Get("a"); a != nil {
		t.Errorf("a removed key holds %q", a)
	}
	if u, _ := p.Usage(); u.Keys != 1 {
		t.Errorf("usage %+v", u)
	}
}
