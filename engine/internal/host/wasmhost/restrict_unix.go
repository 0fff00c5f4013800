//go:build unix

package wasmhost

import "os"

// restrict makes a folder this user's alone.
func restrict(dir string) error { return os.Chmod(dir, 0o700) }
