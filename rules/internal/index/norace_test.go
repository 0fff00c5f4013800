//go:build !race

package index

// raced says that the race detector is on, which makes pools forget and so allocate.
const raced = false
