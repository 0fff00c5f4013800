//go:build !unix

package processhost

import (
	"testing"
	"time"
)

func suspend(t *testing.T, _ int) {
	t.Helper()
	t.Skip("a process cannot be stopped here, so a hanging one is not tried")
}

// ended waits for a process to be gone.
func ended(pid int) bool {
	for range 200 {
		if !alive(pid) {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}
