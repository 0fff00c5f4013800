package processhost

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/closedloop/closedloop/engine/internal/host/grants"
	"github.com/closedloop/closedloop/sdk/rpc"
)

// errSpawn says that a process did not come up.
var errSpawn = errors.New("the process did not come up")

// process is a running plugin.
type process struct {
	client  *plugin.Client
	rpc     *rpc.Client
	session *grants.Session
	stderr  *tail
	dir     string // of its sockets
	once    sync.Once
}

// spawn starts a process.
func (p *Plugin) spawn() (*process, error) {
	dir, err := os.MkdirTemp("", "closedloop-plugin-")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSpawn, err)
	}
	proc := &process{session: p.set.Session(), stderr: &tail{}, dir: dir}
	cmd := exec.Command(p.path)
	cmd.Env = []string{"TMPDIR=" + dir, "TMP=" + dir}
	restrict(cmd)
	cfg := rpc.ClientConfig(cmd, proc.session)
	cfg.SecureConfig = &plugin.SecureConfig{Checksum: p.sum, Hash: sha256.New()}
	cfg.Logger = hclog.NewNullLogger()
	cfg.Stderr = proc.stderr
	cfg.SyncStdout, cfg.SyncStderr = proc.stderr, proc.stderr
	cfg.StartTimeout = startLimit
	cfg.UnixSocketConfig = &plugin.UnixSocketConfig{TempDir: dir}
	proc.client = plugin.NewClient(cfg)
	p.mu.Lock()
	p.current = proc
	p.mu.Unlock()
	if proc.rpc, err = rpc.Dial(proc.client); err != nil {
		err = fmt.Errorf("%w: %w%s", errSpawn, err, proc.stderr.suffix())
		p.end(proc)
		return nil, err
	}
	return proc, nil
}

// end kills a process and removes what it leaves. It may be called again.
func (p *Plugin) end(proc *process) {
	proc.once.Do(func() {
		p.mu.Lock()
		if p.current == proc {
			p.current = nil
		}
		p.mu.Unlock()
		proc.client.Kill()
		if proc.rpc != nil {
			proc.rpc.Wait()
		}
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

// tail keeps the end of what is written to it. It is safe for concurrent use.
type tail struct {
	mu sync.Mutex
	b  []byte
}

// tailBytes is how much a tail keeps.
const tailBytes = 8 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b[max(0, len(b)-tailBytes):]...)
	if over := len(t.b) - tailBytes; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}

func (t *tail) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = t.b[:0]
}

// suffix returns what was written as the end of a message.
func (t *tail) suffix() string {
	if s := t.String(); s != "" {
		return "; it wrote: " + s
	}
	return ""
}
