package processhost

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// The pauses before a restart: the first, the longest, and the longest that a call waits for.
const (
	pauseFirst   = 10 * time.Millisecond
	pauseLongest = 30 * time.Second
	pausePatient = time.Second
)

// pause spaces out the restarts of a plugin that keeps failing. Each failure in a row doubles it.
type pause struct {
	mu    sync.Mutex
	fails int
	until time.Time
	last  error
}

// longer notes a failure.
func (p *pause) longer(now time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fails++
	p.until, p.last = now.Add(min(pauseFirst<<min(p.fails-1, 20), pauseLongest)), err
}

// reset notes an answer.
func (p *pause) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fails, p.until, p.last = 0, time.Time{}, nil
}

// wait waits until the plugin may be started again. A pause that is too long to wait for is an error at once.
func (p *pause) wait(ctx context.Context) error {
	p.mu.Lock()
	d, fails, last := time.Until(p.until), p.fails, p.last
	p.mu.Unlock()
	if d <= 0 {
		return nil
	}
	if d > pausePatient {
		return fmt.Errorf("it failed %d times in a row and is started again in %v; the last time: %w", fails, d.Round(100*time.Millisecond), last)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
