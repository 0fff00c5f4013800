package host

import (
	"errors"
	"fmt"
	"strings"

	"github.com/closedloop/closedloop/sdk"
)

// Code says what kind of failure an Error is. It is stable.
type Code string

// The failures of a call.
const (
	CodeTrap     Code = "trap"     // the plugin crashed: a trap of the sandbox, or a panic
	CodeExit     Code = "exit"     // the plugin ended itself
	CodeDeadline Code = "deadline" // the call took longer than Limits.Deadline or used more than Limits.Fuel
	CodeMemory   Code = "memory"   // the plugin wanted more than Limits.Memory
	CodeFrame    Code = "frame"    // the answer is malformed or larger than Limits.Output
	CodeRefused  Code = "refused"  // the plugin answered with an error; Cause is an *sdk.Failure
	CodeCanceled Code = "canceled" // the caller's context ended
	// CodeUnavailable means that there is no running plugin: it was closed, or does not come up.
	CodeUnavailable Code = "unavailable"
	// CodeQuarantined means that the plugin kept failing and is paused, until it is tried again.
	CodeQuarantined Code = "quarantined"
)

// The failures of loading.
const (
	CodeModule   Code = "module"   // the file is no plugin that this engine can run
	CodeContract Code = "contract" // the plugin was made for another version of the contract
	CodeGrant    Code = "grant"    // the plugin uses something that the program does not grant
	CodeLimit    Code = "limit"    // the plugin is larger than the limits
)

// Error is a failure of a plugin. It carries no text of items, but Stderr holds what the plugin wrote.
type Error struct {
	Plugin  string // the id in the program
	Version string // as Plugin.Version; may be empty while loading
	Call    string // "load", "configure" or the ability
	Code    Code
	Cause   error
	// Stderr is the end of what the plugin wrote to its standard output and error during the call.
	Stderr string
	Hint   string // what to do about it; may be empty
}

// Error names the plugin, the call and the cause, and unless the plugin itself answered so, the version and the code.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Code == CodeRefused {
		fmt.Fprintf(&b, "plugin %s: %s: %v", e.Plugin, e.Call, e.Cause)
		return b.String()
	}
	b.WriteString("plugin " + e.Plugin)
	if e.Version != "" && e.Version[0] != '+' {
		b.WriteString(" " + e.Version)
	}
	fmt.Fprintf(&b, ": %s: %s: %v", e.Call, e.Code, e.Cause)
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Failure returns what the plugin itself answered, or nil when the error is not the plugin's answer.
func (e *Error) Failure() *sdk.Failure {
	if f := (*sdk.Failure)(nil); e.Code == CodeRefused && errors.As(e.Cause, &f) {
		return f
	}
	return nil
}

// Broken reports whether the error says that the plugin itself does not work: it crashed, hung, answered nonsense or is
// not there. A plugin that refuses, asks for a retry, or was not asked because of the caller, works.
func Broken(err error) bool {
	e := (*Error)(nil)
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case CodeTrap, CodeExit, CodeDeadline, CodeMemory, CodeFrame, CodeUnavailable:
		return true
	}
	return false
}

// Paused reports whether the error is that of a plugin in quarantine.
func Paused(err error) bool {
	e := (*Error)(nil)
	return errors.As(err, &e) && e.Code == CodeQuarantined
}

// ofInput reports whether the input of the call may be to blame, so that other input may do better.
func (e *Error) ofInput() bool {
	switch e.Code {
	case CodeTrap, CodeExit, CodeDeadline, CodeMemory, CodeFrame:
		return true
	case CodeRefused:
		f := e.Failure()
		return f != nil && f.Fatal
	}
	return false
}
