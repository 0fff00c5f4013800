package host

import (
	"sync/atomic"
	"time"
)

// Stats counts what a plugin did since it was loaded.
type Stats struct {
	Calls     uint64 // calls of an ability that ended
	Errors    uint64 // of these, the ones that failed
	Items     uint64 // items categorized, polled and received
	Made      uint64 // instances or processes started
	Discarded uint64 // of these, closed after an error
	Recycled  uint64 // of these, closed because their memory or stack had grown
	Memory    int64  // the most bytes that an instance held after a call; 0 where it is not known
	Busy      time.Duration
	Slowest   time.Duration
}

func (s *Stats) add(o Stats) {
	s.Calls += o.Calls
	s.Errors += o.Errors
	s.Items += o.Items
	s.Made += o.Made
	s.Discarded += o.Discarded
	s.Recycled += o.Recycled
	s.Memory = max(s.Memory, o.Memory)
	s.Busy += o.Busy
	s.Slowest = max(s.Slowest, o.Slowest)
}

// Counter counts for Stats. The zero value is ready; it may be used by many goroutines at once.
type Counter struct {
	calls, errors, items, made, discarded, recycled atomic.Uint64
	busy, slowest, memory                           atomic.Int64
}

// Call counts one call that took d and handled n items.
func (c *Counter) Call(d time.Duration, n int, err error) {
	c.calls.Add(1)
	if err != nil {
		c.errors.Add(1)
	} else {
		c.items.Add(uint64(n))
	}
	c.busy.Add(int64(d))
	raise(&c.slowest, int64(d))
}

// Held takes note of the memory that an instance holds after a call.
func (c *Counter) Held(bytes int64) { raise(&c.memory, bytes) }

// raise makes a value at least v.
func raise(value *atomic.Int64, v int64) {
	for {
		old := value.Load()
		if v <= old || value.CompareAndSwap(old, v) {
			return
		}
	}
}

// Made counts a new instance.
func (c *Counter) Made() { c.made.Add(1) }

// Discarded counts an instance that was closed after an error.
func (c *Counter) Discarded() { c.discarded.Add(1) }

// Recycled counts an instance that was closed because its memory or stack had grown.
func (c *Counter) Recycled() { c.recycled.Add(1) }

// Stats returns the counts.
func (c *Counter) Stats() Stats {
	return Stats{
		Calls: c.calls.Load(), Errors: c.errors.Load(), Items: c.items.Load(), Made: c.made.Load(),
		Discarded: c.discarded.Load(), Recycled: c.recycled.Load(), Memory: c.memory.Load(),
		Busy: time.Duration(c.busy.Load()), Slowest: time.Duration(c.slowest.Load()),
	}
}
