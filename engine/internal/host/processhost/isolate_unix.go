//go:build unix && !linux

package processhost

import (
	"os/exec"
	"syscall"
)

// isolate puts the process in a group of its own.
func isolate(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// endGroup ends what is left of a process's group.
func endGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
