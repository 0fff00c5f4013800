package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// dirLock keeps other processes and other stores of this process out of a directory. The system gives it up when
// the process ends. Badger has a lock of its own, which comes too late: the space, the ballast and empty files are
// looked at before.
type dirLock struct{ f *os.File }

// lockDir returns ErrLocked, with the process that holds the lock, when the directory is in use.
func lockDir(dir string) (*dirLock, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	free, err := tryLock(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store: locking %s: %w", f.Name(), err), f.Close())
	}
	if !free {
		return nil, errors.Join(errorf(ErrLocked, "stop the other engine, or give this one another state directory",
			"%s is used by %s", dir, holder(f)), f.Close())
	}
	// The number is for people; the lock holds without it.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt(strconv.AppendInt(nil, int64(os.Getpid()), 10), 0)
	}
	return &dirLock{f}, nil
}

// holder names the process that a lock file tells of.
func holder(f *os.File) string {
	b, err := io.ReadAll(io.LimitReader(f, 20))
	if pid := strings.TrimSpace(string(b)); err == nil && pid != "" {
		return "process " + pid
	}
	return "another process"
}

// unlock gives the lock up at once. Closing the file alone would not, while a process that was just started still
// shares it.
func (l *dirLock) unlock() error { return errors.Join(releaseLock(l.f), l.f.Close()) }
