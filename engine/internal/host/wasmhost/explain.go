package wasmhost

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero/sys"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/wire"
)

// goCrash is the exit code of a Go guest that panicked.
const goCrash = 2

// classify fills in what an error of a call means.
func (in *instance) classify(e *host.Error, err error) *host.Error {
	var (
		failure  *sdk.Failure
		frame    *wire.Error
		exit     *sys.ExitError
		contract *contractError
	)
	limits := in.plugin.limits
	switch {
	case errors.As(err, &failure):
		e.Code, e.Cause = host.CodeRefused, failure
		return e
	case errors.As(err, &contract):
		e.Code, e.Cause = host.CodeContract, contract
		return e
	case errors.Is(err, errDeadline):
		e.Code, e.Cause = host.CodeDeadline, fmt.Errorf("the call took longer than %v", in.limit)
	case errors.Is(err, errFuel):
		e.Code, e.Cause = host.CodeDeadline, fmt.Errorf("the call ran more than %d instructions", limits.Fuel)
	case errors.Is(err, errStack):
		e.Cause = errStack
	case errors.Is(err, errStopped):
		e.Code, e.Cause = host.CodeUnavailable, errStopped
	case in.Context.Err() != nil && errors.Is(err, in.Context.Err()):
		e.Code, e.Cause = host.CodeCanceled, context.Cause(in.Context)
	case errors.Is(err, errOutput):
		e.Code = host.CodeFrame
	case errors.As(err, &frame):
		e.Code, e.Cause = host.CodeFrame, frame
	case in.linear.denied:
		e.Code, e.Cause = host.CodeMemory, fmt.Errorf("the plugin wanted more than %d bytes of memory", limits.Memory)
		e.Hint = "raise limits: memory of the plugin in program.yaml"
	case errors.As(err, &exit) && exit.ExitCode() != goCrash:
		e.Code, e.Cause = host.CodeExit, fmt.Errorf("the plugin exited with code %d", exit.ExitCode())
	default:
		in.crashed(e, err)
	}
	e.Stderr = in.output.String()
	if _, trace, ok := strings.Cut(err.Error(), "wasm stack trace:\n"); ok {
		e.Stderr += "wasm stack trace:\n" + trace
	}
	return e
}

// crashed fills in a crash. A Go guest says why in its output, and then traps or exits with code 2.
func (in *instance) crashed(e *host.Error, err error) {
	if line := in.output.Panic(); line != "" {
		e.Cause = errors.New(line)
		return
	}
	e.Cause = errors.New(headline(err.Error()))
}

// headline returns the first line of an error of wazero without what wazero adds to it.
func headline(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return strings.TrimSuffix(strings.TrimPrefix(s, "wasm error: "), " (recovered by wazero)")
}
