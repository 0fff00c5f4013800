package guestbuild

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/closedloop/closedloop/engine/internal/host/wasmfile"
)

// folder writes files into a new folder.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a plugin [1]")
	for name, text := range files {
		at := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o700), os.WriteFile(at, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestDetect(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]Language{
		"main.go": Go, "cmd/main.go": Go, "Cargo.toml": Rust, "plugin.c": C, "asconfig.json": AssemblyScript, "plugin.yaml": "",
	} {
		got, err := Detect(folder(t, map[string]string{file: "", "README.md": ""}))
		if got != want || (want == "") != errors.Is(err, ErrUnknown) {
			t.Errorf("%s: got %q, %v", file, got, err)
		}
	}
	if got, _ := Detect(folder(t, map[string]string{"Cargo.toml": "", "native/x.c": "", "shim.c": ""})); got != Rust {
		t.Errorf("Rust with C: got %q", got)
	}
}

func TestMissingToolchains(t *testing.T) {
	dir := folder(t, map[string]string{"plugin.c": "int x;", "Cargo.toml": "", "asconfig.json": "{}", "node_modules/assemblyscript/package.json": "{}"})
	t.Setenv("PATH", t.TempDir())
	for language, hint := range map[Language]string{C: "apt install clang lld", Rust: "https://rustup.rs", AssemblyScript: "https://nodejs.org"} {
		_, err := Build(t.Context(), dir, language)
		if missing := (*MissingError)(nil); !errors.As(err, &missing) || !strings.Contains(missing.Hint, hint) || missing.Language != language {
			t.Errorf("%s: got %v", language, err)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	_, err := Build(t.Context(), dir, AssemblyScript)
	if missing := (*MissingError)(nil); !errors.As(err, &missing) || !strings.Contains(missing.Hint, "npm install") {
		t.Errorf("without the compiler: got %v", err)
	}
}

// needs skips a test whose toolchain is not on this machine.
func needs(t *testing.T, commands ...string) {
	t.Helper()
	for _, c := range commands {
		if _, err := exec.LookPath(c); err != nil {
			t.Skipf("SKIPPED: there is no %s on this machine", c)
		}
	}
}

func TestC(t *testing.T) {
	t.Parallel()
	needs(t, "clang", "wasm-ld")
	dir := folder(t, map[string]string{
		"a.c":              "#include \"sdk.h\"\nint helper(void);\n__attribute__((export_name(\"cl_abi\"))) int abi(void) { return ABI + helper(); }\n",
		"b.c":              "int helper(void) { return 0; }\n",
		"closedloop/sdk.h": "#define ABI 65536\n",
	})
	wasm, err := Build(t.Context(), dir, C)
	if err != nil {
		t.Fatal(err)
	}
	module, err := wasmfile.Parse(wasm)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := module.Export("cl_abi", wasmfile.Func); !ok {
		t.Error("the module does not export cl_abi")
	}
	if err := os.WriteFile(filepath.Join(dir, "b.c"), []byte("int helper(void) { return missing; }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Build(t.Context(), dir, C)
	if failed := (*FailedError)(nil); !errors.As(err, &failed) || !strings.Contains(failed.Output, "b.c:1:") || failed.Command != "clang" {
		t.Errorf("broken: got %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Build(ended, dir, C); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

func TestRust(t *testing.T) {
	t.Parallel()
	needs(t, "cargo")
	dir := folder(t, map[string]string{
		"Cargo.toml": "[package]\nname = \"my-plugin\"\nversion = \"1.0.0\"\nedition = \"2021\"\n\n[lib]\ncrate-type = [\"cdylib\"]\n\n[workspace]\n",
		"src/lib.rs": "#[no_mangle]\npub extern \"C\" fn cl_abi() -> u32 { 65536 }\n",
	})
	wasm, err := Build(t.Context(), dir, Rust)
	if missing := (*MissingError)(nil); errors.As(err, &missing) {
		t.Skipf("SKIPPED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	module, err := wasmfile.Parse(wasm)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := module.Export("cl_abi", wasmfile.Func); !ok {
		t.Error("the module does not export cl_abi")
	}
	if err := os.WriteFile(filepath.Join(dir, "src", "lib.rs"), []byte("pub fn f() { missing() }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Build(t.Context(), dir, Rust)
	if failed := (*FailedError)(nil); !errors.As(err, &failed) || !strings.Contains(failed.Output, "src/lib.rs:1:14") {
		t.Errorf("broken: got %v", err)
	}
}
