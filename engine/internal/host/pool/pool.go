// Package pool lends the instances of a plugin, the last one used first, so that few of them stay warm.
//
// Invariants: at most Size instances are lent at a time; an instance that was lent comes back by Put or is given up by
// Drop, exactly once; after Close nothing is lent.
//
//	v, ok, err := p.Get(ctx)
//	if !ok {
//		v = make() // p.Drop() if that fails
//	}
//	...
//	p.Put(v)
package pool

import (
	"context"
	"errors"
	"sync"
)

// ErrClosed is returned by Get after Close.
var ErrClosed = errors.New("the plugin is closed")

// Pool lends instances. It may be used by many goroutines at once.
type Pool[T any] struct {
	slots  chan struct{} // one for each instance that is lent
	mu     sync.Mutex
	free   []T
	closed chan struct{}
	once   sync.Once
}

// New returns a pool that lends up to size instances at a time.
func New[T any](size int) *Pool[T] {
	return &Pool[T]{slots: make(chan struct{}, size), free: make([]T, 0, size), closed: make(chan struct{})}
}

// Size returns how many instances can be lent at a time.
func (p *Pool[T]) Size() int { return cap(p.slots) }

// Get waits until an instance may be lent. When ok is false there is none to use again and the caller makes one.
func (p *Pool[T]) Get(ctx context.Context) (v T, ok bool, err error) {
	select {
	case p.slots <- struct{}{}:
	default:
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			return v, false, context.Cause(ctx)
		case <-p.closed:
			return v, false, ErrClosed
		}
	}
	select {
	case <-p.closed:
		<-p.slots
		return v, false, ErrClosed
	default:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		v = p.free[n-1]
		clear(p.free[n-1:])
		p.free = p.free[:n-1]
		return v, true, nil
	}
	return v, false, nil
}

// Put takes an instance back.
func (p *Pool[T]) Put(v T) {
	p.mu.Lock()
	p.free = append(p.free, v)
	p.mu.Unlock()
	<-p.slots
}

// Drop takes note that an instance that was lent will not come back.
func (p *Pool[T]) Drop() { <-p.slots }

// Close stops lending, waits until ctx ends for what is lent to come back, and returns what came, which belongs to the
// caller. It may be called again when it returned an error.
func (p *Pool[T]) Close(ctx context.Context) ([]T, error) {
	p.once.Do(func() { close(p.closed) })
	var err error
	held := 0
	for held < cap(p.slots) && err == nil {
		select {
		case p.slots <- struct{}{}:
			held++
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	for range held {
		<-p.slots
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	free := p.free
	p.free = nil
	return free, err
}
