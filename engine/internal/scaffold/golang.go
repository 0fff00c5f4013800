package scaffold

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// sdkModule is the Go module that holds the SDK.
const sdkModule = "github.com/closedloop/closedloop"

// noVersion stands in go.mod where a checkout replaces the module.
const noVersion = "v0.0.0"

// packageName makes a Go package name of a plugin's.
func packageName(name string) string {
	name = strings.ReplaceAll(name, "-", "")
	if token.IsKeyword(name) || name == "main" || name == "serve" || name == "sdk" || name == "feedback" || name == "sdktest" {
		name += "plugin"
	}
	return name
}

// findSDK returns the version of the SDK for go.mod, and the checkout that replaces it, if any: the one that is given,
// or the one that this program was built from, or none when it was built from a published version.
func findSDK(given string) (version, checkout string, err error) {
	if given != "" {
		abs, err := filepath.Abs(given)
		if err != nil {
			return "", "", err
		}
		if !isCheckout(abs) {
			return "", "", fmt.Errorf("%s is no checkout of %s", given, sdkModule)
		}
		return noVersion, filepath.ToSlash(abs), nil
	}
	if dir := builtFrom(); dir != "" {
		return noVersion, filepath.ToSlash(dir), nil
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", "", ErrNoVersion
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == sdkModule && strings.HasPrefix(m.Version, "v") && !strings.Contains(m.Version, "+dirty") {
			return m.Version, "", nil
		}
	}
	return "", "", ErrNoVersion
}

// builtFrom returns the checkout that this program was built from, when it is on this machine: the compiler notes the
// paths of the sources. What was built from a published version was built in the module cache, where folders have their
// version in their name.
func builtFrom() string {
	_, source, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(source) {
		return ""
	}
	root := filepath.Join(filepath.Dir(source), "..", "..", "..")
	if strings.Contains(filepath.ToSlash(root), "@v") || !isCheckout(root) {
		return ""
	}
	return root
}

func isCheckout(dir string) bool {
	data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	return err == nil && bytes.HasPrefix(data, []byte("module "+sdkModule+"\n"))
}

// tidyTime bounds how long the go command may look for modules.
const tidyTime = 2 * time.Minute

// tidy has the go command complete go.mod and go.sum.
func tidy(ctx context.Context, dir string) error {
	command, err := exec.LookPath("go")
	if err != nil {
		return errors.New("the Go toolchain was not found; install it from https://go.dev/dl")
	}
	ctx, cancel := context.WithTimeout(ctx, tidyTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, command, "mod", "tidy")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GO111MODULE=on", "GOFLAGS=-mod=mod", "GOWORK=off")
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if last := lines[len(lines)-1]; last != "" && ctx.Err() == nil {
		return errors.New(strings.TrimSpace(last))
	}
	return err
}
