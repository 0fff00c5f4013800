//go:build unix

package processhost

import (
	"errors"
	"syscall"
)

// alive reports whether there is a process of that id.
func alive(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
