//go:build !wasip1

package serve

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/rpc"
	"github.com/closedloop/closedloop/sdk/wire"
)

// Main serves the registered plugin to the engine that started this process and returns when the engine is done with
// it. With the argument --manifest it prints the manifest instead. Started by hand it says what this binary is and
// exits with 2.
func Main() {
	if code := run(os.Args, os.Getenv, os.Stdout, os.Stderr); code != 0 {
		os.Exit(code)
	}
}

func run(args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	name := filepath.Base(args[0])
	if len(registered) != 1 {
		fmt.Fprintf(stderr, "%s: error: %d plugins are registered\n%s: hint: call serve.Register once, in init\n", name, len(registered), name)
		return 2
	}
	if len(args) == 2 && args[1] == "--manifest" {
		if _, err := stdout.Write(registered[0].Manifest); err != nil {
			fmt.Fprintf(stderr, "%s: error: %v\n", name, err)
			return 1
		}
		return 0
	}
	if getenv(rpc.CookieKey) != rpc.CookieValue {
		fmt.Fprintf(stderr, "%s: error: this is a Closedloop plugin, which an engine starts\n"+
			"%s: hint: name it in program.yaml with trust: process, or print its manifest with --manifest\n", name, name)
		return 2
	}
	if getenv(rpc.ParentKey) == rpc.ParentValue {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // an error is an end as well
			os.Exit(0)
		}()
	}
	rpc.Serve(&process{})
	return 0
}

// process answers the engine's calls.
type process struct{ session session }

var _ rpc.Handler = (*process)(nil)

func (p *process) Call(ctx context.Context, host sdk.Host, frame []byte) []byte {
	return p.session.call(ctx, &clock{Host: host, session: &p.session}, frame, nil)
}

// clock shows the time of the call to a plugin that was not granted a real clock.
type clock struct {
	sdk.Host
	session *session
}

func (c *clock) Now() feedback.Time {
	if c.session.grants&wire.GrantClock != 0 {
		return c.Host.Now()
	}
	return c.session.now
}
