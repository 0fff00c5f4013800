package sdk

import (
	"errors"
	"fmt"
	"time"
)

// Failure is an error that says whether trying again can help. It crosses the boundary between plugin and host.
type Failure struct {
	Fatal   bool   // trying again will not help
	Code    string // stable and short; may be empty
	Message string
	After   time.Duration // when to try again; zero leaves it to the host
	cause   error
}

func (f *Failure) Error() string {
	if f.Code != "" {
		return f.Code + ": " + f.Message
	}
	return f.Message
}

func (f *Failure) Unwrap() error { return f.cause }

// Retry returns an error that asks to be tried again, not before after when that is positive.
func Retry(after time.Duration, format string, args ...any) error {
	return failure(false, after, fmt.Errorf(format, args...))
}

// Fatal returns an error that will not go away by trying again.
func Fatal(format string, args ...any) error {
	return failure(true, 0, fmt.Errorf(format, args...))
}

func failure(fatal bool, after time.Duration, err error) error {
	return &Failure{Fatal: fatal, Message: err.Error(), After: max(after, 0), cause: errors.Unwrap(err)}
}

// FailureOf returns the Failure in err's chain, or a retryable one with err's text. It returns nil for nil.
func FailureOf(err error) *Failure {
	if err == nil {
		return nil
	}
	if f := (*Failure)(nil); errors.As(err, &f) {
		return f
	}
	return &Failure{Message: err.Error(), cause: err}
}
