package processhost

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/hosttest"
)

// TestHostileProcess has a real process do its worst. Each time the error says what happened, and the plugin answers
// again.
func TestHostileProcess(t *testing.T) {
	p := start(t, deadline(3*time.Second))
	for _, tt := range []struct {
		name, text string
		code       host.Code
		cause      string
	}{
		{"crash in the middle of a batch", "!panic", host.CodeTrap, "nil pointer"},
		{"answer that is larger than a message", "!huge", host.CodeFrame, "larger than max"},
	} {
		_, err := p.Categorize(t.Context(), items("the box", tt.text, "the box"))
		e := (*host.Error)(nil)
		if !errors.As(err, &e) || e.Code != tt.code || !strings.Contains(e.Error(), tt.cause) {
			t.Errorf("%s: got %v, want %s and %q", tt.name, err, tt.code, tt.cause)
		} else if !strings.Contains(e.Error(), "plugin guest "+p.Version()) || len(e.Stderr) > 17<<10 {
			t.Errorf("%s: %v with %d bytes of output", tt.name, e, len(e.Stderr))
		}
		if b := eventually(t, p, "the box"); b != nil {
			b.Release()
		}
	}
}

// TestGarbageOnStdout writes 6 MiB without a line end to the pipe on which the process has told its address.
func TestGarbageOnStdout(t *testing.T) {
	p := start(t, deadline(time.Second))
	b, err := p.Categorize(t.Context(), items("!shout"))
	if err == nil {
		b.Release()
	} else if e := (*host.Error)(nil); !errors.As(err, &e) || e.Code != host.CodeDeadline && e.Code != host.CodeTrap {
		t.Errorf("got %v", err)
	}
	t.Logf("a process that writes to its standard output: %v", err)
	if b := eventually(t, p, "the box"); b != nil {
		b.Release()
	}
}

// TestRestartsAreSpacedOut crashes the process until its next start is not waited for.
func TestRestartsAreSpacedOut(t *testing.T) {
	p := start(t)
	for crashes := 0; ; crashes++ {
		_, err := p.Categorize(t.Context(), items("!panic"))
		e := (*host.Error)(nil)
		if !errors.As(err, &e) {
			t.Fatal(err)
		}
		if e.Code == host.CodeUnavailable {
			if crashes < 5 || !strings.Contains(e.Error(), "times in a row and is started again in") {
				t.Errorf("after %d crashes: %v", crashes, e)
			}
			return
		}
		if e.Code != host.CodeTrap || crashes > 20 {
			t.Fatalf("after %d crashes: %v", crashes, e)
		}
	}
}

// TestKV keeps pairs over the process transport: those of a call that succeeds.
func TestKV(t *testing.T) {
	kv := &hosttest.KV{}
	p := start(t, func(s *host.Spec) { s.KV, s.Grants.KV = kv, true })
	b, err := p.Categorize(t.Context(), items("!put a 1"))
	if err != nil {
		t.Fatal(err)
	}
	b.Release()
	if _, err := p.Categorize(t.Context(), items("!put a 2", "!panic")); err == nil {
		t.Error("no error")
	}
	if b = eventually(t, p, "!get a"); b == nil || len(b.Results[0].Labels.Themes) != 1 || b.Results[0].Labels.Themes[0].Path != "1" {
		t.Fatalf("got %+v", b)
	}
	b.Release()
	_, err = start(t).Categorize(t.Context(), items("!put a 1"))
	if e := (*host.Error)(nil); !errors.As(err, &e) || e.Failure() == nil || !strings.Contains(err.Error(), `does not grant "kv"`) {
		t.Errorf("without the grant: %v", err)
	}
}

// victimEnv has this test binary start the plugin at the path and wait to be killed.
const victimEnv = "CLOSEDLOOP_TEST_PROCESS_VICTIM"

// left is what a victim tells of its plugin.
type left struct {
	PID int
	Dir string
}

func victim(path string) {
	var spec host.Spec
	if err := json.Unmarshal([]byte(os.Getenv(victimEnv+"_MANIFEST")), &spec.Manifest); err != nil {
		panic(err)
	}
	spec.ID, spec.Grants.Log = "guest", true
	p, err := Start(context.Background(), path, "", spec)
	if err != nil {
		panic(err)
	}
	text, err := json.Marshal(left{p.current.child.cmd.Process.Pid, p.current.dir})
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
	select {}
}

// TestDeathOfTheHost kills a process that has started a plugin. Neither the plugin nor, once another engine has started
// one, its socket is left.
func TestDeathOfTheHost(t *testing.T) {
	manifest, err := json.Marshal(modest(t))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimEnv+"="+hosttest.Process(t, guest), victimEnv+"_MANIFEST="+string(manifest))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var was left
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &was)
	}
	if err = errors.Join(err, cmd.Process.Kill()); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if !ended(was.PID) {
		t.Errorf("the plugin %d is left", was.PID)
	}
	if sockets, err := os.ReadDir(was.Dir); err != nil || len(sockets) == 0 {
		t.Fatalf("the test shows nothing: %v, %v", sockets, err)
	}
	start(t)
	if _, err := os.Stat(was.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", was.Dir, err)
	}
	own, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+strconv.Itoa(os.Getpid())+"-*"))
	if len(own) == 0 {
		t.Error("the folder of the running plugin was removed")
	}
}
