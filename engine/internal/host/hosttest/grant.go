package hosttest

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"github.com/closedloop/closedloop/engine/internal/host"
)

// Granted returns the spec with the grants without which a module that imports all of the host's functions cannot be
// loaded: an empty folder, a host that does not exist, and a KV, each unless the spec has one.
func Granted(tb testing.TB, spec host.Spec) host.Spec {
	tb.Helper()
	if spec.Grants.File == "" {
		spec.Grants.File = tb.TempDir()
	}
	if spec.Grants.HTTP == nil {
		spec.Grants.HTTP = []string{"guest.invalid"}
	}
	if spec.KV == nil {
		spec.KV = &KV{}
	}
	spec.Grants.KV = true
	return spec
}

// KV keeps pairs for as long as the test runs. The zero value is empty.
type KV struct {
	mu     sync.Mutex
	pairs  map[string][]byte
	usage  host.KVUsage
	puts   int
	broken error
}

var _ host.KV = (*KV)(nil)

// Break makes what follows fail with err.
func (kv *KV) Break(err error) {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	kv.broken = err
}

// Puts returns how often Put kept something.
func (kv *KV) Puts() int {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	return kv.puts
}

// Get implements host.KV.
func (kv *KV) Get(key string) ([]byte, error) {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	return bytes.Clone(kv.pairs[key]), kv.broken
}

// Usage implements host.KV.
func (kv *KV) Usage() (host.KVUsage, error) {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	return kv.usage, kv.broken
}

// Put implements host.KV.
func (kv *KV) Put(_ context.Context, pairs map[string][]byte, limit host.KVUsage) error {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	if kv.broken != nil {
		return kv.broken
	}
	u := kv.usage
	for key, value := range pairs {
		u = u.Replace(key, len(kv.pairs[key]), len(value))
	}
	if u.Exceeds(limit, kv.usage) {
		return host.ErrKVFull
	}
	if kv.pairs == nil {
		kv.pairs = make(map[string][]byte)
	}
	for key, value := range pairs {
		if len(value) == 0 {
			delete(kv.pairs, key)
		} else {
			kv.pairs[key] = bytes.Clone(value)
		}
	}
	kv.usage = u
	kv.puts++
	return nil
}
