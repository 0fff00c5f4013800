package gobuild

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// buildFlags are the same for everybody. The sections of names and of debugging data stay in: they are 2 % of a module
// and let a trap name the function.
var buildFlags = []string{"-buildmode=c-shared", "-trimpath", "-buildvcs=false"}

// toolchain is a go command as it is in force in one folder.
type toolchain struct {
	path string // the command
	dir  string
	// env is what decides about a build besides the sources, as `go env -json` says it.
	env []byte
	// mod and work are the files go.mod and go.work in force, "" for none.
	mod, work string
}

// findToolchain asks the go command what is in force in dir: which toolchain (go.mod may choose one), module and
// workspace. It takes a few milliseconds and cannot be replaced by looking at files, because the command may be a
// version manager's shim.
func findToolchain(ctx context.Context, command, dir string) (*toolchain, error) {
	if command == "" {
		command = "go"
	}
	path, err := exec.LookPath(command)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoToolchain, err)
	}
	t := &toolchain{path: path, dir: dir}
	t.env, err = t.run(ctx, "env", "-json", "GOVERSION", "GOROOT", "GOEXPERIMENT", "GOMOD", "GOWORK")
	if err != nil {
		return nil, err
	}
	var env struct{ GOMOD, GOWORK string }
	if err := json.Unmarshal(t.env, &env); err != nil {
		return nil, fmt.Errorf("%s env: %w", path, err)
	}
	if env.GOMOD != os.DevNull {
		t.mod = env.GOMOD
	}
	if env.GOWORK != "off" {
		t.work = env.GOWORK
	}
	return t, nil
}

// run runs the go command in the folder and returns its standard output. A *runError holds what it complained about.
func (t *toolchain) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, t.path, args...)
	cmd.Dir = t.dir
	cmd.Env = environment(os.Environ())
	// Interrupted, the go command stops its compilers and removes its temporary files.
	cmd.Cancel = func() error {
		if cmd.Process.Signal(os.Interrupt) != nil {
			return cmd.Process.Kill()
		}
		return nil
	}
	cmd.WaitDelay = 5 * time.Second
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err := cmd.Run()
	switch exit := (*exec.ExitError)(nil); {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &exit):
		return nil, &runError{command: "go " + args[0], output: complaints.String()}
	case err != nil:
		return nil, fmt.Errorf("%s: %w", filepath.Base(t.path), err)
	}
	return out.Bytes(), nil
}

// runError is what the go command complained about when it failed.
type runError struct {
	command string
	output  string
}

func (e *runError) Error() string { return e.command + ": " + strings.TrimSpace(e.output) }

// Variables that change what is built, or make a build for WASM fail.
var unwanted = []string{
	"GOOS", "GOARCH", "GOFLAGS", "GOWASM", "GOEXPERIMENT", "GO111MODULE", "GOFIPS140", "GODEBUG", "CC", "CXX", "AR",
}

// environment returns env as the build sees it. GOFLAGS is not emptied but set: an empty variable would fall back to
// what `go env -w` wrote.
func environment(env []string) []string {
	kept := slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(unwanted, name) || strings.HasPrefix(name, "CGO_")
	})
	return append(kept, "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GO111MODULE=on", "GOFLAGS=-buildvcs=false")
}
