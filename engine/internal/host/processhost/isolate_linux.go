package processhost

import (
	"os/exec"
	"syscall"
)

// isolate puts the process in a group of its own, and has the kernel end it should this one die.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// endGroup ends what is left of a process's group.
func endGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
