package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// smallProgram writes a program with one source of one item and returns its folder.
func smallProgram(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"program.yaml":     []byte("version: 1\nname: small\nsources:\n  one: {plugin: one.wasm}\nqueues: {care: {}}\n"),
		"rules/route.yaml": []byte("version: 1\ngroups:\n  - name: route\n    rules:\n      - id: all\n        when: nps <= 6\n        do: [{assign: {queue: care}}, {case: {sla: 48h}}]\n"),
		"one.wasm":         guests()["fine"].stamped(t, "1.0"),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// command is the command line as a process of its own.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), asMain+"=1")
	return cmd
}

// output runs a command and returns its output and exit code.
func output(t *testing.T, cmd *exec.Cmd) (out, errs string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// running starts an engine in a process of its own and waits until it listens.
func running(t *testing.T, dir string) (cmd *exec.Cmd, rest *bytes.Buffer) {
	t.Helper()
	cmd = command(t, "run", "--json", dir)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	rest = &bytes.Buffer{}
	cmd.Stdout = rest
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "running program=") {
			go io.Copy(io.Discard, stderr) // it ends with the process
			return cmd, rest
		}
	}
	t.Fatal("it ended before it listened")
	return nil, nil
}

// call runs a command line and returns its output and exit code.
func call(args ...string) (out, errs string, code int) {
	var o, e strings.Builder
	code = Main(args, IO{In: strings.NewReader(""), Out: &o, Err: &e, Signals: make(chan os.Signal)})
	return o.String(), e.String(), code
}

func TestProcessEndsGracefully(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: a process cannot be interrupted by another one on this system")
	}
	dir := smallProgram(t)
	cmd, out := running(t, dir)
	if shown, errs, code := output(t, command(t, "show", "metrics", "-C", dir)); code != 0 || !strings.Contains(shown, "up ") {
		t.Errorf("beside the engine: exit %d\n%s%s", code, shown, errs)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if !strings.Contains(out.String(), `"uptime_ns"`) {
		t.Errorf("its result:\n%s", out)
	}
}

// A killed engine leaves its socket and lock file behind, which nothing minds.
func TestProcessIsKilled(t *testing.T) {
	t.Parallel()
	dir := smallProgram(t)
	if _, errs, code := output(t, command(t, "run", "--once", dir)); code != 0 {
		t.Fatalf("exit %d\n%s", code, errs)
	}
	cmd, _ := running(t, dir)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	shown, errs, code := output(t, command(t, "show", "items", "-C", dir))
	if code != 0 || strings.Count(shown, "f_") != 1 {
		t.Errorf("after the kill: exit %d\n%s%s", code, shown, errs)
	}
	if out, errs, code := output(t, command(t, "run", "--once", dir)); code != 0 || !strings.Contains(out, "nothing is new") {
		t.Errorf("the next run: exit %d\n%s%s", code, out, errs)
	}
}

func TestMissingToolchain(t *testing.T) {
	t.Parallel()
	dir := smallProgram(t)
	if err := os.CopyFS(filepath.Join(dir, "plugin"), os.DirFS("testdata/plugin")); err != nil {
		t.Fatal(err)
	}
	program := "version: 1\nname: small\nsources:\n  one: {plugin: plugin}\nqueues: {care: {}}\n"
	if err := os.WriteFile(filepath.Join(dir, "program.yaml"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := command(t, "run", "--once", dir)
	cmd.Env = append(cmd.Env, "PATH="+t.TempDir())
	out, errs, code := output(t, cmd)
	if code != exitEnvironment || out != "" || !strings.Contains(errs, "closedloop: error: build plugin one: the Go toolchain was not found") ||
		!strings.Contains(errs, "closedloop: hint: install Go from https://go.dev/dl") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}

// The second signal ends what does not end by itself.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	var errs bytes.Buffer
	signals := make(chan os.Signal)
	a := &app{std: IO{Err: &errs}, signals: signals}
	began, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	code := make(chan int)
	go func() {
		code <- a.interruptible(func(context.Context) error {
			close(began)
			<-release
			return nil
		})
	}()
	<-began
	signals <- os.Interrupt
	signals <- os.Interrupt
	if c := <-code; c != exitFailed || !strings.Contains(errs.String(), "error: ended by a second signal\n") {
		t.Errorf("exit %d, %s", c, errs.String())
	}
}

func TestInterruptedAndPanicking(t *testing.T) {
	t.Parallel()
	var errs bytes.Buffer
	signals := make(chan os.Signal, 1)
	a := &app{std: IO{Err: &errs}, signals: signals}
	signals <- os.Interrupt
	code := a.interruptible(func(ctx context.Context) error {
		<-ctx.Done()
		return errors.Join(errors.New("the one"), ctx.Err())
	})
	if code != exitFailed || !strings.Contains(errs.String(), "error: the one\n") || !strings.Contains(errs.String(), "error: interrupted\n") {
		t.Errorf("exit %d\n%s", code, errs.String())
	}
	errs.Reset()
	if code := a.interruptible(func(context.Context) error { panic("what now") }); code != exitFailed || !strings.Contains(errs.String(), "internal error: what now") {
		t.Errorf("exit %d\n%s", code, errs.String())
	}
}
