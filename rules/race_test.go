//go:build race

package rules

// raced says that the race detector is on, which makes pools forget and so allocate.
const raced = true
