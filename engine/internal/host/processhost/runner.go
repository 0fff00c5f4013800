package processhost

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/go-plugin/runner"

	"github.com/closedloop/closedloop/sdk/rpc"
)

// child runs a plugin's executable for go-plugin. Unlike go-plugin's own runner it withholds the engine's standard
// input, by whose end the process finds out that the engine is gone, notes the end of the process as soon as it comes, and then ends what the process has started itself.
type child struct {
	cmd            *exec.Cmd
	stdout, stderr *os.File
	input          io.WriteCloser // the other end of the process's input: it ends when this process does
	done           chan struct{}  // closed when the process has ended
	state          *os.ProcessState

	mu      sync.Mutex
	running *os.Process // nil before it was started
	killed  bool        // it is not to be started any more
}

// errKilled says that a process was to end before it began.
var errKilled = errors.New("the plugin was closed before it started")

var _ runner.Runner = (*child)(nil)

// newChild prepares to run the executable.
func newChild(path string) *child {
	cmd := exec.Command(path)
	isolate(cmd)
	return &child{cmd: cmd, done: make(chan struct{})}
}

// environ gives the process its environment, before Start.
func (c *child) environ(env ...string) {
	c.cmd.Env = append(env, rpc.ParentKey+"="+rpc.ParentValue)
	if root := os.Getenv("SYSTEMROOT"); root != "" { // without it nothing runs on Windows
		c.cmd.Env = append(c.cmd.Env, "SYSTEMROOT="+root)
	}
}

// Start implements runner.Runner.
func (c *child) Start(context.Context) error {
	var ends [2]*os.File
	for i, end := range []**os.File{&c.stdout, &c.stderr} {
		var err error
		if *end, ends[i], err = os.Pipe(); err != nil {
			closeAll(c.stdout, ends[0])
			return err
		}
	}
	c.cmd.Stdout, c.cmd.Stderr = ends[0], ends[1]
	input, err := c.cmd.StdinPipe()
	if err == nil {
		c.input = input
		err = c.begin()
	}
	closeAll(ends[:]...)
	if err != nil {
		closeAll(c.stdout, c.stderr)
		return err
	}
	go func() {
		defer close(c.done)
		_ = c.cmd.Wait() // the state says it all
		c.state = c.cmd.ProcessState
		endGroup(c.cmd.Process.Pid)
	}()
	return nil
}

// begin starts the process, unless it was killed already.
func (c *child) begin() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.killed {
		_ = c.input.Close() // nothing was written through it
		if end, ok := c.cmd.Stdin.(io.Closer); ok {
			_ = end.Close()
		}
		return errKilled
	}
	err := c.cmd.Start()
	if err == nil {
		c.running = c.cmd.Process
	}
	return err
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close() // nothing was written through it
		}
	}
}

// Wait implements runner.AttachedRunner.
func (c *child) Wait(ctx context.Context) error {
	select {
	case <-c.done:
		closeAll(c.stdout, c.stderr)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Kill implements runner.AttachedRunner. It may be called again, and at any time: what was not started yet is not
// started any more.
func (c *child) Kill(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.killed = true
	if c.running != nil {
		_ = c.running.Kill() // it fails only when the process has ended
	}
	return nil
}

// gone reports whether the process has ended by itself, or does within a moment.
func (c *child) gone(moment time.Duration) bool {
	select {
	case <-c.done:
		return true
	default:
	}
	timer := time.NewTimer(moment)
	defer timer.Stop()
	select {
	case <-c.done:
		return true
	case <-timer.C:
		return false
	}
}

// Stdout implements runner.Runner.
func (c *child) Stdout() io.ReadCloser { return c.stdout }

// Stderr implements runner.Runner.
func (c *child) Stderr() io.ReadCloser { return c.stderr }

// Name implements runner.Runner.
func (c *child) Name() string { return c.cmd.Path }

// ID implements runner.AttachedRunner.
func (c *child) ID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running == nil {
		return ""
	}
	return strconv.Itoa(c.running.Pid)
}

// Diagnose implements runner.Runner. What to say is said by this package.
func (c *child) Diagnose(context.Context) string { return "" }

// PluginToHost implements runner.AddrTranslator: both sides see the same addresses.
func (c *child) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// HostToPlugin implements runner.AddrTranslator.
func (c *child) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
