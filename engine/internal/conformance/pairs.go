package conformance

import (
	"bytes"
	"context"
	"maps"
	"sync"

	"github.com/closedloop/closedloop/engine/internal/host"
)

// pairs is what one loaded plugin keeps while it is checked. The zero value is empty.
type pairs struct {
	mu    sync.Mutex
	kept  map[string][]byte
	usage host.KVUsage
}

var _ host.KV = (*pairs)(nil)

// Get implements host.KV.
func (p *pairs) Get(key string) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.kept[key]), nil
}

// Usage implements host.KV.
func (p *pairs) Usage() (host.KVUsage, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.usage, nil
}

// Put implements host.KV.
func (p *pairs) Put(_ context.Context, put map[string][]byte, limit host.KVUsage) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	usage, kept := p.usage, maps.Clone(p.kept)
	if kept == nil {
		kept = map[string][]byte{}
	}
	for key, value := range put {
		usage = usage.Replace(key, len(kept[key]), len(value))
		if kept[key] = bytes.Clone(value); len(value) == 0 {
			delete(kept, key)
		}
	}
	if usage.Exceeds(limit, p.usage) {
		return host.ErrKVFull
	}
	p.kept, p.usage = kept, usage
	return nil
}
