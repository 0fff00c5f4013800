// Package hosttest builds plugins for tests, as a sandboxed module or as a process, with the local Go toolchain.
//
// Invariant: before it builds, it reads every source that the plugin depends on in this module, so that the test
// cache knows them and never serves a result that was made with others. Builds of one test binary are made once.
//
//	module := hosttest.Module(t, "engine/internal/host/testdata/guest/cmd")
package hosttest

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
	"github.com/closedloop/closedloop/sdk"
)

// Root returns the folder of this module.
func Root(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if filepath.Dir(dir) == dir {
			tb.Fatal("no go.mod above the working directory")
		}
	}
}

// Module returns the main package in dir, relative to Root, as a module for the sandbox with its manifest: plugin.yaml
// in dir or above it.
func Module(tb testing.TB, dir string) []byte {
	tb.Helper()
	return build(tb, dir, "wasm", func(out string) []byte {
		run(tb, []string{"GOOS=wasip1", "GOARCH=wasm"}, "-buildmode=c-shared", "-o", out, "./"+dir)
		data, err := os.ReadFile(out)
		if err != nil {
			tb.Fatal(err)
		}
		m, err := wasmfile.Parse(data)
		if err != nil {
			tb.Fatal(err)
		}
		manifest, err := json.Marshal(Manifest(tb, dir))
		if err != nil {
			tb.Fatal(err)
		}
		return m.WithCustom(sdk.ManifestSection, manifest)
	}).data
}

// Process returns the path of the main package in dir, relative to Root, as an executable of this machine.
func Process(tb testing.TB, dir string) string {
	tb.Helper()
	return build(tb, dir, "process", func(out string) []byte {
		run(tb, nil, "-o", out, "./"+dir)
		return nil
	}).path
}

// Manifest returns the manifest of the plugin in dir, relative to Root: plugin.yaml there or above it.
func Manifest(tb testing.TB, dir string) sdk.Manifest {
	tb.Helper()
	path := filepath.Join(Root(tb), dir, "plugin.yaml")
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		data, err = os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(path)), "plugin.yaml"))
	}
	if err != nil {
		tb.Fatal(err)
	}
	var tree any
	var m sdk.Manifest
	if err := yaml.Unmarshal(data, &tree); err != nil {
		tb.Fatal(err)
	}
	text, err := json.Marshal(tree)
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		tb.Fatal(err)
	}
	return m
}

// built is a finished build.
type built struct {
	once sync.Once
	path string
	data []byte
}

// builds has the builds of this test binary. A test binary ends before its folder of builds is of use to anybody else.
var builds struct {
	sync.Mutex
	dir string
	m   map[string]*built
}

// Clean removes the builds. TestMain calls it at the end.
func Clean() {
	builds.Lock()
	defer builds.Unlock()
	if builds.dir != "" {
		_ = os.RemoveAll(builds.dir)
	}
}

func build(tb testing.TB, dir, kind string, do func(out string) []byte) *built {
	tb.Helper()
	readSources(tb, filepath.Join(Root(tb), "sdk"))
	readSources(tb, filepath.Join(Root(tb), "plugins", "internal"))
	readSources(tb, filepath.Join(Root(tb), dir))
	readSources(tb, filepath.Dir(filepath.Join(Root(tb), dir)))
	builds.Lock()
	if builds.m == nil {
		var err error
		if builds.dir, err = os.MkdirTemp("", "closedloop-guests-"); err != nil {
			builds.Unlock()
			tb.Fatal(err)
		}
		builds.m = make(map[string]*built)
	}
	b := builds.m[kind+dir]
	if b == nil {
		b = &built{path: filepath.Join(builds.dir, strings.ReplaceAll(dir, "/", "-")+"."+kind)}
		if runtime.GOOS == "windows" {
			b.path += ".exe"
		}
		builds.m[kind+dir] = b
	}
	builds.Unlock()
	b.once.Do(func() { b.data = do(b.path) })
	if _, err := os.Stat(b.path); err != nil {
		tb.Fatalf("%s was not built", dir)
	}
	return b
}

// run runs go build at Root.
func run(tb testing.TB, env []string, args ...string) {
	tb.Helper()
	cmd := exec.Command("go", append([]string{"build"}, args...)...)
	cmd.Dir, cmd.Env = Root(tb), append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("go build %v: %v\n%s", args, err, out)
	}
}

// readSources reads the Go files and manifests below dir.
func readSources(tb testing.TB, dir string) {
	tb.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") && d.Name() != "plugin.yaml" {
			return err
		}
		_, err = os.ReadFile(path)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
}
