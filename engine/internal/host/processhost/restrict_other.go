//go:build !linux

package processhost

import "os/exec"

// restrict does nothing: only Linux ties the life of a process to that of its parent.
func restrict(*exec.Cmd) {}
