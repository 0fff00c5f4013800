package cli

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/closedloop/closedloop/engine"
)

// progress keeps one line of a terminal up to date, below what the log writes. When it is not on it only passes the
// log through. It is safe for concurrent use.
type progress struct {
	w  io.Writer
	on bool

	mu    sync.Mutex
	shown string
}

const eraseLine = "\r\x1b[K"

// say replaces the line.
func (p *progress) say(format string, args ...any) {
	if !p.on {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shown = clean(fmt.Sprintf(format, args...), oneLine)
	fmt.Fprint(p.w, eraseLine, p.shown)
}

// clear removes the line.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown != "" {
		fmt.Fprint(p.w, eraseLine)
		p.shown = ""
	}
}

// Write writes lines of the log above the line.
func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown == "" {
		return p.w.Write(b)
	}
	fmt.Fprint(p.w, eraseLine)
	n, err := p.w.Write(b)
	fmt.Fprint(p.w, p.shown)
	return n, err
}

// refresh is the time between two looks at the engine.
const refresh = 200 * time.Millisecond

// watch shows what the engine reads, until the function that it returns is called.
func (p *progress) watch(eng *engine.Engine) (stop func()) {
	if !p.on {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	from := time.Now()
	show := func() {
		n := eng.Metrics().Read
		rate := float64(n) / max(time.Since(from).Seconds(), refresh.Seconds())
		p.say("%s read, %s/s ...", count(n, "row"), grouped(int(rate)))
	}
	show()
	go func() {
		defer close(ended)
		ticker := time.NewTicker(refresh)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				show()
			}
		}
	}()
	return func() {
		close(done)
		<-ended
		p.clear()
	}
}
