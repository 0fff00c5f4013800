package host

import (
	"context"
	"errors"
)

// KV keeps what one plugin puts. It may be used by many goroutines at once.
type KV interface {
	// Get returns the value under a key, which is the caller's, or nil when there is none.
	Get(key string) ([]byte, error)
	// Usage returns how much is kept.
	Usage() (KVUsage, error)
	// Put keeps all the pairs or none, durably when it returns nil. An empty value removes its key. It returns ErrKVFull
	// when more than limit would be kept and more than before.
	Put(ctx context.Context, pairs map[string][]byte, limit KVUsage) error
}

// KVUsage is what a plugin keeps: keys, and bytes of keys and values.
type KVUsage struct {
	Keys  int64 `json:"keys"`
	Bytes int64 `json:"bytes"`
}

// ErrKVFull is returned by KV.Put when the plugin would keep more than it may.
var ErrKVFull = errors.New("the plugin keeps as much as it may")

// Replace returns the usage after a value of old bytes under the key, or none when that is 0, is replaced by one of the
// given bytes, or removed when that is 0.
func (u KVUsage) Replace(key string, old, size int) KVUsage {
	if old > 0 {
		u.Keys--
		u.Bytes -= int64(len(key) + old)
	}
	if size > 0 {
		u.Keys++
		u.Bytes += int64(len(key) + size)
	}
	return u
}

// Exceeds reports whether the usage is above the limit and above what it was.
func (u KVUsage) Exceeds(limit, was KVUsage) bool {
	return u.Keys > max(limit.Keys, was.Keys) || u.Bytes > max(limit.Bytes, was.Bytes)
}
