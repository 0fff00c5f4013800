package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/closedloop/closedloop/engine"
	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/program"
	"github.com/closedloop/closedloop/engine/internal/program/guestbuild"
	"github.com/closedloop/closedloop/engine/internal/store"
	"github.com/closedloop/closedloop/rules/source"
)

// The exit codes.
const (
	exitOK          = 0
	exitFailed      = 1 // the check or run failed
	exitInput       = 2 // bad input or usage
	exitEnvironment = 3 // the machine lacks something, or something else is in the way
)

// failure is an error with all that is told of it.
type failure struct {
	code     int
	message  string
	hint     string
	problems source.Problems // of files, told with their places
	output   string          // what a plugin wrote
	err      error
}

func (f *failure) Error() string { return f.message }

func (f *failure) Unwrap() error { return f.err }

// usage returns an error in how the command line is used.
func usage(hint, format string, args ...any) error {
	return &failure{code: exitInput, message: fmt.Sprintf(format, args...), hint: hint}
}

// guarded turns a panic into an error.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &failure{
				code: exitFailed, message: fmt.Sprintf("internal error: %v", p),
				hint: "this is a fault of closedloop, please report it", output: string(debug.Stack()),
			}
		}
	}()
	return f()
}

// report tells what is wrong and returns the exit code: the highest when several things are.
func (a *app) report(err error) int {
	code := exitOK
	told := map[string]bool{}
	for _, e := range divide(err) {
		f := diagnose(e)
		if plugin := (*host.Error)(nil); errors.As(e, &plugin) && f.err != nil {
			f.message = a.placed(plugin.Plugin, f.message)
		}
		code = max(code, f.code)
		if !told[f.message] {
			f.tell(a.std.Err)
		}
		told[f.message] = true
	}
	return code
}

// warn tells what is odd, and what may be meant, beside what a command does all the same.
func (a *app) warn(what, hint string) {
	if hint != "" {
		what += "; " + hint
	}
	fmt.Fprintf(a.std.Err, "closedloop: warning: %s\n", clean(what, oneLine))
}

// placed puts before a message where the program names the plugin.
func (a *app) placed(plugin, message string) string {
	p, err := a.findProgram(context.Background())
	if err != nil {
		return message
	}
	for q := range p.Plugins {
		if q.ID == plugin {
			place := q.Pos.String() + ": "
			return place + strings.TrimPrefix(message, place)
		}
	}
	return message
}

// divide returns the errors that errors.Join put together.
func divide(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || joinedText(joined.Unwrap()) != err.Error() {
		return []error{err}
	}
	var out []error
	for _, e := range joined.Unwrap() {
		out = append(out, divide(e)...)
	}
	return out
}

