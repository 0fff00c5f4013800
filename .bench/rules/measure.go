package main

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"
)

// lane is one of those that take turns. It goes through its events in chunks of about a turn's time, and keeps the least
// time of each: a contender that takes a turn for a single event is measured like one that does thousands.
type lane struct {
	name   string
	match  matcher
	events []int         // their numbers
	each   time.Duration // about what an event takes
	chunk  int           // events of a turn
	passes int           // how often a turn goes through them
	warm   int           // events before a turn
	least  []float64     // nanoseconds, by chunk
	next   int
	out    []int32
}

// sampled is how many turns at most it takes to go through the events: a contender that would need more goes through
// some of them, spread over all.
const sampled = 128

// calibrate finds out how much fits into a turn, of the first n events.
func (l *lane) calibrate(turn time.Duration, n int) error {
	l.events = spread(n, n)
	did, start := 0, time.Now()
	for time.Since(start) < 4*turn {
		if err := l.once(did, did+1); err != nil {
			return err
		}
		did++
	}
	l.each = max(time.Since(start)/time.Duration(did), 1)
	fit := int(turn / l.each)
	l.events = spread(n, sampled*max(fit, 1))
	l.chunk, l.passes, l.warm = min(max(fit, 1), len(l.events)), max(fit/len(l.events), 1), max(warmth*fit, 1)
	l.least = make([]float64, (len(l.events)+l.chunk-1)/l.chunk)
	for i := range l.least {
		l.least[i] = math.Inf(1)
	}
	return nil
}

// spread returns at most m of the numbers below n.
func spread(n, m int) []int {
	out := make([]int, min(n, m))
	for i := range out {
		out[i] = i * n / len(out)
	}
	return out
}

// once asks for some of the lane's events, beginning anew behind the last.
func (l *lane) once(from, to int) error {
	for i := from; i < to; i++ {
		var err error
		if l.out, err = l.match(l.events[i%len(l.events)], l.out[:0]); err != nil {
			return err
		}
	}
	return nil
}

// warmth is how many turns a lane takes that are not measured before each that is, unless that is less than an event: it
// finds the processor's caches as others left them.
const warmth = 4

// turn measures the next chunk, after the events before it.
func (l *lane) turn() error {
	c := l.next % len(l.least)
	l.next++
	from, to := c*l.chunk, min((c+1)*l.chunk, len(l.events))
	before := from + l.warm*len(l.events)
	if err := l.once(before-l.warm, before); err != nil {
		return err
	}
	start := time.Now()
	for range l.passes {
		if err := l.once(from, to); err != nil {
			return err
		}
	}
	l.least[c] = min(l.least[c], float64(time.Since(start).Nanoseconds())/float64(l.passes))
	return nil
}

// time returns the nanoseconds for an event.
func (l *lane) time() float64 {
	sum := 0.0
	for _, t := range l.least {
		sum += t
	}
	return sum / float64(len(l.events))
}

// allocations returns how many objects are allocated for an event: the least of several counts, because buffers grow at
// first and others allocate meanwhile. One count is enough for those that allocate so much that it does not matter.
func (l *lane) allocations() (float64, error) {
	least := math.Inf(1)
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := l.once(0, len(l.events)); err != nil {
			return 0, err
		}
		runtime.ReadMemStats(&after)
		least = min(least, float64(after.Mallocs-before.Mallocs)/float64(len(l.events)))
		if least > 1000 {
			break
		}
	}
	return least, nil
}

// sweeps is how often every event is measured at least.
const sweeps = 3

// measure lets lanes take turns, in a new order in each round, until the time is over and each went through all events
// often enough.
func (b *bench) measure(ctx context.Context, c *cell, lanes []*lane) error {
	rounds := 0
	for _, l := range slices.Clone(lanes) {
		if takes := sweeps * l.each * time.Duration(len(l.events)); takes > b.bound {
			c.figures[l.name].cut = true
			b.report.note("%s was not measured at %s %s rules: that would take about %v.", l.name, thousands(c.rules), c.kind, takes.Round(time.Second))
			lanes = slices.DeleteFunc(lanes, func(o *lane) bool { return o == l })
			continue
		}
		var err error
		if c.figures[l.name].allocs, err = l.allocations(); err != nil {
			return err
		}
		rounds = max(rounds, sweeps*len(l.least))
	}
	random := rand.New(rand.NewPCG(b.seed, 3))
	start := time.Now()
	for i := 0; i < rounds || time.Since(start) < b.least; i++ {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, j := range random.Perm(len(lanes)) {
			if err := lanes[j].turn(); err != nil {
				return err
			}
		}
	}
	for _, l := range lanes {
		c.figures[l.name].time = l.time()
	}
	return nil
}
