//go:build !linux

package store

func diskParts() map[string]func(dir string) error { return nil }
