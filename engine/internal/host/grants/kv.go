package grants

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/sdk"
)

// What one call can put, so that it fits one update of the store: keys, and bytes of keys and values.
const (
	maxPuts     = 1000
	maxPutBytes = 256 << 10
)

// pending is what a call has put so far.
type pending struct {
	mu    sync.Mutex
	on    bool // a call is running
	pairs map[string]change
	bytes int
	usage host.KVUsage // beyond what is kept; may be negative
}

// change is a value that a call has put, and how long the one was that it replaces.
type change struct {
	value []byte
	old   int
}

func (p *pending) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.on = true
	p.pairs, p.bytes, p.usage = nil, 0, host.KVUsage{}
}

// end returns what was put.
func (p *pending) end() map[string][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.on = false
	if len(p.pairs) == 0 {
		return nil
	}
	out := make(map[string][]byte, len(p.pairs))
	for key, v := range p.pairs {
		out[key] = v.value
	}
	p.pairs = nil
	return out
}

// KVGet returns what the call has put under a key, else what is kept there.
func (n *Session) KVGet(key string) ([]byte, error) {
	if !n.spec.Grants.KV {
		return nil, kvNotGranted()
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	n.pending.mu.Lock()
	v, ok := n.pending.pairs[key]
	n.pending.mu.Unlock()
	if ok {
		return bytes.Clone(v.value), nil
	}
	value, err := n.spec.KV.Get(key)
	if err != nil {
		return nil, kvFailed(err)
	}
	return value, nil
}

// KVPut notes a pair, which End keeps.
func (n *Session) KVPut(key string, value []byte) error {
	if !n.spec.Grants.KV {
		return kvNotGranted()
	}
	if err := checkKey(key); err != nil {
		return err
	}
	if len(value) > sdk.MaxKVValue {
		return refuse("bad_argument", "found a value of %d bytes, expected at most %d", len(value), sdk.MaxKVValue)
	}
	p := &n.pending
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.on {
		return refuse("bad_argument", "pairs are put during a call")
	}
	before, again := p.pairs[key]
	count, size, usage := len(p.pairs)+1, p.bytes+len(key)+len(value), p.usage
	if again {
		count, size = count-1, size-len(key)-len(before.value)
		usage = usage.Replace(key, len(before.value), before.old)
	} else {
		old, err := n.spec.KV.Get(key)
		if err != nil {
			return kvFailed(err)
		}
		before.old = len(old)
	}
	if count > maxPuts || size > maxPutBytes {
		return refuse("kv_full", "a call can put at most %d keys and %d bytes", maxPuts, maxPutBytes)
	}
	usage = usage.Replace(key, before.old, len(value))
	kept, err := n.spec.KV.Usage()
	if err != nil {
		return kvFailed(err)
	}
	then := host.KVUsage{Keys: kept.Keys + usage.Keys, Bytes: kept.Bytes + usage.Bytes}
	if then.Exceeds(n.quota(), kept) {
		return refuse("kv_full", "the program lets the plugin keep %d keys and %d bytes", n.limits.KVKeys, n.limits.KVBytes)
	}
	if p.pairs == nil {
		p.pairs = make(map[string]change)
	}
	p.pairs[key] = change{append([]byte(nil), value...), before.old}
	p.bytes, p.usage = size, usage
	return nil
}

func (s *Set) quota() host.KVUsage {
	return host.KVUsage{Keys: s.limits.KVKeys, Bytes: s.limits.KVBytes}
}

// keep keeps what the call has put. The quota is checked again: other calls have put meanwhile.
func (n *Session) keep(ctx context.Context) error {
	pairs := n.pending.end()
	if pairs == nil {
		return nil
	}
	err := n.spec.KV.Put(ctx, pairs, n.quota())
	if errors.Is(err, host.ErrKVFull) {
		return retry("kv_full", "the program lets the plugin keep %d keys and %d bytes", n.limits.KVKeys, n.limits.KVBytes)
	}
	if err != nil {
		return kvFailed(err)
	}
	return nil
}

func checkKey(key string) error {
	if key == "" || len(key) > sdk.MaxKVKey {
		return refuse("bad_argument", "found a key of %d bytes, expected 1 to %d", len(key), sdk.MaxKVKey)
	}
	return nil
}

func kvNotGranted() error { return notGranted("kv", "true") }

func kvFailed(err error) error { return retry("kv_failed", "the engine's store: %v", err) }
