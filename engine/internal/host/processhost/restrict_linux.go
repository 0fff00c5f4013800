package processhost

import (
	"os/exec"
	"syscall"
)

// restrict makes the process end with the engine, and keeps the terminal's signals away from it.
func restrict(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