// joinedText is what errors.Join makes of errors. An error that adds words of its own is to be told whole.
func joinedText(errs []error) string {
	lines := make([]string, len(errs))
	for i, e := range errs {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// diagnose finds out what is to be told of an error.
func diagnose(err error) *failure {
	if f := (*failure)(nil); errors.As(err, &f) {
		return f
	}
	f := &failure{code: exitFailed, message: err.Error(), err: err}
	var (
		problems    source.Problems
		environment *program.EnvironmentError
		unbuilt     *guestbuild.FailedError
		plugin      *host.Error
		kept        *store.Error
	)
	switch {
	case errors.As(err, &problems):
		f.code = exitInput
		f.problems, f.message, f.hint = problemHead(problems)
	case errors.As(err, &environment):
		f.code, f.hint = exitEnvironment, environment.Hint
	case errors.As(err, &unbuilt):
		f.code, f.output = exitInput, unbuilt.Output
	case errors.As(err, &plugin):
		f.code, f.hint, f.output = pluginCode(plugin), cmp.Or(plugin.Hint, pluginHint(plugin)), plugin.Stderr
	case errors.As(err, &kept):
		f.code, f.hint = exitEnvironment, kept.Hint
		f.message = strings.TrimSuffix(f.message, " ("+kept.Hint+")")
		if errors.Is(err, engine.ErrNoBase) || errors.Is(err, engine.ErrNotEmpty) {
			f.code = exitInput
		}
	default:
		f.code, f.hint = plainCode(err)
	}
	for _, plain := range []error{engine.ErrMissing, engine.ErrTransition} { // what stands before says it already
		f.message = strings.TrimSuffix(f.message, ": "+plain.Error())
	}
	if errors.Is(err, engine.ErrFull) {
		f.hint = "free some space and run it again; an engine that runs goes on by itself"
	}
	if errors.Is(err, engine.ErrLocked) {
		f.hint = "another engine works on the directory: stop it, or ask it with closedloop show"
	}
	if errors.Is(err, context.Canceled) {
		f.code, f.message, f.hint = exitFailed, "interrupted", "what was acknowledged is kept; run it again to go on"
	}
	return f
}

// problemHead returns problems with the line that they are told under. Of a single one the line says what is wrong.
func problemHead(ps source.Problems) (rest source.Problems, message, hint string) {
	if len(ps) != 1 {
		return ps, "found " + count(len(ps), "problem"), ""
	}
	p := ps[0]
	hint, p.Hint = p.Hint, ""
	return source.Problems{p}, p.Error(), hint
}

// pluginCode divides a plugin's failures into those that the plugin or its input is to blame for, and those that may
// pass.
func pluginCode(e *host.Error) int {
	switch f := e.Failure(); {
	case f != nil && f.Fatal:
		return exitInput
	case f != nil, e.Code == host.CodeUnavailable, e.Code == host.CodeCanceled:
		return exitFailed
	}
	return exitInput
}

func pluginHint(e *host.Error) string {
	switch e.Code {
	case host.CodeTrap, host.CodeExit:
		return "the plugin crashed: tell its author; what the others brought is kept"
	case host.CodeDeadline:
		return "if the plugin needs that long, raise deadline or fuel in its limits"
	case host.CodeMemory:
		return "if the plugin needs that much, raise memory in its limits"
	case host.CodeFrame:
		return "the plugin does not keep to the contract: tell its author; if it answers too much, raise output in its limits"
	}
	return ""
}

func plainCode(err error) (code int, hint string) {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return exitEnvironment, "free some space and run it again"
	case errors.Is(err, engine.ErrFull), errors.Is(err, engine.ErrLocked), errors.Is(err, engine.ErrPoisoned):
		return exitEnvironment, ""
	case errors.Is(err, fs.ErrPermission):
		return exitEnvironment, "check who owns the file and its permissions"
	case errors.Is(err, engine.ErrNotFound), errors.Is(err, engine.ErrNoReplay), errors.Is(err, engine.ErrQuery):
		return exitInput, ""
	case errors.Is(err, engine.ErrHeld):
		return exitFailed, "closedloop hold list tells what is held, closedloop hold remove releases it"
	case errors.Is(err, engine.ErrNamed):
		return exitInput, "name the request instead, by its number"
	case errors.Is(err, engine.ErrMissing):
		return exitInput, "--help of the command tells what is needed, and how to say it"
	case errors.Is(err, engine.ErrBackupDamaged):
		return exitFailed, "take another copy of the file, or restore what was made before it"
	case errors.Is(err, engine.ErrTransition):
		return exitFailed, "closedloop cases show tells where the case stands"
	case errors.Is(err, engine.ErrNoDestination):
		return exitFailed, "put it back into program.yaml, or drop what waits for it: closedloop deliveries drop --help"
	case ofSystem(err):
		return exitEnvironment, ""
	}
	return exitFailed, ""
}

// ofSystem reports whether the operating system refused something.
func ofSystem(err error) bool {
	var (
		path *fs.PathError
		link *os.LinkError
		call *os.SyscallError
		net  *net.OpError
	)
	return errors.As(err, &path) || errors.As(err, &link) || errors.As(err, &call) || errors.As(err, &net)
}

// tell writes the failure for people.
func (f *failure) tell(w io.Writer) {
	fmt.Fprintf(w, "closedloop: error: %s\n", clean(f.message, keepLines))
	if len(f.problems) > 0 {
		var b strings.Builder
		_ = f.problems.Render(&b) // a strings.Builder takes everything
		fmt.Fprint(w, clean(strings.TrimPrefix(b.String(), f.message+"\n"), keepLines))
	}
	if output := strings.TrimSpace(f.output); output != "" {
		fmt.Fprintf(w, "  %s\n", strings.ReplaceAll(clean(output, keepLines), "\n", "\n  "))
	}
	if f.hint != "" {
		fmt.Fprintf(w, "closedloop: hint: %s\n", clean(f.hint, keepLines))
	}
}
