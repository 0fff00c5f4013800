// Package sdktest is the conformance suite for plugins: what every categorizer, poller, receiver and deliverer must do
// for the engine to keep its promises. It uses the standard library only and no fakes: a plugin is given a real Host.
//
//	func TestConformance(t *testing.T) {
//		host := sdktest.Host{Dir: "testdata", Logf: t.Logf}
//		sdktest.Poller(t, sdktest.Open[sdk.Poller](csv.Plugin, &host, `{"columns": {"text": "comment"}}`))
//	}
//
// The suites are handed a way to open a fresh instance, because much of what they check is that instances agree: with
// each other, with themselves at another time, and however the work is cut into calls. A plugin that panics fails its
// check and does not end the test.
package sdktest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime/debug"
	"unicode/utf8"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// TB is the part of *testing.T that the suites use, so that other programs can run them.
type TB interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Open returns a way to open instances of a plugin as T, such as sdk.Categorizer. Settings are a complete JSON object:
// nothing is filled in.
func Open[T any](p sdk.Plugin, host sdk.Host, settings string) func() (T, error) {
	return func() (T, error) {
		var none T
		instance, err := p.New(context.Background(), host, []byte(settings))
		if err != nil {
			return none, err
		}
		typed, ok := instance.(T)
		if !ok {
			return none, fmt.Errorf("the plugin made a %T, which does not implement %s", instance, reflect.TypeFor[T]())
		}
		return typed, nil
	}
}

// Check is one thing that a suite expects of a plugin.
type Check struct {
	Name string // what the plugin does when all is well, such as "answers an empty batch"
	Run  func(t TB)
}

// run runs checks one after the other.
func run(t TB, checks []Check) {
	t.Helper()
	for _, c := range checks {
		c.Run(t)
	}
}

// opens returns the check that instances can be opened side by side.
func opens[T any](fresh func() (T, error)) Check {
	return Check{"opens with its settings", func(t TB) {
		t.Helper()
		open(t, fresh)
		open(t, fresh)
	}}
}

// crashed reports whether an error is a plugin's panic, or that of one in a sandbox or process: an error with a method
// Crashed() bool that says so.
func crashed(err error) bool {
	var other interface{ Crashed() bool }
	return errors.As(err, &other) && other.Crashed()
}

// open opens an instance or ends the test.
func open[T any](t TB, fresh func() (T, error)) T {
	t.Helper()
	var instance T
	err := safely(func() (err error) {
		instance, err = fresh()
		return err
	})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return instance
}

// safely runs f and turns a panic into an error.
func safely(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{p, debug.Stack()}
		}
	}()
	return f()
}

// panicError is a plugin's panic.
type panicError struct {
	value any
	stack []byte
}

// Crashed is true.
func (e *panicError) Crashed() bool { return true }

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

// checkItem reports what is wrong with an item that a connector brought.
func checkItem(t TB, it *feedback.Item, what string) {
	t.Helper()
	if n := it.Size(); n > feedback.MaxItemBytes {
		t.Errorf("%s: an item of %d bytes, expected at most %d", what, n, feedback.MaxItemBytes)
	}
	if !utf8.ValidString(it.Text) || !utf8.ValidString(it.Title) {
		t.Errorf("%s: text or title is not valid UTF-8", what)
	}
	if it.OccurredAt < 0 {
		t.Errorf("%s: it occurred at %v, before 1970", what, it.OccurredAt)
	}
	if it.Score == nil {
		return
	}
	s := *it.Score
	if math.IsNaN(s) || math.IsInf(s, 0) {
		t.Errorf("%s: the score is %v", what, s)
	} else if lo, hi, ok := it.Scale(); !ok && it.Survey != "" { // without one the program says what the question was
		t.Errorf("%s: a score for the survey %q, which has no usual scale, and no scale_min and scale_max", what, it.Survey)
	} else if ok && (s < lo || s > hi) {
		t.Errorf("%s: the score is %v, expected %v to %v", what, s, lo, hi)
	}
}

// checkReject reports what is wrong with a reject.
func checkReject(t TB, r *sdk.Reject, what string) {
	t.Helper()
	if r.Code == "" || r.Message == "" {
		t.Errorf("%s: a reject without a code or a message: %+v", what, *r)
	}
}
