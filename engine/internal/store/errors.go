package store

import (
	"errors"
	"fmt"
)

// What can go wrong. Errors of this package wrap one of these; Error adds words for people.
var (
	// ErrFull says that the disk has too little free space to write safely. Nothing was written; try again later.
	ErrFull = errors.New("disk is full")
	// ErrLocked says that another engine uses the directory.
	ErrLocked = errors.New("state directory is in use")
	// ErrPoisoned says that an earlier commit failed with an I/O error: what is on disk is known only after Open.
	ErrPoisoned = errors.New("state directory must be opened anew after an I/O error")
	// ErrTooLarge says that a key, a value or one update is larger than the store takes.
	ErrTooLarge = errors.New("too large")
	// ErrNotFound says that there is no record under the key.
	ErrNotFound = errors.New("not found")
	// ErrCorrupt says that something on disk is not what was written.
	ErrCorrupt = errors.New("corrupt")
	// ErrLost says that commits that were acknowledged are missing.
	ErrLost = errors.New("acknowledged commits are missing")
	// ErrNewer says that a record or directory was written by a newer version of this software.
	ErrNewer = errors.New("written by a newer version")
	// ErrClosed says that the store is closed.
	ErrClosed = errors.New("store is closed")
	// ErrKey says that a key is empty or begins with the byte 0, which the store keeps for itself.
	ErrKey = errors.New("invalid key")
)

// Error is one failure in words for people.
type Error struct {
	Err    error  // one of the errors above
	Detail string // what was found and expected
	Hint   string // what to do about it, or ""
}

// Error returns all of it in one line.
func (e *Error) Error() string {
	s := "store: " + e.Err.Error() + ": " + e.Detail
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

func errorf(kind error, hint, format string, args ...any) error {
	return &Error{Err: kind, Detail: fmt.Sprintf(format, args...), Hint: hint}
}
