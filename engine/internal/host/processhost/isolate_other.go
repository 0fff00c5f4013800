//go:build !unix

package processhost

import "os/exec"

// isolate does nothing: there are no process groups here.
func isolate(*exec.Cmd) {}

// endGroup does nothing.
func endGroup(int) {}
