package processhost

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/host/grants"
	"github.com/closedloop/closedloop/sdk/rpc"
)

// errSpawn says that a process did not come up.
var errSpawn = errors.New("the process did not come up")

// grace is how long a process may take to end by itself.
const grace = 2 * time.Second

// process is a running plugin.
type process struct {
	client  *plugin.Client
	child   *child
	rpc     *rpc.Client // set under the plugin's lock, for one that ends it meanwhile
	session *grants.Session
	output  *host.Tail // what it wrote through go-plugin
	crash   *host.Tail // what its runtime wrote, such as the trace of a panic
	dir     string     // of its sockets
	once    sync.Once
}

// dirPrefix begins the names of the folders of sockets; the engine's process id and something random follow it.
const dirPrefix = "closedloop-plugin-"

// sweep removes the folders that engines which were killed have left behind.
func sweep() {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*")) // it fails only for a malformed pattern
	for _, dir := range left {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), dirPrefix), "-")
		if n, err := strconv.Atoi(pid); err == nil && n > 0 && !alive(n) {
			_ = os.RemoveAll(dir) // another engine may do so at the same time
		}
	}
}

// spawn starts a process.
func (p *Plugin) spawn() (*process, error) {
	dir, err := os.MkdirTemp("", dirPrefix+strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSpawn, err)
	}
	proc := &process{session: p.set.Session(), output: new(host.Tail), crash: new(host.Tail), dir: dir, child: newChild(p.path)}
	cfg := rpc.ClientConfig(nil, proc.session)
	cfg.Cmd = nil
	cfg.RunnerFunc = func(_ hclog.Logger, cmd *exec.Cmd, _ string) (runner.Runner, error) {
		// The check comes before each start; with a runner of its own, go-plugin leaves it to that.
		secure := plugin.SecureConfig{Checksum: p.sum, Hash: sha256.New()}
		if ok, err := secure.Check(p.path); err != nil || !ok {
			return nil, errors.Join(err, errors.New("the file is not the one that was loaded"))
		}
		proc.child.environ(append(cmd.Env, "TMPDIR="+dir, "TMP="+dir)...)
		return proc.child, nil
	}
	cfg.Logger = hclog.NewNullLogger()
	cfg.Stderr, cfg.SyncStdout, cfg.SyncStderr = proc.crash, proc.output, proc.output
	cfg.StartTimeout = p.limits.Start
	cfg.UnixSocketConfig = &plugin.UnixSocketConfig{TempDir: dir}
	proc.client = plugin.NewClient(cfg)
	p.mu.Lock()
	p.current = proc
	p.mu.Unlock()
	connected, err := rpc.Dial(proc.client)
	p.mu.Lock()
	proc.rpc = connected
	p.mu.Unlock()
	if err != nil {
		p.kill(proc)
		return nil, proc.unborn(err)
	}
	return proc, nil
}

// unborn says why a process did not come up.
func (proc *process) unborn(err error) error {
	wrote := ""
	if s := proc.crash.String(); s != "" {
		wrote = "; it wrote: " + s
	}
	if proc.child.state != nil && strings.Contains(err.Error(), "Unrecognized remote plugin message") {
		return fmt.Errorf("%w: it is no Closedloop plugin: it ended with %s%s", errSpawn, proc.child.state, wrote)
	}
	return fmt.Errorf("%w: %w%s", errSpawn, err, wrote)
}

// kill ends a process at once: one that failed may be unable to end by itself, or to answer that it will.
func (p *Plugin) kill(proc *process) {
	_ = proc.child.Kill(context.Background()) // it never fails
	p.end(proc)
}

// end lets a process end, kills it when it does not, and removes what it leaves. It may be called again.
func (p *Plugin) end(proc *process) {
	proc.once.Do(func() {
		late := time.AfterFunc(grace, func() { _ = proc.child.Kill(context.Background()) })
		defer late.Stop()
		proc.client.Kill()
		p.mu.Lock()
		connected := proc.rpc
		p.mu.Unlock()
		if connected != nil {
			connected.Wait()
		}
		p.mu.Lock()
		if p.current == proc {
			p.current = nil
		}
		p.mu.Unlock()
		_ = os.RemoveAll(proc.dir) // a socket that is left over harms nobody
	})
}

func isDeadline(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded
}

func isTooLarge(err error) bool { return status.Code(err) == codes.ResourceExhausted }

func isTransport(err error) bool {
	s, ok := status.FromError(err)
	return ok && s.Code() != codes.OK
}
