package gobuild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
	"github.com/closedloop/closedloop/sdk"
)

// realGo names the variable that makes the test's own binary act as a go command: it notes its arguments in calls.log
// above the folder it runs in, and hands them on.
const realGo = "GOBUILD_TEST_GO"

func TestMain(m *testing.M) {
	if command := os.Getenv(realGo); command != "" {
		os.Exit(actAsGo(command))
	}
	command, err := exec.LookPath("go")
	if err != nil {
		fmt.Fprintln(os.Stderr, "these tests need the Go toolchain:", err)
		os.Exit(1)
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // else a raced binary that acts as a go command sleeps a second at its end
	// An environment that would break or change every build if it came through.
	for _, v := range []string{"GOFLAGS=-mod=nonsense", "CGO_ENABLED=1", "GOOS=plan9", "GOARCH=mips", "GO111MODULE=off", "GOTOOLCHAIN=local",
		"CC=false", "CGO_CFLAGS=-nonsense", realGo + "=" + command} {
		name, value, _ := strings.Cut(v, "=")
		os.Setenv(name, value)
	}
	os.Exit(m.Run())
}

func actAsGo(command string) int {
	log, err := os.OpenFile(filepath.Join("..", "calls.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Fprintln(log, os.Args[1])
	log.Close()
	cmd := exec.Command(command, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return 1
	}
	return 0
}

// plugin is a plugin's folder for one test: a main package in cmd that embeds a file, and a module beside it that the
// plugin uses.
type plugin struct {
	t    *testing.T
	root string
	b    Builder
}

func newPlugin(t *testing.T) *plugin {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &plugin{t: t, root: t.TempDir()}
	p.b = Builder{CacheDir: filepath.Join(p.root, "cache"), Go: self}
	p.write("p/go.mod", "module example.com/p\n\ngo 1.26\n\nrequire example.com/dep v0.0.0\n\nreplace example.com/dep => ../dep\n")
	p.write("p/lib.go", "package p\n\nimport \"embed\"\n\n//go:embed words.txt\nvar Words string\n\n"+
		"//go:embed lists/*/*.txt\nvar Lists embed.FS\n")
	p.write("p/lists/en/bad.txt", "bad")
	p.write("p/words.txt", "one")
	p.write("p/cmd/main.go", "package main\n\nimport (\n\t\"example.com/dep\"\n\t\"example.com/p\"\n)\n\n"+
		"//go:wasmexport answer\nfunc answer() int32 { return int32(len(p.Words) + dep.N) }\n\nfunc main() {}\n")
	p.write("dep/go.mod", "module example.com/dep\n\ngo 1.26\n")
	p.write("dep/dep.go", "package dep\n\nvar N = 1\n")
	return p
}

func (p *plugin) path(name string) string { return filepath.Join(p.root, filepath.FromSlash(name)) }

func (p *plugin) write(name, content string) {
	p.t.Helper()
	if err := os.MkdirAll(filepath.Dir(p.path(name)), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(p.path(name), []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

const aManifest = `{"name":"p"}`

func (p *plugin) build() *Artifact {
	p.t.Helper()
	art, err := p.b.Build(p.t.Context(), p.path("p"), []byte(aManifest))
	if err != nil {
		p.t.Fatal(err)
	}
	return art
}

// calls returns what the go command was asked for since the last call, as in "env list build".
func (p *plugin) calls() string {
	p.t.Helper()
	data, err := os.ReadFile(p.path("calls.log"))
	if err != nil && !os.IsNotExist(err) {
		p.t.Fatal(err)
	}
	_ = os.Remove(p.path("calls.log"))
	return strings.Join(strings.Fields(string(data)), " ")
}

func TestBuildStampsTheManifest(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	art := p.build()
	m, err := wasmfile.Parse(art.Wasm)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := m.Custom(sdk.ManifestSection); string(got) != aManifest {
		t.Errorf("the module holds the manifest %q, expected %q", got, aManifest)
	}
	for _, name := range []string{"answer", "_initialize"} {
		if _, ok := m.Export(name, wasmfile.Func); !ok {
			t.Errorf("the module does not export %s", name)
		}
	}
	if bytes.Contains(art.Wasm, []byte(p.root)) {
		t.Error("the module names the folder that it was built in")
	}
	onDisk, err := os.ReadFile(art.Path)
	if err != nil || !bytes.Equal(onDisk, art.Wasm) || art.SHA256 != digest(onDisk) {
		t.Errorf("the file does not hold the module: %v", err)
	}
}

func TestTheSameSourcesGiveTheSameModuleAnywhere(t *testing.T) {
	t.Parallel()
	if a, b := newPlugin(t).build(), newPlugin(t).build(); a.SHA256 != b.SHA256 {
		t.Errorf("two folders with the same content gave %s and %s", a.SHA256, b.SHA256)
	}
}

func TestSecondBuildRunsNoCompiler(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	first := p.build()
	if got := p.calls(); got != "env list build" || first.Cached {
		t.Errorf("the first build called %q, cached %v", got, first.Cached)
	}
	second := p.build()
	if got := p.calls(); got != "env" || !second.Cached {
		t.Errorf("the second build called %q, cached %v", got, second.Cached)
	}
	if first.SHA256 != second.SHA256 || !bytes.Equal(first.Wasm, second.Wasm) {
		t.Error("the second build gave another module")
	}
}

// TestWhatMakesAModuleStale changes one file after the other in one folder.
func TestWhatMakesAModuleStale(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	p.build()
	for _, step := range []struct {
		name, file, more string
		stale            bool
	}{
		{"a source of the main package", "p/cmd/main.go", "\n// more\n", true},
		{"a source of the library", "p/lib.go", "\nvar More = 1\n", true},
		{"a new source", "p/more.go", "package p\n\nvar EvenMore = 1\n", true},
		{"a source for another system", "p/more_windows.go", "package p\n\nvar OnWindows = 1\n", true},
		{"an embedded file", "p/words.txt", " two", true},
		{"a new file to embed", "p/lists/en/good.txt", "good", true},
		{"a new folder to embed from", "p/lists/de/gut.txt", "gut", true},
		{"a module used from a folder", "dep/dep.go", "\nvar M = 2\n", true},
		{"that module's go.mod", "dep/go.mod", "\n// more\n", true},
		{"the module's go.mod", "p/go.mod", "\n// more\n", true},
		{"a workspace", "p/go.work", "go 1.26\n\nuse .\n", true},
		{"a test", "dep/dep_test.go", "package dep\n", false},
		{"a file beside the main package", "p/cmd/README.md", "words", false},
		{"a folder that is not used", "dep/other/other.go", "package other\n", false},
	} {
		before, err := os.ReadFile(p.path(step.file))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		p.write(step.file, string(before)+step.more)
		if art := p.build(); art.Cached == step.stale {
			t.Errorf("%s: built anew: %v, expected %v", step.name, !art.Cached, step.stale)
		}
		if art := p.build(); !art.Cached {
			t.Errorf("%s: built anew although nothing changed since", step.name)
		}
	}
}

func TestAnotherManifestMakesAModuleStale(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	p.build()
	art, err := p.b.Build(t.Context(), p.path("p"), []byte(`{"name":"q"}`))
	if err != nil || art.Cached {
		t.Fatalf("cached %v, error %v", art.Cached, err)
	}
	if !bytes.HasSuffix(art.Wasm, []byte(`{"name":"q"}`)) {
		t.Error("the module holds the old manifest")
	}
}

func TestADamagedCacheIsBuiltAnew(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	art := p.build()
	record := filepath.Join(filepath.Dir(art.Path), recordFile)
	left := filepath.Join(filepath.Dir(art.Path), tmpPrefix+"killed")
	if err := os.Mkdir(left, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, damage := range []func() error{
		func() error { return os.WriteFile(art.Path, art.Wasm[:len(art.Wasm)-1], 0o600) },
		func() error { return os.Remove(art.Path) },
		func() error { return os.WriteFile(record, []byte("{"), 0o600) },
		func() error { return os.Remove(record) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if again := p.build(); again.Cached || again.SHA256 != art.SHA256 {
			t.Errorf("cached %v, digest %s, expected %s", again.Cached, again.SHA256, art.SHA256)
		}
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("what a killed build left is still there: %v", err)
	}
}

func TestConcurrentBuildsCompileOnce(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	var started, done sync.WaitGroup
	var mu sync.Mutex
	digests := map[string]int{}
	started.Add(1)
	for range 4 {
		done.Go(func() {
			started.Wait()
			art, err := p.b.Build(t.Context(), p.path("p"), []byte(aManifest))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			digests[art.SHA256]++
		})
	}
	started.Done()
	done.Wait()
	if len(digests) != 1 || strings.Count(p.calls(), "build") != 1 {
		t.Errorf("the builds gave the modules %v", digests)
	}
}

func TestMainPackageInTheFolderItself(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	if err := os.RemoveAll(p.path("p/cmd")); err != nil {
		t.Fatal(err)
	}
	p.write("p/lib.go", "package main\n\n//go:wasmexport here\nfunc here() {}\n\nfunc main() {}\n")
	m, err := wasmfile.Parse(p.build().Wasm)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := m.Export("here", wasmfile.Func); !ok {
		t.Error("the module does not come from the folder")
	}
}

func TestCompileErrors(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	p.write("p/lib.go", "package p\n\nvar Words = undefined1\nvar More int = \"x\"\n")
	_, err := p.b.Build(t.Context(), p.path("p"), []byte(aManifest))
	var failed *CompileError
	if !errors.As(err, &failed) {
		t.Fatalf("got %v, expected a CompileError", err)
	}
	want := []Diagnostic{
		{p.path("p/lib.go"), 3, 13, "undefined: undefined1"},
		{p.path("p/lib.go"), 4, 16, `cannot use "x" (untyped string constant) as int value in variable declaration`},
	}
	if len(failed.Diagnostics) != len(want) {
		t.Fatalf("got %v", failed.Diagnostics)
	}
	for i, d := range failed.Diagnostics {
		if real, err := filepath.EvalSymlinks(d.File); err == nil {
			d.File = real
		}
		if real, err := filepath.EvalSymlinks(want[i].File); err == nil {
			want[i].File = real
		}
		if d != want[i] {
			t.Errorf("got %v, expected %v", d, want[i])
		}
	}
	if !strings.Contains(err.Error(), "\nlib.go:3:13: undefined: undefined1\n") {
		t.Errorf("got %s", err)
	}
	p.write("p/lib.go", "package p\n\nvar Words = \"mended\"\n")
	p.build()
}

func TestBadModule(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	p.write("p/lib.go", "package p\n\nimport \"example.com/absent\"\n\nvar Words = absent.X\n")
	_, err := p.b.Build(t.Context(), p.path("p"), []byte(aManifest))
	if failed := (*CompileError)(nil); !errors.As(err, &failed) || len(failed.Diagnostics) != 1 ||
		!strings.HasPrefix(failed.Diagnostics[0].Message, "no required module provides package example.com/absent") {
		t.Errorf("got %v", err)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	got := parse(dir, "# example.com/p\ngo: downloading x v1.0.0\n./a.go:1:2: one\n../dep/b.go:3: two\r\n\tmore of two\n\ngo: no module\ntoo many errors\n")
	want := []Diagnostic{
		{filepath.Join(dir, "a.go"), 1, 2, "one"},
		{filepath.Join(filepath.Dir(dir), "dep", "b.go"), 3, 0, "two more of two"},
		{"", 0, 0, "go: no module"},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, expected %v", got, want)
	}
	if got := parse(dir, "\n"); len(got) != 1 || got[0].Message == "" {
		t.Errorf("no output gave %v", got)
	}
}

func TestTheMachineIsAtFault(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	p.write("p/go.mod", "module example.com/p\n\ngo 1.9999\n")
	_, err := p.b.Build(t.Context(), p.path("p"), []byte(aManifest))
	if failed := (*MachineError)(nil); !errors.As(err, &failed) || !strings.Contains(failed.Hint, "https://go.dev/dl") {
		t.Errorf("got %v, expected a MachineError", err)
	}
	j := &job{dir: p.path("p")}
	for output, want := range map[string]bool{
		"main.go:4:2: example.com/x@v1.0.0: Get \"https://proxy.golang.org/x\": dial tcp: lookup proxy.golang.org: no such host\n": true,
		"build cache is required, but could not be located: GOCACHE is not defined\n":                                              true,
		"# example.com/p\n./main.go:4:2: undefined: x\n":                                                                           false,
	} {
		err := j.classify(&runError{"go build", output})
		if failed := (*MachineError)(nil); errors.As(err, &failed) != want {
			t.Errorf("%s: got %v", output, err)
		}
	}
}

func TestNoToolchain(t *testing.T) {
	t.Parallel()
	b := Builder{CacheDir: t.TempDir(), Go: "no-such-go-command"}
	if _, err := b.Build(t.Context(), t.TempDir(), nil); !errors.Is(err, ErrNoToolchain) {
		t.Errorf("got %v, expected %v", err, ErrNoToolchain)
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.b.Build(ctx, p.path("p"), []byte(aManifest)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, expected %v", err, context.Canceled)
	}
	// While another build holds the folder.
	p.b.Started = func(string) {}
	art := p.build()
	unlock, err := lockFile(t.Context(), filepath.Join(filepath.Dir(art.Path), "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if _, err := lockFile(ctx, filepath.Join(filepath.Dir(art.Path), "lock")); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for the lock gave %v, expected %v", err, context.Canceled)
	}
}
