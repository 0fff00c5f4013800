// Package guestbuild finds out which language a plugin's folder is written in, and builds those that are not Go to a
// WASM module with the local toolchain of their language.
//
// What a build leaves behind is what the toolchain leaves in the folder: target for Rust, build for AssemblyScript,
// nothing for C. The module that is returned is as the toolchain made it, without a manifest unless the source places
// one.
//
// Usage:
//
//	language, err := guestbuild.Detect(dir)
//	wasm, err := guestbuild.Build(ctx, dir, language)
package guestbuild

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Language is a language that plugins are written in.
type Language string

// The languages.
const (
	Go             Language = "go"
	Rust           Language = "rust"
	C              Language = "c"
	AssemblyScript Language = "assemblyscript"
)

// Languages lists every language.
var Languages = []Language{Go, Rust, C, AssemblyScript}

// ErrUnknown says that a folder holds no plugin in a language that is known here.
var ErrUnknown = errors.New("the folder holds neither Go files, Cargo.toml, asconfig.json nor C files")

// MissingError says that a command of a toolchain is not on this machine.
type MissingError struct {
	Language Language
	Command  string
	Hint     string // how to install it
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("the command %s was not found, which builds plugins in %s", e.Command, e.Language)
}

// FailedError says that a toolchain did not build the plugin.
type FailedError struct {
	Dir     string
	Command string // with its arguments
	Output  string // what it wrote
}

func (e *FailedError) Error() string {
	return fmt.Sprintf("the plugin in %s does not build with %s", e.Dir, e.Command)
}

// Detect returns the language of the plugin in a folder, or ErrUnknown.
func Detect(dir string) (Language, error) {
	switch {
	case has(dir, "*.go"), has(dir, "cmd/*.go"):
		return Go, nil
	case has(dir, "Cargo.toml"):
		return Rust, nil
	case has(dir, "asconfig.json"):
		return AssemblyScript, nil
	case has(dir, "*.c"):
		return C, nil
	}
	return "", ErrUnknown
}

func has(dir, pattern string) bool { return len(find(dir, pattern)) > 0 }

// find lists the files below a folder that match a pattern, relative to the folder, with slashes.
func find(dir, pattern string) []string {
	found, err := fs.Glob(os.DirFS(dir), pattern)
	if err != nil {
		return nil
	}
	return found
}

// Build builds the plugin in a folder, which is not in Go, and returns the module. The error is a *MissingError, a
// *FailedError, the context's error or one of the file system.
func Build(ctx context.Context, dir string, language Language) ([]byte, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	switch language {
	case Rust:
		return buildRust(ctx, dir)
	case C:
		return buildC(ctx, dir)
	case AssemblyScript:
		return buildAssemblyScript(ctx, dir)
	}
	return nil, ErrUnknown
}

const rustTarget = "wasm32-unknown-unknown"

// buildRust has cargo say which file it made.
func buildRust(ctx context.Context, dir string) ([]byte, error) {
	hint := "install Rust from https://rustup.rs, then run rustup target add " + rustTarget +
		"; on Debian: apt install cargo libstd-rust-dev-wasm32"
	t := tool{dir: dir, language: Rust, name: "cargo", hint: hint}
	out, err := t.run(ctx, "build", "--release", "--target", rustTarget, "--message-format", "json-render-diagnostics")
	if failed := (*FailedError)(nil); errors.As(err, &failed) && strings.Contains(failed.Output, "target may not be installed") {
		return nil, &MissingError{Rust, "rustc for the target " + rustTarget, hint}
	}
	if err != nil {
		return nil, err
	}
	module := ""
	for line := range bytes.Lines(out) {
		var message struct {
			Reason       string   `json:"reason"`
			ManifestPath string   `json:"manifest_path"`
			Filenames    []string `json:"filenames"`
		}
		if json.Unmarshal(line, &message) != nil || message.Reason != "compiler-artifact" || !same(message.ManifestPath, filepath.Join(dir, "Cargo.toml")) {
			continue
		}
		for _, f := range message.Filenames {
			if strings.HasSuffix(f, ".wasm") {
				module = f
			}
		}
	}
	if module == "" {
		return nil, &FailedError{Dir: dir, Command: "cargo", Output: `no module was made: is crate-type = ["cdylib"] set under [lib] of Cargo.toml?`}
	}
	return os.ReadFile(module)
}

// same reports whether two paths lead to one file.
func same(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// buildC compiles all C files of the folder into one module without a C library: freestanding, or with what the folder
// brings along. Functions are exported by what the source says of them.
func buildC(ctx context.Context, dir string) ([]byte, error) {
	tmp, err := os.MkdirTemp("", "closedloop-c-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	out := filepath.Join(tmp, "plugin.wasm")
	t := tool{dir: dir, language: C, name: "clang", hint: "install clang and lld; on Debian: apt install clang lld"}
	args := append(slices.Clone(cFlags), "-o", out)
	for _, file := range find(dir, "*.c") {
		args = append(args, "./"+file) // or else its name may be taken for an option, or for a file of options
	}
	if _, err := t.run(ctx, args...); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

var cFlags = []string{
	"--target=wasm32", "-O2", "-std=c11", "-Wall", "-ffreestanding", "-nostdlib", "-fvisibility=hidden", "-mbulk-memory",
	"-Wl,--no-entry", "-Wl,--strip-debug", "-I.", "-Iclosedloop",
}

// buildAssemblyScript runs the compiler that npm put into the folder.
func buildAssemblyScript(ctx context.Context, dir string) ([]byte, error) {
	if !has(dir, "node_modules/assemblyscript/package.json") {
		return nil, &MissingError{AssemblyScript, "asc", "run npm install in " + dir + "; npm comes with Node.js, https://nodejs.org"}
	}
	tmp, err := os.MkdirTemp("", "closedloop-as-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	out := filepath.Join(tmp, "plugin.wasm")
	t := tool{dir: dir, language: AssemblyScript, name: "node", hint: "install Node.js from https://nodejs.org"}
	if _, err := t.run(ctx, "node_modules/assemblyscript/bin/asc.js", "assembly/index.ts", "--target", "release", "--outFile", out); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

// tool is a command of a toolchain.
type tool struct {
	dir      string // where it runs
	language Language
	name     string
	hint     string // how to install it
}

// run runs the command and returns its standard output.
func (t *tool) run(ctx context.Context, args ...string) ([]byte, error) {
	path, err := exec.LookPath(t.name)
	if err != nil {
		return nil, &MissingError{t.language, t.name, t.hint}
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = t.dir
	cmd.WaitDelay = 5 * time.Second
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err = cmd.Run()
	switch exit := (*exec.ExitError)(nil); {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &exit):
		text := complaints.String()
		if strings.TrimSpace(text) == "" {
			text = out.String()
		}
		return nil, &FailedError{Dir: t.dir, Command: t.name, Output: text}
	case err != nil:
		return nil, fmt.Errorf("%s: %w", t.name, err)
	}
	return out.Bytes(), nil
}
