package program

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
	"github.com/closedloop/closedloop/rules/source"
	"github.com/closedloop/closedloop/sdk"
)

func TestLoadBuildsFoldersOnce(t *testing.T) {
	t.Parallel()
	dir := folder(t, "built.txtar")
	var built []string
	o := Options{CacheDir: t.TempDir(), Building: func(plugin string) { built = append(built, plugin) }}
	p, err := Load(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"first", "second"}; !slices.Equal(built, want) {
		t.Errorf("built %v, expected %v", built, want)
	}
	art, err := p.Categorizers[0].Artifact(t.Context())
	if err != nil || !art.Cached || art.SHA256 != digest(art.Wasm) {
		t.Fatalf("got %+v, %v", art, err)
	}
	if m, wrong := wasmManifest(art.Wasm); wrong != nil || m.Name != "first" {
		t.Errorf("the module holds the manifest %+v, %v", m, wrong)
	}
	if _, err := Load(t.Context(), dir, o); err != nil || len(built) != 2 {
		t.Errorf("loaded again: built %v, error %v", built, err)
	}
	o.CacheDir, o.NoBuild = t.TempDir(), true
	if _, err := Load(t.Context(), dir, o); err != nil || len(built) != 2 {
		t.Errorf("loaded without building: built %v, error %v", built, err)
	}
}

func TestWhatDoesNotCompileIsToldOfAllPlugins(t *testing.T) {
	t.Parallel()
	dir := folder(t, "built.txtar")
	for _, name := range []string{"first/cmd/main.go", "second/main.go"} {
		path := filepath.Join(dir, "plugins", filepath.FromSlash(name))
		if err := os.WriteFile(path, []byte("package main\n\nfunc main() { missing() }\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Load(t.Context(), dir, Options{CacheDir: t.TempDir()})
	wrong := source.Problems(nil)
	if !errors.As(err, &wrong) || len(wrong) != 2 {
		t.Fatalf("got %v, expected two problems", err)
	}
	for i, name := range []string{"first/cmd/main.go", "second/main.go"} {
		p := wrong[i]
		if !strings.HasSuffix(p.File, "/plugins/"+name) || p.Line != 3 || p.Column != 15 || p.Message != "undefined: missing" ||
			p.Snippet != "func main() { missing() }" {
			t.Errorf("got %+v", p)
		}
	}
}

func TestBuildWritesAModuleThatLoads(t *testing.T) {
	t.Parallel()
	dir := folder(t, "built.txtar")
	out := filepath.Join(t.TempDir(), "second.wasm")
	o := Options{CacheDir: t.TempDir()}
	art, err := Build(t.Context(), filepath.Join(dir, "plugins", "second"), out, o)
	if err != nil || art.Path != out {
		t.Fatalf("got %+v, %v", art, err)
	}
	p, err := Find(out, TrustSandbox, o)
	if err != nil || p.Kind != KindWASM || p.SHA256 != art.SHA256 || p.Manifest.Version != "2.0.0" {
		t.Fatalf("got %+v, %v", p, err)
	}
	in, err := Inspect(t.Context(), out, TrustSandbox, o)
	if err != nil || in.Size != int64(len(art.Wasm)) || in.SHA256 != art.SHA256 || in.Manifest.Name != "second" ||
		!slices.Contains(in.Exports, "cl_categorize") || !slices.Contains(in.Imports, "wasi_snapshot_preview1.proc_exit") {
		t.Errorf("got %+v, %v", in, err)
	}
	of, err := Inspect(t.Context(), filepath.Join(dir, "plugins", "second"), TrustSandbox, o)
	if err != nil || of.Kind != KindFolder || of.SHA256 != in.SHA256 {
		t.Errorf("of the folder: got %+v, %v", of, err)
	}
	if _, err := Build(t.Context(), out, out, o); err == nil || !strings.Contains(err.Error(), "expected the folder of a plugin") {
		t.Errorf("building a file: got %v", err)
	}
}

func TestFindSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := folder(t, "retail.txtar")
	text := filepath.Join(dir, "rules", "a.yaml")
	_, err := Find(text, TrustSandbox, Options{})
	if want := text + ": the file is no WebAssembly module: it does not begin with the bytes \\0asm"; err == nil || err.Error() != want {
		t.Errorf("got %v, expected %s", err, want)
	}
	if err := os.WriteFile(filepath.Join(dir, "bin", ManifestName), []byte("name: Tone\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Find(filepath.Join(dir, "bin", "tone.exe"), TrustProcess, Options{})
	if err == nil || !strings.Contains(err.Error(), "/bin/plugin.yaml:1:1: missing key \"contract\"") {
		t.Errorf("got %v", err)
	}
	tool, err := Inspect(t.Context(), filepath.Join(folder(t, "retail.txtar"), "bin", "tone.exe"), TrustProcess, Options{})
	if err != nil || tool.Kind != KindProcess || tool.Size != 5 || tool.Manifest.Name != "tone" {
		t.Errorf("got %+v, %v", tool, err)
	}
}

// TestWithoutAToolchain is alone in changing the environment.
func TestWithoutAToolchain(t *testing.T) {
	dir := folder(t, "built.txtar")
	t.Setenv("PATH", t.TempDir())
	_, err := Load(t.Context(), dir, Options{CacheDir: t.TempDir()})
	wrong := (*EnvironmentError)(nil)
	if !errors.As(err, &wrong) || !strings.Contains(wrong.Hint, "https://go.dev/dl") {
		t.Errorf("got %v, expected an EnvironmentError with a hint", err)
	}
	if _, err := Load(t.Context(), dir, Options{NoBuild: true}); err != nil {
		t.Errorf("the check without building needs no toolchain, but got %v", err)
	}
}

// TestBundledPluginsBuild builds the plugins of this repository and checks that each is stamped with its plugin.yaml.
// The build reads every source that a module is made of in this process, so that a cached test result is never older
// than a source.
func TestBundledPluginsBuild(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("../../../plugins"); os.IsNotExist(err) {
		t.Skip("the sources of the bundled plugins are not beside this package")
	}
	folders, err := filepath.Glob("../../../plugins/*/cmd/main.go")
	if err != nil || len(folders) == 0 {
		t.Fatal("no bundled plugin has a main package", err)
	}
	cache := t.TempDir()
	for _, main := range folders {
		dir := filepath.Dir(filepath.Dir(main))
		p, err := Find(dir, TrustSandbox, Options{CacheDir: cache})
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if len(p.Manifest.Settings.Credentials()) > 0 {
			continue // it is told secrets, and so runs as a process
		}
		art, err := p.Artifact(t.Context())
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		m, wrong := wasmManifest(art.Wasm)
		if wrong != nil || m.Name != p.Manifest.Name {
			t.Errorf("%s: the module holds the manifest %+v, %v", dir, m, wrong)
		}
		again, err := p.Artifact(t.Context())
		if err != nil || !again.Cached || !bytes.Equal(again.Wasm, art.Wasm) {
			t.Errorf("%s: built again although nothing changed: %v", dir, err)
		}
		module, err := wasmfile.Parse(art.Wasm)
		if err != nil {
			t.Fatal(err)
		}
		if section := module.Sections[len(module.Sections)-1]; section.Name != sdk.ManifestSection {
			t.Errorf("%s: the last section is %q, expected the manifest", dir, section.Name)
		}
	}
}
