//go:build unix

package processhost

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine/internal/host"
)

// suspend stops a process, a child of this one, and returns when it has stopped.
func suspend(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	for err := syscall.EINTR; err == syscall.EINTR; {
		_, e := syscall.Wait4(pid, &status, syscall.WUNTRACED, nil)
		err, _ = e.(syscall.Errno)
	}
	if !status.Stopped() {
		t.Fatalf("the process has the status %v, expected it to have stopped", status)
	}
}

// TestScriptsThatAreNoPlugins starts programs that say nothing, something else, or leave a child behind that holds
// their output open. None may outlive the attempt.
func TestScriptsThatAreNoPlugins(t *testing.T) {
	manifest := modest(t)
	for name, body := range map[string]string{
		"ends":    "exit 3",
		"garbage": "echo hello; sleep 1000",
		"silent":  "sleep 1000",
		"child":   "sleep 1000 & echo $! > child; exit 0",
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		script := "#!/bin/sh\ncd '" + dir + "'\necho $$ > self\n" + body + "\n"
		if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		spec := host.Spec{ID: name, Manifest: manifest, Limits: host.Limits{Start: 500 * time.Millisecond}}
		p, err := Start(t.Context(), path, "", spec)
		if err == nil {
			_ = p.Close(t.Context())
			t.Errorf("%s: it was started", name)
		}
		if e := (*host.Error)(nil); !errors.As(err, &e) || e.Code != host.CodeUnavailable {
			t.Errorf("%s: got %v", name, err)
		}
		for _, file := range []string{"self", "child"} {
			text, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				continue
			}
			pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			if !ended(pid) {
				t.Errorf("%s: the process %s is left", name, file)
			}
		}
	}
}

// ended waits for a process to be gone, or to be a zombie that somebody else has to fetch.
func ended(pid int) bool {
	for range 200 {
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
			return true
		}
		if stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat")); err == nil && strings.Contains(string(stat), ") Z ") {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}
