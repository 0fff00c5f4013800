// Package cli is the command line: every command of closedloop, as a function of its arguments and its input and output.
//
// What holds:
//
//   - Main returns the exit code and never ends the process: 0 ok, 1 the check or run failed, 2 bad input or usage,
//     3 environment, such as a directory in use, a full disk or a missing toolchain.
//   - Results go to Out; errors, hints, progress and the log go to Err. With --json, Out holds one JSON value and
//     nothing else, or nothing.
//   - What came from outside, such as a verbatim or what a plugin wrote, cannot control a terminal: see clean.
//   - A command shows the same whether an engine runs or not: it opens the state when it is free, and asks the
//     running engine when it is not.
//
// Usage:
//
//	os.Exit(cli.Main(os.Args[1:], cli.Stdio()))
package cli

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// IO is what a command line is connected to. In, Out and Err are required.
type IO struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
	// TTY says that Err is a terminal, which shows progress and colours.
	TTY bool
	// Width is the number of columns of the terminal that Out is. Defaults to no terminal: nothing is cut.
	Width int
	// Getenv reads an environment variable. Defaults to os.Getenv.
	Getenv func(string) string
	// Signals ask a command to end: the first gracefully, the second at once. Defaults to SIGINT and SIGTERM of
	// the process while a command runs.
	Signals <-chan os.Signal
	// Now is the clock. Defaults to the system's.
	Now func() time.Time
	// LimitMemory sets the soft limit in bytes of the process's memory. Defaults to setting none.
	LimitMemory func(bytes int64) int64
}

// Stdio returns the process's own input and output.
func Stdio() IO {
	std := IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, TTY: term.IsTerminal(int(os.Stderr.Fd())), LimitMemory: debug.SetMemoryLimit}
	if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil {
		std.Width = w
	}
	return std
}

// cacheVariable names the environment variable with the folder for built plugins.
const cacheVariable = "CLOSEDLOOP_CACHE"

// app is one command line being run.
type app struct {
	std     IO
	signals <-chan os.Signal // requests to end
	// patience is how long to wait for something that holds the state and answers no questions.
	patience time.Duration
	json     bool
	dir      string // the program's folder
	state    string // the state directory, when it is not the program's own
}

// Main runs the command line and returns its exit code.
func Main(args []string, std IO) int {
	if std.Getenv == nil {
		std.Getenv = os.Getenv
	}
	if std.Now == nil {
		std.Now = time.Now
	}
	a := &app{std: std, signals: std.Signals, patience: patience}
	if a.signals == nil {
		ch := make(chan os.Signal, 2)
		signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
		defer signal.Stop(ch)
		a.signals = ch
	}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(std.In)
	root.SetOut(std.Out)
	root.SetErr(std.Err)
	return a.interruptible(func(ctx context.Context) error { return root.ExecuteContext(ctx) })
}

// interruptible runs the command until it ends, and returns the exit code. The first signal ends its context; the
// second abandons it.
func (a *app) interruptible(run func(context.Context) error) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- guarded(func() error { return run(ctx) }) }()
	for {
		select {
		case err := <-done:
			return a.report(err)
		case <-a.signals:
			if ctx.Err() != nil {
				return a.report(&failure{code: exitFailed, message: "ended by a second signal", hint: "what was acknowledged is kept"})
			}
			cancel()
		}
	}
}

// printJSON writes a value for programs.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.std.Out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// exact returns an argument check for commands that take n arguments, named in usage as what.
func exact(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < n:
			return usage("try: "+cmd.CommandPath()+" --help", "%s needs %s", cmd.CommandPath(), what)
		case len(args) > n:
			return usage("try: "+cmd.CommandPath()+" --help", "%s: unexpected argument %q", cmd.CommandPath(), args[n])
		}
		return nil
	}
}
