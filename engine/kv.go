package engine

import (
	"bytes"
	"context"
	"errors"

	"github.com/closedloop/closedloop/engine/internal/host"
	"github.com/closedloop/closedloop/engine/internal/store"
)

// pairs keeps what one plugin puts, beside a record of how much that is.
type pairs struct {
	store  *store.Store
	plugin string // its id
}

var _ host.KV = (*pairs)(nil)

func (p *pairs) key(key string) []byte {
	return store.NewKey(store.KeyPlugin).Str(p.plugin).Str(key).Bytes()
}

// usageKey is the key of the plugin's host.KVUsage, which sorts before its pairs.
func (p *pairs) usageKey() []byte { return store.NewKey(store.KeyPlugin).Str(p.plugin).Bytes() }

// Get implements host.KV.
func (p *pairs) Get(key string) (value []byte, err error) {
	err = p.store.View(func(sn *store.Snapshot) error {
		value, err = find(sn, p.key(key))
		return err
	})
	return value, err
}

// find returns the payload under a key, or nil when there is none.
func find(r store.Reader, key []byte) ([]byte, error) {
	value, err := r.Get(key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return bytes.Clone(value), err
}

// Usage implements host.KV.
func (p *pairs) Usage() (u host.KVUsage, err error) {
	err = p.store.View(func(sn *store.Snapshot) error {
		u, err = p.usage(sn)
		return err
	})
	return u, err
}

func (p *pairs) usage(r store.Reader) (host.KVUsage, error) {
	u, err := store.Load[host.KVUsage](r, p.usageKey())
	if errors.Is(err, store.ErrNotFound) {
		return host.KVUsage{}, nil
	}
	if err != nil {
		return host.KVUsage{}, err
	}
	return *u, nil
}

// Put implements host.KV.
func (p *pairs) Put(ctx context.Context, puts map[string][]byte, limit host.KVUsage) error {
	return p.store.Update(ctx, func(tx *store.Tx) error {
		was, err := p.usage(tx)
		if err != nil {
			return err
		}
		u := was
		for key, value := range puts {
			at := p.key(key)
			old, err := find(tx, at)
			if err != nil {
				return err
			}
			u = u.Replace(key, len(old), len(value))
			if len(value) == 0 {
				tx.Delete(at)
			} else {
				tx.Set(at, value)
			}
		}
		if u.Exceeds(limit, was) {
			return host.ErrKVFull
		}
		return store.Put(tx, p.usageKey(), &u)
	})
}
